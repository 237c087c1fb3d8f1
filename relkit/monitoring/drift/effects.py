"""How large a drift is: the population stability index decides, other measures are labels.

Arrays have one row a window and one column a bin; shares of the reference are alike.
"""

from typing import Literal

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.monitoring.drift.types import EffectLabels

FLOOR = 1e-4
"""The smallest share in a PSI: an empty bin would make it infinite."""

MODERATE, MAJOR = 0.1, 0.25
"""Bands of the PSI that credit scoring uses (Siddiqi 2006)."""


def population_stability(share: FloatArray, reference: FloatArray) -> FloatArray:
    """Return the sum of (p - q) ln(p / q) over the bins, shares at least 1e-4; by window."""
    p, q = np.maximum(share, FLOOR), np.maximum(reference, FLOOR)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))


def psi_band(psi: float) -> Literal["none", "moderate", "major"]:
    """Return the band of a PSI: from 0.1 moderate, from 0.25 major."""
    return "major" if psi >= MAJOR else "moderate" if psi >= MODERATE else "none"


def effect_labels(
    turns: FloatArray, reference: FloatArray, edges: tuple[float, ...], spread: float | None
) -> EffectLabels:
    """Return the labels of one window from its turns by bin and the reference's shares.

    chi2 is Pearson's statistic against the reference, turns as if independent, bins that the
    reference lacks left out. js is Jensen-Shannon's divergence in bits (Lin 1991). With edges, the
    last bin being the missing values: ks is the largest difference of the cumulative shares at an
    edge, wasserstein the area between them from the first edge to the last (trapezoids), in
    standard deviations; both of the values that are there.
    """
    total = turns.sum()
    share = turns / max(total, 1.0)
    expected = reference * total
    filled = expected > 0
    chi2 = float(((turns[filled] - expected[filled]) ** 2 / expected[filled]).sum())
    middle = (share + reference) / 2.0
    js = (_relative_entropy(share, middle) + _relative_entropy(reference, middle)) / 2.0
    if not edges:
        return EffectLabels(chi2=chi2, js=js, ks=None, wasserstein=None)
    values, before = share[:-1], reference[:-1]
    if values.sum() == 0.0 or before.sum() == 0.0:
        return EffectLabels(chi2=chi2, js=js, ks=None, wasserstein=None)
    apart = np.abs(np.cumsum(values / values.sum()) - np.cumsum(before / before.sum()))[:-1]
    area = float((np.diff(edges) * (apart[1:] + apart[:-1]) / 2.0).sum())
    return EffectLabels(
        chi2=chi2, js=js, ks=float(apart.max()), wasserstein=area / spread if spread else None
    )


def _relative_entropy(p: FloatArray, q: FloatArray) -> float:
    """Return the sum of p log2(p / q) over the bins with p > 0."""
    filled = p > 0
    return float((p[filled] * np.log2(p[filled] / q[filled])).sum())
