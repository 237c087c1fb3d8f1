"""The clustered alarm in closed form: whether a window's share of a bin could be chance.

Turns of a speaker are one observation, not many. All formulas: docs/drift.md, section "The alarm".
Arrays have one row a window and one column a bin.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import FloatArray, IntArray
from relkit.monitoring.drift.types import (
    ClusterMoments,
    ColumnCounts,
    ColumnProfile,
    WindowTotals,
)
from relkit.statistics.distributions import at_least, t_beyond, t_quantile

FEWEST_EFFECTIVE_TURNS = 5.0
"""A bin in which fewer are expected is judged by the clusters that have it."""

REFERENCE_TIMES = 5
"""The reference needs this many times the clusters of a window.

With as many as the window the reference's own chance doubles the variance of a difference, and its
estimated correlations are as uncertain as what they are to judge.
"""

FEWEST_CLUSTERS = 5
"""A window or reference of fewer shows nothing about others (docs/method.md, "Intervals")."""


def correlations(moments: ClusterMoments, turns: IntArray) -> FloatArray:
    """Return rho by bin: how much alike turns of one cluster are, held in [0, 1].

    rho = ((sum (e - r n)^2 / (r (1 - r))) - sum n) / sum n (n - 1), the moment estimator of the
    intra-class correlation of a share (Ridout, Demetrio and Firth 1999, "Pearson" with weights
    n (n - 1)); 0 where no cluster has two turns, or all turns or none are in the bin. ``turns`` are
    the turns by bin.
    """
    total = float(turns.sum())
    rate = turns / max(total, 1.0)
    spread = moments.squares - 2.0 * rate * moments.products + rate**2 * moments.sizes
    chance = rate * (1.0 - rate)
    pairs = moments.sizes - total
    if pairs <= 0.0:
        return np.zeros_like(rate)
    rho = np.zeros_like(rate)
    np.divide(spread, chance, out=rho, where=chance > 0.0)
    rho = np.where(chance > 0.0, (rho - total) / pairs, 0.0)
    return np.clip(rho, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceArrays:
    """The profile of a column beside each window: the slot that the window is compared with.

    ``turns`` and ``having`` are windows x bins, the others have one entry a window; ``rho`` and
    ``rho_reference`` one a bin: of the window's turns and of the reference's.
    """

    turns: FloatArray
    having: FloatArray
    total: FloatArray
    clusters: FloatArray
    squares: FloatArray
    rho: FloatArray
    rho_reference: FloatArray


def beside(profile: ColumnProfile, slots: IntArray) -> ReferenceArrays:
    """Return the counts of a column's profile for each window's slot of the season.

    Turns of a cluster in a window are as alike as those in one hour, or more than that where the
    hours of a cluster have one turn each. Those of a slot are at most as alike.
    """
    rho, rho_span = (np.array([getattr(b, n) for b in profile.bins]) for n in ("rho", "rho_span"))
    rho = np.maximum(rho, rho_span)
    totals = np.array([[t.turns, t.clusters, t.squares] for t in profile.totals], np.float64)[slots]
    return ReferenceArrays(
        turns=np.array([b.turns for b in profile.bins], np.float64).T[slots],
        having=np.array([b.clusters for b in profile.bins], np.float64).T[slots],
        total=totals[:, 0],
        clusters=totals[:, 1],
        squares=totals[:, 2],
        rho=rho,
        rho_reference=rho_span if len(profile.totals) == 1 else rho,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """The bin of a column that chance explains least, by window, and how it was tested.

    ``bin`` is the index of that bin, ``p`` its probability, 1 where nothing could be tested.
    ``by_clusters`` says that the number of clusters was tested: ``statistic`` is that number, and
    ``rate`` what the reference lets expect of a cluster. Else it is z, ``df`` its degrees.
    """

    bin: IntArray
    p: FloatArray
    by_clusters: NDArray[np.bool_]
    statistic: FloatArray
    rate: FloatArray
    df: FloatArray
    share: FloatArray
    reference_share: FloatArray

    def critical(self, at: int, clusters: int, level: float) -> float | None:
        """Return what the statistic of a window has to reach to alarm: |z|, or clusters.

        None where not even all clusters of the window would.
        """
        if not self.by_clusters[at]:
            return float(t_quantile(1.0 - level / 2.0, self.df[at : at + 1])[0])
        k = np.arange(1, clusters + 1)
        alarming = at_least(k, np.full(k.shape, clusters), np.full(k.shape, self.rate[at])) <= level
        return float(k[alarming][0]) if alarming.any() else None


def effective_clusters(total: FloatArray, squares: FloatArray) -> FloatArray:
    """Return (sum n)^2 / sum n^2, the equal clusters that say as much (Kish 1965); 0 for none."""
    result = np.zeros(np.shape(total))
    np.divide(np.square(total), squares, out=result, where=squares > 0)
    return result


def degrees_of_freedom(windows: WindowTotals, reference: ReferenceArrays) -> FloatArray:
    """Return the smaller number of effective clusters, less one, by window."""
    window = effective_clusters(
        windows.turns.astype(np.float64), windows.squares.astype(np.float64)
    )
    return np.minimum(window, effective_clusters(reference.total, reference.squares)) - 1.0


def _design_effects(windows: WindowTotals, rho: FloatArray) -> FloatArray:
    """Return 1 + (m - 1) rho by window and bin, m = sum n^2 / sum n of the window."""
    mean = windows.squares / np.maximum(windows.turns, 1)
    return np.asarray(1.0 + np.maximum(mean - 1.0, 0.0)[:, None] * rho)


def rare_bins(windows: WindowTotals, reference: ReferenceArrays) -> FloatArray:
    """Return by window and bin: 1 where the clusters that have it are counted, 0 where z is taken.

    NaN where all turns but a few are in the bin: those few are in bins that are tested themselves.
    """
    share = reference.turns / np.maximum(reference.total, 1.0)[:, None]
    effective = windows.turns[:, None] / _design_effects(windows, reference.rho)
    rare = np.where(effective * share < FEWEST_EFFECTIVE_TURNS, 1.0, 0.0)
    covering = (effective * (1.0 - share) < FEWEST_EFFECTIVE_TURNS) & (share > 0.5)  # noqa: PLR2004
    return np.where(covering, np.nan, rare)


def column_alarms(
    counts: ColumnCounts, windows: WindowTotals, reference: ReferenceArrays
) -> Alarms:
    """Return the bin of each window that is least likely to be chance.

    z = (p_w - p_ref) / sqrt(p (1 - p) [(1 + (m_w - 1) rho) / N_w
    + (1 + (m_ref - 1) rho_ref) / N_ref]), p pooled (the two-sample test of shares with the design
    effects of Kish 1965), against t. Rare bins: P(X >= k) for the k clusters of the window that
    have it, binomial with (K + 1) / (C + 2) of the reference's K of C clusters (Laplace's rule),
    times the turns per cluster where the window has more; only too many of a rare bin can alarm.
    """
    turns = counts.turns.astype(np.float64)
    total = windows.turns.astype(np.float64)
    kinds = rare_bins(windows, reference)
    df = np.maximum(degrees_of_freedom(windows, reference), 1.0)

    pooled = (turns + reference.turns) / np.maximum(total + reference.total, 1.0)[:, None]
    mean_reference = reference.squares / np.maximum(reference.total, 1.0)
    reference_effect = (
        1.0 + np.maximum(mean_reference - 1.0, 0.0)[:, None] * reference.rho_reference
    )
    variance = (
        pooled
        * (1.0 - pooled)
        * (
            _design_effects(windows, reference.rho) / np.maximum(total, 1.0)[:, None]
            + reference_effect / np.maximum(reference.total, 1.0)[:, None]
        )
    )
    share = turns / np.maximum(total, 1.0)[:, None]
    reference_share = reference.turns / np.maximum(reference.total, 1.0)[:, None]
    z = np.zeros_like(share)
    tested = (kinds == 0.0) & (variance > 0.0)
    np.divide(share - reference_share, np.sqrt(variance), out=z, where=tested)
    every = np.arange(len(z))
    largest = np.argmax(np.abs(z), axis=1)
    p = np.ones_like(z)
    p[every, largest] = t_beyond(z[every, largest], df)

    rate = (reference.having + 1.0) / (reference.clusters + 2.0)[:, None]
    per_cluster = total / np.maximum(windows.clusters, 1)
    per_reference = reference.total / np.maximum(reference.clusters, 1.0)
    rate *= np.maximum(per_cluster / np.maximum(per_reference, 1.0), 1.0)[:, None]
    rate = np.minimum(rate, 1.0 - 1e-12)
    counted = (kinds == 1.0) & (counts.clusters > 0)
    row, column = np.nonzero(counted)
    p[row, column] = at_least(
        counts.clusters[row, column], windows.clusters[row], rate[row, column]
    )

    worst = np.argmin(p, axis=1)
    at = (every, worst)
    return Alarms(
        bin=worst.astype(np.int64),
        p=p[at],
        by_clusters=counted[at],
        statistic=np.where(counted[at], counts.clusters[at], z[at]),
        rate=rate[at],
        df=df,
        share=share[at],
        reference_share=reference_share[at],
    )
