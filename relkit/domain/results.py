"""One scored item of a run: a row of results.parquet, and its texts kept apart."""

from collections.abc import Mapping
from dataclasses import dataclass

from relkit.domain.counts import ErrorCounts
from relkit.domain.quality import Quality
from relkit.domain.speech import SpokenAudio
from relkit.domain.utterances import Prediction, Unusable


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredText:
    """What comparing one hypothesis with its reference gave; no text inside.

    ``counts`` are on normalized tokens, ``raw`` on the tokens as they came. ``stage_errors`` are
    the word errors after each step of the normalizer, raw first. Entities and keywords that could
    not be found in the reference are left out of their totals and counted as ``unlocated``.
    ``entity_marks`` says of each labelled entity, in the order of the labels, whether it is wrong,
    None where it was not found.
    """

    counts: ErrorCounts
    raw: ErrorCounts
    characters: ErrorCounts
    entities: int = 0
    entity_errors: int = 0
    keywords: int = 0
    keyword_errors: int = 0
    unlocated: int = 0
    entity_marks: tuple[bool | None, ...] = ()
    loop: bool = False
    stage_errors: tuple[int, ...] = ()

    @property
    def runaway(self) -> bool:
        """I > max(10, N) (rules.md section 2)."""
        return self.counts.insertions > max(10, self.counts.reference_length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Reference and hypothesis of one item, raw and normalized; never uploaded."""

    reference: str
    hypothesis: str | None
    reference_normalized: str
    hypothesis_normalized: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One utterance and repeat of a run.

    ``score`` is None where the item was unusable; a failed item is scored as all deleted and names
    its ``failure``. Times in ms, ``duration`` in s; ``slices`` are the columns the data is cut by.
    ``quality`` is that of the audio, None where the suite does not ask for it.
    """

    id: str
    repeat: int
    cluster: str
    slices: Mapping[str, str]
    duration: float | None
    score: ScoredText | None
    texts: Texts
    failure: str | None = None
    unusable: str | None = None
    latency_ms: float | None = None
    first_byte_ms: float | None = None
    attempts: int = 0
    cached: bool = False
    load: str = ""
    quality: Quality | None = None
    speech: SpokenAudio | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one utterance and repeat: a prediction, or why it could not be used.

    Exactly one of ``prediction`` and ``unusable`` is set. ``audio`` is the digest of the decoded
    samples and ``duration`` their length in s, where the audio could be decoded. For a system that
    speaks they are those of the spoken clip, and ``speech`` is what was measured on it.
    """

    id: str
    repeat: int
    prediction: Prediction | None = None
    unusable: Unusable | None = None
    audio: str | None = None
    duration: float | None = None
    speech: SpokenAudio | None = None
