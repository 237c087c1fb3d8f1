"""What an evaluation says: metrics by slice, with the digests of everything they rest on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relkit.domain.counts import ErrorCounts
from relkit.domain.datasets import DatasetVersion
from relkit.domain.estimates import Estimate
from relkit.domain.quality import QualitySummary
from relkit.domain.speech import SpeechSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceResult:
    """One slice: how much was in it, what failed, and its metrics by name."""

    slice: str
    utterances: int
    clusters: int
    failures: int
    counts: ErrorCounts
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskingStep:
    """How many word errors one step of the normalizer hid (negative: it made that many)."""

    step: str
    errors_before: int
    errors_after: int

    @property
    def hidden(self) -> int:
        """Errors that were there before the step and not after it."""
        return self.errors_before - self.errors_after


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityType:
    """How labelled entities of one type came out: found in references, and wrong among them."""

    type: str
    entities: int
    errors: int

    @property
    def rate(self) -> float | None:
        """Errors / entities as a fraction; None without an entity."""
        return self.errors / self.entities if self.entities else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runaways:
    """Utterances with far more insertions than words, and what an unseen rate could cost.

    ``hidden_rate`` is the highest rate that still shows nothing in this much data (97.5 %), and
    ``hidden_wer`` what it would add to the WER if each runaway inserted ``loop_words`` words.
    """

    count: int
    loops: int
    hidden_rate: float | None = None
    hidden_wer: float | None = None
    loop_words: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Hallucinations:
    """Words on clips whose reference is empty: clips, clips with a word, words per minute."""

    clips: int
    with_words: int
    words: int
    words_per_minute: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalReport:
    """The result of a run: what was measured, on what, with which system.

    ``expected`` items were asked for, ``scored`` of them could be given to the system (failures
    included), ``unusable`` could not. ``coverage`` = scored / expected. ``registered`` maps each
    slice column to the values that the dataset's lock promises for the suite's selection; None
    where the dataset is not locked. ``cluster`` is the column of the independent units.
    """

    run: str
    suite: str
    suite_digest: str
    candidate_digest: str
    artifact_digest: str | None
    dataset: DatasetVersion
    normalizer: str
    normalizer_digest: str
    scorer: str
    tool_version: str
    created: str
    expected: int
    scored: int
    failures: int
    unusable: int
    repeats: int
    load_digest: str
    slices: tuple[SliceResult, ...]
    masking: tuple[MaskingStep, ...]
    runaways: Runaways
    hallucinations: Hallucinations
    failure_reasons: Mapping[str, int] = field(default_factory=dict)
    unusable_reasons: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    entity_types: tuple[EntityType, ...] = ()
    quality: QualitySummary | None = None
    speech: SpeechSummary | None = None
    registered: Mapping[str, tuple[str, ...]] | None = None
    cluster: str = "cluster"

    @property
    def coverage(self) -> float | None:
        """Scored / expected, a fraction; None where nothing was expected."""
        return self.scored / self.expected if self.expected else None
