"""Which measurements bound a percentile: ranks from counts by cluster, without the measurements.

The inversions of :mod:`relkit.rules.percentiles` and
:mod:`relkit.rules.percentile_differences`, from what a decision keeps of the measurements.
"""

import math

import numpy as np

from relkit.rules.cluster_sums import FloatArray
from relkit.rules.jackknife import leave_one_out_spread
from relkit.rules.percentiles import MIN_CLUSTERS, end_ranks, left_out_logits, values_needed

Ranks = tuple[int | None, int | None]
"""Of the low and the high end, 1 the smallest measurement; None for an end that is not there."""

Counts = tuple[FloatArray, FloatArray]
"""By cluster (C,): the measurements, and those above the percentile, tied ones by a fraction."""

Ends = tuple[float, float | None, float | None]
"""A percentile, and the measurements at its ranks."""


def order_ranks(share: float, sizes: FloatArray, exceeding: FloatArray) -> Ranks:
    """Return the ranks of the ends of a percentile's interval (share 0.95: p95).

    Without 8 clusters there is no interval.
    """
    return _ranks(share, float(sizes.sum()), _half(left_out_logits(sizes, exceeding)))


def paired_ranks(share: float, candidate: Counts, baseline: Counts) -> tuple[Ranks, Ranks]:
    """Return the ranks in both systems of the interval of the difference of their percentiles.

    Both count the same clusters in the same order, 0 where a system has no measurement of one.
    """
    half = _half(left_out_logits(*candidate) - left_out_logits(*baseline))
    return (
        _ranks(share, float(candidate[0].sum()), half),
        _ranks(share, float(baseline[0].sum()), half),
    )


def worsening_ends(candidate: Ends, baseline: Ends) -> tuple[float | None, float | None]:
    """Return the interval of a percentile's increase: the outer ends of moving either system.

    An end without a measurement on one side is open.
    """
    point, low, high = candidate
    base, base_low, base_high = baseline
    return (
        None if low is None or base_high is None else min(low - base, point - base_high),
        None if high is None or base_low is None else max(high - base, point - base_low),
    )


def _half(left: FloatArray) -> float:
    """Return half the width of the interval on the logit scale; NaN where there is none."""
    if len(left) < MIN_CLUSTERS:
        return math.nan
    spread = leave_one_out_spread(left, np.zeros(len(left), dtype=np.int64), 1)
    return float(spread.half_width[0])


def _ranks(share: float, size: float, half: float) -> Ranks:
    """Return the ranks that are there; none with fewer values than an end needs."""
    if not math.isfinite(half):
        return None, None
    low, high = end_ranks(share, size, half)
    return (
        low if low >= 1 and size >= values_needed(1.0 - share) else None,
        high if high <= size and size >= values_needed(share) else None,
    )
