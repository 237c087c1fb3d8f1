"""Simulated canaries, small: the tables of the documents are about the code that decides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.canary_quality.rollouts import HARMS as ROLLED_OUT
from benchmarks.canary_quality.rollouts import roll_out
from benchmarks.canary_quality.single import ORACLE_HEAD, oracle_rows
from benchmarks.canary_quality.watches import EQUALS, HARMS, Line, watch
from benchmarks.canary_quality.worlds import EQUAL, METRICS, World, draw
from relkit.statistics.bets import (
    THETA_WEIGHTS,
    THETAS,
    correlation,
    log_capitals,
    log_odds_paid,
    no_units,
    pooled_rate,
    trigger_weights,
    unit_scores,
    units_of,
)


@pytest.mark.parametrize("line", EQUALS, ids=lambda line: line.name)
def test_an_equal_canary_in_any_traffic_is_bet_on_as_the_library_bets(line: Line) -> None:
    """Over ten looks nothing is rolled back, and the simulation agrees with the library to 1e-9."""
    outcome = watch(replace(line, looks=10, earlier=10), np.random.default_rng(1))
    assert outcome.turns is None


@pytest.mark.parametrize("line", HARMS[:4], ids=lambda line: f"{line.name} {line.shares[0]}")
def test_a_harmed_canary_is_rolled_back(line: Line) -> None:
    """Overall harms are found long before the last look, and exposure goes with the share."""
    outcome = watch(line, np.random.default_rng(1), alternatives=False)
    assert outcome.turns is not None
    assert outcome.exposed is not None
    assert outcome.exposed == pytest.approx(line.shares[0] * outcome.turns, rel=0.25)


def test_rollouts_end_at_full_traffic_or_at_a_rollback() -> None:
    """An equal canary takes the sum of the least durations, one that fails often an hour or two."""
    equal = roll_out(EQUAL, 20_000, np.random.default_rng(1))
    assert (equal.full, equal.rolled_back) == (True, False)
    assert 15.0 <= equal.hours <= 24.0
    failing = roll_out(ROLLED_OUT[2], 20_000, np.random.default_rng(1))
    assert (failing.full, failing.rolled_back) == (False, True)
    assert failing.hours <= 2.0


def test_the_oracle_is_not_beaten() -> None:
    """The test that knows both rates needs fewer turns than the bets, on average over few runs."""
    rows = list(oracle_rows(12))
    assert len(rows) == 12
    assert "likelihood" in ORACLE_HEAD
    assert all(0.8 < float(row[-8:]) < 2.5 for row in rows)


# ------------------------------------------------------------------------------------------- laws


UNIT = st.integers(1, 20).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def all_arms(count: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return all 2^n ways to draw the arms (2^n, n), and the chance of each."""
    arms = np.array(np.meshgrid(*[[0, 1]] * count)).T.reshape(-1, count)
    return arms, np.where(arms == 1, share, 1.0 - share).prod(axis=1)


@settings(max_examples=40, deadline=None)
@given(
    units=st.lists(UNIT, min_size=2, max_size=9),
    share=st.sampled_from([0.01, 0.05, 0.25, 0.5]),
)
def test_twenty_is_reached_at_any_look_by_chance_in_one_of_twenty_at_most(
    units: list[tuple[int, int]], share: float
) -> None:
    """A look after every unit, rate and correlation anew each time, over all ways to draw arms."""
    arms, chance = all_arms(len(units), share)
    turns, events = (np.array(column) for column in zip(*units, strict=True))
    highest = np.zeros(len(arms))
    for look in range(1, len(units) + 1):
        n, e = turns[:look], events[:look]
        blind = units_of(np.zeros(look, dtype=np.bool_), n, e)
        rate = pooled_rate(blind)
        assert rate is not None
        x = unit_scores(n, e, rate=rate, correlation=correlation(blind, rate))
        exponents = x[:, None] * np.log(THETAS)
        logs = arms[:, :look] @ exponents - log_odds_paid(exponents, share).sum(axis=0)
        highest = np.maximum(highest, np.exp(logs) @ np.array(THETA_WEIGHTS))
    assert chance[highest >= 20.0].sum() <= 1.0 / 20.0


def test_the_evidence_of_a_policy_is_fair_over_all_labellings() -> None:
    """Six metrics, overall and in slices, of eight sessions: 1 on average over their arms."""
    count, share = 8, 0.25
    sessions = draw(
        World(rates=(0.3, 0.2, 0.4)),
        EQUAL,
        np.random.default_rng(7),
        when=np.zeros(count),
        shares=np.full(count, share),
    )
    slices = sessions.slice_index % 3
    arms, chances = all_arms(count, share)
    each_overall, each_slice = trigger_weights(len(METRICS), len(METRICS) * len(set(slices)))
    mean = 0.0
    for labels, chance in zip(arms == 1, chances, strict=True):
        for events in sessions.events:
            overall = pooled_rate(units_of(labels, sessions.turns, events))
            for value in (None, *set(slices.tolist())):
                mine = slice(None) if value is None else slices == value
                counts = units_of(labels[mine], sessions.turns[mine], events[mine]) + no_units()
                rate = pooled_rate(counts, toward=None if value is None else overall)
                assert rate is not None
                rho = correlation(counts, rate)
                logs = log_capitals(counts, share, rate=rate, correlation=rho)
                weight = each_overall if value is None else each_slice
                mean += weight * chance * float(np.exp(logs) @ np.array(THETA_WEIGHTS))
    assert mean == pytest.approx(1.0, abs=1e-12)
