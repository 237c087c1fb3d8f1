"""The sums behind a decision, picked from what was judged: pure, and no name of a cluster in it.

What is kept is what the verifier needs to come to the same numbers: the slices of each metric's
rules, and the whole, which stands in where nothing at all was seen.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.metrics import column_of, split_metric
from relkit.core.slices import OVERALL, matches
from relkit.gate.evidence import COMPARING, Compared
from relkit.gate.types import (
    Against,
    OrderStatistics,
    PartEvidence,
    PercentileTable,
    Rule,
    SumsTable,
)
from relkit.statistics.crossed import shared_cells
from relkit.statistics.estimates import PERCENTILES
from relkit.statistics.families import EXCUSED
from relkit.statistics.intervals import RateEvidence, distinct
from relkit.statistics.percentile_differences import aligned
from relkit.statistics.percentiles import (
    Counts,
    OrderedValues,
    Ranks,
    TimingEvidence,
    order_ranks,
    ordered_slice,
    paired_ranks,
)
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, PairedSums, PairedValues, SliceValues

UTTERANCES_COLUMN = "utterances"
"""Counts a slice's utterances: a bound asks for enough of them, whatever the metric's units."""


def decision_evidence(
    rules: Sequence[Rule],
    *,
    part: str | None = None,
    rates: RateEvidence | None = None,
    timings: Mapping[str, TimingEvidence] | None = None,
    utterances: Mapping[str, int] | None = None,
    compared: Mapping[Against, Compared] | None = None,
) -> PartEvidence:
    """Return the evidence of one part of a decision.

    ``rates`` are the candidate's own sums with the columns of every bound's metric and
    ``utterances``; ``timings`` its measurements by column, for bounds of percentiles;
    ``utterances`` how many a slice has in all; ``compared`` maps ``baseline`` and ``anchor`` to
    what the candidate was held against. What is not given has no evidence, and its checks cannot be
    recomputed.
    """
    bounds = [rule for rule in rules if rule.test == "bound"]
    tables = [] if rates is None else list(_own_sums(bounds, rates))
    pairs = [
        table
        for against, comparison in (compared or {}).items()
        if comparison.pairs is not None
        for table in _paired_sums(_held(rules, against), against, comparison.pairs)
    ]
    percentiles = [
        table
        for against, comparison in (compared or {}).items()
        for table in _percentile_pairs(_held(rules, against), against, comparison.values)
    ]
    return PartEvidence(
        part=part,
        rules=tuple(replace(rule, line=None) for rule in rules),
        sums=(*tables, *pairs),
        percentiles=(*_percentiles(bounds, timings or {}, utterances or {}), *percentiles),
    )


def _held(rules: Iterable[Rule], against: Against) -> list[Rule]:
    tests = COMPARING if against == "baseline" else ("non_inferiority",)
    return [rule for rule in rules if rule.test in tests]


def _own_sums(rules: Sequence[Rule], rates: RateEvidence) -> Iterator[SumsTable]:
    for metric, slices in _slices_by_metric(rules, rates.sums.slices):
        columns = tuple(dict.fromkeys((*RATE_METRICS[metric].needs, UTTERANCES_COLUMN)))
        if not all(name in rates.sums.columns for name in columns):
            continue
        asked = replace(rates.sums, repeats=rates.repeats)
        yield _table(metric, (asked,), slices, columns)
        yield from _prompt_tables(metric, (rates.sums,), slices, RATE_METRICS[metric].columns)
        if rates.by_repeat is not None:
            yield _table(metric, (rates.by_repeat,), slices, columns, by_repeat=True)


def _paired_sums(rules: Sequence[Rule], against: Against, pairs: PairedSums) -> Iterator[SumsTable]:
    sides = (pairs.candidate, pairs.baseline)
    for metric, slices in _slices_by_metric(rules, pairs.candidate.slices):
        columns = RATE_METRICS[metric].needs
        excused = tuple({EXCUSED + columns[0]} & set(pairs.candidate.columns))
        if all(name in pairs.candidate.columns for name in columns):
            yield _table(metric, sides, slices, (*columns, *excused), against=against)
            moving = (*RATE_METRICS[metric].columns, *excused)
            yield from _prompt_tables(metric, sides, slices, moving, against=against)


def _slices_by_metric(
    rules: Sequence[Rule], slices: Sequence[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each metric that is a function of sums, with the slices that its rules are about.

    The whole run comes along: where nothing was seen in a slice, it says how bad things can be.
    Where the sums lack it, every slice does.
    """
    names = dict.fromkeys(rule.metric for rule in rules if rule.metric in RATE_METRICS)
    for metric in names:
        patterns = {rule.slice for rule in rules if rule.metric == metric}
        yield (
            metric,
            tuple(
                key
                for key in slices
                if key == OVERALL
                or OVERALL not in slices
                or any(matches(pattern, key) for pattern in patterns)
            ),
        )


