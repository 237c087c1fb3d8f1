"""How the turns of units are counted in one pass: several counts side by side in one number.

Four counts of thirteen bits fit into what a double holds exactly, so that one sum adds up a time
with three percentiles. Overflow is looked for, and wider places are taken where a unit needs them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from relkit.canary.types import CAP
from relkit.core.arrays import IntArray

INTERRUPTED = "coalesce(outcome = 'interrupted', FALSE)"
"""The condition of a turn that the user spoke over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnCount:
    """Counts that one expression gives of a turn: ``sql`` of the number that each field adds."""

    fields: tuple[str, ...]
    sql: Callable[[Sequence[float]], str]


def _double(number: float) -> str:
    """Return a whole number as SQL of a double: without an exponent it would be a decimal."""
    return f"{number:.0f}e0"


def event_sql(counts: str | None, event: str, weights: Sequence[float]) -> str:
    """Return what a turn adds: that it counts, where not every turn does, and that it is one."""
    if counts is None:
        return f"CASE WHEN {event} THEN {_double(weights[0])} ELSE 0e0 END"
    turn, both = _double(weights[0]), _double(weights[0] + weights[1])
    return f"CASE WHEN NOT {counts} THEN 0e0 WHEN {event} THEN {both} ELSE {turn} END"


def tail_sql(
    time: str, silent: str, held: str | None, limits: Sequence[str], weights: Sequence[float]
) -> str:
    """Return what a turn adds: that it counts, and for each percentile that it is slower.

    The commonest case stands first: a turn that was answered in time is looked at once.
    """
    counts, *levels = weights
    sums = [counts + sum(levels[:i]) for i in range(len(levels) + 1)]
    within = " ".join(
        f"WHEN {time} <= {limit} THEN {_double(total)}"
        for limit, total in zip(limits[1:], sums[1:], strict=False)
    )
    quiet = f"WHEN NOT ({silent}) AND {time} <= {limits[0]} THEN {_double(sums[0])}"
    absent = f"WHEN {time} IS NULL AND (NOT ({silent}) OR {INTERRUPTED}) THEN 0e0"
    before = "" if held is None else f"WHEN NOT ({held}) THEN 0e0"
    worst = f"WHEN {silent} THEN {_double(sums[-1])}"
    return f"CASE {before} {quiet} {absent} {worst} {within} ELSE {_double(sums[-1])} END"


def packed_counts(
    counts: Sequence[TurnCount], bits: int
) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """Return the numbers to add up, and where in them each field stands: (number, place)."""
    per = 52 // bits
    terms: list[list[str]] = []
    places: dict[str, tuple[int, int]] = {}
    used = per
    for counted in counts:
        left = list(counted.fields)
        while left:
            if used == per or (used + len(left) > per >= len(left)):
                terms.append([])
                used = 0
            chunk = left[: per - used]
            weights = [0.0] * len(counted.fields)
            for i, name in enumerate(chunk):
                places[name] = (len(terms) - 1, used + i)
                weights[counted.fields.index(name)] = float(1 << bits * (used + i))
            terms[-1].append(counted.sql(weights))
            used += len(chunk)
            left = left[len(chunk) :]
    return [" + ".join(parts) for parts in terms], places


def capped_counts(
    turns: IntArray, events: IntArray, *, per_unit: bool
) -> tuple[IntArray, IntArray]:
    """Return the turns and events of units, at most 63, in proportion; or whether there is any."""
    if per_unit:
        return np.minimum(turns, 1), np.minimum(events, 1)
    held = np.where(turns > CAP, -(-events * CAP // np.maximum(turns, 1)), events)
    return np.minimum(turns, CAP), held
