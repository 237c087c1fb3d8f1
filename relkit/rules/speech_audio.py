"""What the samples of a spoken clip say: silence, clipping, dropouts. Levels in dBFS.

0 dBFS is a root mean square of full scale. Nothing is normalised: a clip is judged as it came.
"""

import numpy as np
from numpy.typing import NDArray

from relkit.domain.speech import AudioFacts

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


def audio_facts(samples: bytes, sample_rate: int) -> AudioFacts | None:
    """Return the facts of a clip (float32 little endian, mono), None where it is silent.

    The first audible sample is the first one above the threshold in the first audible frame; a
    frame is audible within 40 dB of the loudest one, if that is above -60 dBFS.
    """
    signal: Samples = np.frombuffer(samples, dtype="<f4")
    levels = _levels(signal, max(1, round(FRAME_S * sample_rate)))
    loudest = float(levels.max(initial=0.0))
    if loudest <= _HOLE:
        return None
    threshold = max(_HOLE, loudest * 10 ** (-AUDIBLE_DB / 20))
    heard = np.flatnonzero(levels >= threshold)
    frame = max(1, round(FRAME_S * sample_rate))
    loud = np.flatnonzero(np.abs(signal) >= threshold)
    first = int(loud[np.searchsorted(loud, heard[0] * frame)])
    last = int(loud[np.searchsorted(loud, min(len(signal), (heard[-1] + 1) * frame)) - 1])
    speech = float(np.sqrt(np.mean(levels[heard] ** 2)))
    return AudioFacts(
        leading_silence_ms=1000 * first / sample_rate,
        trailing_silence_ms=1000 * (len(signal) - 1 - last) / sample_rate,
        clipped=clipped_runs(signal),
        dropouts=_dropouts(signal[first : last + 1], sample_rate, speech),
    )


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
    found: list[tuple[int, int]] = []
    for start, end in sorted(holes):
        before, after = speech[max(0, start - edge) : start], speech[end + 1 : end + 1 + edge]
        if (found and start <= found[-1][1]) or min(_level(before), _level(after)) < limit:
            continue
        # One more sample on each side: a held one begins and ends one later than silence.
        around = np.abs(np.diff(speech[max(0, start - 1) : end + 2]))
        if float(around.max(initial=0.0)) >= STEP * level:
            found.append((start, end))
    return len(found)


def _level(signal: Samples) -> float:
    return float(np.sqrt(np.mean(signal.astype(np.float64) ** 2))) if len(signal) else 0.0


def _runs(flags: NDArray[np.bool_], shortest: int) -> list[tuple[int, int]]:
    """Return [start, end) of the runs of True that are long enough."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= shortest
    return [(int(start), int(end)) for start, end in zip(starts[long], ends[long], strict=True)]
