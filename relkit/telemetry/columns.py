"""What the columns of a telemetry file are to relkit: its own, attributes, events, or left out."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal, cast

from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.wording import count
from relkit.core.yaml_text import shown
from relkit.telemetry.types import COLUMNS, ColumnMapping, ColumnUnit, MappedColumn

Role = Literal["own", "attribute", "event", "measure", "left_out"]
"""``own`` columns mean something to relkit, ``measure`` is any other number."""

Held = Literal["text", "flag", "number", "other"]
"""What a column of a file holds, as far as that matters."""

LONGEST_S = 86_400.0
"""A day: no stage of a turn takes longer, and a Unix time is far beyond it."""

SECONDS: Mapping[ColumnUnit, float] = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
}
"""Unit to seconds."""

REQUIRED_COLUMNS = ("ts", "session", "turn_id")

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "ts": ("timestamp", "time", "end_time", "ended_at", "created_at"),
    "session": ("session_id", "conversation_id", "call_id", "sessionid", "conversation"),
    "turn_id": ("turn", "turnid", "request_id", "id", "message_id"),
    "unit": ("user_id", "device_id", "caller_id"),
    "release": ("version", "service_version", "deployment"),
}
"""Names under which others keep the same; they are named in a hint and never taken unasked."""

_RESERVED = frozenset(
    {*COLUMNS, "turn", "failed", "naive", "named", "bad_values", "turn_text"},
)
"""Names that the turn table uses itself, however they are spelled."""

_OF_PEOPLE = re.compile(
    r"transcript|text|utterance|prompt|messages?$|content|query|question|answer|response|arguments?"
    r"|instruction|email|phone|address|first_?name|last_?name|full_?name|user_?name|customer"
    r"|(^|_)name$|(^|_)ip$|audio_?(url|path|file)|recording|password|secret|token$",
    re.IGNORECASE,
)

_SOFTWARE = "client"
"""The program that a person speaks to, not the person."""

_PERSON = "speaker|user|caller|customer|client|person|patient|contact|account|subscriber|member"
_OF_PERSONS = re.compile(
    rf"(?:{_PERSON})s?(?:[_ .-]?(?:id|no|number|key|hash|name))?|(?:.*[_ .-])?(?:id|uuid|guid)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPlan:
    """How a column of a file becomes one of the turn table.

    ``name`` is its name there, ``source`` that in the file, ``role`` what it is; ``mapped`` has
    the unit and zone of a mapping. ``why`` says why it is left out.
    """

    name: str
    source: str
    role: Role
    mapped: MappedColumn | None = None
    why: str = ""


def plan_columns(
    types: Mapping[str, Held],
    mapping: ColumnMapping,
    *,
    source: str,
) -> tuple[ColumnPlan, ...]:
    """Return what to do with each column of a file.

    ``types`` is column to what it holds as far as that matters; ``source`` names the file in
    errors. What a mapping uses is known by its new name alone. Columns that hold text of people by
    their name are left out unless a mapping names them as an attribute; they never become anything
    else. Raises InvalidInput for a mapping of a column that is not there and for a required
    column that is missing, with the nearest name.
    """
    plans = []
    used = set()
    for name, mapped in mapping.items():
        if mapped.column not in types:
            hint = nearest(mapped.column, tuple(types)) or f"columns: {_listed(types)}"
            raise InvalidInput(
                f'{source}: no column "{shown(mapped.column)}" for mapping: {shown(name)}',
                hint=hint,
            )
        if _is_reserved(name):
            raise InvalidInput(
                f'mapping: "{shown(name)}" is a name that the turn table uses itself',
                hint=nearest(name, tuple(COLUMNS)) or "give it another",
            )
        used.add(mapped.column)
        role = _role(name, types[mapped.column], mapped=True)
        plans.append(ColumnPlan(name=name, source=mapped.column, role=role, mapped=mapped))
    named = set(mapping)
    for column, kind in types.items():
        if column in used or column in named:
            continue
        role = _role(column, kind, mapped=False)
        why = ""
        if role == "left_out":
            why = (
                "the turn table uses this name itself: give it another under mapping:"
                if _is_reserved(column)
                else "it may hold text of people"
                if _OF_PEOPLE.search(column)
                else "a list, an object or a time"
            )
        plans.append(ColumnPlan(name=column, source=column, role=role, why=why))
    names = {plan.name for plan in plans if plan.role != "left_out"}
    for required in REQUIRED_COLUMNS:
        if required not in names:
            raise InvalidInput(f"{source}: no column {required}", hint=_hint(required, types))
    return tuple(plans)


def _is_reserved(name: str) -> bool:
    return name not in COLUMNS and name.casefold() in _RESERVED


_NAMES = frozenset({"tenant", "region", "client", "error_code"})


def holds_names(column: str) -> bool:
    """Return whether a column holds names although they may look like numbers: version 2.10."""
    return column in _NAMES or column.startswith("release_")


def _role(name: str, kind: Held, *, mapped: bool) -> Role:
    if name in COLUMNS:
        return "own"
    if _is_reserved(name):
        return "left_out"
    if holds_names(name) and kind != "other":
        kind = "text"
    if kind == "flag":
        return "event"
    if kind == "number":
        return "measure"
    if kind == "text" and (mapped or not _OF_PEOPLE.search(name)):
        return "attribute"
    return "left_out"


def _hint(required: str, types: Mapping[str, str]) -> str:
    lower = {column.lower(): column for column in types}
    for alias in (required, *_ALIASES.get(required, ())):
        if alias in lower:
            return f"say where it is: mapping: {{{required}: {lower[alias]}}}"
    return f"columns: {_listed(types)}; say which one it is under mapping:"


def _listed(types: Mapping[str, str], most: int = 12) -> str:
    """Return the columns of a file, unless they look like values: a table without a header."""
    lower = {column.lower() for column in types}
    if types and not lower & {*COLUMNS, *chain.from_iterable(_ALIASES.values())}:
        return f"none of {count(len(types))} has a known name (is the first line a header?)"
    names = [shown(column, 40) for column in types]
    return ", ".join(names[:most]) + (", …" if len(names) > most else "") or "none"


def factor(kind: str, unit: ColumnUnit | None) -> float:
    """Return what a duration in ``unit`` is multiplied with to be one of its kind (``ms``, ``s``).

    1 for what has no unit. ValueError for a unit of what is no duration.
    """
    if kind not in {"ms", "s"}:
        if unit is not None and kind != "time":
            raise ValueError("only durations and times have a unit")
        return 1.0
    return 1.0 if unit is None else SECONDS[unit] / SECONDS["ms" if kind == "ms" else "s"]


def parse_mapping(texts: Iterable[str]) -> dict[str, MappedColumn]:
    """Return a mapping from ``NAME=COLUMN`` or ``NAME=COLUMN:UNIT`` (``latency_ms=e2e:s``).

    ``:UTC`` says of times without an offset that they are in UTC. Raises UsageError.
    """
    mapping: dict[str, MappedColumn] = {}
    for text in texts:
        name, sign, source = text.partition("=")
        if not sign or not name or not source or name in mapping:
            raise UsageError(
                "--map takes NAME=COLUMN, each name once", hint="for example --map latency_ms=e2e:s"
            )
        column, _, suffix = source.rpartition(":")
        if column and suffix == "UTC":
            mapping[name] = MappedColumn(column=column, zone="UTC")
        elif column and suffix in SECONDS:
            mapping[name] = MappedColumn(column=column, unit=cast("ColumnUnit", suffix))
        else:
            mapping[name] = MappedColumn(column=source)
    return mapping


NAMES_PERSONS = "names persons, whom no result may hold"
RENAME_IT = "slice by what they have in common; a column that only sounds so is renamed by mapping:"


def is_of_persons(column: str) -> bool:
    """Return whether a column by its name holds persons or identifiers, and not what they do."""
    return column != _SOFTWARE and _OF_PERSONS.fullmatch(column) is not None
