"""Where a metric's level changes, in a series that grows release by release.

The statistic is the largest pooled two-sample t over all splits (the sup-t of Hawkins 1977, which
E-divisive tools test with as well). Alone it takes two outliers in a row for a new level: so what
sticks out of both neighbours is pulled in, persistence of the noise widens the error, and beyond a
dozen points ranks must agree, which no heavy tail can fake (docs/bisect.md has the figures).

The series is read as it grew: a change is what was found at some length, and stays found. So a
longer series has every change of a shorter one, by construction; what later points say against a
change is told beside it. On pure noise at most 1 % of series of 60 points have any change found at
any length (docs/bisect.md: measured, with its limits).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist
from typing import Literal

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.core.metrics import Better
from relkit.statistics.distributions import t_quantile

MIN_SEGMENT = 2
"""How many points a level needs on either side of a change."""

MIN_POINTS = 2 * MIN_SEGMENT

TAIL = 2.5e-4
"""One-sided tail of the t, over n, at a look at n points: spent early, where releases are few.

Chosen so that all looks at a series of 60 points together alarm in at most 1 % of them.
"""

RANK_P = 1.2e-3
"""The rank test's two-sided p that a long stretch has to reach, too."""

_REACH = 13.0
"""A short stretch has to reach this many times the least p that its length allows."""

_SPIKE = 4.0
"""How many noise scales a point may stick out of both its neighbours."""

_SCALE = 2.0**0.5 * NormalDist().inv_cdf(0.75)
"""Median of |x1 - x2| of normal noise with standard deviation 1."""

_ROUNDING = 8.0 * float(np.finfo(np.float64).eps)
"""A point this near to the mean, relative to the largest, differs by rounding alone."""

LOCATION = 7.35
"""The 95 % set of a change's place: RSS within so many variances (Eo and Morley 2015)."""


def without_spikes(values: FloatArray) -> FloatArray:
    """Return values (.., n >= 4) with single spikes pulled to their neighbours.

    A point may stick out of the range of its two neighbours by 4 robust standard deviations (from
    the median absolute difference). A step keeps its place: each of its points has a neighbour on
    its own side, since a level is two points at least.
    """
    scale = np.median(np.abs(np.diff(values, axis=-1)), axis=-1, keepdims=True) / _SCALE
    before = np.concatenate([values[..., 2:3], values[..., :-1]], axis=-1)
    after = np.concatenate([values[..., 1:], values[..., -3:-2]], axis=-1)
    room = _SPIKE * scale
    clipped = np.clip(values, np.minimum(before, after) - room, np.maximum(before, after) + room)
    return np.asarray(clipped, dtype=np.float64)


