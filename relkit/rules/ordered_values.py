"""Single measurements by slice, in order, for percentiles."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from relkit.rules.cluster_sums import FloatArray, IntArray, SliceValues

_DENSE = 8  # sorting pays off only where numbers are this many times sparser than rows


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingEvidence:
    """Single measurements by slice, and how they hang together.

    ``within``: the same measurements with ``cluster_index`` numbering utterances, of slices that
    hold one cluster only. ``by_repeat``: the same with ``cluster_index`` the repeat, of a run that
    asked more than once. Slices are matched by name.
    """

    values: SliceValues
    within: SliceValues | None = None
    by_repeat: SliceValues | None = None

    @property
    def repeats(self) -> int:
        """How often each utterance was asked."""
        if self.by_repeat is None:
            return 1
        return max(1, len(np.unique(self.by_repeat.cluster_index)))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedValues:
    """The measurements of one slice (R,), ascending, and the part each belongs to.

    ``parts`` (R,) number clusters, or utterances of one cluster, from 0; ``sizes`` (C,) count the
    measurements of each part.
    """

    part: Literal["cluster", "utterance"]
    values: FloatArray
    parts: IntArray
    sizes: FloatArray

    def point(self, share: float) -> "Point":
        """Return the type 7 quantile (Hyndman and Fan 1996), and the values above it by part.

        Values equal to it count as above by the fraction that makes the whole slice's share exactly
        1 - ``share``, so that clocks which tick coarsely do not shift the interval.
        """
        position = (len(self.values) - 1) * share
        before, after = math.floor(position), math.ceil(position)
        gap = float(self.values[after] - self.values[before])
        value = float(self.values[before]) + (position - before) * gap
        tied = int(np.searchsorted(self.values, value, "left"))
        above = int(np.searchsorted(self.values, value, "right"))
        wanted = (1.0 - share) * len(self.values) - (len(self.values) - above)
        fraction = min(1.0, max(0.0, wanted / (above - tied))) if above > tied else 0.0
        count = len(self.sizes)
        exceeding = np.bincount(self.parts[above:], minlength=count).astype(np.float64)
        if fraction:
            exceeding += fraction * np.bincount(self.parts[tied:above], minlength=count)
        return Point(value=value, exceeding=exceeding, tied_fraction=fraction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A percentile of one slice, and by part how many values lie above it."""

    value: float
    exceeding: FloatArray
    tied_fraction: float


def ordered_slices(evidence: TimingEvidence) -> list[OrderedValues]:
    """Return the slices, those of one cluster by utterance where that is known."""
    slices = [
        ordered_slice(evidence.values, i, "cluster") for i in range(len(evidence.values.slices))
    ]
    if evidence.within is not None:
        place = {name: i for i, name in enumerate(evidence.within.slices)}
        for i, name in enumerate(evidence.values.slices):
            if len(slices[i].sizes) == 1 and name in place:
                slices[i] = ordered_slice(evidence.within, place[name], "utterance")
    return slices


def ordered_slice(
    values: SliceValues, i: int, part: Literal["cluster", "utterance"]
) -> OrderedValues:
    """Return slice number ``i``."""
    first, end = np.searchsorted(values.slice_index, [i, i + 1]).tolist()
    parts, sizes = _numbered(values.cluster_index[first:end])
    return OrderedValues(part=part, values=values.values[first:end], parts=parts, sizes=sizes)


def _numbered(clusters: IntArray) -> tuple[IntArray, FloatArray]:
    """Return clusters numbered from 0 without gaps, and how often each occurs."""
    if len(clusters) == 0 or int(clusters.max()) > _DENSE * len(clusters):
        _, parts, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
        return parts, sizes.astype(np.float64)
    sizes = np.bincount(clusters)
    number = np.cumsum(sizes > 0) - 1
    return number[clusters], sizes[sizes > 0].astype(np.float64)
