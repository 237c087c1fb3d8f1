"""Change points: Otava's vectors, the false-alarm rate, and changes that stay found."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relkit.statistics.change_points import (
    change_points,
    critical_t,
    largest_t,
    rank_p,
    without_spikes,
)

VECTORS = Path(__file__).resolve().parents[3].parent / "shared" / "vectors"
HELD = {
    "test_tb_old_defaults",
    "test_tb_old_defaults_p05",
    "test_change_point_detection/series1",
    "test_change_point_detection/series2",
    "test_change_point_min_magnitude/series1",
    "test_change_point_min_magnitude/series2",
    "test_incremental/series1",
    "test_incremental/series2",
    "test_single_series",
    "test_ttest",
}
"""The others ask for more false alarms than 1 %, or for a level of one point (docs/bisect.md)."""


def vectors() -> dict[str, Any]:
    """Return Otava's vectors, or skip."""
    path = VECTORS / "otava_change_points.json"
    if not path.is_file():
        pytest.skip("the shared vectors are not here")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def found(series: list[float], magnitude: float = 0.0) -> list[int]:
    """Return the first points of new levels, of changes that are large enough."""
    return [one.index for one in change_points(series) if one.relative >= magnitude]


def test_otava_names_the_same_first_points() -> None:
    """Every vector that 1 % of false alarms can hold gives exactly its change points."""
    document = vectors()
    cases = {case["name"]: case for case in document["cases"]}
    for name in HELD:
        case = cases[name]
        got = found(document["series"][case["series"]], case["min_magnitude"])
        assert got == case["expected_change_points"], name


def test_the_vectors_that_do_not_hold_are_the_documented_ones() -> None:
    """The rest differ: where that changes, the documentation is wrong."""
    document = vectors()
    for case in document["cases"]:
        if case["name"] not in HELD:
            got = found(document["series"][case["series"]], case["min_magnitude"])
            assert got != case.get("expected_change_points"), case["name"]
    zeros = next(case for case in document["cases"] if case["name"] == "test_div_by_zero")
    assert found(document["series"][zeros["series"]]) == []


def test_a_significant_pair_is_found_and_equal_halves_are_not() -> None:
    """Otava's significance cases: five against five."""
    for case in vectors()["significance"]:
        t, _ = largest_t(np.array(case["series"]))
        assert (float(t) > critical_t(10)) == case["expected_significant"]


def test_pure_noise_alarms_in_at_most_one_series_of_a_hundred() -> None:
    """Of 600 series of 60 points of normal and heavy-tailed noise, at most 1 % alarm ever."""
    rng = np.random.default_rng(20260131)
    alarms = 0
    for kind in range(3):
        for _ in range(200):
            noise = (rng.normal(size=60), rng.laplace(size=60), rng.standard_t(3, size=60))[kind]
            alarms += bool(change_points(noise.tolist()))
    assert alarms <= 6


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    levels=st.lists(st.sampled_from([0.0, 3.0, 6.0, 20.0, -15.0]), min_size=1, max_size=4),
    each=st.integers(2, 9),
)
def test_later_points_never_remove_a_found_change(
    seed: int, levels: list[float], each: int
) -> None:
    """Every change found at any length is there at every later length, moved or not."""
    rng = np.random.default_rng(seed)
    series = np.concatenate([rng.normal(level, 1.0, size=each) for level in levels]).tolist()
    before: list[tuple[int, int]] = []
    for end in range(len(series) + 1):
        now = change_points(series[:end])
        named = [(one.first_index, one.found_at) for one in now]
        assert named[: len(before)] == before
        assert [one.index for one in now] == sorted({one.index for one in now})
        assert all(one.low <= one.index <= one.high for one in now)
        before = named


def test_a_change_that_later_points_deny_is_told() -> None:
    """A level that was left again at once is still listed, with what speaks against it."""
    quiet = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98]
    early = change_points([*quiet, 1.2, 1.21, 1.19])
    assert [one.index for one in early] == [6]
    assert early[0].contradicted is None
    rng = np.random.default_rng(3)
    wild = (1.2 + rng.normal(0, 0.6, size=30)).tolist()
    later = change_points([*quiet, 1.2, 1.21, 1.19, *wild])
    assert later[0].first_index == 6
    assert later[0].contradicted is not None


@pytest.mark.parametrize("place", [0, 5, 18, 19])
def test_one_outlier_is_no_level(place: int) -> None:
    """A level is two points at least, wherever the spike stands."""
    rng = np.random.default_rng(1)
    series = rng.normal(10.0, 0.1, size=20)
    series[place] = 1e6
    assert change_points(series.tolist()) == ()


def test_two_points_are_a_level() -> None:
    """The smallest new level is found where it is far enough away."""
    series = [1.0, 1.02, 0.98, 1.01, 0.99, 1.0, 1.03, 0.97, 5.0, 5.01]
    assert found(series) == [8]


def test_equal_values_are_no_proof_of_silence() -> None:
    """Few counts: four zeros and two ones alarm nobody, with intervals or without."""
    assert change_points([0.0, 0.0, 0.0, 0.0, 0.01, 0.01]) == ()
    assert change_points([0.0] * 6 + [0.01] * 3, errors=[0.01] * 9) == ()


def test_a_silent_metric_with_small_errors_is_a_clear_change() -> None:
    """The same system measured again has no noise at all: its error bars say what a change is."""
    changes = change_points([0.081] * 5 + [0.12] * 3, errors=[0.005] * 8)
    assert [(one.index, one.low, one.high) for one in changes] == [(5, 5, 5)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(bad: float) -> None:
    """A missing value is left out by the caller, never computed with."""
    with pytest.raises(ValueError, match="finite"):
        change_points([1.0, 2.0, bad, 3.0, 4.0])


def test_short_and_level_series_have_no_change() -> None:
    """Fewer than two points on each side, and no difference at all."""
    assert change_points([]) == ()
    assert change_points([1.0, 2.0, 9.0]) == ()
    assert change_points([3.0] * 40) == ()


@example([0.0, 1.9, 1.9, 1.9, 1.9], 1.75)
@example([0.0, 0.999, 524289.0, 524289.0], 0.1015625)
@example([2.0, -999999.0, -999999.0, 0.0], 0.1)  # a t of 0 that is 1e-6 by rounding
@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=40), st.floats(0.1, 10))
def test_scale_and_shift_change_nothing(values: list[float], scale: float) -> None:
    """The largest t and its place do not depend on the unit."""
    series = np.array(values)
    if np.ptp(series) < 1e-3:
        return
    t, place = largest_t(without_spikes(series))
    other, there = largest_t(without_spikes(series * scale))
    # Beyond it the sum of squares within is a difference of nearly equal numbers: rounding.
    most = 1e4
    assert min(float(other), most) == pytest.approx(min(float(t), most), rel=1e-4, abs=1e-5)
    if critical_t(len(values)) < float(t) < most:
        assert place == there


def test_the_rank_test_is_scipys() -> None:
    """The same p as scipy's asymptotic test with continuity, ties included."""
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(5)
    for n, split in ((20, 10), (30, 7), (60, 50)):
        series = np.round(rng.normal(size=n), 1)
        series[split:] += 0.7
        wanted = stats.mannwhitneyu(series[:split], series[split:], method="asymptotic").pvalue
        assert rank_p(series, split) == pytest.approx(float(wanted), rel=1e-9)
