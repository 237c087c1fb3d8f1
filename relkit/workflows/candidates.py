"""``relkit dataset candidates``: which utterances of a run a person should look at."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from relkit.domain.candidates import ConsentTerms, ReviewList, ScoredItem
from relkit.domain.errors import InvalidInput, UsageError
from relkit.domain.runs import RunHeader
from relkit.domain.utterances import Consent
from relkit.rules.candidates import candidate, rank
from relkit.rules.review_slices import slice_states

GONE = "not in the dataset"
"""Why an utterance of a run is withheld that today's manifest does not hold: nobody can say what
its speaker allows."""


class ReviewedRuns(Protocol):
    """Finished runs, utterance by utterance."""

    def header(self, run: str) -> RunHeader:
        """Return what a finished run was asked to do; raises InvalidInput, UsageError."""
        ...

    def items(self, run: str) -> tuple[ScoredItem, ...]:
        """Return the utterances of a finished run, sorted by id; raises InvalidInput."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRequest:
    """What to rank: the first run's utterances; further runs are other systems on the same data."""

    runs: tuple[str, ...]
    baseline: str | None = None
    limit: int = 50


def candidates(
    request: ReviewRequest, runs: ReviewedRuns, terms: Callable[[str], ConsentTerms]
) -> ReviewList:
    """Return the utterances to review, ranked; ``terms`` says what a dataset's speakers allow.

    What may not be shown is used for nothing. Raises InvalidInput where runs cannot be compared,
    UsageError where a run is named twice.
    """
    named = [*request.runs, *([request.baseline] if request.baseline is not None else [])]
    headers = [runs.header(run) for run in named]
    _refuse_strangers(headers)
    allowed = terms(headers[0].dataset.name)
    own, withheld = _allowed(runs.items(request.runs[0]), allowed)
    others = [_by_id(runs.items(run)) for run in request.runs[1:]]
    baseline = None if request.baseline is None else _by_id(runs.items(request.baseline))
    notes = _notes(own, headers, others, baseline)
    states = slice_states(own, baseline)
    ranked = rank(
        [
            candidate(item, [other[item.id] for other in others if item.id in other], states)
            for item in own
        ]
    )
    return ReviewList(
        runs=tuple(header.run for header in headers[: len(request.runs)]),
        baseline=headers[-1].run if request.baseline is not None else None,
        dataset=headers[0].dataset.name,
        considered=len(own),
        flagged=len(ranked),
        withheld=withheld,
        candidates=ranked[: request.limit],
        notes=notes,
    )


def _refuse_strangers(headers: Sequence[RunHeader]) -> None:
    """Refuse runs whose numbers do not compare with the first one's."""
    first = headers[0]
    for other in headers[1:]:
        if sum(header.run == other.run for header in headers) > 1:
            raise UsageError(f"the run {other.run} is named twice", hint="name different runs")
        if other.dataset.digest != first.dataset.digest:
            raise InvalidInput(
                f"the runs {first.run} and {other.run} are on different data",
                hint=f"score both on today's: relkit rescore {other.run}",
            )
        if (other.normalizer_digest, other.suite.segmenter) != (
            first.normalizer_digest,
            first.suite.segmenter,
        ):
            raise InvalidInput(
                f"the runs {first.run} and {other.run} were scored by different rules",
                hint=f"relkit rescore {other.run} --normalizer {first.normalizer}",
            )


def _by_id(items: Sequence[ScoredItem]) -> dict[str, ScoredItem]:
    return {item.id: item for item in items}


def _allowed(
    items: Sequence[ScoredItem], terms: ConsentTerms
) -> tuple[list[ScoredItem], dict[str, int]]:
    """Return the utterances that may be shown, and how many may not by reason."""
    kept, withheld = [], Counter[str]()
    for item in items:
        consent = terms.by_id.get(item.id)
        if consent is None:
            withheld[GONE] += 1
        elif consent is Consent.REVOKED or (terms.required and consent is not Consent.GRANTED):
            withheld[consent.value] += 1
        else:
            kept.append(item)
    return kept, dict(sorted(withheld.items()))


def _notes(
    own: Sequence[ScoredItem],
    headers: Sequence[RunHeader],
    others: Sequence[Mapping[str, ScoredItem]],
    baseline: Mapping[str, ScoredItem] | None,
) -> tuple[str, ...]:
    """Return where runs do not cover the first one's utterances; raises InvalidInput for none."""
    notes = []
    compared = [*others, *([baseline] if baseline is not None else [])]
    for header, items in zip(headers[1:], compared, strict=True):
        missing = sum(item.id not in items for item in own)
        if own and missing == len(own):
            raise InvalidInput(
                f"the runs {headers[0].run} and {header.run} have no utterance in common",
                hint="name runs of the same suite",
            )
        if missing:
            notes.append(f"{missing} utterances are not in the run {header.run}")
    return tuple(notes)
