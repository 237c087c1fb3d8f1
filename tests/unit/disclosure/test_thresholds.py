"""Who has to be in a number before it is shown."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.config import Profile
from relkit.disclosure.counts import PersonSums, holdings, merge_cells
from relkit.disclosure.thresholds import dominated, enough, fewest_people, shown_metrics
from relkit.disclosure.types import AllButFewer, FewerThan, ShownBand, ShownRate

Pairs = Sequence[tuple[int, int]]


def sums_of(people: Pairs) -> PersonSums:
    """Return one cell of people, each with turns and how many of them are events."""
    turns, events = (np.array(column, dtype=np.int64) for column in zip(*people, strict=True))
    return PersonSums(
        cells=1,
        cell=np.zeros(len(people), dtype=np.int64),
        person=np.arange(len(people)),
        turns=turns,
        measured={"failure": turns},
        events={"failure": events},
    )


@pytest.mark.parametrize(
    ("profile", "unit", "k"),
    [("default", "user", 10), ("health", "user", 11), ("health", "session", 50)],
)
def test_how_many_people_a_cell_needs(
    profile: Profile, unit: Literal["user", "session"], k: int
) -> None:
    """Ten, eleven where health is concerned, fifty where sessions stand for people."""
    assert fewest_people(profile, unit) == k


@pytest.mark.parametrize(
    ("turns", "passes"),
    [
        ([1] * 9, False),
        ([1] * 10, True),
        ([5] * 10, True),
        ([45, 45, *[1] * 10], True),  # 90 of 100
        ([46, 45, *[1] * 10], False),  # 91 of 101
        ([71, 1, *[1] * 8], True),  # 72 of 80
        ([72, 1, *[1] * 8], False),  # 73 of 81
        ([0] * 5 + [3] * 9, False),
    ],
)
def test_no_one_makes_most_of_a_cell(turns: list[int], passes: bool) -> None:  # noqa: FBT001
    """Ten people, and the two largest hold at most 90 %."""
    sums = sums_of([(n, 0) for n in turns])
    assert bool(enough(holdings(sums, sums.turns), 10)[0]) is passes


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12))
def test_holdings_are_those_of_sorting(amounts: list[int]) -> None:
    """Total, people and the two largest come out as by hand, ties included."""
    sums = sums_of([(n, 0) for n in amounts])
    held = holdings(sums, sums.turns)
    ordered = sorted([*amounts, 0], reverse=True)
    assert held.total[0] == sum(amounts)
    assert held.people[0] == sum(amount > 0 for amount in amounts)
    assert (held.largest[0], held.second[0]) == (ordered[0], ordered[1])
    two, total = ordered[0] + ordered[1], sum(amounts)
    by_hand = two > 0.9 * total + 1e-9 or total - two < 0.1 * ordered[0] - 1e-9
    assert bool(dominated(held)[0]) == by_hand


SPREAD = [(10, n % 4) for n in range(40)]


@pytest.mark.parametrize(
    ("people", "shown"),
    [
        ([(5, 0)] * 20, FewerThan),  # none at all
        ([(5, 1)] * 9 + [(5, 0)] * 11, FewerThan),  # nine events
        ([(9, 8), (9, 8), *[(5, 0)] * 20], FewerThan),  # sixteen events of two people
        ([(5, 5)] * 20, AllButFewer),
        ([(5, 4)] * 9 + [(5, 5)] * 11, AllButFewer),
        ([(40, 39), *[(5, 1)] * 4, *[(5, 0)] * 30], type(None)),  # one holds over 90 % of events
        ([(10, 4)] * 3 + [(5, 0)] * 20, ShownBand),  # three people's events have no interval
        (SPREAD, ShownRate),
        ([(5, 1)] * 9, type(None)),  # nine people
    ],
)
def test_what_is_shown_of_a_metric(people: Pairs, shown: type) -> None:
    """Few events, nearly all, dominated ones, those without an interval, and a rate."""
    (metric,), _ = shown_metrics(sums_of(people), "failure", 10, None)
    assert isinstance(metric, shown)


def test_a_band_says_how_it_stands_beside_the_rest() -> None:
    """Without an interval there is a band of events, and whether the rate is higher elsewhere."""
    cell = sums_of([(10, 4)] * 3 + [(5, 0)] * 20)
    for events, word in ((0, "higher"), (5, "not_higher")):
        whole = sums_of([(10, 4)] * 3 + [(5, 0)] * 20 + [(5, events)] * 100)
        _, totals = shown_metrics(whole, "failure", 10, None)
        (metric,), _ = shown_metrics(cell, "failure", 10, totals)
        assert metric == ShownBand(events=(10, 19), than_rest=word)  # type: ignore[arg-type]


def test_cells_put_together_count_a_person_once() -> None:
    """Somebody in two cells is one person of both together."""
    two = PersonSums(
        cells=2,
        cell=np.array([0, 0, 1]),
        person=np.array([0, 1, 1]),
        turns=np.array([3, 4, 5]),
        measured={"failure": np.array([3, 4, 5])},
        events={"failure": np.array([0, 1, 2])},
    )
    both = merge_cells(two, np.array([0, 0]), 1)
    assert both.person.tolist() == [0, 1]
    assert both.turns.tolist() == [3, 9]
    assert both.events["failure"].tolist() == [0, 3]
