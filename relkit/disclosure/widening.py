"""Widens bands and grids until no hidden count of a window can be worked out from what is shown."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.errors import InvalidInput
from relkit.core.slices import OVERALL
from relkit.disclosure.audit import (
    SLACK,
    Audit,
    HiddenCount,
    ShownTable,
    audit_of,
    excess,
    outside_view,
    propagate,
)
from relkit.disclosure.numbers import coarser_rate, wider_band
from relkit.disclosure.ports import LinearBounds
from relkit.disclosure.types import Band, LinearSystem, ShownBand, ShownCell, ShownRate
from relkit.statistics.types import BoolArray

_MOST_MOVES: Final = 300
_TOGETHER: Final = 3
_BETTER: Final = 1e-6

_WIDEST: Final = 10
"""A band that was ten times as high would say nothing any more."""

CellsBySlice = Mapping[str, ShownCell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Cells that are to be shown, with what is known at home.

    ``table`` is the attacker's view at its strongest. ``hidden`` is how many slices will be said
    not to be shown, ``rates`` the exact rate by slice and metric, ``frozen`` the slices that are
    out already and stay as they are.
    """

    table: ShownTable
    hidden: int
    rates: Mapping[tuple[str, str], float]
    frozen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Widened:
    """The cells that may be shown, how many of their numbers had to be widened, what was hidden."""

    cells: CellsBySlice
    widened: int
    hidden: int


@dataclass(frozen=True, slots=True)
class _Pinned:
    """A hidden count that is pinned, and by how much, as the check that found it measures it."""

    count: HiddenCount
    excess: float
    measure: Callable[[CellsBySlice], float]


def widen_until_safe(draft: Draft, programs: LinearBounds) -> Widened:
    """Return cells of which no audit finds a hidden count pinned.

    The bands of the cells around a pinned count widen by a step, and rates take the next coarser
    grid, one at a time, the one that helps most first. Where that does not help, the metric is
    hidden around it, and then the crossing is; no band widens by more than two
    steps on a side. Raises InvalidInput, which names the slice and no count, where that does
    not help either.
    """
    shown: dict[str, ShownCell] = dict(draft.table.cells)
    hidden = draft.hidden
    together: dict[tuple[str, str, str | None], int] = {}
    where = OVERALL
    for _ in range(_MOST_MOVES):
        pinned = _first_pinned(draft, shown, hidden, programs)
        if pinned is None:
            widened = sum(_differences(draft.table.cells[key], cell) for key, cell in shown.items())
            return Widened(cells=shown, widened=widened, hidden=hidden)
        best, best_excess, moves = None, pinned.excess - _BETTER, 0
        for cell in _moves(draft, shown, pinned.count):
            moves += 1
            amount = pinned.measure({**shown, cell.slice: cell})
            if amount < best_excess:
                best, best_excess = cell, amount
            if amount == 0.0:
                break
        if best is not None:
            shown[best.slice] = best
            continue
        count, where = pinned.count, pinned.count.slice
        name = (count.slice, count.quantity, count.metric)
        together[name] = together.get(name, 0) + 1
        # What pins the events of a metric are its rates: better none of it there than no bands.
        if count.metric is None and moves and together[name] <= _TOGETHER:
            _move_together(draft, shown, count)
        elif not _hide_metric(draft, shown, count):
            crossed = [key for key in shown if "&" in key and key not in draft.frozen]
            if not crossed:
                break
            hidden += len(crossed)
            together.clear()
            shown = {key: cell for key, cell in draft.table.cells.items() if key not in crossed}
    raise InvalidInput(
        f"{where}: what would be shown around it would tell of fewer than {draft.table.k} people",
        hint="show fewer columns, or a longer window",
    )


def _first_pinned(
    draft: Draft, shown: CellsBySlice, hidden: int, programs: LinearBounds
) -> _Pinned | None:
    """Return the hidden count that is pinned most, by the first check that finds any."""

    def at_home(cells: CellsBySlice) -> ShownTable:
        return replace(draft.table, cells=cells)

    def outside(cells: CellsBySlice) -> ShownTable:
        return outside_view(cells.values(), draft.table.k, hidden)

    for view in (at_home, outside):
        audit = audit_of(view(shown))
        bounds = propagate(audit.system)
        amounts = [excess(count, *bounds[count.unknown].tolist()) for count in audit.hidden]
        if amounts and max(amounts) > 0:
            place = int(np.argmax(amounts))
            return _Pinned(audit.hidden[place], amounts[place], _by_propagation(view, place))
    audit = audit_of(at_home(shown))
    checked = _by_programs(audit, programs)
    if checked is None:
        raise InvalidInput(
            "what is already out about this window does not fit its turns any more",
            hint="choose a window that is complete",
        )
    if max(checked, default=0.0) > 0:
        place = int(np.argmax(checked))
        measure = _by_program(at_home, place, programs)
        return _Pinned(audit.hidden[place], checked[place], measure)
    return None


