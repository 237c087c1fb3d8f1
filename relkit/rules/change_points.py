"""Where a metric's level changes, in a series that grows release by release.

The series is read as it grew: a change is what was found at some length, and stays found. So a
longer series has every change of a shorter one, by construction; what later points say against a
change is told beside it. On pure noise at most 1 % of series of 60 points have any change found at
any length (docs/bisect.md: measured, with its limits).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from relkit.domain.metrics import Better
from relkit.rules import change_statistics as statistics
from relkit.rules.change_statistics import MIN_POINTS, MIN_SEGMENT
from relkit.rules.cluster_sums import FloatArray

Direction = Literal["worse", "better"]


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

    def direction(self, better: Better) -> Direction:
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
    found: list[ChangePoint] = []
    for end in range(MIN_POINTS, len(series) + 1):
        seen = series[:end]
        floor = _floor(seen, errors[:end])
        start = found[-1].index if found else 0
        place = statistics.change_in(seen[start:], floor)
        if place is not None:
            found.append(_found(seen, start, start + place, floor))
        elif found:
            found[-1] = _refined(seen, found, floor)
    return tuple(_judged(series, found, i, _floor(series, errors)) for i in range(len(found)))


def _floor(seen: FloatArray, errors: Sequence[float | None]) -> float:
    known = [error for error in errors if error is not None and error > 0.0]
    if 2 * len(known) >= len(seen):
        return float(np.median(known)) / 2.0
    steps = np.diff(np.unique(seen))
    return float(steps.min()) / 2.0 if len(steps) else 0.0


def _found(seen: FloatArray, start: int, index: int, floor: float) -> ChangePoint:
    stretch = seen[start:]
    calm = statistics.without_spikes(stretch)
    splits = range(MIN_SEGMENT, len(stretch) - MIN_SEGMENT + 1)
    _, near = statistics.places(calm, floor, splits)
    return ChangePoint(
        index=index,
        low=start + near[0],
        high=start + near[-1],
        first_index=index,
        found_at=len(seen),
        before=float(calm[: index - start].mean()),
        after=float(calm[index - start :].mean()),
    )


def _refined(seen: FloatArray, found: Sequence[ChangePoint], floor: float) -> ChangePoint:
    """Return the last change with its place among those first thought possible, by data so far."""
    last = found[-1]
    start = found[-2].index if len(found) > 1 else 0
    calm = statistics.without_spikes(seen[start:])
    allowed = range(last.low - start, last.high - start + 1)
    place, _ = statistics.places(calm, floor, allowed)
    return replace(last, index=start + place)


def _judged(
    series: FloatArray, found: Sequence[ChangePoint], number: int, floor: float
) -> ChangePoint:
    """Return a change with levels, place and contradiction by all points up to the next change."""
    change = found[number]
    start = found[number - 1].index if number else 0
    end = found[number + 1].index if number + 1 < len(found) else len(series)
    stretch = series[start:end]
    calm = statistics.without_spikes(stretch) if len(stretch) >= MIN_POINTS else stretch
    split = change.index - start
    judged = replace(change, before=float(calm[:split].mean()), after=float(calm[split:].mean()))
    if len(stretch) < MIN_POINTS:
        return judged
    allowed = range(change.low - start, change.high - start + 1)
    possible = range(max(allowed[0], MIN_SEGMENT), min(allowed[-1], len(stretch) - MIN_SEGMENT) + 1)
    _, near = statistics.places(calm, floor, possible)
    everywhere, _ = statistics.places(calm, floor, range(MIN_SEGMENT, len(stretch) - 1))
    return replace(
        judged,
        low=start + near[0],
        high=start + near[-1],
        contradicted=_contradiction(calm, floor, everywhere, allowed, start),
    )


def _contradiction(
    calm: FloatArray, floor: float, best: int, allowed: range, start: int
) -> str | None:
    t, _ = statistics.largest_t(calm, floor)
    if float(t) <= statistics.critical_t(len(calm)):
        return "the levels before and after are no longer apart by all data"
    if best not in allowed:
        return f"all data put the change at another place (point {start + best + 1})"
    return None
