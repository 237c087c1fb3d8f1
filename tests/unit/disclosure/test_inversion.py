"""Numbers of turns that could have given a rate and its ends."""

import numpy as np
import pytest

from benchmarks.disclosure_attacks.counts import RateText, on_grid, plain_ends, turns_told
from relkit.disclosure.inversion import untold_rate
from relkit.disclosure.numbers import band_of, is_shown_rate, shown_rate
from relkit.disclosure.types import ShownRate


def ends_of(events: int, turns: int) -> tuple[float, float]:
    """Return the ends of a rate where every turn is another person's."""
    low, high = plain_ends(np.array([events]), np.array([turns]))
    return float(low[0]), float(high[0])


def turns_that_give(rate: ShownRate, turns: int) -> int:
    """Return how many numbers of turns of the band give a rate and its ends."""
    least, most = band_of(turns)
    text = RateText(rate.value, rate.low, rate.high, (float(least), float(most)))
    return len(turns_told(text, on_grid, rate.step))


@pytest.mark.parametrize(("events", "turns"), [(10, 200), (14, 200), (14, 201), (10, 99), (51, 98)])
def test_a_rate_that_few_numbers_of_turns_give_is_shown_as_another(events: int, turns: int) -> None:
    """At the end of a band the grid alone would leave up to four numbers of turns."""
    ends = ends_of(events, turns)
    assert turns_that_give(shown_rate(events / turns, *ends), turns) < 5
    rate = untold_rate(events, turns, ends, 10)
    assert rate is not None
    assert is_shown_rate(rate)
    assert turns_that_give(rate, turns) >= 9


def test_whatever_the_counts_three_numbers_of_turns_give_what_is_shown() -> None:
    """It is still the rate within half a step, and the interval but for a hundredth."""
    rng = np.random.default_rng(7)
    for edge in (20, 50, 100, 200, 500, 1000, 2000):
        for turns in rng.integers(max(20, edge - 4), edge + 60, 12).tolist():
            events = int(rng.integers(10, turns - 9))
            ends = ends_of(events, turns)
            rate = untold_rate(events, turns, ends, 10)
            if rate is None:
                continue
            inward = 0.01 * (ends[1] - ends[0]) + 1e-9
            assert abs(rate.value - events / turns) <= rate.step / 2 + 1e-9
            assert rate.low <= ends[0] + inward
            assert rate.high >= ends[1] - inward
            assert turns_that_give(rate, turns) >= 3


def test_most_rates_are_shown_as_they_are() -> None:
    """Away from the ends of a band the nearest text that enough counts give is the rate's own."""
    for events, turns in ((60, 320), (30, 700), (140, 1500), (1200, 3000)):
        ends = ends_of(events, turns)
        assert untold_rate(events, turns, ends, 10) == shown_rate(events / turns, *ends)
