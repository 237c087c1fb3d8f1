"""The turn table: one row per turn, whatever it was read from (docs/telemetry.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from relkit.core.values import Count, Limits, NonEmpty, Read, Shape

Kind = Literal["time", "key", "text", "flag", "ms", "s", "number", "count"]
"""What a column holds: a time, a key that becomes a hash, text, true or false, a quantity."""

STAGES = ("eou_ms", "asr_ms", "llm_ttft_ms", "tool_ms", "tts_ttfb_ms", "network_ms")
"""Stages of a turn in their order, in milliseconds; the rest of ``latency_ms`` is unexplained."""

COLUMNS: Mapping[str, Kind] = {
    "ts": "time",
    "session": "key",
    "turn_id": "key",
    "unit": "key",
    "user": "key",
    "arm": "text",
    "release": "text",
    "ok": "flag",
    "outcome": "text",
    "success": "flag",
    "latency_ms": "ms",
    **dict.fromkeys(STAGES, "ms"),
    "queue_ms": "ms",
    "retries": "count",
    "concurrency": "count",
    "tenant_class": "text",
    "partial_changes": "count",
    "partial_words": "count",
    "model": "text",
    "provider": "text",
    "input_tokens": "count",
    "output_tokens": "count",
    "cache_read_tokens": "count",
    "cache_write_tokens": "count",
    "reasoning_tokens": "count",
    "input_audio_tokens": "count",
    "output_audio_tokens": "count",
    "audio_in_s": "s",
    "audio_out_s": "s",
    "tts_chars": "count",
    "cost": "number",
    "currency": "text",
}
"""The columns that mean something to relkit, in the order in which they are written.

``ts`` is the end of the turn in UTC. ``session`` and ``turn_id`` are required; ``unit`` is what
traffic was assigned by, the session where there is none; ``user`` is whose turn it was.
``arm`` is ``control`` or ``canary``.
``outcome`` is ``completed``, ``failed``, ``interrupted`` or ``abandoned``. Usage is inclusive:
cached, written and audio tokens are inside input, reasoning inside output. Any other column of text
is a slice attribute, any other of true and false an event, any other number a measure.
"""

OUTCOMES = ("completed", "failed", "interrupted", "abandoned")
"""What comes of a turn; ``interrupted``: the user spoke over it, ``abandoned``: the user left."""

Dialect = Literal["turns", "pipecat", "livekit", "genai", "vapi"]
"""Who wrote the telemetry; ``turns`` is the turn table itself."""

ColumnUnit = Literal["ns", "us", "ms", "s", "min", "h"]
"""What a duration, or a time since 1970, is counted in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedColumn:
    """Where a column of the turn table comes from.

    ``column`` is the column, span attribute or resource attribute that has it. ``unit`` is what it
    is counted in (default: that of the turn table). ``zone`` is said of times without an offset;
    only UTC is certain.
    """

    column: NonEmpty
    unit: ColumnUnit | None = None
    zone: Literal["UTC"] | None = None


def _mapped(written: object) -> object:
    """Return a mapped column as a mapping; a file may have its name only."""
    return {"column": written} if isinstance(written, str) else written


ColumnMapping = Mapping[
    Annotated[str, Limits(min_length=1, max_length=64)],
    Annotated[MappedColumn, Read(_mapped, str)],
]
"""Column of the turn table, or name of a slice attribute or event, to where it comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryOptions:
    """What is read, and how: files, folders and globs.

    Turns after ``now`` (UTC) are of the future and left out. ``control`` and ``canary`` are the
    releases that stand for the arms where rows name a release and no arm. ``key`` makes the hashes
    of sessions and units where they are kept; without it nothing that is kept may hold them.
    """

    paths: tuple[str, ...]
    now: str
    mapping: ColumnMapping = field(default_factory=dict)
    dialect: Dialect | None = None
    control: str | None = None
    canary: str | None = None
    key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryColumn:
    """A column that was read: where it came from, its unit, and in how many turns it is missing."""

    name: str
    source: str
    unit: str | None
    missing: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Rows, and values, that do not count as they stand.

    ``duplicate``, ``late``, ``future`` and ``naive`` rows, and those without session or turn id
    (``unnamed``), are left out. ``unknown_arm`` and ``no_outcome`` rows stay: they belong to
    neither arm, and they count as failed. ``bad_value`` counts values that cannot be (negative, not
    a number, longer than a day): they count as missing.
    """

    duplicate: Count = 0
    late: Count = 0
    future: Count = 0
    naive: Count = 0
    unnamed: Count = 0
    unknown_arm: Count = 0
    no_outcome: Count = 0
    bad_value: Count = 0


ProblemCode = Literal[
    "unit_change", "type_change", "left_out", "unreadable", "net_tokens", "stages_exceed", "other"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryProblem:
    """Something about the telemetry that a person should look at; ``where`` is a file or column."""

    code: ProblemCode
    where: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What was read: how much of what, from when to when, and what was dropped and why.

    ``arms`` and ``releases`` count turns. ``mapping`` is column to source where they differ.
    """

    FILE: ClassVar = Shape(required=True)

    dialect: str
    rows: Count
    turns: Count
    sessions: Count
    units: Count
    from_: str | None
    to: str | None
    arms: Mapping[str, int]
    releases: Mapping[str, int]
    columns: tuple[TelemetryColumn, ...]
    dropped: Dropped
    mapping: Mapping[str, str]
    problems: tuple[TelemetryProblem, ...] = ()

    @property
    def unreadable(self) -> str | None:
        """What could not be read, in words: what was read may be a part of what happened."""
        lost = [problem for problem in self.problems if problem.code == "unreadable"]
        if not lost:
            return None
        more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
        return f"{lost[0].where}: {lost[0].message}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryImport:
    """What was read and what was written; ``file`` is the turn table.

    ``spans`` counts those of the traces, ``unused_spans`` those of no turn, ``unfinished`` turns
    without an end, ``made_inclusive`` calls of models whose tokens were net of cache or reasoning.
    """

    file: str
    spans: Count
    unused_spans: Count
    unfinished: Count
    made_inclusive: Count
    telemetry: Telemetry
