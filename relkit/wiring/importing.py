"""Builds what ``relkit dataset import`` needs."""

from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.codec import nearest
from relkit.core.config import Settings
from relkit.core.errors import UsageError
from relkit.core.ports import Progress
from relkit.core.yaml_text import shown
from relkit.datasets.imports.rows import ImportKind

if TYPE_CHECKING:
    from relkit.datasets.imports.rows import ImportSummary


def import_dataset(
    settings: Settings,
    kind: str,
    path: Path,
    *,
    name: str | None = None,
    copy: bool = False,
    progress: Progress,
) -> "ImportSummary":
    """Import a dataset; see :func:`relkit.datasets.imports.convert.import_dataset`."""
    from relkit.adapters.imports import READ, ImportSources, ImportTarget, Pseudonyms
    from relkit.datasets.imports import convert as workflow
    from relkit.datasets.imports.kaldi import FILES

    kinds = tuple(item.value for item in ImportKind)
    if kind not in kinds:
        raise UsageError(f'unknown kind "{shown(kind)}"', hint=nearest(kind, kinds))
    wanted = ImportKind(kind)
    return workflow.import_dataset(
        workflow.ImportRequest(kind=wanted, name=name, copy=copy),
        ImportSources(wanted, path, kaldi_files=FILES),
        ImportTarget(settings.datasets, state=settings.state),
        pseudonym=Pseudonyms(settings.state / "pseudonyms.key").of,
        readable=READ,
        progress=progress,
    )
