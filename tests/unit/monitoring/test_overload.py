"""Overload: trends, a full queue, retry storms, spikes of a class, the level with hysteresis."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.arrays import FloatArray
from relkit.monitoring.serving.overload import (
    class_evidence,
    expected_amplification,
    hysteresis,
    in_blocks,
    is_growing,
    is_saturated,
    is_slow,
    mann_kendall,
    queue_burn,
    recently,
    spike_evidence,
    storm_minutes,
    theil_sen,
    utilisation,
)
from relkit.monitoring.serving.types import Minutes


def minutes(
    turns: FloatArray, *, attempts: FloatArray | None = None, service_s: float = 1.0
) -> Minutes:
    """Return minutes in which every turn has all of its figures."""
    return Minutes(
        start=0,
        turns=turns,
        attempts=turns if attempts is None else attempts,
        counted=turns,
        queued=turns,
        waited=np.zeros(len(turns)),
        queue_p95_ms=np.full(len(turns), 50.0),
        service_s=np.full(len(turns), service_s),
        classes=(),
        calls=np.zeros((0, len(turns))),
    )


def test_utilisation_is_arrivals_times_service_over_slots() -> None:
    """600 turns a minute of 3 s in 40 slots keep 75 % busy; a minute without turns uses none."""
    busy = utilisation(minutes(np.array([600.0, 0.0]), service_s=3.0), 40)
    assert busy.tolist() == [0.75, 0.0]
    assert utilisation(minutes(np.array([600.0])), 40, 6.0)[0] == 1.5


def test_one_slow_minute_is_no_saturation() -> None:
    """Three of five minutes have to be full, or p95 has to be over its bound and to grow."""
    calm, over = np.full(20, 50.0), np.full(20, 900.0)
    assert not is_saturated(np.array([0.5] * 15 + [1.2, 0.5, 0.5, 0.5, 1.2]), calm, 200)
    assert is_saturated(np.array([0.5] * 15 + [1.2, 0.5, 1.0, 0.5, 1.2]), calm, 200)
    assert not is_saturated(np.full(20, 0.5), over, 200)  # slow, and always so
    assert is_saturated(np.full(20, 0.5), np.linspace(10, 900, 20), 200)
    assert not is_saturated(np.full(20, 0.5), np.linspace(10, 190, 20), 200)  # in bounds still
    assert not is_saturated(np.full(20, np.nan), np.full(20, np.nan), 200)


def test_a_trend_needs_twelve_windows_and_passes_over_gaps() -> None:
    """Under twelve values nothing is said; minutes without a value do not break a trend."""
    assert is_growing(np.arange(11.0)) is None
    assert is_growing(np.arange(12.0)) is True
    gaps = np.array([value for number in range(12) for value in (float(number), np.nan)])
    assert is_growing(gaps) is True
    noise = np.random.default_rng(5).exponential(1, 60)
    assert is_growing(noise + np.linspace(0, 3, 60)) is True
    assert is_growing(np.arange(12.0)[::-1]) is False
    assert is_growing(np.full(12, 3.0)) is False


def test_noise_hardly_ever_grows() -> None:
    """Of 2,000 series of twelve equal minutes under 1 % are called growing."""
    draws = np.random.default_rng(7).exponential(100, (2000, 12))
    assert np.mean([bool(is_growing(series)) for series in draws]) < 0.01


def test_trend_statistics_against_published_values() -> None:
    """Kendall's S and its p with ties, and the median slope, on a series worked out by hand."""
    values = np.array([1.0, 3.0, 2.0, 4.0, 4.0, 6.0])
    s, p = mann_kendall(values)
    assert s == 12  # 13 pairs rise, 1 falls, 1 is a tie
    assert p == pytest.approx(0.0350, abs=5e-4)  # variance (6*5*17 - 2*1*9) / 18, z = 11 / 5.23
    assert theil_sen(values) == pytest.approx(1.0)
    assert mann_kendall(np.array([])) == (0.0, 1.0)


@pytest.mark.parametrize(("failure_rate", "factor"), [(0.1, 1.1), (0.75, 2.7), (0.0, 1.0)])
def test_amplification_of_three_retries(failure_rate: float, factor: float) -> None:
    """N retries at failure rate f make Σfᵏ attempts: 1.1 at 10 %, 2.7 at 75 %."""
    assert expected_amplification(failure_rate, 3) == pytest.approx(factor, abs=0.05)


def test_a_storm_rises_with_load() -> None:
    """Retries that multiply with load, or that were rare, are a storm; usual ones are none."""
    noise = np.random.default_rng(3)
    load = np.concatenate([noise.poisson(100, 30), noise.poisson(np.linspace(100, 300, 20))])
    load = load.astype(float)
    ratio = np.concatenate([np.full(30, 1.05), np.linspace(1.05, 2.6, 20)])
    ratio += noise.normal(0, 0.02, 50)
    assert recently(storm_minutes(minutes(load, attempts=load * ratio), 1.5))
    steady = noise.poisson(100, 50).astype(float)
    always = steady * (2.5 + noise.normal(0, 0.02, 50))
    assert not recently(storm_minutes(minutes(steady, attempts=always), 1.5))
    risen = steady * np.where(np.arange(50) < 40, 1.05, 2.5)
    assert recently(storm_minutes(minutes(steady, attempts=risen), 1.5))
    assert not storm_minutes(minutes(load, attempts=load * 1.1), 1.5).any()
    assert not storm_minutes(minutes(np.zeros(20)), 1.5).any()
    assert not storm_minutes(minutes(steady[:9], attempts=risen[-9:]), 1.5).any()


