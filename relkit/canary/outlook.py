"""How much more traffic a bet needs, from the units seen so far: needed, blind, and plans."""

import math

import numpy as np

from relkit.statistics.bets import (
    RULED_OUT,
    THETA_WEIGHTS,
    expected_capitals,
    log_floor_evidence,
    pooled_rate,
)
from relkit.statistics.types import UnitCounts

_MOST_UNITS = 1e9
_GROWTH = 1.02


def units_to_rule_out(
    counts: UnitCounts,
    share: float,
    ratio: float,
    *,
    capital: float = 0.0,
    toward: float | None = None,
) -> float | None:
    """Return how many more units rule a ratio of odds out, if the arms are equal; None for never.

    ``counts`` are units like those to come, whose arms are not looked at; ``capital`` is the log
    capital so far. A bet on a harm that is not there loses the same on average with each unit (the
    drift of Wald's test), until it has lost ln 50.
    """
    total = float(counts.units.sum())
    if not total:
        return None
    drift = float(expected_capitals(counts, share, toward=toward, ratios=(ratio,))[0]) / total
    left = -math.log(RULED_OUT) - capital
    if left >= 0:
        return 0.0
    units = left / drift if drift < 0 else math.inf
    return units if units <= _MOST_UNITS else None


def units_to_show_floor(
    counts: UnitCounts, canary: UnitCounts, share: float, floor: float
) -> float | None:
    """Return how many more units show a rate below ``floor``, at the rate of both; None for never.

    ``canary`` are the units so far; those to come have as many turns and events as ``counts``.
    """
    rate, total = pooled_rate(counts), float(counts.units.sum())
    if rate is None or rate >= floor:
        return None
    had = float(canary.units[canary.canary].sum())
    scale, target = 1.0, math.log(RULED_OUT)
    while had + scale <= _MOST_UNITS:
        grown = UnitCounts(
            canary=np.ones(len(counts.units), dtype=np.bool_),
            turns=counts.turns,
            events=counts.events,
            units=np.rint(counts.units * ((had + scale) / total)).astype(np.int64),
        )
        if log_floor_evidence(grown, floor) >= target:
            return scale / share
        scale = scale * _GROWTH + 1
    return None


def units_to_find(
    counts: UnitCounts, share: float, truth: float, needed: float, *, toward: float | None = None
) -> float | None:
    """Return how many units find a harm of odds ratio ``truth``; None for never.

    ``needed`` is the log evidence of the trigger at which the policy rolls back. The best of the
    bets grows fastest; its weight is what it has to make up for.
    """
    total = float(counts.units.sum())
    if not total:
        return None
    growth = expected_capitals(counts, share, toward=toward, truth=truth) / total
    units = [
        (needed - math.log(weight)) / gain
        for weight, gain in zip(THETA_WEIGHTS, growth.tolist(), strict=True)
        if gain > 0
    ]
    fewest = min(units, default=math.inf)
    return fewest if fewest <= _MOST_UNITS else None
