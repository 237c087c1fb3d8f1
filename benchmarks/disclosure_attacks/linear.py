"""Linear programs over everything that was shown: between which counts must a hidden one lie.

Unknown are the turns and events of every crossing of values in every stretch of time, and the
people of every slice of every document. Each shown number is a row, and so is what everybody
knows: turns and events add up, events are turns, a person has one language, a person who is in
two slices is one person. The truth is one solution; a bound holds for all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import combinations, pairwise, product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from benchmarks.disclosure_attacks.populations import ALWAYS_MEASURED, PER_PERSON, Cell
from benchmarks.disclosure_attacks.reading import OTHER, Interval, Reading
from relkit.core.arrays import FloatArray

EPSILON = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A hidden count: of ``turns``, ``people`` or a metric's events, of a slice of hours.

    ``others``: not the events, but the turns without one.
    """

    quantity: str
    others: bool = False
    cell: Cell
    hours: tuple[int, int]


@dataclass(slots=True)
class _Rows:
    """Rows of a linear program, as they are added."""

    row: list[int] = field(default_factory=list)
    column: list[int] = field(default_factory=list)
    factor: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def add(self, terms: Mapping[int, float], low: float, high: float) -> None:
        """Add the row low <= sum of terms <= high."""
        self.row += [len(self.low)] * len(terms)
        self.column += terms.keys()
        self.factor += terms.values()
        self.low.append(low)
        self.high.append(high)


def _value(row: Mapping[int, float], unknowns: FloatArray) -> float:
    return float(sum(factor * unknowns[place] for place, factor in row.items()))


