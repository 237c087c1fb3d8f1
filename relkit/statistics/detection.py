"""How large a regression has to be for the joint sign-flip test to find it.

Let N be the extra errors of the candidate in a slice of C clusters. What the test looks at is then

    T = N / sqrt(V'),  V' = v'/4 + 3/4 phi (E + N),  v' = N^2 h + (1 - h) variance(N)

with h the concentration of the extra errors on clusters (1 / C where all get the same): they add to
the slice's own variance and to its errors. Flips that reach T come from the rest of the family, and
from the slice itself: there N / sqrt(v') behaves as a sum of K = N^2 / v' equal signs, of which all
are positive with probability 2^-K. The regression is found where both shares together are at most
5 %. The N of the fifth-worst draw in 25 has to be, so that the power is 80 %: the null spread, the
variance of the extra errors themselves and few clusters (by Student's t) are in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import FloatArray
from relkit.statistics.distributions import t_quantile

OWN_SHARE = 0.25
"""How much of a denominator is the slice's own variance; the rest is the family's dispersion."""

ALPHA = 0.05

FEW_CLUSTERS = 8
"""Below these clusters a single one that does not show the effect can hide it from every flip."""

LARGEST_RATIO = 1e6
_FEWEST = 5
_POWER = 0.84  # more than the 80 % that is promised: how extra errors clump is not known
_MORE_POWER = 0.91  # for each of two things that have to come together, and mostly do
_MOST_DF = 200
_STEPS = 40
_GRID = np.linspace(-9.0, 9.0, 18_001)
_BELOW = np.array([NormalDist().cdf(x) for x in _GRID.tolist()])
Tail = Callable[[FloatArray], FloatArray]


def normal_tail(x: FloatArray) -> FloatArray:
    """Return P(Z > x), to 1e-7: interpolated, since numpy has no normal distribution."""
    return np.asarray(np.interp(-x, _GRID, _BELOW), dtype=np.float64)


def no_tail(t: FloatArray) -> FloatArray:
    """Return that no other slice reaches T: what they do makes no difference."""
    return np.zeros_like(t)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """What detection depends on, per slice (S,).

    ``variance`` is the null variance of the difference in errors, ``errors`` those of both systems,
    ``expected`` the errors at the reference rate, ``concentration`` the sum of squared shares of
    the clusters in extra errors. ``dispersion`` is the family's variance per error (phi),
    ``clumping`` the variance of extra errors over Poisson's.
    """

    variance: FloatArray
    errors: FloatArray
    expected: FloatArray
    clusters: FloatArray
    concentration: FloatArray
    dispersion: float
    clumping: float

    def grown(self, factor: FloatArray) -> "Slices":
        """Return the same with ``factor`` (S,) times as many clusters like these."""
        return replace(
            self,
            variance=self.variance * factor,
            errors=self.errors * factor,
            expected=self.expected * factor,
            clusters=self.clusters * factor,
            concentration=self.concentration / factor,
        )


def found(slices: Slices, ratio: FloatArray, tail: Tail, alpha: float = ALPHA) -> NDArray[np.bool_]:
    """Return whether ``ratio`` (S,) of the reference rate is found with 80 % power.

    ``tail`` maps T (S,) to the share of flips in which another slice of the family reaches it.
    """
    mean = (ratio - 1.0) * slices.expected
    variance = slices.variance + slices.clumping * mean
    sd = np.sqrt(variance)
    few = slices.clusters < FEW_CLUSTERS
    df = np.maximum(slices.clusters - 1.0, 1.0)
    z = np.where(few, _quantile(_MORE_POWER, df), _quantile(_POWER, df))
    extra = np.maximum(mean - z * sd, 0.0)
    own_variance = extra**2 * slices.concentration + (1.0 - slices.concentration) * variance
    denominator = OWN_SHARE * own_variance + (1.0 - OWN_SHARE) * slices.dispersion * (
        slices.errors + extra
    )
    equal = _divide(extra**2, own_variance)
    itself = np.maximum(normal_tail(np.sqrt(equal)), 2.0 ** -np.minimum(equal, 1000.0))
    itself = np.where(few, 2.0**-_FEWEST, itself)
    others_reach = tail(_divide(extra, np.sqrt(denominator)))
    enough = (slices.clusters >= _FEWEST) & (extra > 0) & (itself + others_reach <= alpha)
    shown = _all_show(slices, mean, variance) >= _MORE_POWER
    return np.asarray(enough & (~few | shown), dtype=np.bool_)


def smallest_ratio(slices: Slices, tail: Tail, alpha: float = ALPHA) -> FloatArray:
    """Return the smallest ratio that is :func:`found`, per slice (S,); infinite where none is."""
    low = np.zeros(len(slices.expected))
    high = np.full(len(slices.expected), np.log(LARGEST_RATIO))
    never = ~found(slices, np.exp(high), tail, alpha)
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        enough = found(slices, np.exp(middle), tail, alpha)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(never | (slices.expected <= 0), np.inf, np.exp(high))


def clusters_for(
    slices: Slices, ratio: float, tail: Tail, *, most: float, alpha: float = ALPHA
) -> FloatArray:
    """Return how many clusters like these find ``ratio``, per slice (S,); infinite over ``most``.

    At least 5. The tail is taken to stay as it is when there are more clusters.
    """
    ratios = np.full(len(slices.expected), ratio)
    count = np.maximum(slices.clusters, 1.0)
    low, high = np.full(len(count), np.log(_FEWEST - 1.0)), np.full(len(count), np.log(most))
    never = ~found(slices.grown(most / count), ratios, tail, alpha)
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        clusters = np.ceil(np.exp(middle) - 1e-9)
        enough = found(slices.grown(clusters / count), ratios, tail, alpha)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(never | (slices.expected <= 0), np.inf, np.ceil(np.exp(high) - 1e-9))


def _all_show(slices: Slices, mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Return the probability that at most C - 5 clusters do not show the effect at all.

    With 5 clusters 1 of 32 flips is all that fits into 5 %, so that each must be worse.
    """
    count = np.clip(np.round(slices.clusters), _FEWEST, FEW_CLUSTERS)
    each = (mean / count - 0.5) / np.sqrt(np.maximum(variance / count, 1e-12))
    hidden = normal_tail(each)
    probability = np.zeros(len(mean))
    ways = np.ones(len(mean))
    for k in range(FEW_CLUSTERS - _FEWEST):
        term = ways * hidden**k * (1.0 - hidden) ** (count - k)
        probability += np.where(count - _FEWEST >= k, term, 0.0)
        ways = ways * (count - k) / (k + 1.0)
    return probability


def _quantile(probability: float, df: FloatArray) -> FloatArray:
    """Return Student's t for whole degrees of freedom, that of 200 beyond them."""
    return _quantiles(probability)[np.clip(np.round(df), 1.0, _MOST_DF).astype(np.int64) - 1]


@cache
def _quantiles(probability: float) -> FloatArray:
    """Return the quantile for 1 to 200 degrees of freedom: they are asked for at every step."""
    return t_quantile(probability, np.arange(1.0, _MOST_DF + 1.0))


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
