"""Twilio's streams, ticks of tau2-bench and traces as recorded conversations."""

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.conversation.logs import RecordedConversation
from relkit.conversation.tick_files import tau2_conversations
from relkit.conversation.trace_files import trace_conversations
from relkit.conversation.twilio_files import twilio_conversations
from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer
from tests.trace_data import document, livekit_call, pipecat_call

LOUD = bytes(np.random.default_rng(1).choice([0x10, 0x90, 0x20, 0xA0], 160).astype(np.uint8))
SILENT = b"\xff" * 160


def answer_of(conversation: RecordedConversation) -> Answer:
    """Return the answer of a conversation that is no failure."""
    assert isinstance(conversation.outcome, Answer)
    return conversation.outcome


def truth(conversation: RecordedConversation) -> list[tuple[float, str]]:
    """Return what was audible, by time."""
    return [
        (event.t_ms, event.kind)
        for event in answer_of(conversation).events
        if "_speech_" in event.kind or event.kind in {"agent_cut", "interrupted"}
    ]


def media(payload: bytes, timestamp: int | None = None) -> dict[str, Any]:
    """Return a message with 20 ms of sound; the agent's have no time."""
    content: dict[str, Any] = {"payload": base64.b64encode(payload).decode()}
    if timestamp is not None:
        content |= {"track": "inbound", "timestamp": str(timestamp)}
    return {"event": "media", "streamSid": "MZ1", "media": content}


def stream() -> list[dict[str, Any]]:
    """Return a caller from 400 to 800 ms, an agent sent at 1 s for 2 s, and emptied at 2 s."""
    messages = []
    for at in range(0, 3000, 20):
        if at == 1000:
            messages += [media(LOUD) for _ in range(100)]
        if at == 2000:
            messages.append({"event": "clear", "streamSid": "MZ1"})
        messages.append(media(LOUD if 400 <= at < 800 else SILENT, at))
    return messages


def converted(messages: list[dict[str, Any]]) -> RecordedConversation:
    """Return the one conversation of a log of Twilio's."""
    lines = enumerate(messages, start=1)
    (conversation,) = twilio_conversations(lines, source="a.jsonl", name="a")
    return conversation


def test_sound_of_a_stream_is_truth_and_what_was_emptied_was_not_played() -> None:
    """The agent's sound waits in a queue; the second that ``clear`` threw away is no sound."""
    conversation = converted(stream())
    assert truth(conversation) == [
        (400, "user_speech_start"),
        (800, "user_speech_stop"),
        (1000, "agent_speech_start"),
        (2000, "agent_cut"),
        (2000, "agent_speech_stop"),
        (2000, "interrupted"),
    ]
    cut = next(event for event in answer_of(conversation).events if event.kind == "agent_cut")
    assert cut.data == {"ms": 1000.0}
    assert answer_of(conversation).duration_ms == 3000


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"event": "media", "media": {"payload": "%"}}, "no base64"),
        ({"event": "media", "media": {}}, 'no "payload"'),
        ({"event": "media", "media": {"payload": "", "timestamp": "-1"}}, "no time of a call"),
    ],
)
def test_a_broken_message_is_named_with_its_line(message: dict[str, Any], words: str) -> None:
    """What is no sound, or at no time, is refused."""
    with pytest.raises(InvalidInput, match=f"line 1: .*{words}"):
        converted([message])


def tick(number: int, *, user: bool = False, agent: bool = False, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a tick of 200 ms as the simulator saves it."""
    return {
        "tick_id": number,
        "tick_duration_seconds": 0.2,
        "user_chunk": {"role": "user", "contains_speech": user, **more},
        "agent_chunk": {"role": "assistant", "contains_speech": agent, "is_audio": True},
    }


TICKS = [
    tick(0),
    tick(1, user=True),
    tick(2, user=True),
    tick(3),
    tick(4, agent=True)
    | {"agent_tool_calls": [{"name": "find", "arguments": {"id": 1}}], "agent_tool_results": [{}]},
    tick(5, agent=True, user=True, turn_taking_action={"action": "backchannel"}),
    tick(6),
]


@given(st.permutations(TICKS))
@settings(max_examples=20)
def test_ticks_are_truth_in_any_order(ticks: list[dict[str, Any]]) -> None:
    """Who spoke in which tick is known, as both sides were simulated."""
    simulation: Any = {"task_id": "t1", "ticks": ticks}
    (conversation,) = tau2_conversations({"simulations": [simulation]}, source="x")
    assert truth(conversation) == [
        (200, "user_speech_start"),
        (600, "user_speech_stop"),
        (800, "agent_speech_start"),
        (1000, "user_speech_start"),
        (1200, "agent_speech_stop"),
        (1200, "user_speech_stop"),
    ]
    answer = answer_of(conversation)
    labels = [event.label for event in answer.events if event.kind == "user_speech_start"]
    assert labels == ["turn", "backchannel"]
    assert answer.tool_calls == ({"t_ms": 800.0, "name": "find", "arguments": {"id": 1}},)
    assert answer.duration_ms == 1400


def test_ticks_of_no_length_are_refused() -> None:
    """A tick of 0 s stands for one that nobody measured: no time can be told."""
    ticks: list[Any] = [{"tick_id": 0, "tick_duration_seconds": 0.0}]
    with pytest.raises(InvalidInput, match="how long a tick is"):
        list(tau2_conversations({"simulations": [{"task_id": "a", "ticks": ticks}]}, source="x"))


@pytest.mark.parametrize(
    ("spans", "kinds"),
    [
        (pipecat_call(), {"llm_started", "llm_stopped", "tts_started", "final"}),
        (livekit_call(), {"user_started_speaking", "user_stopped_speaking", "llm_started"}),
    ],
)
def test_spans_of_a_call_become_events(spans: Any, kinds: set[str]) -> None:  # noqa: ANN401 - JSON
    """The dialects of live traffic are read; times count from the earliest span."""
    lines = [("a.json", (1, document(spans)))]
    conversations = list(trace_conversations(lines))
    assert len(conversations) == 1
    events = answer_of(conversations[0]).events
    assert kinds <= {event.kind for event in events}
    assert min(event.t_ms for event in events) == 0
    turned = [("a.json", (1, document(list(reversed(spans)))))]
    assert list(trace_conversations(turned)) == conversations
    with pytest.raises(InvalidInput, match="no OTLP traces"):
        list(trace_conversations([("a.json", (1, {"spans": []}))]))
