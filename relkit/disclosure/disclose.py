"""Which cells of a window are shown, pooled or hidden, and in which numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relkit.core.arrays import IntArray
from relkit.core.errors import InvalidInput, NoData
from relkit.core.slices import OVERALL, SliceSpec, columns_of
from relkit.disclosure.audit import POOL_VALUE, ShownTable, corner_name, group_name
from relkit.disclosure.counts import PersonSums, holdings, merge_cells, sum_by_person
from relkit.disclosure.names import SharedNames
from relkit.disclosure.numbers import band_of
from relkit.disclosure.percentiles import shown_percentiles, values_implied
from relkit.disclosure.ports import LinearBounds
from relkit.disclosure.thresholds import MetricTotals, enough, few_events, shown_metrics
from relkit.disclosure.types import (
    AllButFewer,
    Disclosed,
    FewerThan,
    ShownBand,
    ShownCell,
    ShownPercentile,
    ShownRate,
    WindowTurns,
)
from relkit.disclosure.widening import Draft, may_have_been, widen_until_safe

_NOT_THERE = "columns of the turn table that turns are cut by"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Partition:
    """The cells of one column, or of a crossing, that pass.

    ``column`` is what it is called outside. ``keys`` are the shown slices, in order, and ``cell``
    (N,) says for each turn in which of them it is, -1 for none. ``pooled`` names the values in
    the pool, by their own names. ``unshown`` counts the places that have no cell, whether turns are
    there or not: the pool, or crossed cells; ``hides`` says whether a slice is hidden, and
    ``complete`` that no turn is. ``exclusive``: nobody has two values. ``guarded`` are groups of
    hidden cells of a crossing that do not pass together, ``few`` those, by metric, that have few
    events together.
    """

    column: str
    keys: tuple[str, ...]
    cell: IntArray
    sums: PersonSums
    unshown: int
    hides: bool
    complete: bool
    exclusive: bool
    pooled: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()
    few: tuple[tuple[str, str], ...] = ()


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

    ``slices`` are columns, and at most one crossing of two of them (``accent&noise``), of which
    those cells are shown that pass and whose two values are shown. ``k`` is the fewest people of a
    cell (:func:`relkit.disclosure.thresholds.fewest_people`). ``names`` are what columns and values
    are called outside, their own where it is None. ``percentiles`` of every quantity are shown
    where their tails bear it. ``earlier`` is what is already out about the same window: it stays
    as it is, and what is added is audited together with it.

    The same turns give the same cells. Raises NoData for a window without a turn, InvalidInput
    where a slice cannot be shown without telling of fewer than k people.
    """
    if not len(turns):
        raise NoData("there is no turn in the window", hint="choose another window")
    if int(turns.persons.min()) < 0:
        raise InvalidInput("turns without a user cannot be shown", hint="see privacy.unit")
    columns, crossing = _requested(turns, slices)
    of_window = np.zeros(len(turns), dtype=np.int64)
    everything = sum_by_person(turns, of_window, 1)
    if not enough(holdings(everything, everything.turns), k)[0]:
        raise InvalidInput(
            f"{OVERALL}: too few people, or one of them makes most of it: nothing can be shown",
            hint="choose a longer window",
        )
    by_column = {column: _of_column(turns, column, names, k) for column in columns}
    partitions = sorted(by_column.values(), key=lambda partition: partition.column)
    if crossing is not None:
        left, right = (by_column[column] for column in crossing.columns)
        partitions.append(_of_crossing(turns, left, right, k))
    window = _Partition(
        column=OVERALL,
        keys=(OVERALL,),
        cell=of_window,
        sums=everything,
        unshown=0,
        hides=False,
        complete=True,
        exclusive=True,
    )
    widened = widen_until_safe(_draft(window, partitions, k, earlier), linear)
    order = [key for partition in (window, *partitions) for key in partition.keys]
    order += [key for key in widened.cells if key not in order]
    cells = tuple(widened.cells[key] for key in order if key in widened.cells)
    of_quantities = shown_percentiles(
        turns.quantities,
        turns.persons,
        [(partition.keys, partition.cell) for partition in (window, *partitions)],
        k=k,
        percentiles=percentiles,
    )
    return Disclosed(
        cells=cells,
        percentiles=_with_earlier(of_quantities, widened.cells, earlier),
        pooled=tuple(key for partition in partitions for key in partition.pooled),
        hidden=widened.hidden,
        widened=widened.widened,
    )


