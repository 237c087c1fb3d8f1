"""Attacks on counts: subtraction, linear programs, n from a rate and its ends, complements.

An attack returns how many hidden counts it tried and in how many it succeeded: bounded one to
fewer than k, proved it above 0, or told n exactly.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats

from benchmarks.disclosure_attacks.linear import LinearAttack, Target
from benchmarks.disclosure_attacks.populations import ALWAYS_MEASURED, Cell
from benchmarks.disclosure_attacks.reading import OTHER, Interval, Reading
from relkit.core.arrays import FloatArray, IntArray

Values = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How often an attack was tried and succeeded, and how many documents were refused."""

    tries: int = 0
    successes: int = 0
    refused: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        """Return both together."""
        return Outcome(
            self.tries + other.tries,
            self.successes + other.successes,
            self.refused + other.refused,
        )


REFUSED = Outcome(refused=1)

MOST_TURNS_TRIED = 20_000
"""More than any window here has, also where a band was widened beyond that."""


def is_told(bounds: Interval, k: int) -> bool:
    """Return whether a hidden count is bounded to fewer than k or proven above 0."""
    low, high = bounds
    return low > 1e-6 or high < k - 1e-6


def subtract(reading: Reading, values: Values, k: int) -> Outcome:
    """Take the shown values of each column off the window: what is left is hidden.

    Turns of every column, and of every value that is crossed; where several values are hidden the
    rest bounds each from above, and is proven to be above 0 only of all of them.
    """
    tries = successes = 0
    parents: list[tuple[Cell, str]] = [((), name) for name in values]
    crossings = {cell for cell in reading.turns if len(cell) == 2}
    names = {tuple(name for name, _ in cell) for cell in crossings}
    for first, second in names:
        parents += [(((first, value),), second) for value in values[first]]
        parents += [(((second, value),), first) for value in values[second]]
    for parent, name in parents:
        if parent not in reading.turns:
            continue
        children = [tuple(sorted((*parent, (name, value)))) for value in (*values[name], OTHER)]
        shown = [cell for cell in children if cell in reading.turns]
        hidden = [cell for cell in children[:-1] if cell not in reading.turns]
        if not hidden or not shown:
            continue
        low = reading.turns[parent][0] - sum(reading.turns[cell][1] for cell in shown)
        high = reading.turns[parent][1] - sum(reading.turns[cell][0] for cell in shown)
        if children[-1] in reading.turns:  # what is hidden is in the pool
            low, high = 0.0, reading.turns[children[-1]][1]
        tries += len(hidden)
        if is_told((low if len(hidden) == 1 else 0.0, high), k):
            successes += len(hidden)
    return Outcome(tries, successes)


def solve(
    readings: Sequence[Reading],
    values: Values,
    cells: Sequence[Cell],
    k: int,
    exact: Callable[[Target], int],
) -> Outcome:
    """Bound every hidden count by a linear program over all that some documents show.

    Hidden are the turns and people of a slice that no document of the same hours shows, and where
    a metric has no rate its events, or the turns without one where those are the rarer. "Fewer than
    10" already says so: more is told where they are bounded to fewer than that. In the hours that
    one window has and another has not, turns are told where they are bounded to fewer than k.

    Enough people can be hidden, too, for the sake of others: a metric of a shown slice, or a whole
    crossing. That there are any is told only where they are fewer than k, which ``exact`` knows.
    """
    attack = LinearAttack(readings, values, cells)
    ends = sorted({hour for reading in readings for hour in reading.hours})
    spans = sorted({reading.hours for reading in readings} | set(pairwise(ends)))
    tries: dict[tuple[int, bool], list[Target]] = {}
    between: list[Target] = []
    for span in spans:
        documents = [reading for reading in readings if reading.hours == span]
        if not documents:
            between += [Target(quantity="turns", cell=cell, hours=span) for cell in cells]
            continue
        for target, fewest, may_be_many in _targets(documents, attack.metrics, cells, k):
            tries.setdefault((fewest, may_be_many), []).append(target)
    told = set(attack.breaches(between, k)[0])
    for (fewest, may_be_many), targets in tries.items():
        bounded, above = attack.breaches(targets, fewest)
        told.update(bounded)
        told.update(target for target in above if not may_be_many or exact(target) < k)
    return Outcome(len(between) + sum(map(len, tries.values())), len(told))


