"""Percentiles that may be shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.arrays import IntArray
from relkit.disclosure.numbers import is_grid_value
from relkit.disclosure.percentiles import shown_percentiles, tails_bear
from relkit.disclosure.types import ShownPercentile
from relkit.statistics.percentiles import OrderedValues


def ordered(parts: list[int]) -> OrderedValues:
    """Return the values 0, 1, 2 … of the people that ``parts`` number."""
    return OrderedValues(
        part="cluster",
        values=np.arange(len(parts), dtype=np.float64),
        parts=np.array(parts, dtype=np.int64),
        sizes=np.bincount(parts).astype(np.float64),
    )


def of_people(values: list[float], persons: list[int], k: int = 10) -> list[ShownPercentile]:
    """Return p50 and p95 of one cell."""
    cell: IntArray = np.zeros(len(values), dtype=np.int64)
    return shown_percentiles(
        {"latency_ms": np.array(values)},
        np.array(persons, dtype=np.int64),
        [(("overall",), cell)],
        k=k,
        percentiles=(50, 95),
    )


@pytest.mark.parametrize(
    ("parts", "value", "bears"),
    [
        (list(range(30)), 14.0, True),
        (list(range(30)), 19.0, True),  # ten above
        (list(range(30)), 20.0, False),  # nine
        (list(range(30)), 9.0, False),  # nine below
        ([*range(20), *[20, 21, 22, 23] * 3], 19.0, False),  # four people above
        ([*range(20), *[20, 21, 22, 23, 24] * 2], 19.0, True),
        ([*range(20), *[20] * 6, 21, 22, 23, 24], 19.0, False),  # six of ten are one person's
        ([*range(20), *[20] * 5, 21, 22, 23, 24, 25], 19.0, True),
    ],
)
def test_ten_values_of_five_people_lie_beyond(
    parts: list[int],
    value: float,
    bears: bool,  # noqa: FBT001
) -> None:
    """On either side, and nobody has more than half of them."""
    assert tails_bear(ordered(parts), value) is bears


def test_a_thin_tail_is_not_shown_while_the_median_is() -> None:
    """Of 100 values p95 has five beyond it."""
    rng = np.random.default_rng(1)
    median, p95 = of_people(rng.lognormal(5, 1, 100).tolist(), list(range(100)))
    assert median.value is not None
    assert median.low is not None
    assert median.high is not None
    assert median.low < median.value < median.high
    assert (p95.value, p95.low, p95.high) == (None, None, None)


def test_an_end_with_few_values_beyond_is_not_shown() -> None:
    """Of 300 values of 300 people p95 has fifteen beyond it and its upper end has fewer."""
    rng = np.random.default_rng(1)
    _, p95 = of_people(rng.lognormal(5, 1, 300).tolist(), list(range(300)))
    assert p95.value is not None
    assert p95.low is not None
    assert p95.high is None


def test_a_quantity_of_few_people_is_not_shown() -> None:
    """Nine people, or values of one person for the most part, have no percentile."""
    rng = np.random.default_rng(1)
    values = rng.lognormal(5, 1, 900).tolist()
    assert all(shown.value is None for shown in of_people(values, [i % 9 for i in range(900)]))
    mostly = [max(0, i - 840) for i in range(900)]
    assert all(shown.value is None for shown in of_people(values, mostly))


def test_values_that_are_none_do_not_count() -> None:
    """What is not measured, not finite or negative is left out."""
    rng = np.random.default_rng(1)
    values = rng.lognormal(5, 1, 200).tolist()
    persons = list(range(200))
    spoiled = [*values, float("nan"), float("inf"), -5.0]
    assert of_people(spoiled, [*persons, 0, 1, 2]) == of_people(values, persons)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(5, 60), st.integers(1, 400))
def test_whatever_is_shown_has_its_tail(seed: int, people: int, turns: int) -> None:
    """Every shown number lies on the grid, and the exact one has ten values of five people beyond.

    The grid's neighbours hold the exact number, so that the values beyond the next grid line
    outward are counted.
    """
    rng = np.random.default_rng(seed)
    persons = rng.choice(people, turns, p=rng.dirichlet(np.full(people, 0.7)))
    values = rng.lognormal(5, 1, turns)
    for shown in of_people(values.tolist(), persons.tolist()):
        for number, slack in ((shown.value, 1.051), (shown.low, 1.051), (shown.high, 1.051)):
            if number is None:
                continue
            assert is_grid_value(number)
            for beyond in (persons[values < number * slack], persons[values > number / slack]):
                sizes = np.bincount(beyond, minlength=people)
                assert sizes.sum() >= 10
                assert np.count_nonzero(sizes) >= 5
