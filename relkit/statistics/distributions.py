"""Student's t for real degrees of freedom, its noncentral tails, and exact ends of shares.

Without scipy's start-up time. The ends are those of a share of which few events were seen; what
could go unseen is there, too.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from relkit.core.arrays import FloatArray, IntArray

MISSED = 0.025
"""Chance that a value lies beyond one end of its two-sided 95 % interval.

See docs/method.md, section "Intervals".
"""

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
    upper = 1.0 - probability
    for _ in range(60):
        tail = _upper_tail(t, distinct, constant)
        density = constant * (1.0 + t * t / distinct) ** (-(distinct + 1.0) / 2.0)
        step = tail * np.log(tail / upper) / density
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


def t_beyond(t: FloatArray, df: FloatArray) -> FloatArray:
    """Return the two-sided P(|T| > |t|) elementwise, for degrees of freedom from 1.

    Near 0 one less the density over [0, t], else twice the tail as in :func:`t_quantile`, so that
    small probabilities keep their digits. Agrees with scipy to 1e-9 relative down to 1e-12.
    """
    size, degrees = np.broadcast_arrays(np.abs(np.asarray(t, np.float64)), np.asarray(df))
    flat, flat_df = size.ravel(), degrees.ravel().astype(np.float64)
    beyond = np.empty_like(flat)
    for start in range(0, len(flat), _BLOCK):
        part = slice(start, start + _BLOCK)
        at, freedom = flat[part], flat_df[part]
        distinct, back = np.unique(freedom, return_inverse=True)
        constant = _density_constant(distinct)[back]
        near = at[:, None] * _V
        inside = np.exp(-(freedom[:, None] + 1.0) / 2.0 * np.log1p(near**2 / freedom[:, None]))
        below = constant * at * (inside @ _WEIGHTS)  # twice half of it, as the rule has length 2
        tail = 2.0 * _upper_tail(np.maximum(at, 1.0), freedom, constant)
        beyond[part] = np.where(at < 1.0, 1.0 - below, tail)
    return np.clip(beyond, 0.0, 1.0).reshape(size.shape)


_BLOCK = 8192
"""Values whose quadrature is done at once: 4 MiB an array."""

UNSEEN = 3.7
"""A rate below this over the utterances can go unseen (docs/method.md, section "Intervals")."""

_STEPS = 60  # of bisection: 1e-18 of the unit interval


def unseen(utterances: float) -> float:
    """Return the upper end of a rate of which nothing was seen in so many utterances."""
    return UNSEEN / max(1.0, utterances)


def unseen_share(trials: int) -> float:
    """Return the share that shows nothing in n trials with 2.5 % chance: 1 - 0.025^(1/n).

    Clopper and Pearson (1934); at least one trial.
    """
    return 1.0 - math.pow(MISSED, 1.0 / trials)


def exact_ends(events: int, trials: int) -> tuple[float, float]:
    """Return the two-sided 95 % interval of a share by Clopper and Pearson (1934).

    0 and 1 stand where an end does not exist (no events, nothing but events). ValueError where
    events are not within 0 and trials, or there is no trial.
    """
    if trials < 1 or not 0 <= events <= trials:
        raise ValueError(f"{events} of {trials}")
    # P(X >= events) rises with p, and P(X <= events) falls.
    low = 0.0 if events == 0 else _solve(lambda p: 1.0 - at_most(events - 1, trials, p) < MISSED)
    high = 1.0 if events == trials else _solve(lambda p: at_most(events, trials, p) > MISSED)
    return low, high


def at_most(events: int, trials: int, share: float) -> float:
    """Return P(X <= events) for X binomial with ``trials`` and ``share`` within (0, 1)."""
    counts = np.arange(events + 1)
    chosen = np.array(
        [
            math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
            for k in counts.tolist()
        ]
    )
    logs = chosen + counts * math.log(share) + (trials - counts) * math.log1p(-share)
    return float(np.exp(logs).sum())


def at_least(events: IntArray, trials: IntArray, share: FloatArray) -> FloatArray:
    """Return P(X >= events) elementwise, X binomial with ``trials`` and ``share`` within [0, 1).

    Summed from the side that is the smaller one, term by term from the largest, so that small
    probabilities keep their digits.
    """
    k, n, p = (
        np.asarray(array, np.float64).ravel()
        for array in np.broadcast_arrays(events, trials, share)
    )
    result = np.ones(len(k))
    result[(k > n) | ((p <= 0.0) & (k > 0.0))] = 0.0
    open_ = np.flatnonzero((k > 0.0) & (k <= n) & (p > 0.0))
    k, n, p = k[open_], n[open_], p[open_]
    upper = k > n * p
    start = np.where(upper, k, k - 1.0)  # the largest term of the side that is summed
    logs = [
        math.lgamma(size + 1.0) - math.lgamma(at + 1.0) - math.lgamma(size - at + 1.0)
        for size, at in zip(n.tolist(), start.tolist(), strict=True)
    ]
    term = np.exp(np.array(logs) + start * np.log(p) + (n - start) * np.log1p(-p))
    # Of the side that is not summed the ratio could pass what a float holds.
    total, odds = term.copy(), np.where(upper, p / (1.0 - p), (1.0 - p) / np.where(upper, 1.0, p))
    steps = int(max(np.where(upper, n - k, start).max(initial=0.0), 0.0))
    for step in range(steps):
        up, down = start + step, start - step
        factor = np.where(upper, (n - up) / (up + 1.0), down / (n - down + 1.0))
        term = term * np.maximum(factor * odds, 0.0)
        total += term
        if bool(np.all(term <= total * 1e-17)):
            break
    result[open_] = np.where(upper, total, 1.0 - total)
    return np.clip(result, 0.0, 1.0).reshape(
        np.broadcast_shapes(np.shape(events), np.shape(trials), np.shape(share))
    )


def _solve(below: Callable[[float], bool]) -> float:
    """Return where a condition that holds for small shares stops holding."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2.0


_T_POWER_NODES, _T_POWER_WEIGHTS = np.polynomial.legendre.leggauss(96)
_REACH = 12.0  # standard deviations on either side of the spread's mean

erf = np.vectorize(math.erf, otypes=[float])
"""The error function, elementwise."""


def t_power(noncentrality: float, df: float, critical: float) -> float:
    """Return P(T > critical) for T noncentral t with ``df`` degrees of freedom (each > 0).

    T = (Z + noncentrality) / s with s^2 a chi-square over its df, so the probability is the mean of
    Phi(noncentrality - critical s) over s (Johnson, Kotz and Balakrishnan 1995, ch. 31), by
    Gauss-Legendre quadrature. Agrees with scipy to 1e-6.
    """
    if df > 1e7:  # noqa: PLR2004 - s is 1 to four digits, and its density has no room for the nodes
        return NormalDist().cdf(noncentrality - critical)
    reach = _REACH / math.sqrt(2.0 * df)
    low, high = max(0.0, 1.0 - reach), 1.0 + reach
    s = low + (high - low) * (_T_POWER_NODES + 1.0) / 2.0
    log_constant = math.log(2.0) + df / 2.0 * math.log(df / 2.0) - math.lgamma(df / 2.0)
    density = np.exp(log_constant + (df - 1.0) * np.log(s) - df * s * s / 2.0)
    above = 0.5 * (1.0 + erf((noncentrality - critical * s) / math.sqrt(2.0)))
    weights = density * _T_POWER_WEIGHTS * (high - low) / 2.0
    return float(min(1.0, max(0.0, weights @ above / weights.sum())))
