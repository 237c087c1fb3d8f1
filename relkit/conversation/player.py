"""The user's side of a conversation: when each entry of a script begins, and what is sent.

Everything is counted in samples of what is sent; nobody looks at a clock here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relkit.audio.samples import FULL_SCALE, to_pcm16
from relkit.conversation.record import USER_TRUTH
from relkit.conversation.types import ConversationScript, ScriptClip
from relkit.datasets.types import AnswerEvent

MicrophonePcm = NDArray[np.int16]
"""Samples (n,) of 16 bits, as they are sent."""

QUIET_MS = 600.0
"""So long after its last sound an agent that has answered the last turn is taken to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """An entry that is being said: ``start`` is the sample at which its clip begins."""

    clip: ScriptClip
    samples: MicrophonePcm
    start: int

    @property
    def stop(self) -> int:
        return self.start + len(self.samples)

    def part(self, start: int, stop: int) -> MicrophonePcm:
        """Return what is said between two samples, (stop - start,)."""
        low, high = start - self.start, stop - self.start
        if low >= 0 and high <= len(self.samples):
            return self.samples[low:high]
        part = np.zeros(stop - start, dtype=np.int16)
        said = self.samples[max(low, 0) : max(high, 0)]
        part[max(-low, 0) : max(-low, 0) + len(said)] = said
        return part


