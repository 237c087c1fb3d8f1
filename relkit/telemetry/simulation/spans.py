"""Spans as the OpenTelemetry Collector's file exporter writes them: JSON lines of batches.

A line is a document of ``resourceSpans`` with the spans of one export, whoever they belong to, in
no order; so the spans of a turn lie on several lines, and some in the file after the next rotation.
A parent ends, and comes, after its children. Files differ in spelling (``OTLP_SPELLINGS``), as
senders and collectors do: camelCase or snake_case keys, ids in hex or base64, 64-bit integers as
strings or numbers, codes as numbers or names.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

SpanValue = str | bool | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSpan:
    """A span; ids are hexadecimal, times nanoseconds since 1970, ``resource`` is of its process.

    ``error`` is the message of an exception, empty where it ended well.
    """

    trace: str
    id: str
    parent: str
    name: str
    start: int
    end: int
    scope: str
    resource: Mapping[str, SpanValue]
    attributes: Mapping[str, SpanValue] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How a file spells OTLP JSON."""

    snake: bool = False
    base64_ids: bool = False
    numbers: bool = False
    named_codes: bool = False


OTLP_SPELLINGS = (
    Spelling(),
    Spelling(numbers=True),
    Spelling(snake=True, base64_ids=True, named_codes=True),
)
"""The collector's own, one of a JavaScript exporter, and one of protobuf's Python library."""

_EXPORT_NS = 5_000_000_000
"""Processes send, and the collector writes, what ended in so long."""

_RETRIED_NS = 300_000_000_000
"""The collector tries a failed export again for five minutes, and then gives it up."""

_HELD_BACK = 0.25
"""Share of the exports of the last five minutes that come after the next rotation."""


def batches(
    spans: Sequence[SimulatedSpan], rng: np.random.Generator
) -> tuple[list[list[SimulatedSpan]], list[list[SimulatedSpan]]]:
    """Return exports of spans in the order of their lines, and those that come in a later file."""
    ends = np.array([span.end for span in spans], np.int64)
    sent = (ends + rng.integers(0, _EXPORT_NS, len(spans))) // _EXPORT_NS
    order = np.lexsort((rng.random(len(spans)), sent))
    edges = np.flatnonzero(np.diff(sent[order])) + 1
    exports = [[spans[i] for i in part] for part in np.split(order, edges) if len(part)]
    newest = max((span.end for span in spans), default=0) - _RETRIED_NS
    recent = np.array([max(span.end for span in export) > newest for export in exports], np.bool_)
    held = (rng.random(len(exports)) < _HELD_BACK) & recent
    now = [export for export, later in zip(exports, held, strict=True) if not later]
    return now, [export for export, later in zip(exports, held, strict=True) if later]


def lines(exports: Sequence[Sequence[SimulatedSpan]], spelling: Spelling) -> Iterator[str]:
    """Yield a line for each export."""
    for export in exports:
        processes: dict[str, list[SimulatedSpan]] = {}
        for span in export:
            processes.setdefault(f"{span.resource} {span.scope}", []).append(span)
        documents = [_resource_spans(spans, spelling) for spans in processes.values()]
        key = "resource_spans" if spelling.snake else "resourceSpans"
        yield json.dumps({key: documents}, separators=(",", ":"))


def _resource_spans(spans: Sequence[SimulatedSpan], spelling: Spelling) -> dict[str, object]:
    first = spans[0]
    return {
        "resource": {"attributes": _attributes(first.resource, spelling)},
        "scope_spans" if spelling.snake else "scopeSpans": [
            {
                "scope": {"name": first.scope},
                "spans": [_span(span, spelling) for span in spans],
            }
        ],
    }


def _span(span: SimulatedSpan, spelling: Spelling) -> dict[str, object]:
    start, end = (span.start, span.end) if spelling.numbers else (str(span.start), str(span.end))
    written: dict[str, object] = {
        "traceId": _id(span.trace, spelling),
        "spanId": _id(span.id, spelling),
        "parentSpanId": _id(span.parent, spelling),
        "name": span.name,
        "kind": "SPAN_KIND_INTERNAL" if spelling.named_codes else 1,
        "startTimeUnixNano": start,
        "endTimeUnixNano": end,
        "attributes": _attributes(span.attributes, spelling),
        "status": {},
    }
    if span.error:
        written["status"] = {
            "code": "STATUS_CODE_ERROR" if spelling.named_codes else 2,
            "message": span.error,
        }
        exception = _attributes({"exception.message": span.error}, spelling)
        written["events"] = [{"timeUnixNano": end, "name": "exception", "attributes": exception}]
    if not span.parent:
        del written["parentSpanId"]
    return _snake(written) if spelling.snake else written


def _attributes(attributes: Mapping[str, SpanValue], spelling: Spelling) -> list[dict[str, object]]:
    return [{"key": key, "value": _value(value, spelling)} for key, value in attributes.items()]


def _value(value: SpanValue, spelling: Spelling) -> dict[str, object]:
    written: SpanValue = value
    if isinstance(value, bool):
        kind = "bool"
    elif isinstance(value, int):
        kind = "int"
        written = value if spelling.numbers else str(value)
    else:
        kind = "double" if isinstance(value, float) else "string"
    return {f"{kind}_value" if spelling.snake else f"{kind}Value": written}


def _id(digits: str, spelling: Spelling) -> str:
    if not spelling.base64_ids:
        return digits
    return base64.b64encode(bytes.fromhex(digits)).decode("ascii")


_SNAKE = {
    "traceId": "trace_id",
    "spanId": "span_id",
    "parentSpanId": "parent_span_id",
    "startTimeUnixNano": "start_time_unix_nano",
    "endTimeUnixNano": "end_time_unix_nano",
    "timeUnixNano": "time_unix_nano",
}


def _snake(written: dict[str, object]) -> dict[str, object]:
    named = {_SNAKE.get(key, key): value for key, value in written.items()}
    if isinstance(events := named.get("events"), list):
        named["events"] = [_snake(event) for event in events]
    return named
