"""Attacks on single people: the tail of a percentile, and who dominates a sum."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.disclosure_attacks.counts import Outcome
from benchmarks.disclosure_attacks.populations import Cell, in_cell
from benchmarks.disclosure_attacks.reading import Interval
from relkit.core.arrays import FloatArray, IntArray
from relkit.disclosure.types import WindowTurns

VALUES_BEYOND = 10
PEOPLE_BEYOND = 5


def is_few(persons: IntArray) -> bool:
    """Return whether values beyond a percentile are fewer than 10, of few, or half of one."""
    counts = np.unique(persons, return_counts=True)[1]
    return (
        len(persons) < VALUES_BEYOND
        or len(counts) < PEOPLE_BEYOND
        or int(counts.max()) * 2 > len(persons)
    )


def tail_told(
    turns: WindowTurns, cell: Cell, metric: str, ends: Sequence[tuple[float, bool]], blur: float
) -> Outcome:
    """Ask of each shown value who lies beyond it: few people's values are told by it.

    ``ends`` are values and whether their tail is above; ``blur`` is by which factor a shown value
    may be off: few are told of where they are few wherever it may be.
    """
    used = in_cell(turns, cell)
    values, persons = turns.quantities[metric][used], turns.persons[used]
    successes = 0
    for value, above in ends:
        places = np.geomspace(value / blur, value * blur, 41)
        beyond = (values > at if above else values < at for at in places)
        successes += all(is_few(persons[chosen]) for chosen in beyond)
    return Outcome(len(ends), successes)


@dataclass(frozen=True, slots=True)
class Largest:
    """The events of the two people who have most of a slice, and their turns."""

    first: int
    second: int


def largest(persons: IntArray, amounts: NDArray[np.int64]) -> Largest:
    """Return what the two people with most of an amount have of it."""
    sums: FloatArray = np.sort(
        np.bincount(persons, weights=amounts.astype(np.float64), minlength=2)
    )
    return Largest(int(sums[-1]), int(sums[-2]))


def dominated(
    turns: WindowTurns, cell: Cell, flag: str, rate: Interval, within: float = 0.1
) -> bool:
    """Return whether the second largest learns what the largest has, to 10 percent.

    They know how many turns the slice has, and their own events: what is left of the sum is at
    most the largest's. The upper estimate is the p-percent rule's.
    """
    used = in_cell(turns, cell)
    events = (turns.flags[flag][used] == 1).astype(np.int64)
    measured = int((turns.flags[flag][used] >= 0).sum())
    top = largest(turns.persons[used], events)
    if top.first == 0:
        return False
    return rate[1] * measured - top.second < (1.0 + within) * top.first - 1e-9
