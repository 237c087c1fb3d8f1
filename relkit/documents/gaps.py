"""Gaps between groups: the largest less the smallest value of a metric in one column of slices.

Which two groups lie farthest apart is known only after looking, so that the interval holds for all
pairs of groups together (Bonferroni 1936: a two-sided 95 % of G (G - 1) / 2 pairs). And a gap that
is not there may only have been too small to be seen in this data, so that the smallest one is said
that probably would have been (docs/cards.md, section "Gaps between groups"): the gap g with

    g = (t_joint + t_90) se(g),    se(g)^2 = p (1 + k) / 2 + b (1 + k^2) / 2,    k = (r + g) / r

for the pair where that is largest, whose rates are r on average. Its se^2 has a part p that grows
with the rate, as counts of rare events do (r / n of each group, n its words; never more than se^2),
and a rest b between speakers, which grows with its square: what a group does worse, its speakers
differ in more, in proportion. A power of 90 % by an estimated se is one of about 80 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from relkit.core.arrays import IntArray
from relkit.core.metrics import metric_of
from relkit.disclosure.numbers import rate_step
from relkit.documents.types import CardGap, Fairness
from relkit.report.shared_numbers import change_on_grid
from relkit.report.types import SharedNumber
from relkit.statistics.differences import rate_differences, unpaired_differences
from relkit.statistics.distributions import TWO_SIDED_95, t_quantile
from relkit.statistics.intervals import group_sum
from relkit.statistics.rates import RateMetric
from relkit.statistics.types import ClusterSums, Difference, PairedSums

_ONE_GROUP = "fewer than two groups are large enough"
_NO_GAP = "no interval"
_LEAST_STEP = 0.001
_POWER = 0.9
_CLOSE = 1e-6
_MOST_ROUNDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPair:
    """How much worse one group is than another, exact: it never leaves as it is.

    ``low`` and ``high`` are the ends of the joint interval, ``visible`` the smallest gap of the two
    that would have been seen, None where none up to 1 would.
    """

    better: str
    worse: str
    gap: float
    low: float
    high: float
    visible: float | None


def gap_of(
    metric: RateMetric,
    column: str,
    groups: Sequence[str],
    sums: ClusterSums | None,
    *,
    left_out: bool,
    fairness: Fairness | None = None,
) -> CardGap:
    """Return the gap between groups, on its grid; ``groups`` are slices that may be shown.

    ``left_out`` says that the column has others. A gap has no interval, and then no number, where
    one of its groups has fewer than 5 clusters.
    """
    tolerance = fairness.tolerance if fairness and fairness.group == f"{column}=*" else None
    empty = CardGap(
        column=column,
        metric=metric.name,
        best="",
        worst="",
        gap=SharedNumber(missing=_ONE_GROUP),
        visible=None,
        groups=len(groups),
        left_out=left_out,
        tolerance=tolerance,
    )
    if sums is None or len(groups) < 2:  # noqa: PLR2004 - a gap is between two
        return empty
    pairs = group_pairs(metric, groups, sums)
    if pairs is None:
        return replace(empty, gap=SharedNumber(missing=_NO_GAP))
    widest = max(pairs, key=lambda pair: (pair.gap, pair.better, pair.worse))
    gap = change_on_grid((widest.gap, max(-1.0, widest.low), min(1.0, widest.high)))
    if gap.value is None:
        return replace(empty, gap=gap)
    return replace(
        empty,
        best=widest.better if widest.gap else "",  # of equal groups none is the worse one
        worst=widest.worse if widest.gap else "",
        gap=gap,
        visible=_upward([pair.visible for pair in pairs]),
        within=_within(gap, tolerance),
    )


def group_pairs(
    metric: RateMetric, groups: Sequence[str], sums: ClusterSums
) -> list[GroupPair] | None:
    """Return all pairs of groups with their differences; None where one has no interval."""
    by_group = {group: _only(sums, group) for group in groups}
    names = list(combinations(groups, 2))
    joint = 1.0 - (1.0 - TWO_SIDED_95) / len(names)
    pairs = []
    for one, other in names:
        difference = _difference(metric, by_group[one], by_group[other])
        if difference.worsening is None or difference.low is None or difference.high is None:
            return None
        df = np.array([max(1.0, difference.df or 1.0)])
        usual, critical, power = (
            float(t_quantile(share, df)[0]) for share in (TWO_SIDED_95, joint, _POWER)
        )
        ends = (difference.worsening - difference.low, difference.high - difference.worsening)
        below, above = (end / usual * critical for end in ends)
        per_unit = sum(1.0 / by_group[group].columns[metric.n].sum() for group in (one, other))
        seen = _visible(difference, max(ends) / usual, per_unit, t=critical + power)
        if difference.worsening >= 0:
            better, worse, gap = other, one, difference.worsening
        else:
            better, worse, gap = one, other, -difference.worsening
            below, above = above, below
        pairs.append(
            GroupPair(
                better=better,
                worse=worse,
                gap=gap,
                low=gap - below,
                high=gap + above,
                visible=seen,
            )
        )
    return pairs


def _only(sums: ClusterSums, key: str) -> ClusterSums:
    """Return the sums of one slice."""
    rows = sums.slice_index == sums.slices.index(key)
    return ClusterSums(
        slices=("group",),
        slice_index=np.zeros(int(rows.sum()), dtype=np.int64),
        cluster_index=sums.cluster_index[rows],
        columns={name: column[rows] for name, column in sums.columns.items()},
        repeats=sums.repeats,
    )


def _difference(metric: RateMetric, one: ClusterSums, other: ClusterSums) -> Difference:
    """Return how much worse one group is than the other.

    Groups that share no cluster (accents of speakers) are independent of each other; where the
    same clusters are in both (noise), they are compared within them.
    """
    shared = set(one.cluster_index.tolist()) & set(other.cluster_index.tolist())
    if not shared:
        return unpaired_differences(metric, one, other)[0]
    clusters = np.union1d(one.cluster_index, other.cluster_index)
    paired = PairedSums(
        candidate=_aligned(one, clusters),
        baseline=_aligned(other, clusters),
        clusters=len(clusters),
    )
    return rate_differences(metric, paired)[0]


def _aligned(sums: ClusterSums, clusters: IntArray) -> ClusterSums:
    """Return sums with a row for each of ``clusters``, 0 where it has none."""
    place = np.searchsorted(clusters, sums.cluster_index)
    return ClusterSums(
        slices=sums.slices,
        slice_index=np.zeros(len(clusters), dtype=np.int64),
        cluster_index=np.arange(len(clusters), dtype=np.int64),
        columns={
            name: group_sum(column, place, len(clusters)) for name, column in sums.columns.items()
        },
        repeats=sums.repeats,
    )


def _visible(difference: Difference, se: float, per_unit: float, *, t: float) -> float | None:
    """Return the smallest gap that would have been seen in about 4 of 5 cases; None: none is.

    ``per_unit`` is 1 / n of both groups together, ``t`` how many standard errors it takes.
    """
    rate = ((difference.candidate or 0.0) + (difference.baseline or 0.0)) / 2
    of_counts = min(se * se, rate * per_unit)
    gap = 0.0
    for _ in range(_MOST_ROUNDS):
        k = (rate + gap) / rate if rate > 0 else 1.0
        needed = t * math.sqrt((of_counts * (1 + k) + (se * se - of_counts) * (1 + k * k)) / 2)
        if needed - gap < _CLOSE:
            return needed
        if needed > 1:
            return None
        gap = needed
    return None


def _upward(gaps: Sequence[float | None]) -> float | None:
    """Return the largest of the visible gaps on a grid of its own size, upward."""
    largest = 0.0
    for gap in gaps:
        if gap is None or gap > 1:
            return None
        largest = max(largest, gap)
    step = max(_LEAST_STEP, rate_step(largest / 5))
    return round(math.ceil(largest / step - 1e-9) * step, 9)


def _within(gap: SharedNumber, tolerance: float | None) -> bool | None:
    """Return whether a gap keeps to what is tolerated; None where its interval says neither."""
    if tolerance is None or gap.low is None or gap.high is None:
        return None
    if gap.high <= tolerance:
        return True
    return False if gap.low > tolerance else None


def has_gap(metric: str) -> bool:
    """Return whether a gap of a metric is one of points: a difference of two rates."""
    return metric_of(metric).unit == "fraction"
