"""Noise that is the same everywhere: its random bits come from SHAKE-128, not from a library."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from scipy.signal import lfilter

from benchmarks.corpus.dsp import WIDEBAND_HZ, Samples, quantise

# A third-order filter whose response falls by 3 dB an octave (J. O. Smith, Spectral Audio Signal
# Processing).
_PINK_B = (0.049922035, -0.095993537, 0.050612699, -0.004408786)
_PINK_A = (1.0, -2.494956002, 2.017265875, -0.522189400)
_WARM_UP = 4_096
_SWELL_HZ = 0.7


def number(key: str) -> int:
    """Return a large whole number that depends on `key` alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def white(key: str, length: int) -> Samples:
    """Uniform white noise over the 16-bit range, shape (length,)."""
    raw = hashlib.shake_128(key.encode()).digest(2 * length)
    return np.frombuffer(raw, dtype="<i2").astype(np.int64)


def pink(key: str, length: int) -> Samples:
    """Pink noise, shape (length,); its level is for the caller to set."""
    source = white(key, length + _WARM_UP).astype(np.float64)
    return quantise(lfilter(_PINK_B, _PINK_A, source)[_WARM_UP:])


def swelling(key: str, length: int) -> Samples:
    """Pink noise at 16 kHz that rises and falls like a fan, shape (length,)."""
    phase = 2 * np.pi * _SWELL_HZ * np.arange(length) / WIDEBAND_HZ
    return quantise(pink(key, length) * (1 + 0.8 * np.sin(phase)))


def babble(key: str, talkers: Sequence[Samples], length: int) -> Samples:
    """Sum talkers, each repeated without end from a place of its own, shape (length,)."""
    total = np.zeros(length, dtype=np.int64)
    for place, talker in enumerate(talkers):
        start = number(f"{key}/{place}") % len(talker)
        total += np.resize(np.roll(talker, -start), length)
    return total
