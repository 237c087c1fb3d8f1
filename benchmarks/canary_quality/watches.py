"""One canary after the other, watched look by look: when is it rolled back, and by what?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.canary_quality.dense import (
    TRIGGERS,
    Cells,
    capitals,
    histograms,
    log_evidences,
    policy,
)
from benchmarks.canary_quality.tables import median, share_of
from benchmarks.canary_quality.worlds import (
    EQUAL,
    MEAN_TURNS,
    METRICS,
    SLICES,
    Harm,
    Sessions,
    World,
    draw,
    looks_of,
    schedule,
)
from relkit.core.arrays import FloatArray, IntArray
from relkit.statistics.bets import THETAS

ALPHA = 0.05
LEVEL = 1.0 / ALPHA
EVEN, FIVE, STEPS = (0.5,), (0.05,), (0.01, 0.05, 0.25, 0.5)
_CHUNK = 20
_TUNED = 5000.0


USUAL = World()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row of a table: traffic, harm, the shares of its steps, and looks ``every`` so many turns.

    ``real`` is the share that traffic really has, where it is not the policy's. ``looks`` is how
    many there are, ``earlier`` how many the earlier rule gets.
    """

    name: str
    world: World = USUAL
    harm: Harm = EQUAL
    shares: tuple[float, ...] = EVEN
    real: tuple[float, ...] | None = None
    every: int = 400
    looks: int = 100
    earlier: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Turns, and canary turns, at which a run was rolled back; None where it never was.

    ``even`` is the same with equal stakes on all 126 triggers, ``earlier`` with the interval.
    """

    turns: int | None
    exposed: int | None
    even: int | None
    earlier: int | None
    earlier_with_five: int | None


def watch(line: Line, random: np.random.Generator, *, alternatives: bool = True) -> Outcome:
    """Draw one rollout and return when each rule rolls it back."""
    most = max(line.looks, line.earlier if alternatives else 0)
    count = int(most * line.every / MEAN_TURNS * 1.02) + 200
    when = np.minimum(np.arange(count) / (line.looks * line.every / MEAN_TURNS), 1.0)
    real = schedule(when, line.real or line.shares)
    sessions = draw(line.world, line.harm, random, when=when, shares=real)
    looks = looks_of(sessions.turns, line.every)
    steps = np.minimum((when * len(line.shares)).astype(np.int64), len(line.shares) - 1)
    fired: dict[str, int | None] = {"evidence": None, "even": None}
    for start, logs in _evidences(line, sessions, looks, steps):
        rules = {"evidence": policy(logs), "even": np.exp(np.minimum(logs, 500)).mean(axis=(1, 2))}
        for name, values in rules.items():
            if fired[name] is None and bool(np.any(values >= LEVEL)):
                fired[name] = start + int(np.argmax(values >= LEVEL))
        if fired["evidence"] is not None and (fired["even"] is not None or not alternatives):
            break
    exposed = np.cumsum(np.bincount(looks, weights=sessions.turns * sessions.canary))
    first = fired["evidence"]
    earlier = _earlier(line, sessions, looks) if alternatives else (None, None)
    return Outcome(
        turns=_turns(line, first),
        exposed=None if first is None else int(exposed[first]),
        even=_turns(line, fired["even"]),
        earlier=earlier[0],
        earlier_with_five=earlier[1],
    )


def _turns(line: Line, look: int | None) -> int | None:
    return None if look is None else (look + 1) * line.every


def _evidences(
    line: Line, sessions: Sessions, looks: IntArray, steps: IntArray
) -> Iterator[tuple[int, FloatArray]]:
    """Yield the first look of a chunk and the log evidences (chunk, 6, 21) of its looks."""
    before = np.zeros((len(METRICS), 1 + SLICES, len(THETAS)))
    for step, share in enumerate(line.shares):
        mine = steps == step
        part = Sessions(
            canary=sessions.canary[mine],
            slice_index=sessions.slice_index[mine],
            turns=sessions.turns[mine],
            events=sessions.events[:, mine],
        )
        first = 0 if step == 0 else int(looks[mine][0])
        last = line.looks if step == len(line.shares) - 1 else int(looks[steps == step + 1][0])
        tables = [
            (cells, np.cumsum(table, axis=0))
            for cells, table in histograms(part, looks[mine] - first, last - first)
        ]
        for start in range(0, last - first, _CHUNK):
            logs = np.stack(
                [capitals(cells, table[start : start + _CHUNK], share) for cells, table in tables],
                axis=1,
            )
            logs = logs + before
            yield first + start, log_evidences(logs)
        before = logs[-1]


def _earlier(line: Line, sessions: Sessions, looks: IntArray) -> tuple[int | None, int | None]:
    """Return the turns at which the interval with alpha / 126 lies above 0 for any trigger.

    With at least 50 events in each arm, and with at least 5.
    """
    fired = np.zeros((2, line.earlier), dtype=np.bool_)
    for cells, table in histograms(sessions, looks, line.earlier):
        cumulative = np.cumsum(table, axis=0)
        above, events = _above(cells, cumulative), (cumulative @ cells.events).min(axis=-1)
        for rule, least in enumerate((50, 5)):
            fired[rule] |= (above & (events >= least)).any(axis=-1)
    first, second = (_turns(line, int(np.argmax(hit)) if hit.any() else None) for hit in fired)
    return first, second


def _above(cells: Cells, table: IntArray) -> NDArray[np.bool_]:
    """Return (looks, 21) whether the canary's rate is above control's, always valid."""
    n, e = cells.turns, cells.events
    turns, events, units = table @ n, table @ e, table.sum(axis=-1)
    rate = events / np.maximum(turns, 1)
    squares = table @ (e * e) - 2 * rate * (table @ (e * n)) + rate**2 * (table @ (n * n))
    variance = (
        np.maximum(squares, 0.0) / np.maximum(turns, 1) ** 2 * units / np.maximum(units - 1, 1)
    )
    alpha = ALPHA / TRIGGERS
    tuned = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / _TUNED
    seen = turns.sum(axis=-1) * tuned
    width = np.sqrt(
        variance.sum(axis=-1)
        * 2
        * (seen + 1)
        / np.maximum(seen, 1e-12)
        * np.log(np.sqrt(seen + 1) / alpha)
    )
    return np.asarray(rate[..., 1] - rate[..., 0] > width)


RARE = World(rates=(0.002, 0.001, 0.003), tails=(0.05, 0.005, 0.001))
DOUBLING = World(swing=lambda when: 1.0 + when)
DAYS = World(swing=lambda when: 1.0 + 0.5 * np.sin(when * 8 * np.pi))

LONGER = replace(EQUAL, longer=1.3)
CLUMPED = replace(EQUAL, alike=4 * EQUAL.alike)

EQUALS = (
    Line(name="even split"),
    Line(name="5 % of traffic", shares=FIVE, every=1000),
    Line(name="1-5-25-50 %", shares=STEPS),
    Line(name="rates double while the share grows", world=DOUBLING, shares=STEPS),
    Line(name="rates ten times rarer, 5 %", world=RARE, shares=FIVE, every=2000),
    Line(name="sessions 30 % longer, 5 %", harm=LONGER, shares=FIVE, every=1000),
    Line(name="errors in fewer sessions, 5 %", harm=CLUMPED, shares=FIVE, every=1000),
    Line(name="real share 4 %, policy 5 %", shares=FIVE, real=(0.04,), every=1000),
    Line(name="day and night, 5 %", world=DAYS, shares=FIVE, every=1000),
)
"""Canaries that are equal to control, in traffic of every kind."""

FAILING = Harm(name="failures 2 -> 5 %", times=2.5)
SLOW = Harm(name="5 % of turns 20 x slower", slow=0.05)
FAILING_SLICE = replace(FAILING, name="failures 2 -> 5 % on one slice of 20", slices=1)
SLOW_SLICE = Harm(name="+15 % latency on one slice of 20", latency=1.15, slices=1)

HARMS = (
    Line(name=FAILING.name, harm=FAILING, every=100, earlier=200),
    Line(name=FAILING.name, harm=FAILING, shares=FIVE, every=400, earlier=200),
    Line(name=SLOW.name, harm=SLOW, every=50, earlier=300),
    Line(name=SLOW.name, harm=SLOW, shares=FIVE, every=200, earlier=300),
    Line(name=FAILING_SLICE.name, harm=FAILING_SLICE, every=2000, earlier=150),
    Line(name=FAILING_SLICE.name, harm=FAILING_SLICE, shares=FIVE, every=10000, earlier=150),
    Line(name=SLOW_SLICE.name, harm=SLOW_SLICE, every=2000),
    Line(name=SLOW_SLICE.name, harm=SLOW_SLICE, shares=FIVE, every=10000),
)
"""Canaries that are worse, at an even split and at 5 % of traffic."""

EQUAL_HEAD = f"{'':36}{'evidence':>14}{'equal stakes':>14}{'earlier':>14}{'from 5 events':>14}"
FOUND_HEAD = (
    f"{'':46}{'found, %':>14}{'turns':>10}{'canary':>9}{'equal stakes':>14}{'earlier':>10}"
    f"{'missed, %':>14}"
)


def equal_rows(runs: int) -> Iterator[str]:
    """Yield a line per kind of traffic: how often each rule rolls an equal canary back."""
    for number, line in enumerate(EQUALS):
        random = np.random.default_rng([21, number])
        outcomes = [watch(line, random) for _ in range(runs)]
        rules = ("turns", "even", "earlier", "earlier_with_five")
        yield f"{line.name:36}" + "".join(
            share_of([getattr(outcome, rule) is not None for outcome in outcomes]) for rule in rules
        )


def found_rows(runs: int) -> Iterator[str]:
    """Yield a line per harm and share: median turns until each rule rolls the canary back."""
    for number, line in enumerate(HARMS):
        random = np.random.default_rng([22, number])
        outcomes = [watch(line, random) for _ in range(runs)]
        found = share_of([outcome.turns is not None for outcome in outcomes])
        missed = share_of([outcome.earlier is None for outcome in outcomes])
        turns, exposed, even, earlier = (
            median([getattr(outcome, rule) for outcome in outcomes])
            for rule in ("turns", "exposed", "even", "earlier")
        )
        name = f"{line.name}, {100 * line.shares[0]:g} %"
        yield f"{name:46}{found}{turns}{exposed[1:]}{even:>14}{earlier}{missed}"
