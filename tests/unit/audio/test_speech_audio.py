"""What the samples of a spoken clip say, and WAV files that come in pieces."""

import io
import shutil
import struct
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relkit.audio.samples import (
    audio_facts,
    audio_start,
    speech_bounds,
    stream_header,
    whole_wav,
)
from relkit.audio.types import SpokenAudio
from tests.speech import SENTENCES

RATE = 16_000
Floats = NDArray[np.float64]


def voice(seconds: float, *, seed: int = 0, level: float = 0.1) -> Floats:
    """Return noise shaped like nothing in particular, as loud as speech."""
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE))


def quiet(seconds: float) -> Floats:
    """Return digital silence."""
    return np.zeros(round(seconds * RATE))


def facts(*parts: Floats, gain: float = 1.0) -> SpokenAudio | None:
    """Return the facts of these parts one after the other."""
    signal = np.clip(gain * np.concatenate(parts), -1, 1).astype("<f4")
    return audio_facts(signal.tobytes(), RATE)


@pytest.mark.parametrize(
    ("before", "after"), [(0.0, 0.0), (0.25, 0.0), (0.0, 0.4), (0.123, 0.456), (1.0, 2.0)]
)
def test_silence_around_speech_is_measured_to_the_sample(before: float, after: float) -> None:
    """The first and the last audible sample are found, whatever the frames' borders."""
    found = facts(quiet(before), voice(0.5), quiet(after))
    assert found is not None
    assert found.leading_silence_ms == pytest.approx(1000 * before, abs=1)
    assert found.trailing_silence_ms == pytest.approx(1000 * after, abs=1)
    assert (found.clipped, found.dropouts) == (0, 0)


def test_noise_below_hearing_is_silence() -> None:
    """A noise floor 45 dB under the speech is no first audible sample, a whisper before it is."""
    hiss = voice(0.3, seed=1, level=0.1 * 10 ** (-45 / 20))
    whisper = voice(0.3, seed=1, level=0.1 * 10 ** (-30 / 20))
    hissing, whispering = facts(hiss, voice(0.5)), facts(whisper, voice(0.5))
    assert hissing is not None
    assert whispering is not None
    assert hissing.leading_silence_ms == pytest.approx(300, abs=6)
    assert whispering.leading_silence_ms < 6


@pytest.mark.parametrize(
    "signal", [np.zeros(0), quiet(0.5), voice(0.5, level=0.0005), np.full(1, 1e-6)]
)
def test_a_clip_without_an_audible_frame_is_silent(signal: Floats) -> None:
    """No samples, zeros, and noise below -60 dBFS have no first audible sample."""
    assert facts(signal) is None


@pytest.mark.parametrize(
    ("samples", "count"),
    [
        ([1.0, 1.0], 0),
        ([1.0, 1.0, 1.0], 1),
        ([-1.0, -1.0, -1.0], 1),
        ([1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0], 2),
        ([1.0, -1.0, 1.0, -1.0], 0),
        ([32767 / 32768] * 4, 1),
        ([32766 / 32768] * 4, 0),
    ],
)
def test_clipping_is_three_samples_of_one_sign_at_full_scale(
    samples: list[float], count: int
) -> None:
    """One peak may just fit, and 16-bit audio ends at 32767."""
    found = facts(voice(0.2), np.array(samples), voice(0.2))
    assert found is not None
    assert found.clipped == count


