"""What differs between repeats of a run, for systems that do not answer the same way twice."""

import numpy as np

from relkit.rules.cluster_sums import ClusterSums, FloatArray, IntArray
from relkit.rules.jackknife import group_sum
from relkit.rules.rate_metrics import RateMetric


def between_repeats(
    metric: RateMetric, slices: tuple[str, ...], value: FloatArray, by_repeat: ClusterSums
) -> tuple[FloatArray, FloatArray]:
    """Return the variance of log(metric) between repeats, and how many there are, per slice (S,).

    ``by_repeat`` holds sums by slice and repeat (``cluster_index`` is the repeat), its slices in
    any order; ``value`` (S,) is the metric over all repeats. Where some repeat has no error at all
    its logarithm does not exist: there the variance of the metric over its squared value (the delta
    method) stands for that of the logarithm. A slice that is not in ``by_repeat`` has 0 repeats.
    """
    groups = len(by_repeat.slices)
    used = by_repeat.columns[metric.n] > 0
    group = by_repeat.slice_index[used]
    rates = metric.function({name: by_repeat.columns[name][used] for name in metric.columns})
    positive = rates > 0
    count = np.bincount(group, minlength=groups).astype(np.float64)
    some_zero = group_sum((~positive).astype(np.float64), group, groups) > 0
    logs = variances(np.log(np.where(positive, rates, 1.0)), group, count)
    plain = variances(rates, group, count)
    place = {name: i for i, name in enumerate(by_repeat.slices)}
    at = np.array([place.get(name, groups) for name in slices], dtype=np.int64)
    relative = _at(plain, at) / np.where(value > 0, value, 1.0) ** 2
    return np.where(_at(some_zero, at) > 0, relative, _at(logs, at)), _at(count, at)


def variances(values: FloatArray, group: IntArray, count: FloatArray) -> FloatArray:
    """Return the variance with divisor count - 1 per group (G,), 0 for fewer than two values."""
    mean = group_sum(values, group, len(count)) / np.maximum(count, 1.0)
    squares = group_sum((values - mean[group]) ** 2, group, len(count))
    return np.asarray(squares / np.maximum(count - 1.0, 1.0), dtype=np.float64)


def _at(per_group: np.ndarray[tuple[int], np.dtype[np.generic]], at: IntArray) -> FloatArray:
    """Return the values at positions, 0 for the position behind the last one."""
    return np.append(per_group.astype(np.float64), 0.0)[at]
