"""A limit on a rate, decided by a test of the limit: which limits the clusters of a run exclude.

An interval around a small rate is as wide as the clusters differ, and where one of them gets much
better they differ more: a better system could be undecided where a worse one passed. So a limit is
tested itself, by scores e - m n of the clusters with the variance at the limit m, and of the
variance only that part is taken from the data which cannot grow when a cluster improves. Both ends
are therefore monotone: fewer errors in some clusters and more in none never raise an end
(docs/method.md, section "Tests of a rule"). False passes are simulated in
``benchmarks/decision_quality``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.statistics.crossed import shared_cells
from relkit.statistics.distributions import TWO_SIDED_95, t_quantile, unseen
from relkit.statistics.intervals import MIN_CLUSTERS, RateEvidence, group_sum
from relkit.statistics.rates import RateMetric

SCORE = "score"
"""The method of ends that come from a test of the limit."""

LEVELS = (0.0, 0.25, 0.5, 0.75)
"""Shares of the limit that a cluster below them counts as; each gives a test, the best decides."""

HIGHEST = 2.5
"""Times the limit that a cluster above it counts as, where the rate is to lie above the limit."""

WIDENED = 1.5
"""What the squared scores are multiplied with: those of skewed clusters are seen too rarely."""

SPREAD = 1.0 / 3.0
"""The least standard deviation between clusters at the limit, as a share of it."""

CLUMPED = 1.5
"""Variance of an utterance's errors over a binomial's, where it can have several."""

_ROUNDS, _PARTS = 14, 16  # of the search: 1e-17 of the unit interval
_GRID = 8  # limits per doubling at which the lower end is looked for
_SMALLEST, _LARGEST = -20, 10  # powers of 2 between which it is
FEWEST_EFFECTIVE = 2.0
"""Of fewer clusters of equal size nothing is excluded, and prompts do not count."""

Ends = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Errors and units of the clusters (C,) of one way to cluster: speakers, or prompts."""

    errors: FloatArray
    units: FloatArray

    @property
    def effective(self) -> float:
        """C' = (sum n)^2 / sum n^2: how many clusters of equal size there would be."""
        squares = float((self.units**2).sum())
        return float(self.units.sum()) ** 2 / squares if squares > 0 else 0.0

    def over(self, limits: FloatArray) -> FloatArray:
        """Return (e - m n)+ at each of ``limits`` m (M, C)."""
        return np.maximum(self.errors - limits[:, None] * self.units, 0.0)

    def under(self, limits: FloatArray) -> FloatArray:
        """Return (m n - e)+ at each of ``limits`` m (M, C)."""
        return np.maximum(limits[:, None] * self.units - self.errors, 0.0)

    def variance(self, scores: FloatArray) -> FloatArray:
        """Return 1.5 C'/(C' - 1) times the squared ``scores`` (M, C) of each limit (M,)."""
        squares = np.square(scores).sum(axis=1)
        return np.asarray(WIDENED * self.effective / (self.effective - 1.0) * squares)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a limit is tested on: the ``clusters``, and the ``prompts`` that they share, or None.

    ``utterances`` of all of them; ``clumping`` is the variance of their errors over a binomial's;
    ``bounded``: a cluster has at most as many errors as units.
    """

    clusters: Way
    prompts: Way | None = None
    utterances: float
    clumping: float
    bounded: bool

    def below(self, limits: FloatArray) -> FloatArray:
        """Return the statistic that a rate is below each of ``limits`` (M,): sum(m n - e) / se.

        Clusters under a level w count as w m n: T_w = sum(m n - max(e, w m n)) over the root of
        1.5 C'/(C' - 1) sum (e - w m n)+^2, the same of shared prompts, and the variance at the
        limit; the largest over the levels w. No part of it gets smaller when errors become fewer.
        """
        units, least = self.clusters.units.sum(), self._least_variance(limits)
        best = np.full(len(limits), -np.inf)
        for level in LEVELS:
            margin = (1.0 - level) * limits * units - self.clusters.over(level * limits).sum(axis=1)
            variance = sum((way.variance(way.over(level * limits)) for way in self._ways), least)
            best = np.maximum(best, _ratio(margin, variance))
        return best

    def above(self, limits: FloatArray) -> FloatArray:
        """Return the statistic that a rate is above each of ``limits`` (M,).

        sum(min(e, 2.5 m n) - m n) over the root of 1.5 C'/(C' - 1) sum (m n - e)+^2, the same of
        shared prompts, and the variance at the limit: a few clusters far above it are no evidence
        about the others.
        """
        expected = limits[:, None] * self.clusters.units
        margin = (np.minimum(self.clusters.errors, HIGHEST * expected) - expected).sum(axis=1)
        least = self._least_variance(limits)
        return _ratio(margin, sum((way.variance(way.under(limits)) for way in self._ways), least))

    @property
    def critical(self) -> float:
        """What the statistics have to reach: t of 97.5 % with the fewest C' - 1 of its ways."""
        df = min(way.effective for way in self._ways) - 1.0
        return float(t_quantile(TWO_SIDED_95, np.array([df]))[0])

    @property
    def _ways(self) -> tuple[Way, ...]:
        if self.prompts is None or self.prompts.effective < FEWEST_EFFECTIVE:
            return (self.clusters,)
        return (self.clusters, self.prompts)

    def _least_variance(self, limits: FloatArray) -> FloatArray:
        """Return the variance of the errors at each limit that is there in any case (M,).

        m (1 - m) (clumping sum n + m sum n^2 / 9), without 1 - m where a rate may exceed 1.
        """
        left = 1.0 - limits if self.bounded else np.ones_like(limits)
        units = self.clusters.units
        between = SPREAD**2 * limits * (units**2).sum()
        return np.asarray(limits * left * (self.clumping * units.sum() + between))


