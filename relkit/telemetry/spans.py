"""What is read of a span, and nothing else: numbers, flags, ids that are hashed, named labels.

Every attribute that may be read stands in a table here; a text that is not in it is never looked
at. Numbers that their senders are known to write for "not measured" are no values.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from relkit.telemetry.columns import factor
from relkit.telemetry.types import COLUMNS, ColumnMapping, Kind
from relkit.telemetry.usage import FIELDS

AttributeValue = float | str | bool

ReadAs = Literal["delay", "amount", "flag", "id", "word", "label", "figures", "tokens"]
"""How an attribute is read: see ``READERS``; ``figures`` are numbers inside a JSON text."""

LONGEST_DELAY_S = 60.0
"""A delay above this is a stale anchor or a Unix time (livekit/agents 2388, 2606, 3591, 4388)."""

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


class LabelSource(NamedTuple):
    """An attribute that a column is read from, and the factor to the column's own unit."""

    name: str
    factor: float = 1.0


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
    """How an attribute is read: ``into`` says where to, ``label`` reads it as a label, too."""

    read: "Reader | None"
    field: str
    into: Literal["attributes", "counts", "figures"]
    label: "Reader | None"


class AttributeTable:
    """Which attributes are read, and which columns the labels among them fill."""

    def __init__(self, mapping: ColumnMapping) -> None:
        """Take columns to attributes; they replace the defaults of their columns.

        Raises ValueError for a unit of what is no duration.
        """
        self.labels: dict[str, tuple[LabelSource, ...]] = {
            column: tuple(map(LabelSource, names))
            for column, names in LABELS.items()
            if column not in mapping
        }
        for column, mapped in mapping.items():
            scale = factor(COLUMNS.get(column, "text"), mapped.unit)
            self.labels[column] = (LabelSource(mapped.column, scale),)
        kinds: dict[str, ReadAs] = {
            source.name: _LABEL_KINDS[COLUMNS[column]] if column in COLUMNS else "label"
            for column, sources in self.labels.items()
            for source in sources
        }
        self.entries: dict[str, AttributeEntry] = {
            name: _entry(name, READ_ATTRIBUTES.get(name), kinds.get(name))
            for name in (*READ_ATTRIBUTES, *kinds)
        }

    def columns(self, labels: Mapping[str, AttributeValue]) -> Iterator[tuple[str, AttributeValue]]:
        """Yield the columns that labels fill, in their units."""
        for column, sources in self.labels.items():
            for source in sources:
                value = labels.get(source.name)
                if value is not None:
                    scaled = source.factor != 1.0 and isinstance(value, float)
                    yield column, float(value) * source.factor if scaled else value
                    break


def _entry(name: str, read_as: ReadAs | None, label: ReadAs | None) -> AttributeEntry:
    return AttributeEntry(
        READERS.get(read_as) if read_as is not None else None,
        FIELDS.get(name, name),
        "counts" if read_as == "tokens" else "figures" if read_as == "figures" else "attributes",
        READERS[label] if label is not None else None,
    )


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

    def above(self, span: TraceSpan) -> Iterator[TraceSpan]:
        """Yield the parent of a span, its parent, and so on; a circle ends where it closes."""
        passed = {span.id}
        parent = self.by_id.get(span.parent)
        while parent is not None and parent.id not in passed:
            yield parent
            passed.add(parent.id)
            parent = self.by_id.get(parent.parent)

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
