"""Where a channel of a conversation has sound, and where it has speech.

The agent's side of a recording that a harness made holds what the loudspeaker played and nothing
else: there a level tells (docs/conversations.md, section "Sound"). A recording made elsewhere needs
voice activity on both channels, by energy or by the scores of a detector; what that is worth is
said in the same section. Times are in ms from the first sample.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relkit.conversation.types import DEFAULT_WINDOWS, SoundSpan
from relkit.core.arrays import FloatArray
from relkit.datasets.types import AnswerEvent

ChannelSamples = NDArray[np.float32]
"""Samples (n,) of a channel, nominal range -1 to 1."""

LEVEL_FRAME_MS: Final = 10.0
SOUND_DBFS: Final = -60.0
"""The level of 10 ms, relative to a root mean square of full scale, above which there is sound."""

ONSET_FRAMES: Final = 3
"""So many frames above the level in a row (30 ms) begin a stretch of sound: a click does not."""

_SOUND_POWER = 10.0 ** (SOUND_DBFS / 10.0)


def frame_samples(sample_rate: int) -> int:
    """Return how many samples a frame of 10 ms has; raises ValueError for no rate."""
    if sample_rate < 1:
        raise ValueError(f"a sample rate of {sample_rate} Hz")
    return max(1, round(LEVEL_FRAME_MS * sample_rate / 1000.0))


def frame_powers(samples: ChannelSamples, sample_rate: int) -> FloatArray:
    """Return the mean square of each frame of 10 ms, (ceil(n / frame),); the last may be short.

    Raises ValueError for samples that are no finite numbers: their level means nothing.
    """
    frame = frame_samples(sample_rate)
    signal = np.ascontiguousarray(samples, dtype=np.float32)
    full = len(signal) // frame
    frames = signal[: full * frame].reshape(full, frame)
    powers: FloatArray = np.einsum("ij,ij->i", frames, frames).astype(np.float64) / frame
    rest = signal[full * frame :].astype(np.float64)
    if len(rest):
        powers = np.append(powers, np.mean(rest * rest))
    if not np.isfinite(powers).all():
        raise ValueError("the recording holds samples that are no finite numbers")
    return powers


def bridge_frames(bridge_ms: float, frame_ms: float) -> int:
    """Return how many frames below the level end a stretch: the first that last ``bridge_ms``."""
    return max(1, math.ceil(bridge_ms / frame_ms - 1e-9))


def sound_spans(
    samples: ChannelSamples, sample_rate: int, *, bridge_ms: float = DEFAULT_WINDOWS.bridge_ms
) -> tuple[SoundSpan, ...]:
    """Return the stretches of sound of a channel that holds nothing but what was played.

    Source: docs/conversations.md, section "Sound": a stretch starts where the level of 10 ms first
    exceeds -60 dBFS for 30 ms, and ends where it stays below for ``bridge_ms``.
    """
    frame_ms = 1000.0 * frame_samples(sample_rate) / sample_rate
    above = frame_powers(samples, sample_rate) > _SOUND_POWER
    return _spans(
        above,
        frame_ms=frame_ms,
        bridge=bridge_frames(bridge_ms, frame_ms),
        onset=ONSET_FRAMES,
        duration_ms=1000.0 * len(samples) / sample_rate,
    )


def _spans(
    above: NDArray[np.bool_], *, frame_ms: float, bridge: int, onset: int, duration_ms: float
) -> tuple[SoundSpan, ...]:
    """Return the stretches of frames (n,): each from its first run of ``onset`` frames."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], above, [False])).astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return ()
    group = np.concatenate(([0], np.cumsum(starts[1:] - stops[:-1] >= bridge)))
    last = stops[np.append(group[1:] != group[:-1], [True])]
    long = np.flatnonzero(stops - starts >= onset)
    groups, first = np.unique(group[long], return_index=True)
    return tuple(
        SoundSpan(start_ms=start * frame_ms, stop_ms=min(stop * frame_ms, duration_ms))
        for start, stop in zip(starts[long[first]].tolist(), last[groups].tolist(), strict=True)
    )