def _targets(
    documents: Sequence[Reading], metrics: Sequence[str], cells: Sequence[Cell], k: int
) -> Iterator[tuple[Target, int, bool]]:
    """Yield what documents of the same hours hide, of how many it must not be fewer.

    And whether it may have been hidden for the sake of others only.
    """
    span = documents[0].hours
    shown = {cell for reading in documents for cell in reading.turns}
    columns = {tuple(name for name, _ in cell) for cell in shown}
    rated = {key for reading in documents for key in (*reading.rates, *reading.events)}
    few = {key for reading in documents for key in reading.few}
    most = {key for reading in documents for key in reading.most}
    for cell in cells:
        crossed_out = tuple(name for name, _ in cell) not in columns
        if cell not in shown:
            for quantity in ("turns", "people"):
                yield Target(quantity=quantity, cell=cell, hours=span), k, crossed_out
        for name in metrics:
            rates = [reading.rates.get((name, ()), (0.0, 0.0)) for reading in documents]
            usual = name in ALWAYS_MEASURED and max(rates)[0] > 0.5
            others = (name, cell) in most or (usual and (name, cell) not in few)
            if (name, cell) in rated or (others and name not in ALWAYS_MEASURED):
                continue
            blank = cell in shown and (name, cell) not in few | most
            target = Target(quantity=name, cell=cell, hours=span, others=others)
            yield target, k - 1, blank or crossed_out


def complements(reading: Reading, k: int) -> Outcome:
    """Ask of each rate whether its events, or all others, must be fewer than k."""
    tries = successes = 0
    for (metric, cell), (low, high) in reading.rates.items():
        if metric not in ALWAYS_MEASURED or cell not in reading.turns:
            continue
        most = reading.turns[cell][1]
        tries += 1
        successes += min(high * most, (1.0 - low) * most) < k - 1e-6
    return Outcome(tries, successes)


def plain_ends(events: IntArray, turns: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the ends of a rate where every turn is another person's.

    The jackknife over clusters of log odds, with effective degrees of freedom, which then depends
    on two counts alone (docs/intervals.md). There are at least two events and two others.
    """
    e, n = events.astype(np.float64), turns.astype(np.float64)
    odds = e / (n - e)
    less, more = np.log((e - 1.0) / (n - e)), np.log(e / (n - e - 1.0))
    mean = (e * less + (n - e) * more) / n
    squares = e * (less - mean) ** 2 + (n - e) * (more - mean) ** 2
    fourth = e * (less - mean) ** 4 + (n - e) * (more - mean) ** 4
    df = np.clip(squares**2 / fourth, 1.5, n - 1.0)
    factor = np.exp(stats.t.ppf(0.975, df) * np.sqrt((n - 1.0) / n * squares))
    return odds / (odds + factor), odds * factor / (1.0 + odds * factor)


def candidates(turns: Interval, rate: Interval) -> tuple[IntArray, IntArray]:
    """Return every pair of events and turns with a rate inside an interval."""
    n = np.arange(int(np.ceil(turns[0])), int(min(turns[1], MOST_TURNS_TRIED)) + 1)
    least = np.ceil(rate[0] * n - 1e-9).astype(np.int64)
    most = np.minimum(n, np.floor(rate[1] * n + 1e-9).astype(np.int64))
    repeats = np.maximum(0, most - least + 1)
    offsets = np.arange(int(repeats.sum())) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return np.repeat(least, repeats) + offsets, np.repeat(n, repeats)


@dataclass(frozen=True, slots=True)
class RateText:
    """A rate and its ends as they are printed, and between which counts its turns lie."""

    value: float
    low: float
    high: float
    turns: Interval


def at_tenths(rate: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return rates and their ends rounded to 0.1 point, as rows."""
    rounded: FloatArray = np.round(np.stack([rate, low, high]), 3).astype(np.float64)
    return rounded


def on_grid(rate: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return rates and ends on the grid that their interval bears, ends outward, as rows.

    The step is the largest of 1, 2 and 5 times a power of ten that is at most the half-width; no
    end is nearer to the rate than a step.
    """
    steps = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5])
    half = (high - low) / 2
    step = steps[np.maximum(0, np.searchsorted(steps, half + 1e-12, side="right") - 1)]
    down = np.floor(np.maximum(0.0, np.minimum(low, rate - step)) / step + 1e-9) * step
    up = np.ceil(np.minimum(1.0, np.maximum(high, rate + step)) / step - 1e-9) * step
    return np.stack([np.round(rate / step) * step, down, up])


def turns_told(text: RateText, printed: Callable[..., FloatArray], step: float) -> IntArray:
    """Return every number of turns that could have given a rate and its ends.

    Every pair of counts is tried, with the formula of the interval where each turn is another
    person's: the hardest case, as then nothing else moves the ends.
    """
    half = step / 2 + 1e-9
    events, turns = candidates(text.turns, (text.value - half, text.value + half))
    at_least_two = (events > 1) & (events < turns - 1)
    events, turns = events[at_least_two], turns[at_least_two]
    rows = printed(events / turns, *plain_ends(events, turns))
    same = np.all(np.abs(rows.T - [text.value, text.low, text.high]) < 1e-7, axis=1)
    return np.unique(turns[same])
