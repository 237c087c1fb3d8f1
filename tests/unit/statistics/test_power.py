"""Planning: power against R's published figures, and against simulated data."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relkit.statistics.distributions import t_power
from relkit.statistics.power import (
    Assumptions,
    Precision,
    SliceSize,
    chance_to_pass,
    clusters_to_pass,
    clusters_to_pass_ratio,
    excludable_ratio,
    expected_df,
    expected_precision,
    measured_precision,
    smallest_margin,
)
from relkit.statistics.types import Difference

VECTORS = Path(__file__).resolve().parents[3].parent / "shared" / "vectors" / "statistics.json"


def size(clusters: int) -> SliceSize:
    """Return a slice of speakers with 20 utterances of 9 words."""
    return SliceSize(slice="x", clusters=clusters, utterances=20 * clusters, units=180.0 * clusters)


@pytest.mark.skipif(not VECTORS.is_file(), reason="the shared vectors are not here")
def test_power_agrees_with_r() -> None:
    """Each t test of R's pwr, one and two samples, one- and two-sided."""
    for case in json.loads(VECTORS.read_text())["power"]:
        n1, n2 = (case.get(name, case.get("n")) for name in ("n1", "n2"))
        if case["test"] == "two.sample t":
            df, shift = n1 + n2 - 2, case["d"] / math.sqrt(1 / n1 + 1 / n2)
        else:
            df, shift = n1 - 1, case["d"] * math.sqrt(n1)
        two_sided = case["alt"] == "two-sided"
        critical = stats.t.ppf(1 - case["alpha"] / (2 if two_sided else 1), df)
        sign = -1.0 if case["alt"] == "smaller" else 1.0
        power = t_power(sign * shift, df, critical)
        if two_sided:
            power += t_power(-shift, df, critical)
        assert power == pytest.approx(case["power"], abs=1e-7), case


@given(st.floats(-3, 8), st.floats(1.5, 500), st.floats(0.1, 12))
@settings(max_examples=60, deadline=None)
def test_tails_agree_with_scipy(shift: float, df: float, critical: float) -> None:
    """The noncentral t, real degrees of freedom included."""
    assert t_power(shift, df, critical) == pytest.approx(
        stats.nct.sf(critical, df, shift), abs=1e-5
    )


def test_expected_precision_by_hand() -> None:
    """se^2 = 2 rate discordance clumping / n + (between rate)^2 / C."""
    found = expected_precision(
        size(10), Assumptions(rate=0.1, discordance=0.25, clumping=2.0, between_clusters=0.2)
    )
    assert found is not None
    assert found.se == pytest.approx(math.sqrt(0.1 / 1800 + 0.02**2 / 10))
    assert (found.clusters, found.df) == (10, 4.0)
    assert expected_precision(size(4), Assumptions()) is None
    assert expected_df(5) == pytest.approx(7 / 3)


def test_equal_systems_pass_as_often_as_promised() -> None:
    """At the smallest margin exactly four in five; never less with a larger margin."""
    precision = expected_precision(size(20), Assumptions())
    assert precision is not None
    margin = smallest_margin(precision)
    assert chance_to_pass(precision, margin) == pytest.approx(0.8, abs=1e-6)
    chances = [chance_to_pass(precision, one) for one in (0.0, 0.005, 0.01, 0.02, 0.05)]
    assert chances == sorted(chances)
    assert chance_to_pass(precision, 0.01, worsening=0.01) < 0.025 + 1e-9


def test_promised_chance_holds_in_simulation() -> None:
    """Normal clusters, the rule's own effective degrees of freedom."""
    random = np.random.default_rng(5)
    for clusters, low, high in ((10, 0.66, 0.92), (30, 0.7, 0.9)):
        draws = random.normal(size=(4000, clusters))
        mean = draws.mean(axis=1)
        q = draws - mean[:, None]
        second, fourth = (q**2).sum(axis=1), (q**4).sum(axis=1)
        se = np.sqrt(second / (clusters * (clusters - 1)))
        upper = mean + stats.t.ppf(0.975, np.clip(second**2 / fourth, 1.5, clusters - 1)) * se
        precision = Precision(
            slice="x", clusters=clusters, se=clusters**-0.5, df=expected_df(clusters)
        )
        assert low <= float(np.mean(upper <= smallest_margin(precision))) <= high


def test_needed_clusters_reach_the_power_and_one_less_does_not() -> None:
    """Counted, not guessed; None where no number is enough."""
    precision = expected_precision(size(10), Assumptions())
    assert precision is not None
    needed = clusters_to_pass(precision, 0.005)
    assert needed is not None

    def chance(count: int) -> float:
        scaled = Precision(
            slice="x",
            clusters=count,
            se=precision.se * math.sqrt(10 / count),
            df=min(count - 1.0, precision.df * count / 10),
        )
        return chance_to_pass(scaled, 0.005)

    assert chance(needed - 1) < 0.8 <= chance(needed)
    assert clusters_to_pass(precision, 0.005, worsening=0.005) is None
    assert clusters_to_pass(precision, 1e-7) is None


def test_excluded_ratios_fall_with_data_and_rise_with_the_family() -> None:
    """And with the clusters said to be needed the ratio is excluded."""
    ratios = [excludable_ratio(size(clusters), Assumptions()) or 99.0 for clusters in (5, 10, 40)]
    assert ratios == sorted(ratios, reverse=True)
    many = excludable_ratio(size(10), Assumptions(), slices=500) or 0.0
    assert many > ratios[1] > 1.0
    shared = excludable_ratio(size(10), Assumptions(), slices=500, clusters=5000) or 9.0
    assert shared < many
    needed = clusters_to_pass_ratio(size(10), Assumptions(), 1.15, slices=50) or 0
    assert (excludable_ratio(size(needed), Assumptions(), slices=50) or 9) <= 1.15 * 1.01
    assert (excludable_ratio(size(needed // 2), Assumptions(), slices=50) or 9) > 1.15
    assert excludable_ratio(size(4), Assumptions()) is None
    assert clusters_to_pass_ratio(size(10), Assumptions(), 1.0) is None


def test_measured_spread_is_taken_as_it_is() -> None:
    """A difference without an interval has none."""
    empty = Difference(slice="x", candidate=0.1, baseline=0.1, worsening=0.0, clusters=3)
    assert measured_precision(empty) is None


def test_shared_prompts_are_a_limit_that_speakers_do_not_lift() -> None:
    """(0.25 rate)^2 / P stays however many speakers read P prompts."""
    alone, many = (expected_precision(size(n), Assumptions()) for n in (20, 2000))
    read = [expected_precision(replace(size(n), shared=1 / 16), Assumptions()) for n in (20, 2000)]
    assert alone is not None
    assert many is not None
    assert read[0] is not None
    assert read[1] is not None
    assert read[0].se == pytest.approx(math.hypot(alone.se, 0.25 * 0.08 / 4))
    assert read[0].df <= alone.df
    assert read[1].se == pytest.approx(0.25 * 0.08 / 4, rel=0.03)
    assert read[1].df == pytest.approx(expected_df(16), rel=0.1)
    plain, shared = (
        excludable_ratio(replace(size(20), shared=part), Assumptions()) for part in (0.0, 1 / 16)
    )
    assert plain is not None
    assert shared is not None
    assert shared > plain
