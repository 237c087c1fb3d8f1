"""Builds what pages for people are made with."""

from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Settings
from relkit.wiring import run_folders

if TYPE_CHECKING:
    from relkit.adapters.runs import RunFolders
    from relkit.comparison.rows import Row
    from relkit.report.view import Page


def report_page(
    settings: Settings,
    run: str,
    *,
    baseline: str | None = None,
    with_text: bool = False,
    with_audio: bool = False,
) -> "Page":
    """Return a run's page; see :func:`relkit.report.run.report_page`."""
    from relkit.adapters.audio import MEDIA_TYPE, SoundfileReader, flac
    from relkit.report import run as workflow
    from relkit.wiring.dataset_versions import dataset_files

    folders = run_folders(settings)
    ports = workflow.PagePorts(
        runs=folders,
        rows=_RunRows(folders),
        datasets=dataset_files(settings),
        audio=SoundfileReader(),
        encode=flac,
        media_type=MEDIA_TYPE,
    )
    return workflow.report_page(
        run, ports, baseline=baseline, with_text=with_text, with_audio=with_audio
    )


def default_output(settings: Settings, page: "Page") -> Path:
    """Return where a page goes that was not told where: ``.relkit/reports``, never into a run."""
    beside = "" if page.baseline is None else f"-beside-{page.baseline.run}"
    return settings.state / "reports" / f"{page.report.run}{beside}.html"


class _RunRows:
    """Finds a run's folder and digests, and reads its rows."""

    def __init__(self, folders: "RunFolders") -> None:
        self._folders = folders

    def __call__(self, run: str, *, with_text: bool, with_audio: bool) -> "tuple[Row, ...]":
        from relkit.adapters.results import read_rows

        _, _, outputs = self._folders.read_header(run)
        folder = self._folders.find(run)
        return read_rows(folder, outputs, with_text=with_text, with_audio=with_audio)