class ScriptPlayer:
    """Says the entries of a script in their order, each when its time has come."""

    def __init__(self, script: ConversationScript, frame: int) -> None:
        """Begin with the first sample; ``frame`` samples are sent at once."""
        self._script, self._frame = script, frame
        self._rate = script.sample_rate
        self._begun: list[_Begun] = []
        self._silence = np.zeros(frame, dtype=np.int16)
        self._next = 0
        self._due: int | None = None  # the sample at which the next entry begins
        self._heard: list[AnswerEvent] = []
        self._awaited = {clip.entry.when.after for clip in script.clips}
        self._sent = 0
        self._waiting_since_ms = 0.0
        self._noise = _noise(script)
        self._noise_at = 0
        if self._noise is not None and script.acoustics is not None:
            seed = np.random.default_rng(script.acoustics.seed)
            self._noise_at = int(seed.integers(len(self._noise)))
        acoustics = script.acoustics
        echo_db = None if acoustics is None else acoustics.echo_db
        self._echo_gain = None if echo_db is None else np.float32(10.0 ** (echo_db / 20.0))
        delay = 0 if acoustics is None else round(acoustics.echo_ms * self._rate / 1000.0)
        self._echo = np.zeros(delay, dtype=np.float32)
        self.said: list[MicrophonePcm] = []
        """The user's own sound, frame by frame: what is on the user's channel of the recording."""

    def observe(self, events: Iterable[AnswerEvent]) -> None:
        """Take note of what an entry may wait for."""
        for event in events:
            if event.kind in self._awaited:
                self._heard.append(event)
            if event.kind == "agent_speech_start" and self._waits_for_silence(event):
                self._due, self._heard = None, []  # it was a pause, and not the end
        if self._due is None:
            self._look()

    def frame(self, played: MicrophonePcm) -> tuple[MicrophonePcm, tuple[AnswerEvent, ...]]:
        """Return the next frame to send and the truth of what begins and ends in it.

        ``played`` is the frame of the loudspeaker before it; times of the truth are audio time.
        """
        start, stop = self._sent, self._sent + self._frame
        if self._due is None:
            self._look()
        while self._due is not None and self._due < stop:
            self._begin(max(self._due, start))
        sounding = [entry for entry in self._begun if entry.stop > start and entry.start < stop]
        user = self._silence if not sounding else sounding[0].part(start, stop)
        if len(sounding) > 1:
            parts = [entry.part(start, stop) for entry in sounding]
            mixed = np.sum(parts, axis=0, dtype=np.int32)
            user = np.clip(mixed, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        truth = tuple(event for entry in self._begun for event in self._bounds(entry, start, stop))
        self._sent = stop
        self.said.append(user)
        if truth:
            self.observe(truth)
        return self._at_microphone(user, played), truth

    def finished(self, t_ms: float, *, agent_start_ms: float | None, silent_ms: float) -> bool:
        """Tell whether nothing more is to come at ``t_ms``.

        ``agent_start_ms`` is when the agent last began to speak, ``silent_ms`` for how long it has
        been silent. After the last entry the agent has until its answer is over, or the window of
        an answer; an entry that waits for something has the same window from the one before it.
        """
        windows = self._script.windows
        if self._due is not None or any(entry.stop > self._sent for entry in self._begun):
            return False
        last = self._begun[-1] if self._begun else None
        since = self._waiting_since_ms if last is None else 1000.0 * last.stop / self._rate
        if self._next < len(self._script.clips):
            spoke = max(since, agent_start_ms or 0.0)
            return silent_ms > 0.0 and t_ms - spoke > windows.answer_ms
        label = "turn" if last is None else last.clip.entry.label
        limit = windows.answer_ms if label == "turn" else windows.reply_ms + QUIET_MS
        answered = (
            agent_start_ms is not None
            and last is not None
            and agent_start_ms
            >= (1000.0 * last.start + last.clip.bounds_ms[1] * self._rate) / self._rate
        )
        if answered:
            return silent_ms >= QUIET_MS
        return t_ms - since > limit and silent_ms > 0.0

    def _waits_for_silence(self, event: AnswerEvent) -> bool:
        """Tell whether the next entry waits for the agent's silence, and this breaks it."""
        if self._due is None:
            return False
        when = self._script.clips[self._next].entry.when
        return when.after == "agent_speech_stop" and event.t_ms < 1000.0 * self._due / self._rate

    @property
    def said_all(self) -> bool:
        """Whether every entry was begun."""
        return self._next == len(self._script.clips)

    def _look(self) -> None:
        """Find out when the next entry begins, where that is known by now."""
        if self._next == len(self._script.clips):
            return
        when = self._script.clips[self._next].entry.when
        if when.after == "start":
            self._due = round(when.ms * self._rate / 1000.0)
            return
        before = self._begun[-1] if self._begun else None
        after_ms = -1.0 if before is None else 1000.0 * before.start / self._rate
        for event in self._heard:
            fits = event.kind == when.after and event.t_ms > after_ms
            if fits and (when.turn is None or event.turn in {None, when.turn}):
                self._due = round((event.t_ms + when.ms) * self._rate / 1000.0)
                return

    def _begin(self, start: int) -> None:
        clip = self._script.clips[self._next]
        samples = to_pcm16(clip.samples)
        self._begun.append(_Begun(clip=clip, samples=samples, start=start))
        self._next += 1
        self._due = None
        self._look()

    def _bounds(self, entry: _Begun, start: int, stop: int) -> Iterable[AnswerEvent]:
        for kind, ms in zip(USER_TRUTH, entry.clip.bounds_ms, strict=True):
            at = entry.start + ms * self._rate / 1000.0
            if start <= at < stop:
                yield AnswerEvent(
                    t_ms=1000.0 * at / self._rate,
                    kind=kind,
                    turn=entry.clip.entry.turn,
                    label=entry.clip.entry.label,
                )

    def _at_microphone(self, user: MicrophonePcm, played: MicrophonePcm) -> MicrophonePcm:
        if self._noise is None and self._echo_gain is None:
            return user
        mixed = user.astype(np.float32) / np.float32(FULL_SCALE)
        if self._noise is not None:
            at = (self._noise_at + np.arange(self._frame)) % len(self._noise)
            mixed += self._noise[at]
            self._noise_at = int(at[-1] + 1) % len(self._noise)
        if self._echo_gain is not None:
            sound = played.astype(np.float32) * (self._echo_gain / np.float32(FULL_SCALE))
            line = np.concatenate((self._echo, sound))
            mixed += line[: self._frame]
            self._echo = line[self._frame :]
        return to_pcm16(mixed.astype("<f4").tobytes())


def longest_s(script: ConversationScript) -> float:
    """Return how long a conversation may take in s: clips, waits, and a window for each answer."""
    clips = sum(len(clip.samples) / 4 / script.sample_rate for clip in script.clips)
    waits = sum(clip.entry.when.ms / 1000.0 for clip in script.clips)
    return clips + waits + (len(script.clips) + 1) * script.windows.answer_ms / 1000.0


def _noise(script: ConversationScript) -> NDArray[np.float32] | None:
    """Return the noise at ``snr_db`` below the mean power of speech within its bounds."""
    acoustics = script.acoustics
    if acoustics is None or script.noise is None or acoustics.snr_db is None:
        return None
    noise = np.frombuffer(script.noise, dtype="<f4")
    speech = [
        np.frombuffer(clip.samples, dtype="<f4")[
            round(clip.bounds_ms[0] * script.sample_rate / 1000.0) : round(
                clip.bounds_ms[1] * script.sample_rate / 1000.0
            )
        ]
        for clip in script.clips
        if clip.entry.label == "turn"
    ]
    spoken = np.concatenate(speech) if speech else np.zeros(0, dtype=np.float32)
    power, hum = (
        float(np.mean(np.square(part, dtype=np.float64))) if len(part) else 0.0
        for part in (spoken, noise)
    )
    if power <= 0.0 or hum <= 0.0:
        return None
    gain = np.sqrt(power / hum / 10.0 ** (acoustics.snr_db / 10.0))
    return np.asarray(noise * np.float32(gain), dtype=np.float32)
