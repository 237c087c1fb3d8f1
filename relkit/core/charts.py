"""Geometry of the plots: where marks go, in percent of the width; nothing is drawn here."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median_low

from relkit.core.values import Estimate

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)

_BEYOND_LARGEST = 1.1
_BEYOND_MEDIAN = 2.0
"""An axis ends at most so far beyond the largest value, or twice as far as the median upper end:
one long interval must not crush the others; it gets an arrow."""

_SAME = 1e-9
"""Ends closer than this, relative to their size, are one value."""

_BINS = 36
_LAST_SHARE = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A linear axis from ``low`` to ``high`` with round ticks, both ends included."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return where a value lies, 0 to 100 percent; beyond the axis it is held at its end."""
        share = (value - self.low) / (self.high - self.low)
        return round(100.0 * min(1.0, max(0.0, share)), 2)


def nice_scale(low: float, high: float, *, ticks: int = 4) -> Scale:
    """Return the tightest axis with round steps that holds both ends, with about ``ticks`` steps.

    Steps are 1, 2, 2.5 or 5 times a power of ten (Heckbert, Graphics Gems, 1990).
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("an axis needs finite ends")
    if high - low <= _SAME * max(1.0, abs(low), abs(high)):
        high = low + max(1.0, abs(low))
    raw = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in _STEPS if power * factor >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = tuple(round(i * step, 12) for i in range(first, last + 1))
    return Scale(low=marks[0], high=marks[-1], ticks=marks)


def estimate_scale(estimates: Iterable[Estimate], *, unit: str) -> Scale:
    """Return the axis for estimates of one metric: from 0, or from 1 to 5 for opinion scores.

    Ends of intervals are inside up to twice their median, or a tenth beyond the largest value.
    """
    if unit == "mos":
        return Scale(low=1.0, high=5.0, ticks=(1.0, 2.0, 3.0, 4.0, 5.0))
    measured = list(estimates)
    values = [item.value for item in measured if item.value is not None]
    largest = max(values, default=0.0)
    ends = [item.high for item in measured if item.high is not None]
    reach = max(_BEYOND_LARGEST * largest, _BEYOND_MEDIAN * median_low(ends)) if ends else 0.0
    inside = [end for end in ends if end <= reach]
    furthest = max(inside, default=0.0) if len(inside) == len(ends) else reach
    return nice_scale(min([0.0, *values]), max(furthest, largest))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlottedEstimate:
    """An estimate on an axis, in percent; ``low`` and ``high`` are None without an interval.

    ``open_low`` and ``open_high`` say that the interval goes on beyond the axis, or has no end.
    """

    at: float
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False


def mark(estimate: Estimate, scale: Scale) -> PlottedEstimate | None:
    """Return where an estimate goes, None where it has no value."""
    if estimate.value is None:
        return None
    at = scale.at(estimate.value)
    low, high = estimate.low, estimate.high
    if low is None and high is None:
        return PlottedEstimate(at=at)
    return PlottedEstimate(
        at=at,
        low=scale.at(scale.low if low is None else low),
        high=scale.at(scale.high if high is None else high),
        open_low=low is None or low < scale.low,
        open_high=high is None or high > scale.high,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bin: from ``start`` to ``stop`` (None: without end), and its place in percent."""

    start: float
    stop: float | None
    count: int
    x: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A distribution: bars, axis, and percentiles as (share, value, place in percent)."""

    bars: tuple[Bar, ...]
    scale: Scale
    percentiles: tuple[tuple[int, float, float], ...]
    count: int


def histogram(values: Iterable[float]) -> Histogram | None:
    """Return equal bins up to about p99, the last one open for what is above; None for no values.

    Percentiles are of type 7 (Hyndman and Fan 1996), over all values given.
    """
    ordered = sorted(value for value in values if math.isfinite(value))
    if not ordered:
        return None
    # A little room, so that values at the end do not share the last bar with outliers.
    highest = quantile(ordered, _LAST_SHARE) * (1.0 + 1.0 / _BINS)
    scale = nice_scale(min(0.0, ordered[0]), highest, ticks=6)
    width = (scale.high - scale.low) / _BINS
    counts = [0] * _BINS
    for value in ordered:
        counts[min(_BINS - 1, max(0, int((value - scale.low) / width)))] += 1
    tallest = max(counts)
    beyond = ordered[-1] > scale.high
    bars = tuple(
        Bar(
            start=scale.low + i * width,
            stop=None if beyond and i == _BINS - 1 else scale.low + (i + 1) * width,
            count=count,
            x=round(100.0 * i / _BINS, 3),
            width=round(100.0 / _BINS, 3),
            height=round(100.0 * count / tallest, 2),
        )
        for i, count in enumerate(counts)
    )
    quantiles = ((share, quantile(ordered, share / 100)) for share in (50, 95, 99))
    percentiles = tuple((share, value, scale.at(value)) for share, value in quantiles)
    return Histogram(bars=bars, scale=scale, percentiles=percentiles, count=len(ordered))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the type 7 quantile of ascending values; IndexError for none."""
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterfallBar:
    """A bar of a waterfall in percent: what is left, and what this step took or added."""

    left: float
    changed: float


def waterfall(steps: Sequence[tuple[int, int]]) -> tuple[WaterfallBar, ...]:
    """Return the bars of (before, after) pairs on one axis from 0 to the largest of them."""
    largest = max((max(pair) for pair in steps), default=0) or 1
    return tuple(
        WaterfallBar(
            left=round(100.0 * min(before, after) / largest, 2),
            changed=round(100.0 * abs(before - after) / largest, 2),
        )
        for before, after in steps
    )
