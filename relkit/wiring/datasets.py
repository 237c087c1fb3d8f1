"""Builds what the commands about datasets need."""

from functools import partial
from typing import TYPE_CHECKING

from relkit.core.config import Workspace
from relkit.wiring.stores import (
    contract_files,
    dataset_files,
    dvc_audio,
    normalizer_files,
    run_folders,
)

if TYPE_CHECKING:
    from relkit.adapters.runs import RunFolders
    from relkit.core.ports import Progress
    from relkit.curation.candidates import ReviewOptions
    from relkit.curation.check import CheckOptions, CheckPorts
    from relkit.curation.types import ContractOutcome, ReviewList, ScoredItem
    from relkit.datasets.imports.rows import ImportSummary
    from relkit.datasets.imports.run import ImportOptions
    from relkit.datasets.types import DiffOutcome, LockOutcome, StatsOutcome
    from relkit.evaluation.types import RunHeader


def lock_dataset(workspace: Workspace, name: str) -> "LockOutcome":
    """Lock a dataset; see :func:`relkit.datasets.versions.lock`."""
    from relkit.adapters.audio import SoundfileReader
    from relkit.datasets.versions import lock

    return lock(name, dataset_files(workspace), dvc_audio(workspace), SoundfileReader())


def diff_dataset(workspace: Workspace, name: str, before: str, after: str | None) -> "DiffOutcome":
    """Compare two versions; see :func:`relkit.datasets.versions.diff`."""
    from relkit.datasets.versions import diff

    return diff(name, before, after, dataset_files(workspace))


def dataset_stats(workspace: Workspace, name: str) -> "StatsOutcome":
    """Say what a dataset holds; see :func:`relkit.datasets.versions.stats`."""
    from relkit.datasets.versions import stats

    return stats(name, dataset_files(workspace))


def check_dataset(
    workspace: Workspace, options: "CheckOptions", progress: "Progress"
) -> "ContractOutcome":
    """Check a dataset; see :func:`relkit.curation.check.check_dataset`."""
    from relkit.curation import check as workflow

    return workflow.check_dataset(options, _check_ports(workspace), progress=progress)


def write_default(workspace: Workspace, name: str, progress: "Progress") -> str:
    """Write a first contract; see :func:`relkit.curation.check.write_default`."""
    from relkit.curation import check as workflow

    return workflow.write_default(name, _check_ports(workspace), progress=progress)


def _check_ports(workspace: Workspace) -> "CheckPorts":
    """Return what a check needs; Great Expectations itself is imported when it judges."""
    from relkit.adapters.audio import SoundfileReader
    from relkit.adapters.great_expectations import GreatExpectationsChecker
    from relkit.adapters.workspace import SystemClock, versions
    from relkit.curation.check import CheckPorts

    return CheckPorts(
        datasets=dataset_files(workspace),
        audio=SoundfileReader(),
        runs=run_folders(workspace),
        normalizers=normalizer_files(workspace),
        contracts=contract_files(workspace),
        checker=GreatExpectationsChecker(),
        clock=SystemClock(),
        versions={"relkit": versions()["relkit"]},
    )


def import_dataset(
    workspace: Workspace, options: "ImportOptions", progress: "Progress"
) -> "ImportSummary":
    """Import a dataset; see :func:`relkit.datasets.imports.run.import_dataset`."""
    from relkit.adapters.audio import length_s
    from relkit.adapters.imports import READ, ImportSources, ImportTarget, Pseudonyms
    from relkit.datasets.imports import run as workflow
    from relkit.datasets.imports.kaldi import FILES

    return workflow.import_dataset(
        options,
        ImportSources(options.kind, options.path, kaldi_files=FILES),
        ImportTarget(workspace.datasets, state=workspace.state),
        pseudonym=Pseudonyms(workspace.state / "pseudonyms.key").of,
        readable=READ,
        length=length_s,
        progress=progress,
    )


class _Runs:
    """Implements ReviewedRuns: finished runs of a workspace, or by path."""

    def __init__(self, folders: "RunFolders") -> None:
        self._folders = folders

    def header(self, run: str) -> "RunHeader":
        """Return a finished run's header; reading the report refuses unfinished ones."""
        self._folders.read_report(run)
        return self._folders.read_header(run)

    def items(self, run: str) -> "tuple[ScoredItem, ...]":
        """Return the utterances of a run."""
        from relkit.adapters.results import read_items

        header = self._folders.read_header(run)
        return read_items(self._folders.find(run), header.outputs, header.suite.segmenter)


def review_candidates(workspace: Workspace, options: "ReviewOptions") -> "ReviewList":
    """Rank utterances for review; see :func:`relkit.curation.candidates.candidates`."""
    from relkit.curation import candidates as workflow

    return workflow.candidates(
        options,
        _Runs(run_folders(workspace)),
        partial(workflow.consent_terms, dataset_files(workspace)),
    )