def _table(
    metric: str,
    sums: tuple[ClusterSums, ...],
    slices: tuple[str, ...],
    columns: tuple[str, ...],
    *,
    against: Against | None = None,
    by_repeat: bool = False,
) -> SumsTable:
    number = {name: i for i, name in enumerate(slices)}
    new = np.array([number.get(name, -1) for name in sums[0].slices], dtype=np.int64)
    place = new[sums[0].slice_index] if len(new) else sums[0].slice_index
    rows = np.flatnonzero(place >= 0)
    cluster = sums[0].cluster_index[rows]
    if not by_repeat:  # numbered from 0 in ascending order; repeats keep their numbers
        cluster = np.unique(cluster, return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((cluster, place[rows]))
    picked = rows[order]
    # For what only the other system has: a baseline excuses nothing.
    zeros = np.zeros(len(sums[0].slice_index))
    lists = [
        place[picked].tolist(),
        cluster[order].tolist(),
        *(_exact(side.columns.get(name, zeros)[picked]) for side in sums for name in columns),
    ]
    return SumsTable(
        metric=metric,
        slices=slices,
        columns=columns,
        rows=tuple(zip(*lists, strict=True)),
        against=against,
        by="repeat" if by_repeat else "cluster",
        repeats=sums[0].repeats,
    )


def _prompt_tables(
    metric: str,
    sums: tuple[ClusterSums, ...],
    slices: tuple[str, ...],
    columns: tuple[str, ...],
    *,
    against: Against | None = None,
) -> Iterator[SumsTable]:
    """Yield the sums by shared prompt, and the sums of products over cells; none without them."""
    cells = sums[0].by_prompt
    if cells is None:
        return
    n = RATE_METRICS[metric].n
    sides = [side.by_prompt.columns for side in sums if side.by_prompt is not None]
    new = np.array([slices.index(s) if s in slices else -1 for s in sums[0].slices], dtype=np.int64)
    used = np.any([side[n] > 0 for side in sides], axis=0) & (new[cells.slice_index] >= 0)
    shared = shared_cells(cells, used)
    zeros = np.zeros(len(used))
    values = [side.get(name, zeros)[shared.rows] for side in sides for name in columns]
    group = new[cells.slice_index[shared.rows]]
    prompts = np.unique(shared.prompts, return_inverse=True)[1].astype(np.int64)
    of_prompts = [np.bincount(shared.prompt, x, len(prompts)) for x in values]
    of_cells = [[np.bincount(group, x * y, len(slices)) for y in values] for x in values]
    order = np.lexsort((prompts, new[shared.slice]))
    tables = {
        "prompt": [new[shared.slice][order], prompts[order], *(x[order] for x in of_prompts)],
    }
    present = np.unique(group)
    tables["cell"] = [
        np.repeat(present, len(values)),
        np.tile(np.arange(len(values)), len(present)),
        *(np.stack([row[j] for row in of_cells], 1)[present].ravel() for j in range(len(values))),
    ]
    for by, lists in tables.items():
        yield SumsTable(
            metric=metric,
            slices=slices,
            columns=columns,
            rows=tuple(zip(*(_exact(np.asarray(x, dtype=np.float64)) for x in lists), strict=True)),
            against=against,
            by="prompt" if by == "prompt" else "cell",
            repeats=sums[0].repeats,
        )


def _exact(values: FloatArray) -> list[float]:
    """Return sums as Python numbers, whole ones as whole: they are read by people, too."""
    if bool(np.all(np.isfinite(values) & (values == np.floor(values)))):
        integers: list[float] = values.astype(np.int64).tolist()
        return integers
    listed: list[float] = values.tolist()
    return listed


def _percentiles(
    rules: Sequence[Rule], timings: Mapping[str, TimingEvidence], utterances: Mapping[str, int]
) -> Iterator[PercentileTable]:
    for metric, column, share in _percentile_metrics(rules):
        evidence = timings.get(column)
        if evidence is None or evidence.repeats > 1:
            continue  # the spread between repeats is not in these rows
        keys = _kept(rules, metric, evidence.values.slices)
        statistics = (_order_statistics(evidence.values, key, share) for key in keys)
        slices = tuple(
            replace(item, utterances=utterances.get(item.slice, item.values))
            for item in statistics
            if item is not None
        )
        yield PercentileTable(metric=metric, share=share, slices=slices)


def _percentile_pairs(
    rules: Sequence[Rule], against: Against, values: Mapping[str, PairedValues]
) -> Iterator[PercentileTable]:
    for metric, column, share in _percentile_metrics(rules):
        pairs = values.get(column)
        if pairs is None:
            continue
        keys = _kept(rules, metric, pairs.candidate.slices)
        statistics = (_paired_statistics(pairs, key, share) for key in keys)
        slices = tuple(item for item in statistics if item is not None)
        yield PercentileTable(
            metric=metric,
            share=share,
            slices=slices,
            against=against,
            repeats=pairs.candidate.repeats,
        )


def _percentile_metrics(rules: Sequence[Rule]) -> Iterator[tuple[str, str, float]]:
    """Yield (metric, column of measurements, share) of each percentile, once."""
    for metric in dict.fromkeys(rule.metric for rule in rules):
        base, statistic = split_metric(metric)
        if statistic in PERCENTILES:
            yield metric, column_of(base), PERCENTILES[statistic]


def _kept(rules: Sequence[Rule], metric: str, slices: Sequence[str]) -> list[str]:
    patterns = {rule.slice for rule in rules if rule.metric == metric}
    return [key for key in slices if any(matches(pattern, key) for pattern in patterns)]


def _order_statistics(values: SliceValues, key: str, share: float) -> OrderStatistics | None:
    slice_ = ordered_slice(values, values.slices.index(key), "cluster")
    if not len(slice_.values):
        return None
    point = slice_.point(share)
    return _statistics(
        key,
        slice_.values,
        point.value,
        (slice_.sizes, point.exceeding),
        order_ranks(share, slice_.sizes, point.exceeding),
    )


def _paired_statistics(pairs: PairedValues, key: str, share: float) -> OrderStatistics | None:
    systems = [_values(values, key) for values in (pairs.candidate, pairs.baseline)]
    if not all(len(slice_.values) for slice_, _ in systems):
        return None
    clusters = np.union1d(systems[0][1], systems[1][1])
    points = [slice_.point(share) for slice_, _ in systems]
    counts = [
        (aligned(slice_.sizes, numbers, clusters), aligned(point.exceeding, numbers, clusters))
        for (slice_, numbers), point in zip(systems, points, strict=True)
    ]
    repeats = pairs.candidate.repeats
    ranks = paired_ranks(share, counts[0], counts[1], repeats)
    here, base = (
        _statistics(key, systems[i][0].values, points[i].value, counts[i], ranks[i])
        for i in range(2)
    )
    here, base = (replace(side, utterances=distinct(side.values, repeats)) for side in (here, base))
    return replace(here, other=base)


def _values(values: SliceValues, key: str) -> tuple[OrderedValues, IntArray]:
    """Return a slice's measurements and its clusters, none where there is no such slice."""
    i = values.slices.index(key) if key in values.slices else len(values.slices)
    first, end = np.searchsorted(values.slice_index, [i, i + 1]).tolist()
    return ordered_slice(values, i, "cluster"), np.unique(values.cluster_index[first:end])


def _statistics(
    key: str, values: FloatArray, value: float, counts: Counts, ranks: Ranks
) -> OrderStatistics:
    low, high = (None if rank is None else float(values[rank - 1]) for rank in ranks)
    return OrderStatistics(
        slice=key,
        value=value,
        values=len(values),
        utterances=len(values),
        rows=tuple(zip(_exact(counts[0]), _exact(counts[1]), strict=True)),
        low_rank=ranks[0],
        low=low,
        high_rank=ranks[1],
        high=high,
    )
