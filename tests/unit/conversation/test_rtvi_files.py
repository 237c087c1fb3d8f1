"""RTVI logs as recorded conversations."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.conversation.logs import RecordedConversation
from relkit.conversation.rtvi_files import RTVI_KINDS, rtvi_conversation
from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer

CALL: tuple[tuple[int, str, Mapping[str, Any] | None], ...] = (
    (0, "bot-ready", {"version": "2.2.0"}),
    (1000, "user-started-speaking", None),
    (1600, "user-transcription", {"text": "set a", "final": False}),
    (2500, "user-stopped-speaking", None),
    (2550, "user-transcription", {"text": "Set a timer.", "final": True}),
    (2600, "metrics", {"ttfb": [{"processor": "STT#0", "value": 0.0},
                                {"processor": "LLM#0", "value": 0.25}]}),
    (2610, "bot-llm-started", None),
    (2700, "llm-function-call-in-progress",
     {"tool_call_id": "c1", "function_name": "set_timer", "arguments": {"minutes": 10}}),
    (2800, "llm-function-call-stopped", {"tool_call_id": "c1", "cancelled": False, "result": "ok"}),
    (2900, "bot-llm-text", {"text": "Your timer "}),
    (2910, "bot-llm-text", {"text": "is set."}),
    (2950, "bot-tts-started", None),
    (3100, "bot-started-speaking", None),
    (4000, "bot-interrupted", None),
    (4050, "bot-stopped-speaking", None),
    (4060, "of-this-company", {"x": 1}),
)  # fmt: skip


def line_of(at: int, kind: str, data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a line of a log as a client writes it that keeps the time of arrival."""
    message: dict[str, Any] = {"label": "rtvi-ai", "type": kind, "id": "x"}
    if data is not None:
        message["data"] = data
    return {"timestamp": f"2026-03-01T10:00:{at / 1000:06.3f}Z", "message": message}


LINES = [line_of(*item) for item in CALL]


def converted(*documents: Mapping[str, Any]) -> RecordedConversation:
    """Return the conversation of these lines."""
    return rtvi_conversation(enumerate(documents, start=1), source="call.jsonl", name="call")


def answer_of(*documents: Mapping[str, Any]) -> Answer:
    """Return the answer of these lines."""
    outcome = converted(*documents).outcome
    assert isinstance(outcome, Answer)
    return outcome


def test_messages_become_events_on_one_clock() -> None:
    """Kinds are those that relkit computes with, times count from the first message."""
    answer = answer_of(*LINES)
    assert [(event.t_ms, event.kind) for event in answer.events if "." not in event.kind] == [
        (1000, "user_started_speaking"),
        (1600, "partial"),
        (2500, "user_stopped_speaking"),
        (2550, "final"),
        (2610, "llm_started"),
        (2700, "tool_started"),
        (2800, "tool_stopped"),
        (2900, "llm_token"),
        (2910, "llm_token"),
        (2950, "tts_started"),
        (3100, "agent_started_speaking"),
        (4000, "interrupted"),
        (4050, "agent_stopped_speaking"),
    ]
    assert answer.text == "Your timer is set."
    assert answer.duration_ms == 4060
    assert answer.tool_calls == (
        {
            "t_ms": 2700.0,
            "name": "set_timer",
            "arguments": {"minutes": 10},
            "result": {"bytes": 2},
        },
    )


def test_stand_ins_are_null_and_counted() -> None:
    """A delay of 0.0 stands for one that nobody measured, and so do -1 and 200 s."""
    recorded = converted(*LINES)
    assert recorded.not_measured == {"ttfb": 1}
    answer = answer_of(*LINES)
    assert answer.usage["not_measured.ttfb"] == 1
    metrics = next(event for event in answer.events if event.kind == "rtvi.metrics")
    assert metrics.data == {"ttfb_ms": {"STT#0": None, "LLM#0": 250.0}}
    worse = [{"processor": "A", "value": value} for value in (-1, 203.0, 0)]
    assert converted(LINES[0], line_of(1, "metrics", {"ttfb": worse})).not_measured == {"ttfb": 3}


def test_unknown_messages_are_kept_and_counted() -> None:
    """A message of nobody's is an event under its own name, another logger's line is counted."""
    recorded = converted(*LINES, {"level": "INFO"})
    assert recorded.unknown == {"no_message": 1, "of-this-company": 1}
    kept = answer_of(*LINES).events[-1]
    assert (kept.kind, kept.data) == ("rtvi.of-this-company", {"x": 1})


@given(st.permutations(LINES))
def test_the_order_of_lines_does_not_matter(lines: list[dict[str, Any]]) -> None:
    """Times decide: any order of the lines gives the same conversation."""
    assert converted(*lines) == converted(*LINES)


@pytest.mark.parametrize("kind", sorted(RTVI_KINDS))
def test_every_type_of_the_table_is_one_event(kind: str) -> None:
    """Each type that is an event by itself is that one event, at its time."""
    answer = answer_of({"t_ms": 250, "type": kind})
    assert [(event.t_ms, event.kind) for event in answer.events] == [(250, RTVI_KINDS[kind])]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"t_ms": -1, "type": "bot-ready"}, "line 2: .*before the first audio sample"),
        ({"type": "bot-ready"}, "line 2: the message has no time"),
        ({"t_ms": 5, "type": "bot-ready"}, "line 2: .*another clock than .* in line 1"),
        ({"timestamp": 12.5, "type": "bot-ready"}, "line 2: .*no Unix time"),
        ({"timestamp": "noon", "type": "bot-ready"}, "line 2: .*no ISO time"),
        ({"timestamp": "2026-03-01T10:00:00", "type": "x"}, "line 2: .*another clock"),
        ({"timestamp": "2026-03-01T10:00:00Z", "type": "bot-llm-text"}, 'line 2: .*no "data.text"'),
    ],
)
def test_what_is_wrong_is_named_with_its_line(document: dict[str, Any], message: str) -> None:
    """Times that are missing, negative or of another clock are refused with file and line."""
    with pytest.raises(InvalidInput, match=message):
        converted(LINES[0], document)


def test_a_file_without_messages_is_refused() -> None:
    """A log of something else is no conversation."""
    with pytest.raises(InvalidInput, match="holds no RTVI message"):
        converted({"level": "INFO"})
