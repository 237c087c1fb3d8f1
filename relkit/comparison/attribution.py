"""Where a regression comes from: the smallest part of the data that holds most of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from relkit.comparison.types import Attribution
from relkit.core.slices import OVERALL, SliceSpec
from relkit.statistics.rates import RateMetric
from relkit.statistics.types import ClusterSums, PairedSums

MOST = 0.5
"""The share of the excess errors that a part has to hold."""

LEAST_GAIN = 0.25
"""How much larger a part's share of the excess has to be than its share of the data."""

MOST_COLUMNS = 12
"""Slice columns that are crossed at most: 66 crossings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """A slice with what the candidate has more in it, its units, and its utterances."""

    slice: str
    excess: float
    units: float
    utterances: float

    @property
    def parts(self) -> frozenset[str]:
        return _parts(self.slice)


def crossings(slices: Sequence[str]) -> tuple[str, ...]:
    """Return the whole, every column of the slices given, and every crossing of two of them."""
    columns = tuple(dict.fromkeys(c for name in slices for c in SliceSpec.parse(name).columns))
    leading = columns[:MOST_COLUMNS]
    crossed = [
        f"{first}&{second}" for i, first in enumerate(leading) for second in leading[i + 1 :]
    ]
    names = (OVERALL, *leading, *slices, *crossed)
    return tuple(dict.fromkeys(SliceSpec.parse(name).name for name in names))


def attribute(metric: RateMetric, of: str, cells: PairedSums) -> Attribution | None:
    """Return the part of slice ``of`` that explains its regression with the least data.

    Excess is how much more the candidate has of what the metric counts (its first sum). Of the
    slices inside ``of`` that hold at least half of its excess, the one is named whose share of the
    excess (at most 1) exceeds its share of the data the most: Youden's index (1950), what is found
    less what is taken for it. The least data alone would be wrong, since half of a slice holds half
    of what is spread evenly over it. A part that gains less than a quarter explains nothing, and
    ``of`` itself is named. None where ``of`` has no excess, or is not there.
    """
    by_slice = {cell.slice: cell for cell in _cells(metric, cells)}
    total = by_slice.get(of)
    if total is None or total.excess <= 0:
        return None
    inside = [
        cell
        for cell in by_slice.values()
        if total.parts < cell.parts and cell.units > 0 and cell.excess >= MOST * total.excess
    ]
    best = min(inside, key=lambda cell: _rank(cell, total), default=total)
    if _gain(best, total) < LEAST_GAIN:
        best = total
    return Attribution(
        of=of,
        slice=best.slice,
        excess=best.excess,
        share=best.excess / total.excess,
        data=best.units / total.units,
        utterances=round(best.utterances),
    )


def _gain(cell: _Cell, total: _Cell) -> float:
    return min(1.0, cell.excess / total.excess) - cell.units / total.units


def _rank(cell: _Cell, total: _Cell) -> tuple[float, float, int, str]:
    """Order by gain; among equals less data, fewer parts, and then the name."""
    return -_gain(cell, total), cell.units, len(cell.parts), cell.slice


def shared_with(
    metric: RateMetric, part: str, slices: Iterable[str], cells: PairedSums
) -> dict[str, float]:
    """Return how much of each slice's excess is in what it shares with ``part``, as a share.

    Only slices that hold more than the shared crossing, and most of whose excess is in it.
    """
    by_parts = {cell.parts: cell for cell in _cells(metric, cells)}
    part_columns = _parts(part)
    shares: dict[str, float] = {}
    for name in slices:
        total, shared = by_parts.get(_parts(name)), by_parts.get(_parts(name) | part_columns)
        if (
            total is None
            or shared is None
            or part_columns <= _parts(name)
            or _parts(name) <= part_columns
        ):
            continue
        if total.excess > 0 and shared.excess >= MOST * total.excess:
            shares[name] = shared.excess / total.excess
    return shares


def _parts(key: str) -> frozenset[str]:
    return frozenset() if key == OVERALL else frozenset(key.split("&"))


def _cells(metric: RateMetric, sums: PairedSums) -> Iterator[_Cell]:
    first = metric.columns[0]
    for row, index in enumerate(sums.candidate.slice_index.tolist()):
        yield _Cell(
            slice=sums.candidate.slices[index],
            excess=_at(sums.candidate, first, row) - _at(sums.baseline, first, row),
            units=_at(sums.candidate, metric.n, row),
            utterances=_at(sums.candidate, metric.utterances, row) / sums.candidate.repeats,
        )


def _at(sums: ClusterSums, column: str, row: int) -> float:
    return float(sums.columns[column][row])
