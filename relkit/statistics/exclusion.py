"""Which ratio of rates the data of a slice exclude: what a family of slices passes by.

A and B are the errors of candidate and baseline in a slice, a and b those in one of its clusters,
w the share of the slice's units that the cluster has. With rho = A / B its residual is

    r = a - rho b          r^2 / (1 - w) ~ phi m + tau^2 s^2          m = (1 + rho) A w, s = A w

m is the Poisson size, the variance if every error came by itself; phi is what clumps and errors of
both systems make of it, tau^2 how much the ratio varies between clusters. Both are estimated over
all rows of the family. At a ratio R, of which the A + B errors are the most likely M = (A + B) w /
(1 + R) of the baseline, and the candidate's additional ones come with max(1, phi) of Poisson's
variance,

    P = sum R (2 phi + max(1, phi) (R - 1)) M + tau^2 (R M)^2
    V = P (1/4 sum r^2 / (1 - w) / sum (phi m + tau^2 s^2) + 3/4)

since a slice of ten speakers knows its own variance badly and the family knows it well. R is
excluded where A - R B, with half an error of the candidate for counts that jump, lies below 0 with
its one-sided 95 % end: each slice by itself, for all of them have to pass. What shared prompts
add to the variance of A - B they add (2 R / (1 + R))^2 times to V.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import FloatArray, IntArray
from relkit.statistics.distributions import t_quantile
from relkit.statistics.intervals import MIN_CLUSTERS, MIN_DF, group_sum

OWN_SHARE = 0.25
"""How much of a variance is the slice's own; the rest is what the family says."""

ONE_SIDED_95 = 0.95
LARGEST_RATIO = 1e6

LEAST_LEFT = 0.1
"""A residual is never taken to be more than so much smaller than the deviation behind it."""

