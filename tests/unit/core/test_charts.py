"""Where marks go: round axes, intervals that run off, bins that lose nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.charts import (
    PlottedEstimate,
    WaterfallBar,
    estimate_scale,
    histogram,
    mark,
    nice_scale,
    quantile,
    waterfall,
)
from relkit.core.values import Estimate

NUMBERS = st.floats(min_value=-1e6, max_value=1e6)
TIMES = st.lists(st.floats(min_value=0, max_value=1e5), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0)),
        (0.0, 0.83, (0.0, 0.25, 0.5, 0.75, 1.0)),
        (0.0, 400.0, (0.0, 100.0, 200.0, 300.0, 400.0)),
        (-0.5, 0.5, (-0.5, -0.25, 0.0, 0.25, 0.5)),
        (0.0, 0.0, (0.0, 0.25, 0.5, 0.75, 1.0)),
        (3.0, 3.0, (3.0, 4.0, 5.0, 6.0)),
    ],
)
def test_axes_have_round_ends_that_hold_the_data(
    low: float, high: float, ticks: tuple[float, ...]
) -> None:
    """Ticks are round, the outer ones are the ends, and equal ends still make an axis."""
    scale = nice_scale(low, high)
    assert scale.ticks == ticks
    assert (scale.low, scale.high) == (ticks[0], ticks[-1])


@given(NUMBERS, NUMBERS)
def test_an_axis_holds_both_ends_and_places_lie_between_0_and_100(one: float, two: float) -> None:
    """Whatever the data, nothing is drawn outside and few ticks are needed."""
    scale = nice_scale(min(one, two), max(one, two))
    slack = 1e-6 * max(1.0, abs(one), abs(two))
    assert scale.low <= min(one, two) + slack
    assert scale.high >= max(one, two) - slack
    assert 2 <= len(scale.ticks) <= 8
    assert all(0 <= scale.at(value) <= 100 for value in (one, two, one - 1e9, two + 1e9))


@pytest.mark.parametrize("end", [math.nan, math.inf])
def test_an_axis_without_finite_ends_is_refused(end: float) -> None:
    """NaN has no place on an axis."""
    with pytest.raises(ValueError, match="finite"):
        nice_scale(0.0, end)


def test_one_wide_interval_does_not_squeeze_the_others() -> None:
    """The axis ends at twice the median upper end, and the longer interval is open there."""
    wide = Estimate(value=0.4, low=0.01, high=35.0)
    scale = estimate_scale([wide, Estimate(value=0.2, low=0.1, high=0.3)], unit="fraction")
    assert scale.high == pytest.approx(0.6)
    found = mark(wide, scale)
    assert found == PlottedEstimate(at=66.67, low=1.67, high=100.0, open_low=False, open_high=True)


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (Estimate(value=None), None),
        (Estimate(value=0.5), PlottedEstimate(at=50.0)),
        (
            Estimate(value=0.5, low=0.25),
            PlottedEstimate(at=50.0, low=25.0, high=100.0, open_high=True),
        ),
        (
            Estimate(value=0.5, high=0.75),
            PlottedEstimate(at=50.0, low=0.0, high=75.0, open_low=True),
        ),
    ],
)
def test_what_has_no_value_or_no_end_gets_no_mark_or_an_open_one(
    estimate: Estimate, expected: PlottedEstimate | None
) -> None:
    """A missing end is never drawn as an end, a missing value never as 0."""
    assert mark(estimate, nice_scale(0.0, 1.0)) == expected


def test_opinion_scores_have_their_own_axis_and_zeros_show_their_upper_end() -> None:
    """MOS runs from 1 to 5; where every rate is 0 the intervals still have room."""
    mos = estimate_scale([Estimate(value=3.2, unit="mos")], unit="mos")
    assert (mos.low, mos.high) == (1.0, 5.0)
    zeros = estimate_scale([Estimate(value=0.0, low=0.0, high=0.025)], unit="fraction")
    assert zeros.high == pytest.approx(0.025, abs=0.02)
    assert estimate_scale([], unit="fraction").high == 1.0


@given(TIMES)
def test_every_value_is_in_exactly_one_bar(values: list[float]) -> None:
    """Counts add up, the tallest bar is full, percentiles ascend and lie on the axis."""
    plot = histogram(values)
    assert plot is not None
    assert sum(bar.count for bar in plot.bars) == plot.count == len(values)
    assert max(bar.height for bar in plot.bars) == 100.0
    places = [at for _, _, at in plot.percentiles]
    assert places == sorted(places)
    assert all(0 <= at <= 100 for at in places)


def test_what_is_slower_than_the_axis_is_in_an_open_last_bar() -> None:
    """One outlier of an hour does not flatten the plot, and is not lost."""
    plot = histogram([200.0] * 500 + [3.6e6])
    assert plot is not None
    assert plot.scale.high <= 400.0
    assert plot.bars[-1].stop is None
    assert plot.bars[-1].count == 1


def test_no_values_and_values_that_are_none_make_no_plot() -> None:
    """NaN and infinity are no times."""
    assert histogram([]) is None
    assert histogram([math.nan, math.inf]) is None


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 2.5), (0.95, 3.85), (1.0, 4.0)])
def test_quantiles_are_of_type_7(share: float, expected: float) -> None:
    """The values that numpy's default gives."""
    assert quantile([1.0, 2.0, 3.0, 4.0], share) == pytest.approx(expected)


def test_masking_bars_share_one_axis_and_show_errors_that_were_made() -> None:
    """What a step hid or made lies beyond what is left; nothing at all is no division by 0."""
    assert waterfall([(100, 80), (80, 90)]) == (
        WaterfallBar(left=80.0, changed=20.0),
        WaterfallBar(left=80.0, changed=10.0),
    )
    assert waterfall([(0, 0)]) == (WaterfallBar(left=0.0, changed=0.0),)
    assert waterfall([]) == ()
