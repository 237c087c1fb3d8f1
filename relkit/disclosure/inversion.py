"""A rate and its ends can give the number of turns away; then they are those of a number nearby.

Who knows the formula of the interval can try every number of events and turns of the band, and keep
those that give what is shown. Mostly hundreds of turns do; where a grid's border runs near the end
of a band it can be a single one: 10 of 200 turns, of 200-499, reach 12 %, and 10 of 201 reach 10 %
(``python -m benchmarks.disclosure_attacks``).
"""

import math
from typing import Final

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.disclosure.numbers import SMALLEST_STEP, band_of, shown_rate
from relkit.disclosure.types import ShownRate

_REACH: Final = 8
"""Numbers of turns up to this many times k away are tried on either side."""

_STEPS: Final = np.array([SMALLEST_STEP, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5])
_HAIR: Final = 1e-9

_EVENTS: Final = 5
_FEWEST: Final = 3
_INWARD: Final = 0.01
"""By which part of an interval's width its ends may be nearer for it."""


def untold_rate(events: int, turns: int, ends: tuple[float, float], k: int) -> ShownRate | None:
    """Return the rate and its ends as they may be shown: at least k numbers of turns give them.

    ``ends`` are the interval's, which has been made on the scale of log odds: nearby counts have
    one whose ends are as far from their rate there, but for sqrt(1/events + 1/others). Where fewer
    than k numbers of turns of the band give what would be shown, it is what the nearest counts
    give of which enough do, if the rate is within half a step of it and the interval inside but for
    a hundredth of its width. Where there are none, three numbers are enough; None where there are
    not so many either.
    """
    rate = events / turns
    least, most = band_of(turns)
    near = np.arange(max(least, turns - _REACH * k), min(most, turns + _REACH * k) + 1)
    # Beside each number of turns the numbers of events with nearly the same rate.
    n = np.repeat(near, _EVENTS)
    e = np.rint(n * rate).astype(np.int64) + np.tile(np.arange(_EVENTS) - _EVENTS // 2, len(near))
    usable = (e >= k) & (n - e >= k)
    n, e = n[usable], e[usable]
    low, high = _ends(e, n, (events, turns), ends)
    step, values, downs, ups = _in_steps(e / n, low, high)
    text = ((np.rint(1000 * step) * 1001 + values) * 1001 + downs) * 1001 + ups
    number = np.unique(text, return_inverse=True)[1].ravel()
    # How many numbers of turns each text has: turns ascend, so each is new where it differs.
    order = np.lexsort((n, number))
    pairs = np.stack([number[order], n[order]])
    new = np.append(True, np.any(pairs[:, 1:] != pairs[:, :-1], axis=0))
    bearing = np.bincount(pairs[0][new])[number]
    inward = _INWARD * (ends[1] - ends[0])
    right = (
        (np.abs(values * step - rate) <= step / 2 + _HAIR)
        & (downs * step <= ends[0] + inward)
        & (ups * step >= ends[1] - inward)
    )
    distance = np.abs(n - turns) + np.abs(e - n * rate)
    for needed in (k, _FEWEST):
        enough = right & (bearing >= needed)
        if enough.any():
            place = int(np.argmin(np.where(enough, distance, math.inf)))
            if n[place] == turns and e[place] == events:
                return shown_rate(rate, *ends)
            return shown_rate(float(e[place] / n[place]), float(low[place]), float(high[place]))
    return None


def _ends(
    events: IntArray, turns: IntArray, counts: tuple[int, int], ends: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Return the ends (N,) that counts nearby have, from those of the counts that there are."""
    others = counts[1] - counts[0]
    width = np.sqrt(1.0 / events + 1.0 / (turns - events))
    width /= math.sqrt(1.0 / counts[0] + 1.0 / others)
    odds = events / (turns - events)
    low, high = (odds * np.exp(width * math.log(_odds(end) / (counts[0] / others))) for end in ends)
    return low / (1.0 + low), high / (1.0 + high)


def _odds(rate: float) -> float:
    inside = min(max(rate, _HAIR), 1.0 - _HAIR)
    return inside / (1.0 - inside)


def _in_steps(rate: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return the step of each rate (N,), and the rate and its ends in such steps, as four rows."""
    place = np.searchsorted(_STEPS, (high - low) / 2 + _HAIR, side="right") - 1
    step = _STEPS[np.maximum(0, place)]
    down = np.floor(np.maximum(0.0, np.minimum(low, rate - step)) / step + _HAIR)
    up = np.ceil(np.minimum(1.0, np.maximum(high, rate + step)) / step - _HAIR)
    return np.stack([step, np.round(rate / step), down, up])