_ALIKE = 1e-9  # rows whose sizes differ by less do not tell phi from tau^2
_MOST_DF = 200.0
_STEPS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRows:
    """Errors by slice and cluster (R,), and the share of the slice's units that each has.

    ``slice`` numbers the ``slices`` from 0, ``cluster`` the clusters of all of them. ``counts``
    (S,) is there where rows are sorted by slice and each slice has some: how many each has.
    """

    slices: int
    slice: IntArray
    cluster: IntArray
    share: FloatArray
    candidate: FloatArray
    baseline: FloatArray
    counts: IntArray | None = None

    def sum(self, values: FloatArray) -> FloatArray:
        """Return the sum of values (R,) by slice (S,)."""
        if self.counts is None:
            return group_sum(values, self.slice, self.slices)
        return np.asarray(np.add.reduceat(values, np.cumsum(self.counts) - self.counts))

    def by_row(self, values: FloatArray) -> FloatArray:
        """Return the value of each row's slice (R,), of values by slice (S,)."""
        return values[self.slice] if self.counts is None else np.repeat(values, self.counts)

    def apart(self, difference: FloatArray) -> "ErrorRows":
        """Return the same errors of both with another ``difference`` (R,) between the systems.

        Neither system has fewer than none.
        """
        both = self.candidate + self.baseline
        return replace(
            self,
            candidate=np.maximum((both + difference) / 2.0, 0.0),
            baseline=np.maximum((both - difference) / 2.0, 0.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispersion:
    """How much residuals vary: ``phi`` of their Poisson size, and ``between`` (tau^2)."""

    phi: float
    between: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """What the ratio of rates rests on, per slice (S,).

    ``candidate`` and ``baseline`` are errors, ``clusters`` counts those with units, ``squares`` is
    the sum of their squared shares. ``factor`` is V / P without prompts, ``df`` the degrees of
    freedom of V, ``prompts`` what shared prompts add to the variance of A - B.
    """

    candidate: FloatArray
    baseline: FloatArray
    clusters: FloatArray
    squares: FloatArray
    factor: FloatArray
    df: FloatArray
    prompts: FloatArray
    dispersion: Dispersion

    def variance(self, ratio: FloatArray) -> FloatArray:
        """Return V of A - R B (S,), were R = ``ratio`` (S,) the true one."""
        phi, errors = self.dispersion.phi, (self.candidate + self.baseline) / (1.0 + ratio)
        poisson = ratio * (2.0 * phi + max(1.0, phi) * (ratio - 1.0)) * errors
        between = self.dispersion.between * (ratio * errors) ** 2 * self.squares
        prompts = self.prompts * (2.0 * ratio / (1.0 + ratio)) ** 2
        return np.asarray(self.factor * (poisson + between) + prompts, dtype=np.float64)

    def excluded(self, ratio: FloatArray, power: float = 0.5) -> NDArray[np.bool_]:
        """Return whether ``ratio`` (S,) is excluded, or with a higher ``power`` would be so often.

        That is, in fresh data of which these counts are the expectation.
        """
        below = ratio * self.baseline - self.candidate - (1.0 + ratio) / 2.0
        reach = critical(self.df) + NormalDist().inv_cdf(power)
        return np.asarray(below >= reach * np.sqrt(self.variance(ratio)), dtype=np.bool_)

    def grown(self, factor: FloatArray) -> "Ratios":
        """Return the same with ``factor`` (S,) times as many clusters, of the same prompts."""
        clusters = self.clusters * factor
        return replace(
            self,
            candidate=self.candidate * factor,
            baseline=self.baseline * factor,
            clusters=clusters,
            squares=self.squares / factor,
            prompts=self.prompts * factor**2,
            df=np.clip(self.df * factor, MIN_DF, np.maximum(clusters - 1.0, MIN_DF)),
        )


def critical(df: FloatArray) -> FloatArray:
    """Return how many standard errors a one-sided 95 % end reaches; df rounded down to tenths."""
    values, place = np.unique(np.floor(10.0 * np.minimum(df, _MOST_DF) + 1e-6), return_inverse=True)
    return np.asarray(t_quantile(ONE_SIDED_95, values / 10.0)[place], dtype=np.float64)


def ratios_of(rows: ErrorRows, prompts: FloatArray | None = None) -> Ratios:
    """Return what the ratios of a family's slices rest on, with ``prompts`` (S,) as in Ratios."""
    candidate, baseline = rows.sum(rows.candidate), rows.sum(rows.baseline)
    clusters = np.bincount(rows.slice, minlength=rows.slices).astype(np.float64)
    ratio = np.divide(candidate, baseline, out=np.ones(rows.slices), where=baseline > 0)
    residual = rows.candidate - rows.by_row(ratio) * rows.baseline
    own = residual**2 / np.maximum(1.0 - rows.share, LEAST_LEFT)
    errors = rows.by_row(candidate) * rows.share
    size = rows.by_row(1.0 + ratio) * errors
    dispersion = fitted(own, size, errors)
    model = dispersion.phi * size + dispersion.between * errors**2
    relative = _divided(rows.sum(own), rows.sum(model), 1.0)
    factor = OWN_SHARE * relative + 1.0 - OWN_SHARE
    of_slice = effective_df(rows.sum(own), rows.sum(own**2), clusters)
    alike = np.bincount(rows.cluster, weights=_divided(own * weights(size), model, 0.0))
    together = np.array([alike.sum(), (alike**2).sum(), np.count_nonzero(alike)])
    of_family = effective_df(together[:1], together[1:2], together[2:])
    share = OWN_SHARE * relative / factor
    return Ratios(
        candidate=candidate,
        baseline=baseline,
        clusters=clusters,
        squares=rows.sum(rows.share**2),
        factor=factor,
        df=(share / np.sqrt(of_slice) + (1.0 - share) / np.sqrt(of_family)) ** -2.0,
        prompts=np.zeros(rows.slices) if prompts is None else prompts,
        dispersion=dispersion,
    )


def fitted(own: FloatArray, size: FloatArray, errors: FloatArray) -> Dispersion:
    """Return phi and tau^2 by weighted least squares of own / size on 1 and errors^2 / size (R,).

    Neither is negative. A row counts by m / (1 + m): one that expects far less than an error of
    either system hardly says anything.
    """
    weight = weights(size)
    y, x = _divided(own, size, 0.0), _divided(errors**2, size, 0.0)
    w, wx, wy = (float((weight * value).sum()) for value in (np.ones_like(x), x, y))
    wxx, wxy = float((weight * x * x).sum()), float((weight * x * y).sum())
    if w <= 0.0:
        return Dispersion(phi=1.0, between=0.0)
    varies = w * wxx - wx * wx
    between = (w * wxy - wx * wy) / varies if varies > w * wxx * _ALIKE else 0.0
    if between <= 0.0:
        return Dispersion(phi=wy / w, between=0.0)
    phi = (wy - between * wx) / w
    return (
        Dispersion(phi=phi, between=between) if phi >= 0 else Dispersion(phi=0.0, between=wxy / wxx)
    )


def weights(size: FloatArray) -> FloatArray:
    """Return how much rows of this Poisson size say of a dispersion."""
    return np.asarray(size / (1.0 + size), dtype=np.float64)


def effective_df(second: FloatArray, fourth: FloatArray, clusters: FloatArray) -> FloatArray:
    """Return (sum q^2)^2 / sum q^4, within 1.5 and C - 1."""
    df = _divided(second**2, fourth, MIN_DF)
    return np.asarray(np.clip(df, MIN_DF, np.maximum(clusters - 1.0, MIN_DF)), dtype=np.float64)


def smallest_excluded(ratios: Ratios, power: float = 0.5) -> FloatArray:
    """Return the smallest ratio above 1 that is excluded, by slice (S,); infinite where none is."""
    low = np.zeros(len(ratios.candidate))
    high = np.full(len(low), np.log(LARGEST_RATIO))
    never = ~ratios.excluded(np.exp(high), power)
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        enough = ratios.excluded(np.exp(middle), power)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(never, np.inf, np.exp(high))


def clusters_to_exclude(ratios: Ratios, ratio: float, *, power: float, most: float) -> FloatArray:
    """Return how many clusters like these exclude ``ratio`` with ``power``, by slice (S,).

    That is, if things are as they look; a candidate that looks better may still be only as good. At
    least 5, infinite beyond ``most``.
    """
    wanted = np.full(len(ratios.candidate), ratio)
    equal = (ratios.candidate + ratios.baseline) / 2.0
    better = ratios.candidate < ratios.baseline
    expected = replace(
        ratios,
        candidate=np.where(better, equal, ratios.candidate),
        baseline=np.where(better, equal, ratios.baseline),
    )
    count = np.maximum(ratios.clusters, 1.0)
    low, high = np.full(len(count), np.log(MIN_CLUSTERS - 1.0)), np.full(len(count), np.log(most))
    never = ~expected.grown(most / count).excluded(wanted, power)
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        clusters = np.ceil(np.exp(middle) - 1e-9)
        enough = expected.grown(clusters / count).excluded(wanted, power)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(never, np.inf, np.ceil(np.exp(high) - 1e-9))


def _divided(numerator: FloatArray, denominator: FloatArray, otherwise: float) -> FloatArray:
    if np.min(denominator, initial=np.inf) > 0:
        return np.asarray(numerator / denominator, dtype=np.float64)
    quotient = np.full(np.shape(denominator), otherwise)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