def _with_earlier(
    of_quantities: Sequence[ShownPercentile],
    cells: Mapping[str, ShownCell],
    earlier: Disclosed | None,
) -> tuple[ShownPercentile, ...]:
    """Return the percentiles of shown cells; those that are out already stay as they are.

    A percentile that says of how many values it is at least is not shown where the band of the
    turns does not say so, too: p95 of 100-199 turns would tell that they are 182 or more.
    """
    shown = {
        (percentile.slice, percentile.metric, percentile.percentile): percentile
        if values_implied(percentile.percentile) <= cells[percentile.slice].utterances[0]
        else replace(percentile, value=None, low=None, high=None)
        for percentile in of_quantities
        if percentile.slice in cells
    }
    for percentile in earlier.percentiles if earlier else ():
        if percentile.slice in cells:
            shown[percentile.slice, percentile.metric, percentile.percentile] = percentile
    return tuple(shown.values())


def _requested(turns: WindowTurns, slices: Sequence[str]) -> tuple[list[str], SliceSpec | None]:
    """Return the columns and the crossing to show; raises InvalidInput for what is neither."""
    specs = list(dict.fromkeys(SliceSpec.parse(text) for text in slices))
    columns = sorted({column for spec in specs for column in spec.columns})
    for column in columns:
        if column not in turns.columns:
            raise InvalidInput(f"{column}: is no column of these turns", hint=_NOT_THERE)
    crossings = [spec for spec in specs if len(spec.columns) > 1]
    if len(crossings) > 1 or any(len(spec.columns) != 2 for spec in crossings):  # noqa: PLR2004
        raise InvalidInput(
            "a packet shows at most one crossing of two columns", hint="leave the others out"
        )
    return columns, crossings[0] if crossings else None


def _of_column(turns: WindowTurns, column: str, names: SharedNames | None, k: int) -> _Partition:
    """Return the cells of a column: the values that pass, and the others in one pool.

    Turns without a value are pooled, and so is a value that is called like the pool. A pool that
    does not pass is hidden; it takes no other value with it.
    """
    codes = turns.columns[column]
    count = len(codes.names)
    cell = np.where(codes.codes < 0, count, codes.codes).astype(np.int64)
    sums = sum_by_person(turns, cell, count + 1)
    passing = enough(holdings(sums, sums.turns), k)
    passing[count] = False
    spec = SliceSpec(columns=(names.column(column) if names else column,))
    keys = {
        spec.key((names.value(column, value) if names else value,)): place
        for place, value in enumerate(codes.names)
        if passing[place] and value != POOL_VALUE
    }
    order = sorted(keys)
    shown = [keys[key] for key in order]
    pool = len(shown)
    to = np.full(count + 1, pool, dtype=np.int64)
    to[shown] = np.arange(pool)
    merged = merge_cells(sums, to, pool + 1)
    pool_passes = bool(enough(holdings(merged, merged.turns), k)[pool])
    without_value = bool(np.any(sums.cell == count))
    rest = [place for place in range(count) if to[place] == pool]
    if pool_passes:
        order.append(spec.key((POOL_VALUE,)))
    else:
        to = np.where(to == pool, -1, to)
        merged = merge_cells(sums, to, pool)
    own = SliceSpec(columns=(column,))
    named = tuple(own.key((codes.names[place],)) for place in rest)
    hides = not pool_passes and (without_value or bool(rest))
    return _Partition(
        column=spec.name,
        keys=tuple(order),
        cell=to[cell],
        sums=merged,
        unshown=int(not pool_passes),
        hides=hides,
        complete=not hides,
        exclusive=len(sums.person) == len(np.unique(sums.person)),
        pooled=named if pool_passes else (),
    )


