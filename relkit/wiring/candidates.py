"""Builds what ``relkit dataset candidates`` needs."""

from functools import partial
from typing import TYPE_CHECKING

from relkit.core.config import Settings
from relkit.wiring import run_folders

if TYPE_CHECKING:
    from relkit.adapters.runs import RunFolders
    from relkit.curation.review import ConsentTerms, ReviewList, ScoredItem
    from relkit.evaluation.types import RunHeader


class _Runs:
    """Finished runs of a workspace, or by path."""

    def __init__(self, folders: "RunFolders") -> None:
        self._folders = folders

    def header(self, run: str) -> "RunHeader":
        """Return a finished run's header; reading the report refuses unfinished ones."""
        self._folders.read_report(run)
        return self._folders.read_header(run)[0]

    def items(self, run: str) -> "tuple[ScoredItem, ...]":
        """Return the utterances of a run."""
        from relkit.adapters.results import read_items

        header, _, outputs = self._folders.read_header(run)
        return read_items(self._folders.find(run), outputs, header.suite.segmenter)


def review_candidates(
    settings: Settings,
    runs: tuple[str, ...],
    *,
    baseline: str | None = None,
    limit: int = 50,
) -> "ReviewList":
    """Rank utterances for review; see :func:`relkit.curation.candidates.candidates`."""
    from relkit.curation import candidates as workflow

    return workflow.candidates(
        workflow.ReviewRequest(runs=runs, baseline=baseline, limit=limit),
        _Runs(run_folders(settings)),
        partial(_terms, settings),
    )


def _terms(settings: Settings, name: str) -> "ConsentTerms":
    """Return what today's manifest says: consent that was revoked after a run counts."""
    from relkit.curation.review import ConsentTerms
    from relkit.wiring.dataset_versions import dataset_files

    dataset = dataset_files(settings).snapshot(name, rev=None).dataset
    return ConsentTerms(
        required=dataset.consent == "required",
        by_id={item.id: item.consent for item in dataset.utterances},
    )
