"""Exact ends of a share of which few events were seen, and what could go unseen."""

import math
from collections.abc import Callable

import numpy as np

from relkit.rules.student import MISSED

UNSEEN = 3.7
"""A rate below this over the utterances can go unseen (rules.md section 4, no errors)."""

_STEPS = 60  # of bisection: 1e-18 of the unit interval


def unseen(utterances: float) -> float:
    """Return the upper end of a rate of which nothing was seen in so many utterances."""
    return UNSEEN / max(1.0, utterances)


def unseen_share(trials: int) -> float:
    """Return the share that shows nothing in n trials with 2.5 % chance: 1 - 0.025^(1/n).

    Clopper and Pearson (1934); at least one trial.
    """
    return 1.0 - math.pow(MISSED, 1.0 / trials)


def exact_ends(events: int, trials: int) -> tuple[float, float]:
    """Return the two-sided 95 % interval of a share by Clopper and Pearson (1934).

    0 and 1 stand where an end does not exist (no events, nothing but events). ValueError where
    events are not within 0 and trials, or there is no trial.
    """
    if trials < 1 or not 0 <= events <= trials:
        raise ValueError(f"{events} of {trials}")
    # P(X >= events) rises with p, and P(X <= events) falls.
    low = 0.0 if events == 0 else _solve(lambda p: 1.0 - at_most(events - 1, trials, p) < MISSED)
    high = 1.0 if events == trials else _solve(lambda p: at_most(events, trials, p) > MISSED)
    return low, high


def at_most(events: int, trials: int, share: float) -> float:
    """Return P(X <= events) for X binomial with ``trials`` and ``share`` within (0, 1)."""
    counts = np.arange(events + 1)
    chosen = np.array(
        [
            math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
            for k in counts.tolist()
        ]
    )
    logs = chosen + counts * math.log(share) + (trials - counts) * math.log1p(-share)
    return float(np.exp(logs).sum())


def _solve(below: Callable[[float], bool]) -> float:
    """Return where a condition that holds for small shares stops holding."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2.0
