"""Events of LiveKit sessions as recorded conversations."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.conversation.livekit_files import livekit_conversation
from relkit.conversation.logs import RecordedConversation
from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer

BEGAN = 1_772_359_200.0


def event(at_s: float, kind: str, **content: object) -> dict[str, Any]:
    """Return an event as ``model_dump`` writes it."""
    return {"type": kind, **content, "created_at": BEGAN + at_s}


EVENTS = [
    event(-0.5, "agent_state_changed", old_state="initializing", new_state="listening"),
    event(1.0, "user_state_changed", old_state="listening", new_state="speaking"),
    event(1.5, "user_input_transcribed", transcript="what is", is_final=False, speaker_id=None),
    event(2.0, "user_state_changed", old_state="speaking", new_state="listening"),
    event(2.25, "user_input_transcribed", transcript="What is the time?", is_final=True),
    event(2.5, "agent_state_changed", old_state="listening", new_state="thinking"),
    event(
        3.0,
        "function_tools_executed",
        function_calls=[
            {"call_id": "a", "name": "clock", "arguments": "{}", "created_at": BEGAN + 2.75},
            {"call_id": "b", "name": "zone", "arguments": "{}", "created_at": -1},
        ],
        function_call_outputs=[
            {"call_id": "a", "output": "noon", "is_error": False, "created_at": BEGAN + 2.875},
            None,
        ],
    ),
    event(3.5, "agent_state_changed", old_state="thinking", new_state="speaking"),
    event(
        5.0,
        "conversation_item_added",
        item={
            "type": "message",
            "role": "assistant",
            "content": ["It is noon."],
            "interrupted": True,
            "metrics": {"e2e_latency": 203.4, "llm_node_ttft": 0.25, "end_of_turn_delay": 0.0},
        },
    ),
    event(5.0, "agent_state_changed", old_state="speaking", new_state="listening"),
    event(6.0, "of_a_later_release", count=3),
]


def converted(events: list[dict[str, Any]], **report: object) -> RecordedConversation:
    """Return the conversation of a report with these events."""
    lines = [(1, {"events": events, **report})]
    return livekit_conversation(lines, source="report.json", name="report")


def answer_of(events: list[dict[str, Any]], **report: object) -> Answer:
    """Return the answer of a report with these events."""
    outcome = converted(events, **report).outcome
    assert isinstance(outcome, Answer)
    return outcome


def test_states_and_transcripts_become_events_from_the_first_sample() -> None:
    """The recording's beginning is the first moment; what was before it is left out, counted."""
    recorded = converted(EVENTS, audio_recording_started_at=BEGAN)
    answer = answer_of(EVENTS, audio_recording_started_at=BEGAN)
    assert [(item.t_ms, item.kind) for item in answer.events if "." not in item.kind] == [
        (1000, "user_started_speaking"),
        (1500, "partial"),
        (2000, "user_stopped_speaking"),
        (2250, "final"),
        (2750, "tool_started"),
        (2875, "tool_stopped"),
        (3000, "tool_started"),
        (3500, "agent_started_speaking"),
        (5000, "agent_stopped_speaking"),
        (5000, "interrupted"),
    ]
    assert answer.text == "It is noon."
    assert recorded.not_measured == {
        "before_audio": 1,
        "e2e_latency": 1,
        "end_of_turn_delay": 1,
        "tool_time": 1,
    }
    assert recorded.unknown == {"of_a_later_release": 1}


def test_delays_that_nobody_measured_are_null() -> None:
    """203 s from a stale anchor and 0.0 are null, 0.25 s is 250 ms."""
    answer = answer_of(EVENTS)
    item = next(item for item in answer.events if item.kind == "livekit.conversation_item_added")
    assert item.data == {
        "role": "assistant",
        "e2e_latency_ms": None,
        "llm_node_ttft_ms": 250.0,
        "end_of_turn_delay_ms": None,
    }


def test_without_a_recording_the_first_event_is_the_first_moment() -> None:
    """A recording that never began, written as 0, is no zero of a clock."""
    for report in ({}, {"audio_recording_started_at": None}, {"audio_recording_started_at": 0}):
        assert answer_of(EVENTS, **report).events[0].t_ms == 0
    assert (
        converted(EVENTS, audio_recording_started_at=0).not_measured["audio_recording_started_at"]
        == 1
    )


@given(st.permutations(EVENTS))
def test_the_order_of_events_does_not_matter(events: list[dict[str, Any]]) -> None:
    """Times decide: any order of the events gives the same conversation."""
    assert converted(events) == converted(EVENTS)


def test_a_list_of_events_is_the_same_conversation() -> None:
    """One event a line, or a list, says what the report says."""
    lines = list(enumerate(EVENTS, start=1))
    assert livekit_conversation(lines, source="a", name="report") == converted(EVENTS)


def test_two_sessions_in_one_file_are_refused() -> None:
    """A conversation is called after its file."""
    lines = [(1, {"events": EVENTS}), (2, {"events": EVENTS})]
    with pytest.raises(InvalidInput, match="line 2: a second session"):
        livekit_conversation(lines, source="a", name="a")


def test_a_file_without_events_is_refused() -> None:
    """Nothing that happened is no conversation."""
    with pytest.raises(InvalidInput, match="holds no event of LiveKit"):
        converted([])
