"""What is read of a span, and nothing else: numbers, flags, ids that are hashed, named labels.

Every attribute that may be read stands in a table here; a text that is not in it is never looked
at. Numbers that their senders are known to write for "not measured" are no values.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from relkit.telemetry.columns import factor
from relkit.telemetry.types import COLUMNS, ColumnMapping, Kind
from relkit.telemetry.usage import FIELDS

AttributeValue = float | str | bool

ReadAs = Literal["delay", "amount", "flag", "id", "word", "label", "figures", "tokens"]
"""How an attribute is read: see ``READERS``; ``figures`` are numbers inside a JSON text."""

LONGEST_DELAY_S = 60.0
"""A delay above this is a stale anchor or a Unix time (livekit/agents 2388, 2606, 3591, 4388)."""

_MOST_LEVELS = 64

LONGEST_WORD = 100
"""Characters of a label: what is longer is no name of a model, language or release."""

READ_ATTRIBUTES: Mapping[str, ReadAs] = {
    # pipecat, utils/tracing
    "conversation.id": "id",
    "turn.number": "amount",
    "turn.user_bot_latency_seconds": "delay",
    "turn.user_turn_seconds": "delay",
    "turn.was_interrupted": "flag",
    "turn.ended_by_conversation_end": "flag",
    "metrics.ttfb": "delay",
    "metrics.character_count": "amount",
    "metrics.audio_seconds": "amount",
    # livekit-agents, telemetry/trace_types
    "lk.speech_id": "id",
    "lk.e2e_latency": "delay",
    "lk.response.ttft": "delay",
    "lk.response.ttfb": "delay",
    "lk.end_of_turn_delay": "delay",
    "lk.transcription_delay": "delay",
    "lk.interrupted": "flag",
    "lk.retry_count": "amount",
    "lk.speech.queue_wait": "delay",
    "lk.tts_metrics": "figures",
    # OpenTelemetry GenAI
    "gen_ai.operation.name": "word",
    "gen_ai.conversation.id": "id",
    "session.id": "id",
    "gen_ai.provider.name": "word",
    "gen_ai.system": "word",
    "gen_ai.request.model": "word",
    "gen_ai.response.model": "word",
    "gen_ai.response.time_to_first_chunk": "delay",
    "error.type": "word",
    **dict.fromkeys(FIELDS, "tokens"),
}
"""The attributes that dialects read, and how."""

FIGURES = ("characters_count", "audio_duration")
"""Numbers that are read out of ``lk.tts_metrics``, a JSON text; nothing else of it is."""

LABELS: Mapping[str, tuple[str, ...]] = {
    "release": ("service.version", "lk.deployment_id"),
    "environment": ("deployment.environment.name", "deployment.environment"),
    "language": ("language", "lk.eou.language"),
}
"""Columns of text that are read unless the mapping says otherwise; the first name wins."""

_LABEL_KINDS: Mapping[Kind, ReadAs] = {
    "key": "id",
    "text": "word",
    "flag": "flag",
    **dict.fromkeys(("ms", "s", "number", "count"), "amount"),
}


class TraceSpan(NamedTuple):
    """What was read of one span; times in ns since 1970, 0 where there is none.

    In ``attributes`` a delay that nobody measured is None. ``labels`` hold what the mapping names
    on the span, ``resource`` on its resource; ``counts`` are token counts. ``bad`` counts values
    that are none.
    """

    trace: str
    id: str
    parent: str
    name: str
    start: int
    end: int
    failed: bool
    attributes: dict[str, AttributeValue | None]
    labels: dict[str, AttributeValue]
    resource: dict[str, AttributeValue]
    counts: dict[str, float]
    bad: int


class AttributeEntry(NamedTuple):
    """How an attribute is read: ``into`` says where to, ``label`` reads it as a label, too.

    A ``plain`` one is read into the attributes and nothing else.
    """

    plain: bool
    read: "Reader | None"
    field: str
    into: Literal["attributes", "counts", "figures"]
    label: "Reader | None"


class AttributeTable:
    """Which attributes are read, and which columns the labels among them fill."""

    def __init__(self, mapping: ColumnMapping) -> None:
        """Take columns to attributes; they replace the defaults of their columns.

        Raises ValueError for a unit of what is no duration, and for an attribute that is to fill
        two columns in different ways.
        """
        self.labels: dict[str, tuple[str, ...]] = {
            column: names for column, names in LABELS.items() if column not in mapping
        } | {column: (mapped.column,) for column, mapped in mapping.items()}
        ways: dict[str, tuple[ReadAs, Kind | None, float]] = {}
        for column, names in self.labels.items():
            kind = COLUMNS.get(column)
            unit = mapping[column].unit if column in mapping else None
            scale = factor(kind or "text", unit)
            way: tuple[ReadAs, Kind | None, float] = (
                "label" if kind is None else _LABEL_KINDS[kind],
                kind if kind in {"ms", "s"} else None,
                scale,
            )
            for name in names:
                if ways.setdefault(name, way) != way:
                    raise ValueError(f"{name} is mapped to columns of different kinds")
        self.entries: dict[str, AttributeEntry] = {
            name: _entry(name, READ_ATTRIBUTES.get(name), ways.get(name))
            for name in (*READ_ATTRIBUTES, *ways)
        }

    def fill(self, values: dict[str, AttributeValue], labels: Mapping[str, AttributeValue]) -> None:
        """Write the columns that labels fill."""
        for column, names in self.labels.items():
            for name in names:
                if name in labels:
                    values[column] = labels[name]
                    break


def _entry(
    name: str, read_as: ReadAs | None, way: tuple[ReadAs, Kind | None, float] | None
) -> AttributeEntry:
    return AttributeEntry(
        way is None and read_as not in {"tokens", "figures"},
        READERS.get(read_as) if read_as is not None else None,
        FIELDS.get(name, name),
        "counts" if read_as == "tokens" else "figures" if read_as == "figures" else "attributes",
        None
        if way is None
        else READERS[way[0]]
        if way[1] is None
        else partial(_read_duration, kind=way[1], scale=way[2]),
    )


def _read_duration(raw: object, *, kind: Kind, scale: float) -> float | None:
    """Return a duration in its column's unit; a delay counts up to 60 s, as everywhere."""
    amount = read_amount(raw)
    if amount is None:
        return None
    scaled = amount * scale
    return scaled if kind == "s" or read_delay(scaled / 1000.0) is not None else None


