"""Adjusted p-values for families of tests that are only looked at, not decided on."""

from collections.abc import Sequence

import numpy as np


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the false discovery rate, in the order given.

    Of m tests the i-th smallest becomes min over j >= i of m p_j / j (Benjamini and Hochberg 1995,
    JRSS B 57:289), at most 1. ValueError for a p that is not within [0, 1].
    """
    p, order = _ascending(p_values)
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    return _placed(np.minimum.accumulate(scaled[::-1])[::-1], order)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the family-wise error rate, in the order given.

    Of m tests the i-th smallest becomes max over j <= i of (m - j + 1) p_j (Holm 1979, Scand. J.
    Stat. 6:65), at most 1. ValueError for a p that is not within [0, 1].
    """
    p, order = _ascending(p_values)
    scaled = p[order] * (len(p) - np.arange(len(p)))
    return _placed(np.maximum.accumulate(scaled), order)


def _ascending(p_values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    p = np.asarray(p_values, dtype=np.float64)
    if not bool(np.all((p >= 0) & (p <= 1))):
        raise ValueError("a p-value is within [0, 1]")
    return p, np.argsort(p, kind="stable")


def _placed(adjusted: np.ndarray, order: np.ndarray) -> list[float]:
    result = np.empty(len(order))
    result[order] = np.minimum(adjusted, 1.0)
    return [float(one) for one in result]
