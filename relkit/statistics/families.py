"""The joint test of a family of slices: has any of them become worse?

Under the hypothesis that two systems are equal, candidate and baseline could have changed places in
any cluster, so the sign of all its differences could have been the other one. A cluster flips
together in all slices, which keeps what slices have in common. The largest statistic of the family
over all such flips gives p-values and bounds that hold for all slices at once (max-T, Westfall and
Young 1993). The denominators do not change under flips, so the test is exact whatever they are:

    D = errors of candidate - baseline by cluster; v = sum of D^2; E = errors of both systems
    V = v / 4 + 3/4 phi E, phi the median of v / E over slices with v > 0
    T = sum of D / sqrt(V)

Where clusters share prompts, errors go with the prompt, which flips of clusters do not show. Then V
of the statistic is larger by what cells of one prompt have in common (docs/method.md, section
"Comparing two systems"), and that of the flips stays: T is held against the same largest ones.

A slice of ten speakers knows its own variance badly, and a regression inflates it. The family knows
well how much variance comes with an error. benchmarks/decision_quality compares the choices.

Signs are drawn so that anyone can draw them again. Families that are only looked at, and decide
nothing, get adjusted p-values instead. What a slice passes by is another question: which ratio of
rates its data exclude (:mod:`relkit.statistics.exclusion`).
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from types import MappingProxyType

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.wording import counted
from relkit.statistics.crossed import common_errors
from relkit.statistics.differences import rate_differences
from relkit.statistics.distributions import t_quantile
from relkit.statistics.exclusion import (
    OWN_SHARE,
    ErrorRows,
    Ratios,
    clusters_to_exclude,
    ratios_of,
    smallest_excluded,
)
from relkit.statistics.intervals import MIN_CLUSTERS, group_sum
from relkit.statistics.power import MOST_CLUSTERS, POWER
from relkit.statistics.rates import RATE_METRICS, RateMetric
from relkit.statistics.types import Difference, PairedSums, PromptSums, Regression

ALPHA = 0.05

ALL_UP_TO = 12
"""Up to so many clusters all sign vectors are used."""

FLIPS = 10_000
_STREAM = "relkit-sign-flip/1\n"
_EXACT_IN_FLOAT32 = 2.0**24
_CELLS = 1 << 21  # of one chunk: 16 MiB
_SPARSE = 64  # a gather per row costs about this many multiplications of a dense product


def packed_flips(
    clusters: int, seed: str, flips: int = FLIPS
) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return the flips (F, ceil(C / 8)) as bits, least significant first: 1 is a changed sign.

    Up to 12 clusters all 2^C, flip k changing cluster c where bit c of k is set; else 10,000: flip
    0 changes nothing, the others are read in order from SHAKE-256 over the text
    ``relkit-sign-flip/1``, a line feed and the seed. ``flips`` other than 10,000 are the first ones
    of a shorter or longer stream.
    """
    width = (clusters + 7) // 8
    if clusters <= ALL_UP_TO:
        numbers = np.arange(1 << clusters, dtype="<u2")
        return numbers.view(np.uint8).reshape(-1, 2)[:, :width].copy()
    drawn = hashlib.shake_256((_STREAM + seed).encode()).digest(width * (flips - 1))
    rows = np.frombuffer(drawn, dtype=np.uint8).reshape(flips - 1, width)
    return np.concatenate([np.zeros((1, width), dtype=np.uint8), rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Differences D of a family: one row (R,) per slice and cluster, sorted by slice.

    ``slice`` (R,) numbers the ``slices`` from 0, ``cluster`` (R,) the ``clusters`` from 0.
    """

    slices: int
    clusters: int
    slice: IntArray
    cluster: IntArray
    value: FloatArray


def flipped_sums(differences: Differences, packed: np.ndarray) -> Iterator[FloatArray]:
    """Yield sum_c sign_c D_cs (flips of the chunk, S) for the flips in order, in bounded chunks.

    In single precision where that is exact: whole numbers whose absolute sum stays under 2^24.
    """
    value = differences.value
    integral = bool(np.all(value == np.round(value)))
    exact = integral and float(np.abs(value).sum()) < _EXACT_IN_FLOAT32
    dtype: type[np.floating] = np.float32 if exact else np.float64
    cells = differences.clusters * differences.slices
    nonzero = np.flatnonzero(value)
    if len(nonzero) * _SPARSE < cells:
        yield from _sparse(differences, packed, nonzero, dtype)
        return
    dense = np.zeros((differences.clusters, differences.slices), dtype=dtype)
    dense[differences.cluster, differences.slice] = value
    step = max(1, _CELLS // max(differences.clusters, differences.slices))
    for first in range(0, len(packed), step):
        signs = _signs(packed[first : first + step], differences.clusters).astype(dtype)
        yield (signs @ dense).astype(np.float64)


def _sparse(
    differences: Differences, packed: np.ndarray, nonzero: IntArray, dtype: type[np.floating]
) -> Iterator[FloatArray]:
    """Yield the same from the rows that are not 0 only."""
    group = differences.slice[nonzero]
    cluster = differences.cluster[nonzero]
    value = differences.value[nonzero].astype(dtype)
    present, starts = np.unique(group, return_index=True)
    step = max(1, _CELLS // max(len(nonzero), differences.clusters, differences.slices, 1))
    for first in range(0, len(packed), step):
        signs = _signs(packed[first : first + step], differences.clusters)
        sums = np.zeros((len(signs), differences.slices))
        if len(nonzero):
            sums[:, present] = np.add.reduceat(signs[:, cluster] * value, starts, axis=1)
        yield sums


def _signs(packed: np.ndarray, clusters: int) -> np.ndarray:
    """Return signs (F, C) as +-1."""
    bits = np.unpackbits(packed, axis=1, count=clusters, bitorder="little")
    return 1 - 2 * bits.astype(np.int8)


def benjamini_hochberg(p_values: Sequence[float] | FloatArray) -> list[float]:
    """Return p-values adjusted for the false discovery rate, in the order given.

    Of m tests the i-th smallest becomes min over j >= i of m p_j / j (Benjamini and Hochberg 1995,
    JRSS B 57:289), at most 1. ValueError for a p that is not within [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not bool(np.all((p >= 0) & (p <= 1))):
        raise ValueError("a p-value is within [0, 1]")
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return [float(value) for value in adjusted]


TIE = 1e-9

_NAMES = (
    "wer",
    "wer_raw",
    "wer_capped",
    "cer",
    "ser",
    "entity_error_rate",
    "keyword_error_rate",
    "runaway_rate",
    "hallucination_rate",
    "failure_rate",
    "clipping_rate",
    "dropout_rate",
    "injection_success_rate",
    "pii_readback_rate",
)

FAMILY_METRICS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {name: (RATE_METRICS[name].columns[0], RATE_METRICS[name].columns[1]) for name in _NAMES}
)
"""Metrics of which families can be tested: name to its columns of errors and of units.

Both systems have the same units, so that a difference of rates is one of errors.
"""

EXCUSED = "excused_"
"""Before the name of an errors column: the candidate's errors where the baseline gave no answer.

There the baseline counts as perfect, so that candidate and baseline could not have changed places.
Where the candidate's sums have such a column, the test leaves these errors out (a baseline that
fails in 2 % of utterances otherwise doubles the false blocks); differences and margins do not.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The tested slices (S,) of a family, and their differences by slice and cluster.

    ``units``, ``baseline`` (errors) and ``both`` (errors of the two systems) are sums per slice,
    the last and the differences without excused errors; ``clusters`` counts those with units.
    ``rows``, in the order of ``differences.value``, hold units and errors by cluster. ``prompts``
    is what shared prompts add to the variance of the sum of D, 0 where none are shared, ``cells``
    their differences and errors (``both``), the clusters as the sums number them. All are sums over
    the ``repeats`` of the run.
    """

    slices: tuple[str, ...]
    differences: Differences
    units: FloatArray
    clusters: FloatArray
    baseline: FloatArray
    both: FloatArray
    rows: "ClusterRows"
    prompts: FloatArray
    cells: PromptSums | None = None
    repeats: int = 1

    @property
    def variance(self) -> FloatArray:
        """Sum of squared differences v (S,)."""
        differences = self.differences
        return group_sum(differences.value**2, differences.slice, differences.slices)

    @property
    def dispersion(self) -> float:
        """The median phi of v / E over slices in which the systems differ; 0 without one."""
        variance = self.variance
        differ = variance > 0
        return float(np.median(variance[differ] / self.both[differ])) if differ.any() else 0.0

    @property
    def denominator(self) -> FloatArray:
        """V (S,), 0 where neither system has an error."""
        pooled = (1.0 - OWN_SHARE) * self.dispersion * self.both
        return np.asarray(OWN_SHARE * self.variance + pooled, dtype=np.float64)

    @property
    def reach(self) -> FloatArray:
        """Root of V with what shared prompts add (S,)."""
        return np.asarray(np.sqrt(self.denominator + self.prompts), dtype=np.float64)

    @property
    def extra(self) -> FloatArray:
        """Sum of D (S,): how many more errors the candidate has."""
        differences = self.differences
        return group_sum(differences.value, differences.slice, differences.slices)

    @property
    def ratios(self) -> Ratios:
        """What the ratios of rates rest on, without excused errors.

        These are counts of one asking: an error that a system makes in each of its repeats is one.
        """
        return ratios_of(self.errors, self.prompts / self.repeats**2)

    @property
    def errors(self) -> ErrorRows:
        """The errors of both systems, those of one asking, without excused ones."""
        group = self.differences.slice
        counts = np.bincount(group, minlength=self.differences.slices)
        return ErrorRows(
            slices=self.differences.slices,
            slice=group,
            cluster=self.differences.cluster,
            share=self.rows.units / self.units[group],
            candidate=np.maximum(self.rows.baseline + self.differences.value, 0.0) / self.repeats,
            baseline=self.rows.baseline / self.repeats,
            counts=counts if counts.all() and np.all(np.diff(group) >= 0) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """How the p-values of a family are adjusted.

    ``alpha`` is the family-wise error rate, kept by max-T; with ``discoveries`` the false discovery
    rate, kept by Benjamini and Hochberg (1995), for families that are only looked at.
    """

    alpha: float = ALPHA
    discoveries: bool = False


MAX_T = Correction()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRows:
    """Sums by slice and cluster (R,)."""

    units: FloatArray
    candidate: FloatArray
    baseline: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyTest:
    """What the flips say: the statistic T (S,), and the largest of the family by flip, ascending.

    ``p`` (S,) is the share of flips in which a slice's own T reaches what it is, ``critical`` the
    smallest value that at most alpha of the flips' largest exceed.
    """

    family: Family
    statistic: FloatArray
    p: FloatArray
    maxima: FloatArray
    critical: float

    @property
    def p_adjusted(self) -> FloatArray:
        """Share of flips, the identity included, whose largest T reaches that of a slice (S,)."""
        return self.reached(self.statistic - TIE)

    @property
    def low(self) -> FloatArray:
        """Simultaneous lower ends of the worsening (S,)."""
        reach = self.critical * self.family.reach
        return np.asarray((self.family.extra - reach) / self.family.units, dtype=np.float64)

    def reached(self, statistic: FloatArray) -> FloatArray:
        """Return the share of flips whose largest T is at least as large (any shape)."""
        below = np.searchsorted(self.maxima, statistic, side="left")
        return np.asarray(1.0 - below / len(self.maxima), dtype=np.float64)


def test_regressions(
    metric: RateMetric,
    pairs: PairedSums,
    slices: Sequence[str],
    *,
    seed: str,
    detectable: float,
    correction: Correction = MAX_T,  # noqa: PT028 - a rule, no test
    flips: int = FLIPS,  # noqa: PT028 - the same
) -> tuple[Regression, ...]:
    """Return what the joint test says about each of ``slices``, in that order.

    A slice with fewer than 5 clusters, or with a sum that is no number, is not tested and says so;
    the others go on without it. ``detectable`` is the ratio for which ``needed_clusters`` is said.
    ``flips`` (decisions use 10,000) is for simulations.
    KeyError for a metric that is not among :data:`FAMILY_METRICS`.
    """
    by_slice = dict(zip(pairs.candidate.slices, rate_differences(metric, pairs), strict=True))
    differences = {name: by_slice.get(name) or _absent(metric, name) for name in slices}
    regressions = {
        name: Regression(slice=name, difference=difference, note=_untested(difference))
        for name, difference in differences.items()
    }
    tested = tuple(name for name, regression in regressions.items() if regression.note is None)
    if tested:
        family = family_of(metric, pairs, tuple(differences), tested)
        test = run_flips(family, seed, correction.alpha, flips)
        regressions.update(_tested(test, regressions, detectable=detectable, correction=correction))
    return tuple(regressions[name] for name in slices)


test_regressions.__test__ = False  # type: ignore[attr-defined]  # pytest: it is a rule, no test


def testable(metric: RateMetric, pairs: PairedSums, slices: Sequence[str]) -> tuple[str, ...]:
    """Return those of ``slices`` that have enough clusters for a test, each once, in order."""
    by_slice = {item.slice: item for item in rate_differences(metric, pairs)}
    return tuple(
        name
        for name in dict.fromkeys(slices)
        if name in by_slice and _untested(by_slice[name]) is None
    )


def clusters_of(pairs: PairedSums, slices: Sequence[str]) -> IntArray:
    """Return the clusters of some slices, ascending: a family numbers them so."""
    place = {name: i for i, name in enumerate(pairs.candidate.slices)}
    used = np.isin(pairs.candidate.slice_index, [place[s] for s in slices if s in place])
    return np.unique(pairs.candidate.cluster_index[used])


def family_of(
    metric: RateMetric, pairs: PairedSums, slices: Sequence[str], tested: Sequence[str]
) -> Family:
    """Return the ``tested`` slices among the ``slices`` of a rule, whose clusters are numbered."""
    errors, units = FAMILY_METRICS[metric.name]
    place = {name: i for i, name in enumerate(pairs.candidate.slices)}
    clusters = clusters_of(pairs, slices)
    number = np.full(len(pairs.candidate.slices), -1)
    number[[place[name] for name in tested]] = np.arange(len(tested))
    group = number[pairs.candidate.slice_index]
    used = np.flatnonzero((group >= 0) & (pairs.candidate.columns[units] > 0))
    order = used[np.argsort(group[used], kind="stable")]
    rows = ClusterRows(
        units=pairs.candidate.columns[units][order],
        candidate=pairs.candidate.columns[errors][order],
        baseline=pairs.baseline.columns[errors][order],
    )
    excused = pairs.candidate.columns.get(EXCUSED + errors, np.zeros(len(group)))[order]
    group, count = group[order], len(tested)
    cells = _cells(pairs, number, errors, units)
    return Family(
        slices=tuple(tested),
        differences=Differences(
            slices=count,
            clusters=len(clusters),
            slice=group,
            cluster=np.searchsorted(clusters, pairs.candidate.cluster_index[order]),
            value=rows.candidate - rows.baseline - excused,
        ),
        units=group_sum(rows.units, group, count),
        clusters=np.bincount(group, minlength=count).astype(np.float64),
        baseline=group_sum(rows.baseline, group, count),
        both=group_sum(rows.baseline + rows.candidate - excused, group, count),
        rows=rows,
        prompts=_of_prompts(cells, count),
        cells=cells,
        repeats=pairs.candidate.repeats,
    )


def _cells(pairs: PairedSums, place: IntArray, errors: str, units: str) -> PromptSums | None:
    """Return the errors of both systems by cell, and their ``difference``; None without any.

    ``place`` (S,) numbers the slices, -1 where one is not tested.
    """
    here, base = pairs.candidate.by_prompt, pairs.baseline.by_prompt
    if here is None or base is None:
        return None
    number = place[here.slice_index]
    used = (number >= 0) & (here.columns[units] > 0)
    excused = here.columns.get(EXCUSED + errors, np.zeros(len(number)))
    ours, theirs = here.columns[errors] - excused, base.columns[errors]
    return PromptSums(
        slice_index=number[used],
        cluster_index=here.cluster_index[used],
        prompt_index=here.prompt_index[used],
        columns={"difference": (ours - theirs)[used], "both": (ours + theirs)[used]},
    )


def _of_prompts(cells: PromptSums | None, slices: int) -> FloatArray:
    """Return what shared prompts add to the variance of the tested slices (S,).

    X / 4 + 3/4 psi K of :func:`common_errors`, X of differences and K of errors, psi = sum X /
    sum K over slices; times (t / z)^2, the one-sided 5 % quantiles for so many prompts.
    """
    if cells is None:
        return np.zeros(slices)
    common = common_errors(cells.columns["difference"], cells.columns["both"], cells, slices)
    in_all = float(common.errors.sum())
    if common.prompts < 2 or in_all <= 0:  # noqa: PLR2004 - one prompt has no variance
        return np.zeros(slices)
    share = max(0.0, float(common.own.sum()) / in_all)
    few = float(t_quantile(1.0 - ALPHA, np.array([common.prompts - 1.0]))[0])
    mixed = OWN_SHARE * common.own + (1.0 - OWN_SHARE) * share * common.errors
    factor = (few / NormalDist().inv_cdf(1.0 - ALPHA)) ** 2
    return np.asarray(factor * np.maximum(mixed, 0.0), dtype=np.float64)


def run_flips(family: Family, seed: str, alpha: float = ALPHA, flips: int = FLIPS) -> FamilyTest:
    """Return the joint test of a family."""
    root = np.sqrt(family.denominator)
    safe = np.where(root > 0, root, 1.0)
    packed = packed_flips(family.differences.clusters, seed, flips)
    reach = family.reach
    statistic = family.extra / np.where(reach > 0, reach, 1.0)
    chunks, reached = [], np.zeros(len(safe))
    for sums in flipped_sums(family.differences, packed):
        flipped = sums / safe
        chunks.append(flipped.max(axis=1))
        reached += np.count_nonzero(flipped >= statistic - TIE, axis=0)
    maxima = np.sort(np.concatenate(chunks))
    beyond = math.floor(alpha * len(maxima) + TIE)
    return FamilyTest(
        family=family,
        statistic=statistic,
        p=reached / len(maxima),
        maxima=maxima,
        critical=float(maxima[len(maxima) - 1 - beyond]),
    )


def _tested(
    test: FamilyTest,
    regressions: Mapping[str, Regression],
    *,
    detectable: float,
    correction: Correction,
) -> dict[str, Regression]:
    family, ratios = test.family, test.family.ratios
    p_adjusted, low = test.p_adjusted, test.low
    if correction.discoveries:
        p_adjusted = np.array(benjamini_hochberg(test.p))
    excludes = smallest_excluded(ratios)
    needed = clusters_to_exclude(ratios, detectable, power=POWER, most=MOST_CLUSTERS)
    return {
        name: replace(
            regressions[name],
            p=float(test.p[i]),
            p_adjusted=float(p_adjusted[i]),
            low=float(low[i]),
            excludes=float(excludes[i]) if math.isfinite(excludes[i]) else None,
            needed_clusters=int(needed[i]) if math.isfinite(needed[i]) else None,
        )
        for i, name in enumerate(family.slices)
    }


def _absent(metric: RateMetric, name: str) -> Difference:
    return Difference(
        slice=name, candidate=None, baseline=None, worsening=None, note=metric.nothing
    )


def _untested(difference: Difference) -> str | None:
    if difference.worsening is None:
        return difference.note
    if difference.clusters < MIN_CLUSTERS:
        return f"{counted(difference.clusters, 'cluster')}: the test needs {MIN_CLUSTERS}"
    return None