@pytest.mark.parametrize(("hole_ms", "count"), [(5, 0), (15, 0), (25, 1), (60, 1), (300, 1)])
@pytest.mark.parametrize("fill", [0.0, "held"])
def test_a_hole_cut_into_speech_is_a_dropout(hole_ms: int, count: int, fill: float | str) -> None:
    """Zeros and a held sample count from 20 ms on."""
    first, last = voice(0.3), voice(0.3, seed=2)
    value = 0.08 if fill == "held" else fill
    first[-1] = value if fill == "held" else 0.1
    found = facts(first, np.full(hole_ms * RATE // 1000, value), last)
    assert found is not None
    assert found.dropouts == count


def test_a_pause_is_no_dropout() -> None:
    """Speech that fades out and in again, and silence around a clip, are as they should be."""
    fade = np.linspace(1, 0, RATE // 50)
    first, last = voice(0.3), voice(0.3, seed=2)
    first[-len(fade) :] *= fade
    last[: len(fade)] *= fade[::-1]
    found = facts(quiet(0.3), first, quiet(0.1), last, quiet(0.3))
    assert found is not None
    assert found.dropouts == 0


@settings(max_examples=30, deadline=None)
@example(1.7, 0.0, 34)
@given(st.floats(1.2, 2.5), st.floats(0, 0.3), st.integers(0, 100))
def test_gain_moves_no_silence_and_makes_no_dropout(gain: float, lead: float, seed: int) -> None:
    """Loudness changes none of the facts, unless it clips or reaches the -60 dBFS of silence."""
    plain = facts(quiet(lead), voice(0.2, seed=seed), gain=1.2)
    louder = facts(quiet(lead), voice(0.2, seed=seed), gain=gain)
    assert plain is not None
    assert louder is not None
    assert louder.leading_silence_ms == pytest.approx(plain.leading_silence_ms, abs=1e-9)
    assert louder.dropouts == plain.dropouts == 0


def test_real_speech_has_no_dropouts_and_shows_those_that_are_cut_into_it(tmp_path: Path) -> None:
    """What an engine says is clean; of 30 ms holes in its loud places nearly all are found."""
    espeak = shutil.which("espeak-ng")
    if espeak is None:
        pytest.skip("espeak-ng is not installed")
    generator = np.random.default_rng(0)
    cut = found = 0
    for i, sentence in enumerate(SENTENCES * 4):
        path = tmp_path / f"{i}.wav"
        speed = str(120 + 15 * i)
        subprocess.run([espeak, "-v", "en-us", "-s", speed, "-w", path, sentence], check=True)
        signal, rate = soundfile.read(path, dtype="float32")
        clean = audio_facts(signal.tobytes(), rate)
        assert clean is not None
        assert clean.dropouts == 0
        hole = round(0.03 * rate)
        loud = np.flatnonzero(np.abs(signal) > 0.1)
        for start in generator.choice(loud[loud < len(signal) - 2 * hole], 5):
            after = signal[start + hole : start + hole + rate // 100]
            if np.sqrt(np.mean(after**2)) < 0.1:
                continue  # a hole that ends in a pause makes that pause longer
            torn = signal.copy()
            torn[start : start + hole] = 0
            seen = audio_facts(torn.tobytes(), rate)
            cut += 1
            found += seen is not None and seen.dropouts == 1
    assert cut > 20
    assert found / cut > 0.85


def test_a_file_from_a_pipe_gets_the_lengths_that_it_has() -> None:
    """Open-ended headers become whole files, for the standard library's reader, too."""
    samples = np.arange(-50, 50, dtype="<i2")
    mended = whole_wav(stream_header(8_000) + samples.tobytes())
    with wave.open(io.BytesIO(mended)) as file:
        assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (8_000, 100, 1)
        assert file.readframes(100) == samples.tobytes()
    assert whole_wav(mended) == mended


def test_chunks_before_the_samples_are_passed_over() -> None:
    """A LIST chunk of odd length is followed by a pad byte."""
    head = stream_header(8_000)
    listed = head[:36] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + head[36:]
    assert audio_start(listed) == len(listed)
    for length in range(len(listed) - 7):
        assert audio_start(listed[:length]) is None


def test_a_torn_file_stays_torn() -> None:
    """Fewer samples than the header promises: the reader has to see that."""
    whole = whole_wav(stream_header(8_000) + bytes(200))
    assert whole_wav(whole[:-50]) == whole[:-50]


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", stream_header(8_000), b"ID3\x04mp3", b"RIFF\0\0\0\0AVI LIST"]
)
def test_what_holds_no_samples_is_no_wav_file(data: bytes) -> None:
    """Nothing, only a header, and other formats are refused."""
    with pytest.raises(ValueError, match="no "):
        whole_wav(data)


def _bounds(*parts: Floats) -> tuple[float, float] | None:
    return speech_bounds(np.concatenate(parts).astype("<f4").tobytes(), RATE)


@given(before=st.floats(0, 1), pause=st.floats(0, 1), after=st.floats(0, 1))
@settings(deadline=None, max_examples=30)
def test_speech_is_bounded_by_its_first_and_last_sample(
    before: float, pause: float, after: float
) -> None:
    """A pause inside belongs to it; silence before moves both ends and changes nothing else."""
    found = _bounds(quiet(before), voice(0.2), quiet(pause), voice(0.3, seed=1), quiet(after))
    assert found is not None
    start = 1000 * round(before * RATE) / RATE
    stop = start + 500 + 1000 * round(pause * RATE) / RATE
    assert found == pytest.approx((start, stop), abs=1.0)


def test_noise_of_the_recording_is_no_speech() -> None:
    """Sound 40 dB below the loudest frame is outside; a click, a whisper and nothing are none."""
    hiss = voice(0.5, level=0.001)
    assert _bounds(hiss, voice(0.3), hiss) == pytest.approx((500, 800), abs=1.0)
    for parts in ([quiet(0.5)], [quiet(0.1), voice(0.01), quiet(0.1)], [voice(0.5, level=5e-4)]):
        assert _bounds(*parts) is None
    assert speech_bounds(b"", RATE) is None
