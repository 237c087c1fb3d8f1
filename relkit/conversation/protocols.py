"""What agents speak over a WebSocket: tables of message types, and how one message is read.

A table says what carries sound, what empties the loudspeaker, and which message is which event; a
message that it does not name is kept as an event of its own type and counted. Facts are those of
each protocol's public documentation (docs/conversations.md, section "Protocols").
"""

import base64
import binascii
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ProtocolPcm = NDArray[np.int16]
Codec = Literal["pcm16", "mulaw"]
MessagePath = tuple[str, ...]

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageKind:
    """What a message of a type tells: an event's kind, and where its text and data lie."""

    kind: str
    text: MessagePath | None = None
    data: Mapping[str, MessagePath] = field(default_factory=lambda: _NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolTable:
    """A protocol as data.

    ``type_path`` leads to a message's type. ``hello``, ``audio_out`` and ``bye`` are templates of
    what is sent: ``$audio`` and ``$rate`` stand for their values; ``audio_out`` None sends binary
    frames. ``audio_in`` maps the types that carry sound to where it lies, ``clears`` are those that
    empty the loudspeaker, ``kinds`` maps types to events, and ``ignored`` ones say nothing.
    ``rate`` is that of the protocol, None where the suite decides. ``binary`` is what a binary
    frame holds. ``open_kinds`` says that the type of a message is the kind of its event.
    """

    type_path: MessagePath = ("type",)
    codec: Codec = "pcm16"
    rate: int | None = None
    binary: Literal["pcm", "pipecat", "refused"] = "pcm"
    hello: tuple[Mapping[str, Any], ...] = ()
    audio_out: Mapping[str, Any] | None = None
    bye: tuple[Mapping[str, Any], ...] = ()
    audio_in: Mapping[str, MessagePath] = field(default_factory=lambda: _NONE)
    clears: frozenset[str] = frozenset()
    kinds: Mapping[str, MessageKind] = field(default_factory=lambda: _NONE)
    ignored: frozenset[str] = frozenset()
    open_kinds: bool = False


_RTVI_KINDS = {
    "user-started-speaking": MessageKind(kind="user_started_speaking"),
    "user-stopped-speaking": MessageKind(kind="user_stopped_speaking"),
    "vad-user-started-speaking": MessageKind(kind="vad_user_started_speaking"),
    "vad-user-stopped-speaking": MessageKind(kind="vad_user_stopped_speaking"),
    "bot-started-speaking": MessageKind(kind="agent_started_speaking"),
    "bot-stopped-speaking": MessageKind(kind="agent_stopped_speaking"),
    "bot-interrupted": MessageKind(kind="interrupted"),
    "bot-llm-started": MessageKind(kind="llm_started"),
    "bot-llm-text": MessageKind(kind="llm_token", text=("data", "text")),
    "bot-llm-stopped": MessageKind(kind="llm_stopped"),
    "bot-tts-started": MessageKind(kind="tts_started"),
    "llm-function-call-in-progress": MessageKind(
        kind="tool_started",
        data={"name": ("data", "function_name"), "arguments": ("data", "arguments")},
    ),
    "llm-function-call-stopped": MessageKind(
        kind="tool_stopped", data={"name": ("data", "function_name")}
    ),
}

PROTOCOLS: Mapping[str, ProtocolTable] = MappingProxyType(
    {
        "pcm": ProtocolTable(
            hello=({"type": "start", "sample_rate": "$rate"},),
            bye=({"type": "stop"},),
            clears=frozenset({"clear"}),
            open_kinds=True,
        ),
        "twilio": ProtocolTable(
            type_path=("event",),
            codec="mulaw",
            rate=8000,
            binary="refused",
            hello=(
                {"event": "connected", "protocol": "Call", "version": "1.0.0"},
                {
                    "event": "start",
                    "sequenceNumber": "1",
                    "streamSid": "MZ00",
                    "start": {
                        "streamSid": "MZ00",
                        "callSid": "CA00",
                        "tracks": ["inbound"],
                        "mediaFormat": {
                            "encoding": "audio/x-mulaw",
                            "sampleRate": "$rate",
                            "channels": 1,
                        },
                    },
                },
            ),
            audio_out={
                "event": "media",
                "streamSid": "MZ00",
                "media": {"track": "inbound", "payload": "$audio"},
            },
            bye=({"event": "stop", "streamSid": "MZ00", "stop": {"callSid": "CA00"}},),
            audio_in={"media": ("media", "payload")},
            clears=frozenset({"clear"}),
            kinds={"mark": MessageKind(kind="mark", text=("mark", "name"))},
        ),
        "rtvi": ProtocolTable(
            binary="pipecat",
            hello=(
                {
                    "label": "rtvi-ai",
                    "type": "client-ready",
                    "id": "1",
                    "data": {"version": "1.0.0", "about": {"library": "relkit"}},
                },
            ),
            clears=frozenset({"bot-interrupted"}),
            kinds=_RTVI_KINDS,
            ignored=frozenset({"metrics", "bot-ready", "bot-output", "bot-transcription"}),
        ),
        "openai-realtime": ProtocolTable(
            rate=24000,
            binary="refused",
            audio_out={"type": "input_audio_buffer.append", "audio": "$audio"},
            audio_in={
                "response.output_audio.delta": ("delta",),
                "response.audio.delta": ("delta",),
            },
            clears=frozenset({"input_audio_buffer.speech_started"}),
            kinds={
                "input_audio_buffer.speech_started": MessageKind(kind="user_started_speaking"),
                "input_audio_buffer.speech_stopped": MessageKind(kind="user_stopped_speaking"),
                "conversation.item.input_audio_transcription.delta": MessageKind(
                    kind="partial_delta", text=("delta",)
                ),
                "conversation.item.input_audio_transcription.completed": MessageKind(
                    kind="final", text=("transcript",)
                ),
                "response.created": MessageKind(kind="llm_started"),
                "response.output_audio_transcript.delta": MessageKind(
                    kind="llm_token", text=("delta",)
                ),
                "response.function_call_arguments.done": MessageKind(
                    kind="tool_started",
                    data={"name": ("name",), "arguments": ("arguments",)},
                ),
                "response.done": MessageKind(kind="llm_stopped"),
            },
            ignored=frozenset({"session.created", "session.updated", "rate_limits.updated"}),
        ),
    }
)
"""The tables by the name that a suite uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What a message held: sound (n,), a word to empty the loudspeaker, an event, or more."""

    audio: ProtocolPcm | None = None
    clears: bool = False
    kind: str | None = None
    text: str | None = None
    data: Mapping[str, Any] | None = None
    t_ms: float | None = None
    known: bool = True
    broken: bool = False


class ProtocolReader:
    """Reads the messages of one connection; half a sample waits for its other half."""

    def __init__(self, name: str) -> None:
        """Begin a connection; KeyError for a protocol that is none."""
        self.table = PROTOCOLS[name]
        self._rest = b""
        self.halves = 0
        """How many messages ended within a sample."""

    def read(self, message: str | bytes) -> Received:
        """Return what a message holds; ``broken`` where it is none of the protocol."""
        if isinstance(message, bytes):
            return self._binary(message)
        try:
            document = json.loads(message)
        except ValueError:
            return Received(broken=True)
        return self._document(document)

    def _binary(self, message: bytes) -> Received:
        if self.table.binary != "pipecat":
            pcm = self.table.binary == "pcm"
            return Received(audio=self._samples(message)) if pcm else Received(broken=True)
        try:
            frame = dict(_fields(message))
            if _PIPECAT_AUDIO in frame:
                sound = dict(_fields(bytes(frame[_PIPECAT_AUDIO])))
                return Received(audio=self._samples(bytes(sound.get(3, b""))))
            if _PIPECAT_MESSAGE in frame:
                held = dict(_fields(bytes(frame[_PIPECAT_MESSAGE])))
                return self._document(json.loads(bytes(held[1]).decode()))
        except (ValueError, KeyError, TypeError, IndexError, struct.error):
            return Received(broken=True)
        if _PIPECAT_INTERRUPTION in frame:
            return Received(clears=True)
        return Received(known=False, kind="pipecat_frame")

    def _document(self, document: object) -> Received:
        table = self.table
        name = _at(document, table.type_path)
        if not isinstance(name, str) or not name or not isinstance(document, Mapping):
            return Received(broken=True)
        if name in table.audio_in:
            payload = _at(document, table.audio_in[name])
            try:
                coded = base64.b64decode(str(payload), validate=True)
            except (binascii.Error, ValueError):
                return Received(broken=True)
            sound = mulaw_decoded(coded) if table.codec == "mulaw" else self._samples(coded)
            return Received(audio=sound)
        clears = name in table.clears
        message = table.kinds.get(name)
        if name == "user-transcription":  # RTVI: one type, and a flag says whether it is final
            final = _at(document, ("data", "final")) is not False
            message = MessageKind(kind="final" if final else "partial", text=("data", "text"))
        if message is None and (name in table.ignored or (clears and table.open_kinds)):
            return Received(clears=clears)
        at = document.get("t_ms")
        t_ms = float(at) if isinstance(at, int | float) and not isinstance(at, bool) else None
        if message is None:
            words, data = document.get("text"), document.get("data")
            return Received(
                clears=clears,
                kind=name.replace("-", "_").replace(".", "_"),
                text=words if isinstance(words, str) else None,
                data=data if isinstance(data, Mapping) else None,
                t_ms=t_ms,
                known=table.open_kinds,
            )
        said = None if message.text is None else _at(document, message.text)
        return Received(
            clears=clears,
            kind=message.kind,
            text=said if isinstance(said, str) else None,
            data={key: _at(document, path) for key, path in message.data.items()} or None,
            t_ms=t_ms,
        )

    def _samples(self, data: bytes) -> ProtocolPcm:
        data = self._rest + data
        even = len(data) // 2 * 2
        self.halves += len(data) != even
        self._rest = data[even:]
        return np.frombuffer(data[:even], dtype="<i2").astype(np.int16)


def hello_messages(table: ProtocolTable, sample_rate: int) -> Iterator[str | bytes]:
    """Yield what is sent before the first frame."""
    for template in table.hello:
        text = json.dumps(_filled(template, {"$rate": sample_rate}))
        yield pipecat_message(text) if table.binary == "pipecat" else text


def audio_message(table: ProtocolTable, samples: ProtocolPcm, sample_rate: int) -> str | bytes:
    """Return the message that carries a frame of sound (n,)."""
    data = mulaw_encoded(samples) if table.codec == "mulaw" else samples.astype("<i2").tobytes()
    if table.binary == "pipecat":
        return pipecat_audio(data, sample_rate)
    if table.audio_out is None:
        return data
    return json.dumps(_filled(table.audio_out, {"$audio": base64.b64encode(data).decode()}))


def bye_messages(table: ProtocolTable) -> Iterator[str]:
    """Yield what ends a call."""
    for template in table.bye:
        yield json.dumps(template)


def _filled(template: object, values: Mapping[str, object]) -> object:
    if isinstance(template, Mapping):
        return {key: _filled(value, values) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [_filled(value, values) for value in template]
    return values.get(template, template) if isinstance(template, str) else template


def _at(document: object, path: MessagePath) -> object:
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


_MULAW_BIAS = 0x84
_MULAW_CLIP = 32635


def mulaw_encoded(samples: ProtocolPcm) -> bytes:
    """Return samples (n,) as mu-law (ITU-T G.711), one byte each."""
    wide = samples.astype(np.int32)
    sign = np.where(wide < 0, 0x80, 0)
    magnitude = np.minimum(np.abs(wide), _MULAW_CLIP) + _MULAW_BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    code = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return bytes(code.tobytes())


def _mulaw_table() -> ProtocolPcm:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    exponent, mantissa = (code >> 4) & 0x07, code & 0x0F
    magnitude = (((mantissa << 3) + _MULAW_BIAS) << exponent) - _MULAW_BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


_MULAW = _mulaw_table()


def mulaw_decoded(data: bytes) -> ProtocolPcm:
    """Return mu-law bytes as samples (n,)."""
    return _MULAW[np.frombuffer(data, dtype=np.uint8)]


# pipecat's frames are protocol buffers: a field is a key (number and wire type) and its value.
_PIPECAT_AUDIO, _PIPECAT_MESSAGE, _PIPECAT_INTERRUPTION = 2, 4, 5
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MORE = 0x80  # the bit of a byte that says that more of a number follows
_MOST_BITS = 63


def pipecat_audio(data: bytes, sample_rate: int) -> bytes:
    """Return a frame of pipecat that holds mono 16-bit sound."""
    inner = (
        _field(3, data) + _key(4, _VARINT) + _varint(sample_rate) + _key(5, _VARINT) + _varint(1)
    )
    return _field(_PIPECAT_AUDIO, inner)


def pipecat_message(text: str) -> bytes:
    """Return a frame of pipecat that holds a message as JSON."""
    return _field(_PIPECAT_MESSAGE, _field(1, text.encode()))


def _field(number: int, data: bytes) -> bytes:
    return _key(number, _BYTES) + _varint(len(data)) + data


def _key(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= _MORE:
        parts.append(value % _MORE | _MORE)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (number, value) of a message; raises ValueError where it is cut short."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _read_varint(data, at)
            yield number, value
        elif wire == _BYTES:
            length, at = _read_varint(data, at)
            if at + length > len(data):
                raise ValueError("a field that is cut short")
            yield number, data[at : at + length]
            at += length
        elif wire in {_FIXED64, _FIXED32}:
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("a field of an unknown type")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > _MOST_BITS:
            raise ValueError("a number that is cut short")
        byte = data[at]
        at += 1
        value |= byte % _MORE << shift
        if byte < _MORE:
            return value, at
        shift += 7
