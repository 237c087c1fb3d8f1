"""What decoding a clip shows: level, clipping, silence, sample rate."""

from dataclasses import dataclass

import numpy as np

from relkit.domain.utterances import Clip, Unusable

FULL_SCALE = 0.999
"""Amplitude from which a sample counts as clipped, of 1."""

SILENCE = 1e-3
"""RMS of a 20 ms frame below which it is silence: -60 dBFS."""

_FRAMES_A_SECOND = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What decoding one utterance's audio showed; all but ``state`` are None where it failed.

    ``state`` is ``ok`` or the reason; ``peak`` is of full scale 1; ``level_dbfs`` is the RMS level
    (None for digital silence); the shares are fractions of samples and of 20 ms frames.
    """

    state: str
    digest: str | None = None
    duration: float | None = None
    sample_rate: int | None = None
    peak: float | None = None
    level_dbfs: float | None = None
    clipped_share: float | None = None
    silence_share: float | None = None


def heard(clip: Clip | Unusable) -> Heard:
    """Return the facts of one decoded clip."""
    if isinstance(clip, Unusable):
        return Heard(state=clip.reason.value)
    samples = np.frombuffer(clip.samples, dtype="<f4").astype(np.float64)
    power = samples**2
    starts = np.arange(0, len(samples), max(1, clip.sample_rate // _FRAMES_A_SECOND))
    lengths = np.diff(starts, append=len(samples))
    levels = np.sqrt(np.add.reduceat(power, starts) / lengths)
    level = float(np.sqrt(np.mean(power)))
    return Heard(
        state="ok",
        digest=clip.digest,
        duration=clip.duration_s,
        sample_rate=clip.sample_rate,
        peak=float(np.abs(samples).max()),
        level_dbfs=float(20 * np.log10(level)) if level else None,
        clipped_share=float(np.mean(np.abs(samples) >= FULL_SCALE)),
        silence_share=float(np.mean(levels < SILENCE)),
    )
