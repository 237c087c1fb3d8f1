"""What everybody can work out from the shown cells of a window about those that are not shown.

All cells are one system of linear bounds: the values of a column add up to the window, the cells of
a crossing to its columns, in turns and in events; people add up where nobody has two values, and
are otherwise between the largest part and the sum. A band bounds a count, and a rate on its grid
ties events to turns within half a step. A hidden count has to stay possible from 0 to at least k
(docs/privacy.md, section "What is shown"; the attack is the table differencing of Hundepool et al.
2012, "Statistical Disclosure Control", chapter 4).

Bounds follow here by propagation, row by row to a fixed point, which needs numpy alone; linear
programs (:mod:`relkit.disclosure.ports`) bound at least as tightly.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.slices import OVERALL, columns_of, slice_parts
from relkit.disclosure.types import (
    AllButFewer,
    FewerThan,
    LinearSystem,
    ShownBand,
    ShownCell,
    ShownMetric,
    ShownRate,
)

POOL_VALUE: Final = "(other)"
"""The value of a column under which those that do not pass are pooled."""

_MOST = 1e9  # turns of a window whose whole is not shown
_ROUNDS = 200
_SETTLED = 1e-6
SLACK: Final = 1e-5
"""How far bounds may be off by rounding: no count is proven by less."""

Quantity = Literal["people", "utterances", "measured", "events", "others"]
"""``others``: measured turns that are no event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTable:
    """All shown cells of a window, and what an attacker may know beside them.

    ``complete`` are the columns (``accent``, or ``accent&noise`` of a crossing) of which nothing is
    hidden, ``exclusive`` those in which everybody has one value, ``measured`` the metrics that
    every turn has. Less of it makes an audit that is right and finds less. ``guarded`` are groups
    of hidden cells of a crossing that are as little to be told of as each of them, since they
    together do not pass, either (:func:`group_name`). ``not_few`` are the slices and metrics that
    read "fewer than k" because of fewer than three people; ``from_zero`` those, groups included,
    of which it must not be told that there are events: they do not pass, or are fewer than k.
    """

    cells: Mapping[str, ShownCell]
    k: int
    complete: frozenset[str] = frozenset()
    exclusive: frozenset[str] = frozenset()
    measured: frozenset[str] = frozenset()
    guarded: frozenset[str] = frozenset()
    not_few: frozenset[tuple[str, str]] = frozenset()
    from_zero: frozenset[tuple[str, str]] = frozenset()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of any cell, by name."""
        return tuple(sorted({name for cell in self.cells.values() for name in cell.metrics}))

    def of_columns(self, columns: tuple[str, ...]) -> list[str]:
        """Return the slices of the cells of a column or crossing."""
        return [key for key in self.cells if columns_of(key) == columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenCount:
    """A count that is not shown: the unknown of the system, and what has to stay possible.

    ``slice`` is the cell, or the column whose hidden values are meant; ``around`` are the shown
    cells that it can be worked out from. It has to be possible that it is ``at_least``, and that it
    is 0 where ``from_zero``: of a metric that passes, and is hidden for the sake of others, and of
    hidden cells that pass together, it may be told that there are events, though not that they are
    few.
    """

    unknown: int
    slice: str
    quantity: Quantity
    metric: str | None
    at_least: int
    around: tuple[str, ...]
    from_zero: bool = True


@dataclass(slots=True)
class _Rows:
    """Collects the unknowns and the rows of a system."""

    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    entries: list[tuple[int, int, float]] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def unknown(self, lower: float, upper: float) -> int:
        self.lower.append(lower)
        self.upper.append(upper)
        return len(self.lower) - 1

    def add(
        self, terms: Iterable[tuple[int, float]], low: float = 0.0, high: float = math.inf
    ) -> None:
        self.entries.extend((len(self.low), unknown, factor) for unknown, factor in terms)
        self.low.append(low)
        self.high.append(high)

    def system(self) -> LinearSystem:
        row, column, coefficient = zip(*self.entries, strict=True) if self.entries else ((), (), ())
        return LinearSystem(
            lower=np.array(self.lower),
            upper=np.array(self.upper),
            row=np.array(row, dtype=np.int64),
            column=np.array(column, dtype=np.int64),
            coefficient=np.array(coefficient, dtype=np.float64),
            low=np.array(self.low),
            high=np.array(self.high),
        )


@dataclass(frozen=True, slots=True)
class _Sum:
    """A cell and the parts that make it up; ``exclusive``: nobody is in two of them."""

    parent: str
    parts: tuple[str, ...]
    exclusive: bool


@dataclass(slots=True)
class _Layout:
    """The cells of a table, shown and hidden, and how they add up.

    ``inner`` are sums of cells that only tie others together.
    """

    hidden: list[str] = field(default_factory=list)
    inner: list[str] = field(default_factory=list)
    sums: list[_Sum] = field(default_factory=list)

    def add(self, name: str, *, hidden: bool = True) -> str:
        cells = self.hidden if hidden else self.inner
        if name not in cells:
            cells.append(name)
        return name


def _layout(table: ShownTable) -> _Layout:
    layout = _Layout()
    partitions = dict.fromkeys(columns_of(key) for key in table.cells if key != OVERALL)
    rests: dict[str, list[str]] = {}
    for columns in partitions:
        name = "&".join(columns)
        parts = table.of_columns(columns)
        if name not in table.complete:
            parts.append(layout.add(name, hidden=len(columns) == 1))
        exclusive = all(column in table.exclusive for column in columns)
        layout.sums.append(_Sum(OVERALL, tuple(parts), exclusive))
        if len(columns) == 1:
            pool = [key for key in parts if key == name or _value(key) == POOL_VALUE]
            rests[name] = pool
    for columns in partitions:
        if len(columns) == 2 and all(column in rests for column in columns):  # noqa: PLR2004
            _cross(table, layout, columns, rests)
    return layout


def _value(key: str) -> str:
    return slice_parts(key)[0][1] if "=" in key else ""


def _cross(
    table: ShownTable, layout: _Layout, columns: tuple[str, ...], rests: Mapping[str, list[str]]
) -> None:
    """Add the cells of a crossing: each value of one column is the sum over those of the other.

    What is not shown beside a value is a hidden cell, too, also where it is several together.
    """
    values = {
        column: [key for key in table.of_columns((column,)) if key not in rests[column]]
        for column in columns
    }
    for column, other in (columns, columns[::-1]):
        exclusive = other in table.exclusive
        for key in values[column]:
            crossed = ["&".join(sorted((key, across), key=columns_of)) for across in values[other]]
            shown = [cell for cell in crossed if cell in table.cells]
            unseen = [layout.add(cell) for cell in crossed if cell not in table.cells]
            if rests[other]:
                beside = group_name(key, other, everything=False)
                unseen.append(layout.add(beside, hidden=beside in table.guarded))
            if len(unseen) > 1:
                together = group_name(key, other, everything=True)
                layout.add(together, hidden=together in table.guarded)
                layout.sums.append(_Sum(together, tuple(unseen), exclusive))
                unseen = [together]
            if shown or unseen:
                layout.sums.append(_Sum(key, (*shown, *unseen), exclusive))
    corner = corner_name(columns)
    for column, other in (columns, columns[::-1]):
        if not rests[column]:
            continue
        beside = layout.add(f"{column}&&", hidden=False)
        parts = [group_name(key, column, everything=False) for key in values[other]]
        if rests[other]:
            parts.append(corner)
        layout.sums.append(_Sum(beside, tuple(rests[column]), column in table.exclusive))
        layout.sums.append(_Sum(beside, tuple(parts), other in table.exclusive))
    if all(rests[column] for column in columns):
        layout.add(corner, hidden=corner in table.guarded)


def group_name(key: str, column: str, *, everything: bool) -> str:
    """Return what the audit calls the cells of a slice by a column that are hidden in a crossing.

    Those of the values of ``column`` that are not shown themselves, or ``everything`` hidden.
    """
    return f"{key}&{column}&" if everything else f"{key}&{column}"


def corner_name(columns: Sequence[str]) -> str:
    """Return what the audit calls the turns of which a crossing shows neither value."""
    return f"{columns[0]}&{columns[1]}&&"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The system of a table, and the hidden counts that it must not pin."""

    system: LinearSystem
    hidden: tuple[HiddenCount, ...]
    unknowns: Mapping[tuple[str, Quantity, str | None], int]
    """By cell, quantity and metric, in which order the unknowns come."""

    @property
    def targets(self) -> IntArray:
        """The unknowns that are hidden counts."""
        return np.array([count.unknown for count in self.hidden], dtype=np.int64)


