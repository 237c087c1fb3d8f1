"""Which cells of a window are shown, pooled or hidden, and in which numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from relkit.core.arrays import Codes, IntArray
from relkit.core.errors import InvalidInput, NoData
from relkit.core.slices import OVERALL, SliceSpec, slice_parts
from relkit.disclosure.counts import PersonSums, holdings, merge_cells, sum_by_person
from relkit.disclosure.names import SharedNames
from relkit.disclosure.numbers import band_of
from relkit.disclosure.ports import LinearBounds
from relkit.disclosure.thresholds import MetricTotals, enough, shown_metrics
from relkit.disclosure.types import Disclosed, ShownCell, WindowTurns
from relkit.statistics.types import BoolArray

POOL_VALUE: Final = "(other)"
"""The value of a column under which those that do not pass are pooled."""

_NOT_THERE = "columns of the turn table that turns are cut by"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Partition:
    """The cells of one column, or of a crossing: those shown, in order, and the others' number."""

    keys: tuple[str, ...]
    sums: PersonSums
    hidden: int
    pooled: tuple[str, ...] = ()


def disclose(
    turns: WindowTurns,
    *,
    slices: Sequence[str],
    k: int,
    linear: LinearBounds,
    names: SharedNames | None = None,
    percentiles: Sequence[int] = (50, 95),
    earlier: Disclosed | None = None,
) -> Disclosed:
    """Return what may be shown of a window: ``overall``, and the cells of ``slices``.

    ``slices`` are columns, and at most one crossing of two of them (``accent&noise``). ``k`` is the
    fewest people of a cell (:func:`relkit.disclosure.thresholds.fewest_people`). ``names`` are what
    columns and values are called outside, their own where it is None. ``earlier`` is
    what is already out about the same window: it stays as it is, and what is added is audited
    together with it.

    The same turns give the same cells. Raises NoData for a window without a turn, InvalidInput
    where a slice cannot be shown without telling of fewer than k people.
    """
    del linear, percentiles, earlier  # the audit, which needs them, is not here yet
    if not len(turns):
        raise NoData("there is no turn in the window", hint="choose another window")
    columns, _crossing = _requested(turns, slices)
    if int(turns.persons.min()) < 0:
        raise InvalidInput("turns without a user cannot be shown", hint="see privacy.unit")
    everything = sum_by_person(turns, np.zeros(len(turns), dtype=np.int64), 1)
    held = holdings(everything, everything.turns)
    if not enough(held, k)[0]:
        raise InvalidInput(
            f"{OVERALL}: too few people, or one of them makes most of it: nothing can be shown",
            hint="choose a longer window",
        )
    partitions = [_of_column(turns, column, names, k) for column in columns]
    window = {name: shown_metrics(everything, name, k, None) for name in turns.flags}
    totals = {name: metric[1] for name, metric in window.items()}
    cells = _cells((OVERALL,), everything, k, None)
    for partition in partitions:
        cells += _cells(partition.keys, partition.sums, k, totals)
    return Disclosed(
        cells=tuple(cells),
        pooled=tuple(key for partition in partitions for key in partition.pooled),
        hidden=sum(partition.hidden for partition in partitions),
    )


def _requested(turns: WindowTurns, slices: Sequence[str]) -> tuple[list[str], list[SliceSpec]]:
    """Return the columns and the crossing to show; raises InvalidInput for what is neither."""
    specs = [SliceSpec.parse(text) for text in dict.fromkeys(slices)]
    for spec in specs:
        for column in spec.columns:
            if column not in turns.columns:
                raise InvalidInput(f"{column}: is no column of these turns", hint=_NOT_THERE)
    crossings = [spec for spec in specs if len(spec.columns) > 1]
    if len(crossings) > 1 or any(len(spec.columns) != 2 for spec in crossings):  # noqa: PLR2004
        raise InvalidInput(
            "a packet shows at most one crossing of two columns", hint="leave the others out"
        )
    columns = {column for spec in specs for column in spec.columns}
    return sorted(columns), crossings


def _of_column(turns: WindowTurns, column: str, names: SharedNames | None, k: int) -> _Partition:
    """Return the cells of a column: the values that pass, and the others in one pool.

    Turns without a value are pooled, and so is a value that is called like the pool.
    """
    codes: Codes = turns.columns[column]
    count = len(codes.names)
    cell = np.where(codes.codes < 0, count, codes.codes).astype(np.int64)
    sums = sum_by_person(turns, cell, count + 1)
    passing: BoolArray = enough(holdings(sums, sums.turns), k)
    passing[count] = False
    present = np.bincount(sums.cell, minlength=count + 1) > 0
    spec = SliceSpec(columns=(names.column(column) if names else column,))
    keys = {
        spec.key((names.value(column, value) if names else value,)): place
        for place, value in enumerate(codes.names)
        if passing[place] and value != POOL_VALUE
    }
    order = sorted(keys)
    shown = [keys[key] for key in order]
    to: IntArray = np.full(count + 1, len(shown), dtype=np.int64)
    to[shown] = np.arange(len(shown))
    merged = merge_cells(sums, to, len(shown) + 1)
    pool_passes = bool(enough(holdings(merged, merged.turns), k)[len(shown)])
    rest = [place for place in np.flatnonzero(present).tolist() if to[place] == len(shown)]
    if pool_passes:
        order.append(spec.key((POOL_VALUE,)))
    else:
        merged = merge_cells(sums, np.where(to == len(shown), -1, to), len(shown))
    own = SliceSpec(columns=(column,))
    named = tuple(own.key((codes.names[place],)) for place in rest if place < count)
    return _Partition(
        keys=tuple(order),
        sums=merged,
        hidden=0 if pool_passes else len(rest),
        pooled=named if pool_passes else (),
    )


def _cells(
    keys: Sequence[str], sums: PersonSums, k: int, overall: dict[str, MetricTotals] | None
) -> list[ShownCell]:
    held = holdings(sums, sums.turns)
    metrics = {
        name: shown_metrics(sums, name, k, None if overall is None else overall[name])[0]
        for name in sorted(sums.events)
    }
    return [
        ShownCell(
            slice=key,
            people=band_of(int(held.people[cell])),
            utterances=band_of(int(held.total[cell])),
            metrics={name: shown[cell] for name, shown in metrics.items()},
        )
        for cell, key in enumerate(keys)
    ]


def parts_of(cell: ShownCell) -> tuple[tuple[str, str], ...]:
    """Return the shown columns and values of a cell; none for ``overall``."""
    return slice_parts(cell.slice)
