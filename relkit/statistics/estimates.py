"""Metrics of an evaluation by slice, with the uncertainty that can honestly be claimed for each.

The steps for a caller: ask an aggregator for :func:`sums_needed` and :func:`timings_needed`, then
hand what came back to :func:`estimate_metrics`.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.core.metrics import STATISTICS, column_of, expand, metric_of, split_metric
from relkit.core.values import Estimate
from relkit.statistics.intervals import RateEvidence, claimed_of, estimate_rates, group_sum
from relkit.statistics.percentiles import TimingEvidence, estimate_percentiles
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.sums import SLICE_COLUMNS, expressions
from relkit.statistics.types import ClusterSums

PERCENTILES: Mapping[str, float] = {"p10": 0.10, "p50": 0.50, "p95": 0.95, "p99": 0.99}


def sums_needed(metrics: Iterable[str]) -> dict[str, str]:
    """Return the sums behind metrics and every slice's counts, name to SQL expression.

    Metrics as a suite names them (``wer``, ``latency_ms``, ``latency_ms.p95``); KeyError for one
    that does not exist.
    """
    names = list(SLICE_COLUMNS)
    for metric in _known(metrics):
        if metric in RATE_METRICS:
            names.extend(RATE_METRICS[metric].needs)
    return expressions(names)


def timings_needed(metrics: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of single measurements that percentiles among the metrics need."""
    bases = {split_metric(metric)[0] for metric in _known(metrics) if metric not in RATE_METRICS}
    return tuple(column_of(name) for name in STATISTICS if name in bases)


def estimate_metrics(
    metrics: Iterable[str], rates: RateEvidence, timings: Mapping[str, TimingEvidence]
) -> dict[str, dict[str, Estimate]]:
    """Return slice to metric to estimate, slices in the order of ``rates.sums.slices``.

    ``timings`` maps a column of :func:`timings_needed` to its measurements; slices are matched by
    name, and one without measurements gets the value None. Metrics come expanded and in order.
    """
    slices = rates.sums.slices
    result: dict[str, dict[str, Estimate]] = {name: {} for name in slices}
    for metric in _known(metrics):
        if metric in RATE_METRICS:
            rate = RATE_METRICS[metric]
            claimed = (claimed_of(rate, estimate) for estimate in estimate_rates(rate, rates))
            estimates = dict(zip(slices, claimed, strict=True))
        else:
            base, statistic = split_metric(metric)
            unit, timing = metric_of(metric).unit, timings[column_of(base)]
            percentiles = estimate_percentiles(PERCENTILES[statistic], timing, unit=unit)
            estimates = dict(zip(timing.values.slices, percentiles, strict=True))
        missing = Estimate(value=None, unit=metric_of(metric).unit, note="no values")
        for name in slices:
            result[name][metric] = estimates.get(name, missing)
    return result


def slice_totals(sums: ClusterSums) -> dict[str, FloatArray]:
    """Return each column summed over clusters (S,), and ``clusters`` with a scored utterance."""
    groups = len(sums.slices)
    totals = {
        name: group_sum(column, sums.slice_index, groups) for name, column in sums.columns.items()
    }
    scored = np.asarray(sums.columns["utterances"] > 0, dtype=np.float64)
    return {**totals, "clusters": group_sum(scored, sums.slice_index, groups)}


def _known(metrics: Iterable[str]) -> tuple[str, ...]:
    names = expand(tuple(metrics))
    for name in names:
        metric_of(name)
    return names
