"""Bands, and the grids of rates and percentiles."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.disclosure.numbers import (
    band_of,
    coarser_rate,
    grid_value,
    is_band,
    is_grid_value,
    is_shown_rate,
    rate_step,
    shown_rate,
    wider_band,
)
from relkit.disclosure.types import Band, ShownRate
from relkit.statistics.distributions import TWO_SIDED_95, t_quantile

COUNTS = st.integers(10, 10**9)
FRACTIONS = st.floats(0.0, 1.0)


@pytest.mark.parametrize(
    ("count", "band"),
    [
        (10, (10, 19)),
        (19, (10, 19)),
        (20, (20, 49)),
        (49, (20, 49)),
        (50, (50, 99)),
        (100, (100, 199)),
        (995, (500, 999)),
        (1000, (1000, 1999)),
        (2_500_000, (2_000_000, 4_999_999)),
    ],
)
def test_bands_are_one_two_five(count: int, band: Band) -> None:
    """Counts are told in bands that double, or nearly."""
    assert band_of(count) == band


@pytest.mark.parametrize("count", [-1, 0, 9])
def test_fewer_than_ten_have_no_band(count: int) -> None:
    """A count that may not be shown cannot become a number by mistake."""
    with pytest.raises(ValueError, match="fewer than 10"):
        band_of(count)


def test_a_band_widens_by_a_step() -> None:
    """995 of 1,000 becomes 500 to 1,999, and the lowest band has none below it."""
    assert wider_band(band_of(995), up=True) == (500, 1999)
    assert wider_band(band_of(995), up=False) == (200, 999)
    assert wider_band((10, 19), up=False) == (10, 19)


@given(COUNTS, st.lists(st.booleans(), max_size=4))
def test_bands_hold_their_count_however_wide(count: int, steps: list[bool]) -> None:
    """A band, and every wider one, is legal, and the count is in it."""
    band = band_of(count)
    for up in steps:
        band = wider_band(band, up=up)
    assert is_band(band)
    assert band[0] <= count <= band[1]


@given(COUNTS, COUNTS)
def test_bands_are_monotone(left: int, right: int) -> None:
    """More never gets a lower band."""
    if left <= right:
        assert band_of(left) <= band_of(right)


@pytest.mark.parametrize("band", [(0, 9), (10, 18), (15, 19), (10, 10), (50, 49), (1, 19)])
def test_what_is_no_band_is_told(band: Band) -> None:
    """A receiver knows a band from a count in disguise."""
    assert not is_band(band)


@pytest.mark.parametrize(
    ("half_width", "step"),
    [
        (0.0, 0.001),
        (0.0009, 0.001),
        (0.001, 0.001),
        (0.0019, 0.001),
        (0.002, 0.002),
        (0.0063, 0.005),
        (0.01, 0.01),
        (0.049, 0.02),
        (0.05, 0.05),
        (0.3, 0.2),
        (0.5, 0.5),
    ],
)
def test_the_step_is_the_largest_within_the_half_width(half_width: float, step: float) -> None:
    """A rate is told no finer than its interval, and never finer than 0.1 point."""
    assert rate_step(half_width) == step


def test_rates_are_exact_in_decimal() -> None:
    """0.29 on a grid of 0.01 is 0.29, not the float below it."""
    assert shown_rate(0.29, 0.28, 0.30) == ShownRate(value=0.29, low=0.28, high=0.3, step=0.01)


def test_an_interval_without_width_is_given_some() -> None:
    """Ends that equal the rate would say that everybody has the same one."""
    shown = shown_rate(0.05, 0.05, 0.05)
    assert (shown.low, shown.high, shown.step) == (0.049, 0.051, 0.001)


@given(FRACTIONS, FRACTIONS, FRACTIONS)
def test_ends_go_outward_and_the_value_to_the_nearest(a: float, b: float, c: float) -> None:
    """What is shown holds the interval, is legal, and the value moves by half a step at most."""
    low, value, high = sorted((a, b, c))
    shown = shown_rate(value, low, high)
    assert is_shown_rate(shown)
    assert shown.low <= low
    assert shown.high >= high
    assert abs(shown.value - value) <= shown.step / 2 + 1e-12


@given(FRACTIONS, FRACTIONS, FRACTIONS)
def test_rounding_twice_is_rounding_once(a: float, b: float, c: float) -> None:
    """A shown rate whose ends set the same step is shown as it is."""
    low, value, high = sorted((a, b, c))
    shown = shown_rate(value, low, high)
    again = shown_rate(shown.value, shown.low, shown.high)
    if again.step == shown.step:
        assert again == shown


@given(FRACTIONS, FRACTIONS, st.floats(0.0005, 0.3))
def test_rates_of_one_width_are_monotone(left: float, right: float, half: float) -> None:
    """A higher rate is never shown lower where the step is the same."""
    first, second = (
        shown_rate(value, max(0.0, value - half), min(1.0, value + half))
        for value in sorted((left, right))
    )
    if first.step == second.step:
        assert first.value <= second.value


@given(FRACTIONS, st.floats(0.0, 0.2))
def test_coarser_rates_are_rates_of_the_same_value(value: float, half: float) -> None:
    """Every coarser grid is legal, holds the finer interval, and ends at 0.5."""
    shown: ShownRate | None = shown_rate(value, max(0.0, value - half), min(1.0, value + half))
    while shown is not None:
        assert is_shown_rate(shown)
        assert abs(shown.value - value) <= shown.step / 2 + 1e-12
        coarser = coarser_rate(shown, value)
        if coarser is None:
            assert shown.step == 0.5
        else:
            assert coarser.step > shown.step
            assert coarser.low <= shown.low
            assert coarser.high >= shown.high
        shown = coarser


@pytest.mark.parametrize(
    ("value", "low", "high", "step"),
    [
        (0.051, 0.04, 0.06, 0.01),
        (0.05, 0.041, 0.06, 0.01),
        (0.05, 0.04, 0.06, 0.003),
        (0.05, 0.05, 0.05, 0.01),
        (0.05, 0.05, 0.06, 0.01),
        (0.07, 0.04, 0.06, 0.01),
        (0.05, 0.04, 0.06, 0.0001),
    ],
)
def test_what_is_no_shown_rate_is_told(value: float, low: float, high: float, step: float) -> None:
    """A receiver sees numbers off their grid, steps that are none, and ends too near."""
    assert not is_shown_rate(ShownRate(value=value, low=low, high=high, step=step))


def _intervals(turns: int) -> list[tuple[float, float, float]]:
    """Return the rate and its ends of each number of events; every turn is of another person."""
    events = np.arange(10, turns - 9, dtype=np.float64)
    with_event = np.log((events - 1) / (turns - events))
    without = np.log(events / (turns - 1 - events))
    mean = (events * with_event + (turns - events) * without) / turns
    first, second = (with_event - mean) ** 2, (without - mean) ** 2
    squares = events * first + (turns - events) * second
    fourth = events * first**2 + (turns - events) * second**2
    freedom = np.clip(squares**2 / fourth, 1.5, turns - 1)
    half = np.asarray(t_quantile(TWO_SIDED_95, freedom)) * np.sqrt((turns - 1) / turns * squares)
    logit = np.log(events / (turns - events))
    ends = [1 / (1 + np.exp(-(logit + sign * half))) for sign in (-1, 1)]
    values = (events / turns).tolist()
    return list(zip(values, ends[0].tolist(), ends[1].tolist(), strict=True))


def test_a_rate_and_its_ends_do_not_tell_the_number_of_turns() -> None:
    """Who tries every n finds the right one alone for under 1 row in 1,000.

    The rows are all rates of 20 to 199 turns of as many people, whose n is looked for in its band;
    whole points would tell it for 2 %.
    """
    by_rule: dict[tuple[ShownRate, Band], set[int]] = defaultdict(set)
    in_points: dict[tuple[float, float, float, Band], set[int]] = defaultdict(set)
    rows = []
    for turns in range(20, 200):
        band = band_of(turns)
        for value, low, high in _intervals(turns):
            shown = shown_rate(value, low, high)
            points = (round(value, 2), round(low, 2), round(high, 2), band)
            by_rule[shown, band].add(turns)
            in_points[points].add(turns)
            rows.append(((shown, band), points))
    told = [len(by_rule[shown]) == 1 for shown, _ in rows]
    told_in_points = [len(in_points[points]) == 1 for _, points in rows]
    assert sum(told) < len(rows) / 1000
    assert sum(told_in_points) > 0.02 * len(rows)


@pytest.mark.parametrize(("value", "shown"), [(0.0, 0.0), (1.0, 1.0), (1.05, 1.05), (812.0, 799.7)])
def test_percentiles_lie_on_powers_of_one_point_zero_five(value: float, shown: float) -> None:
    """The grid is logarithmic, 5 % a step, and written to four digits."""
    assert grid_value(value) == shown
    assert is_grid_value(shown)


@settings(max_examples=300)
@given(st.floats(1e-3, 1e7))
def test_the_grid_of_percentiles_rounds_outward(value: float) -> None:
    """Down is not above, up is not below, neither is a step away, and rounding again is nothing."""
    low, near, high = (grid_value(value, side) for side in ("down", "nearest", "up"))
    assert low <= value <= high
    assert near in {low, high}
    assert high <= low * 1.051
    assert all(is_grid_value(shown) for shown in (low, near, high))
    assert grid_value(low, "down") == low
    assert grid_value(high, "up") == high


@given(st.floats(1e-3, 1e7), st.floats(1e-3, 1e7))
def test_the_grid_of_percentiles_is_monotone(left: float, right: float) -> None:
    """A slower value is never shown faster."""
    assert grid_value(min(left, right)) <= grid_value(max(left, right))


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_no_percentile_of_what_is_none(value: float) -> None:
    """What is negative or not finite is refused, and no legal value either."""
    with pytest.raises(ValueError, match="percentile"):
        grid_value(value)
    assert not is_grid_value(value)
