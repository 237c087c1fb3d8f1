"""Effect sizes, held against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.monitoring.drift.effects import effect_labels, population_stability, psi_band

SHARES = st.lists(st.integers(1, 50), min_size=3, max_size=6).map(
    lambda counts: np.array(counts, dtype=np.float64)
)


def test_population_stability_worked_out_by_hand() -> None:
    """The sum of (p - q) ln(p / q); an empty bin counts as 1e-4."""
    psi = population_stability(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0.25, 0.75]))
    first = 0.25 * math.log(2) - 0.25 * math.log(0.5 / 0.75)
    second = 0.75 * math.log(4) + (1e-4 - 0.75) * math.log(1e-4 / 0.75)
    assert psi == pytest.approx([first, second])
    assert [psi_band(value) for value in (0.09, 0.1, 0.249, 0.25)] == [
        "none",
        "moderate",
        "moderate",
        "major",
    ]


@given(SHARES)
def test_nothing_changed_is_no_effect(
    counts: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> None:
    """Every measure of the reference against itself is 0, and no measure is ever negative."""
    shares = counts / counts.sum()
    edges = tuple(float(i) for i in range(len(counts) - 2))
    same = effect_labels(counts, shares, edges, 1.0)
    assert [same.chi2, same.js, same.ks or 0.0] == pytest.approx([0, 0, 0], abs=1e-12)
    other = effect_labels(counts[::-1].copy(), shares, edges, 1.0)
    assert min(other.chi2, other.js, other.ks or 0.0, other.wasserstein or 0.0) >= -1e-12
    assert other.js <= 1.0
    assert population_stability(shares[::-1], shares) >= 0


def test_labels_worked_out_by_hand() -> None:
    """Two edges, no missing value: cumulative shares 0.5, 0.75 against 0.25, 0.5."""
    turns, reference = np.array([50.0, 25.0, 25.0, 0.0]), np.array([0.25, 0.25, 0.5, 0.0])
    labels = effect_labels(turns, reference, (10.0, 14.0), 2.0)
    assert labels.chi2 == pytest.approx(25**2 / 25 + 0 + 25**2 / 50)
    assert labels.ks == pytest.approx(0.25)
    assert labels.wasserstein == pytest.approx(0.25 * 4 / 2)
    assert effect_labels(turns, reference, (), None).ks is None
