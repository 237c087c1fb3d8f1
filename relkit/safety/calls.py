"""The tool calls of an answer, as they were recorded: relkit's own, OpenAI's, LiveKit's.

What a format does not say stays unsaid: calls of chat completions, of the Responses API and of
LiveKit have no time from the first sample, unless ``t_ms`` was added to them.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from relkit.core.codec import MAX_DEPTH, parse, parse_json
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown, where
from relkit.safety.types import ToolCall, ToolCallResult

Item = Mapping[str, Any]

_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_NO_CALLS = frozenset(
    {"message", "reasoning", "agent_handoff", "agent_config_update", "conversation"}
)
"""Items that stand beside calls in the same list and are none."""

_OWN = ("t_ms", "request", "result")
"""Keys that a recorder may add to a call of any format."""


def calls_of(
    items: Sequence[object], *, source: str = "tool_calls", line: int | None = None
) -> tuple[ToolCall, ...]:
    """Return the calls of an answer in their order; raises InvalidInput with file and line.

    Arguments that are text are read as JSON, and stay text where they are none. An item that
    answers a call (``function_call_output``, a message of the role ``tool``) gives it its result.
    """
    at = where(source, line)
    calls: list[ToolCall] = []
    place: dict[str, int] = {}
    for i, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise InvalidInput(f'{at}: "tool_calls.{i}": an object was expected')
        kind = item.get("type")
        if kind in _OUTPUTS or item.get("role") == "tool":
            name = item.get("call_id", item.get("tool_call_id"))
            if name in place:
                call = calls[place[name]]
                calls[place[name]] = replace(call, result=call.result or _result(item))
            continue
        if kind in _NO_CALLS:
            continue
        name = item.get("call_id", item.get("id"))
        if isinstance(name, str):
            place[name] = len(calls)
        calls.append(_call(item, i, source, line))
    return tuple(calls)


def _call(item: Item, i: int, source: str, line: int | None) -> ToolCall:
    kind, at = item.get("type"), where(source, line)
    if kind is None and "function" not in item:  # relkit's own
        call = parse(ToolCall, item, source=source, line=line, inside=f"tool_calls.{i}")
        if call.t_ms is None:
            raise InvalidInput(
                f'{at}: the key "tool_calls.{i}.t_ms" is missing',
                hint="when the call was made, in ms from the first sample of the exchange",
            )
        return replace(call, arguments=_decoded(call.arguments))
    if kind in {"function_call", "custom_tool_call"}:
        inner: object = item
    elif kind in {None, "function", "custom"}:
        inner = item.get("custom" if kind == "custom" else "function")
    else:
        raise InvalidInput(
            f'{at}: "tool_calls.{i}.type": {_kind(kind)} is no call that relkit reads',
            hint='"function" of chat completions, or "function_call" of the Responses API',
        )
    if not isinstance(inner, Mapping):
        raise InvalidInput(f'{at}: "tool_calls.{i}.function": an object was expected')
    plain: dict[str, Any] = {key: item[key] for key in _OWN if key in item}
    plain["name"] = inner.get("name")
    plain["arguments"] = inner.get("arguments", inner.get("input"))
    call = parse(ToolCall, plain, source=source, line=line, inside=f"tool_calls.{i}")
    return replace(call, arguments=_decoded(call.arguments))


def _kind(kind: object) -> str:
    """Return a type to show: a word of a format, and nothing that somebody could have said."""
    word = isinstance(kind, str) and kind.endswith("_call") and kind.replace("_", "").isalpha()
    return f'"{shown(str(kind))}"' if word else "this"


def _decoded(arguments: object) -> Any:  # noqa: ANN401 - any JSON
    """Return arguments as JSON; what is none stays the text that the model wrote."""
    if not isinstance(arguments, str):
        return arguments
    try:
        if arguments.count("{") + arguments.count("[") > MAX_DEPTH:  # which may be nested as deeply
            return parse_json(arguments, source="arguments")
        return _DECODER.decode(arguments)
    except (InvalidInput, ValueError):
        return arguments


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice")
    return members


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("out of range, or no number")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite)
"""As strict as the codec about what is JSON; what is read here is written nowhere."""


def _result(item: Item) -> ToolCallResult:
    """Return how much an output holds; its words stay where they are."""
    output = item.get("output", item.get("content"))
    text = output if isinstance(output, str) else ""
    rows = _decoded(text) if text else output
    return ToolCallResult(
        rows=len(rows) if isinstance(rows, list) else None,
        bytes=len(text.encode("utf-8", "replace")),
        error="error" if item.get("is_error") is True else None,
    )


JsonKey = object
"""JSON in a form that is hashable and equal where the JSON is."""


def json_key(value: object) -> JsonKey:
    """Return what is equal for equal JSON: numbers by value (10 and 10.0), keys in any order."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, Mapping):
        return ("object", frozenset((name, json_key(item)) for name, item in value.items()))
    if isinstance(value, list | tuple):
        return ("array", tuple(json_key(item) for item in value))
    return value


def leaves(value: object, *, names: bool = False) -> Iterator[JsonValue]:
    """Yield the texts and numbers inside JSON: values, or with ``names`` the keys alone."""
    if isinstance(value, Mapping):
        if names:
            yield from value
        for item in value.values():
            yield from leaves(item, names=names)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item, names=names)
    elif not names and isinstance(value, str | int | float) and not isinstance(value, bool):
        yield cast("JsonValue", value)
