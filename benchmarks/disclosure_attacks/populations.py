"""Random traffic of people who differ in how much they talk, with rare values and rare events.

Between 50 and 5,000 people, log-uniform; turns of a person are equal, log-normal or Pareto. A
language and a tenant belong to the person, a device nearly, a noise to the turn. In one slice more
turns fail, in some populations by one person alone; ``refused`` is rare, ``answered`` nearly
always true, ``grounded`` not measured for every turn. Times are hours from 0 to 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import Codes, FloatArray, IntArray
from relkit.disclosure.types import WindowTurns

HOURS = 6

PER_PERSON = frozenset({"lang", "tenant"})
"""Columns in which a person has one value, as the attacker knows."""

ALWAYS_MEASURED = ("failed", "refused", "answered")

Cell = tuple[tuple[str, str], ...]
"""Columns and values of a slice, by column; ``()`` is the window."""

MOST_TURNS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The turns of six hours, the hour of each, and the two columns that are crossed."""

    turns: WindowTurns
    hours: IntArray
    crossed: tuple[str, str] = ("lang", "noise")

    def window(self, start: int, stop: int) -> WindowTurns:
        """Return the turns from hour ``start`` until before ``stop``."""
        return select(self.turns, (self.hours >= start) & (self.hours < stop))


def select(turns: WindowTurns, used: NDArray[np.bool_]) -> WindowTurns:
    """Return some of the turns; persons and values are those of all."""
    return WindowTurns(
        persons=turns.persons[used],
        columns={
            name: Codes(codes=column.codes[used], names=column.names)
            for name, column in turns.columns.items()
        },
        flags={name: flag[used] for name, flag in turns.flags.items()},
        quantities={name: values[used] for name, values in turns.quantities.items()},
    )


def in_cell(turns: WindowTurns, cell: Cell) -> NDArray[np.bool_]:
    """Return which turns a slice holds."""
    used = np.ones(len(turns), np.bool_)
    for name, value in cell:
        column = turns.columns[name]
        used &= column.codes == column.names.index(value)
    return used


def _activity(people: int, rng: np.random.Generator) -> IntArray:
    kind = rng.integers(3)
    if kind == 0:
        drawn = np.full(people, 1 + int(rng.integers(4)), np.float64)
    elif kind == 1:
        drawn = rng.lognormal(0.6, 1.1, people)
    else:
        drawn = 1.0 + rng.pareto(1.3, people)
    return np.clip(np.ceil(drawn), 1, MOST_TURNS).astype(np.int64)


def _shares(values: int, rng: np.random.Generator) -> FloatArray:
    """Return shares of the values of a column: a few common, the last ones rare."""
    shares = np.arange(1, values + 1) ** -rng.uniform(0.8, 3.5)
    return np.asarray(shares / shares.sum(), np.float64)


def _codes(name: str, codes: IntArray, values: int) -> Codes:
    names = tuple(f"{name}{value}" for value in range(values))
    return Codes(codes=codes.astype(np.int32), names=names)


def draw(seed: int, *, people: int | None = None) -> Population:
    """Return the population of a seed, of so many people where given."""
    rng = np.random.default_rng([12, seed])
    count = people or round(float(np.exp(rng.uniform(np.log(50), np.log(5000)))))
    activity = _activity(count, rng)
    person = np.repeat(np.arange(count), activity)
    total = len(person)

    sizes = {name: int(rng.integers(2, 9)) for name in ("lang", "tenant", "device", "noise")}
    of_person = {
        name: rng.choice(size, count, p=_shares(size, rng))[person] for name, size in sizes.items()
    }
    of_turn = {name: rng.choice(size, total, p=_shares(size, rng)) for name, size in sizes.items()}
    columns = {
        "lang": of_person["lang"],
        "tenant": of_person["tenant"],
        "device": np.where(rng.random(total) < 0.9, of_person["device"], of_turn["device"]),
        "noise": of_turn["noise"],
    }

    base = rng.uniform(0.01, 0.12)
    tendency = rng.beta(1.5, 1.5 * (1 - base) / base, count)
    failing = rng.random(total) < tendency[person]
    worse = (columns["lang"] == rng.integers(sizes["lang"])) & (
        columns["noise"] == rng.integers(sizes["noise"])
    )
    failing |= worse & (rng.random(total) < rng.uniform(0.1, 0.6))
    if rng.random() < 0.4:  # one person's errors are the errors of a slice
        heavy = int(rng.choice(np.argsort(activity)[-max(3, count // 50) :]))
        value = columns["lang"][person == heavy][0]
        failing &= (columns["lang"] != value) | (rng.random(total) < 0.02)
        failing |= (person == heavy) & (rng.random(total) < 0.9)
    refused = np.zeros(total, np.int8)
    refused[rng.choice(total, min(total, int(rng.integers(0, 40))), replace=False)] = 1
    answered = np.ones(total, np.int8)
    answered[rng.choice(total, min(total, int(rng.integers(0, 40))), replace=False)] = 0
    grounded = (rng.random(total) < rng.uniform(0.5, 0.95)).astype(np.int8)
    grounded[rng.random(total) < 0.2] = -1

    slow = rng.normal(0.0, 0.5, count)
    latency = np.exp(6.3 + slow[person] + rng.normal(0.0, 0.4, total) + 0.5 * worse)
    latency[person == int(np.argmax(activity))] *= rng.uniform(1.0, 8.0)
    return Population(
        turns=WindowTurns(
            persons=person.astype(np.int64),
            columns={name: _codes(name, codes, sizes[name]) for name, codes in columns.items()},
            flags={
                "failed": failing.astype(np.int8),
                "refused": refused,
                "answered": answered,
                "grounded": grounded,
            },
            quantities={"latency_ms": latency},
        ),
        hours=rng.integers(0, HOURS, total),
    )


def alone(turns: WindowTurns) -> WindowTurns:
    """Return the turns as if each was another person's: then a formula gives ends from counts."""
    return replace(turns, persons=np.arange(len(turns), dtype=np.int64))


def cells_of(turns: WindowTurns, crossed: tuple[str, str] | None) -> list[Cell]:
    """Return every slice there is: the window, each value of each column, and one crossing."""
    values: Mapping[str, tuple[str, ...]] = {
        name: column.names for name, column in turns.columns.items()
    }
    cells: list[Cell] = [(), *(((name, v),) for name, names in values.items() for v in names)]
    if crossed is not None:
        first, second = sorted(crossed)
        cells += [((first, a), (second, b)) for a in values[first] for b in values[second]]
    return cells
