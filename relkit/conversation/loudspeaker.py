"""A loudspeaker that is not there: it plays what arrives at its own speed, and can be emptied.

An agent sends sound faster than it can be played. What counts is what was played: what an
interruption throws away was never sound (docs/conversations.md, section "The harness").
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from relkit.audio.samples import FULL_SCALE
from relkit.conversation.segments import SoundTracker
from relkit.datasets.types import AnswerEvent

Pcm = NDArray[np.int16]

_PCM_UNIT = np.float32(1.0 / FULL_SCALE)


class Loudspeaker:
    """Plays queued sound in frames; the caller's clock says when the next one is due."""

    def __init__(self, sample_rate: int, frame: int, *, bridge_ms: float) -> None:
        """Be silent; ``frame`` is the number of samples that are played at once."""
        self._rate, self._frame = sample_rate, frame
        self._queue: deque[Pcm] = deque()
        self._queued = 0
        self._tracker = SoundTracker(sample_rate, bridge_ms=bridge_ms)
        self._silence = np.zeros(frame, dtype=np.int16)
        self.played: list[Pcm] = []
        """Every frame so far, (frame,) each, silence included."""

    @property
    def queued_ms(self) -> float:
        """How much sound waits to be played."""
        return 1000.0 * self._queued / self._rate

    @property
    def speaking(self) -> bool:
        """Whether there is sound, as far as is known by now."""
        return self._tracker.speaking

    def feed(self, samples: Pcm) -> None:
        """Queue sound (n,)."""
        if len(samples):
            self._queue.append(samples)
            self._queued += len(samples)

    def clear(self, t_ms: float) -> AnswerEvent:
        """Throw away what is queued; return the event that says how much it was."""
        lost_ms = self.queued_ms
        self._queue.clear()
        self._queued = 0
        return AnswerEvent(t_ms=t_ms, kind="agent_cut", data={"ms": round(lost_ms, 1)})

    def play(self) -> tuple[Pcm, tuple[AnswerEvent, ...]]:
        """Play the next frame; return it, and starts and stops of sound that are known by now."""
        frame = self._next()
        self.played.append(frame)
        if frame is self._silence:  # most of a conversation: nothing to measure
            return frame, self._tracker.feed_silence(self._frame)
        return frame, self._tracker.feed(frame.astype(np.float32) * _PCM_UNIT)

    def finish(self) -> tuple[AnswerEvent, ...]:
        """Return what is known when nothing more is played."""
        return self._tracker.finish()

    def _next(self) -> Pcm:
        if not self._queued:
            return self._silence
        parts: list[Pcm] = []
        missing = self._frame
        while missing and self._queue:
            part = self._queue.popleft()
            if len(part) > missing:
                self._queue.appendleft(part[missing:])
                part = part[:missing]
            parts.append(part)
            missing -= len(part)
        self._queued -= self._frame - missing
        if missing:
            parts.append(self._silence[:missing])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
