"""What the samples of a spoken clip say: silence, clipping, dropouts. Levels in dBFS.

0 dBFS is a root mean square of full scale. Nothing is normalised: a clip is judged as it came.

WAV files are written in memory, and read in pieces from writers that cannot go back to their header
(RIFF, Multimedia Programming Interface and Data Specifications 1.0, 1991).

How loud speech is: the active speech level, after ITU-T P.56 method B. A full-scale sine has -3.01.
A recogniser's or a predictor's score depends on the level, and a level over the whole file depends
on how much silence was recorded around the words; the active level does not.
"""

import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relkit.audio.types import Level, SpokenAudio

LoudnessSamples = NDArray[np.float32]

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


def measure_level(samples: LoudnessSamples, sample_rate: int) -> Level | None:
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
    peak = float(np.max(np.abs(wide)))
    # The envelope lags behind the sound: in a clip that ends before it, too little looks active.
    share = max(_active_share(_activity(wide / math.sqrt(power), sample_rate)), power / peak**2)
    return Level(
        active_dbfs=rms_db - 10.0 * math.log10(share),
        rms_dbfs=rms_db,
        peak_dbfs=20.0 * math.log10(peak),
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


FULL_SCALE = 32768.0


def to_pcm16(samples: bytes) -> NDArray[np.int16]:
    """Return float32 little endian samples (-1 to 1) as 16-bit integers, rounded and clipped.

    Audio that was stored in 16 bits comes back bit for bit.
    """
    scaled = np.rint(np.frombuffer(samples, dtype="<f4") * np.float32(FULL_SCALE))
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def wav_bytes(samples: bytes, sample_rate: int) -> bytes:
    """Return mono float32 samples as a 16-bit PCM WAV file (RIFF, format 1)."""
    data = to_pcm16(samples).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    head = (
        b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data))
    )
    return b"RIFF" + struct.pack("<I", len(head) + len(data)) + head + data


_UNKNOWN = 0x7FFF0000  # espeak-ng writes 0x7ffff000, others 0xffffffff, for "until the end"
_CHUNK = 8


