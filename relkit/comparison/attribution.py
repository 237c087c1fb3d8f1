"""Where a regression comes from: the smallest part of the data that holds most of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from relkit.comparison.types import Attribution
from relkit.core.slices import OVERALL, SliceSpec
from relkit.statistics.rates import RateMetric
from relkit.statistics.sums import ClusterSums, PairedSums

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
    kept = columns[:MOST_COLUMNS]
    crossed = [f"{one}&{other}" for i, one in enumerate(kept) for other in kept[i + 1 :]]
    wanted = (OVERALL, *kept, *slices, *crossed)
    return tuple(dict.fromkeys(SliceSpec.parse(name).name for name in wanted))


def attribute(metric: RateMetric, of: str, cells: PairedSums) -> Attribution | None:
    """Return the part of slice ``of`` that explains its regression with the least data.

    Excess is how much more the candidate has of what the metric counts (its first sum). Of the
    slices inside ``of`` that hold at least half of its excess, the one is named whose share of the
    excess (at most 1) exceeds its share of the data the most: Youden's index (1950), what is found
    less what is taken for it. The least data alone would be wrong, since half of a slice holds half
    of what is spread evenly over it. A part that gains less than a quarter explains nothing, and
    ``of`` itself is named. None where ``of`` has no excess, or is not there.
    """
    found = {cell.slice: cell for cell in _cells(metric, cells)}
    whole = found.get(of)
    if whole is None or whole.excess <= 0:
        return None
    inside = [
        cell
        for cell in found.values()
        if whole.parts < cell.parts and cell.units > 0 and cell.excess >= MOST * whole.excess
    ]
    best = min(inside, key=lambda cell: _rank(cell, whole), default=whole)
    if _gain(best, whole) < LEAST_GAIN:
        best = whole
    return Attribution(
        of=of,
        slice=best.slice,
        excess=best.excess,
        share=best.excess / whole.excess,
        data=best.units / whole.units,
        utterances=round(best.utterances),
    )


def _gain(cell: _Cell, whole: _Cell) -> float:
    return min(1.0, cell.excess / whole.excess) - cell.units / whole.units


def _rank(cell: _Cell, whole: _Cell) -> tuple[float, float, int, str]:
    """Order by gain; among equals less data, fewer parts, and then the name."""
    return -_gain(cell, whole), cell.units, len(cell.parts), cell.slice


def shared_with(
    metric: RateMetric, part: str, slices: Iterable[str], cells: PairedSums
) -> dict[str, float]:
    """Return how much of each slice's excess is in what it shares with ``part``, as a share.

    Only slices that hold more than the shared crossing, and most of whose excess is in it.
    """
    found = {cell.parts: cell for cell in _cells(metric, cells)}
    own = _parts(part)
    shares: dict[str, float] = {}
    for name in slices:
        whole, shared = found.get(_parts(name)), found.get(_parts(name) | own)
        if whole is None or shared is None or own <= _parts(name) or _parts(name) <= own:
            continue
        if whole.excess > 0 and shared.excess >= MOST * whole.excess:
            shares[name] = shared.excess / whole.excess
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
            utterances=_at(sums.candidate, metric.utterances, row),
        )


def _at(sums: ClusterSums, column: str, row: int) -> float:
    return float(sums.columns[column][row])
