"""Speech that a system produces: what it is asked to say, and what was measured on the result."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relkit.domain.estimates import Estimate
from relkit.domain.utterances import Failure

WARM_UP = "warm_up_ms"
"""The name in an answer's ``usage`` of a first call's time, which is no latency."""

WARM_UP_FIRST_BYTE = "warm_up_first_byte_ms"
"""The same for the first byte of audio."""

SPEECH_TIMINGS = ("first_audio_ms", "leading_silence_ms")
"""Single measurements of spoken clips that metrics are made from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A text to be spoken, and the absolute folder that the clip is written to."""

    text: str = field(repr=False)
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFacts:
    """What the samples of a spoken clip say.

    Silence in ms before the first and after the last audible sample; ``clipped`` counts runs of
    samples at full scale, ``dropouts`` holes inside speech.
    """

    leading_silence_ms: float
    trailing_silence_ms: float
    clipped: int
    dropouts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenAudio:
    """What is known of one spoken clip, times in ms.

    ``first_audio_ms`` is when a listener hears the first audible sample if playing starts with the
    first byte: first byte plus leading silence; None where the first byte was not timed.
    ``warm_up_ms`` is the time of a first call after a start, which has no latency; None otherwise.
    """

    facts: AudioFacts
    first_audio_ms: float | None = None
    warm_up_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What the recogniser gets wrong on the dataset's own recordings of the same utterances.

    ``recordings`` were heard, ``failures`` of them without an answer (all words deleted), and
    ``missing`` utterances have no recording that can be decoded.
    """

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
