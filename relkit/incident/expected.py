"""How many events were to be expected, from the days before: by hour, weekend and slice.

A log-linear model of main effects, fitted by proportional fitting (Deming and Stephan 1940;
Bishop, Fienberg and Holland 1975, chapter 3): each factor in turn is set to what makes its margin
fit, shrunk towards 1 by ``SHRINK`` expected events, so that a value with little data has no
opinion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import Codes, FloatArray, IntArray
from relkit.core.values import moment
from relkit.incident.types import BIN_S, IncidentCounts

SHRINK = 8.0
"""Expected events that a factor is shrunk by (docs/incidents.md)."""

BINS_OF_HOUR = 3600 // BIN_S
_HOURS = 24
_SATURDAY = 5
_MOST_SWEEPS = 12
_CLOSE = 0.005
_MOST_RATE = 0.98

Mask = NDArray[np.bool_]


def part_of(counts: IncidentCounts, mask: Mask) -> IncidentCounts:
    """Return the cells of a mask."""

    def codes(columns: Mapping[str, Codes]) -> dict[str, Codes]:
        return {name: Codes(column.codes[mask], column.names) for name, column in columns.items()}

    return replace(
        counts,
        bins=counts.bins[mask],
        columns=codes(counts.columns),
        releases=codes(counts.releases),
        turns=counts.turns[mask],
        measured={name: values[mask] for name, values in counts.measured.items()},
        events={name: values[mask] for name, values in counts.events.items()},
        sums={name: values[mask] for name, values in counts.sums.items()},
    )


def hours_of(counts: IncidentCounts) -> IntArray:
    """Return the UTC hour of day of each cell."""
    start = moment(counts.start)
    first = start.hour * BINS_OF_HOUR + start.minute * 60 // BIN_S
    return (counts.bins + first) // BINS_OF_HOUR % _HOURS


def weekend_of(counts: IncidentCounts) -> IntArray:
    """Return 1 for each cell of a Saturday or Sunday (UTC), else 0."""
    start = moment(counts.start)
    hours = (counts.bins * BIN_S + start.hour * 3600 + start.minute * 60) // 3600
    return np.asarray((hours // _HOURS + start.weekday()) % 7 >= _SATURDAY, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRate:
    """A rate by hour of day and slice columns: ``base`` times a factor for each of them.

    ``weekend`` is the factor of working days, and that of Saturdays and Sundays.
    """

    base: float
    hours: FloatArray
    weekend: FloatArray
    factors: Mapping[str, FloatArray]
    """By column; the last is for turns without a value."""

    def of(self, counts: IncidentCounts) -> FloatArray:
        """Return the rate of each cell, at most 0.98."""
        rate = self.base * self.hours[hours_of(counts)] * self.weekend[weekend_of(counts)]
        for name, factor in self.factors.items():
            rate *= factor[counts.columns[name].codes]
        return np.minimum(rate, _MOST_RATE)


def fit_rate(
    counts: IncidentCounts, measured: IntArray, events: IntArray, columns: Sequence[str]
) -> ExpectedRate | None:
    """Return the rate of a signal in some cells; None where it was not measured in them.

    ``measured`` and ``events`` have a value for each cell of ``counts``.
    """
    total = float(measured.sum())
    if total <= 0:
        return None
    mask = measured > 0
    codes = [hours_of(counts)[mask], weekend_of(counts)[mask]]
    codes += [counts.columns[name].codes[mask].astype(np.int64) for name in columns]
    sizes = [_HOURS, 2, *(len(counts.columns[name].names) + 1 for name in columns)]
    codes = [np.where(code < 0, size - 1, code) for code, size in zip(codes, sizes, strict=True)]
    weights = measured[mask].astype(np.float64)
    seen = events[mask].astype(np.float64)
    # Half an event: what was never seen is rare, and not impossible.
    base = (float(seen.sum()) + 0.5) / (total + 1.0)
    factors = [np.ones(size) for size in sizes]
    margins = [np.bincount(code, seen, size) for code, size in zip(codes, sizes, strict=True)]
    fitted = weights * base
    for _ in range(_MOST_SWEEPS):
        moved = 0.0
        for i, (code, size) in enumerate(zip(codes, sizes, strict=True)):
            without = np.bincount(code, fitted, size) / factors[i]
            factor = (margins[i] + SHRINK) / (without + SHRINK)
            change = factor / factors[i]
            factors[i] = factor
            fitted *= change[code]
            moved = max(moved, float(np.abs(change - 1.0).max()))
        scale = (float(seen.sum()) + 0.5) / float(fitted.sum())
        base *= scale
        fitted *= scale
        if moved < _CLOSE:
            break
    return ExpectedRate(
        base=base,
        hours=factors[0],
        weekend=factors[1],
        factors=dict(zip(columns, factors[2:], strict=True)),
    )