def stream_header(sample_rate: int) -> bytes:
    """Return the head of a mono 16-bit PCM WAV file whose length is not known yet."""
    form = struct.pack("<HHIIHH", 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    open_end = struct.pack("<I", 0xFFFFFFFF)
    return b"RIFF" + open_end + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + open_end


def audio_start(data: bytes | bytearray) -> int | None:
    """Return where the samples begin, None where that is not known yet.

    Raises ValueError for bytes that cannot be the start of a WAV file.
    """
    if not b"RIFF".startswith(bytes(data[:4])) or not b"WAVE".startswith(bytes(data[8:12])):
        raise ValueError("no WAV file")
    at = 12
    while len(data) >= at + _CHUNK:
        (length,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == b"data":
            return at + _CHUNK
        at += _CHUNK + length + length % 2
    return None


def whole_wav(data: bytes | bytearray) -> bytes:
    """Return the file with the lengths that it really has, where its header leaves them open.

    A header that promises more than there is stays as it is: that is a torn file, and its reader
    says so. Raises ValueError for bytes that hold no samples of a WAV file.
    """
    start = audio_start(data)
    if start is None or start == len(data):
        raise ValueError("no samples")
    (claimed,) = struct.unpack_from("<I", data, start - 4)
    if 0 < claimed < _UNKNOWN:
        return bytes(data)
    mended = bytearray(data)
    struct.pack_into("<I", mended, 4, len(data) - _CHUNK)
    struct.pack_into("<I", mended, start - 4, len(data) - start)
    return bytes(mended)


FRAME_S = 0.005
"""The length that levels are measured over, in seconds."""

SILENT_DBFS = -60.0
"""A clip without a frame above this is silent."""

AUDIBLE_DB = 40.0
"""How far below its loudest frame a clip is still audible."""

CLIPPED_RUN = 3
"""Samples in a row at full scale that count as clipped: a single peak may just fit."""

DROPOUT_S = 0.020
"""The shortest hole that counts as a dropout, in seconds."""

EDGE_DB = 10.0
"""How far below the level of the speech both edges of a hole may be: quieter ones are a pause."""

STEP = 0.15
"""The step between two samples, as a share of the level of the speech, that tells a cut from a
pause: engines write pauses and the closures of stops as zeros, too, but fade into and out of them
(by at most 0.10 where espeak-ng speaks English), and most cuts fall where the signal is larger."""

_FULL_SCALE = 32766.5 / 32768  # the largest positive 16-bit sample is 32767
_HOLE = 10 ** (SILENT_DBFS / 20)
Samples = NDArray[np.float32]


def audio_facts(samples: bytes, sample_rate: int) -> SpokenAudio | None:
    """Return what the samples of a clip say (float32 little endian, mono), None for silence.

    The first audible sample is the first one above the threshold in the first audible frame; a
    frame is audible within 40 dB of the loudest one, if that is above -60 dBFS.
    """
    signal: Samples = np.frombuffer(samples, dtype="<f4")
    levels = _levels(signal, max(1, round(FRAME_S * sample_rate)))
    loudest = float(levels.max(initial=0.0))
    if loudest <= _HOLE:
        return None
    threshold = max(_HOLE, loudest * 10 ** (-AUDIBLE_DB / 20))
    audible = np.flatnonzero(levels >= threshold)
    frame = max(1, round(FRAME_S * sample_rate))
    loud = np.flatnonzero(np.abs(signal) >= threshold)
    first = int(loud[np.searchsorted(loud, audible[0] * frame)])
    last = int(loud[np.searchsorted(loud, min(len(signal), (audible[-1] + 1) * frame)) - 1])
    speech = float(np.sqrt(np.mean(levels[audible] ** 2)))
    return SpokenAudio(
        leading_silence_ms=1000 * first / sample_rate,
        trailing_silence_ms=1000 * (len(signal) - 1 - last) / sample_rate,
        clipped=clipped_runs(signal),
        dropouts=_dropouts(signal[first : last + 1], sample_rate, speech),
    )


SPEECH_FRAME_S = 0.010
SPEECH_FRAMES = 3
"""Speech is sound for at least three frames of 10 ms in a row."""


def speech_bounds(samples: bytes, sample_rate: int) -> tuple[float, float] | None:
    """Return the first and the last moment of speech in a clip, in ms; None where it has none.

    ``samples`` are float32 little endian, mono. Speech is where the level of 10 ms exceeds -60 dBFS
    for 30 ms (shared with the agent's channel: docs/conversations.md); in a clip with noise of its
    own, where it is within 40 dB of the loudest frame, too. The bounds are those of its first and
    last sample above that.
    """
    signal: Samples = np.frombuffer(samples, dtype="<f4")
    frame = max(1, round(SPEECH_FRAME_S * sample_rate))
    levels = _levels(signal, frame)
    threshold = max(_HOLE, float(levels.max(initial=0.0)) * 10 ** (-AUDIBLE_DB / 20))
    stretches = _runs(levels > threshold, SPEECH_FRAMES)
    if not stretches:
        return None
    start, stop = stretches[0][0] * frame, min(len(signal), stretches[-1][1] * frame)
    loud = start + np.flatnonzero(np.abs(signal[start:stop]) > threshold)
    return 1000.0 * int(loud[0]) / sample_rate, 1000.0 * (int(loud[-1]) + 1) / sample_rate


def clipped_runs(signal: Samples) -> int:
    """Return how many runs of at least three samples of one sign are at full scale."""
    return sum(
        len(_runs(side >= _FULL_SCALE, CLIPPED_RUN)) for side in (signal, np.negative(signal))
    )


def _levels(signal: Samples, frame: int) -> NDArray[np.float64]:
    """Return the root mean square of each frame; the last one may be short."""
    squares = signal.astype(np.float64) ** 2
    starts = np.arange(0, len(signal), frame)
    if not len(starts):
        return np.zeros(0)
    counts = np.diff(np.append(starts, len(signal)))
    return np.asarray(np.sqrt(np.add.reduceat(squares, starts) / counts), dtype=np.float64)


def _dropouts(speech: Samples, sample_rate: int, level: float) -> int:
    """Return the holes of at least 20 ms that are cut into speech.

    A hole is silence (below -60 dBFS throughout) or a sample that is held. Both of its edges, the
    5 ms before and after, are within 10 dB of the level of the clip's speech, and the signal steps
    into it or out of it.
    """
    shortest = max(2, round(DROPOUT_S * sample_rate))
    held = np.append(np.diff(speech) == 0, [False]) if len(speech) else np.zeros(0, dtype=bool)
    edge = max(1, round(FRAME_S * sample_rate))
    limit = level * 10 ** (-EDGE_DB / 20)
    holes = {*_runs(np.abs(speech) < _HOLE, shortest), *_runs(held, shortest)}
    runs: list[tuple[int, int]] = []
    for start, end in sorted(holes):
        before, after = speech[max(0, start - edge) : start], speech[end + 1 : end + 1 + edge]
        if (runs and start <= runs[-1][1]) or min(_level(before), _level(after)) < limit:
            continue
        # One more sample on each side: a held one begins and ends one later than silence.
        around = np.abs(np.diff(speech[max(0, start - 1) : end + 2]))
        if float(around.max(initial=0.0)) >= STEP * level:
            runs.append((start, end))
    return len(runs)


def _level(signal: Samples) -> float:
    return float(np.sqrt(np.mean(signal.astype(np.float64) ** 2))) if len(signal) else 0.0


def _runs(flags: NDArray[np.bool_], shortest: int) -> list[tuple[int, int]]:
    """Return [start, end) of the runs of True that are long enough."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= shortest
    return [(int(start), int(end)) for start, end in zip(starts[long], ends[long], strict=True)]
