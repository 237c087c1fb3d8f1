"""The run's own data replayed as comparisons of equal systems: an A/A certificate.

If candidate and baseline exchange places in some clusters, the result is a comparison of two
mixtures that do not differ, with the noise of the real one. What a policy says about many of them
is how often it would block, or leave undecided, a candidate as good as its baseline.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.statistics.differences import highest_difference, rate_differences
from relkit.statistics.exclusion import ratios_of
from relkit.statistics.families import (
    ALPHA,
    TIE,
    Family,
    clusters_of,
    family_of,
    run_flips,
    testable,
)
from relkit.statistics.intervals import group_sum
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, NullReplay, PairedSums, PromptSums

REPLAYS = 400
REPLAY_METHOD = "half of the clusters exchanged, and each exchanged with probability 1/2, in turn"
BY_PROMPT = "; and so the prompts that they share"
_CELLS = 1 << 19  # rows of one chunk of replays
_TURNS = 4  # two ways to exchange clusters, and the same two for prompts


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
    ones each with probability 1/2. Where clusters share prompts, every third and fourth replay
    exchanges those instead, and what nobody else read with its cluster. A gate fails where any
    rule does. ``alpha`` is the chance of a false alarm of each family. Without rules nothing is
    replayed.
    """
    if not rules or replays < 1:
        return NullReplay(replays=0, blocked=0, undecided=0, method="nothing to replay")
    clusters = max(sums.clusters for sums in pairs.values())
    signs, prompts = exchanges(clusters, seed, replays), prompt_exchanges(pairs, seed, replays)
    failed, undecided = np.zeros(replays, dtype=np.bool_), np.zeros(replays, dtype=np.bool_)
    for rule in rules:
        if isinstance(rule, ReplayedMargin):
            fails, open_ = _margin(rule, pairs[rule.metric], signs, prompts)
        else:
            fails, open_ = _family(rule, pairs[rule.metric], signs, prompts, seed=seed, alpha=alpha)
        failed |= fails
        undecided |= open_
    return NullReplay(
        replays=replays,
        blocked=int(failed.sum()),
        undecided=int((undecided & ~failed).sum()),
        method=REPLAY_METHOD + (BY_PROMPT if prompts.size else ""),
    )


def exchanges(clusters: int, seed: str, replays: int) -> FloatArray:
    """Return signs (replays, clusters): -1 where candidate and baseline change places."""
    number = int.from_bytes(hashlib.sha256(f"relkit-null-replay/1\n{seed}".encode()).digest())
    random = np.random.default_rng(number)
    order = random.random((replays, clusters))
    halves = np.argsort(np.argsort(order, axis=1), axis=1) < clusters // 2
    changed = np.where(np.arange(replays)[:, None] % 2 == 0, halves, order < 1 / 2)
    return np.where(changed, -1.0, 1.0)