def _ratio(margin: FloatArray, variance: FloatArray) -> FloatArray:
    """Return margin / sqrt(variance), of no variance an infinite one with the margin's sign."""
    se = np.sqrt(variance)
    infinite = np.where(margin > 0, np.inf, -np.inf)
    return np.divide(margin, se, out=infinite, where=se > 0)


def is_tested(metric: RateMetric) -> bool:
    """Return whether a limit on a metric is tested by scores: it is errors over units."""
    return metric.counted and metric.columns[-1] == metric.n and len(metric.columns) == 2  # noqa: PLR2004


def scores_of(metric: RateMetric, evidence: RateEvidence, name: str) -> Scores | None:
    """Return the scores of a slice, None where there are none; repeats count as one asking."""
    sums = evidence.sums
    if name not in sums.slices or not all(need in sums.columns for need in metric.needs):
        return None
    number = sums.slices.index(name)
    used = (sums.slice_index == number) & (sums.columns[metric.n] > 0)
    return Scores(
        clusters=_way(metric, {c: sums.columns[c][used] for c in metric.columns}, evidence),
        prompts=_prompts(metric, evidence, number),
        utterances=float(sums.columns[metric.utterances][used].sum()) / evidence.repeats,
        clumping=1.0 if metric.n == metric.utterances else CLUMPED,
        bounded=metric.bounded,
    )


def _prompts(metric: RateMetric, evidence: RateEvidence, number: int) -> Way | None:
    """Return the prompts that several clusters of a slice read, None where none are counted."""
    cells = evidence.sums.by_prompt
    if cells is None:
        return None
    shared = shared_cells(cells, (cells.slice_index == number) & (cells.columns[metric.n] > 0))
    prompts = len(shared.prompts)
    columns = {
        name: group_sum(cells.columns[name][shared.rows], shared.prompt, prompts)
        for name in metric.columns
    }
    return _way(metric, columns, evidence)


def _way(metric: RateMetric, columns: Mapping[str, FloatArray], evidence: RateEvidence) -> Way:
    errors, units = (columns[name] / evidence.repeats for name in metric.columns)
    return Way(errors=errors, units=units)


def limits_excluded(scores: Scores) -> Ends:
    """Return (low, high): limits from ``high`` on are shown to hold, those under ``low`` not to.

    Each with 97.5 %. None is an end that does not exist: both of fewer than 5 clusters or 2
    effective ones. ``high`` is at least 3.7 / utterances, what can go unseen (an utterance that
    fails is lost whole).
    """
    clusters = scores.clusters
    if len(clusters.units) < MIN_CLUSTERS or clusters.effective < FEWEST_EFFECTIVE:
        return None, None
    critical = scores.critical
    return (
        _lower(lambda limits: scores.above(limits) >= critical, bounded=scores.bounded),
        _upper(scores, lambda limits: scores.below(limits) >= critical),
    )


_Excluded = Callable[[FloatArray], np.ndarray[tuple[int], np.dtype[np.bool_]]]


def _upper(scores: Scores, excluded: _Excluded) -> float | None:
    """Return the smallest limit that the rate is shown to be below; larger ones are, too."""
    top = 1.0
    if not scores.bounded:
        while not excluded(np.array([top]))[0]:
            top *= 2.0
            if top > 2.0**_LARGEST:
                return None
    high = max(_boundary(excluded, 0.0, top), unseen(scores.utterances))
    return min(1.0, high) if scores.bounded else high


def _lower(excluded: _Excluded, *, bounded: bool) -> float:
    """Return the largest limit that the rate is shown to be above; smaller ones are, too.

    Where clusters count as 2.5 times the limit at most, a far smaller limit leaves too few errors
    to exclude it, but a larger one that is excluded does.
    """
    powers = np.arange(_GRID * (0 if bounded else _LARGEST), _GRID * _SMALLEST - 1, -1) / _GRID
    limits = 2.0**powers
    shown = excluded(limits)
    first = int(np.argmax(shown))
    if not shown[first]:
        return 0.0
    return float(limits[0]) if first == 0 else _boundary(excluded, *limits[[first - 1, first]])


def _boundary(excluded: _Excluded, inside: float, outside: float) -> float:
    """Return the limit next to ``inside`` that is excluded, of those up to ``outside``, which is.

    Each round looks at 16 limits between the two. The first that is excluded counts, so that the
    result is monotone in what is excluded.
    """
    for _ in range(_ROUNDS):
        limits = inside + (outside - inside) * np.arange(1, _PARTS) / _PARTS
        shown = excluded(limits)
        first = int(np.argmax(shown))
        if shown[first]:
            inside, outside = (limits[first - 1] if first else inside), limits[first]
        else:
            inside = limits[-1]
    return float(outside)
