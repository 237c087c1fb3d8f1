"""Canary policies, states, reports and decisions, in the shape of their files (docs/canary.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, ClassVar, Literal

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.values import (
    OPTIONAL,
    REQUIRED,
    Base64,
    Count,
    Digest,
    Duration,
    Fraction,
    Limits,
    Named,
    NonEmpty,
    Rate,
    Read,
    Shape,
    Time,
    duration_s,
)
from relkit.gate.types import Enforcement, Verdict
from relkit.statistics.types import BoolArray, UnitCounts
from relkit.telemetry.types import ColumnMapping, Dialect, Telemetry

TriggerMode = Literal["required", "watch", "advisory"]
"""``required`` rolls back, and must be ruled out to advance; ``watch`` rolls back only."""

UnitKind = Literal["session", "user"]
TriggerId = Annotated[str, Limits(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
ColumnName = Annotated[str, Limits(min_length=1, max_length=64)]
PercentileName = Annotated[str, Limits(pattern=r"^p[0-9]{1,2}$")]

EVERY_UNIT = "units"
"""The pseudo trigger whose histogram counts every unit and turn, whatever went wrong in it."""

CAP = 63
"""Turns and events of a unit beyond this many count in proportion, as so many (docs/canary.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSource:
    """How the turns of an arm are told: by their release, or by the column ``arm``."""

    release: NonEmpty | None = None
    arm: Literal["control", "canary"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedColumn:
    """An attribute whose values are slices; ``required`` makes the last step wait for each."""

    column: ColumnName
    mode: TriggerMode = "watch"
    detectable: float | None = None


def _column(written: object) -> object:
    """Return a watched column as a mapping; a file may have its name only."""
    return {"column": written} if isinstance(written, str) else written


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryStep:
    """A share of traffic, how long it holds at least, and the harm it has to rule out.

    ``detectable`` is a ratio of odds. ``from`` says when it began where no ledger does.
    """

    share: Fraction
    min_duration: Duration
    detectable: float
    from_: Time | None = None

    @property
    def min_duration_s(self) -> float:
        """How long the step lasts at least, in seconds."""
        return duration_s(self.min_duration)


def _listed(written: object) -> object:
    """Return a name as a list of one."""
    return [written] if isinstance(written, str) else written


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenTrigger:
    """What may go wrong: a ``rate`` of turns, the ``tail`` of times, or a ``mean``.

    ``rate`` names ``failed``, ``interrupted``, ``abandoned``, ``no_answer`` or a column of true and
    false; ``per: session`` counts units that have one. ``tail`` names times and ``at`` percentiles.
    ``mean`` names a quantity, ``per`` what it is divided by, ``detectable`` a relative change.
    ``floor`` is a rate of the canary that is small enough by itself.
    """

    id: TriggerId
    rate: ColumnName | None = None
    tail: Annotated[tuple[ColumnName, ...] | None, Read(_listed, str)] = None
    mean: ColumnName | None = None
    at: tuple[PercentileName, ...] | None = None
    per: Literal["turn", "session", "success"] | None = None
    detectable: Fraction | None = None
    floor: Fraction | None = None
    mode: TriggerMode = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryLimit:
    """A plain bound of the canary itself, for what no comparison can excuse.

    ``max`` and ``min_units`` belong to a ``rate``; ``budget`` names a latency budget that is held
    ``at`` a percentile.
    """

    id: TriggerId
    rate: ColumnName | None = None
    max: Fraction | None = None
    min_units: Count = 50
    budget: NonEmpty | None = None
    at: PercentileName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePeriod:
    """Which of control's turns before the canary give the thresholds of tails."""

    last: Duration = "7d"
    min_turns: Annotated[int, Limits(ge=100, le=10**9)] = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenCanaryPolicy:
    """A canary policy as its file has it.

    ``model`` names a model of the registry: steps, shares and releases then come from its ledger.
    ``alpha`` is the chance that an equal canary is ever rolled back, over all triggers and looks.
    ``lateness`` is how far behind turns may come, ``session_gap`` how long a session may pause,
    ``max_missing`` the share of turns that may be lost. ``clock`` says where ``latency_ms`` is
    measured.
    """

    schema: Literal["relkit.canary/v1"] = field(default="relkit.canary/v1", metadata=REQUIRED)
    name: Annotated[str, Limits(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    enforcement: Enforcement = "enforce"
    model: NonEmpty | None = None
    unit: UnitKind = "session"
    control: ArmSource | None = None
    canary: ArmSource | None = None
    alpha: Fraction = 0.05
    slices: tuple[Annotated[WatchedColumn, Read(_column, str)], ...] = ()
    steps: tuple[CanaryStep, ...]
    triggers: tuple[WrittenTrigger, ...]
    limits: tuple[CanaryLimit, ...] = ()
    lateness: Duration = "10m"
    session_gap: Duration = "30m"
    max_missing: Fraction = 0.01
    reference: ReferencePeriod = ReferencePeriod()
    clock: Literal["client", "server"] | None = None
    dialect: Dialect | None = None
    mapping: ColumnMapping = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One thing that is bet on: a rate, a percentile of a time, or a mean.

    ``id`` is that of the policy with the percentile (``latency.p95``). ``column`` is the event,
    time or quantity. ``percentile`` (0 to 1) is there for a tail. ``per_unit`` counts units with
    any event. ``line`` is its place in the policy's file.
    """

    id: str
    kind: Literal["rate", "tail", "mean"]
    column: str
    mode: TriggerMode
    floor: float
    percentile: float | None = None
    per_unit: bool = False
    per: Literal["turn", "session", "success"] = "turn"
    detectable: float | None = None
    line: int | None = None

    @property
    def metric(self) -> str:
        """What is measured, as people call it: ``failed``, ``latency_ms > p95``."""
        if self.kind == "tail":
            return f"{self.column} > p{100 * (self.percentile or 0):.0f}"
        if self.kind == "mean":
            return f"{self.column} per {self.per}"
        return f"{self.column} per session" if self.per_unit else self.column


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPolicy(WrittenCanaryPolicy):
    """A policy that can be judged: ``watched`` has what is bet on, tails spelled out.

    ``digest`` is that of the document the policy was read from, ``rollout`` that of the document
    without the times at which steps began: it stays the same all through a rollout.
    """

    digest: str
    rollout: str = ""
    watched: tuple[Trigger, ...]
    source: str = ""
    document: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def threshold(self) -> float:
        """The evidence at which the canary is rolled back, 1/alpha."""
        return 1.0 / self.alpha


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """A step that has begun: its place in the policy (from 1), share of traffic, and since when."""

    index: Annotated[int, Limits(ge=1, le=1000)]
    share: Rate
    since: Time


CellKey = tuple[int, str, str]
"""Step (its place among those that have begun, from 1), trigger and slice."""

UnitHistogram = Mapping[CellKey, UnitCounts]
"""Units by step, trigger and slice: all that the evidence is made of."""

AMOUNT_BIN = 1.02
"""The ratio of the ends of a bin of amounts, or of times."""

NO_AMOUNT = -100_000
"""The bin of an amount of nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountCounts:
    """The units of one step, mean and slice, as a histogram of k cells.

    ``units`` (k,) have the arm ``canary`` (k,), the base ``bases`` (k,) that their amount is
    divided by (turns, successes, 1), and an amount in the bin ``bins`` (k,): 1.02**bin.
    """

    canary: BoolArray
    bases: IntArray
    bins: IntArray
    units: IntArray

    def __add__(self, added: "AmountCounts") -> "AmountCounts":
        """Return both together, every cell once and in ascending order."""
        cells = np.concatenate([np.stack([c.canary, c.bases, c.bins]) for c in (self, added)], 1)
        units = np.concatenate([self.units, added.units])
        keys, place = np.unique(cells.astype(np.int64), axis=1, return_inverse=True)
        sums = np.bincount(place.reshape(-1), weights=units, minlength=keys.shape[1])
        return AmountCounts(
            canary=keys[0] == 1, bases=keys[1], bins=keys[2], units=sums.astype(np.int64)
        )

    @property
    def amounts(self) -> FloatArray:
        """The amount in each bin (k,)."""
        values = AMOUNT_BIN ** np.maximum(self.bins, NO_AMOUNT + 1).astype(np.float64)
        return np.asarray(np.where(self.bins == NO_AMOUNT, 0.0, values), dtype=np.float64)


AmountHistogram = Mapping[CellKey, AmountCounts]
"""Units by step, mean and slice."""


UnitCells = tuple[tuple[int, int, int], ...]
"""(turns, events, units) each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramEntry:
    """The histogram of one step, trigger and slice as files have it.

    A cell is (turns, events, units), or (base, bin, units) of a mean.
    """

    step: int
    trigger: str
    slice: str
    control: UnitCells = ()
    canary: UnitCells = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TailThreshold:
    """The frozen threshold of a tail: a slice's own, or the overall one where it has too few.

    ``turns`` is how many turns it rests on; ``value`` is in milliseconds.
    """

    column: str
    percentile: Rate
    slice: str
    value: float
    turns: Count


ThresholdSource = Literal["reference", "first_turns", "none"]
"""What tails are compared with: control before the canary, or the first turns of both arms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenThresholds:
    """The thresholds of all tails, where they came from, and since when turns are held to them.

    ``after_us`` (microseconds since 1970) is the last of the first turns; None for a reference.
    """

    source: ThresholdSource = "none"
    turns: Count = 0
    after_us: int | None = None
    values: tuple[TailThreshold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """A file of telemetry that was read whole, by the digest of its bytes and their number.

    ``length`` is 0 where the file cannot have grown since: of lines alone more can come.
    """

    digest: Digest
    length: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBytes:
    """A file as it lies there: ``beginnings`` are the digests of its first bytes, by length."""

    file: ReadFile
    beginnings: Mapping[int, str] = field(default_factory=dict)


LOST_KINDS = ("late", "future", "naive", "unnamed", "unknown_arm", "both_arms", "bad_value")
"""The counts of :class:`LostTurns` that are turns which were lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostTurns:
    """Turns that did not count as they stand, since the first step began.

    ``used`` turns are in the histogram. ``both_arms`` are turns of units that both arms served.
    """

    FILE: ClassVar = Shape(required=True)

    used: Count = 0
    duplicate: Count = 0
    late: Count = 0
    future: Count = 0
    naive: Count = 0
    unnamed: Count = 0
    unknown_arm: Count = 0
    no_outcome: Count = 0
    bad_value: Count = 0
    both_arms: Count = 0

    def __add__(self, added: "LostTurns") -> "LostTurns":
        """Return the counts of both together."""
        names = [item.name for item in fields(self)]
        return LostTurns(**{name: getattr(self, name) + getattr(added, name) for name in names})

    @property
    def missing(self) -> float:
        """The share of turns that were lost: late, unreadable, armless, or of both arms."""
        lost: int = sum(getattr(self, name) for name in LOST_KINDS)
        return lost / (lost + self.used) if lost else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRelease:
    """A release that an arm served in a step, and its turns."""

    step: int
    arm: Literal["control", "canary"]
    release: str
    turns: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBins:
    """How often the canary took how long in a step: (bin, turns), bins of 2 % as 1.02**bin ms."""

    step: int
    column: str
    bins: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalRollback:
    """A rollback that fired: it stays, whatever is seen later."""

    at: Time
    evidence: float
    reason_codes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryState:
    """All that is kept of the turns seen so far: no turn, no id, no text.

    ``key`` is a digest of the key that ids are hashed with. ``sequence`` counts the looks;
    ``previous`` is the digest of the state before. ``watermark_us`` is the time of the newest turn.
    ``open`` and ``recent`` are the units that may go on and the ids of the newest turns, as bytes
    that only the key opens. ``digest`` is that of the document without it.
    """

    schema: Literal["relkit.canary-state/v1"] = field(
        default="relkit.canary-state/v1", metadata=REQUIRED
    )
    policy: Named
    control: str | None
    canary: str | None
    key: Digest
    hashing: str
    sequence: Annotated[int, Limits(ge=1)]
    previous: Digest | None
    at: Time
    steps: tuple[StepTime, ...]
    watermark_us: int | None
    lost: LostTurns
    served: tuple[ServedRelease, ...]
    thresholds: FrozenThresholds
    files: tuple[ReadFile, ...]
    times: tuple[TimeBins, ...]
    histogram: tuple[HistogramEntry, ...]
    amounts: tuple[HistogramEntry, ...]
    open_: Base64
    recent: Base64
    first: Base64
    final: FinalRollback | None = None
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryLook:
    """What is judged: the histogram and the counts beside it, as of a time.

    ``steps`` are those that have begun, the current one last, which has lasted ``elapsed_s``; the
    histogram numbers them from 1. ``tails`` has percentiles of the canary in the current step by
    (column, percentile), in ms. ``suspect`` are reason codes of data that is not fit to advance on,
    ``warnings`` what else people should know of it.
    """

    steps: tuple[StepTime, ...]
    histogram: UnitHistogram
    elapsed_s: float
    lost: LostTurns
    amounts: AmountHistogram = field(default_factory=dict)
    served: tuple[ServedRelease, ...] = ()
    thresholds: FrozenThresholds = FrozenThresholds()
    final: FinalRollback | None = None
    tails: Mapping[tuple[str, float], float] = field(default_factory=dict)
    suspect: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFigures:
    """Units, turns and events of an arm, and the rate: None without a turn.

    Of a mean ``turns`` are what the amounts are divided by, ``events`` 0, ``value`` the mean.
    """

    units: Count
    turns: Count
    events: Count
    value: float | None


CheckStatus = Literal["harm", "quiet", "ruled_out", "no_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryCheck:
    """What came of one trigger in one slice.

    ``difference`` is canary less control, pooled over steps with ``low`` and ``high`` always-valid
    95 % ends, shown and never deciding. ``smallest_ruled_out`` is the smallest ratio of odds that
    the canary does not have; ``share_of_evidence`` is this trigger's part of the policy's.
    """

    FILE: ClassVar = Shape(required=True)

    trigger: str
    slice: str
    metric: str
    unit: Literal["fraction", "amount"]
    mode: TriggerMode
    status: CheckStatus
    control: ArmFigures
    canary: ArmFigures
    difference: float | None
    low: float | None
    high: float | None
    evidence: float
    share_of_evidence: float
    smallest_ruled_out: float | None
    below_floor: bool = field(default=False, metadata=OPTIONAL)
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedLimit:
    """What came of a plain bound of the canary."""

    id: str
    what: str
    value: float | None
    max: float
    units: Count
    broken: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRatioCheck:
    """Whether units were split as the policy says: ``evidence`` of 1,000 says they were not."""

    expected: float
    observed: float | None
    units: Count
    evidence: float
    mismatch: bool
    slice: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindSlice:
    """A harm that could still hide: of any ratio of odds up to ``could_hide``; None: of any."""

    slice: str
    trigger: str
    could_hide: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedStep:
    """The step that is judged, and for how long it has been going on."""

    index: int
    share: float
    since: Time
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """The step that comes next."""

    index: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededData:
    """What it takes at today's traffic until the step can be decided, if the arms are equal."""

    turns: Count
    hours: float


CanaryVerdict = Literal["advance", "hold", "roll_back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryReport:
    """What came of one look: the verdict and everything it rests on, as ``--json`` has it.

    ``gate_verdict`` is the verdict in the words of gates. ``rollback`` is the command that goes
    back, there with a rollback of a model. ``notes`` are what people should know.
    """

    FILE: ClassVar = Shape(required=True)

    verdict: CanaryVerdict
    gate_verdict: Verdict
    enforcement: Enforcement
    reason_codes: tuple[str, ...]
    reason: str
    step: JudgedStep | None
    next_step: NextStep | None
    evidence: float
    threshold: float
    alpha: float
    sample_ratio: SampleRatioCheck | None
    checks: tuple[CanaryCheck, ...]
    limits: tuple[JudgedLimit, ...]
    blind: tuple[BlindSlice, ...]
    needed: NeededData | None
    lost: LostTurns
    missing: float
    thresholds: ThresholdSource
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateName:
    """Which state a decision rests on: its file, its digest and that of the one before."""

    path: str
    digest: Digest
    previous: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CanarySubject:
    """What a decision is about: the model and the releases of both arms, None where not named.

    ``artifact`` is the digest of the canary's artifact, None where no registry knows it.
    """

    model: str | None
    control: str | None
    canary: str | None
    artifact: Digest | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPolicy:
    """The policy that judged, with the document it was read from."""

    name: str
    digest: Digest
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryDecision:
    """A decision with the histogram it rests on, so that others can recompute it.

    ``steps`` are those that had begun.
    """

    FILE: ClassVar = Shape(required=True)

    schema: Literal["relkit.canary-decision/v1"] = field(
        default="relkit.canary-decision/v1", metadata=REQUIRED
    )
    policy: JudgedPolicy
    subject: CanarySubject
    created: Time
    report: CanaryReport
    steps: tuple[StepTime, ...]
    histogram: tuple[HistogramEntry, ...]
    amounts: tuple[HistogramEntry, ...]
    state: StateName | None
    tool_version: str

    @property
    def promotes(self) -> bool:
        """Whether the canary may have the next step's share; a shadow decision never says so."""
        return self.report.verdict == "advance" and self.report.enforcement == "enforce"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCanary:
    """A report with what stands around it: telemetry, state and decision file."""

    report: CanaryReport
    policy: CanaryPolicy
    subject: CanarySubject
    telemetry: Telemetry | None
    state: StateName | None = None
    decision_file: str | None = None
    rollback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledUnits:
    """Units of traffic before the canary, as a plan needs them: no ids, and no arms.

    ``counts`` has (turns, events) of each unit (u,) by trigger and slice column (None: overall),
    ``codes`` the place of each unit's value among ``labels`` of a column, -1 for none. Units stand
    in the order of time. ``turns`` are those of each unit (u,).
    """

    turns: IntArray
    counts: Mapping[tuple[str, str | None], tuple[IntArray, IntArray]]
    codes: Mapping[str, IntArray] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    turns_per_hour: float
    assumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFind:
    """What it takes to find a harm of this ratio of odds in a step; None: it is never found."""

    trigger: str
    ratio: float
    turns: Count | None
    hours: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """What it takes until an equal canary leaves a step; None: it never does.

    ``waits_for`` is the trigger that takes longest, None where it is the step's ``min_duration``.
    """

    share: float
    detectable: float
    turns: Count | None
    hours: float | None
    waits_for: str | None
    finds: tuple[PlannedFind, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseRollback:
    """How often the policy rolls an equal canary back: your traffic with arms drawn again.

    ``rate`` of ``runs``, with the upper 95 % end ``high``; None where traffic is assumed.
    """

    rate: float
    high: float
    runs: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPlan:
    """What a policy can find, in turns and hours, before anything is shipped.

    ``assumed`` says that there was no traffic to look at.
    """

    FILE: ClassVar = Shape(required=True)

    policy: Named
    turns_per_hour: float
    units: Count
    assumed: bool
    steps: tuple[PlannedStep, ...]
    hours: float | None
    blind: tuple[BlindSlice, ...]
    false_rollback: FalseRollback | None