def _by_propagation(
    view: Callable[[CellsBySlice], ShownTable], place: int
) -> Callable[[CellsBySlice], float]:
    def measure(cells: CellsBySlice) -> float:
        audit = audit_of(view(cells))
        count = audit.hidden[place]
        return excess(count, *propagate(audit.system)[count.unknown].tolist())

    return measure


def _by_program(
    view: Callable[[CellsBySlice], ShownTable], place: int, programs: LinearBounds
) -> Callable[[CellsBySlice], float]:
    def measure(cells: CellsBySlice) -> float:
        audit = audit_of(view(cells))
        ends = _ends(audit, audit.hidden[place], programs)
        return math.inf if ends is None else excess(audit.hidden[place], *ends)

    return measure


def _ends(audit: Audit, count: HiddenCount, programs: LinearBounds) -> tuple[float, float] | None:
    weights = np.zeros(len(audit.system.lower))
    weights[count.unknown] = 1.0
    least, most = programs.least(audit.system, weights), programs.least(audit.system, -weights)
    if least is None or most is None:
        return None
    return float(least[count.unknown]), float(most[count.unknown])


@dataclass(slots=True)
class _Reached:
    """Which hidden counts (T,) some point that fits the system makes 0, or large enough."""

    targets: IntArray
    needed: FloatArray
    zero: BoolArray
    enough: BoolArray

    def see(self, point: FloatArray | None) -> None:
        if point is not None:
            self.zero |= point[self.targets] <= SLACK
            self.enough |= point[self.targets] >= self.needed - SLACK

    def side(self, sign: float) -> BoolArray:
        return self.zero if sign > 0 else self.enough


def _by_programs(audit: Audit, programs: LinearBounds) -> list[float] | None:
    """Return by how much each hidden count is pinned, None where nothing fits.

    Every answer is a point that fits: where it shows that a count can be 0, or large enough, no
    program of its own is needed. So many counts are made small, then large, together; where that
    moves none of them, each half is tried, down to a count alone.
    """
    system, targets = audit.system, audit.targets
    nothing = np.zeros(len(targets), dtype=np.bool_)
    needed = np.array([count.at_least for count in audit.hidden], dtype=np.float64)
    reached = _Reached(targets, needed, nothing.copy(), nothing.copy())
    amounts = [0.0] * len(targets)
    for sign in (1.0, -1.0):
        groups = [np.arange(len(targets))]
        while groups:
            group = groups.pop()
            group = group[~reached.side(sign)[group]]
            if not len(group):
                continue
            point = _together(system, targets[group], needed[group], sign, programs)
            reached.see(point)
            if len(group) == 1:
                if point is None:
                    return None
                end = float(point[targets[group[0]]])
                low, high = (end, math.inf) if sign > 0 else (0.0, end)
                amounts[group[0]] += excess(audit.hidden[group[0]], low, high)
                continue
            left = group[~reached.side(sign)[group]]
            half = len(left) // 2 if len(left) == len(group) else 0
            groups += [part for part in (left[half:], left[:half]) if len(part)]
    return amounts


def _together(
    system: LinearSystem,
    unknowns: IntArray,
    needed: FloatArray,
    sign: float,
    programs: LinearBounds,
) -> FloatArray | None:
    """Return a point that makes counts small (or large) together.

    Of several that become large none takes more than it needs from the others; that may not fit.
    """
    weights = np.zeros(len(system.lower))
    weights[unknowns] = sign
    if sign > 0 or len(unknowns) == 1:
        return programs.least(system, weights)
    upper = system.upper.copy()
    upper[unknowns] = np.minimum(upper[unknowns], needed + 1.0)
    return programs.least(replace(system, upper=upper), weights)


