"""Service level objectives and what is reported about them, in the shape of their files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction as Exact
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from relkit.core.arrays import FloatArray
from relkit.core.values import (
    OMITTED,
    OUTSIDE,
    REQUIRED,
    Checked,
    Count,
    Digest,
    Duration,
    Fraction,
    Limits,
    NonEmpty,
    Shape,
    Time,
    duration_s,
)
from relkit.telemetry.types import ColumnMapping, Dialect

AlertSeverity = Literal["page", "ticket"]
SloVerdict = Literal["page", "ticket", "no_data", "none"]
"""What an objective says; see :func:`relkit.monitoring.slo.burn.verdict_of`."""

WindowStatus = Literal["firing", "few_events", "quiet", "no_data"]
"""``few_events``: both windows burn too fast, over fewer events than may page."""

DAY_S = 86400

SloName = Annotated[str, Limits(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
SloText = Annotated[str, Limits(min_length=1, max_length=2000)]
LabelName = Annotated[str, Limits(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,62}$")]


def exact(number: float | Exact) -> Exact:
    """Return a number as it was written: 0.995 is 995/1000 and no binary fraction."""
    return number if isinstance(number, Exact) else Exact(repr(float(number)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusEvents:
    """Where a Prometheus server counts events.

    Counters: ``total`` and one of ``bad`` and ``good``, each the selector of a counter
    (``turns_total{outcome="failed"}``), also inside ``sum(rate(…[5m]))``. Or a ``histogram`` whose
    observations up to ``below`` are good, in the unit of the metric; ``native`` for one without
    ``_bucket`` series.
    """

    FILE: ClassVar = Shape(omitted=True)

    bad: SloText | None = None
    good: SloText | None = None
    total: SloText | None = None
    histogram: SloText | None = None
    below: Annotated[float, Limits(gt=0)] | None = None
    native: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodEvents:
    """What a good event is, in telemetry and in Prometheus; one of both is enough.

    ``rate`` is a column of true and false (``failed``, ``success``, ``interrupted``, ``abandoned``,
    an event of the telemetry), good where it is ``is_``. ``tail`` is a duration in milliseconds,
    good up to ``below``, the bound included.
    """

    FILE: ClassVar = Shape(omitted=True)

    rate: NonEmpty | None = None
    is_: bool | None = None
    tail: NonEmpty | None = None
    below: Annotated[float, Limits(gt=0)] | None = None
    prometheus: PrometheusEvents | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnAlert:
    """A pair of windows: the alert fires when both burn faster than ``budget`` in ``long`` allows.

    ``budget`` is the share of the period's error budget that may go in one long window.
    """

    severity: AlertSeverity
    budget: Annotated[Fraction, Limits(gt=0, le=1)]
    short: Duration
    long: Duration


def checked_target(value: float) -> float:
    """Return an objective; raises ValueError for 0, for 1 and for what lies outside."""
    if not 0 < value < 1:
        raise ValueError("an objective between 0 and 1 was expected, such as 99.5%")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class SloPolicy:
    """A service level objective: ``relkit.slo/v1``.

    ``window`` is the rolling period of the error budget. ``min_events`` have to be in a short
    window before it may fire, and two bad ones. ``silence`` is the longest time without an event
    that is no missing data; ``since`` is when the service began. ``slices`` and ``release`` name
    the columns or labels by which the budget that was spent is shown. ``alerts`` replace those of
    the period. ``mapping`` and ``dialect`` say how telemetry is read.
    """

    schema: Literal["relkit.slo/v1"] = field(default="relkit.slo/v1", metadata=REQUIRED)
    name: SloName
    description: Annotated[str, Limits(max_length=1050)] = field(default="", metadata=OMITTED)
    enforcement: Literal["enforce", "shadow"] = "enforce"
    objective: Annotated[Fraction, Checked(checked_target)]
    window: Duration = "30d"
    good: GoodEvents
    min_events: Count = 50
    silence: Duration = "5m"
    since: Time | None = field(default=None, metadata=OMITTED)
    slices: tuple[LabelName, ...] = ()
    release: LabelName = "release"
    alerts: tuple[BurnAlert, ...] = field(default=(), metadata=OMITTED)
    mapping: ColumnMapping = field(default_factory=dict, metadata=OMITTED)
    dialect: Dialect | None = field(default=None, metadata=OMITTED)
    digest: str = field(default="", metadata=OUTSIDE, compare=False)

    @property
    def window_s(self) -> float:
        """The period of the error budget in seconds."""
        return duration_s(self.window)

    @property
    def allowed(self) -> Exact:
        """The share of events that may be bad: 1 - objective, exactly."""
        return 1 - exact(self.objective)


SloProblemCode = Literal[
    "bad_exceeds_total",
    "counter_reset",
    "gap",
    "stale",
    "not_a_number",
    "began",
    "partial",
    "left_out",
    "future",
    "telemetry",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SloProblem:
    """Something about the counts that a person should look at."""

    code: SloProblemCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCounts:
    """The events of one window, the share of it that has data, and the bad ones beyond the total.

    ``excess`` is summed over minutes that have more bad events than events.
    """

    bad: Exact
    total: Exact
    covered: float = 1.0
    excess: Exact = Exact(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCounts:
    """Events as a source gives them: bad ones and all, by the time that their interval ended.

    ``at`` are rising seconds since 1970; ``bad`` and ``total`` are what ended there. ``gaps`` are
    disjoint stretches in which nothing is known. ``by_slice`` maps ``language=sv`` to (bad, total)
    over the period. ``problems`` say what is doubtful; ``partial`` says in words why the counts may
    be a part of what happened.
    """

    at: npt.NDArray[np.int64] = field(repr=False)
    bad: FloatArray = field(repr=False)
    total: FloatArray = field(repr=False)
    gaps: tuple[tuple[float, float], ...] = ()
    by_slice: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    problems: tuple[SloProblem, ...] = ()
    partial: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnWindow:
    """What a pair of windows says; burn is a multiple of what spends the budget in its period.

    ``factor`` is what both burns have to exceed. Burns are null where there is no event, or no
    trustworthy count.
    """

    FILE: ClassVar = Shape(required=True)

    severity: AlertSeverity
    long: Duration
    short: Duration
    factor: float
    burn_long: float | None
    burn_short: float | None
    events_short: float
    bad_short: float
    events_long: float
    firing: bool
    status: WindowStatus
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentBySlice:
    """What a slice or a release spent: its share of the bad events, and its burn in the period."""

    FILE: ClassVar = Shape(required=True)

    slice: str
    bad: float
    total: float
    share: float
    burn: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBudget:
    """The budget of the period in events; ``covered`` is the share of the period with data."""

    FILE: ClassVar = Shape(required=True)

    allowed: float
    bad: float
    total: float
    covered: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SloReport:
    """An objective, judged at one time.

    ``budget_left`` is a fraction of the period's budget, negative where it is overspent, null where
    there is no event. ``freeze``: the budget of four weeks is spent, or not known.
    """

    FILE: ClassVar = Shape(required=True)

    schema: Literal["relkit.slo-report/v1"] = "relkit.slo-report/v1"
    slo: str
    policy: Digest
    at: Time
    source: Literal["telemetry", "prometheus"]
    enforcement: Literal["enforce", "shadow"]
    verdict: SloVerdict
    reason: str
    objective: float
    window: Duration
    windows: tuple[BurnWindow, ...]
    budget_left: float | None
    budget: ErrorBudget
    spent_by_slice: tuple[SpentBySlice, ...]
    burn_day: float | None
    exhausted_at: Time | None
    freeze: bool
    freeze_reason: str
    problems: tuple[SloProblem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SloExport:
    """What an export wrote: names of files, and what it had to leave out and why."""

    FILE: ClassVar = Shape(required=True)

    slo: str
    kind: Literal["prometheus", "openslo"]
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()
