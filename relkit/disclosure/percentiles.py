"""Percentiles that may be shown: enough values of enough people beyond them, on a coarse grid.

An end of an interval is one person's measurement, and so is a percentile of a thin tail: what is
beyond either has to be of several people, none of whom makes most of it (docs/privacy.md, section
"What is shown").
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.disclosure.counts import Holdings
from relkit.disclosure.numbers import Direction, grid_value
from relkit.disclosure.thresholds import enough
from relkit.disclosure.types import ShownPercentile
from relkit.statistics.percentiles import OrderedValues, order_ranks, ordered_slice
from relkit.statistics.types import SliceValues

MIN_VALUES_BEYOND: Final = 10
MIN_PEOPLE_BEYOND: Final = 5


def values_implied(percentile: int) -> int:
    """Return how many values there are at least where a percentile is shown.

    Ten of n values are beyond the type 7 quantile only if n exceeds 9 / tail + 1.
    """
    tail = min(percentile, 100 - percentile)
    return (MIN_VALUES_BEYOND - 1) * 100 // tail + 2


def shown_percentiles(
    quantities: Mapping[str, FloatArray],
    persons: IntArray,
    parts: Sequence[tuple[Sequence[str], IntArray]],
    *,
    k: int,
    percentiles: Sequence[int],
) -> list[ShownPercentile]:
    """Return the percentiles of every quantity in every cell, None where a tail is too thin.

    ``quantities`` map a name to a value per turn (N,), NaN where there is none, and negative ones
    are none. ``persons`` (N,) numbers whose turn it was. ``parts`` are the cells of each column:
    their slices, and per turn (N,) in which of them it is, -1 for none.
    """
    shown = []
    for name in sorted(quantities):
        values = quantities[name]
        usable = np.flatnonzero(np.isfinite(values) & (values >= 0))
        ascending = usable[np.argsort(values[usable], kind="stable")]
        for slices, cell in parts:
            cells = cell[ascending].astype(np.int32)
            # Stable: within a cell the values stay in order.
            order = ascending[np.argsort(cells, kind="stable")]
            order = order[int(np.count_nonzero(cells < 0)) :]
            sliced = SliceValues(
                slices=tuple(slices),
                slice_index=cell[order],
                cluster_index=persons[order],
                values=values[order],
            )
            for place, key in enumerate(slices):
                ordered = ordered_slice(sliced, place, "cluster")
                passing = _passes(ordered, k)
                shown += [
                    _shown(ordered, percentile, key, name, passing=passing)
                    for percentile in percentiles
                ]
    return shown


def _passes(ordered: OrderedValues, k: int) -> bool:
    """Return whether values of at least k people are there, none of whom makes most of them."""
    sizes = np.sort(np.append(ordered.sizes, (0.0, 0.0))).astype(np.int64)[::-1]
    held = Holdings(
        total=sizes.sum(keepdims=True),
        people=np.array([np.count_nonzero(sizes)]),
        largest=sizes[:1],
        second=sizes[1:2],
    )
    return bool(enough(held, k)[0])


def _shown(
    ordered: OrderedValues, percentile: int, key: str, metric: str, *, passing: bool
) -> ShownPercentile:
    nothing = ShownPercentile(
        slice=key, metric=metric, percentile=percentile, value=None, low=None, high=None
    )
    if not passing:
        return nothing
    share = percentile / 100.0
    point = ordered.point(share)
    if not tails_bear(ordered, point.value):
        return nothing
    ranks = order_ranks(share, ordered.sizes, point.exceeding)
    directions: tuple[Direction, Direction] = ("down", "up")
    low, high = (
        None if rank is None else _end(ordered, float(ordered.values[rank - 1]), direction)
        for rank, direction in zip(ranks, directions, strict=True)
    )
    return ShownPercentile(
        slice=key,
        metric=metric,
        percentile=percentile,
        value=grid_value(point.value),
        low=low,
        high=high,
    )


def _end(ordered: OrderedValues, value: float, direction: Direction) -> float | None:
    return grid_value(value, direction) if tails_bear(ordered, value) else None


def tails_bear(ordered: OrderedValues, value: float) -> bool:
    """Return whether on either side of a value at least 10 values of 5 people lie.

    None of these people may have more than half of them.
    """
    below = int(np.searchsorted(ordered.values, value, "left"))
    above = int(np.searchsorted(ordered.values, value, "right"))
    for parts in (ordered.parts[:below], ordered.parts[above:]):
        sizes = np.bincount(parts, minlength=1)
        if (
            len(parts) < MIN_VALUES_BEYOND
            or np.count_nonzero(sizes) < MIN_PEOPLE_BEYOND
            or 2 * int(sizes.max()) > len(parts)
        ):
            return False
    return True
