"""Signal steps on int64 arrays that hold 16-bit sample values; levels are exact integer sums.

Every step ends on whole sample values, so that last-bit differences between processors do not
survive it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, firwin, resample_poly, sosfilt

Samples = NDArray[np.int64]

WIDEBAND_HZ = 16_000
TELEPHONE_HZ = 8_000
FULL_SCALE = 32_768
LEVEL_DBFS = -23.0
PEAK_LIMIT = 30_000
EDGE_S = 0.15
_FRAME = 320  # 20 ms at 16 kHz
_ACTIVE_DB = -30.0  # a frame this far under the loudest one holds no speech
_EDGE_DB = -40.0
_MU_BIAS = 132
_MU_CLIP = 32_635


def quantise(values: NDArray[np.floating[Any]]) -> Samples:
    """Round to whole sample values; `values` is in units of one 16-bit step, shape (n,)."""
    return np.asarray(np.rint(values), dtype=np.int64)


def scale(samples: Samples, gain: float) -> Samples:
    """Multiply by a gain that is itself rounded to 1e-6, shape (n,)."""
    return quantise(samples * round(gain, 6))


def resample(samples: Samples, source_hz: int, target_hz: int) -> Samples:
    """Change the sampling rate from `source_hz` to `target_hz` with a polyphase filter."""
    if source_hz == target_hz:
        return samples
    common = math.gcd(source_hz, target_hz)
    return quantise(
        resample_poly(samples.astype(np.float64), target_hz // common, source_hz // common)
    )


def _frame_energy(samples: Samples, frame: int) -> Samples:
    """Sum of squares of each whole frame of `frame` samples, shape (n // frame,)."""
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
    return np.asarray((whole**2).sum(axis=1), dtype=np.int64)


def rms(samples: Samples) -> float:
    """Root mean square in 16-bit steps over all samples."""
    return math.sqrt(int((samples**2).sum()) / len(samples))


def active_rms(samples: Samples, rate_hz: int) -> float:
    """Root mean square in 16-bit steps over the 20 ms frames that hold speech."""
    frame = _FRAME * rate_hz // WIDEBAND_HZ
    energy = _frame_energy(samples, frame)
    active = energy[energy > energy.max() * 10 ** (_ACTIVE_DB / 10)]
    return math.sqrt(int(active.sum()) / (len(active) * frame))


def trim(samples: Samples) -> Samples:
    """Leave 0.15 s before the first and after the last frame with sound, at 16 kHz."""
    energy = _frame_energy(samples, _FRAME)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (_EDGE_DB / 10))
    edge = round(EDGE_S * WIDEBAND_HZ)
    first, last = int(loud[0]) * _FRAME, (int(loud[-1]) + 1) * _FRAME
    padded = np.pad(samples, edge)
    return padded[first : last + 2 * edge]


def level(samples: Samples, rate_hz: int) -> Samples:
    """Bring the speech-active level to -23 dBFS."""
    wanted = FULL_SCALE * 10 ** (LEVEL_DBFS / 20)
    return scale(samples, wanted / active_rms(samples, rate_hz))


def telephone_band(samples: Samples) -> Samples:
    """Keep 300 to 3400 Hz of a 16 kHz signal and return it at 8 kHz, shape (n // 2,).

    The lower edge falls by 24 dB an octave as in telephone sets; the upper one is steep.
    """
    above = butter(4, 300.0, "highpass", fs=WIDEBAND_HZ, output="sos")
    below = firwin(401, 3400.0, fs=WIDEBAND_HZ)
    band = fftconvolve(sosfilt(above, samples.astype(np.float64)), below, mode="same")
    return resample(quantise(band), WIDEBAND_HZ, TELEPHONE_HZ)


def mu_law(samples: Samples) -> Samples:
    """Code with 8-bit G.711 mu-law and decode again, in whole numbers only."""
    size = np.minimum(np.abs(samples), _MU_CLIP) + _MU_BIAS
    exponent = np.frexp(size.astype(np.float64))[1].astype(np.int64) - 8
    mantissa = (size >> (exponent + 3)) & 0x0F
    decoded = (((mantissa << 3) + _MU_BIAS) << exponent) - _MU_BIAS
    return np.asarray(np.sign(samples) * decoded, dtype=np.int64)


def under_peak_limit(samples: Samples) -> Samples:
    """Turn the whole clip down where its peak would come near clipping."""
    peak = int(np.abs(samples).max())
    return scale(samples, PEAK_LIMIT / peak) if peak > PEAK_LIMIT else samples


def mix(speech: Samples, noise: Samples, snr_db: float, rate_hz: int) -> Samples:
    """Add noise so that speech-active level over noise level is `snr_db` decibels."""
    gain = active_rms(speech, rate_hz) / rms(noise) * 10 ** (-snr_db / 20)
    return speech + scale(noise, gain)
