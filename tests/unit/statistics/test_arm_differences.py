"""What is shown beside the evidence: the interval and Kayenta's label, against published values."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relkit.statistics.arm_differences import (
    RankLabel,
    always_valid_half_width,
    difference_of_rates,
    rank_difference,
)
from relkit.statistics.bets import no_units, units_of
from relkit.statistics.types import UnitCounts
from tests.conftest import SHARED

VECTORS = SHARED / "vectors"


def vectors(name: str) -> dict[str, Any]:
    """Return a file of published values, or skip."""
    path = VECTORS / name
    if not path.exists():
        pytest.skip("the shared vectors are not beside the project")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def step(
    *, sessions: int, share: float, control: float, canary: float, seed: int = 1
) -> UnitCounts:
    """Return sessions of four turns with these rates."""
    random = np.random.default_rng(seed)
    arms = random.random(sessions) < share
    turns = np.full(sessions, 4)
    return units_of(arms, turns, random.binomial(turns, np.where(arms, canary, control)))


def test_kayenta_says_the_same() -> None:
    """Every published case that is about ranks alone gets the label that Kayenta gives it."""
    seen = 0
    for case in vectors("kayenta_classifier.json")["cases"]:
        effects = [case.get(f"{kind}_{way}") for kind in ("allowed", "critical") for way in _WAYS]
        if case["classifier"] != "MannWhitneyClassifier" or effects != [1.0] * 4:
            continue
        if case["nan_strategy"] != "remove" or "classification" not in case["expected"]:
            continue
        ranked = rank_difference(
            np.array(case["canary"], dtype=np.float64),
            np.array(case["baseline"], dtype=np.float64),
            tolerance=case["tolerance"],
            confidence=case["conf_level"],
        )
        label = ranked.label
        if (case["direction"], label) in {("increase", "Low"), ("decrease", "High")}:
            label = RankLabel.PASS  # Kayenta does not look that way
        assert label == case["expected"]["classification"], case["name"]
        assert ranked.reason
        seen += 1
    assert seen >= 15


_WAYS = ("decrease", "increase")


def test_the_always_valid_width_is_the_published_one() -> None:
    """The intervals that GrowthBook publishes are met to their last digit."""
    for case in vectors("statistics.json")["sequential"]["cases"]:
        half = always_valid_half_width(
            case["stddev"], case["n_total"], alpha=case["alpha"], tuned_for=case["n_star"]
        )
        assert case["estimate"] - half == pytest.approx(case["ci"][0], abs=case["tol"])
        assert case["estimate"] + half == pytest.approx(case["ci"][1], abs=case["tol"])


def test_the_shift_is_the_median_of_the_differences() -> None:
    """Hodges and Lehmann's estimate, and a p-value of scipy that agrees with the ends."""
    random = np.random.default_rng(2)
    control, canary = random.normal(10, 1, 41), random.normal(10.8, 1, 37)
    ranked = rank_difference(canary, control, confidence=0.95)
    differences = canary[:, None] - control[None, :]
    assert ranked.shift == pytest.approx(float(np.median(differences)), abs=1e-6)
    assert ranked.low is not None
    p = stats.mannwhitneyu(canary - ranked.low, control, method="asymptotic").pvalue
    assert p == pytest.approx(0.05, abs=0.003)


def test_the_difference_by_hand() -> None:
    """One step of two cells an arm: the difference, its clustered error and the ends."""
    counts = UnitCounts(
        canary=np.array([True, True, False, False]),
        turns=np.array([2, 4, 2, 4]),
        events=np.array([0, 2, 0, 1]),
        units=np.array([60, 40, 60, 80]),
    )
    canary, control = 80 / 280, 80 / 440
    variance = (60 * (2 * canary) ** 2 + 40 * (2 - 4 * canary) ** 2) / 280**2 * 100 / 99 + (
        60 * (2 * control) ** 2 + 80 * (1 - 4 * control) ** 2
    ) / 440**2 * 140 / 139
    shown = difference_of_rates([counts])
    assert shown.difference == pytest.approx(canary - control)
    half = always_valid_half_width(math.sqrt(variance), 240)
    assert shown.low == pytest.approx(canary - control - half)
    assert shown.high == pytest.approx(canary - control + half)


def test_steps_are_not_pooled() -> None:
    """Equal arms at 1 % and at 2 % of events show no difference when the share has grown."""
    steps = [
        step(sessions=20_000, share=0.05, control=0.02, canary=0.02),
        step(sessions=20_000, share=0.5, control=0.06, canary=0.06, seed=2),
    ]
    shown = difference_of_rates(steps)
    assert shown.low is not None
    assert shown.high is not None
    assert shown.low < 0 < shown.high
    pooled = difference_of_rates([steps[0] + steps[1]])
    assert pooled.low is not None
    assert pooled.low > 0


@pytest.mark.parametrize(
    ("steps", "note"),
    [
        ([], "one arm has no turns"),
        ([no_units()], "one arm has no turns"),
        ([step(sessions=500, share=1e-9, control=0.5, canary=0.5)], "one arm has no turns"),
        ([step(sessions=400, share=0.5, control=0.02, canary=0.02)], "50 needed"),
    ],
)
def test_too_little_has_no_interval(steps: list[UnitCounts], note: str) -> None:
    """No arm, no difference; few events, no ends; and it says so."""
    shown = difference_of_rates(steps)
    assert shown.low is None
    assert shown.high is None
    assert note in (shown.note or "")


@settings(max_examples=50, deadline=None)
@given(
    canary=st.lists(st.integers(-5, 5).map(float) | st.just(math.nan), max_size=12),
    control=st.lists(st.integers(-5, 5).map(float), max_size=12),
)
def test_swapped_arms_turn_the_label_around(canary: list[float], control: list[float]) -> None:
    """What is High one way is Low the other way, with ties and gaps, and the shift between ends."""
    ahead = rank_difference(np.array(canary), np.array(control))
    back = rank_difference(np.array(control), np.array(canary))
    turned = {RankLabel.HIGH: RankLabel.LOW, RankLabel.LOW: RankLabel.HIGH}
    assert back.label is turned.get(ahead.label, ahead.label)
    if ahead.shift is not None and ahead.low is not None and ahead.high is not None:
        assert ahead.low <= ahead.shift + 1e-9
        assert ahead.shift <= ahead.high + 1e-9
