"""Traffic of which the truth is known: sessions of turns, in two arms, with six metrics in slices.

A session has 1 + Poisson turns, mean 4, and belongs to one of 20 slices of equal size. Of its turns
2 % fail, 1 % are empty and 3 % are hung up, each beta-binomial with a correlation of 0.05 inside
a session. Log latencies are normal with sd 0.45, 55 % of the variance between sessions; a turn is
bad for p50, p95 and p99 beyond that percentile of traffic without a canary.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import FloatArray, IntArray

SLICES = 20
METRICS = ("failures", "empty", "hangups", "p50", "p95", "p99")
EVENTS = 3
"""How many of the metrics are events; the others are tails of the latency."""

SPREAD, BETWEEN = 0.45, 0.55
"""Standard deviation of log latencies, and the part of their variance that is between sessions."""

ALIKE = 0.05
"""Correlation of an event inside a session."""

MEAN_TURNS = 4.0
LONGEST = 63

Curve = Callable[[FloatArray], FloatArray]


def _flat(when: FloatArray) -> FloatArray:
    return np.ones_like(when)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What a canary does worse, in the first ``slices`` of the 20 (all unless given).

    ``times`` multiplies the rate of failures, ``latency`` all latencies; ``slow`` is the share of
    turns that take 20 times as long. ``longer`` multiplies the turns of a session; ``alike`` is
    the correlation of events inside one.
    """

    name: str
    times: float = 1.0
    latency: float = 1.0
    slow: float = 0.0
    longer: float = 1.0
    alike: float = ALIKE
    slices: int = SLICES


EQUAL = Harm(name="equal")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Traffic without a canary: rates of events, and the tails that percentiles stand for.

    ``swing`` says what rates are multiplied with at a time within 0 and 1 of the rollout.
    """

    rates: tuple[float, ...] = (0.02, 0.01, 0.03)
    tails: tuple[float, ...] = (0.5, 0.05, 0.01)
    swing: Curve = field(default=_flat)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Sessions in order: arm, slice, turns (S,), and the events of each metric (6, S)."""

    canary: NDArray[np.bool_]
    slice_index: IntArray
    turns: IntArray
    events: IntArray


def draw(
    world: World,
    harm: Harm,
    random: np.random.Generator,
    *,
    when: FloatArray,
    shares: FloatArray,
) -> Sessions:
    """Draw one session at each of the times ``when`` (S,), in the canary with chance ``shares``."""
    count = len(when)
    canary = random.random(count) < shares
    slice_index = random.integers(0, SLICES, count)
    harmed = canary & (slice_index < harm.slices)
    longer = np.where(canary, harm.longer * MEAN_TURNS, MEAN_TURNS)
    turns = np.minimum(1 + random.poisson(longer - 1.0), LONGEST)
    swing = world.swing(when)
    events = np.empty((len(METRICS), count), dtype=np.int64)
    rho = np.where(canary, harm.alike, ALIKE)
    for metric, rate in enumerate(world.rates):
        rates = np.minimum(rate * swing, 0.9)
        if metric == 0:
            rates = rates * np.where(harmed, harm.times, 1.0)
        scale = (1.0 - rho) / rho
        chance = random.beta(rates * scale, (1.0 - rates) * scale)
        events[metric] = random.binomial(turns, chance)
    events[EVENTS:] = _tails(world, harm, random, turns=turns, harmed=harmed, swing=swing)
    return Sessions(canary=canary, slice_index=slice_index, turns=turns, events=events)


def _tails(
    world: World,
    harm: Harm,
    random: np.random.Generator,
    *,
    turns: IntArray,
    harmed: NDArray[np.bool_],
    swing: FloatArray,
) -> IntArray:
    """Return how many turns of each session lie beyond each of the thresholds."""
    session = np.repeat(np.arange(len(turns)), turns)
    between = random.normal(0.0, SPREAD * math.sqrt(BETWEEN), len(turns))
    within = random.normal(0.0, SPREAD * math.sqrt(1.0 - BETWEEN), len(session))
    logs = between[session] + within + np.where(harmed, math.log(harm.latency), 0.0)[session]
    if harm.slow:
        logs += math.log(20.0) * (harmed[session] & (random.random(len(session)) < harm.slow))
    if not bool(np.all(swing == 1.0)):
        # Latencies that move so that the share beyond p95 is multiplied with the swing.
        logs += (_upper(0.05) - np.interp(swing, _SWINGS, _SHIFTS))[session]
    return np.stack(
        [
            np.bincount(session, weights=logs > _upper(tail), minlength=len(turns))
            for tail in world.tails
        ]
    ).astype(np.int64)


def _upper(tail: float) -> float:
    """Return the log latency that this share of turns exceeds."""
    return -SPREAD * NormalDist().inv_cdf(tail)


_SWINGS = np.linspace(0.1, 4.0, 400)
_SHIFTS = np.array([_upper(0.05 * swing) for swing in _SWINGS.tolist()])


def looks_of(turns: IntArray, every: int) -> IntArray:
    """Return the number of the look, from 0, at which each session is first counted."""
    return np.asarray((np.cumsum(turns) - 1) // every, dtype=np.int64)


def schedule(when: FloatArray, shares: Sequence[float]) -> FloatArray:
    """Return the share at each time, of steps of equal length."""
    step = np.minimum((when * len(shares)).astype(np.int64), len(shares) - 1)
    return np.asarray(shares, dtype=np.float64)[step]
