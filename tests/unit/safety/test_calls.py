"""Tool calls as they are recorded: relkit's own, chat completions, Responses, LiveKit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.errors import InvalidInput
from relkit.safety.calls import calls_of, json_key

OWN = {"name": "lamp", "arguments": {"room": "hall"}, "t_ms": 900, "request": "r1"}
CHAT = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "lamp", "arguments": '{"room": "hall"}'},
}
RESPONSES = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "lamp",
    "arguments": '{"room": "hall"}',
    "status": "completed",
}
LIVEKIT = {
    "id": "item_1",
    "type": "function_call",
    "call_id": "call_1",
    "arguments": '{"room": "hall"}',
    "name": "lamp",
    "created_at": 1764550000.5,
    "extra": {},
    "group_id": None,
}


@pytest.mark.parametrize("item", [OWN, CHAT, RESPONSES, LIVEKIT])
def test_every_format_is_the_same_call(item: dict[str, object]) -> None:
    """The name and the decoded arguments are read, and a time only where one was recorded."""
    (call,) = calls_of([item])
    assert (call.name, call.arguments) == ("lamp", {"room": "hall"})
    assert call.t_ms == item.get("t_ms")


def test_a_recorder_adds_the_time_to_a_call_of_any_format() -> None:
    """What relkit's rules need and a format lacks stands beside its own keys."""
    (call,) = calls_of([{**CHAT, "t_ms": 1200.0, "request": "r2", "result": {"rows": 3}}])
    assert (call.t_ms, call.request) == (1200.0, "r2")
    assert call.result is not None
    assert call.result.rows == 3


@pytest.mark.parametrize(
    ("item", "output"),
    [
        (
            RESPONSES,
            {"type": "function_call_output", "call_id": "call_1", "output": "[1, 2, 3]"},
        ),
        (CHAT, {"role": "tool", "tool_call_id": "call_1", "content": "[1, 2, 3]"}),
    ],
)
def test_outputs_give_their_call_a_result(item: object, output: object) -> None:
    """A list that came back is so many rows; messages between are passed over."""
    (call,) = calls_of([item, {"type": "message", "role": "assistant", "content": []}, output])
    assert call.result is not None
    assert (call.result.rows, call.result.bytes, call.result.error) == (3, 9, None)


def test_an_output_that_is_an_error_is_told() -> None:
    """LiveKit says so; its words stay where they are."""
    output = {
        "type": "function_call_output",
        "call_id": "call_1",
        "output": "no such room",
        "is_error": True,
    }
    (call,) = calls_of([LIVEKIT, output])
    assert call.result is not None
    assert (call.result.rows, call.result.error) == (None, "error")


@pytest.mark.parametrize(
    "text", ["{room: hall}", "", '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e999}', "off"]
)
def test_arguments_that_are_no_json_stay_text(text: str) -> None:
    """What a model wrote in vain is no error of the record."""
    (call,) = calls_of([{**OWN, "arguments": text}])
    assert call.arguments == text


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("lamp", 'calls.jsonl, line 7: "tool_calls.0": an object was expected'),
        ({"name": "lamp"}, 'line 7: the key "tool_calls.0.t_ms" is missing'),
        ({**OWN, "tool": "lamp"}, 'line 7: unknown key "tool_calls.0.tool"'),
        ({**OWN, "t_ms": -1}, 'line 7: "tool_calls.0.t_ms"'),
        ({"type": "web_search_call", "id": "x"}, '"web_search_call" is no call'),
        ({"type": "function", "function": "lamp"}, '"tool_calls.0.function": an object'),
        ({"type": "function", "function": {"arguments": "{}"}}, '"tool_calls.0.name"'),
    ],
)
def test_items_that_are_no_call(item: object, message: str) -> None:
    """One message with file, line and key."""
    with pytest.raises(InvalidInput) as caught:
        calls_of([item], source="calls.jsonl", line=7)
    assert message in caught.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON)
def test_equal_json_has_equal_keys(value: object) -> None:
    """What is written and read again is the same arguments, keys in any order."""
    again = json.loads(json.dumps(value))
    assert json_key(again) == json_key(value)
    if isinstance(again, dict):
        assert json_key(dict(reversed(again.items()))) == json_key(value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 10}, {"a": 10.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 0}, {"a": False}, False),
        ({"a": "1"}, {"a": 1}, False),
        ([1, 2], [2, 1], False),
        ({}, [], False),
        ({"a": None}, {}, False),
    ],
)
def test_numbers_are_equal_by_value_and_nothing_else_is(
    one: object, other: object, *, same: bool
) -> None:
    """10 is 10.0, true is not 1, and an empty object is no empty list."""
    assert (json_key(one) == json_key(other)) is same
