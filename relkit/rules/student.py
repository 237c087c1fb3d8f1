"""Quantiles of Student's t for real degrees of freedom, without scipy's start-up time."""

import math
from statistics import NormalDist

import numpy as np

from relkit.rules.cluster_sums import FloatArray

MISSED = 0.025
"""Chance that a value lies beyond one end of its two-sided 95 % interval (rules.md section 4)."""

TWO_SIDED_95 = 0.975
"""The quantile at the upper end of a two-sided 95 % interval."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_V = (_NODES + 1.0) / 2.0
_SHRINK = _V**4
_STRETCH = 2.0 * _WEIGHTS / _V  # dx = -4 x dv / v, and the interval is half as long as (-1, 1)
_LARGE = 200.0
_MEDIAN = 0.5


def t_quantile(probability: float, df: FloatArray) -> FloatArray:
    """Return t with P(T <= t) = ``probability`` for each of ``df`` (any shape, each >= 1).

    Solves P(T > t) = 1 - probability by Newton steps on the logarithm of the tail, from the normal
    quantile; the tail is the density (Abramowitz and Stegun 26.7.1) integrated by Gauss-Legendre
    quadrature. Agrees with scipy to 1e-9 relative from 0.6 to 0.99999, and as far below the
    median. ValueError for a probability outside (0, 1) or a df below 1.
    """
    degrees = np.asarray(df, dtype=np.float64)
    if not 0.0 < probability < 1.0 or not bool(np.all(degrees >= 1.0)):
        raise ValueError("t needs a probability within (0, 1) and degrees of freedom from 1")
    if probability == _MEDIAN:
        return np.zeros_like(degrees)
    if probability < _MEDIAN:
        return -t_quantile(1.0 - probability, degrees)
    distinct, back = np.unique(degrees, return_inverse=True)
    constant = _density_constant(distinct)
    t = np.full_like(distinct, NormalDist().inv_cdf(probability))
    wanted = 1.0 - probability
    for _ in range(60):
        tail = _upper_tail(t, distinct, constant)
        density = constant * (1.0 + t * t / distinct) ** (-(distinct + 1.0) / 2.0)
        step = tail * np.log(tail / wanted) / density
        t = t + step
        if bool(np.all(np.abs(step) <= 1e-13 * (1.0 + t))):
            break
    return t[back].reshape(degrees.shape)


def _density_constant(df: FloatArray) -> FloatArray:
    """Return Gamma((df + 1) / 2) / (sqrt(df pi) Gamma(df / 2)), the density at 0.

    Above 200 by the series of the ratio, where the difference of two log-gammas loses digits.
    """
    small = np.minimum(df, _LARGE)
    exact = np.array([math.lgamma((v + 1.0) / 2.0) - math.lgamma(v / 2.0) for v in small.tolist()])
    inverse = 1.0 / df
    series = np.polynomial.polynomial.polyval(inverse, [1.0, -1 / 4, 1 / 32, 5 / 128, -21 / 2048])
    ratio = np.where(df > _LARGE, series * np.sqrt(df / 2.0), np.exp(exact))
    return np.asarray(ratio / np.sqrt(math.pi * df), dtype=np.float64)


def _upper_tail(t: FloatArray, df: FloatArray, constant: FloatArray) -> FloatArray:
    """Return P(T > t) for t > 0: the density over [t, inf) with x = t / v^4, v in (0, 1]."""
    x = t[:, None] / _SHRINK
    log_density = -(df[:, None] + 1.0) / 2.0 * np.log1p(x * x / df[:, None])
    return np.asarray(constant * ((np.exp(log_density) * x) @ _STRETCH), dtype=np.float64)
