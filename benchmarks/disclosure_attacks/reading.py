"""What a reader of shared numbers holds in hand: counts and rates as intervals, by slice."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.disclosure_attacks.populations import Cell
from relkit.core.slices import slice_parts
from relkit.disclosure.types import AllButFewer, Disclosed, FewerThan, ShownBand, ShownRate

Interval = tuple[float, float]

OTHER = "(other)"

TAIL = 10
"""Values beyond a percentile, by the rule; so it says how many there are at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one document says: between which counts, and rates, each slice lies.

    ``rates`` and ``events`` are by metric and slice; ``few`` and ``most`` are those that read
    "fewer than k", and "all but fewer than k". ``hours`` is the window.
    """

    people: Mapping[Cell, Interval]
    turns: Mapping[Cell, Interval]
    rates: Mapping[tuple[str, Cell], Interval] = field(default_factory=dict)
    events: Mapping[tuple[str, Cell], Interval] = field(default_factory=dict)
    few: frozenset[tuple[str, Cell]] = frozenset()
    most: frozenset[tuple[str, Cell]] = frozenset()
    hours: tuple[int, int] = (0, 1)


def cell_of(key: str) -> Cell:
    """Return the slice that a key such as ``lang=de&noise=(other)`` names."""
    return tuple(sorted(slice_parts(key)))


def read(shown: Disclosed, hours: tuple[int, int] = (0, 1)) -> Reading:
    """Return what is read out of shown cells and percentiles, with the rules in mind.

    "Fewer than 10" may also be many events of two people, so it bounds nothing; a rate is at most
    half a step off; a percentile has ten values beyond it.
    """
    people, turns, rates, events = {}, {}, {}, {}
    for cell in shown.cells:
        key = cell_of(cell.slice)
        people[key] = (float(cell.people[0]), float(cell.people[1]))
        turns[key] = (float(cell.utterances[0]), float(cell.utterances[1]))
        for name, metric in cell.metrics.items():
            if isinstance(metric, ShownRate):
                half = metric.step / 2 + 1e-9
                rates[name, key] = (max(0.0, metric.value - half), min(1.0, metric.value + half))
            elif isinstance(metric, ShownBand):
                events[name, key] = (float(metric.events[0]), float(metric.events[1]))
    for percentile in shown.percentiles:
        key = cell_of(percentile.slice)
        if percentile.value is not None and key in turns:
            tail = min(percentile.percentile, 100 - percentile.percentile)
            low, high = turns[key]
            # Between two values it may be: then it is the rank below that has ten beyond it.
            turns[key] = (max(low, float((TAIL - 1) * 100 // tail + 2)), high)
    texts = [
        (metric, (name, cell_of(cell.slice)))
        for cell in shown.cells
        for name, metric in cell.metrics.items()
    ]
    return Reading(
        people=people,
        turns=turns,
        rates=rates,
        events=events,
        few=frozenset(key for metric, key in texts if isinstance(metric, FewerThan)),
        most=frozenset(key for metric, key in texts if isinstance(metric, AllButFewer)),
        hours=hours,
    )
