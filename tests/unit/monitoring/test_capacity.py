"""Capacity: each formula against figures that are known, and the laws that hold for all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.monitoring.serving.capacity import (
    busiest,
    erlang_c,
    find_knee,
    gpu_memory,
    headroom,
    observed_ramp,
    peak_of,
    slots_for,
    steepest_hour,
    streams_of,
    warm_pool,
)
from relkit.monitoring.serving.types import LoadStep, ModelMemory, ServedSlo

SLO = ServedSlo(p95_ms=1100, error_rate=0.01)


def step(
    concurrency: float,
    throughput: float | None,
    p95_ms: float | None = 500,
    error_rate: float | None = 0,
) -> LoadStep:
    """Return a step of a minute."""
    return LoadStep(
        concurrency=concurrency,
        throughput=throughput,
        p95_ms=p95_ms,
        error_rate=error_rate,
        duration_s=60,
    )


@pytest.mark.parametrize(("load", "slots"), [(2, 7), (18, 30), (180, 214)])
def test_slots_of_the_method(load: float, slots: int) -> None:
    """2 busy streams need 7 slots at 1 % waiting, 18 need 30, 180 need 214."""
    assert slots_for(load, 0.01) == slots
    assert erlang_c(slots, load) <= 0.01 < erlang_c(slots - 1, load)


@pytest.mark.parametrize(("slots", "share"), [(4, 0.20), (10, 0.41), (40, 0.66), (200, 0.84)])
def test_how_busy_a_pool_may_be(slots: int, share: float) -> None:
    """Pools of 4, 10, 40 and 200 may be 20, 41, 66 and 84 % busy at 1 % waiting."""
    assert round(busiest(slots, 0.01), 2) == share


@given(st.integers(1, 200), st.floats(0.01, 150), st.floats(0.01, 150))
def test_waiting_falls_with_slots_and_rises_with_load(slots: int, load: float, more: float) -> None:
    """Erlang C is monotone in both of its arguments, and a chance."""
    low, high = sorted((load, more))
    assert 0 <= erlang_c(slots, low) <= erlang_c(slots, high) + 1e-12 <= 1 + 1e-12
    assert erlang_c(slots + 1, load) <= erlang_c(slots, load) + 1e-12


@given(st.floats(0.01, 300), st.floats(0.001, 0.5))
def test_the_fewest_slots_are_enough_and_one_less_is_not(load: float, waiting: float) -> None:
    """The search ends at the smallest number of slots."""
    slots = slots_for(load, waiting)
    assert erlang_c(slots, load) <= waiting
    assert slots == 1 or erlang_c(slots - 1, load) > waiting


@pytest.mark.parametrize(
    ("rtf", "utilisation", "streams"),
    [(0.1, 0.7, 7), (0.05, 0.8, 16), (0.3, 0.7, 2), (0.9, 0.7, 0)],
)
def test_streams_of_a_replica(rtf: float, utilisation: float, streams: int) -> None:
    """⌊utilisation / RTF⌋ in decimal: in binary 0.7 / 0.1 is under 7."""
    assert streams_of(rtf, utilisation) == streams


def test_warm_pool_is_what_arrives_while_a_replica_starts() -> None:
    """0.5 streams a second for 90 s in replicas of 7 are 7 replicas; none without a ramp."""
    assert warm_pool(0.5, 90, 7) == 7
    assert warm_pool(0.7, 10, 7) == 1
    assert warm_pool(0, 90, 7) == 0


@pytest.mark.parametrize(("size", "weights"), [(2.0, 19.2), (0.5, 4.8)])
def test_memory_of_an_8b_model(size: float, weights: float) -> None:
    """8B parameters take 19.2 GB in 16 bit and 4.8 in 4 bit, a stream of 8k tokens 1.07."""
    memory = gpu_memory(
        ModelMemory(
            parameters_b=8, bytes=size, layers=32, kv_heads=8, head_dim=128, context=8192, streams=1
        )
    )
    assert memory.weights == pytest.approx(weights)
    assert round(memory.kv_cache, 2) == 1.07
    assert memory.total == memory.weights + memory.kv_cache


@pytest.mark.parametrize(
    ("steps", "place", "why"),
    [
        ([step(1, 2), step(2, 4), step(4, 8)], None, ""),
        ([step(1, 2), step(2, 3), step(4, 8)], None, ""),  # half is not under half
        ([step(1, 2), step(2, 2.9)], 1, "throughput"),
        ([step(1, 2), step(2, 4, 1100)], None, ""),
        ([step(1, 2), step(2, 4, 1101)], 1, "p95_ms"),
        ([step(1, 2), step(2, 4, 500, 0.011)], 1, "error_rate"),
        ([step(1, 2, 1101), step(2, 4)], 0, "p95_ms"),
        ([step(1, 0), step(2, 4)], 0, "throughput"),
        ([step(1, 2), step(2, None)], 1, "missing: throughput"),
        ([step(1, 2), step(2, 4, None, None)], 1, "missing: p95_ms and error_rate"),
        ([step(1, 2), step(2, 1.5)], 1, "throughput"),  # it falls
    ],
)
def test_knee_of_a_load_test(steps: list[LoadStep], place: int | None, why: str) -> None:
    """The first step with too little more throughput, a broken SLO or a missing figure."""
    assert find_knee(steps, SLO) == (place, why)


STEPS = st.lists(
    st.tuples(st.floats(0, 50), st.floats(0, 3000), st.floats(0, 0.05)), min_size=1, max_size=8
)


@given(STEPS, STEPS)
def test_steps_after_the_knee_change_nothing(
    first: list[tuple[float, float, float]], later: list[tuple[float, float, float]]
) -> None:
    """Whatever later steps look like, the first that is no good stays the knee."""
    steps = [step(i + 1, *figures) for i, figures in enumerate(first)]
    more = [step(len(first) + i + 1, *figures) for i, figures in enumerate(later)]
    place, why = find_knee(steps, SLO)
    if place is not None:
        assert find_knee([*steps, *more], SLO) == (place, why)


INTERVALS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 15)), min_size=1, max_size=30)


@given(INTERVALS)
def test_peak_is_that_of_counting_every_moment(intervals: list[tuple[int, int]]) -> None:
    """The sweep finds the most open sessions, and the first moment that has them."""
    starts = np.array([float(start) for start, _ in intervals])
    ends = starts + np.array([float(length) for _, length in intervals])
    counts = {at: int(((starts <= at) & (ends >= at)).sum()) for at in range(60)}
    most = max(counts.values())
    assert peak_of(starts, ends) == (most, float(next(at for at in counts if counts[at] == most)))


def test_no_session_is_no_peak() -> None:
    """Without intervals there is no moment with one."""
    assert peak_of(np.array([]), np.array([])) == (0, None)


def test_steepest_hour_is_any_hour() -> None:
    """Arrivals are counted in every hour that begins with one, not by the clock."""
    quiet = np.arange(0, 4 * 3600, 600.0)
    burst = np.linspace(5400, 5460, 100)  # across no full hour of the clock
    assert steepest_hour(np.concatenate([quiet, burst])) == 106
    assert steepest_hour(np.arange(0, 1800, 1.8)) == pytest.approx(2000, rel=0.01)
    assert steepest_hour(np.array([0.0, 500.0])) is None
    assert steepest_hour(np.array([])) is None


def test_ramp_is_the_steepest_growth_of_open_sessions() -> None:
    """A session more every two seconds is half a one per second, whatever came before."""
    flat, growing = np.zeros(50), np.arange(2000.0, 2400.0, 2.0)
    starts = np.concatenate([flat, growing])
    ends = np.full(len(starts), 4000.0)
    assert observed_ramp(starts, ends, 90) == pytest.approx(0.5, rel=0.03)
    assert observed_ramp(np.zeros(9), np.full(9, 4000.0), 90) == 0
    assert observed_ramp(starts[:1], ends[:1] * 0 + 10, 90) is None


def test_headroom_is_what_the_forecast_peak_leaves() -> None:
    """150 sessions and 20 % growth leave 10 % of 200 slots; more than there are is negative."""
    assert headroom(150, 0.2, 200) == pytest.approx(0.1)
    assert headroom(200, 0.2, 200) < 0