class SoundTracker:
    """The rule of :func:`sound_spans` while the sound is played, piece by piece.

    A start is known 30 ms after it, a stop ``bridge_ms`` after it: the events carry the time of the
    sound itself. What :meth:`feed` and :meth:`finish` return is in order, and the same as the whole
    recording gives, however it is cut into pieces.
    """

    def __init__(self, sample_rate: int, *, bridge_ms: float = DEFAULT_WINDOWS.bridge_ms) -> None:
        """Begin in silence, at the first sample of the recording."""
        self._rate = sample_rate
        self._frame = frame_samples(sample_rate)
        self._frame_ms = 1000.0 * self._frame / sample_rate
        self._bridge = bridge_frames(bridge_ms, self._frame_ms)
        self._pending: ChannelSamples = np.zeros(0, dtype=np.float32)
        self._frames = 0  # so many were looked at
        self._run = 0  # of the last of them so many are above the level, without a gap
        self._last = 0  # the end of the last frame above it
        self._speaking = False

    @property
    def speaking(self) -> bool:
        """Whether there is sound, as far as is known by now."""
        return self._speaking

    def feed(self, samples: ChannelSamples) -> tuple[AnswerEvent, ...]:
        """Return the starts and stops that further samples (n,) make known."""
        signal = np.asarray(samples, dtype=np.float32)
        if len(self._pending):
            signal = np.concatenate((self._pending, signal))
        full = len(signal) // self._frame * self._frame
        self._pending = signal[full:]
        return tuple(self._look(signal[:full]))

    def feed_silence(self, length: int) -> tuple[AnswerEvent, ...]:
        """Return what so many samples of digital silence make known, without looking at them."""
        if len(self._pending) or length % self._frame:
            return self.feed(np.zeros(length, dtype=np.float32))
        return tuple(self._count([False] * (length // self._frame)))

    def finish(self) -> tuple[AnswerEvent, ...]:
        """Return what is known when no sample follows; sound that still goes on stops here."""
        events = self._look(self._pending)
        if self._speaking:
            length = (self._frames - bool(len(self._pending))) * self._frame + len(self._pending)
            stop_ms = min(self._last * self._frame_ms, 1000.0 * length / self._rate)
            events.append(AnswerEvent(t_ms=stop_ms, kind="agent_speech_stop"))
            self._speaking = False
        self._pending = self._pending[:0]
        return tuple(events)

    def _look(self, signal: ChannelSamples) -> list[AnswerEvent]:
        return self._count((frame_powers(signal, self._rate) > _SOUND_POWER).tolist())

    def _count(self, levels: Sequence[bool]) -> list[AnswerEvent]:
        """Take note of whether each further frame is above the level."""
        events = []
        for above in levels:
            self._frames += 1
            self._run = self._run + 1 if above else 0
            if above:
                self._last = self._frames
            if not self._speaking and self._run >= ONSET_FRAMES:
                self._speaking = True
                start_ms = (self._frames - self._run) * self._frame_ms
                events.append(AnswerEvent(t_ms=start_ms, kind="agent_speech_start"))
            elif self._speaking and self._frames - self._last >= self._bridge:
                self._speaking = False
                stop_ms = self._last * self._frame_ms
                events.append(AnswerEvent(t_ms=stop_ms, kind="agent_speech_stop"))
        return events


FLOOR_PERCENTILE: Final = 10.0
FLOOR_MARGIN_DB: Final = 12.0
QUIETEST_SPEECH_DBFS: Final = -50.0
SHORTEST_SPEECH_MS: Final = 60.0
"""What energy calls speech: 60 ms above both -50 dBFS and 12 dB over the channel's own floor, the
10th percentile of its levels. On a clean channel that is exact; in noise it loses clips."""


def energy_spans(
    samples: ChannelSamples, sample_rate: int, *, bridge_ms: float = DEFAULT_WINDOWS.bridge_ms
) -> tuple[SoundSpan, ...]:
    """Return the stretches of speech of a channel by energy.

    Where a channel is hardly ever silent, its floor is its speech: the level that speech has to
    exceed is never above 20 dB below the loudest frame. Source: docs/conversations.md, "Sound".
    """
    powers = frame_powers(samples, sample_rate)
    if not len(powers):
        return ()
    levels = 10.0 * np.log10(np.maximum(powers, 1e-12))
    margin = float(np.percentile(levels, FLOOR_PERCENTILE)) + FLOOR_MARGIN_DB
    level = max(QUIETEST_SPEECH_DBFS, min(margin, float(levels.max()) - 20.0))
    frame_ms = 1000.0 * frame_samples(sample_rate) / sample_rate
    return _spans(
        levels > level,
        frame_ms=frame_ms,
        bridge=bridge_frames(bridge_ms, frame_ms),
        onset=bridge_frames(SHORTEST_SPEECH_MS, frame_ms),
        duration_ms=1000.0 * len(samples) / sample_rate,
    )


def probability_spans(
    scores: FloatArray | ChannelSamples,
    chunk_ms: float,
    *,
    begin: float = 0.5,
    end: float = 0.35,
    shortest_ms: float = SHORTEST_SPEECH_MS,
    bridge_ms: float = DEFAULT_WINDOWS.bridge_ms,
) -> tuple[SoundSpan, ...]:
    """Return the stretches of speech by the probability of each chunk, (n,), in 0 to 1.

    Speech begins with a chunk of at least ``begin``, which has to last ``shortest_ms``, and lasts
    until the scores stay below ``end`` for ``bridge_ms`` (hysteresis, as Silero VAD is used by its
    authors). Raises ValueError for scores that are no probabilities.
    """
    if chunk_ms <= 0 or not 0.0 <= end <= begin <= 1.0:
        raise ValueError("chunks of no length, or an end of speech above its beginning")
    values = np.asarray(scores, dtype=np.float64)
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise ValueError("scores of voice activity that are no probabilities")
    decided = (values >= begin) | (values < end)
    last = np.maximum.accumulate(np.where(decided, np.arange(len(values)), -1))
    active = (last >= 0) & (values[last] >= begin) if len(values) else np.zeros(0, dtype=bool)
    return _spans(
        active,
        frame_ms=chunk_ms,
        bridge=bridge_frames(bridge_ms, chunk_ms),
        onset=bridge_frames(shortest_ms, chunk_ms),
        duration_ms=len(values) * chunk_ms,
    )


def joined_spans(
    spans: Sequence[SoundSpan], *, bridge_ms: float = DEFAULT_WINDOWS.bridge_ms
) -> tuple[SoundSpan, ...]:
    """Return spans in order, those that overlap or lie less than ``bridge_ms`` apart as one.

    Spans without length are none.
    """
    joined: list[SoundSpan] = []
    for span in sorted(spans, key=lambda span: (span.start_ms, span.stop_ms)):
        if span.stop_ms <= span.start_ms:
            continue
        if joined and span.start_ms - joined[-1].stop_ms < bridge_ms:
            stop_ms = max(joined[-1].stop_ms, span.stop_ms)
            joined[-1] = SoundSpan(start_ms=joined[-1].start_ms, stop_ms=stop_ms)
        else:
            joined.append(SoundSpan(start_ms=span.start_ms, stop_ms=span.stop_ms))
    return tuple(joined)
