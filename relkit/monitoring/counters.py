"""Counters on a grid of times: what they counted, where they restarted, where nothing was seen."""

import numpy as np
import numpy.typing as npt

from relkit.core.arrays import FloatArray
from relkit.monitoring.types import Increases, RangeSamples

BEGIN_STEPS = 5
"""Steps whose traffic bounds what a counter can have counted before it was first seen."""

BEGIN_LEAST = 10.0
"""What a counter may always have counted before it was first seen."""

ROUNDING = 1e-9
"""A fall by this share of a value is one of rounding, not a restart."""


def increases(samples: RangeSamples) -> Increases:
    """Return what the counters of a query counted in each step.

    A counter that falls restarted from 0, so that its new value is its increase (Prometheus, the
    functions ``increase`` and ``resets``). Over a gap the increase belongs to the step in which the
    counter is seen again. A series that appears while others are there counts from 0, as a label
    whose first event it is does, unless its first value is more than what all series together
    counted in the ``BEGIN_STEPS`` before: then it is an older counter that is seen for the first
    time, and counts from there.
    """
    steps = len(samples.times)
    if not samples.series:
        nothing = np.zeros((0, steps))
        return Increases(
            by_series=nothing, total=np.zeros(steps), present=np.zeros(steps, dtype=bool)
        )
    values = np.vstack([series.values for series in samples.series])
    seen = np.isfinite(values)
    grown = np.zeros_like(values)
    resets = 0
    for row, (line, there) in enumerate(zip(values, seen, strict=True)):
        at = np.flatnonzero(there)
        steps_up = np.diff(line[at])
        fell = steps_up < -ROUNDING * np.abs(line[at[:-1]])
        resets += int(fell.sum())
        grown[row, at[1:]] = np.where(fell, line[at[1:]], np.maximum(steps_up, 0.0))
    present = seen.sum(axis=0) > 0
    began = adopted = 0
    before = grown.sum(axis=0)
    for row in range(len(values)):
        first = _first(seen[row])
        if first is None or first == 0 or not present[first - 1]:
            continue
        others = seen[:, first - 1] & seen[:, first]
        recent = before[max(0, first - BEGIN_STEPS) : first + 1].sum()
        if others.any() and values[row, first] <= max(BEGIN_LEAST, recent):
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


def _first(there: npt.NDArray[np.bool_]) -> int | None:
    return int(np.argmax(there)) if there.any() else None


def stretches_without(
    seen: npt.NDArray[np.int64] | FloatArray, start: float, end: float, longest: float
) -> tuple[tuple[float, float], ...]:
    """Return the stretches of [start, end] with no time of ``seen`` in them for over ``longest``.

    ``seen`` are rising times in seconds. None seen: the one stretch from start to end.
    """
    inside = np.asarray(seen, dtype=np.float64)
    inside = inside[(inside >= start) & (inside <= end)]
    edges = np.concatenate(([start], inside, [end]))
    wide = np.flatnonzero(np.diff(edges) > longest)
    return tuple((float(edges[i]), float(edges[i + 1])) for i in wide)


def overlap_s(stretches: tuple[tuple[float, float], ...], start: float, end: float) -> float:
    """Return how many seconds of [start, end] lie in disjoint stretches."""
    return sum(max(0.0, min(end, to) - max(start, since)) for since, to in stretches)