def _of_crossing(turns: WindowTurns, left: _Partition, right: _Partition, k: int) -> _Partition:
    """Return those cells of two columns that pass and whose own values are shown."""
    first, second = sorted((left, right), key=lambda partition: partition.column)
    sides = [[key for key in side.keys if not _is_pool(key)] for side in (first, second)]
    rows, across = (len(side) for side in sides)
    inside = (first.cell >= 0) & (first.cell < rows) & (second.cell >= 0) & (second.cell < across)
    cell = np.where(inside, first.cell * across + second.cell, -1)
    sums = sum_by_person(turns, cell, rows * across)
    shown = np.flatnonzero(enough(holdings(sums, sums.turns), k))
    to = np.full(rows * across + 1, -1, dtype=np.int64)
    to[shown] = np.arange(len(shown))
    keys = tuple(f"{sides[0][i // across]}&{sides[1][i % across]}" for i in shown.tolist())
    unshown = rows * across - len(keys)
    crossed = to[cell]
    rests = [(first.cell < 0) | (first.cell >= rows), (second.cell < 0) | (second.cell >= across)]
    corner = np.where(rests[0] & rests[1], 0, -1)
    groups = [([corner_name((first.column, second.column))], corner)]
    for i, (side, other) in enumerate(((first, second), (second, first))):
        for everything in (False, True):
            unseen = ~rests[i] & (crossed < 0 if everything else rests[1 - i])
            named = [group_name(key, other.column, everything=everything) for key in sides[i]]
            groups.append((named, np.where(unseen, side.cell, -1)))
    guarded: list[str] = []
    few: list[tuple[str, str]] = []
    for named, of_turn in groups:
        of_group = sum_by_person(turns, of_turn, len(named))
        passing = enough(holdings(of_group, of_group.turns), k)
        guarded += [named[i] for i in np.flatnonzero(~passing).tolist()]
        for metric, events in of_group.events.items():
            scarce = few_events(holdings(of_group, events), k)
            few += [(named[i], metric) for i in np.flatnonzero(scarce).tolist()]
    sides_complete = all(
        side.complete and not any(map(_is_pool, side.keys)) for side in (first, second)
    )
    return _Partition(
        column=f"{first.column}&{second.column}",
        keys=keys,
        cell=crossed,
        sums=merge_cells(sums, to[:-1], len(keys)),
        unshown=unshown,
        hides=unshown > 0,
        complete=not unshown and sides_complete,
        exclusive=first.exclusive and second.exclusive,
        guarded=tuple(guarded),
        few=tuple(few),
    )


def _is_pool(key: str) -> bool:
    return key.endswith(f"={POOL_VALUE}")


