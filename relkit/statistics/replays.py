"""The run's own data replayed as comparisons of equal systems: an A/A certificate.

If candidate and baseline exchange places in some clusters, the result is a comparison of two
mixtures that do not differ, with the noise of the real one. What a policy says about many of them
is how often it would block, or leave undecided, a candidate as good as its baseline.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.statistics.detection import ALPHA
from relkit.statistics.differences import highest_difference, rate_differences
from relkit.statistics.families import (
    TIE,
    Correction,
    clusters_of,
    family_of,
    run_flips,
    test_regressions,
)
from relkit.statistics.intervals import group_sum
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, NullReplay, PairedSums

REPLAYS = 400
REPLAY_METHOD = "half of the clusters exchanged, and each exchanged with probability 1/2, in turn"
_CELLS = 1 << 19  # rows of one chunk of replays


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedMargin:
    """A ``non_inferiority`` rule in one slice; ``margin`` in the metric's unit."""

    metric: str
    slice: str
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedFamily:
    """A ``no_regression`` rule over its family of slices."""

    metric: str
    slices: tuple[str, ...]
    detectable: float = 2.0


def replay_null(
    pairs: Mapping[str, PairedSums],
    rules: Sequence[ReplayedMargin | ReplayedFamily],
    *,
    seed: str,
    replays: int = REPLAYS,
    alpha: float = ALPHA,
) -> NullReplay:
    """Return how many of ``replays`` gates on equal systems would fail, or stay undecided.

    ``pairs`` maps a metric to its sums; the clusters are the same in all of them, and exchange
    their places in all rules together. Even replays exchange a random half of the clusters, odd
    ones each with probability 1/2. A gate fails where any rule does. Which slices of a family are
    too small to decide does not depend on the labels, and is taken from the run. ``alpha`` is the
    chance of a false alarm of each family. Without rules nothing is replayed.
    """
    if not rules or replays < 1:
        return NullReplay(replays=0, blocked=0, undecided=0, method="nothing to replay")
    clusters = max(sums.clusters for sums in pairs.values())
    signs = exchanges(clusters, seed, replays)
    failed, undecided = np.zeros(replays, dtype=np.bool_), np.zeros(replays, dtype=np.bool_)
    for rule in rules:
        if isinstance(rule, ReplayedMargin):
            fails, open_ = _margin(rule, pairs[rule.metric], signs)
        else:
            fails, open_ = _family(rule, pairs[rule.metric], signs, seed, alpha)
        failed |= fails
        undecided |= open_
    return NullReplay(
        replays=replays,
        blocked=int(failed.sum()),
        undecided=int((undecided & ~failed).sum()),
        method=REPLAY_METHOD,
    )


def exchanges(clusters: int, seed: str, replays: int) -> FloatArray:
    """Return signs (replays, clusters): -1 where candidate and baseline change places."""
    number = int.from_bytes(hashlib.sha256(f"relkit-null-replay/1\n{seed}".encode()).digest())
    random = np.random.default_rng(number)
    order = random.random((replays, clusters))
    halves = np.argsort(np.argsort(order, axis=1), axis=1) < clusters // 2
    changed = np.where(np.arange(replays)[:, None] % 2 == 0, halves, order < 1 / 2)
    return np.where(changed, -1.0, 1.0)


def replayed_pairs(pairs: PairedSums, slice_: str, signs: FloatArray) -> PairedSums:
    """Return one slice of the run under each row of ``signs`` (K, clusters), a slice for each."""
    rows = np.flatnonzero(pairs.candidate.slice_index == pairs.candidate.slices.index(slice_))
    cluster = pairs.candidate.cluster_index[rows]
    stays = signs[:, cluster] > 0
    count = len(signs)
    names = tuple(f"replay={k}" for k in range(count))
    columns: list[dict[str, FloatArray]] = [{}, {}]
    for name in pairs.candidate.columns:
        here, base = pairs.candidate.columns[name][rows], pairs.baseline.columns[name][rows]
        columns[0][name] = np.where(stays, here, base).ravel()
        columns[1][name] = np.where(stays, base, here).ravel()
    index = np.repeat(np.arange(count), len(rows))
    clusters = np.tile(cluster, count)
    candidate, baseline = (
        ClusterSums(slices=names, slice_index=index, cluster_index=clusters, columns=sums)
        for sums in columns
    )
    return PairedSums(candidate=candidate, baseline=baseline, clusters=pairs.clusters)


ReplayOutcome = tuple[np.ndarray, np.ndarray]


def _margin(rule: ReplayedMargin, pairs: PairedSums, signs: FloatArray) -> ReplayOutcome:
    """Return which replays fail, and which stay undecided."""
    metric = RATE_METRICS[rule.metric]
    count = len(signs)
    if rule.slice not in pairs.candidate.slices:
        return np.zeros(count, dtype=np.bool_), np.ones(count, dtype=np.bool_)
    needed = {name: pairs.candidate.columns[name] for name in metric.needs}
    base = {name: pairs.baseline.columns[name] for name in metric.needs}
    narrow = replace(
        pairs,
        candidate=replace(pairs.candidate, columns=needed),
        baseline=replace(pairs.baseline, columns=base),
    )
    highest = highest_difference(metric, narrow)
    step = max(1, _CELLS // max(1, signs.shape[1]))
    differences = [
        difference
        for first in range(0, count, step)
        for difference in rate_differences(
            metric, replayed_pairs(narrow, rule.slice, signs[first : first + step]), highest=highest
        )
    ]
    low = np.array([-np.inf if item.low is None else item.low for item in differences])
    high = np.array([np.inf if item.high is None else item.high for item in differences])
    fails = low > rule.margin
    return fails, ~fails & (high > rule.margin)


def _family(
    rule: ReplayedFamily, pairs: PairedSums, signs: FloatArray, seed: str, alpha: float
) -> ReplayOutcome:
    """Return the same for a family: flips move neither the denominators nor the critical value."""
    metric = RATE_METRICS[rule.metric]
    ratio, correction = rule.detectable, Correction(alpha=alpha)
    regressions = test_regressions(
        metric, pairs, rule.slices, seed=seed, detectable=ratio, correction=correction
    )
    open_ = any(item.detects is None or item.detects > ratio for item in regressions)
    undecided = np.full(len(signs), open_)
    tested = tuple(dict.fromkeys(item.slice for item in regressions if item.note is None))
    if not tested:
        return np.zeros(len(signs), dtype=np.bool_), undecided
    family = family_of(metric, pairs, rule.slices, tested)
    test = run_flips(family, seed, alpha)
    differences = family.differences
    exchanged = signs[:, clusters_of(pairs, rule.slices)]
    root = np.sqrt(family.denominator)
    largest = np.full(len(signs), -np.inf)
    for k, row in enumerate(exchanged):
        values = row[differences.cluster] * differences.value
        sums = group_sum(values, differences.slice, differences.slices)
        largest[k] = np.max(sums / np.where(root > 0, root, 1.0))
    return test.reached(largest - TIE) <= alpha, undecided
