"""Equal error rate and detection cost, held against slow definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.arrays import FloatArray
from relkit.statistics.detection import error_curve, trial_sums
from relkit.statistics.types import BoolArray, DetectionCost

COST = DetectionCost()


def rates(scores: FloatArray, spoofed: BoolArray, threshold: float) -> tuple[float, float]:
    """Miss and false-acceptance rate at a threshold, counted one by one."""
    missed = [score < threshold for score, spoof in zip(scores, spoofed, strict=True) if not spoof]
    taken = [score >= threshold for score, spoof in zip(scores, spoofed, strict=True) if spoof]
    return sum(missed) / len(missed), sum(taken) / len(taken)


def slow_eer(scores: FloatArray, spoofed: BoolArray) -> float:
    """The highest of the least errors over all priors: the EER of the convex hull (BOSARIS)."""
    points = [rates(scores, spoofed, t) for t in (*np.unique(scores), np.inf)]
    crossings = {0.0, 1.0}
    for a in points:
        for b in points:
            turn = (a[0] - b[0]) - (a[1] - b[1])
            if turn:
                crossings.add(min(1.0, max(0.0, (b[1] - a[1]) / turn)))
    return max(min(p * miss + (1 - p) * take for miss, take in points) for p in crossings)


def slow_cost(scores: FloatArray, spoofed: BoolArray, cost: DetectionCost) -> float:
    """The least normalised cost of any threshold."""
    prior = cost.spoof_prior
    points = [rates(scores, spoofed, t) for t in (*np.unique(scores), np.inf)]
    costs = [
        cost.miss * (1 - prior) * miss + cost.false_acceptance * prior * take
        for miss, take in points
    ]
    return min(costs) / min(cost.miss * (1 - prior), cost.false_acceptance * prior)


Trials = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=24).filter(
    lambda trials: len({spoof for _, spoof in trials}) == 2
)


@given(Trials)
def test_both_metrics_are_those_of_their_definitions(trials: list[tuple[int, bool]]) -> None:
    """Ties included, both are what counting at every threshold gives, as sums over trials."""
    scores = np.array([float(score) for score, _ in trials])
    spoofed = np.array([spoof for _, spoof in trials])
    sums = trial_sums(scores, spoofed, COST)
    assert sums.eer == pytest.approx(slow_eer(scores, spoofed), abs=1e-12)
    assert sums.min_dcf == pytest.approx(slow_cost(scores, spoofed, COST), abs=1e-12)
    assert sums.eer_errors.sum() / sums.eer_weight.sum() == pytest.approx(sums.eer, abs=1e-12)
    assert sums.dcf_cost.sum() / sums.dcf_weight.sum() == pytest.approx(sums.min_dcf, abs=1e-12)
    assert sums.eer_weight.sum() == pytest.approx(len(trials))
    assert sums.dcf_weight.sum() == pytest.approx(len(trials))


@given(Trials, st.floats(0.1, 10), st.floats(-5, 5))
def test_only_the_order_of_scores_counts(
    trials: list[tuple[int, bool]], scale: float, shift: float
) -> None:
    """Scores on another scale give the same errors."""
    scores = np.array([float(score) for score, _ in trials])
    spoofed = np.array([spoof for _, spoof in trials])
    moved = trial_sums(scale * scores + shift, spoofed, COST)
    assert moved.eer == pytest.approx(trial_sums(scores, spoofed, COST).eer)


def test_cost_of_asvspoof_5_is_that_of_its_package() -> None:
    """Weights 1.9 and 1: prior 0.05, a miss 1, a false acceptance 10, over min(0.95, 0.5)."""
    assert COST.weights == pytest.approx((1.9, 1.0))
    scores = np.array([0.1, 0.2, 0.3, 0.9, 0.15, 0.05, 0.0, -1.0])
    spoofed = np.array([False] * 4 + [True] * 4)
    # Accepting from 0.2 on misses one of four people and accepts no spoof; from 0.1 on none, one.
    assert trial_sums(scores, spoofed, COST).min_dcf == pytest.approx(0.25)


def test_separable_scores_have_no_error_and_ties_cannot_be_told_apart() -> None:
    """A detector that always says the same is wrong half of the time."""
    spoofed = np.array([False, False, True, True])
    assert trial_sums(np.array([2.0, 3.0, 0.0, 1.0]), spoofed, COST).eer == 0.0
    assert trial_sums(np.ones(4), spoofed, COST).eer == pytest.approx(0.5)
    assert trial_sums(np.ones(4), spoofed, COST).min_dcf == pytest.approx(1.0)


def test_scarce_trials_are_those_of_the_rarer_class() -> None:
    """Of two bona fide trials among five, two say how much can go unseen."""
    spoofed = np.array([False, False, True, True, True])
    assert trial_sums(np.arange(5.0), spoofed, COST).scarce.tolist() == [True] * 2 + [False] * 3


def test_one_class_has_no_curve() -> None:
    """Without spoofs nothing can be accepted wrongly."""
    with pytest.raises(ValueError, match="bona fide and spoofed"):
        error_curve(np.arange(3.0), np.zeros(3, dtype=np.bool_))
