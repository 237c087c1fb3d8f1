"""Audio files through libsndfile: bounded in time and memory, every defect by its name.

A clip can be written as FLAC, which every browser plays.
"""

import errno
import hashlib
import io
import math
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from relkit.audio.samples import speech_bounds
from relkit.core import wording
from relkit.core.digests import PREFIX
from relkit.datasets.types import AudioSpan, Clip, Unusable, UnusableReason

MEDIA_TYPE = "audio/flac"


def flac(clip: Clip) -> bytes:
    """Return a clip as FLAC of 16 bits, without any tag that its own file may have had."""
    samples = np.frombuffer(clip.samples, dtype="<f4")
    file = io.BytesIO()
    soundfile.write(file, samples, clip.sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


Frames = NDArray[np.float32]

BLOCK_SAMPLES = 1 << 18
"""Samples of all channels together that are decoded at once."""

SLACK_S = 0.05
"""How far a file's header or a manifest may round a length before it counts as wrong."""

LONGEST_CLIP_S = 600.0
"""The longest clip of a script, in seconds."""

RATES = range(1_000, 192_001)
"""Sample rates in Hz that are taken for speech."""

# What encoders write that cannot seek back (ffmpeg to a pipe), and what libsndfile says then.
_UNKNOWN_LENGTH = 0xFFFFFFFF
_UNKNOWN_FRAMES = 2**63 - 1
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class _Bad(Exception):
    def __init__(self, reason: UnusableReason, detail: str) -> None:
        super().__init__(detail)
        self.unusable = Unusable(reason=reason, detail=detail)


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]  # the library is untyped
    """A file that is not sought after each block, which fails at the end of a damaged one."""

    def seekable(self) -> bool:
        """Return False, so that reads go straight on; ``seek`` itself still works."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """Frames ``start`` to ``stop`` of a file that promises ``total`` of them."""

    start: int
    stop: int
    total: int

    @property
    def frames(self) -> int:
        return self.stop - self.start


class SoundfileReader:
    """Implements AudioReader with libsndfile: WAV, FLAC, Ogg, Opus, MP3, AIFF and more."""

    def read(self, root: str, span: AudioSpan, *, max_s: float) -> Clip | Unusable:
        """Return the decoded clip, or why it cannot be used; raises nothing for bad audio.

        At most ``max_s`` seconds are decoded, whatever the header says, and only regular files are
        opened. A segment may end up to 50 ms after the file, for manifests that round.
        """
        path = os.path.join(root, span.path)  # noqa: PTH118 - the port speaks strings
        try:
            descriptor = _open_regular(path)
            try:
                return _decode(descriptor, path, span, max_s)
            finally:
                os.close(descriptor)
        except _Bad as bad:
            return bad.unusable
        except soundfile.SoundFileError:
            return Unusable(reason=UnusableReason.UNREADABLE, detail="libsndfile gave up")

    def speech(self, path: str) -> tuple[float, float] | str:
        """Return when speech begins and ends in a clip of a script, in ms, or what is wrong."""
        clip = self.read("", AudioSpan(path=path), max_s=LONGEST_CLIP_S)
        if isinstance(clip, Unusable):
            return f"cannot be used: {clip.reason.value.replace('_', ' ')}"
        channels = int(soundfile.info(path).channels)
        if channels != 1:
            return f"has {channels} channels, and a user has one"
        bounds = speech_bounds(clip.samples, clip.sample_rate)
        if bounds is None:
            return "has no speech: nothing exceeds -60 dBFS for 30 ms"
        return round(bounds[0], 3), round(bounds[1], 3)


def length_s(path: str) -> float | None:
    """Return the length of an audio file in s as its header has it, None where that says none.

    Nothing is decoded; a WAV file that holds less than it promises has no length.
    """
    try:
        descriptor = _open_regular(path)
    except _Bad:
        return None
    try:
        torn = _wav_promise(descriptor) != 1.0
        os.lseek(descriptor, 0, os.SEEK_SET)
        with _Sequential(descriptor, closefd=False) as file:
            frames = int(file.frames)
            if torn or not 0 < frames < _UNKNOWN_FRAMES or file.samplerate not in RATES:
                return None
            return round(frames / int(file.samplerate), 6)
    except (soundfile.SoundFileError, OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def _open_regular(path: str) -> int:
    """Open a regular file for reading; never blocks on a pipe and never wakes a device."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - as above
            raise _Bad(UnusableReason.UNREADABLE, "not a regular file")
        # O_NONBLOCK: between the look and the opening the file may have become a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the path
        code = error.errno if isinstance(error, OSError) else errno.ENOENT
        reason = UnusableReason.MISSING if code in _MISSING else UnusableReason.UNREADABLE
        raise _Bad(reason, os.strerror(code or errno.EIO)) from error
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size:
        return descriptor
    os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise _Bad(UnusableReason.UNREADABLE, "not a regular file")
    raise _Bad(UnusableReason.EMPTY, "0 bytes")