def test_a_storm_is_looked_for_in_the_last_minutes_alone() -> None:
    """Flags are those of as many minutes as were asked for, whatever came before."""
    steady = np.full(50, 100.0)
    risen = minutes(steady, attempts=steady * np.where(np.arange(50) < 40, 1.0, 2.0))
    assert storm_minutes(risen, 1.5, 12).tolist() == [False] * 2 + [True] * 10
    assert len(storm_minutes(risen, 1.5, 99)) == 50


def test_a_queue_that_is_always_slow_is_no_saturation_and_is_named() -> None:
    """Twelve minutes over the bound in a row are slow, one of them in it is not."""
    assert is_slow(np.full(12, 300.0), 200)
    assert is_slow(np.array([10.0, *[300.0] * 6, np.nan, *[300.0] * 6]), 200)
    assert not is_slow(np.array([*[300.0] * 11, 150.0]), 200)
    assert not is_slow(np.full(11, 300.0), 200)


def test_queue_burn_is_the_share_over_the_bound_by_its_budget() -> None:
    """10 % waiting longer where 5 % may burn at 2; nothing is said without turns."""
    assert queue_burn(10, 100, 0.95) == pytest.approx(2.0)
    assert queue_burn(0, 0, 0.95) is None


def test_usual_calls_are_hardly_ever_a_spike() -> None:
    """Over-dispersed classes: no spike in 4,000 blocks, three times 50 calls found in 97 %."""
    draws = np.random.default_rng(11)
    false = hit = 0
    for _ in range(400):
        history = draws.poisson(50 * draws.gamma(50, 1 / 50, 200)).astype(float)
        for block in draws.poisson(50 * draws.gamma(50, 1 / 50, 10)):
            evidence = spike_evidence(history, float(block))[1]
            false += evidence is not None and evidence >= 1000
        evidence = spike_evidence(history, float(draws.poisson(150 * draws.gamma(50, 1 / 50))))[1]
        hit += evidence is not None and evidence >= 1000
    assert false == 0
    assert hit / 400 >= 0.97


def test_the_time_of_day_is_no_spike_and_a_spike_is_not_its_own_history() -> None:
    """Mornings that are busy every day are usual; five times the calls are found for an hour."""
    draws = np.random.default_rng(4)
    day = 40 * np.exp(-(((np.arange(288) - 144) / 60) ** 2))  # nobody at night, 40 at noon
    calls = draws.poisson(np.tile(day, 3)).astype(float)
    looks = [calls[:end] for end in range(60, len(calls)) if calls[end - 1] >= 20]
    assert max(class_evidence(look)[1] or 0.0 for look in looks) < 1000
    calls[-144:-132] *= 5  # for an hour from noon on
    found = [class_evidence(calls[: 720 + place + 1])[1] or 0.0 for place in range(12)]
    assert np.mean(np.array(found) >= 1000) >= 0.75


def test_little_history_is_no_evidence() -> None:
    """Under ten blocks nothing is usual; a class that is new has a history of zeros."""
    assert spike_evidence(np.full(9, 5.0), 500) == (None, None)
    expected, evidence = spike_evidence(np.zeros(50), 40)
    assert expected is not None
    assert expected < 0.1
    assert evidence is not None
    assert evidence > 1000
    assert spike_evidence(np.zeros(50), 0)[1] == pytest.approx(1.0, abs=0.1)


@given(st.integers(1, 10), st.integers(0, 400))
def test_evidence_is_a_fair_bet(mean: int, seed: int) -> None:
    """It is 1 on average where nothing changed: likelihood ratios sum to one under the null."""
    history = np.random.default_rng(seed).poisson(mean, 100).astype(float)
    expected = (history.sum() + 0.5) / 100
    spread = max(0.0, history.var(ddof=1) - expected)
    shape = expected**2 / (spread + (expected + spread) / 100)
    calls = np.arange(0, 60 * mean + 400)
    logs = calls * np.log(expected / (expected + shape))
    steps = np.concatenate([[0.0], np.log((calls[:-1] + shape) / (calls[:-1] + 1.0))])
    chance = np.exp(logs + np.cumsum(steps) + shape * np.log(shape / (expected + shape)))
    evidence = np.array([spike_evidence(history, float(count))[1] for count in calls], dtype=float)
    assert float((chance * evidence).sum()) == pytest.approx(1.0, abs=1e-3)


def test_blocks_end_with_the_last_minute() -> None:
    """Twelve minutes are two blocks of five, without the first two minutes."""
    assert in_blocks(np.arange(12.0)[None, :]).tolist() == [[20.0, 45.0]]


TARGETS = st.lists(st.none() | st.integers(0, 4), min_size=1, max_size=40)


@given(TARGETS)
def test_level_goes_up_at_once_and_down_after_three_quiet_minutes(
    targets: list[int | None],
) -> None:
    """It is never under what is asked for, and falls only after three minutes that ask for less."""
    levels = hysteresis(targets)
    assert all(
        level >= target for level, target in zip(levels, targets, strict=True) if target is not None
    )
    for i, (before, after) in enumerate(pairwise(levels), start=1):
        if after > before:
            assert after == targets[i]
        if after < before:
            last = targets[i - 2 : i + 1]
            assert len(last) == 3
            assert all(target is not None and target < before for target in last)
            assert after == max(target for target in last if target is not None)


def test_minutes_that_nobody_knows_of_are_not_quiet() -> None:
    """Missing telemetry never lets a service go back to normal."""
    assert hysteresis([3, 0, 0, None, 0, 0])[-1] == 3
    assert hysteresis([3, 0, 0, 0])[-1] == 0
    assert hysteresis([3, 1, 0, 0]) == [3, 3, 3, 1]
