"""How loud speech is: the active speech level, after ITU-T P.56 method B.

Levels are in dBFS: 0 dBFS is a root mean square of 1.0, full scale. So a full-scale sine has -3.01.
A recogniser's or a predictor's score depends on the level, and a level over the whole file depends
on how much silence was recorded around the words; the active level does not.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relkit.domain.quality import Level

Samples = NDArray[np.float32]

MARGIN_DB = 15.9
"""How far below the active level speech still counts as active (ITU-T P.56, method B)."""

TIME_CONSTANT_S = 0.03
HANGOVER_S = 0.2
_STEP_S = 0.001  # the envelope, smoothed over 30 ms, is looked at once a millisecond
_THRESHOLDS_PER_6_DB = 4
_RANGE_6_DB = 12
_REACH = 12.0  # time constants after which the smoothing's answer is below 1e-4
_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Activity:
    """For thresholds (K,) relative to the root mean square: the share of time that is active."""

    thresholds_db: NDArray[np.float64]
    share: NDArray[np.float64]


def measure_level(samples: Samples, sample_rate: int) -> Level | None:
    """Return the level of mono samples (n,) at ``sample_rate`` Hz; None for digital silence.

    P.56: the envelope is |x| smoothed twice with 30 ms; a moment is active while the envelope was
    above a threshold within the last 200 ms; the active level is the energy over the active time at
    the threshold that lies 15.9 dB below it. Unlike in P.56, the thresholds are relative to the
    clip (72 dB around it in steps of 1.5 dB, interpolated), so that a gain of g dB moves the level
    by exactly g dB.
    """
    wide = samples.astype(np.float64)
    power = float(np.mean(wide * wide)) if len(wide) else 0.0
    if not math.isfinite(power) or power <= _TINY * _TINY:
        return None
    rms_db = 10.0 * math.log10(power)
    share = _active_share(_activity(wide / math.sqrt(power), sample_rate))
    return Level(
        active_dbfs=rms_db - 10.0 * math.log10(share),
        rms_dbfs=rms_db,
        peak_dbfs=20.0 * math.log10(float(np.max(np.abs(wide)))),
        active_share=share,
    )


def _activity(scaled: NDArray[np.float64], sample_rate: int) -> _Activity:
    """Return the activity of samples whose root mean square is 1."""
    envelope = _envelope(scaled, sample_rate)
    span = _THRESHOLDS_PER_6_DB * _RANGE_6_DB // 2
    powers = np.arange(-span, span + 1) / _THRESHOLDS_PER_6_DB
    hangover = round(HANGOVER_S / _STEP_S)
    steps = np.arange(len(envelope))
    shares = []
    for threshold in 2.0**powers:
        last = np.maximum.accumulate(np.where(envelope >= threshold, steps, -hangover - 1))
        shares.append(float(np.mean(steps - last <= hangover)))
    return _Activity(thresholds_db=20.0 * np.log10(2.0) * powers, share=np.array(shares))


def _envelope(scaled: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Return |x| averaged over 1 ms and smoothed twice, one value a millisecond."""
    step = max(1, round(_STEP_S * sample_rate))
    padded = np.pad(np.abs(scaled), (0, -len(scaled) % step))
    rough = padded.reshape(-1, step).mean(axis=1)
    g = math.exp(-step / sample_rate / TIME_CONSTANT_S)
    reach = np.arange(round(_REACH * TIME_CONSTANT_S * sample_rate / step))
    response = (1.0 - g) ** 2 * (reach + 1) * g**reach  # of two first-order filters in a row
    return np.convolve(rough, response)[: len(rough)]


def _active_share(activity: _Activity) -> float:
    """Return the share at which the active level lies MARGIN_DB above the threshold.

    The distance falls as the threshold rises; where it never falls so far, the clip is all active.
    """
    some = activity.share > 0.0
    share, thresholds = activity.share[some], activity.thresholds_db[some]
    distance = -10.0 * np.log10(share) - thresholds
    below = np.flatnonzero(distance <= MARGIN_DB)
    if len(below) == 0 or below[0] == 0:
        return float(share[-1 if len(below) == 0 else 0])
    after = int(below[0])
    before = after - 1
    part = (distance[before] - MARGIN_DB) / (distance[before] - distance[after])
    levels = np.log(share[[before, after]])
    return float(np.exp(levels[0] + part * (levels[1] - levels[0])))