def audit_of(table: ShownTable) -> Audit:
    """Return the system of everything shown, and what has to stay hidden."""
    layout = _layout(table)
    rows = _Rows()
    around = _neighbours(layout, table)
    whole = table.cells.get(OVERALL)
    most_turns = float(whole.utterances[1]) if whole else _MOST
    most_people = float(whole.people[1]) if whole else _MOST
    cells: list[tuple[str, ShownCell | None]] = [
        *table.cells.items(),
        *((name, None) for name in (*layout.hidden, *layout.inner)),
    ]
    inner = frozenset(layout.inner)
    unknowns: dict[tuple[str, Quantity, str | None], int] = {}
    hidden: list[HiddenCount] = []

    def hide(
        name: str, quantity: Quantity, metric: str | None, at_least: int, *, from_zero: bool = True
    ) -> None:
        # Who knows which values are in a group that passes knows as few events of each of them.
        if name in inner and quantity != "events":
            return
        hidden.append(
            HiddenCount(
                unknown=unknowns[name, quantity, metric],
                slice=name.rstrip("&"),
                quantity=quantity,
                metric=metric,
                at_least=at_least,
                around=around.get(name, ()),
                from_zero=from_zero,
            )
        )

    for name, cell in cells:
        people = rows.unknown(
            *(
                (0.0, most_people)
                if cell is None
                else (max(cell.people[0], table.k), cell.people[1])
            )
        )
        turns = rows.unknown(*((0.0, most_turns) if cell is None else cell.utterances))
        unknowns[name, "people", None], unknowns[name, "utterances", None] = people, turns
        rows.add([(turns, 1.0), (people, -1.0)])
        if cell is None:
            hide(name, "people", None, table.k)
            hide(name, "utterances", None, table.k)
        for metric in table.metrics:
            shown = None if cell is None else cell.metrics.get(metric)
            measured, events = rows.unknown(0.0, most_turns), rows.unknown(0.0, most_turns)
            unknowns[name, "measured", metric] = measured
            unknowns[name, "events", metric] = events
            always = metric in table.measured
            rows.add([(turns, 1.0), (measured, -1.0)], high=0.0 if always else math.inf)
            rows.add([(measured, 1.0), (events, -1.0)])
            many = (name, metric) in table.not_few
            if _bound_metric(rows, measured, events, None if many else shown, table.k):
                alone = cell is None and name not in inner
                from_zero = alone or shown is not None or (name, metric) in table.from_zero
                hide(name, "events", metric, table.k - 1, from_zero=from_zero)
            if isinstance(shown, AllButFewer):
                others = rows.unknown(0.0, most_turns if many else table.k - 1.0)
                rows.add([(measured, 1.0), (events, -1.0), (others, -1.0)], high=0.0)
                unknowns[name, "others", metric] = others
                hide(name, "others", metric, table.k - 1)
    _add_sums(rows, layout, unknowns, table.metrics)
    return Audit(system=rows.system(), hidden=tuple(hidden), unknowns=unknowns)