class LinearAttack:
    """The program of some documents about traffic of which the values of columns are known."""

    def __init__(
        self,
        readings: Sequence[Reading],
        values: Mapping[str, Sequence[str]],
        cells: Sequence[Cell] = (),
    ) -> None:
        """Set up the unknowns, and a row for everything shown and everything known.

        ``cells`` are those that will be asked for.
        """
        self.readings = readings
        self.values = values
        self._rows = _Rows()
        self._size = 0
        ends = sorted({hour for reading in readings for hour in reading.hours})
        self._stretches = list(pairwise(ends))
        self.metrics = sorted(
            {name for reading in readings for name, _ in (*reading.rates, *reading.events)}
        )
        self._groups = self._joined_columns(cells)
        self._unknown: dict[tuple[str, int, tuple[str, ...], tuple[int, int]], int] = {}
        self._persons: dict[tuple[Cell, tuple[int, int]], int] = {}
        for number, columns in enumerate(self._groups):
            for atom in product(*(values[name] for name in columns)):
                for stretch in self._stretches:
                    for quantity in ("turns", *self.metrics):
                        self._unknown[quantity, number, atom, stretch] = self._next()
        self._state_what_is_known()
        self._state_who_is_in_two_windows()
        for reading in readings:
            self._state_what_is_shown(reading)

    def _next(self) -> int:
        self._size += 1
        return self._size - 1

    def _joined_columns(self, cells: Sequence[Cell]) -> list[tuple[str, ...]]:
        """Return the columns in groups: those that are crossed are in one."""
        groups = [{name} for name in sorted(self.values)]
        shown = [cell for reading in self.readings for cell in reading.turns]
        for names in {frozenset(name for name, _ in cell) for cell in (*shown, *cells)}:
            touched = [group for group in groups if group & names]
            if len(touched) > 1:
                groups = [group for group in groups if not group & names]
                groups.append(set().union(*touched))
        return [tuple(sorted(group)) for group in groups]

    def _terms(self, quantity: str, cell: Cell, hours: tuple[int, int]) -> dict[int, float]:
        """Return a count as a sum of unknowns."""
        names = {name for name, _ in cell}
        number = next(i for i, group in enumerate(self._groups) if names <= set(group))
        columns = self._groups[number]
        allowed = [[v] if (v := dict(cell).get(name)) else self.values[name] for name in columns]
        return {
            self._unknown[quantity, number, atom, stretch]: 1.0
            for atom in product(*allowed)
            for stretch in self._stretches
            if hours[0] <= stretch[0] and stretch[1] <= hours[1]
        }

    def _sum(
        self, quantity: str, cells: Iterable[Cell], hours: tuple[int, int]
    ) -> dict[int, float]:
        terms: dict[int, float] = {}
        for cell in cells:
            terms.update(self._terms(quantity, cell, hours))
        return terms

    def _person(self, cell: Cell, hours: tuple[int, int]) -> int:
        """Return the unknown number of people of a slice, stating how it stands to its parts."""
        if (cell, hours) in self._persons:
            return self._persons[cell, hours]
        self._persons[cell, hours] = here = self._next()
        turns = self._terms("turns", cell, hours)
        self._rows.add({here: -1.0, **turns}, 0.0, np.inf)
        names = {name for name, _ in cell}
        joined = [group for group in self._groups if names < set(group)] if cell else []
        for name in joined[0] if joined else () if cell else sorted(self.values):
            if name in names or len(names) == 2:
                continue
            parts = [
                self._person(tuple(sorted((*cell, (name, value)))), hours)
                for value in self.values[name]
            ]
            high = 0.0 if name in PER_PERSON else np.inf
            self._rows.add({here: -1.0, **dict.fromkeys(parts, 1.0)}, 0.0, high)
            for part in parts:
                self._rows.add({here: 1.0, part: -1.0}, 0.0, np.inf)
        return here

    def _state_what_is_known(self) -> None:
        first = self._groups[0]
        for stretch in self._stretches:
            for quantity in ("turns", *self.metrics):
                total = self._sum(
                    quantity, [((first[0], v),) for v in self.values[first[0]]], stretch
                )
                for group in self._groups[1:]:
                    part = self._sum(
                        quantity, [((group[0], v),) for v in self.values[group[0]]], stretch
                    )
                    self._rows.add(total | dict.fromkeys(part, -1.0), 0.0, 0.0)
        for (quantity, *place), unknown in list(self._unknown.items()):
            if quantity != "turns":
                turns = self._unknown["turns", *place]  # type: ignore[index]
                self._rows.add({turns: 1.0, unknown: -1.0}, 0.0, np.inf)

    def _state_who_is_in_two_windows(self) -> None:
        windows = sorted({reading.hours for reading in self.readings})
        for window in windows:
            self._person((), window)
        for inner, outer in combinations(windows, 2):
            for a, b in ((inner, outer), (outer, inner)):
                if b[0] <= a[0] and a[1] <= b[1]:
                    for cell in {cell for cell, hours in self._persons if hours == a}:
                        terms = {self._person(cell, b): 1.0, self._person(cell, a): -1.0}
                        self._rows.add(terms, 0.0, np.inf)

    def members(self, cell: Cell, reading: Reading) -> list[Cell]:
        """Return the slices that a shown one is made of: ``(other)`` is what is not shown."""
        pooled = [name for name, value in cell if value == OTHER]
        if not pooled:
            return [cell]
        fixed = {name: value for name, value in cell if value != OTHER}
        return [
            member
            for chosen in product(*(self.values[name] for name in pooled))
            if (
                member := tuple(sorted({**fixed, **dict(zip(pooled, chosen, strict=True))}.items()))
            )
            not in reading.turns
        ]

    def _state_what_is_shown(self, reading: Reading) -> None:
        hours = reading.hours
        for cell, (low, high) in reading.turns.items():
            turns = self._sum("turns", self.members(cell, reading), hours)
            self._rows.add(turns, low, high)
        for cell, (low, high) in reading.people.items():
            parts = [self._person(member, hours) for member in self.members(cell, reading)]
            pooled = [name for name, value in cell if value == OTHER]
            self._rows.add(dict.fromkeys(parts, 1.0), low, np.inf)
            if set(pooled) <= PER_PERSON:
                self._rows.add(dict.fromkeys(parts, 1.0), -np.inf, high)
            else:
                for part in parts:
                    self._rows.add({part: 1.0}, -np.inf, high)
        for (metric, cell), (low, high) in reading.events.items():
            self._rows.add(self._sum(metric, self.members(cell, reading), hours), low, high)
        for (metric, cell), (low, high) in reading.rates.items():
            members = self.members(cell, reading)
            turns, events = (self._sum(q, members, hours) for q in ("turns", metric))
            self._rows.add(events | dict.fromkeys(turns, -high), -np.inf, 0.0)
            if metric in ALWAYS_MEASURED:
                self._rows.add(events | dict.fromkeys(turns, -low), 0.0, np.inf)

    def terms(self, target: Target) -> dict[int, float]:
        """Return a hidden count as a sum of unknowns."""
        if target.quantity == "people":
            return {self._person(target.cell, target.hours): 1.0}
        terms = self._terms(target.quantity, target.cell, target.hours)
        if target.others:
            turns = self._terms("turns", target.cell, target.hours)
            return turns | dict.fromkeys(terms, -1.0)
        return terms

    def breaches(self, targets: Sequence[Target], k: int) -> tuple[list[Target], list[Target]]:
        """Return the hidden counts that are bounded to fewer than k, and those proven above 0.

        Two programs clear most at once: one in which as many as possible reach k together, and
        one in which they are as small as possible; what is left is asked for alone.
        """
        terms = [self.terms(target) for target in targets]
        size = self._size
        capped = [
            (row | {size + number: -1.0}) for number, row in enumerate(terms)
        ]  # the part of each count that is at most k
        cost = np.zeros(size + len(terms))
        cost[size:] = -1.0
        together = self._solve(cost, extra=capped, most=k)
        reach = [_value(row, together) for row in terms]
        bounded = [
            target
            for target, row, value in zip(targets, terms, reach, strict=True)
            if value < k - EPSILON and self.largest(row) < k - EPSILON
        ]
        cost = np.zeros(size)
        for row in terms:
            cost[list(row)] += list(row.values())
        together = self._solve(cost)
        above = [
            target
            for target, row in zip(targets, terms, strict=True)
            if _value(row, together) > EPSILON and self.smallest(row) > EPSILON
        ]
        return bounded, above

    def bounds(self, target: Target) -> Interval:
        """Return the smallest and largest count that what is shown allows."""
        row = self.terms(target)
        return self.smallest(row), self.largest(row)

    def smallest(self, row: Mapping[int, float]) -> float:
        """Return the smallest value of a sum of unknowns."""
        cost = np.zeros(self._size)
        cost[list(row)] = list(row.values())
        return float(cost @ self._solve(cost))

    def largest(self, row: Mapping[int, float]) -> float:
        """Return the largest value of a sum of unknowns."""
        cost = np.zeros(self._size)
        cost[list(row)] = list(row.values())
        return float(cost @ self._solve(-cost))

    def _solve(
        self, cost: FloatArray, extra: Sequence[Mapping[int, float]] = (), most: float = np.inf
    ) -> FloatArray:
        rows = deepcopy(self._rows)
        for terms in extra:
            rows.add(terms, 0.0, np.inf)
        matrix = csr_array((rows.factor, (rows.row, rows.column)), shape=(len(rows.low), len(cost)))
        upper: NDArray[np.float64] = np.full(len(cost), 1e7)
        upper[self._size :] = min(most, 1e7)
        solution = milp(
            cost,
            constraints=LinearConstraint(matrix, rows.low, rows.high),
            bounds=Bounds(np.zeros(len(cost)), upper),
        )
        if solution.x is None:
            raise ValueError(f"what is shown contradicts itself: {solution.message}")
        return np.asarray(solution.x, np.float64)
