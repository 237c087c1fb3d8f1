"""The active speech level."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relkit.audio.samples import measure_level

RATE = 16_000
Samples = np.ndarray[tuple[int], np.dtype[np.float32]]


def bursts(seconds: float = 4.0, *, seed: int = 0) -> Samples:
    """Return noise that comes and goes like syllables, with pauses longer than the hangover."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(seed)
    loud = (np.sin(2 * np.pi * 4 * time_s) > 0) & (time_s % 2.0 < 1.2)
    found: Samples = (0.1 * rng.standard_normal(len(time_s)) * loud).astype(np.float32)
    return found


def test_a_sine_at_full_scale_has_minus_three_decibels() -> None:
    """0 dBFS is a root mean square of 1, and steady sound is active from its start to its end."""
    sine = np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE).astype(np.float32)
    level = measure_level(sine, RATE)
    assert level is not None
    assert level.rms_dbfs == pytest.approx(-3.0103, abs=1e-3)
    assert level.active_dbfs == pytest.approx(-3.0103, abs=0.05)
    assert level.peak_dbfs == pytest.approx(0.0, abs=1e-2)
    assert level.active_share == pytest.approx(1.0, abs=0.01)


@given(gain_db=st.floats(-50, 10), seed=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_a_gain_moves_every_level_by_itself(gain_db: float, seed: int) -> None:
    """Twice as loud is 6.02 dB, and what is active stays so."""
    before = measure_level(bursts(seed=seed), RATE)
    after = measure_level((bursts(seed=seed) * 10 ** (gain_db / 20)).astype(np.float32), RATE)
    assert before is not None
    assert after is not None
    assert after.active_dbfs - before.active_dbfs == pytest.approx(gain_db, abs=1e-4)
    assert after.rms_dbfs - before.rms_dbfs == pytest.approx(gain_db, abs=1e-4)
    assert after.peak_dbfs - before.peak_dbfs == pytest.approx(gain_db, abs=1e-4)
    assert after.active_share == pytest.approx(before.active_share, abs=1e-4)


@given(silence_s=st.floats(0.5, 20))
@settings(max_examples=15, deadline=None)
def test_silence_around_speech_moves_the_whole_level_and_hardly_the_active_one(
    silence_s: float,
) -> None:
    """That is what it is for: recordings with other pauses stay comparable."""
    padded = np.concatenate([bursts(), np.zeros(round(silence_s * RATE), np.float32)])
    before, after = measure_level(bursts(), RATE), measure_level(padded, RATE)
    assert before is not None
    assert after is not None
    lost = 10 * math.log10(len(padded) / len(bursts()))
    assert before.rms_dbfs - after.rms_dbfs == pytest.approx(lost, abs=1e-6)
    assert after.active_dbfs == pytest.approx(before.active_dbfs, abs=0.5)


@example(seed=0, seconds=0.125, rate=44100)
@given(seed=st.integers(0, 1000), seconds=st.floats(0.1, 3), rate=st.sampled_from([8000, 44100]))
@settings(max_examples=25, deadline=None)
def test_the_active_level_lies_between_the_whole_level_and_the_peak(
    seed: int, seconds: float, rate: int
) -> None:
    """Leaving out silence makes louder, and nothing is louder than its peak."""
    level = measure_level(bursts(seconds, seed=seed), rate)
    assert level is not None
    assert level.rms_dbfs - 1e-9 <= level.active_dbfs <= level.peak_dbfs + 1e-9
    assert 0.0 < level.active_share <= 1.0


@pytest.mark.parametrize("samples", [[], [0.0] * 1000, [math.nan] * 10, [1.0, math.inf]])
def test_what_has_no_level_has_none(samples: list[float]) -> None:
    """Digital silence is not minus infinity, and broken samples are no number."""
    assert measure_level(np.array(samples, dtype=np.float32), RATE) is None
