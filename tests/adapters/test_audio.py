"""The audio reader against real files: good ones, and every way in which one can be bad."""

import hashlib
import os
import stat
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relkit.adapters.audio import SoundfileReader
from relkit.audio.samples import to_pcm16, wav_bytes
from relkit.datasets.types import AudioSpan, Clip, Unusable, UnusableReason

RATE = 16_000


def _noise(seconds: float, rate: int = RATE) -> NDArray[np.int16]:
    random = np.random.default_rng(7)
    return (random.standard_normal(round(seconds * rate)) * 3000).astype(np.int16)


def _read(
    path: Path,
    *,
    offset: float | None = None,
    length: float | None = None,
    max_s: float = 60.0,
) -> Clip | Unusable:
    span = AudioSpan(path=path.name, offset_s=offset, length_s=length)
    return SoundfileReader().read(str(path.parent), span, max_s=max_s)


def _clip(outcome: Clip | Unusable) -> Clip:
    assert isinstance(outcome, Clip), outcome
    return outcome


def _reason(outcome: Clip | Unusable) -> str:
    assert isinstance(outcome, Unusable)
    return outcome.reason.value


def _wav(path: Path, samples: NDArray[np.int16], rate: int = RATE) -> Path:
    soundfile.write(path, samples, rate)
    return path


def _patched(path: Path, at: int, value: int) -> Path:
    data = bytearray(path.read_bytes())
    data[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(data)
    return path


def test_a_whole_file_gives_its_samples_and_its_digest(tmp_path: Path) -> None:
    """The samples are those of the file, and the digest is what the type promises."""
    samples = _noise(0.5)
    clip = _clip(_read(_wav(tmp_path / "a.wav", samples)))
    decoded = samples.astype("<f4") / np.float32(32768)
    expected = hashlib.sha256(struct.pack("<II", RATE, 1) + decoded.tobytes()).hexdigest()
    assert clip.samples == decoded.tobytes()
    assert clip.digest == f"sha256:{expected}"
    assert clip.duration_s == pytest.approx(0.5)
    assert clip.whole
    assert clip.path == str(tmp_path / "a.wav")


def test_the_digest_does_not_depend_on_the_container(tmp_path: Path) -> None:
    """The same samples in WAV, FLAC and AIFF are the same audio; other samples are not."""
    samples = _noise(0.5)
    same = {
        _clip(_read(_wav(tmp_path / f"a.{e}", samples))).digest for e in ("wav", "flac", "aiff")
    }
    louder = _clip(_read(_wav(tmp_path / "b.wav", samples + 1))).digest
    faster = _clip(_read(_wav(tmp_path / "c.wav", samples, rate=RATE * 2))).digest
    assert len(same) == 1
    assert len(same | {louder, faster}) == 3


def test_stereo_is_averaged_and_digested_as_decoded(tmp_path: Path) -> None:
    """Both channels count, at their own rate; swapping them is other audio with the same mix."""
    left, right = _noise(0.5, 44_100), np.zeros(22_050, dtype=np.int16)
    one, other = tmp_path / "one.flac", tmp_path / "other.flac"
    soundfile.write(one, np.stack([left, right], axis=1), 44_100)
    soundfile.write(other, np.stack([right, left], axis=1), 44_100)
    clip, swapped = _clip(_read(one)), _clip(_read(other))
    assert clip.sample_rate == 44_100
    assert clip.samples == (left.astype("<f4") / np.float32(65536)).tobytes()
    assert clip.samples == swapped.samples
    assert clip.digest != swapped.digest


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_segment_is_cut_where_the_manifest_says(tmp_path: Path, ending: str) -> None:
    """Offset and duration select frames exactly; without a duration the rest is meant."""
    samples = _noise(2.0)
    path = _wav(tmp_path / f"a.{ending}", samples)
    middle = _clip(_read(path, offset=0.5, length=0.25))
    rest = _clip(_read(path, offset=1.5))
    assert (to_pcm16(middle.samples) == samples[8_000:12_000]).all()
    assert (to_pcm16(rest.samples) == samples[24_000:]).all()
    assert not middle.whole
    assert not rest.whole
    assert _clip(_read(path, offset=0.0, length=2.0)).whole


def test_a_duration_without_an_offset_does_not_cut(tmp_path: Path) -> None:
    """Without an offset the whole file is meant, whatever length the manifest notes."""
    assert _clip(_read(_wav(tmp_path / "a.wav", _noise(1.0)), length=0.2)).duration_s == 1.0


@pytest.mark.parametrize(
    ("offset", "length", "reason"),
    [
        (2.0, None, "outside"),
        (5.0, 0.1, "outside"),
        (1.0, 1.5, "outside"),
        (-0.5, 1.0, "outside"),
        (float("nan"), 1.0, "outside"),
        (0.5, float("inf"), "outside"),
        (1e300, 1.0, "outside"),
        (0.5, 0.0, "empty"),
        (0.5, 1e-9, "empty"),
        (0.5, -1.0, "empty"),
    ],
)
def test_a_segment_that_the_file_does_not_hold_is_named(
    tmp_path: Path, offset: float, length: float | None, reason: str
) -> None:
    """Bad offsets and durations are reasons, never exceptions."""
    assert _reason(_read(_wav(tmp_path / "a.wav", _noise(2.0)), offset=offset, length=length)) == (
        reason
    )


def test_a_manifest_may_round_the_end_of_a_segment(tmp_path: Path) -> None:
    """An end up to 50 ms after the file is the end of the file."""
    clip = _clip(_read(_wav(tmp_path / "a.wav", _noise(2.0)), offset=1.0, length=1.04))
    assert clip.duration_s == 1.0


@pytest.mark.parametrize("name", ["no.wav", "a.wav/b.wav", "x" * 300 + ".wav", "nul\0.wav"])
def test_a_file_that_is_not_there_is_missing(tmp_path: Path, name: str) -> None:
    """Whatever keeps a name from being a file, it is missing."""
    _wav(tmp_path / "a.wav", _noise(0.1))
    span = AudioSpan(path=name)
    assert _reason(SoundfileReader().read(str(tmp_path), span, max_s=60)) == "missing"


def test_what_is_no_regular_file_is_refused_without_blocking(tmp_path: Path) -> None:
    """A folder, a pipe that nobody writes to and a device are never read."""
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "device.wav").symlink_to("/dev/zero")
    for name in ("folder.wav", "pipe.wav", "device.wav"):
        assert _reason(_read(tmp_path / name)) == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    """A file that may not be read is a reason, too."""
    path = _wav(tmp_path / "a.wav", _noise(0.1))
    path.chmod(stat.S_IWUSR)
    assert _reason(_read(path)) == "unreadable"