def largest_t(values: FloatArray, floor: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Return (largest |t|, its split) over the splits of values (.., n >= 4).

    A split k makes segments of the first k points and the rest, each of two at least; the place is
    the first point of the new level. ``floor`` is the least standard deviation of the noise, in
    units of the values. Level series have t = 0.
    """
    between, within, splits = _sums(values)
    n = values.shape[-1]
    noise = np.maximum(within / (n - 2), floor**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.where(between > 0.0, between / noise, 0.0)
    best = np.argmax(squares, axis=-1)
    top = np.take_along_axis(squares, best[..., None], axis=-1)[..., 0]
    return np.asarray(np.sqrt(top)), splits[best]


def _sums(values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return sums of squares between and within for each split, and the splits."""
    n = values.shape[-1]
    splits = np.arange(MIN_SEGMENT, n - MIN_SEGMENT + 1)
    centred = values - values.mean(axis=-1, keepdims=True)
    rounding = _ROUNDING * np.abs(values).max(axis=-1, keepdims=True)
    centred = np.where(np.abs(centred) > rounding, centred, 0.0)
    total = np.sum(centred * centred, axis=-1, keepdims=True)
    sums = np.cumsum(centred, axis=-1)[..., splits - 1]
    between = sums * sums * (n / (splits * (n - splits)))
    tiny = 1e-12 * total  # rounding: below it a sum of squares is none
    between = np.where(between > tiny, between, 0.0)
    within = np.where(total - between > tiny, total - between, 0.0)
    return np.asarray(between), np.asarray(within), splits


def places(values: FloatArray, floor: float, allowed: range) -> tuple[int, range]:
    """Return (likeliest split, range of the 95 % set of splits) among ``allowed`` splits.

    ``values`` is one stretch (n,) without spikes. The set is what a likelihood ratio leaves, with
    the critical value of Eo and Morley (2015), Likelihood-ratio-based confidence sets.
    """
    _, within, splits = _sums(values)
    allowed_splits = [i for i, split in enumerate(splits.tolist()) if split in allowed]
    best = min(allowed_splits, key=lambda i: float(within[i]))
    noise = max(float(within[best]) / (len(values) - 2), floor**2)
    near = [i for i in allowed_splits if within[i] - within[best] <= LOCATION * noise]
    return int(splits[best]), range(int(splits[min(near)]), int(splits[max(near)]) + 1)


@cache
def critical_t(n: int) -> float:
    """Return what |t| has to exceed in a stretch of n points."""
    return float(t_quantile(1.0 - TAIL / n, np.array([n - 2.0]))[0])


def persistence(values: FloatArray, split: int) -> float:
    """Return the lag-1 autocorrelation of values (n,) around their two levels, within [0, 0.9]."""
    rest = np.concatenate(
        [values[:split] - values[:split].mean(), values[split:] - values[split:].mean()]
    )
    total = float(rest @ rest)
    if total <= 0.0:
        return 0.0
    return min(max(float(rest[1:] @ rest[:-1]) / total, 0.0), 0.9)


def rank_p(values: FloatArray, split: int) -> float:
    """Return the two-sided p of the rank sums of values (n,) before and after a split.

    Exact, 2 / C(n, m), where the two parts do not overlap; else the normal approximation with
    continuity and ties (Lehmann 1975), never below that.
    """
    n = len(values)
    first, rest = values[:split], values[split:]
    if first.max() < rest.min() or rest.max() < first.min():
        return 2.0 / math.comb(n, split)
    short = min(split, n - split)
    _, back, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[back]
    part = ranks[:split] if short == split else ranks[split:]
    ties = float(np.sum(counts**3 - counts)) / (n * (n - 1))
    variance = short * (n - short) / 12.0 * (n + 1 - ties)
    if variance <= 0.0:
        return 1.0
    away = max(abs(float(part.sum()) - short * (n + 1) / 2.0) - 0.5, 0.0)
    approximate = 2.0 * NormalDist().cdf(-away / math.sqrt(variance))
    return max(approximate, 2.0 / math.comb(n, short))


def needed_rank_p(n: int) -> float:
    """Return the p that ranks have to reach in a stretch of n points, of what n allows."""
    return max(RANK_P, _REACH / math.comb(n, n // 2))


def change_in(values: FloatArray, floor: float = 0.0) -> int | None:
    """Return where one stretch (n,) changes its level, None where nothing says so firmly enough."""
    n = len(values)
    if n < MIN_POINTS:
        return None
    calm = without_spikes(values)
    t, split = largest_t(calm, floor)
    place = int(split)
    if float(t) <= critical_t(n):
        return None
    lasting = persistence(calm, place)
    if float(t) * math.sqrt((1.0 - lasting) / (1.0 + lasting)) <= critical_t(n):
        return None
    return place if rank_p(values, place) <= needed_rank_p(n) else None


ShiftDirection = Literal["worse", "better"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """A change of level; positions count the points of the series from 0.

    ``index`` is the first point of the new level by all data, ``low`` and ``high`` (inclusive) the
    first and last position that cannot be told from it. ``first_index`` is what was said when it
    was found, after ``found_at`` points. ``before`` and ``after`` are the means of the two levels.
    ``contradicted`` says why later points speak against it, None where they do not.
    """

    index: int
    low: int
    high: int
    first_index: int
    found_at: int
    before: float
    after: float
    contradicted: str | None = None

    @property
    def relative(self) -> float:
        """|after / before - 1|; infinite from a level of zero."""
        return abs(self.after - self.before) / abs(self.before) if self.before else float("inf")

    def direction(self, better: Better) -> ShiftDirection:
        """Return whether the metric got worse here."""
        fell = self.after < self.before
        return "better" if fell == (better == "down") else "worse"


def change_points(
    values: Sequence[float], *, errors: Sequence[float | None] = ()
) -> tuple[ChangePoint, ...]:
    """Return the changes of level in a series, in order; both directions.

    ``errors`` are the standard errors of the points, where they are known: the noise is never taken
    to be less than half their median (or, without them, half the smallest step between values), so
    that a few equal counts are no proof of silence. ValueError for a value that is not finite.
    """
    series = np.asarray(values, dtype=np.float64)
    if not bool(np.all(np.isfinite(series))):
        raise ValueError("a series has finite values only")
    changes: list[ChangePoint] = []
    for end in range(MIN_POINTS, len(series) + 1):
        so_far = series[:end]
        floor = _floor(so_far, errors[:end])
        start = changes[-1].index if changes else 0
        place = change_in(so_far[start:], floor)
        if place is not None:
            changes.append(_found(so_far, start, start + place, floor))
        elif changes:
            changes[-1] = _refined(so_far, changes, floor)
    return tuple(_judged(series, changes, i, _floor(series, errors)) for i in range(len(changes)))


def _floor(so_far: FloatArray, errors: Sequence[float | None]) -> float:
    positive = [error for error in errors if error is not None and error > 0.0]
    if 2 * len(positive) >= len(so_far):
        return float(np.median(positive)) / 2.0
    steps = np.diff(np.unique(so_far))
    return float(steps.min()) / 2.0 if len(steps) else 0.0


def _found(so_far: FloatArray, start: int, index: int, floor: float) -> ChangePoint:
    stretch = so_far[start:]
    calm = without_spikes(stretch)
    splits = range(MIN_SEGMENT, len(stretch) - MIN_SEGMENT + 1)
    _, near = places(calm, floor, splits)
    return ChangePoint(
        index=index,
        low=start + near[0],
        high=start + near[-1],
        first_index=index,
        found_at=len(so_far),
        before=float(calm[: index - start].mean()),
        after=float(calm[index - start :].mean()),
    )


def _refined(so_far: FloatArray, changes: Sequence[ChangePoint], floor: float) -> ChangePoint:
    """Return the last change with its place among those first thought possible, by data so far."""
    last = changes[-1]
    start = changes[-2].index if len(changes) > 1 else 0
    calm = without_spikes(so_far[start:])
    allowed = range(last.low - start, last.high - start + 1)
    place, _ = places(calm, floor, allowed)
    return replace(last, index=start + place)


def _judged(
    series: FloatArray, changes: Sequence[ChangePoint], number: int, floor: float
) -> ChangePoint:
    """Return a change with levels, place and contradiction by all points up to the next change."""
    change = changes[number]
    start = changes[number - 1].index if number else 0
    end = changes[number + 1].index if number + 1 < len(changes) else len(series)
    stretch = series[start:end]
    calm = without_spikes(stretch) if len(stretch) >= MIN_POINTS else stretch
    split = change.index - start
    judged = replace(change, before=float(calm[:split].mean()), after=float(calm[split:].mean()))
    if len(stretch) < MIN_POINTS:
        return judged
    allowed = range(change.low - start, change.high - start + 1)
    possible = range(max(allowed[0], MIN_SEGMENT), min(allowed[-1], len(stretch) - MIN_SEGMENT) + 1)
    _, near = places(calm, floor, possible)
    everywhere, _ = places(calm, floor, range(MIN_SEGMENT, len(stretch) - 1))
    return replace(
        judged,
        low=start + near[0],
        high=start + near[-1],
        contradicted=_contradiction(calm, floor, everywhere, allowed, start),
    )


def _contradiction(
    calm: FloatArray, floor: float, best: int, allowed: range, start: int
) -> str | None:
    t, _ = largest_t(calm, floor)
    if float(t) <= critical_t(len(calm)):
        return "the levels before and after are no longer apart by all data"
    if best not in allowed:
        return f"all data put the change at another place (point {start + best + 1})"
    return None
