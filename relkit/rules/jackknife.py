"""How far an estimate moves when one cluster is left out: the spread behind every interval.

Rows are leave-one-cluster-out estimates on a scale where they add (log, logit), grouped by slice;
everything is computed for all groups at once.
"""

from dataclasses import dataclass

import numpy as np

from relkit.rules.cluster_sums import FloatArray, IntArray
from relkit.rules.student import TWO_SIDED_95, t_quantile

MIN_DF = 1.5
_EQUAL = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Standard error and degrees of freedom per group (G,), ``clusters`` the rows behind them.

    ``se`` is NaN where some leave-one-out estimate was not finite, or there was no row.
    """

    se: FloatArray
    df: FloatArray
    clusters: IntArray

    @property
    def half_width(self) -> FloatArray:
        """Half of the two-sided 95 % interval on the scale of the estimates (G,)."""
        return np.asarray(t_quantile(TWO_SIDED_95, self.df) * self.se, dtype=np.float64)


def group_sum(values: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Return the sum of ``values`` (R,) per ``group`` (R,) as (G,), 0 for a group without rows."""
    return np.asarray(np.bincount(group, weights=values, minlength=groups), dtype=np.float64)


def leave_one_out_spread(estimates: FloatArray, group: IntArray, groups: int) -> Spread:
    """Return the jackknife spread of leave-one-out estimates (R,), each row one cluster.

    q = estimate - mean of the group, se^2 = (C - 1) / C sum q^2, df = (sum q^2)^2 / sum q^4 within
    [1.5, C - 1] (rules.md section 4); all q equal gives se = 0 and df = C - 1. q^2 is scaled by its
    maximum first, so that the fourth powers of small spreads do not vanish.
    """
    clusters = np.bincount(group, minlength=groups)
    count = np.maximum(clusters, 1).astype(np.float64)
    finite = np.isfinite(estimates)
    whole = np.bincount(group, weights=~finite, minlength=groups) == 0
    safe = np.where(finite, estimates, 0.0)
    q = safe - (group_sum(safe, group, groups) / count)[group]
    q[np.abs(q) <= _EQUAL * (1.0 + np.abs(safe))] = 0.0
    largest = np.zeros(groups)
    np.maximum.at(largest, group, np.abs(q))
    scale = np.where(largest > 0, largest, 1.0)
    squares = (q / scale[group]) ** 2
    second = group_sum(squares, group, groups)
    fourth = group_sum(squares * squares, group, groups)
    most = np.maximum(count - 1.0, MIN_DF)
    df = np.full(groups, np.inf)
    np.divide(second * second, fourth, out=df, where=fourth > 0)
    se = np.sqrt((count - 1.0) / count * second) * scale
    return Spread(
        se=np.where(whole & (clusters > 0), se, np.nan),
        df=np.clip(df, MIN_DF, most),
        clusters=clusters,
    )


def with_repeats(spread: Spread, variance: FloatArray, repeats: FloatArray) -> Spread:
    """Return the spread with the ``variance`` (G,) between ``repeats`` (G,) of the run added.

    se^2 = se_clusters^2 + variance / repeats; df by Satterthwaite (1946): each part's share of the
    total squared, by its own degrees of freedom, which are repeats - 1 for the repeats. A group
    with less than two repeats stays as it is; a NaN variance gives a NaN se.
    """
    known = repeats > 1
    of_clusters = spread.se**2
    total = of_clusters + np.where(known, variance, 0.0) / np.maximum(repeats, 1.0)
    # Shares rather than fourth powers of se: those vanish for small spreads.
    share = np.ones_like(total)
    np.divide(of_clusters, total, out=share, where=total > 0)
    df = 1.0 / (share**2 / spread.df + (1.0 - share) ** 2 / np.maximum(repeats - 1.0, 1.0))
    se = np.where(known, np.sqrt(total), spread.se)
    return Spread(se=se, df=np.maximum(df, 1.0), clusters=spread.clusters)
