"""Logs of Twilio Media Streams as recorded conversations: what was said is in them as sound.

Both directions of the socket, one JSON message a line: the caller's sound has the time of its
chunk, in ms from the start of the stream; what the agent sends has none, and arrived after the
message before it. A loudspeaker plays that at its own speed, and ``clear`` empties it. Source:
Twilio's documentation of Media Streams, "WebSocket messages"; mu-law by ITU-T G.711.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from relkit.conversation.logs import (
    ConversationLog,
    LogLine,
    RecordedConversation,
    numbered,
    turns_of_user,
)
from relkit.conversation.segments import energy_spans, sound_spans
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import where

TELEPHONE_RATE = 8_000
_PER_MS = TELEPHONE_RATE // 1000
_LONGEST_MS = 4 * 3_600_000
_EXPECTED = frozenset({"connected", "start", "stop", "mark", "dtmf"})


def _mu_law() -> np.ndarray[Any, np.dtype[np.float32]]:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    size = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return (np.where(code & 0x80, 0x84 - size, size - 0x84) / 32768.0).astype(np.float32)


_MU_LAW = _mu_law()


def twilio_conversations(
    lines: Iterable[LogLine], *, source: str, name: str
) -> list[RecordedConversation]:
    """Return the conversations of a log, one for each stream; raises InvalidInput.

    Several streams are called after the file, with their number in the order of the file.
    """
    streams: dict[str, _Stream] = {}
    for line, document in lines:
        inner = document.get("message")
        message: Mapping[str, Any] = inner if isinstance(inner, Mapping) else document
        stream = str(message.get("streamSid") or "")
        if message.get("event") == "connected":
            continue
        streams.setdefault(stream, _Stream(source)).take(line, message)
    streams = {key: stream for key, stream in streams.items() if stream.sound}
    if not streams:
        raise InvalidInput(f'{source}: holds no "media" of Twilio Media Streams')
    names = numbered(name, list(streams))
    return [stream.recorded(called) for called, stream in zip(names, streams.values(), strict=True)]


class _Stream:
    def __init__(self, source: str) -> None:
        self._source = source
        self._log = ConversationLog("twilio")
        self._now = 0.0
        self._played_until = 0.0
        self._sent: list[tuple[float, bytes]] = []
        self._caller: list[tuple[float, bytes]] = []
        self.sound = False

    def take(self, line: int, message: Mapping[str, Any]) -> None:
        kind = message.get("event")
        if kind == "media":
            self._media(line, message.get("media"))
        elif kind == "clear":
            self._clear()
        else:
            content = message.get(str(kind))
            self._log.other(self._now, str(kind or "no_event"), content, expected=kind in _EXPECTED)

    def _media(self, line: int, media: object) -> None:
        at = where(self._source, line)
        if not isinstance(media, Mapping) or not isinstance(media.get("payload"), str):
            raise InvalidInput(f'{at}: "media" has no "payload"')
        try:
            data = base64.b64decode(media["payload"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput(f'{at}: "media.payload" is no base64') from error
        self.sound = True
        written = media.get("timestamp")
        if written is None:
            start = max(self._now, self._played_until)
            self._sent.append((start, data))
            self._played_until = start + len(data) / _PER_MS
        else:
            try:
                start = float(written)
            except (TypeError, ValueError):
                start = -1.0
            if not 0.0 <= start <= _LONGEST_MS:
                raise InvalidInput(
                    f'{at}: "media.timestamp" is no time of a call',
                    hint="ms from the start of the stream, at most 4 hours",
                )
            outbound = media.get("track") == "outbound"
            (self._sent if outbound else self._caller).append((start, data))
            self._now = max(self._now, start + len(data) / _PER_MS)

    def _clear(self) -> None:
        """Throw away what is not played yet."""
        now = self._now
        cut_ms = max(0.0, self._played_until - now)
        remaining = []
        for start, data in self._sent:
            left = data[: max(0, round((now - start) * _PER_MS))]
            if left:
                remaining.append((start, left))
        self._sent, self._played_until = remaining, min(self._played_until, now)
        self._log.event(now, "interrupted")
        if cut_ms:
            self._log.event(now, "agent_cut", data={"ms": cut_ms})

    def recorded(self, name: str) -> RecordedConversation:
        user, agent = _samples(self._caller), _samples(self._sent)
        sounds = sound_spans(agent, TELEPHONE_RATE)
        turns = turns_of_user(energy_spans(user, TELEPHONE_RATE), sounds)
        for number, span in enumerate(turns, start=1):
            self._log.speech(span, f"u{number}")
        for span in sounds:
            self._log.sound(span)
        duration_ms = max(len(user), len(agent)) / _PER_MS
        return self._log.recorded(name, zero=0.0, duration_ms=duration_ms)


def _samples(chunks: list[tuple[float, bytes]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a channel with each chunk at its time, silence between."""
    last = max((start + len(data) / _PER_MS for start, data in chunks), default=0.0)
    channel = np.zeros(round(last * _PER_MS), dtype=np.float32)
    for start, data in chunks:
        at = round(start * _PER_MS)
        sound = _MU_LAW[np.frombuffer(data, dtype=np.uint8)]
        channel[at : at + len(sound)] = sound[: len(channel) - at]
    return channel
