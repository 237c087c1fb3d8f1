"""What may be shown of a window of traffic, and the packet that shows it (docs/incidents.md).

The microdata comes in as :class:`WindowTurns` and never leaves; everything else here is made to be
read by anybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from relkit.core.arrays import Codes, FloatArray, IntArray
from relkit.core.config import Profile
from relkit.core.values import OMITTED, REQUIRED, Count, Digest, Limits, NonEmpty, Rate, Shape, Time

NAME_FORM = r"^[A-Za-z0-9._+-]{1,64}$"
"""The form of versions, models, policies and rule ids in what is shared."""

SharedName = Annotated[str, Limits(pattern=NAME_FORM)]

Band = Annotated[tuple[int, ...], Limits(min_length=2, max_length=2)]
"""Lowest and highest of a count, both included: 10 and 19, 20 and 49, 50 and 99, 100 and 199."""

Subjects = Literal["people", "public", "synthetic"]
"""Whose data it is; control applies to people."""

PacketStage = Literal["initial", "update", "final"]
IncidentStatus = Literal["open", "mitigated", "resolved"]
IncidentSeverity = Literal["low", "medium", "high", "critical"]

Cause = Literal[
    "release", "dependency", "region", "client", "tenant", "load", "price", "mix", "measurement"
]
"""What a change for the worse can come from."""

CauseEvidence = Literal["concurrent", "temporal"]
"""``concurrent``: the old version served beside it; ``temporal``: only the time of the switch."""

Mitigation = Literal[
    "rolled_back", "traffic_shifted", "configuration_changed", "dependency_replaced",
    "client_fixed", "capacity_added", "tenant_limited", "feature_disabled", "monitoring_added",
    "none_yet",
]  # fmt: skip
TimelineKind = Literal[
    "onset", "detected", "aware", "alert", "canary_step", "promoted", "rolled_back", "held",
    "config", "flag", "dependency", "price", "client", "traffic", "infrastructure", "ended",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowTurns:
    """The turns of one window, one value per turn in every array; microdata, never written.

    ``persons`` numbers whose turn it was, from 0. ``columns`` are the slice columns. ``flags`` maps
    a metric to 1 where the turn is an event of it, 0 where it is none, -1 where it was not
    measured. ``quantities`` are values that percentiles are taken of, NaN where there is none.
    """

    persons: IntArray = field(repr=False)
    columns: Mapping[str, Codes] = field(repr=False)
    flags: Mapping[str, npt.NDArray[np.int8]] = field(repr=False)
    quantities: Mapping[str, FloatArray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Return the number of turns."""
        return len(self.persons)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRate:
    """A rate and the ends of its interval on a grid of ``step``; the ends lie outward."""

    value: Rate
    low: Rate
    high: Rate
    step: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class FewerThan:
    """Events of fewer than k, zero included, or of fewer than three people."""

    below: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class AllButFewer:
    """All turns but fewer than k."""

    above: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBand:
    """Events without an interval: their band, and how they stand beside the rest of the window."""

    events: Band
    than_rest: Literal["higher", "not_higher"]


