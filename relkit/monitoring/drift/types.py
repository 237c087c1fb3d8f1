"""Drift policies, frozen reference profiles and reports, in the shape of their files.

The counts that windows are judged by stand here, too: arrays, one row a window.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.values import (
    OUTSIDE,
    Count,
    Duration,
    Limits,
    Named,
    NonEmpty,
    Rate,
    Read,
    Shape,
    Time,
    duration_s,
    fraction_of,
)
from relkit.telemetry.types import ColumnMapping, Telemetry

Season = Literal["none", "hour_of_day", "hour_of_week"]
"""What a window is compared with: the whole reference, or the same hour of the day or week."""

SLOTS: Mapping[Season, int] = {"none": 1, "hour_of_day": 24, "hour_of_week": 168}
"""Slots of a season; slot 0 of a week is Monday, 00:00 to 01:00 UTC."""

BinKind = Literal["number", "value", "category", "flag"]
"""A column of numbers in deciles, of few distinct numbers, of categories, of true and false."""

MISSING = "(missing)"
"""The bin of null, of NaN and of infinities."""

OTHER = "(other)"
"""The bin of categories that are rare in the reference."""

NEW = "(new)"
"""The bin of categories that the reference lacks."""

Status = Literal["quiet", "drifted", "no_data"]

_Windows = Annotated[int, Limits(ge=1, le=1000)]
_Alarm = Annotated[float, Limits(gt=0, le=0.5), Read(fraction_of, str)]
_Drop = Annotated[float, Limits(ge=0, le=1), Read(fraction_of, str)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SustainedRule:
    """How many windows have to drift: ``windows`` in a row, or ``k`` of the last ``of``."""

    FILE: ClassVar = Shape(omitted=True)

    windows: _Windows | None = None
    k: _Windows | None = None
    of: _Windows | None = None

    @property
    def needed(self) -> int:
        """The windows that have to drift."""
        return self.k or self.windows or 1

    @property
    def among(self) -> int:
        """The judged windows, the last ones, that those are counted in."""
        return self.of or self.windows or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectThreshold:
    """The smallest effect that matters, as population stability index."""

    psi: Annotated[float, Limits(gt=0, le=10)] = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRule:
    """The column of labels, and by how much the labelled share of turns may drop."""

    column: NonEmpty
    max_drop: _Drop = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicy:
    """A policy ``relkit.drift/v1`` (docs/drift.md).

    ``cluster`` None: sessions. ``alarm`` is the chance that a window without drift alarms, over all
    columns together. ``threshold`` is the effect that has to be there besides the alarm.
    """

    FILE: ClassVar = Shape(omitted=True)

    schema: Literal["relkit.drift/v1"]
    name: Annotated[str, Limits(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    columns: Annotated[tuple[NonEmpty, ...], Limits(min_length=1, max_length=500)]
    cluster: NonEmpty | None = None
    window: Duration = "1h"
    min_rows: Annotated[int, Limits(ge=1, le=10**9)] = 200
    alarm: _Alarm = 0.01
    sustained: SustainedRule = SustainedRule(windows=3)
    season: Season = "none"
    threshold: EffectThreshold = EffectThreshold()
    labels: LabelRule | None = None
    mapping: ColumnMapping = field(default_factory=dict)
    enforcement: Literal["enforce", "shadow"] = "enforce"
    digest: str = field(default="", metadata=OUTSIDE)

    @property
    def by(self) -> str:
        """The column that turns are clustered by."""
        return self.cluster or "session"

    @property
    def window_s(self) -> int:
        """The length of a window in whole seconds."""
        return round(duration_s(self.window))

    @property
    def judged(self) -> tuple[str, ...]:
        """The columns that are judged, that of the labels included."""
        names = self.columns if self.labels is None else (*self.columns, self.labels.column)
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotTotals:
    """Turns, clusters and the sum of squared turns per cluster, of one slot of the season."""

    turns: Count
    clusters: Count
    squares: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class BinProfile:
    """One frozen bin: its share of turns, the correlations inside clusters, and counts by slot.

    ``rho`` is that of the turns of a cluster in one hour, ``rho_span`` that of all its turns: a
    caller's one call is more alike than all of them are. ``clusters`` counts those with at least
    one turn in the bin.
    """

    bin: str
    share: Rate
    rho: Rate
    rho_span: Rate
    turns: tuple[Count, ...]
    clusters: tuple[Count, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """A column of the reference, frozen.

    ``edges`` are the upper ends of all bins of numbers but the last. ``rare`` are digests of the
    categories inside ``(other)``, so that they are not new when they come again. ``totals`` by slot
    are those of the turns that the column is judged on: all, or those with a label.
    """

    FILE: ClassVar = Shape(omitted=True)

    column: NonEmpty
    kind: BinKind
    bins: Annotated[tuple[BinProfile, ...], Limits(min_length=1)]
    totals: Annotated[tuple[SlotTotals, ...], Limits(min_length=1)]
    labelled: bool = False
    edges: tuple[float, ...] = ()
    median: float | None = None
    spread: float | None = None
    rare: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftProfile:
    """A frozen reference, ``relkit.profile/v1``: bins, shares, correlations and counts.

    It holds no row and no name of a cluster. ``columns_seen`` names the columns of the reference
    with their kinds, whether they are judged or not.
    """

    schema: Literal["relkit.profile/v1"]
    from_: Time
    to: Time
    cluster: NonEmpty
    season: Season
    turns: Count
    columns_seen: Mapping[str, str]
    columns: tuple[ColumnProfile, ...]
    source: str = field(default="", metadata=OUTSIDE)
    digest: str = field(default="", metadata=OUTSIDE)

    @property
    def totals(self) -> tuple[SlotTotals, ...]:
        """Turns, clusters and squares of all turns, by slot."""
        return next(column for column in self.columns if not column.labelled).totals

    def column(self, name: str) -> ColumnProfile | None:
        """Return the profile of a column, None where there is none."""
        return next((column for column in self.columns if column.column == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryCount:
    """A value of a column, its turns and the clusters that have it."""

    value: str
    turns: int
    clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenBins:
    """What the value of a column has to be compared with to tell its bin.

    ``edges`` as in the profile; ``categories`` are the bins of categories, flags and few values, in
    order. ``(missing)`` is the last bin; before it stand ``(other)`` and ``(new)`` where values can
    be neither.
    """

    column: str
    kind: BinKind
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    rare: frozenset[str] = frozenset()
    labelled: bool = False

    @property
    def bins(self) -> tuple[str, ...]:
        """The names of all bins, in order."""
        if self.kind == "number":
            ends = [f"{edge:.6g}" for edge in self.edges]
            inner = [f"{low} to {high}" for low, high in pairwise(ends)]
            return (f"<= {ends[0]}", *inner, f"> {ends[-1]}", MISSING)
        rest = () if self.kind == "flag" else (NEW,) if self.kind == "value" else (OTHER, NEW)
        return (*self.categories, *rest, MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterMoments:
    """Sums over clusters with n turns, e of them in a bin: of e^2 and e n by bin, and of n^2."""

    squares: FloatArray
    products: FloatArray
    sizes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSums:
    """The sums of one column of the reference.

    ``span`` is about all turns of a cluster, ``hour`` about those of a cluster in one clock hour.
    ``by_slot`` and ``clusters`` (slots x bins) count turns and the clusters with any.
    """

    span: ClusterMoments
    hour: ClusterMoments
    by_slot: IntArray
    clusters: IntArray
    totals: tuple[SlotTotals, ...]

    @property
    def turns(self) -> IntArray:
        """Turns by bin."""
        return np.asarray(self.by_slot.sum(axis=0), dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowTotals:
    """Turns, clusters and sums of squared turns per cluster; one entry a window, ascending.

    ``starts`` are in seconds since 1970 (UTC).
    """

    starts: IntArray
    turns: IntArray
    clusters: IntArray
    squares: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnCounts:
    """The turns of one column by window and bin, and the clusters with any.

    ``clusters`` is -1 where it was not asked for. ``fresh`` are the categories that the reference
    lacks, with their turns, most first. ``totals`` None: those of all turns.
    """

    turns: IntArray
    clusters: IntArray
    fresh: tuple[tuple[str, int], ...] = ()
    totals: WindowTotals | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectLabels:
    """Measures that people know, from the counts of the bins; they decide nothing.

    ``wasserstein`` is in standard deviations of the reference; it and ``ks`` are of numbers only.
    """

    chi2: float
    js: float
    ks: float | None
    wasserstein: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFinding:
    """A column in its worst window: the smallest p of a bin, and the effect.

    ``statistic`` is z against t, or the clusters that have the bin; beyond ``threshold`` it alarms.
    ``windows`` counts those in which the column drifted.
    """

    FILE: ClassVar = Shape(required=True)

    column: str
    test: Literal["clustered_z", "cluster_binomial", "none"]
    statistic: float | None
    threshold: float | None
    psi: float | None
    band: Literal["none", "moderate", "major"] | None
    z: float | None
    p: float | None
    drifted: bool
    worst_bin: str | None
    reference_share: float | None
    window_share: float | None
    window: Time | None
    windows: Count
    labels: EffectLabels | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFinding:
    """One window: its counts, what it was judged to be, and the columns that drifted."""

    FILE: ClassVar = Shape(required=True)

    from_: Time
    rows: Count
    clusters: Count
    status: Status
    drifted: tuple[str, ...]
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SustainedAlert:
    """Whether enough windows drifted, the first of them and the one that confirmed it.

    ``pending`` counts the drifted windows at the end that a later window may confirm.
    """

    alert: bool
    first_window: Time | None
    confirmed_window: Time | None
    pending: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """What ``relkit drift`` found; ``reasons`` say in words why it is not quiet."""

    FILE: ClassVar = Shape(required=True)

    verdict: Status
    enforcement: Literal["enforce", "shadow"]
    policy: Named
    reference: Named
    window: Duration
    columns: tuple[ColumnFinding, ...]
    windows: tuple[WindowFinding, ...]
    sustained: SustainedAlert
    schema: tuple[str, ...]
    reasons: tuple[str, ...]
    alarm_per_bin: float
    bins: Count
    telemetry: Telemetry | None = None
