"""Counters on a grid: increases, restarts, series that begin, stretches without a sample."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.monitoring.counters import increases, overlap_s, stretches_without
from relkit.monitoring.types import RangeSamples, Series

GONE = math.nan


def samples(*rows: list[float]) -> RangeSamples:
    """Return series with a value a minute."""
    series = tuple(
        Series(labels={"n": str(i)}, values=np.array(row, dtype=np.float64))
        for i, row in enumerate(rows)
    )
    times = np.arange(len(rows[0]) if rows else 3, dtype=np.int64) * 60
    return RangeSamples(query="q", step=60, times=times, series=series)


@pytest.mark.parametrize(
    ("rows", "total", "resets"),
    [
        ([[1, 3, 3, 8]], [0, 2, 0, 5], 0),
        ([[100, 110, 4, 9]], [0, 10, 4, 5], 1),  # a restart counts from 0
        ([[1, GONE, GONE, 8]], [0, 0, 0, 7], 0),  # over a gap nothing is lost
        ([[100, GONE, 5, 6]], [0, 0, 5, 1], 1),
        ([[1, 2, 3, 4], [10, 10, 2, 2]], [0, 1, 3, 1], 1),
        ([[5.0, 5.0 - 1e-12, 5.0, 5.0]], [0, 0, 0, 0], 0),  # rounding is no restart
    ],
)
def test_what_counters_counted(rows: list[list[float]], total: list[float], resets: int) -> None:
    """A fall is a restart from 0, and a gap moves an increase to where it is seen."""
    grown = increases(samples(*rows))
    assert grown.total.tolist() == pytest.approx(total, abs=1e-9)
    assert grown.resets == resets


def test_a_label_value_that_occurs_for_the_first_time_counts_from_zero() -> None:
    """The first failure of a kind makes its series, with the value 1."""
    grown = increases(samples([0, 50, 100, 150], [GONE, GONE, 1, 2]))
    assert grown.total.tolist() == [0, 50, 51, 51]
    assert (grown.began, grown.adopted) == (1, 0)


def test_the_first_failure_of_all_counts_beside_the_traffic() -> None:
    """Nothing ever failed, so that only the service's other counters say that it was watched."""
    traffic = increases(samples([0, 50, 100, 150]))
    failures = samples([GONE, GONE, 40, 45])
    assert increases(failures, traffic).total.tolist() == [0, 0, 40, 5]
    assert increases(failures).total.tolist() == [0, 0, 0, 5]
    assert increases(samples([GONE, GONE, 1e6, 1e6]), traffic).total.tolist() == [0, 0, 0, 0]


def test_an_older_counter_that_is_first_seen_brings_nothing_from_before() -> None:
    """A million events in a minute, where there are ten, happened before it was scraped."""
    grown = increases(samples([0, 10, 20, 30], [GONE, GONE, 1e6, 1e6 + 5]))
    assert grown.total.tolist() == [0, 10, 10, 15]
    assert (grown.began, grown.adopted) == (0, 1)


def test_series_that_are_all_renamed_bring_nothing_from_before() -> None:
    """New labels on every series at once are the same counters under other names."""
    grown = increases(samples([5, 6, GONE, GONE], [GONE, GONE, 7, 9]))
    assert grown.total.tolist() == [0, 1, 0, 2]
    assert grown.adopted == 1


def test_no_series_counts_nothing_and_is_nowhere_present() -> None:
    """Nothing is seen, rather than 0 events."""
    grown = increases(samples())
    assert not grown.present.any()
    assert grown.by_series.shape == (0, 3)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=30), st.data())
def test_restarts_lose_nothing_that_was_seen(steps: list[int], data: st.DataObject) -> None:
    """A counter that restarts right after a sample shows every event that followed."""
    value, shown, counted = 0, [], 0
    for i, step in enumerate(steps):
        if value > step and data.draw(st.booleans()):
            value = 0
        value += step
        shown.append(float(value))
        counted += step if i else 0
    assert increases(samples(shown)).total.sum() == counted


@pytest.mark.parametrize(
    ("seen", "stretches"),
    [
        ([], [(0, 100)]),
        ([10, 20, 30, 40, 50, 60, 70, 80, 90, 100], []),
        ([50], [(0, 50), (50, 100)]),
        ([5, 10, 95], [(10, 95)]),
        ([5, 10, 80], [(10, 80), (80, 100)]),
        ([-50, 500], [(0, 100)]),
    ],
)
def test_stretches_without_a_sample(seen: list[float], stretches: list[tuple[int, int]]) -> None:
    """They are longer than what is usual, at the edges, too."""
    assert list(stretches_without(np.array(seen, dtype=np.float64), 0, 100, 15)) == stretches


def test_the_part_of_a_window_that_lies_in_stretches() -> None:
    """Only what lies inside counts."""
    assert overlap_s(((0, 10), (20, 40)), 5, 30) == 15