def _draft(
    window: _Partition, partitions: Sequence[_Partition], k: int, earlier: Disclosed | None
) -> Draft:
    """Return the cells as thresholds and intervals alone would show them, and those already out.

    A column of which cells are already out stays as it is: no value joins it.
    """
    out = {cell.slice: cell for cell in earlier.cells} if earlier is not None else {}
    columns_out = {"&".join(columns_of(key)) or OVERALL for key in out}
    measured = {
        metric
        for metric, amounts in window.sums.measured.items()
        if int(amounts.sum()) == int(window.sums.turns.sum())
    }
    cells = dict(out)
    rates: dict[tuple[str, str], float] = {}
    totals: dict[str, MetricTotals] | None = None
    complete = set()
    not_few: set[tuple[str, str]] = set()
    from_zero = {group for partition in partitions for group in partition.few}
    for partition in (window, *partitions):
        drafted, drafted_totals = _cells(partition, k, totals)
        totals = drafted_totals if totals is None else totals
        if partition.complete:
            complete.add(partition.column)
        not_few |= _not_few(drafted, drafted_totals, k)
        from_zero |= {
            (cell.slice, name)
            for cell in drafted
            for name, metric in cell.metrics.items()
            if not isinstance(metric, ShownRate | ShownBand)
        }
        if partition.column in columns_out:
            _check_unchanged(partition.column, drafted, out)
            continue
        for place, cell in enumerate(drafted):
            cells[cell.slice] = cell
            for metric, counted in drafted_totals.items():
                if counted.measured[place]:
                    rates[cell.slice, metric] = float(
                        counted.events[place] / counted.measured[place]
                    )
    return Draft(
        table=ShownTable(
            cells=cells,
            k=k,
            complete=frozenset(complete),
            exclusive=frozenset(part.column for part in partitions if part.exclusive),
            measured=frozenset(measured),
            not_few=frozenset(not_few),
            from_zero=frozenset(from_zero),
            guarded=frozenset(name for part in partitions for name in part.guarded),
        ),
        hidden=_hidden(partitions, earlier),
        rates=rates,
        frozen=frozenset(out),
    )


def _hidden(partitions: Sequence[_Partition], earlier: Disclosed | None) -> int:
    """Return what is said of how many slices are hidden: 0, or what the shown cells tell anyway.

    To count the values that are hidden would say of each that somebody has it.
    """
    out = 0 if earlier is None else earlier.hidden
    hides = out or any(partition.hides for partition in partitions)
    return max(out, sum(partition.unshown for partition in partitions)) if hides else 0


def _not_few(
    cells: Sequence[ShownCell], totals: Mapping[str, MetricTotals], k: int
) -> set[tuple[str, str]]:
    """Return the slices and metrics that read "fewer than k" because of fewer than three people."""
    not_few = set()
    for place, cell in enumerate(cells):
        for metric, shown in cell.metrics.items():
            events = int(totals[metric].events[place])
            others = int(totals[metric].measured[place]) - events
            if (isinstance(shown, FewerThan) and events >= k) or (
                isinstance(shown, AllButFewer) and others >= k
            ):
                not_few.add((cell.slice, metric))
    return not_few


def _check_unchanged(
    column: str, drafted: Sequence[ShownCell], out: Mapping[str, ShownCell]
) -> None:
    """Raise InvalidInput where cells that are out are not those that the turns give now.

    What is out may have been widened, and fewer cells of a crossing may be out.
    """
    before = [cell for key, cell in out.items() if ("&".join(columns_of(key)) or OVERALL) == column]
    now = {cell.slice: cell for cell in drafted}
    if "&" not in column and len(now) != len(before):
        before = []
    if not before or not all(
        cell.slice in now and may_have_been(now[cell.slice], cell) for cell in before
    ):
        raise InvalidInput(
            f"{column}: the turns of this window have changed since it was shown; two views of "
            "one window that differ would tell by what",
            hint="go on with the next window",
        )


def _cells(
    partition: _Partition, k: int, window: dict[str, MetricTotals] | None
) -> tuple[list[ShownCell], dict[str, MetricTotals]]:
    """Return the cells of a partition, and the exact totals of its metrics."""
    sums = partition.sums
    held = holdings(sums, sums.turns)
    metrics = {
        name: shown_metrics(sums, name, k, None if window is None else window[name])
        for name in sorted(sums.events)
    }
    cells = [
        ShownCell(
            slice=key,
            people=band_of(int(held.people[cell])),
            utterances=band_of(int(held.total[cell])),
            metrics={name: shown[cell] for name, (shown, _) in metrics.items()},
        )
        for cell, key in enumerate(partition.keys)
    ]
    return cells, {name: totals for name, (_, totals) in metrics.items()}
