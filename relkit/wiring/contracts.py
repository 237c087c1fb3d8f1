"""Builds what ``relkit dataset check`` needs; Great Expectations itself only when it judges."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from relkit.core.config import Settings
from relkit.core.ports import Progress

if TYPE_CHECKING:
    from relkit.adapters.decisions import ContractFiles
    from relkit.curation.check import CheckPorts, Recognised
    from relkit.curation.types import ContractOutcome


def contract_files(settings: Settings) -> "ContractFiles":
    """Return the contracts of a workspace's datasets, with their stored outcomes."""
    from relkit.adapters.decisions import ContractFiles

    return ContractFiles(settings.state / "contracts")


def check_dataset(
    settings: Settings,
    name: str,
    *,
    rev: str | None = None,
    runs: Sequence[str] = (),
    progress: Progress,
) -> "ContractOutcome":
    """Check a dataset; see :func:`relkit.curation.check.check_dataset`."""
    from relkit.curation import check as workflow

    recognised = [_recognised(settings, run) for run in runs]
    return workflow.check_dataset(
        name, _ports(settings), rev=rev, recognised=recognised, progress=progress
    )


def write_default(settings: Settings, name: str, *, progress: Progress) -> str:
    """Write a first contract; see :func:`relkit.curation.check.write_default`."""
    from relkit.curation import check as workflow

    return workflow.write_default(name, _ports(settings), progress=progress)


def _recognised(settings: Settings, run: str) -> "Recognised":
    from relkit.curation.check import Recognised
    from relkit.wiring import normalizer, run_folders

    runs = run_folders(settings)
    header, _, _ = runs.read_header(run)
    return Recognised(
        run=header.run,
        dataset=header.dataset.name,
        outcomes=runs.read_outcomes(run),
        normalizer=normalizer(settings, header.normalizer),
    )


def _ports(settings: Settings) -> "CheckPorts":
    from relkit.adapters.audio import SoundfileReader
    from relkit.adapters.great_expectations import GreatExpectationsChecker
    from relkit.adapters.workspace import SystemClock, versions
    from relkit.curation.check import CheckPorts
    from relkit.wiring.dataset_versions import dataset_files

    return CheckPorts(
        datasets=dataset_files(settings),
        audio=SoundfileReader(),
        contracts=contract_files(settings),
        checker=GreatExpectationsChecker(),
        clock=SystemClock(),
        versions={"relkit": versions()["relkit"]},
    )
