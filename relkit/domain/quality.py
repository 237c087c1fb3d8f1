"""How good speech sounds: scores that models predict, and what has to be known to read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relkit.domain.utterances import Clip

PREDICTED = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808", "plcmos")
"""Scores of the audio alone: predicted mean opinion scores, 1 to 5."""

INTRUSIVE = ("pesq", "stoi")
"""Scores against a reference recording."""

QUALITY_METRICS = (*PREDICTED, *INTRUSIVE)

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

    scores: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)
    level: Level | None = None
    windows: int = 0
    dropped: int = 0


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
        other = self.missing if self.reference is None else self.reference.digest
        return self.digest if other is None else f"{self.digest}:{other}"


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