def _decode(descriptor: int, path: str, span: AudioSpan, max_s: float) -> Clip:
    promised = _wav_promise(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        file = _Sequential(descriptor, closefd=False)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise _Bad(UnusableReason.UNREADABLE, "not an audio file libsndfile reads") from error
    with file:
        if file.samplerate not in RATES:
            raise _Bad(UnusableReason.UNREADABLE, f"a sample rate of {file.samplerate} Hz")
        limit = math.floor(max_s * file.samplerate)
        total = round(int(file.frames) * promised)
        if file.frames == _UNKNOWN_FRAMES:  # the header leaves them open: they are counted
            total = sum(len(block) for block in _blocks(file, 0, limit + 1))
            file.seek(0)
        if total <= 0:
            raise _Bad(UnusableReason.EMPTY, "0 frames")
        segment = _segment(file, span, total)
        if segment.frames > limit:
            _refuse_long(file, segment, limit, max_s)
        return _clip(file, path, segment)


def _segment(file: soundfile.SoundFile, span: AudioSpan, total: int) -> _Segment:
    """Return the frames a span means."""
    if span.offset_s is None:
        return _Segment(start=0, stop=total, total=total)
    length_s = total / file.samplerate if span.length_s is None else span.length_s
    if not (math.isfinite(span.offset_s) and math.isfinite(length_s)) or span.offset_s < 0:
        raise _Bad(UnusableReason.OUTSIDE, f"offset {span.offset_s} s, duration {length_s} s")
    if length_s <= 0:
        raise _Bad(UnusableReason.EMPTY, f"a segment of {length_s} s")
    start = round(span.offset_s * file.samplerate)
    stop = total if span.length_s is None else start + round(length_s * file.samplerate)
    if start >= total or stop > total + SLACK_S * file.samplerate:
        detail = f"{start} to {stop} of {total} frames at {file.samplerate} Hz"
        raise _Bad(UnusableReason.OUTSIDE, detail)
    if stop <= start:
        raise _Bad(UnusableReason.EMPTY, "a segment of 0 frames")
    return _Segment(start=start, stop=min(stop, total), total=total)


def _refuse_long(file: soundfile.SoundFile, segment: _Segment, limit: int, max_s: float) -> None:
    """Say whether the audio is too long or the header only claims so; keeps no samples."""
    decoded = sum(len(block) for block in _blocks(file, segment.start, limit + 1))
    if decoded > limit:
        seconds = segment.frames / file.samplerate
        long, most = wording.number(seconds, "s", more=1), wording.limit(max_s, "s")
        detail = f"{long} by its header, at most {most} are decoded"
        raise _Bad(UnusableReason.TOO_LONG, detail)
    raise _truncated(decoded, segment.frames)


def _truncated(decoded: int, promised: int) -> _Bad:
    return _Bad(UnusableReason.TRUNCATED, f"{decoded} of {promised} frames can be decoded")


def _clip(file: soundfile.SoundFile, path: str, segment: _Segment) -> Clip:
    digest = hashlib.sha256(struct.pack("<II", file.samplerate, file.channels))
    mono: list[bytes] = []
    decoded = 0
    for block in _blocks(file, segment.start, segment.frames):
        if not np.isfinite(block).all():
            count = int(np.count_nonzero(~np.isfinite(block)))
            detail = f"{count} samples before frame {decoded + len(block)} are NaN or infinite"
            raise _Bad(UnusableReason.NOT_FINITE, detail)
        digest.update(block.astype("<f4", copy=False).tobytes())
        mixed = block[:, 0] if file.channels == 1 else block.mean(axis=1, dtype=np.float64)
        mono.append(mixed.astype("<f4").tobytes())
        decoded += len(block)
    if decoded < segment.frames - SLACK_S * file.samplerate or not decoded:
        raise _truncated(decoded, segment.frames)
    return Clip(
        samples=b"".join(mono),
        sample_rate=file.samplerate,
        digest=PREFIX + digest.hexdigest(),
        path=path,
        whole=segment.frames == segment.total,
    )


def _blocks(file: soundfile.SoundFile, start: int, frames: int) -> Iterator[Frames]:
    """Yield (n, channels) float32 blocks until ``frames`` are read or no more can be decoded."""
    size = max(1, BLOCK_SAMPLES // file.channels)
    # An error inside the data ends the audio there: the caller sees that frames are missing.
    with suppress(soundfile.SoundFileError):
        if start:
            file.seek(start)
        while frames > 0:
            block: Frames = file.read(min(size, frames), dtype="float32", always_2d=True)
            if not len(block):
                return
            yield block
            frames -= len(block)


def _wav_promise(descriptor: int) -> float:
    """Return how many times more audio a WAV header claims than its file holds; else 1.

    libsndfile cuts such claims down to the file in silence, which would make a torn download look
    whole. Layout: RIFF, Multimedia Programming Interface and Data Specifications 1.0 (1991).
    """
    size = os.fstat(descriptor).st_size
    head = os.pread(descriptor, 12, 0)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return 1.0
    at = 12
    for _ in range(64):  # more chunks than any real file has before its audio
        chunk = os.pread(descriptor, 8, at)
        if len(chunk) < 8:  # noqa: PLR2004 - a chunk header is 8 bytes
            break
        (claimed,) = struct.unpack("<I", chunk[4:])
        held = size - at - 8
        if chunk[:4] == b"data":
            return claimed / held if claimed > held > 0 and claimed != _UNKNOWN_LENGTH else 1.0
        at += 8 + claimed + claimed % 2
    return 1.0