def _moves(draft: Draft, shown: CellsBySlice, count: HiddenCount) -> Iterator[ShownCell]:
    """Yield each cell around a count with one of its numbers a step wider."""
    for key in count.around:
        cell = shown.get(key)
        if cell is None or key in draft.frozen:
            continue
        whole, drawn = shown[OVERALL], draft.table.cells[key]
        for up in (True, False):
            people = wider_band(cell.people, up=up)
            beyond = up and key != OVERALL and cell.people[1] >= whole.people[1]
            if people != cell.people and not beyond and _within(people, drawn.people):
                yield replace(cell, people=people)
            turns = wider_band(cell.utterances, up=up)
            beyond = up and key != OVERALL and cell.utterances[1] >= whole.utterances[1]
            if turns != cell.utterances and not beyond and _within(turns, drawn.utterances):
                yield replace(cell, utterances=turns)
        if count.quantity != "people":
            yield from _coarser(draft, cell, count.metric)


def _within(wider: Band, drawn: Band) -> bool:
    """Return whether a band is wider than the drawn one by two steps at most on either side."""
    return wider[0] * _WIDEST > drawn[0] and wider[1] < drawn[1] * _WIDEST


def _coarser(draft: Draft, cell: ShownCell, metric: str | None) -> Iterator[ShownCell]:
    """Yield a cell with one metric, or each of its metrics where it is None, a step coarser."""
    for name in cell.metrics if metric is None else (metric,):
        shown = cell.metrics.get(name)
        if isinstance(shown, ShownRate):
            coarser = coarser_rate(shown, draft.rates[cell.slice, name])
            if coarser is not None:
                yield replace(cell, metrics={**cell.metrics, name: coarser})
        elif isinstance(shown, ShownBand):
            for up in (True, False):
                events = wider_band(shown.events, up=up)
                if events != shown.events:
                    wider = replace(shown, events=events)
                    yield replace(cell, metrics={**cell.metrics, name: wider})


def _move_together(draft: Draft, shown: dict[str, ShownCell], count: HiddenCount) -> None:
    """Widen every number of the cells around a count a step, since none alone helps."""
    for key in count.around:
        while_wider = [move for move in _moves(draft, shown, count) if move.slice == key]
        if not while_wider:
            continue
        cell = shown[key]
        for move in while_wider:
            people = (min(cell.people[0], move.people[0]), max(cell.people[1], move.people[1]))
            turns = (
                min(cell.utterances[0], move.utterances[0]),
                max(cell.utterances[1], move.utterances[1]),
            )
            changed = {
                name: metric
                for name, metric in move.metrics.items()
                if metric != shown[key].metrics[name]
            }
            metrics = {**cell.metrics, **changed}
            cell = replace(cell, people=people, utterances=turns, metrics=metrics)
        shown[key] = cell


def _hide_metric(draft: Draft, shown: dict[str, ShownCell], count: HiddenCount) -> bool:
    """Hide the metric of a count around it, then everywhere; return whether that hid anything.

    Of turns it is every metric: what pins them are rates.
    """
    if count.quantity == "people":
        return False
    near = [key for key in count.around if key != OVERALL and key not in draft.frozen]
    for keys in (near, [key for key in shown if key not in draft.frozen]):
        changed = False
        for key in keys:
            cell = shown.get(key)
            if cell is None:
                continue
            hidden = {
                name: None
                for name in (cell.metrics if count.metric is None else (count.metric,))
                if isinstance(cell.metrics.get(name), ShownRate | ShownBand)
            }
            if hidden:
                shown[key] = replace(cell, metrics={**cell.metrics, **hidden})
                changed = True
        if changed:
            return True
    return False


def _differences(before: ShownCell, after: ShownCell) -> int:
    """Return how many bands and grids are wider."""
    bands = (before.people != after.people) + (before.utterances != after.utterances)
    metrics = sum(
        after.metrics[name] is not None and after.metrics[name] != metric
        for name, metric in before.metrics.items()
    )
    return bands + metrics


def may_have_been(drawn: ShownCell, shown: ShownCell) -> bool:
    """Return whether a shown cell is one as drawn by the rules, or a widened form of it."""
    if not (_covers(shown.people, drawn.people) and _covers(shown.utterances, drawn.utterances)):
        return False
    for name, metric in shown.metrics.items():
        before = drawn.metrics.get(name)
        if metric is None or metric == before:
            continue
        if isinstance(metric, ShownRate) and isinstance(before, ShownRate):
            if metric.step <= before.step or abs(metric.value - before.value) > metric.step:
                return False
        elif not (
            isinstance(metric, ShownBand)
            and isinstance(before, ShownBand)
            and _covers(metric.events, before.events)
            and metric.than_rest == before.than_rest
        ):
            return False
    return True


def _covers(outer: Band, inner: Band) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]
