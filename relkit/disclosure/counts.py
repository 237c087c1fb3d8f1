"""Turns of a window summed by cell and person: all that thresholds and intervals need to know."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relkit.core.arrays import IntArray
from relkit.disclosure.types import WindowTurns
from relkit.statistics.types import BoolArray

_DENSE = 1 << 23  # up to so many pairs of cell and person a table is cheaper than sorting


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSums:
    """Sums per (cell, person), one row each (R,), sorted by cell and then by person.

    ``turns`` counts turns; ``measured`` and ``events`` map a metric to how many of them were
    measured, and were events. ``cells`` is how many cells there are, also without a row.
    """

    cells: int
    cell: IntArray
    person: IntArray
    turns: IntArray
    measured: Mapping[str, IntArray]
    events: Mapping[str, IntArray]


def sum_by_person(turns: WindowTurns, cell: IntArray, cells: int) -> PersonSums:
    """Return the sums of turns by the cell that each is in (N,); a turn in cell -1 is in none."""
    people = int(turns.persons.max()) + 1 if len(turns) else 0
    inside = np.flatnonzero(cell >= 0)
    everything = len(inside) == len(turns)
    pair = (
        (cell * people + turns.persons)
        if everything
        else (cell[inside] * people + turns.persons[inside])
    )
    pairs, row = _numbered(pair, cells * people)

    def count(chosen: BoolArray | None) -> IntArray:
        return np.bincount(row if chosen is None else row[chosen], minlength=len(pairs))

    flags: dict[str, npt.NDArray[np.int8]] = {
        name: values if everything else values[inside] for name, values in turns.flags.items()
    }
    return PersonSums(
        cells=cells,
        cell=pairs // max(people, 1),
        person=pairs % max(people, 1),
        turns=count(None),
        measured={name: count(values >= 0) for name, values in flags.items()},
        events={name: count(values == 1) for name, values in flags.items()},
    )


def _numbered(pair: IntArray, size: int) -> tuple[IntArray, IntArray]:
    """Return the different numbers, ascending, and for each of ``pair`` which of them it is."""
    if size > _DENSE:
        pairs, row = np.unique(pair, return_inverse=True)
        return pairs.astype(np.int64), row.astype(np.int64)
    present = np.zeros(size, dtype=np.bool_)
    present[pair] = True
    number = np.cumsum(present) - 1
    return np.flatnonzero(present), number[pair]


def merge_cells(sums: PersonSums, to: IntArray, cells: int) -> PersonSums:
    """Return the sums of cells that are put together: ``to`` (C,) says which, -1 for left out."""
    target = to[sums.cell]
    inside = np.flatnonzero(target >= 0)
    people = int(sums.person.max(initial=-1)) + 1
    pairs, row = _numbered(target[inside] * people + sums.person[inside], cells * people)

    def added(amounts: IntArray) -> IntArray:
        # Sums of counts below 2^53 are exact as floats.
        total = np.bincount(row, weights=amounts[inside], minlength=len(pairs))
        return total.astype(np.int64)

    return PersonSums(
        cells=cells,
        cell=pairs // max(people, 1),
        person=pairs % max(people, 1),
        turns=added(sums.turns),
        measured={name: added(amounts) for name, amounts in sums.measured.items()},
        events={name: added(amounts) for name, amounts in sums.events.items()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What is summed in each cell (C,) and who holds it: people with some, and the two largest."""

    total: IntArray
    people: IntArray
    largest: IntArray
    second: IntArray


def holdings(sums: PersonSums, amounts: IntArray) -> Holdings:
    """Return the holdings of ``amounts`` (R,), one of the columns of ``sums``."""
    cells = sums.cells
    total = np.bincount(sums.cell, weights=amounts, minlength=cells).astype(np.int64)
    people = np.bincount(sums.cell, weights=amounts > 0, minlength=cells).astype(np.int64)
    largest = np.zeros(cells, dtype=np.int64)
    np.maximum.at(largest, sums.cell, amounts)
    top = amounts == largest[sums.cell]
    second = np.zeros(cells, dtype=np.int64)
    np.maximum.at(second, sums.cell, np.where(top, 0, amounts))
    shared = np.bincount(sums.cell, weights=top, minlength=cells) > 1
    return Holdings(
        total=total, people=people, largest=largest, second=np.where(shared, largest, second)
    )