def prompt_exchanges(pairs: Mapping[str, PairedSums], seed: str, replays: int) -> FloatArray:
    """Return signs (replays, prompts) likewise: 0 where a prompt goes with its clusters.

    Prompts are numbered as the sums number them; without shared ones there are none.
    """
    cells = [sums.candidate.by_prompt for sums in pairs.values()]
    numbers = np.unique(np.concatenate([each.prompt_index for each in cells if each is not None]
                                       or [np.zeros(0, dtype=np.int64)]))  # fmt: skip
    signs = np.zeros((replays, int(numbers.max(initial=-1)) + 1), dtype=np.float64)
    signs[:, numbers] = exchanges(len(numbers), f"{seed}\nprompts", replays)
    signs[np.arange(replays) % _TURNS < _TURNS // 2] = 0.0
    return signs


def replayed_pairs(
    pairs: PairedSums, slice_: str, signs: FloatArray, prompts: FloatArray | None = None
) -> PairedSums:
    """Return one slice of the run under each row of ``signs`` (K, clusters), a slice for each.

    ``prompts`` (K, prompts) as of :func:`prompt_exchanges`.
    """
    number = pairs.candidate.slices.index(slice_)
    rows = np.flatnonzero(pairs.candidate.slice_index == number)
    cluster = pairs.candidate.cluster_index[rows]
    stays = signs[:, cluster] > 0
    count = len(signs)
    names = tuple(f"replay={k}" for k in range(count))
    sides = (pairs.candidate.columns, pairs.baseline.columns)
    columns = _exchanged([{n: c[rows] for n, c in side.items()} for side in sides], stays)
    cells: list[PromptSums | None] = [None, None]
    here, base = pairs.candidate.by_prompt, pairs.baseline.by_prompt
    if here is not None and base is not None:
        inside = np.flatnonzero(here.slice_index == number)
        of_cells = [{n: c[inside] for n, c in side.columns.items()} for side in (here, base)]
        at = here.cluster_index[inside]
        with_cluster = signs[:, at]
        sign = with_cluster if prompts is None else prompts[:, here.prompt_index[inside]]
        cell_stays = np.where(sign == 0, with_cluster, sign) > 0
        # What a cell has changed otherwise than its cluster goes over with it.
        moved = cell_stays != (with_cluster > 0)
        row = np.searchsorted(cluster, at) + np.arange(count)[:, None] * len(rows)
        for name in of_cells[0]:
            gap = np.where(with_cluster > 0, 1.0, -1.0) * (of_cells[1][name] - of_cells[0][name])
            over = np.bincount(row[moved], gap[moved], count * len(rows))
            columns[0][name] = columns[0][name] + over
            columns[1][name] = columns[1][name] - over
        cells = [
            PromptSums(
                slice_index=np.repeat(np.arange(count), len(inside)),
                cluster_index=np.tile(at, count),
                prompt_index=np.tile(here.prompt_index[inside], count),
                columns=sums,
            )
            for sums in _exchanged(of_cells, cell_stays)
        ]
    index = np.repeat(np.arange(count), len(rows))
    clusters = np.tile(cluster, count)
    candidate, baseline = (
        ClusterSums(
            slices=names,
            slice_index=index,
            cluster_index=clusters,
            columns=columns[side],
            by_prompt=cells[side],
            repeats=pairs.candidate.repeats,
        )
        for side in range(2)
    )
    return PairedSums(candidate=candidate, baseline=baseline, clusters=pairs.clusters)


def _exchanged(
    sides: Sequence[Mapping[str, FloatArray]], stays: np.ndarray
) -> list[dict[str, FloatArray]]:
    """Return the columns (K R,) of both systems, exchanged where they do not stay (K, R)."""
    here, base = sides
    return [
        {name: np.where(stays, ours[name], theirs[name]).ravel() for name in here}
        for ours, theirs in ((here, base), (base, here))
    ]


ReplayOutcome = tuple[np.ndarray, np.ndarray]


def _margin(
    rule: ReplayedMargin, pairs: PairedSums, signs: FloatArray, prompts: FloatArray
) -> ReplayOutcome:
    """Return which replays fail, and which stay undecided."""
    metric = RATE_METRICS[rule.metric]
    count = len(signs)
    if rule.slice not in pairs.candidate.slices:
        return np.zeros(count, dtype=np.bool_), np.ones(count, dtype=np.bool_)
    narrow = replace(
        pairs,
        candidate=_narrowed(pairs.candidate, metric.needs),
        baseline=_narrowed(pairs.baseline, metric.needs),
    )
    highest = highest_difference(metric, narrow)
    cells = pairs.candidate.by_prompt
    number = pairs.candidate.slices.index(rule.slice)
    many = 0 if cells is None else int(np.count_nonzero(cells.slice_index == number))
    step = max(1, _CELLS // max(1, signs.shape[1], many))
    differences = [
        difference
        for first in range(0, count, step)
        for difference in rate_differences(
            metric,
            replayed_pairs(
                narrow, rule.slice, signs[first : first + step], prompts[first : first + step]
            ),
            highest=highest,
        )
    ]
    low = np.array([-np.inf if item.low is None else item.low for item in differences])
    high = np.array([np.inf if item.high is None else item.high for item in differences])
    fails = low > rule.margin
    return fails, ~fails & (high > rule.margin)


def _narrowed(sums: ClusterSums, names: Sequence[str]) -> ClusterSums:
    """Return the sums with some of their columns only."""
    cells = sums.by_prompt
    if cells is not None:
        cells = replace(cells, columns={name: cells.columns[name] for name in names})
    return replace(sums, columns={name: sums.columns[name] for name in names}, by_prompt=cells)


def _family(
    rule: ReplayedFamily,
    pairs: PairedSums,
    signs: FloatArray,
    prompts: FloatArray,
    *,
    seed: str,
    alpha: float,
) -> ReplayOutcome:
    """Return the same for a family: flips move neither the denominators nor the critical value."""
    metric, count = RATE_METRICS[rule.metric], len(signs)
    tested = testable(metric, pairs, rule.slices)
    undecided = np.full(count, len(tested) < len(set(rule.slices)))
    if not tested:
        return np.zeros(count, dtype=np.bool_), undecided
    family = family_of(metric, pairs, rule.slices, tested)
    test = run_flips(family, seed, alpha)
    differences = family.differences
    exchanged = signs[:, clusters_of(pairs, rule.slices)]
    root = family.reach
    largest = np.full(count, -np.inf)
    ratio, errors = np.full(len(tested), rule.detectable), family.errors
    shared = family.prompts / family.repeats**2
    cells, place = family.cells, _rows_of_cells(family, clusters_of(pairs, rule.slices))
    for k, row in enumerate(exchanged):
        values = row[differences.cluster] * differences.value
        if cells is not None:
            sign = prompts[k, cells.prompt_index]
            turned = np.where(sign == 0, 0.0, sign - signs[k, cells.cluster_index])
            values += group_sum(turned * cells.columns["difference"], place, len(values))
        sums = errors.sum(values)
        largest[k] = np.max(sums / np.where(root > 0, root, 1.0))
        if not undecided[k]:
            undecided[k] = (
                not ratios_of(errors.apart(values / family.repeats), shared).excluded(ratio).all()
            )
    return test.reached(largest - TIE) <= alpha, undecided


def _rows_of_cells(family: Family, clusters: IntArray) -> IntArray:
    """Return which row of a family each of its cells is a part of; ``clusters`` are numbered."""
    if family.cells is None:
        return np.zeros(0, dtype=np.int64)
    differences, cells = family.differences, family.cells
    rows = differences.slice * differences.clusters + differences.cluster
    of_cells = cells.slice_index * differences.clusters
    of_cells = of_cells + np.searchsorted(clusters, cells.cluster_index)
    order = np.argsort(rows, kind="stable")
    return np.asarray(order[np.searchsorted(rows, of_cells, sorter=order)], dtype=np.int64)
