"""The bets of the library over all triggers and looks at once, and held against it.

Histograms of one metric are dense: (looks, 21, 2, cells), the overall trigger first, then 20
slices, cumulative within a step. Each evaluation compares some of its capitals with those of the
library, to 1e-9: the tables are about the code that decides.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.canary_quality.worlds import METRICS, SLICES, Sessions
from relkit.core.arrays import FloatArray, IntArray
from relkit.statistics.bets import (
    SHRINKAGE,
    THETA_WEIGHTS,
    THETAS,
    control_rate,
    log_odds_paid,
    pooled_rate,
    step_capitals,
    step_likelihoods,
)
from relkit.statistics.types import UnitCounts

TRIGGERS = len(METRICS) * (1 + SLICES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Turns n and events e of each cell of a histogram, (C,)."""

    turns: IntArray
    events: IntArray


def histograms(sessions: Sessions, looks: IntArray, count: int) -> list[tuple[Cells, IntArray]]:
    """Return the cells and the histogram of each metric, (count, 21, 2, C), not cumulative."""
    counted = looks < count
    place = (looks * SLICES + sessions.slice_index) * 2 + sessions.canary
    tables = []
    for events in sessions.events:
        key = (sessions.turns * 64 + events)[counted]
        keys, cell = np.unique(key, return_inverse=True)
        flat = np.bincount(
            place[counted] * len(keys) + cell, minlength=count * SLICES * 2 * len(keys)
        )
        slices = flat.reshape(count, SLICES, 2, len(keys))
        table = np.concatenate([slices.sum(axis=1, keepdims=True), slices], axis=1)
        tables.append((Cells(turns=keys // 64, events=keys % 64), table))
    return tables


def capitals(
    cells: Cells, table: IntArray, share: float, *, likelihoods: bool = False
) -> FloatArray:
    """Return the log capitals (L, 21, 6) of cumulative histograms (L, 21, 2, C) of one step.

    ``likelihoods``: those that harms are ruled out by.
    """
    units = table.sum(axis=2)
    n, e = cells.turns, cells.events
    turns, events = units @ n, units @ e
    overall = events[:, :1] / np.maximum(turns[:, :1], 1)
    rate = (events + SHRINKAGE * overall) / (turns + SHRINKAGE)
    rate[:, 0] = overall[:, 0]
    spread = units @ (e * e) - 2.0 * rate * (units @ (e * n)) + rate**2 * (units @ (n * n))
    pairs, variance = units @ (n * (n - 1)), rate * (1.0 - rate)
    rho = (spread / np.where(variance > 0, variance, 1.0) - turns) / np.maximum(pairs, 1)
    rho = np.where((pairs > 0) & (variance > 0), np.clip(rho, 0.0, 1.0), 0.0)
    alike = 1.0 + (n - 1) * rho[..., None]
    x = (e - rate[..., None] * n) / alike
    result = np.empty((*rate.shape, len(THETAS)))
    for b, theta in enumerate(THETAS):
        z = x * math.log(theta)
        if likelihoods:
            lost = np.log1p(control_rate(rate, share, np.array(theta)) * (theta - 1.0))
            z = (e * math.log(theta) - n * lost[..., None]) / alike
        result[..., b] = (table[:, :, 1] * z - units * log_odds_paid(z, share)).sum(axis=-1)
    both = table.sum(axis=-1).min(axis=-1) > 0
    result[~both] = 0.0
    _held(cells, table, share, result, step_likelihoods if likelihoods else step_capitals)
    return result


def _held(
    cells: Cells,
    table: IntArray,
    share: float,
    result: FloatArray,
    library: Callable[..., FloatArray],
) -> None:
    """Raise AssertionError where the library says something else about a few of the triggers."""
    look = len(table) // 2
    overall = pooled_rate(_counts(cells, table[look, 0]))
    for trigger in {0, (1 + look % SLICES) % table.shape[1]}:
        toward = overall if trigger else None
        said = library(_counts(cells, table[look, trigger]), share, toward=toward)
        np.testing.assert_allclose(result[look, trigger], said, rtol=1e-9, atol=1e-9)


def _counts(cells: Cells, table: IntArray) -> UnitCounts:
    arms, place = np.nonzero(table)
    return UnitCounts(
        canary=arms == 1,
        turns=cells.turns[place],
        events=cells.events[place],
        units=table[arms, place],
    )


def log_evidences(logs: FloatArray) -> FloatArray:
    """Return ln sum w exp(l) over the last axis (…, 6)."""
    weighted = logs + np.log(np.array(THETA_WEIGHTS))
    most = weighted.max(axis=-1)
    return np.asarray(most + np.log(np.exp(weighted - most[..., None]).sum(axis=-1)))


def policy(logs: FloatArray) -> FloatArray:
    """Return the evidence of the policy from log evidences (…, 6, 21), as it spends its stake."""
    held = np.exp(np.minimum(logs, 500.0))
    return np.asarray(0.5 * held[..., 0].mean(axis=-1) + 0.5 * held[..., 1:].mean(axis=(-1, -2)))
