"""What triage reads and what it says (docs/incidents.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from relkit.core.arrays import Codes, FloatArray, IntArray
from relkit.core.values import REQUIRED, Count, Duration, Limits, Named, NonEmpty, Shape, Time
from relkit.disclosure.types import Cause, CauseEvidence
from relkit.rollback.types import Refused

TriageVerdict = Literal["nothing", "release", "not_release", "undetermined", "no_data"]

BIN_S = 300
"""Seconds of a bin: an onset is told to five minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something that can go wrong with a turn: a yes or no, and the components that can cause it.

    ``column`` is a flag of the turn table (an event where it is ``bad``), a quantity that is bad
    above its reference's ``above`` quantile, or a count of which more than ``over`` is bad.
    """

    name: NonEmpty
    column: NonEmpty
    components: tuple[str, ...] = ()
    bad: bool = True
    above: float | None = None
    over: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentCounts:
    """Turns counted by five-minute bin and everything they can be cut by; one value per cell.

    ``start`` is the time of bin 0, ``bins`` the bin of each cell. ``columns`` are slice columns,
    ``releases`` maps a component to the version of each cell, its ``names`` in the order in which
    they were released. ``turns`` counts turns; ``measured`` and ``events`` count per signal.
    ``dispersion`` is by how much events of one session come together, 1 for not at all.
    """

    start: Time
    bins: IntArray = field(repr=False)
    columns: Mapping[str, Codes] = field(repr=False)
    releases: Mapping[str, Codes] = field(repr=False)
    turns: IntArray = field(repr=False)
    measured: Mapping[str, IntArray] = field(repr=False)
    events: Mapping[str, IntArray] = field(repr=False)
    dispersion: Mapping[str, float] = field(default_factory=dict)
    sums: Mapping[str, FloatArray] = field(default_factory=dict, repr=False)
    """Quantities summed per cell, for what no yes or no says: ``cost``, ``tokens``, ``nulls``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseColumn:
    """Where the versions of a component stand in telemetry, and in which order they came.

    ``versions`` maps a value of ``column`` to the version, the values as they are where it is
    empty; ``order`` are the versions, the oldest first.
    """

    column: str
    order: tuple[str, ...]
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriagePolicy:
    """What a policy file adds: signals of one's own, and other columns, windows and reference.

    ``slices`` None: every attribute. ``window`` is what an incident is searched in steps of,
    ``recent`` how much is searched, ``reference`` how much has to be before it.
    """

    schema: Literal["relkit.triage/v1"] = field(default="relkit.triage/v1", metadata=REQUIRED)
    signals: tuple[Signal, ...] = ()
    slices: tuple[NonEmpty, ...] | None = None
    window: Duration = "30m"
    recent: Duration = "48h"
    reference: Duration = "3d"


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent:
    """What changed elsewhere: a line of ``--events``."""

    FILE: ClassVar = Shape(open=True)

    at: Time
    kind: Literal["config", "flag", "dependency", "price", "client", "traffic", "infrastructure"]
    name: NonEmpty


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """Between which times it began."""

    from_: Time
    to: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """How often it was seen and was to be expected, as shares of turns, with the interval."""

    observed: float
    expected: float
    low: float | None
    high: float | None
    turns: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A hypothesis, and by how much it explains the counts better than its rivals."""

    cause: Cause | None
    component: str | None
    version: str | None
    slice: str | None
    log_odds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledOut:
    """What it was not, and why."""

    cause: Cause
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Which share of traffic, on which version, would decide, and in how many minutes."""

    component: str
    version: str
    share: float
    minutes: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageRead:
    """What was read, how long it took, and what was not used."""

    turns: Count
    seconds: float
    late: Count
    future: Count
    duplicates: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageReport:
    """What broke, since when, for whom, by what, and where to go back to.

    ``cause`` is None where nothing is wrong or it cannot be told. ``reason`` says in one sentence
    why this verdict. ``command`` is what to run next.
    """

    FILE: ClassVar = Shape(required=True)

    verdict: TriageVerdict
    reason: str
    cause: Cause | None
    evidence: CauseEvidence | None
    component: str | None
    first_bad: str | None
    slice: str | None
    metric: str | None
    onset: Onset | None
    ended: Time | None
    effect: Effect | None
    log_odds: float | None
    target: str | None
    target_verified: bool
    refused: tuple[Refused, ...]
    command: str | None
    candidates: tuple[Candidate, ...]
    ruled_out: tuple[RuledOut, ...]
    probe: Probe | None
    packet: str | None
    read: TriageRead


AbuseMeasure = Literal["turns", "cost", "refusals"]
"""What a class of tenants can have too much of."""

AbuseVerdict = Literal["nothing", "spike", "no_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AbusePolicy:
    """How classes of tenants are held against their own hours.

    ``classes`` maps a class to its tenants; without it the column ``tenant_class`` tells them.
    ``measures`` None: all that the telemetry has. ``refused`` is the column that is true for a turn
    that was refused. A spike is at least ``factor`` times what was to be expected.
    """

    schema: Literal["relkit.abuse/v1"] = field(default="relkit.abuse/v1", metadata=REQUIRED)
    name: Annotated[str, Limits(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = "abuse"
    enforcement: Literal["enforce", "shadow"] = "enforce"
    classes: Mapping[NonEmpty, tuple[NonEmpty, ...]] = field(default_factory=dict)
    measures: Annotated[tuple[AbuseMeasure, ...], Limits(min_length=1)] | None = None
    refused: NonEmpty | None = None
    factor: Annotated[float, Limits(ge=1.1, le=1000)] = 2.0
    window: Duration = "30m"
    recent: Duration = "24h"
    reference: Duration = "3d"


@dataclass(frozen=True, slots=True, kw_only=True)
class AbuseSpike:
    """A class that did far more than at these hours before: of what, from when to when.

    ``ratio`` is how many times what was expected, ``score`` the log-likelihood ratio of the scan.
    """

    tenant_class: str
    measure: AbuseMeasure
    from_: Time
    to: Time
    ratio: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotJudged:
    """What could not be held against anything, of one class or of all, and why."""

    tenant_class: str | None
    measure: AbuseMeasure
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AbuseReport:
    """What a look for abuse says: the worst spike first, and what could not be judged.

    Classes are called by their name where the policy or ``privacy.share`` names them, and by a
    pseudonym where not; tenants are never named.
    """

    FILE: ClassVar = Shape(required=True)

    policy: Named
    enforcement: Literal["enforce", "shadow"]
    verdict: AbuseVerdict
    reason: str
    searched_from: Time
    searched_to: Time
    classes: Count
    measures: tuple[AbuseMeasure, ...]
    spikes: tuple[AbuseSpike, ...]
    not_judged: tuple[NotJudged, ...]
    read: TriageRead
