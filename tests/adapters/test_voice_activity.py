"""Silero VAD on real speech: where it is, in one go and as it comes in."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from relkit.adapters.voice_activity import (
    CHUNK,
    VAD_RATE,
    Mono,
    Resampler,
    SileroVad,
)
from relkit.core.errors import MissingDependency
from tests.speech import spoken

pytest.importorskip("faster_whisper", reason="the asr extra is not installed")


@pytest.fixture(scope="module")
def vad() -> SileroVad:
    """Return the model."""
    return SileroVad()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mono, int]:
    """Return speech with a second of silence around it, and its rate."""
    paths = spoken(tmp_path_factory.mktemp("speech"))
    if not paths:
        pytest.skip("neither espeak-ng nor the bundled dataset is here")
    samples, rate = soundfile.read(paths[0], dtype="float32")
    silence = np.zeros(rate, dtype=np.float32)
    return np.concatenate([silence, samples, silence]), rate


def test_speech_is_found_where_it_is(vad: SileroVad, recording: tuple[Mono, int]) -> None:
    """The span begins and ends with the sound, to a fifth of a second."""
    samples, rate = recording
    (span,) = vad.speech(samples, rate)
    loud = np.flatnonzero(np.abs(samples) > 0.01) / rate * 1000
    assert abs(span.start_ms - loud[0]) < 200
    assert abs(span.stop_ms - loud[-1]) < 200


def test_a_stream_gives_what_the_whole_gives(vad: SileroVad, recording: tuple[Mono, int]) -> None:
    """Chunk by chunk and all at once are the same figures."""
    samples = Resampler(recording[1], VAD_RATE).all_of(recording[0])
    stream = vad.stream()
    chunks = samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK)
    live = [stream.probability(chunk) for chunk in chunks]
    np.testing.assert_allclose(vad.probabilities(samples)[: len(live)], live, atol=1e-5)


@pytest.mark.parametrize("samples", [0, 1, CHUNK, CHUNK + 1])
def test_short_recordings_have_a_probability_per_chunk(vad: SileroVad, samples: int) -> None:
    """The last chunk is filled up, and nothing has no chunk and no speech."""
    silence = np.zeros(samples, dtype=np.float32)
    assert len(vad.probabilities(silence)) == -(-samples // CHUNK)
    assert vad.speech(silence, VAD_RATE) == ()


@pytest.mark.parametrize("rate", [8000, 24000, 48000])
def test_a_stream_is_resampled_to_the_length_it_has(rate: int) -> None:
    """Pieces of a tone at another rate are the tone at 16 kHz."""
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    resampler = Resampler(rate, VAD_RATE)
    pieces = np.split(tone, 50)
    parts = [resampler.more(piece, last=i == 49) for i, piece in enumerate(pieces)]
    joined = np.concatenate(parts)
    assert len(joined) == VAD_RATE
    expected = np.sin(2 * np.pi * 440 * np.arange(VAD_RATE) / VAD_RATE)
    assert np.abs(joined - expected)[500:-500].max() < 0.02


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without onnxruntime or soxr there is a message with the extra that has it."""
    for name in ("onnxruntime", "soxr"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependency, match="onnxruntime") as refused:
        SileroVad()
    assert "asr" in str(refused.value.hint)
    assert Resampler(VAD_RATE, VAD_RATE).more(np.ones(3, dtype=np.float32)).sum() == 3
    with pytest.raises(MissingDependency, match="8000 Hz needs the package soxr"):
        Resampler(8000, VAD_RATE)


def test_the_model_has_a_digest(vad: SileroVad) -> None:
    """Which model it was can be written into a run."""
    assert vad.digest.startswith("sha256:")
    assert len(vad.digest) == 71
    assert "onnxruntime" in vad.version
    assert str(Path.cwd()) not in vad.version
