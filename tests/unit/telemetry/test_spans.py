"""What is read of attributes, and the tree of the spans of a trace."""

from typing import Any

import pytest

from relkit.telemetry.dialects import detect
from relkit.telemetry.otlp_files import SpanReader
from relkit.telemetry.spans import (
    READERS,
    AttributeTable,
    ReadAs,
    SpanTree,
    TraceSpan,
)
from relkit.telemetry.types import MappedColumn
from tests.trace_data import attribute, document, span


def read(*spans: dict[str, object], **mapping: MappedColumn) -> list[TraceSpan]:
    """Return spans as they are read with a mapping."""
    return list(SpanReader(AttributeTable(mapping)).spans(document(spans)))


@pytest.mark.parametrize(
    ("read_as", "raw", "value"),
    [
        ("delay", 0.5, 0.5),
        ("delay", "0.5", 0.5),
        ("delay", 60, 60.0),
        ("delay", 60.001, None),
        ("delay", 0.0, None),
        ("delay", -1, None),
        ("delay", 1_790_000_000.0, None),
        ("delay", float("nan"), None),
        ("delay", True, None),
        ("amount", 0, 0.0),
        ("amount", "12", 12.0),
        ("amount", "1e999", None),
        ("amount", "-0.1", None),
        ("amount", "hello", None),
        ("amount", None, None),
        ("flag", True, True),
        ("flag", "true", None),
        ("id", 12, "12"),
        ("id", "x" * 500, "x" * 500),
        ("id", "", None),
        ("id", True, None),
        ("word", "en-US", "en-US"),
        ("word", 3, "3"),
        ("word", "x" * 101, None),
        ("word", "two\nlines", None),
        ("word", ["a"], None),
        ("label", 2, 2.0),
        ("label", False, False),
        ("label", float("inf"), None),
    ],
)
def test_values_and_what_is_none(read_as: ReadAs, raw: object, value: object) -> None:
    """Numbers written as texts are numbers; sentinels, long texts and other kinds are no values."""
    assert READERS[read_as](raw) == value


def test_a_mapped_duration_is_converted_and_held_to_a_minute() -> None:
    """Units go into the column's own, and a Unix time is no latency."""
    mapped = MappedColumn(column="app.e2e", unit="s")
    good, bad = read(span("x", 1, app__e2e=0.8), span("x", 2, app__e2e=1.79e9), latency_ms=mapped)
    assert good.labels == {"app.e2e": 800.0}
    assert (bad.labels, bad.bad) == ({}, 1)


def test_an_attribute_cannot_be_two_kinds() -> None:
    """A number of seconds and a text from one attribute is a mistake of the mapping."""
    seconds = MappedColumn(column="app.e2e", unit="s")
    with pytest.raises(ValueError, match=r"app\.e2e"):
        AttributeTable({"latency_ms": seconds, "device": MappedColumn(column="app.e2e")})
    with pytest.raises(ValueError, match="unit"):
        AttributeTable({"device": seconds})


def test_empty_and_odd_values_are_passed_over() -> None:
    """A value without a kind, a list and a nested one are no values, and break nothing."""
    odd = span("turn", 1)
    odd["attributes"] = [
        {"key": "turn.number", "value": {}},
        {"key": "metrics.ttfb", "value": {"arrayValue": {"values": []}}},
        {"key": "gen_ai.usage.input_tokens", "value": {"kvlistValue": {}}},
        attribute("metrics.character_count", 3),
    ]
    (turn,) = read(odd)
    assert turn.attributes == {"metrics.ttfb": None, "metrics.character_count": 3.0}
    assert turn.bad == 3


def test_two_spellings_of_a_count_are_one() -> None:
    """The larger one counts, as the other is a default."""
    (call,) = read(
        span(
            "llm_request",
            1,
            gen_ai__usage__cache_read__input_tokens=80,
            gen_ai__usage__input_cached_tokens=0,
        )
    )
    assert call.counts == {"cache_read": 80.0}


def test_a_circle_of_parents_ends() -> None:
    """Spans that are each other's parents are walked once and belong to nobody."""
    tree = SpanTree(read(span("llm", 1, 2), span("tts", 2, 1), span("turn", 3)))
    assert len(tree.above(tree.by_id[f"{1:016x}"])) <= 64
    assert tree.below({f"{3:016x}": "turn"}) == {"turn": []}


@pytest.mark.parametrize(
    ("name", "attributes", "dialect"),
    [
        ("turn", {"turn__number": 1}, "pipecat"),
        ("turn", {}, None),
        ("llm", {"gen_ai__operation__name": "chat"}, "pipecat"),
        ("llm_node", {"gen_ai__operation__name": "chat"}, "livekit"),
        ("agent_turn", {}, "livekit"),
        ("user_turn", {}, "livekit"),
        ("chat gpt-4o", {"gen_ai__operation__name": "chat"}, "genai"),
        ("anything", {"gen_ai__usage__prompt_tokens": 1}, "genai"),
        ("GET /", {}, None),
    ],
)
def test_dialects_are_found_by_names(
    name: str, attributes: dict[str, Any], dialect: str | None
) -> None:
    """Names tell who wrote a trace, of a stage too whose turn is elsewhere; others are nobody's."""
    assert detect(read(span(name, 1, **attributes))) == dialect
