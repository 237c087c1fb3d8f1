"""Who has to be in a number before it is shown: enough people, none of whom makes most of it.

k is the fewest people of a cell; the rule against dominating people is the p-% rule of statistical
disclosure control beside an (n, k) rule for the two largest (Hundepool et al. 2012, "Statistical
Disclosure Control", chapter 4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from relkit.core.arrays import IntArray
from relkit.core.config import Profile
from relkit.core.slices import OVERALL
from relkit.disclosure.counts import Holdings, PersonSums, holdings
from relkit.disclosure.inversion import untold_rate
from relkit.disclosure.numbers import band_of
from relkit.disclosure.types import AllButFewer, FewerThan, ShownBand, ShownMetric
from relkit.statistics.intervals import BOUNDED, RateEvidence, estimate_rates
from relkit.statistics.rates import RATE_METRICS, RateMetric, Sums
from relkit.statistics.types import BoolArray, ClusterSums

K_BY_PROFILE: Final[Mapping[Profile, int]] = MappingProxyType({"default": 10, "health": 11})

K_OF_SESSIONS: Final = 50
"""Where sessions stand for people: a judgement, since a person can have several."""

MIN_UTTERANCES: Final = 10

MIN_EVENT_PEOPLE: Final = 3
"""Events of fewer people are not told apart from none."""


def fewest_people(profile: Profile, unit: Literal["user", "session"]) -> int:
    """Return k, the fewest people (or sessions) of a cell."""
    return K_OF_SESSIONS if unit == "session" else K_BY_PROFILE[profile]


def dominated(held: Holdings) -> BoolArray:
    """Return per cell (C,) whether one or two people make most of what is summed in it.

    The two largest hold more than 90 %, or (total - two largest) / largest is under 0.10: then the
    second largest could tell the largest within a tenth. Compared in whole numbers.
    """
    two = held.largest + held.second
    return np.asarray((10 * two > 9 * held.total) | (10 * (held.total - two) < held.largest))


def enough(held: Holdings, k: int) -> BoolArray:
    """Return per cell (C,) whether turns of at least k people are in it, 10, and none dominates."""
    return np.asarray(
        (held.people >= k) & (held.total >= MIN_UTTERANCES) & ~dominated(held), dtype=np.bool_
    )


def few_events(held: Holdings, k: int) -> BoolArray:
    """Return per cell (C,) whether its events are fewer than k, or of fewer than 3 people."""
    return np.asarray((held.total < k) | (held.people < MIN_EVENT_PEOPLE), dtype=np.bool_)


def _event_rate(sums: Sums) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    measured = sums["measured"]
    rate = np.full(np.shape(measured), np.nan)
    np.divide(sums["events"], measured, out=rate, where=measured > 0)
    return rate


EVENT_RATE: Final[RateMetric] = replace(
    RATE_METRICS["failure_rate"],
    columns=("events", "measured"),
    function=_event_rate,
    n="measured",
    utterances="measured",
)
"""Turns that are an event, of those measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricTotals:
    """A metric in every cell of a column (C,), exact: microdata, never shown."""

    measured: IntArray
    events: IntArray


def shown_metrics(
    sums: PersonSums, metric: str, k: int, overall: MetricTotals | None
) -> tuple[tuple[ShownMetric, ...], MetricTotals]:
    """Return what may be shown of a metric in each cell, and what it was made from.

    A rate needs an interval, clustered by person (:func:`relkit.statistics.intervals
    .estimate_rates`), made from what people differ in; the interval of few events, which is made
    from the person with the most, does not count. ``overall``: the whole window, None where this
    is it.

    - None where fewer than k people or 10 turns were measured, or one or two people hold most of
      what was measured or of the events.
    - :class:`FewerThan` for fewer than k events, and for those of fewer than 3 people;
      :class:`AllButFewer` for the same of turns without an event.
    - :class:`ShownBand` without an interval, or with one that gives the number of turns away
      (:func:`relkit.disclosure.inversion.untold_rate`).
    """
    measured, events = sums.measured[metric], sums.events[metric]
    of_measured, of_events = holdings(sums, measured), holdings(sums, events)
    of_rest = holdings(sums, measured - events)
    passing = enough(of_measured, k)
    few, almost_all = few_events(of_events, k), few_events(of_rest, k)
    lopsided = dominated(of_events)
    totals = MetricTotals(measured=of_measured.total, events=of_events.total)
    names = tuple(OVERALL if overall is None else str(cell) for cell in range(sums.cells))
    estimates = estimate_rates(
        EVENT_RATE,
        RateEvidence(
            sums=ClusterSums(
                slices=names,
                slice_index=sums.cell,
                cluster_index=sums.person,
                columns={
                    "events": events.astype(np.float64),
                    "measured": measured.astype(np.float64),
                },
            )
        ),
    )
    shown: list[ShownMetric] = []
    for cell, estimate in enumerate(estimates):
        if not passing[cell]:
            shown.append(None)
        elif few[cell]:
            shown.append(FewerThan(below=k))
        elif almost_all[cell]:
            shown.append(AllButFewer(above=k))
        elif lopsided[cell]:
            shown.append(None)
        elif (
            estimate.method == BOUNDED
            and estimate.low is not None
            and estimate.high is not None
            and (rate := untold_rate(*_counts(totals, cell), (estimate.low, estimate.high), k))
        ):
            shown.append(rate)
        else:
            higher = _higher_than_rest(totals, cell, overall)
            shown.append(
                ShownBand(
                    events=band_of(int(totals.events[cell])),
                    than_rest="higher" if higher else "not_higher",
                )
            )
    return tuple(shown), totals


def _counts(totals: MetricTotals, cell: int) -> tuple[int, int]:
    return int(totals.events[cell]), int(totals.measured[cell])


def _higher_than_rest(cell_totals: MetricTotals, cell: int, overall: MetricTotals | None) -> bool:
    """Return whether the rate in a cell is above that of all other turns; never of the window."""
    if overall is None:
        return False
    events, measured = _counts(cell_totals, cell)
    other_events = int(overall.events[0]) - events
    other_measured = int(overall.measured[0]) - measured
    return events * other_measured > other_events * measured