def test_nothing_inside_is_empty(tmp_path: Path) -> None:
    """No bytes, and a header without frames, are both empty."""
    (tmp_path / "bytes.wav").touch()
    assert _reason(_read(tmp_path / "bytes.wav")) == "empty"
    assert _reason(_read(_wav(tmp_path / "frames.wav", _noise(0.0)))) == "empty"


def test_what_is_no_audio_is_unreadable(tmp_path: Path) -> None:
    """A text under an audio name, half a header, and a rate that no speech has."""
    (tmp_path / "text.wav").write_text("hello, this is a text\n" * 50)
    header = _wav(tmp_path / "a.wav", _noise(0.1)).read_bytes()[:20]
    (tmp_path / "header.wav").write_bytes(header)
    for name, rate in (("zero.wav", 0), ("huge.wav", 2**31 - 1), ("slow.wav", 10)):
        _patched(_wav(tmp_path / name, _noise(0.1)), 24, rate)
    for name in ("text.wav", "header.wav", "zero.wav", "huge.wav", "slow.wav"):
        assert _reason(_read(tmp_path / name)) == "unreadable"


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_half_a_file_is_truncated(tmp_path: Path, ending: str) -> None:
    """A torn download does not pass as short audio."""
    path = _wav(tmp_path / f"a.{ending}", _noise(3.0))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert _reason(_read(path)) == "truncated"


