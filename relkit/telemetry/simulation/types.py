"""What simulated traffic is made from (``scenario.json``), and its turns by column."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from relkit.core.arrays import Codes
from relkit.core.values import Count, Limits, Rate, Shape, Time, after

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Index = npt.NDArray[np.int64]

TrafficFormat = Literal["turns", "otlp", "pipecat", "livekit", "genai", "vapi"]
"""``turns`` is the turn table in Parquet, ``otlp`` the OpenTelemetry names of ``genai``."""

Quantity = Literal[
    "arrivals",
    "share",
    "failures",
    "no_outcome",
    "abandoned",
    "interrupted",
    "no_answer",
    "success",
    "timeout_ms",
    "latency_ms",
    "slow_share",
    "llm_ttft_ms",
    "tts_ttfb_ms",
    "queue_ms",
    "retries",
    "partial_changes",
    "tokens",
    "price",
    "snr_db",
    "dnsmos_ovrl",
]
"""What a fault can change. ``slow_share`` is the share of turns with a slow language model,
``timeout_ms`` how long a failed turn without an answer lasts, ``tokens`` those of a word."""

DefectKind = Literal[
    "lost_sessions",
    "lost_outcomes",
    "hostile_caller",
    "seconds_for_ms",
    "future_rows",
    "naive_rows",
    "late_rows",
    "duplicate_files",
    "both_arms",
    "control_release",
    "missing_column",
    "night_calls",
]

PositiveHours = Annotated[float, Limits(gt=0, le=100_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficChange:
    """A quantity multiplied by ``factor``, and more by ``add``, where all conditions hold.

    ``only`` maps a column to the value it has; ``after_onset`` waits for the onset, ``hours`` says
    how long the change lasts from then on and ``ramp_hours`` how long it takes to grow.
    """

    quantity: Quantity
    factor: float = 1.0
    add: float = 0.0
    arm: Literal["control", "canary"] | None = None
    only: Mapping[str, str] = field(default_factory=dict)
    after_onset: bool = False
    hours: float | None = None
    ramp_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryShift:
    """From the onset on, ``share`` of the sessions have this value of a column."""

    column: str
    value: str
    share: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryDefect:
    """What goes wrong with the record of the traffic, not with the traffic.

    ``share`` of what it concerns is hit: sessions, turns, or (``hostile_caller``) turns more than
    there would be. ``column`` is the one that goes missing.
    """

    kind: DefectKind
    share: Rate = 1.0
    arm: Literal["control", "canary"] | None = None
    after_onset: bool = False
    column: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedStep:
    """The canary's share of traffic, for so many hours."""

    share: Rate
    hours: PositiveHours


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAt:
    """When to judge: so many hours after the start of the traffic, or after the onset."""

    hours: float
    since: Literal["start", "onset"] = "onset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A fault by name, what it does, and what a right tool says of it.

    ``expected`` maps a command, or a part of its answer, to the verdicts or codes that are right,
    at ``look`` (None: at the end). ``steps`` is the schedule where the user asks for none, empty
    for an even split.
    """

    name: str
    description: str
    expected: Mapping[str, tuple[str, ...]]
    changes: tuple[TrafficChange, ...] = ()
    shifts: tuple[CategoryShift, ...] = ()
    defects: tuple[TelemetryDefect, ...] = ()
    steps: tuple[SimulatedStep, ...] = ()
    look: JudgedAt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """Simulated traffic: the same values give the same turns, hour by hour (``scenario.json``).

    ``turns_per_hour`` is the mean over a week of the day's pattern. ``onset_hours`` after ``start``
    is when faults begin that do not hold from the beginning. An hour of traffic does not depend on
    how many ``hours`` are asked for. ``unit`` is what the arm is drawn for, anew in each step.
    """

    FILE: ClassVar = Shape(required=True)

    schema: Literal["relkit.rehearsal/v1"] = "relkit.rehearsal/v1"
    scenario: Scenario
    seed: Count = 0
    start: Time = "2026-01-05T00:00:00Z"
    hours: Annotated[int, Limits(ge=1, le=20_000)] = 24
    turns_per_hour: Annotated[float, Limits(gt=0, le=1e8)] = 2000.0
    steps: tuple[SimulatedStep, ...] = (SimulatedStep(share=0.5, hours=24),)
    onset_hours: Annotated[float, Limits(ge=0)] = 12.0
    unit: Literal["session", "user"] = "session"
    control: str = "1.4.0"
    canary: str = "1.5.0"
    format: TrafficFormat = "turns"

    @property
    def judged_at(self) -> str:
        """When the expected verdicts are right, as a UTC time."""
        look = self.scenario.look
        if look is None:
            return after(self.start, self.hours * 3600)
        since = self.onset_hours if look.since == "onset" else 0.0
        return after(self.start, min(since + look.hours, self.hours) * 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedTraffic:
    """What was written: the rehearsal, its files, and how many turns and sessions are in them.

    ``now`` is the time as of which the expected verdicts are right.
    """

    rehearsal: Rehearsal
    now: Time
    files: tuple[str, ...]
    turns: Count
    sessions: Count
    arms: Mapping[str, int]


Values = Codes | npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class TurnColumns:
    """Turns by column, in the order of ``COLUMNS``, then attributes, measures and events.

    Keys are uint64, times int64 microseconds since 1970, quantities float64 with NaN for none,
    flags int8 with -1 for none. Columns that begin with ``_`` are for those who write traces and
    belong to no table: ``_number`` of the turn in its session (from 0) of ``_turns``, ``_begin``
    of the session and ``_spoken`` at which the turn's speech began (times), ``_naive``.
    """

    columns: Mapping[str, Values]

    def __len__(self) -> int:
        """Return the number of turns."""
        return len(self.times("ts"))

    def times(self, name: str) -> Index:
        """Return a column of times or counters."""
        return self._array(name).astype(np.int64, copy=False)

    def keys(self, name: str) -> Keys:
        """Return a column of keys."""
        return self._array(name).astype(np.uint64, copy=False)

    def numbers(self, name: str) -> Floats:
        """Return a column of quantities."""
        return self._array(name).astype(np.float64, copy=False)

    def flags(self, name: str) -> npt.NDArray[np.int8]:
        """Return a column of true (1), false (0) and neither (-1)."""
        return self._array(name).astype(np.int8, copy=False)

    def texts(self, name: str) -> Codes:
        """Return a column of text."""
        column = self.columns[name]
        if not isinstance(column, Codes):
            raise KeyError(name)
        return column

    def is_value(self, name: str, value: str) -> Bools:
        """Return where a column of text has a value."""
        column = self.texts(name)
        number = column.names.index(value) if value in column.names else -2
        return np.asarray(column.codes == number)

    @property
    def failed(self) -> Bools:
        """Where a turn counts as failed: not ok, or without an outcome."""
        return np.asarray((self.flags("ok") == 0) | (self.texts("outcome").codes < 0))

    def take(self, rows: Index | Bools) -> "TurnColumns":
        """Return some of the turns."""
        return TurnColumns(
            {
                name: Codes(values.codes[rows], values.names)
                if isinstance(values, Codes)
                else values[rows]
                for name, values in self.columns.items()
            }
        )

    def but(self, **columns: Values) -> "TurnColumns":
        """Return the turns with other columns."""
        return TurnColumns({**self.columns, **columns})

    def _array(self, name: str) -> npt.NDArray[np.generic]:
        column = self.columns[name]
        if isinstance(column, Codes):
            raise KeyError(name)
        return column