def _bound_metric(rows: _Rows, measured: int, events: int, shown: ShownMetric, k: int) -> bool:
    """Add what a shown metric says of its counts; return whether its events are hidden."""
    if shown is None:
        return True
    rows.lower[measured] = max(10.0, k)
    if isinstance(shown, FewerThan):
        rows.upper[events] = shown.below - 1.0
        return True
    if isinstance(shown, ShownBand):
        rows.lower[events] = max(shown.events[0], k)
        rows.upper[events] = shown.events[1]
    elif isinstance(shown, ShownRate):
        half = shown.step / 2.0
        rows.lower[events] = k
        rows.add([(measured, 1.0), (events, -1.0)], low=k)
        rows.add([(measured, shown.value + half), (events, -1.0)])
        rows.add([(events, 1.0), (measured, half - shown.value)])
    return False


def _add_sums(
    rows: _Rows,
    layout: _Layout,
    unknowns: Mapping[tuple[str, Quantity, str | None], int],
    metrics: Sequence[str],
) -> None:
    added: list[tuple[Quantity, str | None]] = [("utterances", None)]
    for name in metrics:
        added += [("measured", name), ("events", name)]
    for equation in layout.sums:
        if (equation.parent, "people", None) not in unknowns:
            continue
        for quantity, metric in added:
            terms = [(unknowns[part, quantity, metric], -1.0) for part in equation.parts]
            rows.add([(unknowns[equation.parent, quantity, metric], 1.0), *terms], high=0.0)
        parent = unknowns[equation.parent, "people", None]
        people = [unknowns[part, "people", None] for part in equation.parts]
        least = 0.0 if equation.exclusive else -math.inf
        rows.add([(parent, 1.0), *((part, -1.0) for part in people)], low=least, high=0.0)
        for part in people:
            rows.add([(parent, 1.0), (part, -1.0)])


