"""How good speech sounds: scores that models predict, and what has to be known to read them.

Speech that a system produces: what it is asked to say, and what was measured on the result.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from relkit.core.values import Count, Estimate, Shape
from relkit.datasets.types import Clip, Failure

REFERENCE_COLUMN = "reference_audio"
"""The manifest column that names the reference clip, relative to the dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How loud a clip was, in dBFS (0: a root mean square of full scale), nothing normalised.

    ``active_dbfs`` is the level while there is speech (after ITU-T P.56) and ``active_share`` the
    share of time that is.
    """

    active_dbfs: float
    rms_dbfs: float
    peak_dbfs: float
    active_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What is known of one clip's quality.

    ``scores`` by metric name; a score that could not be made is absent and ``reasons`` says why.
    ``noise`` is the standard error of a score that has one of its own. ``windows`` were scored and
    averaged; ``dropped`` windows of whole audio are left out because the library leaves them out.
    """

    FILE: ClassVar = Shape(required=True)

    scores: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)
    level: Level | None = None
    windows: Count = 0
    dropped: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedClip(Clip):
    """A clip with the recording it is to be compared with, where there is one.

    ``missing`` says why the recording that was named cannot be used.
    """

    reference: Clip | None = None
    missing: str | None = None

    @property
    def key(self) -> str:
        """What tells it from every other comparison: the digests of both recordings."""
        reference = self.missing if self.reference is None else self.reference.digest
        return self.digest if reference is None else f"{self.digest}:{reference}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """How far one clip's score moves between repeats of the same measurement.

    ``sd`` is in the unit of the metric: the larger of the scores' own standard error (median over
    clips) and the spread of ``repeated`` clips scored a second time.
    """

    sd: float
    repeated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QualitySummary:
    """What a report says about the quality scores of its run.

    ``models`` maps a model file (or a library) to its digest (or version). ``levels_dbfs`` holds
    ``p10``, ``p50`` and ``p90`` of the clips' active levels. ``unscored`` counts by metric and
    reason the clips that have no value.
    """

    FILE: ClassVar = Shape(required=True)

    protocol: str
    models: Mapping[str, str]
    clips: int
    windows: int
    dropped_windows: int
    levels_dbfs: Mapping[str, float] = field(default_factory=dict)
    noise_floor: Mapping[str, NoiseFloor] = field(default_factory=dict)
    unscored: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityEvidence:
    """The qualities of a run's clips by utterance id, and what they add up to."""

    by_id: Mapping[str, Quality]
    summary: QualitySummary


WARM_UP = "warm_up_ms"
"""The name in an answer's ``usage`` of a first call's time, which is no latency."""

WARM_UP_FIRST_BYTE = "warm_up_first_byte_ms"
"""The same for the first byte of audio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A text to be spoken, and the absolute folder that the clip is written to."""

    text: str = field(repr=False)
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenAudio:
    """What is known of one spoken clip, times in ms.

    Silence before the first and after the last audible sample; ``clipped`` counts runs of samples
    at full scale, ``dropouts`` holes inside speech. ``first_audio_ms`` is when a listener hears the
    first audible sample if playing starts with the first byte: first byte plus leading silence;
    None where the first byte was not timed. ``warm_up_ms`` is the time of a first call after a
    start, which has no latency; None otherwise.
    """

    FILE: ClassVar = Shape(omitted=True)

    leading_silence_ms: float
    trailing_silence_ms: float
    clipped: int
    dropouts: int
    first_audio_ms: float | None = None
    warm_up_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What the recogniser gets wrong on the dataset's own recordings of the same utterances.

    ``recordings`` were heard, ``failures`` of them without an answer (all words deleted), and
    ``missing`` utterances have no recording that can be decoded.
    """

    FILE: ClassVar = Shape(required=True)

    recordings: int
    failures: int
    missing: int
    metrics: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechSummary:
    """What a report says about a round trip besides its metrics.

    ``recogniser`` and ``artifact`` are digests. First calls after a start (``warm_ups`` of them,
    ``warm_up_ms`` on average) are not among the latencies; ``warm_ms`` is the mean of those that
    are. ``floor`` is None where no utterance has a recording.
    """

    recogniser: str
    artifact: str | None
    warm_ups: int
    warm_up_ms: float | None
    warm_ms: float | None
    floor: Floor | None


class Unspoken(Exception):
    """An engine did not speak; ``failure`` says why."""

    def __init__(self, failure: Failure) -> None:
        """Keep the failure."""
        super().__init__(failure.reason.value)
        self.failure = failure
