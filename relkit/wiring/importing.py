"""Builds what ``relkit dataset import`` needs."""

from pathlib import Path
from typing import TYPE_CHECKING

from relkit.config import Settings
from relkit.domain.errors import UsageError
from relkit.domain.imports import ImportKind
from relkit.ports import Progress
from relkit.records.strict import nearest
from relkit.records.yaml_text import shown

if TYPE_CHECKING:
    from relkit.domain.imports import ImportSummary


def import_dataset(
    settings: Settings,
    kind: str,
    path: Path,
    *,
    name: str | None = None,
    copy: bool = False,
    progress: Progress,
) -> "ImportSummary":
    """Import a dataset; see :func:`relkit.workflows.import_dataset.import_dataset`."""
    from relkit.adapters.import_sources import READ, ImportSources
    from relkit.adapters.import_target import ImportTarget
    from relkit.adapters.pseudonyms import Pseudonyms
    from relkit.records.imports.kaldi import FILES
    from relkit.workflows import import_dataset as workflow

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
