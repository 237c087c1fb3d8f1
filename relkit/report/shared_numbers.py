"""The numbers that may leave the team: each on its grid, with its basis in bands.

What is of fewer than k people, or of nobody knows how many, is no number at all; what may be
counted and not shown as a rate says why in words (docs/privacy.md, section "CI").
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.core.config import Privacy
from relkit.core.metrics import metric_of
from relkit.core.slices import slice_parts
from relkit.core.wording import count
from relkit.disclosure.counts import Holdings
from relkit.disclosure.names import TENANT, is_name, shared_values
from relkit.disclosure.numbers import band_of, grid_value, rate_step, shown_rate
from relkit.disclosure.thresholds import (
    MIN_EVENT_PEOPLE,
    MIN_UTTERANCES,
    dominated,
    enough,
    fewest_people,
)
from relkit.disclosure.types import Subjects
from relkit.gate.types import SumsTable
from relkit.report.types import NOT_SHARED, SharedNumber
from relkit.statistics.rates import RateMetric
from relkit.statistics.types import ClusterSums

NO_INTERVAL = "no interval"
BEYOND = "its interval ends beyond 100 %"
NO_RATE = "a mean or a sum, which is not shown"
OF_FEW = "not shown: one or two people make most of it"
"""Why a number that may be counted is not shown; what is of too few events says so instead."""

Registered = Mapping[str, tuple[str, ...]]
"""The values that each slice column of a dataset was locked with."""

SummedCell = Mapping[str, FloatArray]
"""The sums of one metric in one slice, by column: a value per cluster."""

_TAIL_VALUES = 10
_TAIL_PEOPLE = 5
_NO_PERSON = frozenset({"utterance", ""})
"""Clusters that are no people: of how many the numbers are, nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What relkit.yaml lets leave the team; ``registered`` maps a run to its locked values."""

    privacy: Privacy
    registered: Mapping[str, Registered] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """By what rules the numbers of one run are shown; ``k`` is 1 where they are of no people."""

    k: int
    people: bool
    names: Mapping[str, frozenset[str]]

    def named(self, key: str) -> str:
        """Return what a slice is called outside: itself, or what its columns may be called."""
        parts = slice_parts(key)
        if all(
            column != TENANT and is_name(column) and is_name(value) and value in self.values(column)
            for column, value in parts
        ):
            return key
        return "&".join(
            f"{column}={NOT_SHARED}" if column in self.names and is_name(column) else NOT_SHARED
            for column, _ in parts
        )

    def values(self, column: str) -> frozenset[str]:
        """Return the values of a column that have a name outside."""
        return self.names.get(column, frozenset())


def scope_of_run(
    sharing: Sharing, run: str, subjects: Subjects | None, cluster: str | None
) -> Scope:
    """Return the rules for a run; the people of one that does not say what clusters are count 0."""
    privacy = sharing.privacy
    of_people = subjects not in {"public", "synthetic"}
    return Scope(
        k=fewest_people(privacy.profile, "user") if of_people else 1,
        people=not of_people or (cluster or "") not in _NO_PERSON,
        names=shared_values(privacy.share, sharing.registered.get(run, {})),
    )


def shared_name(name: str) -> str:
    """Return the name of a policy, suite or dataset where its form may be shared."""
    return name if is_name(name) else NOT_SHARED


def holdings_of(amounts: FloatArray) -> Holdings:
    """Return what is summed in one cell and who holds it, of a value per person."""
    ordered = np.sort(np.rint(amounts).astype(np.int64))[::-1]
    first, second = (ordered[i : i + 1] if len(ordered) > i else np.zeros(1, int) for i in (0, 1))
    total, people = np.array([ordered.sum()]), np.array([np.count_nonzero(ordered)])
    return Holdings(total=total, people=people, largest=first, second=second)


def _band(amount: int, what: str) -> str:
    if amount < band_of(MIN_UTTERANCES)[0]:
        return f"fewer than {MIN_UTTERANCES} {what}"
    low, high = band_of(amount)
    return f"{count(low)} to {count(high)} {what}"


def basis_of(cell: SummedCell, metric: RateMetric, scope: Scope) -> str | None:
    """Return in bands how much is in a cell; None where it may not be shown."""
    units = holdings_of(cell[metric.n])
    utterances = round(float(cell[metric.utterances].sum()))
    if scope.k > 1 and not (
        scope.people and utterances >= MIN_UTTERANCES and bool(enough(units, scope.k)[0])
    ):
        return None
    people = _band(int(units.people[0]), "speakers")
    return f"{people}, {_band(utterances, 'utterances')}"


def _few(events: FloatArray, scope: Scope) -> bool:
    """Return whether events are so few, or of so few, that they read as fewer than k."""
    of_events = holdings_of(events)
    return int(of_events.total[0]) < scope.k or int(of_events.people[0]) < MIN_EVENT_PEOPLE


def missing_rate(cell: SummedCell, metric: RateMetric, scope: Scope, side: str = "") -> str | None:
    """Return in words why a rate may not be shown as one; None where it may."""
    if len(metric.columns) != 2 or metric_of(metric.name).unit != "fraction":  # noqa: PLR2004
        return NO_RATE
    if scope.k == 1:
        return None
    events, units = (cell[side + name] for name in metric.columns)
    if _few(events, scope):
        return f"fewer than {scope.k} events"
    if metric.bounded and _few(units - events, scope):
        return f"all but fewer than {scope.k}"
    return OF_FEW if bool(dominated(holdings_of(events))[0]) else None


RateEnds = tuple[float | None, float | None, float | None]
"""A value with the low and high end of its interval."""


def rate_on_grid(ends: RateEnds, basis: str = "-") -> SharedNumber:
    """Return a rate on its grid with the ends of its interval; without one it is not shown."""
    value, low, high = ends
    if value is None or low is None or high is None or not 0 <= low <= value <= high:
        return SharedNumber(basis=basis, missing=NO_INTERVAL)
    if high > 1:
        return SharedNumber(basis=basis, missing=BEYOND)
    shown = shown_rate(value, low, high)
    return SharedNumber(value=shown.value, low=shown.low, high=shown.high, basis=basis)


def change_on_grid(ends: RateEnds, basis: str = "-") -> SharedNumber:
    """Return a difference of two rates on the grid of rates from -1 to 1; 0 lies on it."""
    value, low, high = ends
    if value is None or low is None or high is None or not -1 <= low <= value <= high <= 1:
        return SharedNumber(basis=basis, missing=NO_INTERVAL)
    shown = shown_rate(*((1 + end) / 2 for end in (value, low, high)))
    if not (0.5 / shown.step).is_integer():  # no difference would stand between two steps
        step = rate_step((high - low) / 2)
        value = round(value / step) * step
        low = max(-1.0, math.floor(round(min(low, value - step) / step, 9)) * step)
        high = min(1.0, math.ceil(round(max(high, value + step) / step, 9)) * step)
        return SharedNumber(
            value=round(value, 9), low=round(low, 9), high=round(high, 9), basis=basis
        )
    value, low, high = (round(2 * end - 1, 9) for end in (shown.value, shown.low, shown.high))
    return SharedNumber(value=value, low=low, high=high, basis=basis)


def shared_rate(
    ends: RateEnds, cell: SummedCell, metric: RateMetric, scope: Scope
) -> SharedNumber | None:
    """Return a rate of what is summed in a cell; None where it is of too few people."""
    basis = basis_of(cell, metric, scope)
    if basis is None:
        return None
    missing = missing_rate(cell, metric, scope)
    return (
        rate_on_grid(ends, basis)
        if missing is None
        else SharedNumber(unit=metric_of(metric.name).unit, basis=basis, missing=missing)
    )


def shared_percentile(
    value: float, values: FloatArray, above: FloatArray, unit: str, scope: Scope
) -> SharedNumber | None:
    """Return a percentile on its grid; None where it or its tail is of too few people.

    ``values`` and ``above`` (C,) count the measurements by cluster, and those beyond it.
    """
    units, tail = holdings_of(values), holdings_of(np.floor(above))
    beyond = int(tail.total[0])
    thick = (
        beyond >= _TAIL_VALUES
        and int(tail.people[0]) >= _TAIL_PEOPLE
        and 2 * int(tail.largest[0]) <= beyond
    )
    if scope.k > 1 and not (scope.people and bool(enough(units, scope.k)[0]) and thick):
        return None
    people = _band(int(units.people[0]), "speakers")
    basis = f"{people}, {_band(int(units.total[0]), 'measurements')}"
    return SharedNumber(value=grid_value(value), unit=unit, basis=basis)


def summed_cell(sums: ClusterSums, key: str, metric: RateMetric) -> SummedCell | None:
    """Return the sums in a slice, of one asking; None where those of the metric are not there."""
    if key not in sums.slices or not all(name in sums.columns for name in metric.needs):
        return None
    rows = sums.slice_index == sums.slices.index(key)
    return {name: column[rows] / sums.repeats for name, column in sums.columns.items()}


OTHER_RUN = "other "
"""Before the name of a column: the sums of the run that a candidate is compared with."""


def tabled_sums(table: SumsTable) -> ClusterSums:
    """Return the sums that a decision rests on, those of the other run as further columns."""
    names = list(table.columns)
    if table.against is not None:
        names += [OTHER_RUN + name for name in table.columns]
    rows = np.array(sorted(table.rows), dtype=np.float64).reshape(len(table.rows), len(names) + 2)
    return ClusterSums(
        slices=table.slices,
        slice_index=rows[:, 0].astype(np.int64),
        cluster_index=rows[:, 1].astype(np.int64),
        columns=dict(zip(names, rows[:, 2:].T, strict=True)),
        repeats=table.repeats,
    )
