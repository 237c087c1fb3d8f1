"""The numbers that may be shown: bands of counts, a grid for rates, a grid for percentiles.

Each is coarse by a rule that the number's own precision sets (docs/privacy.md, section "What is
shown"), and each has its check, so that whoever receives a number can tell that it obeys.
"""

import math
from bisect import bisect_right
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Final, Literal

from relkit.disclosure.types import Band, ShownRate

_STARTS: Final = tuple(
    factor * 10**power for power in range(1, 16) for factor in (1, 2, 5)
)  # the lowest count of each band
SMALLEST_STEP: Final = 0.001
"""The finest grid of a rate: 0.1 point."""

_STEPS: Final = tuple(
    Decimal(factor).scaleb(-power) for power in (3, 2, 1) for factor in (1, 2, 5)
)  # ascending: 0.001 to 0.5

_RATIO: Final = Decimal("1.05")
_DIGITS: Final = Context(prec=4)
_EXACT: Final = Context(prec=40)

_ROUNDING: Final = {"nearest": ROUND_HALF_EVEN, "down": ROUND_FLOOR, "up": ROUND_CEILING}
Direction = Literal["nearest", "down", "up"]


def band_of(count: int) -> Band:
    """Return the band of a count of at least 10: 10-19, 20-49, 50-99, 100-199 and so on.

    Raises ValueError for fewer: such a count has no band, it is not shown.
    """
    if not _STARTS[0] <= count < _STARTS[-1]:
        raise ValueError("a count of fewer than 10 has no band")
    place = bisect_right(_STARTS, count)
    return _STARTS[place - 1], _STARTS[place] - 1


def is_band(band: Band) -> bool:
    """Return whether it is a band, or several that lie side by side: 10-19, 500-1,999."""
    low, high = band
    return low in _STARTS and high + 1 in _STARTS and low < high


def wider_band(band: Band, *, up: bool) -> Band:
    """Return a band together with the one above, or below; the lowest has none below it."""
    low, high = band
    if up:
        above = _STARTS.index(high + 1) + 1
        return low, _STARTS[min(above, len(_STARTS) - 1)] - 1
    return _STARTS[max(_STARTS.index(low) - 1, 0)], high


def rate_step(half_width: float) -> float:
    """Return the step of the grid for an interval's half-width: 1, 2 or 5 times a power of ten.

    It is the largest that is no wider than the half-width, and at least 0.001.
    """
    return float(_step(_decimal(half_width)))


def _step(half_width: Decimal) -> Decimal:
    return max((step for step in _STEPS if step <= half_width), default=_STEPS[0])


def shown_rate(value: float, low: float, high: float) -> ShownRate:
    """Return a rate and its ends, fractions, on the grid that the interval's half-width sets.

    The ends go outward, and are at least a step away from the value: an interval without width
    would say that everybody has the same rate.
    """
    return _on_grid(value, low, high, _step((_decimal(high) - _decimal(low)) / 2))


def _on_grid(value: float, low: float, high: float, step: Decimal) -> ShownRate:
    exact = _decimal(value)
    return ShownRate(
        value=_multiple(exact, step, "nearest"),
        low=_multiple(max(Decimal(0), min(_decimal(low), exact - step)), step, "down"),
        high=_multiple(min(Decimal(1), max(_decimal(high), exact + step)), step, "up"),
        step=float(step),
    )


def coarser_rate(rate: ShownRate, value: float) -> ShownRate | None:
    """Return a shown rate of this exact ``value`` on the next coarser grid; None: there is none."""
    place = _STEPS.index(_decimal(rate.step)) + 1
    if place == len(_STEPS):
        return None
    return _on_grid(value, rate.low, rate.high, _STEPS[place])


def is_shown_rate(rate: ShownRate) -> bool:
    """Return whether a rate and its ends lie on the grid of a step that is one.

    The ends have to be two steps apart, as those of every interval are that is at least as wide as
    its step; at 0 and 1 there is no room for that.
    """
    step = _decimal(rate.step)
    if step not in _STEPS:
        return False
    value, low, high = (_decimal(number) for number in (rate.value, rate.low, rate.high))
    return (
        all(number % step == 0 for number in (value, low, high))
        and 0 <= low <= value <= high <= 1
        and (high - low >= 2 * step or low == 0 or high == 1)
    )


def _decimal(number: float) -> Decimal:
    """Return the number that a float is written as: 0.29 is no hair less than 0.29."""
    return Decimal(repr(float(number)))


def _multiple(number: Decimal, step: Decimal, direction: Direction) -> float:
    return float((number / step).to_integral_value(_ROUNDING[direction]) * step)


def grid_value(value: float, direction: Direction = "nearest") -> float:
    """Return the power of 1.05 next to a positive value, to four digits; 0 stays 0.

    ``direction`` says to which side the ends of an interval are rounded. Raises ValueError for
    what is negative or not finite.
    """
    if not (math.isfinite(value) and value >= 0):
        raise ValueError("a value of a percentile is finite and not negative")
    if value == 0:
        return 0.0
    place = math.floor(math.log(value) / math.log(1.05))
    below = max(i for i in (place - 1, place, place + 1) if i == place - 1 or _power(i) <= value)
    if _power(below) == value or direction == "down":
        return _power(below)
    above = _power(below + 1)
    if direction == "up":
        return above
    return above if value * value > _power(below) * above else _power(below)


def is_grid_value(value: float) -> bool:
    """Return whether a value lies on the grid of percentiles."""
    return math.isfinite(value) and value >= 0 and grid_value(value) == value


def _power(exponent: int) -> float:
    return float(_DIGITS.plus(_EXACT.power(_RATIO, exponent)))
