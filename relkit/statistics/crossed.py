"""Two-way clustering: errors that go with the prompt that was read as well as with the speaker.

Where several clusters read the same prompts, leaving out clusters does not show how an estimate
would move with other prompts. The variance of two ways is (Cameron, Gelbach and Miller 2011,
JBES 29:238)

    V = V_clusters + V_prompts - V_cells        V_prompts = P/(P-1) sum_p u_p^2

a cell being what one cluster said of one prompt, and u = sum_k df/dx_k x_k how far its sums x move
the metric f. A prompt of a single cluster has one cell, which cancels: only shared ones have to be
known. V is never below the larger of V_clusters and V_prompts (docs/method.md, section
"Intervals").
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import FloatArray, IntArray
from relkit.statistics.rates import RateMetric
from relkit.statistics.types import ClusterSums, PromptSums

SHARED = 0.10
"""From this share of a run's utterances on, prompts that several clusters read count as a way of
their own: below it they carry too little of any number."""

FEWEST_PROMPTS = 5
"""Fewer shared prompts are texts of their own, and no sample of prompts."""


LEAST_DF = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpread:
    """How far estimates move with shared prompts, per slice (S,); 0 where none is shared.

    ``added`` is V_prompts - V_cells, which chance can make negative; ``variance`` is V_prompts,
    ``df`` its degrees of freedom (sum u^2)^2 / sum u^4, within 1.5 and P - 1.
    """

    added: FloatArray
    variance: FloatArray
    df: FloatArray

    def scaled(self, factor: FloatArray) -> "PromptSpread":
        """Return the spread of estimates that are ``factor`` (S,) times these."""
        square = factor**2
        return PromptSpread(added=self.added * square, variance=self.variance * square, df=self.df)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCells:
    """Used cells (R,) of prompts that have two at least in their slice: ``rows`` of the cells.

    ``prompt`` (R,) numbers the (slice, prompt) of a row from 0, in that order; ``slice`` and
    ``prompts`` (P,) say which slice and prompt of the run such a number is.
    """

    rows: IntArray
    prompt: IntArray
    slice: IntArray
    prompts: IntArray

    def totals(self, values: FloatArray) -> FloatArray:
        """Return the sum of values of cells per slice and prompt (P,)."""
        return np.bincount(self.prompt, values[self.rows], len(self.slice)).astype(np.float64)

    def squares(self, values: FloatArray, slices: int) -> tuple[FloatArray, FloatArray]:
        """Return the sums of squares of prompts and of cells per slice (S,)."""
        cells = np.bincount(self.prompt, values[self.rows] ** 2, len(self.slice))
        of_prompts, of_cells = (
            np.bincount(self.slice, part, slices).astype(np.float64)
            for part in (self.totals(values) ** 2, cells)
        )
        return of_prompts, of_cells


def are_shared(readers: Iterable[Counter[str]], utterances: int) -> bool:
    """Return whether clusters share as many prompts as count; ``readers`` are those of each."""
    shared = [counts.total() for counts in readers if len(counts) > 1]
    return len(shared) >= FEWEST_PROMPTS and sum(shared) >= SHARED * utterances


def hides_texts(rows: Iterable[tuple[str, str, str]]) -> bool:
    """Return whether texts are shared and the values of a column of prompts are not.

    Rows are (cluster, value, text). A value for each recording, or one for all, would say that no
    text is read twice.
    """
    by_value, by_text = (defaultdict[str, Counter[str]](Counter) for _ in range(2))
    utterances = 0
    for cluster, value, text in rows:
        utterances += 1
        for readers, prompt in ((by_value, value), (by_text, text)):
            if prompt:
                readers[prompt][cluster] += 1
    return not are_shared(by_value.values(), utterances) and are_shared(
        by_text.values(), utterances
    )


def leaves_texts(rows: Iterable[tuple[str, str, str]]) -> bool:
    """Return whether texts are shared, and a column that was chosen does not stand for them.

    Rows are (cluster, value, text). It stands for texts where each of them has one value.
    """
    readers, values = defaultdict[str, Counter[str]](Counter), defaultdict[str, set[str]](set)
    utterances = 0
    for cluster, value, text in rows:
        utterances += 1
        if text:
            readers[text][cluster] += 1
            values[text].add(value)
    several = any(len(of_text) > 1 for of_text in values.values())
    return several and are_shared(readers.values(), utterances)


def shared_cells(cells: PromptSums, used: NDArray[np.bool_]) -> SharedCells:
    """Return which of the ``used`` (R,) cells say how errors go with prompts."""
    rows = np.flatnonzero(used)
    width = int(cells.prompt_index.max(initial=0)) + 1
    number = cells.slice_index[rows] * width + cells.prompt_index[rows]
    _, place, times = np.unique(number, return_inverse=True, return_counts=True)
    shared = times[place] > 1
    of_slice, prompt = np.unique(number[shared], return_inverse=True)
    return SharedCells(
        rows=rows[shared],
        prompt=prompt.astype(np.int64),
        slice=of_slice // width,
        prompts=of_slice % width,
    )


def prompt_spread(
    influence: FloatArray, cells: PromptSums, used: NDArray[np.bool_], slices: int
) -> PromptSpread:
    """Return the spread with the prompts of ``cells`` (R,), each moving the estimate by so much."""
    shared = shared_cells(cells, used)
    prompts = np.bincount(shared.slice, minlength=slices).astype(np.float64)
    correction = np.divide(prompts, prompts - 1.0, out=np.zeros(slices), where=prompts > 1)
    of_prompt = shared.totals(influence)
    largest = np.zeros(slices)
    np.maximum.at(largest, shared.slice, np.abs(of_prompt))
    scale = np.where(largest > 0, largest, 1.0)
    squares = (of_prompt / scale[shared.slice]) ** 2
    fourth = np.bincount(shared.slice, weights=squares**2, minlength=slices)
    df = np.full(slices, np.inf)
    second = np.bincount(shared.slice, weights=squares, minlength=slices)
    np.divide(second**2, fourth, out=df, where=fourth > 0)
    between, within = shared.squares(influence, slices)
    return PromptSpread(
        added=np.where(prompts > 1, correction * between - within, 0.0),
        variance=correction * between,
        df=np.clip(df, LEAST_DF, np.maximum(prompts - 1.0, LEAST_DF)),
    )


def rate_spread(metric: RateMetric, sums: Sequence[ClusterSums]) -> PromptSpread | None:
    """Return the spread of a metric with the prompts, or of its difference between two systems.

    None where no prompts are shared. The cells of two systems are the same, row by row.
    """
    cells = [side.by_prompt for side in sums if side.by_prompt is not None]
    if len(cells) < len(sums):
        return None
    moved = np.zeros(len(cells[0].slice_index))
    used = np.zeros(len(moved), dtype=np.bool_)
    counted = np.any([side.columns[metric.n] > 0 for side in sums], axis=0)
    group, slices = sums[0].slice_index[counted], len(sums[0].slices)
    for side, of_side, sign in zip(sums, cells, (1.0, -1.0), strict=False):
        columns = of_side.columns
        totals = {
            name: np.bincount(group, side.columns[name][counted], slices).astype(np.float64)
            for name in metric.columns
        }
        used |= columns[metric.n] > 0
        for name, slope in metric.slopes(totals).items():
            moved += sign * slope[cells[0].slice_index] * columns[name]
    return prompt_spread(moved, cells[0], used, slices)


def two_way(
    se: FloatArray, df: FloatArray, prompts: PromptSpread | None
) -> tuple[FloatArray, FloatArray]:
    """Return the standard error and degrees of freedom with the prompts beside the clusters.

    df by Satterthwaite (1946) of what clusters show and what prompts add, at most those of
    clusters: no interval is narrower than by clusters alone.
    """
    if prompts is None:
        return se, df
    one_way = se**2
    total = np.maximum(one_way + np.maximum(prompts.added, 0.0), prompts.variance)
    share = np.divide(one_way, total, out=np.ones_like(total), where=total > 0)
    both = 1.0 / (share**2 / df + (1.0 - share) ** 2 / prompts.df)
    return np.sqrt(total), np.minimum(both, df)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonErrors:
    """What pairs of cells of one prompt have in common, per slice (S,).

    ``own`` of differences in errors, which chance can make negative, ``errors`` of the errors of
    both systems; ``prompts`` counts those of all slices.
    """

    own: FloatArray
    errors: FloatArray
    prompts: int


def common_errors(
    difference: FloatArray, errors: FloatArray, cells: PromptSums, slices: int
) -> CommonErrors:
    """Return what the errors of both systems and their ``difference`` (R,) have in common.

    own = P/(P-1) sum_p u_p^2 - sum_cells u^2 of u = D - E (sum D / sum E), and of the errors E
    sum_p E_p^2 - sum_cells E^2. A regression that is the same for all prompts is not in it.
    """
    used = np.ones(len(difference), dtype=np.bool_)
    shared = shared_cells(cells, used)
    group = cells.slice_index[shared.rows]
    extra, both = (
        np.bincount(group, values[shared.rows], slices) for values in (difference, errors)
    )
    rate = np.divide(extra, both, out=np.zeros(slices), where=both > 0)
    centred = difference - rate[cells.slice_index] * errors
    of_prompts, of_cells = shared.squares(errors, slices)
    return CommonErrors(
        own=prompt_spread(centred, cells, used, slices).added,
        errors=of_prompts - of_cells,
        prompts=len(np.unique(shared.prompts)),
    )
