"""``relkit dataset candidates``: which utterances of a run a person should look at."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from relkit.core.errors import InvalidInput, UsageError
from relkit.curation.ports import ReviewedRuns
from relkit.curation.review import candidate, rank, slice_states
from relkit.curation.types import ConsentTerms, ReviewList, ScoredItem
from relkit.datasets.ports import VersionedDatasets
from relkit.datasets.types import Consent
from relkit.evaluation.types import RunHeader

GONE = "not in the dataset"
"""Why an utterance of a run is withheld that today's manifest does not hold: nobody can say what
its speaker allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOptions:
    """What to rank: the first run's utterances; further runs are other systems on the same data."""

    runs: tuple[str, ...]
    baseline: str | None = None
    limit: int = 50


def candidates(
    request: ReviewOptions, runs: ReviewedRuns, terms: Callable[[str], ConsentTerms]
) -> ReviewList:
    """Return the utterances to review, ranked; ``terms`` says what a dataset's speakers allow.

    What may not be shown is used for nothing. Raises InvalidInput where runs cannot be compared,
    UsageError where a run is named twice.
    """
    named = [*request.runs, *([request.baseline] if request.baseline is not None else [])]
    headers = [runs.header(run) for run in named]
    _refuse_strangers(headers)
    allowed = terms(headers[0].dataset.name)
    items, withheld = _allowed(runs.items(request.runs[0]), allowed)
    compared = [{item.id: item for item in runs.items(run)} for run in named[1:]]
    further = compared[: len(request.runs) - 1]
    baseline = None if request.baseline is None else compared[-1]
    notes = _notes(items, headers, compared)
    states = slice_states(items, baseline)
    ranked = rank(
        [
            candidate(item, [answers[item.id] for answers in further if item.id in answers], states)
            for item in items
        ]
    )
    return ReviewList(
        runs=tuple(header.run for header in headers[: len(request.runs)]),
        baseline=headers[-1].run if request.baseline is not None else None,
        dataset=headers[0].dataset.name,
        considered=len(items),
        flagged=len(ranked),
        withheld=withheld,
        candidates=ranked[: request.limit],
        notes=notes,
    )


def consent_terms(datasets: VersionedDatasets, name: str) -> ConsentTerms:
    """Return what today's manifest says: consent that was revoked after a run counts."""
    dataset = datasets.snapshot(name, rev=None).dataset
    return ConsentTerms(
        required=dataset.settings.consent == "required",
        by_id={item.id: item.consent for item in dataset.utterances},
    )


def _refuse_strangers(headers: Sequence[RunHeader]) -> None:
    """Refuse runs whose numbers do not compare with the first one's."""
    first = headers[0]
    for compared in headers[1:]:
        if sum(header.run == compared.run for header in headers) > 1:
            raise UsageError(f"the run {compared.run} is named twice", hint="name different runs")
        if compared.dataset.digest != first.dataset.digest:
            raise InvalidInput(
                f"the runs {first.run} and {compared.run} are on different data",
                hint=f"score both on today's: relkit rescore {compared.run}",
            )
        if (compared.normalizer.digest, compared.suite.segmenter) != (
            first.normalizer.digest,
            first.suite.segmenter,
        ):
            raise InvalidInput(
                f"the runs {first.run} and {compared.run} were scored by different rules",
                hint=f"relkit rescore {compared.run} --normalizer {first.normalizer.name}",
            )


def _allowed(
    items: Sequence[ScoredItem], terms: ConsentTerms
) -> tuple[list[ScoredItem], dict[str, int]]:
    """Return the utterances that may be shown, and how many may not by reason."""
    allowed, withheld = [], Counter[str]()
    for item in items:
        consent = terms.by_id.get(item.id)
        if consent is None:
            withheld[GONE] += 1
        elif consent is Consent.REVOKED or (terms.required and consent is not Consent.GRANTED):
            withheld[consent.value] += 1
        else:
            allowed.append(item)
    return allowed, dict(sorted(withheld.items()))


def _notes(
    scored: Sequence[ScoredItem],
    headers: Sequence[RunHeader],
    compared: Sequence[Mapping[str, ScoredItem]],
) -> tuple[str, ...]:
    """Return where runs do not cover the first one's utterances; raises InvalidInput for none."""
    notes = []
    for header, items in zip(headers[1:], compared, strict=True):
        missing = sum(item.id not in items for item in scored)
        if scored and missing == len(scored):
            raise InvalidInput(
                f"the runs {headers[0].run} and {header.run} have no utterance in common",
                hint="name runs of the same suite",
            )
        if missing:
            notes.append(f"{missing} utterances are not in the run {header.run}")
    return tuple(notes)
