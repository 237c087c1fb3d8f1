"""How much worse a candidate's percentile is than a baseline's, slice by slice.

Inverts the clustered interval of a share (Woodruff 1952): a worsening is inside while the share of
the candidate's values above the baseline's percentile moved by it does not differ from the share of
the baseline's values above its percentile. The shares are compared on the logit scale, one cluster
left out at a time, so that what a speaker does to both systems cancels.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.metrics import Better
from relkit.core.wording import counted
from relkit.statistics.intervals import Spread, distinct, leave_one_out_spread
from relkit.statistics.percentiles import (
    MIN_PERCENTILE_CLUSTERS,
    OrderedValues,
    end_ranks,
    left_out_logits,
    ordered_slice,
    values_needed,
)
from relkit.statistics.types import Difference, PairedValues, SliceValues

PERCENTILE_METHOD = "paired-woodruff"


def percentile_differences(
    share: float, pairs: PairedValues, *, unit: str, better: Better = "down"
) -> tuple[Difference, ...]:
    """Return the worsening of a percentile (share 0.95: p95) in each slice of the candidate.

    Percentiles are type 7 quantiles (Hyndman and Fan 1996). The interval needs 8 clusters, and its
    ends as many values of distinct utterances as those of a percentile do; an end beyond the data
    is None and the note says so. Either system's values can be moved onto the other's: the ends are
    the outer ones of both, so that exchanging the systems mirrors the interval. ``n`` counts the
    candidate's values, once whatever the number of repeats.
    """
    place = {name: i for i, name in enumerate(pairs.baseline.slices)}
    differences = []
    for i, name in enumerate(pairs.candidate.slices):
        k = place.get(name)
        here = _slice(pairs.candidate, i)
        base = _slice(pairs.baseline, k) if k is not None else None
        empty = Difference(slice=name, candidate=None, baseline=None, worsening=None, unit=unit)
        if here is None or base is None:
            differences.append(replace(empty, note="no values"))
        elif not (math.isfinite(here.values.sum()) and math.isfinite(base.values.sum())):
            differences.append(replace(empty, note="a value is not a number"))
        else:
            moved = _moved(share, empty, here, base)
            differences.append(moved if better == "down" else _mirrored(moved))
    return tuple(differences)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """One system's values in a slice, ascending, and the run's number of each one's cluster."""

    ordered: OrderedValues
    values: FloatArray
    clusters: IntArray
    repeats: int

    @property
    def count(self) -> int:
        """How many values there are of distinct utterances."""
        return distinct(len(self.values), self.repeats)


def _slice(values: SliceValues, i: int) -> _Values | None:
    first, end = np.searchsorted(values.slice_index, [i, i + 1]).tolist()
    if first == end:
        return None
    ordered = ordered_slice(values, i, "cluster")
    clusters = np.unique(values.cluster_index[first:end])
    return _Values(
        ordered=ordered, values=ordered.values, clusters=clusters, repeats=values.repeats
    )


def _moved(share: float, empty: Difference, here: _Values, second: _Values) -> Difference:
    """Return the candidate's percentile - the baseline's."""
    point, base = here.ordered.point(share), second.ordered.point(share)
    clusters = np.union1d(here.clusters, second.clusters)
    above = aligned(point.exceeding, here.clusters, clusters)
    sizes = aligned(here.ordered.sizes, here.clusters, clusters)
    above_there = aligned(base.exceeding, second.clusters, clusters)
    sizes_there = aligned(second.ordered.sizes, second.clusters, clusters)
    difference = replace(
        empty,
        candidate=point.value,
        baseline=base.value,
        worsening=point.value - base.value,
        n=here.count,
        utterances=here.count,
        clusters=len(clusters),
        discordant=int(np.count_nonzero((above != above_there) | (sizes != sizes_there))),
    )
    if len(clusters) < MIN_PERCENTILE_CLUSTERS:
        few = counted(len(clusters), "cluster")
        note = f"{few}: the interval of a percentile needs {MIN_PERCENTILE_CLUSTERS}"
        return replace(difference, note=note)
    left_out = left_out_logits(sizes, above) - left_out_logits(sizes_there, above_there)
    spread = leave_one_out_spread(left_out, np.zeros(len(left_out), dtype=np.int64), 1)
    return _with_ends(share, difference, here, second, spread)


def _mirrored(difference: Difference) -> Difference:
    """Return the difference where more is better: baseline - candidate."""
    worsening, low, high = difference.worsening, difference.low, difference.high
    return replace(
        difference,
        worsening=None if worsening is None else -worsening,
        low=None if high is None else -high,
        high=None if low is None else -low,
    )


def aligned(per_cluster: FloatArray, clusters: IntArray, union: IntArray) -> FloatArray:
    """Return the figures of a system's clusters at their places in the union, 0 elsewhere."""
    result = np.zeros(len(union))
    result[np.searchsorted(union, clusters)] = per_cluster
    return result


def _with_ends(
    share: float, difference: Difference, here: _Values, second: _Values, spread: Spread
) -> Difference:
    half = float(spread.half_width[0])
    if not math.isfinite(half):
        note = "no interval: one cluster has all the slowest or fastest values"
        return replace(difference, note=note)
    point, base = difference.candidate, difference.baseline
    if point is None or base is None:
        return difference
    ends = [_ends(here, share, half), _ends(second, share, half)]
    (low, high), (low_there, high_there) = ends
    lows = (low - base, point - high_there)
    highs = (high - base, point - low_there)
    notes = []
    if not math.isfinite(min(lows)):
        notes.append("no lower end: too few values, in too few clusters")
    if not math.isfinite(max(highs)):
        notes.append("no upper end: too few values, in too few clusters")
    none = len(notes) > 1
    return replace(
        difference,
        low=min(lows) if math.isfinite(min(lows)) else None,
        high=max(highs) if math.isfinite(max(highs)) else None,
        method=difference.method if none else PERCENTILE_METHOD,
        note="; ".join(notes) or None,
    )


def _ends(system: _Values, share: float, half: float) -> tuple[float, float]:
    """Return the values at which the logit of the share above differs by ``half``.

    Infinite beyond the data, or with fewer values than an end needs.
    """
    values, size, count = system.values, len(system.values), system.count
    low_rank, high_rank = end_ranks(share, size, half)
    low = low_rank >= 1 and count >= values_needed(1.0 - share)
    high = high_rank <= size and count >= values_needed(share)
    return (
        float(values[low_rank - 1]) if low else -math.inf,
        float(values[high_rank - 1]) if high else math.inf,
    )