def test_a_header_that_claims_the_world_costs_nothing(tmp_path: Path) -> None:
    """A WAV of 2^31 bytes and a FLAC of 2^36 frames that hold one second are truncated."""
    wav = _patched(_wav(tmp_path / "a.wav", _noise(1.0)), 40, 2**31)
    flac = _wav(tmp_path / "a.flac", _noise(1.0))
    data = bytearray(flac.read_bytes())
    data[21] |= 0x0F  # the 36 bits of "total samples" in STREAMINFO
    data[22:26] = b"\xff" * 4
    flac.write_bytes(data)
    assert _reason(_read(wav)) == "truncated"
    assert _reason(_read(flac)) == "truncated"
    assert _reason(_read(flac, offset=1e6, length=1.0)) == "truncated"


def test_a_stream_that_left_its_length_open_is_read_to_its_end(tmp_path: Path) -> None:
    """What ffmpeg writes to a pipe is whole, in WAV and in FLAC; its bound holds all the same."""
    samples = _noise(1.0)
    wav = _patched(_wav(tmp_path / "a.wav", samples), 40, 0xFFFFFFFF)
    flac = _wav(tmp_path / "a.flac", samples)
    data = bytearray(flac.read_bytes())
    data[21] &= 0xF0
    data[22:26] = b"\0" * 4
    flac.write_bytes(data)
    assert (to_pcm16(_clip(_read(wav)).samples) == samples).all()
    assert (to_pcm16(_clip(_read(flac)).samples) == samples).all()
    assert (to_pcm16(_clip(_read(flac, offset=0.5)).samples) == samples[8_000:]).all()
    assert _reason(_read(flac, max_s=0.5)) == "too_long"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_samples_that_are_no_numbers_are_named(tmp_path: Path, bad: float) -> None:
    """One NaN in a channel is enough."""
    samples = np.zeros((1000, 2), dtype=np.float32)
    samples[500, 1] = bad
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    assert _reason(_read(tmp_path / "a.wav")) == "not_finite"


def test_hours_of_audio_are_too_long_and_a_segment_of_them_is_not(tmp_path: Path) -> None:
    """Three hours are refused by the bound; ten seconds at their end are read."""
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", samplerate=8_000, channels=1, subtype="PCM_16") as file:
        for _ in range(180):
            file.write(np.zeros(60 * 8_000, dtype=np.int16))
    assert _reason(_read(path)) == "too_long"
    assert _clip(_read(path, offset=10_780.0, length=10.0)).duration_s == 10.0
    assert _reason(_read(path, offset=10.0)) == "too_long"


def test_the_bound_is_inclusive(tmp_path: Path) -> None:
    """Exactly the longest length is still read."""
    path = _wav(tmp_path / "a.wav", _noise(2.0))
    assert _clip(_read(path, max_s=2.0)).duration_s == 2.0
    assert _reason(_read(path, max_s=1.999)) == "too_long"


def test_garbage_inside_the_data_never_raises(tmp_path: Path) -> None:
    """A damaged file is a clip or a reason; the reader knows no third outcome."""
    random = np.random.default_rng(3)
    for ending in ("wav", "flac", "ogg", "mp3"):
        good = _wav(tmp_path / f"good.{ending}", _noise(0.5)).read_bytes()
        for _ in range(25):
            data = bytearray(good)
            for at in random.integers(0, len(data), 8):
                data[at] = random.integers(0, 256)
            (tmp_path / "bad.bin").write_bytes(data[: random.integers(1, len(data) + 1)])
            outcome = _read(tmp_path / "bad.bin")
            assert isinstance(outcome, Clip) or outcome.reason in UnusableReason


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=50), st.sampled_from([8000, 44100])
)
def test_a_wav_in_memory_is_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], rate: int
) -> None:
    """Rendering as 16-bit WAV and reading are inverse for audio that was stored in 16 bits."""
    samples = (np.array(values, dtype="<f4") / np.float32(32768)).tobytes()
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    path.write_bytes(wav_bytes(samples, rate))
    clip = _clip(_read(path))
    assert (clip.samples, clip.sample_rate) == (samples, rate)


def test_samples_beyond_full_scale_are_clipped() -> None:
    """Louder than full scale becomes full scale and never wraps round."""
    samples = np.array([-2.0, -1.0, 0.0, 1.0, 2.0], dtype="<f4").tobytes()
    assert to_pcm16(samples).tolist() == [-32768, -32768, 0, 32767, 32767]
