"""Policies and reports of serving health and capacity, in the shape of their files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from relkit.core.arrays import FloatArray
from relkit.core.values import (
    OUTSIDE,
    REQUIRED,
    Count,
    Duration,
    Fraction,
    Limits,
    Named,
    NonEmpty,
    Read,
    Time,
    duration_s,
    fraction_of,
)
from relkit.telemetry.types import ColumnMapping, Dialect, Telemetry

_Name = Annotated[str, Limits(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_Positive = Annotated[float, Limits(gt=0, le=1e9)]
_Ms = Annotated[float, Limits(ge=0, le=1e7)]
_Least = Annotated[int, Limits(ge=1, le=10**9)]
_Share = Annotated[float, Limits(ge=0, le=1), Read(fraction_of, str)]
_Chance = Annotated[float, Limits(gt=0, le=0.5), Read(fraction_of, str)]
_Mode = Literal["enforce", "shadow"]


def _observable(written: object) -> object:
    """Return a number or ``observed``; raises ValueError for any other word."""
    if isinstance(written, str) and written != "observed":
        raise ValueError('a number, or "observed", was expected')
    return written


_Observable = Annotated[_Positive | Literal["observed"], Read(_observable)]

DegradationLevel = Literal["normal", "shed_batch", "shorter_answers", "smaller_model", "callback"]
"""What a service does to bear its load, the mildest first."""

HealthVerdict = Literal["ok", "saturated", "storm", "spike", "fail", "no_data"]
"""What came of a look at a service; ``fail``: something else is over its limit for good."""

Overload = Literal["saturated", "storm", "spike"]

CapacityVerdict = Literal["pass", "fail", "no_data"]

Turns = Literal["all", "first", "warm"]

LineStatus = Literal["ok", "over_target", "over_limit", "no_data", "no_line", "not_measured"]
"""``over_target``: the median is over it; ``no_line``: measured, without a line in the budget;
``not_measured``: what sends the telemetry never knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePolicy:
    """``p95_ms`` is what p95 of waiting may be, ``slots`` how many turns are served at once.

    ``service_s`` is how long a turn holds its slot; None: as measured, ``latency_ms`` less
    ``queue_ms``.
    """

    p95_ms: _Positive
    slots: _Least
    service_s: _Positive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """``amplification`` is how many attempts a first attempt may make."""

    amplification: Annotated[float, Limits(ge=1, le=1000)] = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPolicy:
    """``column`` has the class of a tenant; ``evidence`` is what a spike needs."""

    column: NonEmpty = "tenant_class"
    evidence: Annotated[float, Limits(gt=1, le=1e9)] = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChurnPolicy:
    """``max`` is how much of what was shown before the final text may change, by ``language``."""

    max: Fraction
    language: NonEmpty = "language"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBudget:
    """What a stage may take, in ms, as a policy has it.

    ``target`` is the range that its median is aimed at, ``limit`` the most that its p95 may be;
    without one it is the upper end of ``target``.
    """

    target: tuple[_Ms, _Ms]
    limit: _Ms | None = None

    @property
    def most(self) -> float:
        """The most that p95 may be, in ms."""
        return self.target[1] if self.limit is None else self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine(StageBudget):
    """A line of a budget: a ``stage``, or the whole turn.

    ``turns`` are those it is about: the ``first`` of a session, those after it (``warm``), or all.
    """

    stage: str
    turns: Turns = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """The level that a verdict asks for."""

    level: Literal["shed_batch", "shorter_answers", "smaller_model", "callback"]
    when: Overload | Literal["fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapedHistogram:
    """A classic histogram by its name without ``_bucket``, and what it is counted in."""

    histogram: NonEmpty
    unit: Literal["ms", "s"] = "s"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapedMetrics:
    """The counters and histograms of a metrics server, as selectors.

    ``turns`` counts first attempts and has the label of the tenant class, ``attempts`` all of them.
    ``stages`` maps stages to histograms. ``partial_changes`` and ``partial_words`` count words.
    """

    turns: NonEmpty
    attempts: NonEmpty | None = None
    queue: ScrapedHistogram | None = None
    service: ScrapedHistogram | None = None
    stages: Mapping[str, ScrapedHistogram] = field(default_factory=dict)
    partial_changes: NonEmpty | None = None
    partial_words: NonEmpty | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """What is looked at while a service bears its load.

    ``budget`` names a shipped one, or has lines of its own. Figures of churn and budget are over
    the last ``span``; ``history`` is what a tenant class is compared with. Telemetry whose newest
    turn is older than ``max_age``, fewer turns than ``min_turns`` and more than ``max_missing`` of
    a needed column missing are no data.
    """

    schema: Literal["relkit.health/v1"] = field(default="relkit.health/v1", metadata=REQUIRED)
    name: _Name
    enforcement: _Mode = "enforce"
    queue: QueuePolicy | None = None
    retries: RetryPolicy | None = None
    tenants: TenantPolicy | None = None
    churn: ChurnPolicy | None = None
    budget: NonEmpty | Mapping[str, StageBudget] | None = None
    degrade: tuple[Degradation, ...] = ()
    prometheus: ScrapedMetrics | None = None
    span: Duration = "1h"
    history: Duration = "7d"
    max_age: Duration = "10m"
    min_turns: _Least = 20
    max_missing: _Share = 0.05
    dialect: Dialect | None = None
    mapping: ColumnMapping = field(default_factory=dict)
    digest: str = field(default="", metadata=OUTSIDE)

    @property
    def span_s(self) -> float:
        """``span`` in seconds."""
        return duration_s(self.span)

    @property
    def history_s(self) -> float:
        """``history`` in seconds."""
        return duration_s(self.history)

    @property
    def max_age_s(self) -> float:
        """``max_age`` in seconds."""
        return duration_s(self.max_age)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minutes:
    """Counts per minute, in order and without gaps; ``start`` is the first, in Unix seconds.

    ``turns`` are first attempts. ``attempts`` of the ``counted`` turns, whose retries are known.
    ``queued`` turns have a time in the queue, ``waited`` of them longer than the bound;
    ``queue_p95_ms`` and the mean ``service_s`` are NaN where unknown. ``calls`` is (class, minute),
    classes as in ``classes``.
    """

    start: int
    turns: FloatArray
    attempts: FloatArray
    counted: FloatArray
    queued: FloatArray
    waited: FloatArray
    queue_p95_ms: FloatArray
    service_s: FloatArray
    classes: tuple[str, ...]
    calls: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFigures:
    """Percentiles of a stage over ``turns`` with a value, in ms; None without any.

    A turn that was not answered is slower than every other: infinity.
    """

    stage: str
    of: Turns
    turns: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChurnFigures:
    """Sums of a language (None: of all): words shown before the final text, and those changed.

    ``median`` is that of changed / shown by utterance.
    """

    language: str | None
    utterances: int
    changes: float
    words: float
    median: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFigures:
    """What live traffic looks like up to the end of the last whole minute.

    ``newest`` is the newest turn in Unix seconds. ``missing`` maps what the policy needs to the
    share of turns without it: of the last five minutes, ``latency_ms`` of ``span``. ``turns`` are
    those of the last five minutes. ``unmeasured`` stages are in no turn at all. ``problems`` are
    why the figures may be wrong.
    """

    newest: float
    minutes: Minutes
    turns: int
    missing: Mapping[str, float]
    stages: tuple[StageFigures, ...] = ()
    unexplained: StageFigures | None = None
    churn: tuple[ChurnFigures, ...] = ()
    unmeasured: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFigures:
    """Sessions as intervals in Unix seconds, in any order; turns of one overlap and are merged.

    ``concurrency`` is the most that the service itself counted, None where it does not.
    """

    starts: FloatArray
    ends: FloatArray
    concurrency: float | None
    telemetry: Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHealth:
    """How full the queue is; None where it cannot be said, with the ``reason``.

    ``utilisation`` is the mean over the last five minutes, ``p95_ms`` of waiting in the last one;
    ``burn`` is that of "waited no longer than the bound", of which 5 % may.
    """

    utilisation: float | None
    p95_ms: float | None
    growing: bool | None
    burn: float | None
    saturated: bool | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryHealth:
    """What retries make of the load over the last five minutes."""

    amplification: float | None
    first_attempts: Count
    storm: bool | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantHealth:
    """The calls of a tenant class in the last five minutes against its own history."""

    class_: str
    calls: Count
    expected: float | None
    evidence: float | None
    spike: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageChurn:
    """Churn of one language, over ``utterances`` with ``words`` shown; ``judged``: enough of it."""

    language: str
    value: float | None
    utterances: Count
    words: Count
    judged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChurnHealth:
    """Changed words / words shown before the final transcript; ``median`` is per utterance."""

    value: float | None
    threshold: float
    median: float | None
    languages: tuple[LanguageChurn, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedStage:
    """A stage against its line of the budget, in ms; ``turns`` is how many have a value.

    A turn without an answer is slower than every other: p95 is None where it is one of them.
    """

    stage: str
    of: Turns
    turns: Count
    p50: float | None
    p95: float | None
    target: tuple[float, float] | None
    limit: float | None
    status: LineStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Unexplained:
    """What the stages of a turn do not explain of ``latency_ms``; negative where they overlap."""

    p50: float | None
    p95: float | None
    turns: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """How a service bears its load; a part that the policy does not ask for is None.

    ``states`` are all that hold, the ``verdict`` is the first of them. ``reasons`` say why it is no
    ``ok``, ``notes`` what else a person should know.
    """

    schema: Literal["relkit.health-report/v1"] = field(
        default="relkit.health-report/v1", metadata=REQUIRED
    )
    policy: Named
    enforcement: _Mode
    created: Time
    until: Time | None
    verdict: HealthVerdict
    states: tuple[HealthVerdict, ...]
    level: DegradationLevel
    queue: QueueHealth | None
    retries: RetryHealth | None
    tenants: tuple[TenantHealth, ...] | None
    churn: ChurnHealth | None
    budget: tuple[JudgedStage, ...] | None
    unexplained_ms: Unexplained | None
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    telemetry: Telemetry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedSlo:
    """What a step of a load test has to keep to."""

    p95_ms: _Positive
    error_rate: _Share


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStreams:
    """How many streams a replica serves: real-time factor of one, and how busy it may be."""

    rtf: Annotated[float, Limits(ge=1e-4, le=1e9)]
    utilisation: Annotated[float, Limits(gt=0, le=1), Read(fraction_of, str)] = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMemory:
    """What decides a model's GPU memory; ``bytes`` and ``kv_bytes`` are per number.

    ``streams`` have a cache of ``context`` tokens each. ``device_gb`` is what there is.
    """

    parameters_b: _Positive
    bytes: _Positive = 2.0
    overhead: Annotated[float, Limits(ge=1, le=10)] = 1.2
    layers: _Least
    kv_heads: _Least
    head_dim: _Least
    context: _Least
    streams: _Least = 1
    kv_bytes: _Positive = 2.0
    device_gb: _Positive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityPolicy:
    """What a service has to bear.

    ``waiting`` is the share of calls that may wait for a slot. ``observed`` stands for what the
    telemetry shows: the steepest hour of arrivals, the mean length of sessions (also where
    ``mean_call_s`` is left out), the 99.9th percentile of the ramp. ``growth`` is the forecast over
    what was observed. ``replicas`` are those there are; without them what is needed is worked out.
    """

    schema: Literal["relkit.capacity/v1"] = field(default="relkit.capacity/v1", metadata=REQUIRED)
    name: _Name
    enforcement: _Mode = "enforce"
    slo: ServedSlo
    waiting: _Chance = 0.01
    arrivals_per_hour: _Observable = "observed"
    growth: Annotated[float, Limits(ge=0, le=100), Read(fraction_of, str)] = 0.0
    mean_call_s: _Positive | None = None
    streams_per_replica: ReplicaStreams | Literal["measured"] = "measured"
    replicas: _Least | None = None
    ramp_per_s: _Observable = "observed"
    startup_s: _Positive = 90.0
    session_gap: Duration = "30m"
    model: ModelMemory | None = None
    max_missing: _Share = 0.05
    dialect: Dialect | None = None
    mapping: ColumnMapping = field(default_factory=dict)
    digest: str = field(default="", metadata=OUTSIDE)

    @property
    def session_gap_s(self) -> float:
        """``session_gap`` in seconds."""
        return duration_s(self.session_gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStep:
    """A step of a load test: throughput per second; None for a figure that is missing."""

    concurrency: Annotated[float, Limits(gt=0, le=1e9)]
    throughput: Annotated[float, Limits(ge=0, le=1e12)] | None
    p95_ms: Annotated[float, Limits(ge=0, le=1e9)] | None
    error_rate: _Share | None
    duration_s: _Positive | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The most sessions that were open at once, and when first."""

    observed: Count | None
    at: Time | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMemory:
    """GPU memory in GB (10⁹ bytes)."""

    weights: float
    kv_cache: float
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityReport:
    """What a service can bear and needs; None for what could not be worked out.

    ``knee`` is the first step that is no good and ``safe`` the one before it. ``slots_needed``
    serve the offered load, ``replicas_needed`` the forecast peak, too. ``headroom`` is the share
    of all slots that the forecast peak leaves free.
    """

    schema: Literal["relkit.capacity-report/v1"] = field(
        default="relkit.capacity-report/v1", metadata=REQUIRED
    )
    policy: Named
    enforcement: _Mode
    created: Time
    verdict: CapacityVerdict
    steps: tuple[LoadStep, ...]
    knee: float | None
    knee_reason: str | None
    safe: float | None
    arrivals_per_hour: float | None
    mean_call_s: float | None
    peak: Peak
    streams_per_replica: int | None
    slots_needed: int | None
    replicas_needed: int | None
    ramp_per_s: float | None
    warm_pool: int | None
    gpu_memory_gb: GpuMemory | None
    headroom: float | None
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    telemetry: Telemetry | None = None
