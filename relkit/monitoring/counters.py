"""Counters on a grid of times: what they counted, where they restarted, where samples lack."""

import numpy as np
import numpy.typing as npt

from relkit.core.arrays import FloatArray
from relkit.monitoring.types import Increases, RangeSamples

BEGIN_STEPS = 5
"""Steps whose traffic bounds what a counter can have counted before it was first sampled."""

BEGIN_LEAST = 10.0
"""What a counter may always have counted before it was first sampled."""

ROUNDING = 1e-9
"""A fall by this share of a value is one of rounding, not a restart."""


def increases(samples: RangeSamples, beside: Increases | None = None) -> Increases:
    """Return what the counters of a query counted in each step.

    A counter that falls restarted from 0, so that its new value is its increase (Prometheus, the
    functions ``increase`` and ``resets``). Over a gap the increase belongs to the step in which the
    counter is sampled again. A series that appears while others are there counts from 0, as a label
    whose first event it is does, unless its first value is more than what all series together
    counted in the ``BEGIN_STEPS`` before: then it is an older counter that is sampled for the first
    time, and counts from there. ``beside`` are counters of the same service on the same grid, whose
    traffic bounds it as well: the first failure of all has no other series of failures.
    """
    steps = len(samples.times)
    if not samples.series:
        nothing = np.zeros((0, steps))
        return Increases(
            by_series=nothing, total=np.zeros(steps), present=np.zeros(steps, dtype=bool)
        )
    values = np.vstack([series.values for series in samples.series])
    sampled = np.isfinite(values)
    grown = np.zeros_like(values)
    resets = 0
    for row, (line, has) in enumerate(zip(values, sampled, strict=True)):
        at = np.flatnonzero(has)
        steps_up = np.diff(line[at])
        fell = steps_up < -ROUNDING * np.abs(line[at[:-1]])
        resets += int(fell.sum())
        grown[row, at[1:]] = np.where(fell, line[at[1:]], np.maximum(steps_up, 0.0))
    present = sampled.sum(axis=0) > 0
    began = adopted = 0
    before = grown.sum(axis=0)
    for row in range(len(values)):
        first = _first(sampled[row])
        if first is None or first == 0:
            continue
        steps_before = slice(max(0, first - BEGIN_STEPS), first + 1)
        recent = before[steps_before].sum()
        watched = bool((sampled[:, first - 1] & sampled[:, first]).any())
        if beside is not None:
            watched |= bool(beside.present[first - 1] and beside.present[first])
            recent = max(recent, beside.total[steps_before].sum())
        if not watched and not present[first - 1]:
            continue
        if watched and values[row, first] <= max(BEGIN_LEAST, recent):
            grown[row, first] += values[row, first]
            began += 1
        else:
            adopted += 1
    return Increases(
        by_series=grown,
        total=grown.sum(axis=0),
        present=present,
        resets=resets,
        began=began,
        adopted=adopted,
    )


def _first(has: npt.NDArray[np.bool_]) -> int | None:
    return int(np.argmax(has)) if has.any() else None


def stretches_without(
    sampled: npt.NDArray[np.int64] | FloatArray, start: float, end: float, longest: float
) -> tuple[tuple[float, float], ...]:
    """Return the stretches of [start, end] without a time of ``sampled`` for over ``longest``.

    ``sampled`` are rising times in seconds. None sampled: the one stretch from start to end.
    """
    inside = np.asarray(sampled, dtype=np.float64)
    inside = inside[(inside >= start) & (inside <= end)]
    edges = np.concatenate(([start], inside, [end]))
    wide = np.flatnonzero(np.diff(edges) > longest)
    return tuple((float(edges[i]), float(edges[i + 1])) for i in wide)


def overlap_s(stretches: tuple[tuple[float, float], ...], start: float, end: float) -> float:
    """Return how many seconds of [start, end] lie in disjoint stretches."""
    return sum(max(0.0, min(end, to) - max(start, since)) for since, to in stretches)