def _neighbours(layout: _Layout, table: ShownTable) -> dict[str, tuple[str, ...]]:
    """Return for each cell the shown ones that share a sum with it, the whole last."""
    near: dict[str, set[str]] = {}
    for equation in layout.sums:
        members = (equation.parent, *equation.parts)
        for member in members:
            near.setdefault(member, set()).update(members)
    # What several hidden cells make together is worked out from what is around them, too.
    for equation in layout.sums:
        if equation.parent in layout.hidden or equation.parent in layout.inner:
            for part in equation.parts:
                near[part] |= near[equation.parent]
    fine_first = sorted(table.cells, key=lambda key: -len(columns_of(key)))
    return {
        name: tuple(key for key in fine_first if key in members) for name, members in near.items()
    }


def propagate(system: LinearSystem) -> FloatArray:
    """Return bounds (V, 2) on every unknown: each row tightens them until nothing moves.

    They hold for everything that fits the system, and are at best as tight as linear programs.
    Where nothing fits, some lower bound may come out above its upper one.
    """
    lower, upper = system.lower.copy(), system.upper.copy()
    row, column, factor = system.row, system.column, system.coefficient
    positive = factor > 0
    count = len(system.low)
    if not count:
        return np.stack((lower, upper), axis=1)
    for _ in range(_ROUNDS):
        least = factor * np.where(positive, lower[column], upper[column])
        most = factor * np.where(positive, upper[column], lower[column])
        rest_least = np.bincount(row, weights=least, minlength=count)[row] - least
        rest_most = np.bincount(row, weights=most, minlength=count)[row] - most
        by_high = (system.high[row] - rest_least) / factor
        by_low = (system.low[row] - rest_most) / factor
        tighter_lower, tighter_upper = lower.copy(), upper.copy()
        np.maximum.at(tighter_lower, column, np.where(positive, by_low, by_high))
        np.minimum.at(tighter_upper, column, np.where(positive, by_high, by_low))
        moved = max(float(np.max(tighter_lower - lower)), float(np.max(upper - tighter_upper)))
        lower, upper = tighter_lower, tighter_upper
        if moved < _SETTLED or bool(np.any(lower > upper + 1.0)):
            break
    return np.stack((lower, upper), axis=1)


def excess(count: HiddenCount, low: float, high: float) -> float:
    """Return by how much bounds pin a hidden count too narrowly; 0 where they may be shown."""
    above_zero = low if count.from_zero and low > SLACK else 0.0
    missing = count.at_least - high if high < count.at_least - SLACK else 0.0
    return above_zero + missing


def outside_view(cells: Iterable[ShownCell], k: int, hidden: int) -> ShownTable:
    """Return the table as whoever receives it knows it: which column hides something is not said.

    ``hidden``: how many slices are not shown; 0 is said of all columns.
    """
    by_slice = {cell.slice: cell for cell in cells}
    columns = {"&".join(columns_of(key)) for key in by_slice if key != OVERALL}
    return ShownTable(cells=by_slice, k=k, complete=frozenset() if hidden else frozenset(columns))


def pinned_slices(cells: Iterable[ShownCell], k: int, hidden: int) -> tuple[str, ...]:
    """Return the slices, or columns, whose hidden counts the shown cells pin; none where all hold.

    What a receiver can check without the data and without linear programs.
    """
    audit = audit_of(outside_view(cells, k, hidden))
    bounds = propagate(audit.system)
    names = [
        count.slice for count in audit.hidden if excess(count, *bounds[count.unknown].tolist()) > 0
    ]
    return tuple(dict.fromkeys(names))