def read_amount(raw: object) -> float | None:
    """Return a finite number of 0 or more, also one written as text; None for anything else."""
    if type(raw) is not float:
        if isinstance(raw, bool) or not isinstance(raw, str | int | float):
            return None
        try:
            raw = float(raw)
        except (ValueError, OverflowError):
            return None
    return raw if 0.0 <= raw < math.inf else None


def read_delay(raw: object) -> float | None:
    """Return seconds in (0, 60]; -1 and 0.0 stand for "not measured" (livekit/agents 2388, 3591).

    Beyond are Unix times, and delays from an anchor that was never set again (2606, 4388).
    """
    seconds = raw if type(raw) is float else read_amount(raw)
    return seconds if seconds is not None and 0.0 < seconds <= LONGEST_DELAY_S else None


def read_flag(raw: object) -> bool | None:
    """Return true or false; None for anything else."""
    return raw if isinstance(raw, bool) else None


def read_id(raw: object) -> str | None:
    """Return what is to be hashed: a text or a number."""
    if type(raw) is str:
        return raw or None
    return None if isinstance(raw, bool) or not isinstance(raw, int | float) else str(raw)


def read_word(raw: object) -> str | None:
    """Return a printable text of at most 100 characters, or a number as text."""
    if type(raw) is str:
        return raw if 0 < len(raw) <= LONGEST_WORD and raw.isprintable() else None
    return read_id(raw)


def read_label(raw: object) -> AttributeValue | None:
    """Return a word, a number, true or false."""
    if isinstance(raw, bool | float):
        return raw if raw == raw and abs(raw) != math.inf else None  # noqa: PLR0124 - NaN
    return float(raw) if isinstance(raw, int) else read_word(raw)


Reader = Callable[[object], AttributeValue | None]

READERS: Mapping[ReadAs, Reader] = {
    "delay": read_delay,
    "amount": read_amount,
    "tokens": read_amount,
    "flag": read_flag,
    "id": read_id,
    "word": read_word,
    "label": read_label,
}
"""How the value of an attribute is read; None is no value."""


@dataclass(slots=True, kw_only=True)
class TraceTurn:
    """A turn of a trace or call: who it belongs to, its end in ns since 1970, columns by name.

    ``session`` and ``turn`` are as the sender wrote them: hash them before anything is written.
    ``spans`` counts the spans it was made of, ``repeats`` how often it came again.
    """

    session: str
    turn: str
    end: int
    values: dict[str, AttributeValue]
    spans: int = 0
    made_inclusive: int = 0
    repeats: int = 0


class SpanTree:
    """The spans of one trace, each once, with the way up from each of them.

    ``repeats`` says how often spans came again; of two that differ the later one counts.
    """

    def __init__(self, spans: Iterable[TraceSpan]) -> None:
        """Take spans in any order."""
        by_id: dict[str, TraceSpan] = {}
        self.repeats: dict[str, int] = {}
        for span in spans:
            if span.id in by_id:
                self.repeats[span.id] = self.repeats.get(span.id, 0) + 1
                span = max(span, by_id[span.id], key=_newest)  # noqa: PLW2901
            by_id[span.id] = span
        self.by_id = by_id
        self.spans = sorted(by_id.values(), key=_by_time)

    def above(self, span: TraceSpan) -> list[TraceSpan]:
        """Return the parent of a span, its parent, and so on, over at most 64 levels."""
        path: list[TraceSpan] = []
        parent = self.by_id.get(span.parent)
        while parent is not None and len(path) < _MOST_LEVELS:
            path.append(parent)
            parent = self.by_id.get(parent.parent)
        return path

    def below(self, roots: Mapping[str, str]) -> dict[str, list[TraceSpan]]:
        """Return the spans below each root, in time; ``roots`` maps a span's id to its group."""
        groups: dict[str, list[TraceSpan]] = {group: [] for group in roots.values()}
        for span in self.spans:
            if span.id in roots:
                continue
            if span.parent in roots:
                groups[roots[span.parent]].append(span)
                continue
            for parent in self.above(span):
                if parent.id in roots:
                    groups[roots[parent.id]].append(span)
                    break
        return groups


def _by_time(span: TraceSpan) -> tuple[int, str]:
    return span.start, span.id


def _newest(span: TraceSpan) -> tuple[int, int, str]:
    return span.end, span.start, repr(span)
