"""By how much a cost grew: the interval holds what it says, and a few sessions do not decide."""

import numpy as np
import pytest

from relkit.monitoring.cost.judging import Growth, growths, judge_growth
from relkit.monitoring.cost.types import Denominator
from relkit.statistics.types import ClusterSums

RANDOM = np.random.default_rng


def arm(
    rng: np.random.Generator, sessions: int, *, factor: float = 1.0, whale: float = 1.0
) -> ClusterSums:
    """Return sessions of a few calls whose costs differ by far, of which four in five succeed."""
    calls = rng.geometric(0.2, sessions).astype(np.float64)
    cost = factor * calls * np.exp(rng.normal(0.0, 0.8, sessions))
    cost[0] *= whale
    return ClusterSums(
        slices=("overall",),
        slice_index=np.zeros(sessions, dtype=np.int64),
        cluster_index=np.arange(sessions, dtype=np.int64),
        columns={
            "cost": cost,
            "call": calls,
            "audio_minute": calls / 10,
            "success": (rng.random(sessions) < 0.8).astype(np.float64),
        },
    )


def growth(baseline: ClusterSums, candidate: ClusterSums, unit: Denominator = "success") -> Growth:
    """Return the growth over all sessions."""
    return growths(baseline, candidate, unit)["overall"]


@pytest.mark.parametrize("unit", ["success", "call", "audio_minute"])
@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_the_interval_holds_the_truth(unit: Denominator, factor: float) -> None:
    """In nineteen comparisons of twenty, whatever cost is divided by."""
    rng = RANDOM(11)
    covered = 0
    for _ in range(300):
        measured = growth(arm(rng, 60), arm(rng, 60, factor=factor), unit)
        assert measured.low is not None
        assert measured.high is not None
        covered += measured.low <= factor - 1 <= measured.high
    assert 0.93 <= covered / 300 <= 0.99


def test_a_whale_never_decides() -> None:
    """Whatever one session costs, in either arm, nothing passes and nothing fails by it."""
    rng = RANDOM(12)
    for whale in (300.0, 3000.0, 1e6):
        equal, whaled = arm(rng, 200), arm(rng, 200, whale=whale)
        for arms in ((equal, whaled), (whaled, equal)):
            assert judge_growth(growth(*arms), 0.1, "success")[0] == "inconclusive"


def test_swapped_arms_have_swapped_ends() -> None:
    """A growth by a half is a fall by a third, ends included."""
    rng = RANDOM(13)
    baseline, candidate = arm(rng, 80), arm(rng, 80, factor=2.0)
    there, back = growth(baseline, candidate), growth(candidate, baseline)
    pairs = ((there.value, back.value), (there.low, back.high), (there.high, back.low))
    for one_way, other_way in pairs:
        assert one_way is not None
        assert other_way is not None
        assert (1 + one_way) * (1 + other_way) == pytest.approx(1)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.1, 0.1, "pass"),
        (-0.1, 0.1 + 1e-15, "pass"),
        (-0.1, 0.1001, "inconclusive"),
        (0.1, 0.2, "inconclusive"),
        (0.1001, 0.2, "fail"),
        (None, None, "inconclusive"),
    ],
)
def test_the_margin_is_allowed(low: float | None, high: float | None, verdict: str) -> None:
    """Boundaries are inclusive, compared in decimal; without an interval nothing is decided."""
    measured = Growth(
        cost=(1.0, 1.1), totals=(1.0, 1.1), sessions=(9, 9), value=0.05, low=low, high=high
    )
    assert judge_growth(measured, 0.1, "success")[0] == verdict
