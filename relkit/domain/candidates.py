"""Which utterances a person should look at, and why: ids and numbers, never a text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relkit.domain.counts import ErrorCounts
from relkit.domain.utterances import Consent


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredItem:
    """One utterance of one run, its repeats together.

    ``errors`` are capped per repeat at max(1, N), ``words`` are max(1, N) per repeat, both over the
    scored repeats. ``tokens`` is the first answer as normalized tokens, None without an answer;
    ``counts`` compare it with the reference. ``slices`` are the columns the data is cut by.
    """

    id: str
    cluster: str
    slices: Mapping[str, str]
    repeats: int
    errors: int
    words: int
    failures: int
    unusable: int
    runaways: int
    tokens: Sequence[str] | None = None
    counts: ErrorCounts | None = None

    @property
    def error(self) -> float | None:
        """Capped errors per word, 0 to 1; None where nothing was scored."""
        return self.errors / self.words if self.words else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """Why an utterance may need a person, each from 0 to 1; None where it cannot be known."""

    slice_regression: float = 0.0
    low_coverage: float = 0.0
    disagreement: float | None = None
    label_error: float = 0.0
    runaway: float = 0.0
    failure: float = 0.0
    unusable: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCandidate:
    """One utterance to review.

    ``slice`` is the one behind the strongest slice signal; ``numbers`` are what the signals were
    made from (fractions and counts).
    """

    id: str
    score: float
    slice: str
    signals: Signals
    numbers: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewList:
    """The ranked utterances, and who is not among them.

    ``considered`` utterances could be listed, ``flagged`` of them have a score above 0.
    ``withheld`` counts utterances by why their consent keeps them out.
    """

    runs: tuple[str, ...]
    baseline: str | None
    dataset: str
    considered: int
    flagged: int
    withheld: Mapping[str, int]
    candidates: tuple[ReviewCandidate, ...]
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentTerms:
    """What may be shown of a dataset today: its rule, and the word of each utterance by id."""

    required: bool
    by_id: Mapping[str, Consent]