ShownMetric = ShownRate | FewerThan | AllButFewer | ShownBand | None
"""What is shown of a metric in a cell; None: hidden, or not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCell:
    """A slice of the window, in bands and grids."""

    slice: str
    people: Band
    utterances: Band
    metrics: Mapping[SharedName, ShownMetric]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPercentile:
    """A percentile on a 5 % logarithmic grid; None where its tail is too thin."""

    slice: str
    metric: SharedName
    percentile: Annotated[int, Limits(ge=1, le=99)]
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosed:
    """What may be shown of a window, with what it took.

    ``pooled`` are the slices that went into ``(other)``. ``hidden`` is 0 where nothing is; else it
    counts columns without a pool and crossed cells that are not shown, somebody there or not.
    ``widened`` are the bands that the audit had to widen. ``pooled`` stays at home: it names what
    must not leave.
    """

    cells: tuple[ShownCell, ...]
    percentiles: tuple[ShownPercentile, ...] = ()
    pooled: tuple[str, ...] = ()
    hidden: Count = 0
    widened: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearSystem:
    """Linear bounds on V unknown counts: ``lower`` and ``upper`` (V,) of each, and R rows.

    A row says that the sum of ``coefficient`` (E,) times the unknown ``column`` (E,), over the
    entries whose ``row`` (E,) it is, lies from ``low`` to ``high`` (R,); infinite where it is open.
    """

    lower: FloatArray
    upper: FloatArray
    row: IntArray
    column: IntArray
    coefficient: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class HourSpan:
    """A span in whole UTC hours, or to the minute for system events."""

    from_: Time
    to: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketCause:
    """What broke, as far as it is known, with no effect and no odds; ``onset`` in whole hours."""

    cause: Cause | None
    evidence: CauseEvidence | None
    component: SharedName | None
    first_bad: SharedName | None
    slice: str | None
    metric: SharedName | None
    onset: HourSpan | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """How many were affected, in bands, for how long, and the share of the error budget spent."""

    people: Band | None
    turns: Band | None
    minutes: Count | None
    budget_spent: Band | None
    """In percent of the budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedVersion:
    """A version that had traffic, by the ledger; ``share`` is the one it was given last."""

    component: SharedName
    version: SharedName
    from_: Time
    to: Time | None
    share: Rate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFinding:
    """What a monitor said, in its own word: policy, verdict and columns, no number of a turn."""

    policy: SharedName
    verdict: SharedName
    at: Time
    slices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedTarget:
    """A release that may not be gone back to, by the code of the reason."""

    version: SharedName
    code: SharedName


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketRollback:
    """Where to go back to, and why not to others."""

    target: SharedName | None
    verified: bool
    refused: tuple[RefusedTarget, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """A system event, to the minute."""

    at: Time
    kind: TimelineKind
    component: SharedName | None = None
    version: SharedName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """What stays at home, named by SHA-256 of 32 random bytes and its digest."""

    kind: Literal["telemetry", "triage", "decision", "finding", "ledger"]
    sha256: Annotated[str, Limits(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormAnswers:
    """What incident forms ask for, so that a person can copy it; None: not stated."""

    aware: Time | None = None
    onset: Time | None = None
    ended: Time | None = None
    affected_groups: tuple[str, ...] = ()
    causal_link: Literal["established", "suspected", "not_established"] = "not_established"
    corrective: tuple[Mitigation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """An incident in numbers that tell of nobody: the predicate of the signed statement.

    ``previous`` is the digest of the statement before in the chain of this incident. ``page`` is
    the digest of the page that belongs to it. ``unit`` is what counts as a person, ``k`` the
    fewest of them in a cell. ``summaries`` are DSSE envelopes of verification summaries.
    """

    FILE: ClassVar = Shape(required=True)

    schema: Literal["relkit.packet/v1"] = field(default="relkit.packet/v1", metadata=REQUIRED)
    incident: SharedName
    stage: PacketStage
    previous: Digest | None
    profile: Profile
    k: Count
    unit: Literal["user", "session"]
    subjects: Subjects
    window: HourSpan
    created: Time
    tool_version: NonEmpty
    status: IncidentStatus
    severity: IncidentSeverity | None
    cause: PacketCause
    mitigations: tuple[Mitigation, ...]
    impact: Impact
    served: tuple[ServedVersion, ...]
    cells: tuple[ShownCell, ...]
    percentiles: tuple[ShownPercentile, ...]
    pooled: tuple[str, ...]
    """Columns some of whose values went into ``(other)``."""
    hidden: Count
    cost: tuple[ShownFinding, ...]
    drift: tuple[ShownFinding, ...]
    burn: tuple[ShownFinding, ...]
    rollback: PacketRollback | None
    timeline: tuple[TimelineEvent, ...]
    form: FormAnswers
    summaries: tuple[Mapping[str, Any], ...]
    commitments: tuple[Commitment, ...]
    page: Annotated[str, Limits(pattern=r"^[0-9a-f]{64}$")] = field(metadata=REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketProblem:
    """What is wrong with a packet, by code; ``where`` names a key or slice, and never a count."""

    code: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketCheck:
    """Whether a packet holds, as a receiver can tell without network and without relkit's data."""

    valid: bool
    problems: tuple[PacketProblem, ...]
    signer: str | None
    window: HourSpan | None
    previous: Digest | None
    cells: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakHit:
    """A token that was where it must not be; ``member`` is inside an archive, database or image."""

    path: str
    member: str | None
    token: str
    encoding: str
    offset: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakScan:
    """What was scanned, and every hit."""

    scanned: Count
    hits: tuple[LeakHit, ...]
    skipped: tuple[str, ...] = field(default=(), metadata=OMITTED)
