"""OTLP JSON: documents of ``resourceSpans`` to spans, in every spelling that occurs.

Keys in camelCase or snake_case, ids in hex or base64, 64-bit integers as strings or numbers,
``instrumentationLibrarySpans`` of before OTLP 0.16. What is not named in the attribute table is
never looked at.
"""

import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from relkit.telemetry.spans import (
    FIGURES,
    AttributeTable,
    AttributeValue,
    TraceSpan,
    read_amount,
    read_delay,
    read_label,
)

TRACE_KEYS = ("resourceSpans", "resource_spans")
OTHER_SIGNALS = {
    "resourceMetrics": "metrics",
    "resource_metrics": "metrics",
    "resourceLogs": "logs",
    "resource_logs": "logs",
}
"""Key of a document to the signal it holds instead of traces."""

_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
_FAILED = (2, "2", "STATUS_CODE_ERROR", "ERROR")
_HEX_TRACE, _HEX_SPAN = 32, 16

Json = Mapping[str, Any]
_Labels = dict[str, AttributeValue]


def is_trace_document(document: object) -> bool:
    """Tell whether a JSON value is an OTLP document of traces."""
    return isinstance(document, Mapping) and any(key in document for key in TRACE_KEYS)


class SpanReader:
    """Reads spans out of documents by one attribute table.

    ``unreadable`` counts spans without a usable trace or span id; ``label_names`` are the labels
    that were on a span or a resource.
    """

    def __init__(self, table: AttributeTable) -> None:
        """Start with nothing read."""
        self._entry = table.entries.get
        self.unreadable = 0
        self.label_names: set[str] = set()

    def spans(self, document: Json) -> Iterator[TraceSpan]:
        """Yield the spans of a document; raises ValueError where it is no OTLP."""
        for resource_spans in _list(document, TRACE_KEYS):
            resource = resource_spans.get("resource") or {}
            labels = self._attributes(resource.get("attributes") or ())[1]
            for scope in _list(resource_spans, _SCOPES):
                for span in scope.get("spans") or ():
                    try:
                        yield self._span(span, labels)
                    except (KeyError, TypeError, AttributeError, ValueError):
                        self.unreadable += 1

    def _span(self, span: Json, resource: _Labels) -> TraceSpan:
        """Return a span; raises KeyError, TypeError or ValueError for one without ids."""
        get = span.get
        trace: Any = get("traceId")
        own_id: Any = get("spanId")
        parent: Any = get("parentSpanId")
        start, end = get("startTimeUnixNano"), get("endTimeUnixNano")
        if trace is None:
            trace, own_id, parent = span["trace_id"], span["span_id"], get("parent_span_id")
            start, end = get("start_time_unix_nano"), get("end_time_unix_nano")
        name = get("name")
        parent = parent or ""
        if len(trace) != _HEX_TRACE or len(own_id) != _HEX_SPAN:
            trace, own_id = _hex(trace, 16), _hex(own_id, 8)
        if parent and len(parent) != _HEX_SPAN:
            parent = _hex(parent, 8)
        status = get("status") or _NO_STATUS
        attributes, labels, counts, bad = self._attributes(get("attributes") or ())
        return TraceSpan(
            trace.lower(),
            own_id.lower(),
            parent.lower(),
            name if type(name) is str else "",
            int(start or 0),
            int(end or 0),
            status.get("code") in _FAILED,
            attributes,
            labels,
            resource,
            counts,
            bad,
        )

    def _attributes(  # noqa: C901, PLR0912 - the loop that takes the time, in one piece
        self, attributes: Iterable[Json]
    ) -> tuple[dict[str, AttributeValue | None], _Labels, dict[str, float], int]:
        """Return what dialects read, labels, token counts, and how many values are none."""
        find = self._entry
        read: dict[str, AttributeValue | None] = {}
        labels: _Labels = _NO_VALUES
        counts: dict[str, float] = _NO_COUNTS
        bad = 0
        for attribute in attributes:
            entry = find(attribute["key"])
            if entry is None:
                continue
            plain, reader, field, into, label = entry
            raw = None
            for raw in attribute["value"].values():  # noqa: B007 - the first, and there is but one
                break
            if plain and reader is not None:
                value = reader(raw)
                if value is None:
                    bad += 1
                    if reader is not read_delay:
                        continue
                read[field] = value  # None: there was a delay, which nobody measured
                continue
            if reader is not None:
                value = reader(raw)
                if value is None:
                    bad += 1
                    if reader is read_delay:
                        read[field] = None  # there was a delay, which nobody measured
                elif into == "attributes":
                    read[field] = value
                else:
                    # Two spellings of one count: the larger, as the other one is a default.
                    if counts is _NO_COUNTS:
                        counts = {}
                    counts[field] = max(counts.get(field, 0.0), float(value))
            elif into == "figures":
                read.update(_figures(raw))
            if label is not None:
                kind = next(iter(attribute["value"]), "")
                if label is read_label and kind[:1] in {"i", "d"}:  # a 64-bit integer is a string
                    raw = read_amount(raw)
                value = label(raw)
                if value is None:
                    bad += reader is None
                else:
                    if labels is _NO_VALUES:
                        labels = {}
                    labels[attribute["key"]] = value
                    self.label_names.add(attribute["key"])
        return read, labels, counts, bad


_NO_STATUS: Json = {}
_NO_VALUES: _Labels = {}
_NO_COUNTS: dict[str, float] = {}


def _figures(text: object) -> Iterator[tuple[str, AttributeValue]]:
    """Yield the numbers that are read of a JSON text, and nothing else of it."""
    try:
        figures = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return
    if isinstance(figures, dict):
        for name in FIGURES:
            amount = read_amount(figures.get(name))
            if amount is not None:
                yield name, amount


def _list(document: Json, keys: Iterable[str]) -> Iterator[Json]:
    """Yield the objects of the lists under any of the keys; raises ValueError for others."""
    for key in keys:
        for element in document.get(key) or ():
            if not isinstance(element, Mapping):
                raise ValueError(f"{key} holds something that is no object")  # noqa: TRY004
            yield element


def _hex(written: str, size: int) -> str:
    """Return an id of ``size`` bytes in hex; raises KeyError for what is none."""
    if len(written) == 2 * size:
        return written
    try:
        data = binascii.a2b_base64(written.translate(_URL_SAFE) + "==")
    except (binascii.Error, ValueError) as error:
        raise KeyError("id") from error
    if len(data) != size:
        raise KeyError("id")
    return data.hex()


_URL_SAFE = str.maketrans("-_", "+/")
