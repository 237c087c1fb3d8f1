"""Messages of each protocol, as their public documents show them, and what is read from them."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.conversation.protocols import (
    PROTOCOLS,
    ProtocolReader,
    audio_message,
    hello_messages,
    mulaw_decoded,
    mulaw_encoded,
)

FRAME = np.array([0, 1000, -1000, 32767, -32768], dtype=np.int16)


@given(st.binary(max_size=512))
def test_mulaw_is_kept_by_decoding_and_encoding(data: bytes) -> None:
    """Every code but the second zero comes back, as G.711 has two codes for silence."""
    again = mulaw_encoded(mulaw_decoded(data))
    assert again == data.replace(b"\x7f", b"\xff")


def test_mulaw_is_within_its_step_of_the_sample() -> None:
    """The error is below half a step of its segment: 1/32 of the biased level."""
    samples = np.arange(-32000, 32000, 7, dtype=np.int16)
    error = np.abs(mulaw_decoded(mulaw_encoded(samples)).astype(int) - samples.astype(int))
    assert (error <= (np.abs(samples.astype(int)) + 260) / 32).all()


@given(st.lists(st.binary(max_size=9), max_size=12))
def test_half_a_sample_waits_for_its_other_half(parts: list[bytes]) -> None:
    """However sound is cut into messages, the samples are those of the bytes together."""
    reader = ProtocolReader("pcm")
    received = [reader.read(part).audio for part in parts]
    samples = [audio for audio in received if audio is not None]
    joined = b"".join(parts)
    expected = np.frombuffer(joined[: len(joined) // 2 * 2], dtype="<i2")
    assert np.concatenate([*samples, np.zeros(0, dtype=np.int16)]).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("protocol", "message", "kind", "text", "data"),
    [
        ("pcm", {"type": "final", "text": "hello", "t_ms": 40}, "final", "hello", None),
        ("pcm", {"type": "readback", "data": {"name": "a"}}, "readback", None, {"name": "a"}),
        (
            "rtvi",
            {"type": "user-transcription", "data": {"text": "a", "final": False}},
            "partial",
            "a",
            None,
        ),
        ("rtvi", {"type": "bot-llm-text", "data": {"text": "b"}}, "llm_token", "b", None),
        ("twilio", {"event": "mark", "mark": {"name": "m1"}}, "mark", "m1", None),
        (
            "openai-realtime",
            {"type": "conversation.item.input_audio_transcription.completed", "transcript": "c"},
            "final",
            "c",
            None,
        ),
    ],
)  # fmt: skip
def test_an_event_is_read_by_the_table_of_its_protocol(
    protocol: str, message: object, kind: str, text: str | None, data: object
) -> None:
    """The kind is relkit's, the text and the data are where the table says."""
    received = ProtocolReader(protocol).read(json.dumps(message))
    assert (received.kind, received.text, received.data, received.known) == (kind, text, data, True)


@pytest.mark.parametrize("protocol", ["rtvi", "twilio", "openai-realtime"])
def test_an_unknown_message_is_kept(protocol: str) -> None:
    """It is an event of its own type, and is known to be unknown."""
    key = "event" if protocol == "twilio" else "type"
    received = ProtocolReader(protocol).read(json.dumps({key: "something.new-here"}))
    assert (received.kind, received.known) == ("something_new_here", False)


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("pcm", {"type": "clear"}),
        ("twilio", {"event": "clear", "streamSid": "MZ1"}),
        ("rtvi", {"label": "rtvi-ai", "type": "bot-interrupted"}),
        ("openai-realtime", {"type": "input_audio_buffer.speech_started"}),
    ],
)
def test_what_empties_the_loudspeaker(protocol: str, message: object) -> None:
    """Each protocol has its own word for it."""
    assert ProtocolReader(protocol).read(json.dumps(message)).clears


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("pcm", "{"),
        ("pcm", "[1]"),
        ("pcm", '{"type": 3}'),
        ("twilio", b"\x00\x01"),
        ("twilio", '{"event": "media", "media": {"payload": "%%"}}'),
        ("rtvi", b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("rtvi", b"\x22\x05ab"),
    ],
)
def test_what_is_no_message_is_said_to_be_broken(protocol: str, message: str | bytes) -> None:
    """Nothing is raised: an agent may send anything."""
    received = ProtocolReader(protocol).read(message)
    assert received.broken
    assert received.audio is None


def test_sound_goes_out_and_comes_in_as_each_protocol_carries_it() -> None:
    """Binary frames, mu-law in base64, and pipecat's protocol buffers."""
    for name, table in PROTOCOLS.items():
        message = audio_message(table, FRAME, table.rate or 16_000)
        if name == "pcm":
            assert message == FRAME.astype("<i2").tobytes()
        elif name == "rtvi":
            received = ProtocolReader(name).read(message)
            assert received.audio is not None
            assert received.audio.tolist() == FRAME.tolist()
        else:
            document = json.loads(message)
            payload = document["media"]["payload"] if name == "twilio" else document["audio"]
            size = 1 if name == "twilio" else 2
            assert len(base64.b64decode(payload)) == size * len(FRAME)


def test_pipecat_itself_reads_and_writes_the_same_frames() -> None:
    """Its own serializer's classes read our sound and our messages, and we read theirs."""
    frames = pytest.importorskip("pipecat.frames.protobufs.frames_pb2")
    table = PROTOCOLS["rtvi"]
    sent = frames.Frame.FromString(audio_message(table, FRAME, 16_000))
    assert (sent.audio.sample_rate, sent.audio.num_channels) == (16_000, 1)
    assert sent.audio.audio == FRAME.astype("<i2").tobytes()
    hello = frames.Frame.FromString(next(iter(hello_messages(table, 16_000))))
    assert json.loads(hello.message.data)["type"] == "client-ready"
    theirs = frames.Frame()
    theirs.message.data = json.dumps({"label": "rtvi-ai", "type": "user-started-speaking"})
    assert ProtocolReader("rtvi").read(theirs.SerializeToString()).kind == "user_started_speaking"
    theirs = frames.Frame()
    theirs.interruption.SetInParent()
    assert ProtocolReader("rtvi").read(theirs.SerializeToString()).clears


def test_a_call_of_twilio_begins_with_its_two_messages() -> None:
    """First that it is connected, then the format of the stream."""
    first, second = map(json.loads, hello_messages(PROTOCOLS["twilio"], 8000))
    assert first["event"] == "connected"
    assert second["start"]["mediaFormat"]["sampleRate"] == 8000
