"""Sufficient statistics per slice and cluster: all that intervals of rates need."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSums:
    """Sums of result columns per (slice, cluster), one row each, sorted by slice.

    ``slices`` names the S slices; ``slice_index`` (R,) says which slice a row belongs to, in
    ascending order; ``cluster_index`` (R,) is the same number for the same cluster in every slice;
    ``columns`` maps a name (``errors``, ``words`` …) to its sums (R,).
    """

    slices: tuple[str, ...]
    slice_index: IntArray
    cluster_index: IntArray
    columns: Mapping[str, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceValues:
    """Single measurements (latencies) per slice, for percentiles.

    Rows are sorted by slice, then by value: ``slice_index`` (R,), ``cluster_index`` (R,) with the
    numbering of :class:`ClusterSums`, ``values`` (R,) finite.
    """

    slices: tuple[str, ...]
    slice_index: IntArray
    cluster_index: IntArray
    values: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedSums:
    """The sums of two systems over the same utterances, row by row the same slice and cluster.

    ``candidate`` and ``baseline`` share slices, ``slice_index`` and ``cluster_index``. An utterance
    counts only where both have a score; where the baseline failed it counts as perfect
    (rules.md section 4). ``clusters`` is how many clusters there are in all, numbered from 0.
    """

    candidate: ClusterSums
    baseline: ClusterSums
    clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedValues:
    """Single measurements of two systems over the same utterances, as :class:`SliceValues` each.

    Only utterances that both have a value for are in it.
    """

    candidate: SliceValues
    baseline: SliceValues
