"""The rules that bands, grids, pools, commitments and keys replaced, so that attacks can succeed.

Each is what is usual: leave out cells of fewer than k people and round what is left.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.disclosure_attacks.populations import Cell, cells_of, in_cell
from benchmarks.disclosure_attacks.reading import Reading
from relkit.disclosure.types import WindowTurns

STEP = 0.001
"""A rate with one decimal of a percent."""


def spread(count: int, base: int) -> tuple[float, float]:
    """Return which counts round to the same multiple of ``base``; 1 rounds nothing."""
    rounded = base * round(count / base)
    half = base // 2
    return float(max(0, rounded - half)), float(rounded + half)


def rounded_counts(
    turns: WindowTurns,
    crossed: tuple[str, str] | None,
    *,
    k: int,
    base: int,
    hours: tuple[int, int] = (0, 1),
) -> Reading:
    """Show every slice of at least k people, counts rounded, rates at 0.1 point.

    Events of fewer than k are left out, too; nothing is pooled.
    """
    people, counts, rates = {}, {}, {}
    for cell in cells_of(turns, crossed):
        used = in_cell(turns, cell)
        persons, total = len(np.unique(turns.persons[used])), int(used.sum())
        if persons < k:
            continue
        people[cell] = spread(persons, base)
        counts[cell] = spread(total, base)
        for name, flag in turns.flags.items():
            events, measured = int((flag[used] == 1).sum()), int((flag[used] >= 0).sum())
            if events >= k:
                value = round(events / measured, 3)
                rates[name, cell] = (max(0.0, value - STEP / 2), min(1.0, value + STEP / 2))
    return Reading(people=people, turns=counts, rates=rates, hours=hours)


def plain_percentile(values: NDArray[np.float64], percentile: int) -> float:
    """Return a percentile with no regard to who or how many lie beyond it."""
    return float(np.percentile(values, percentile, method="inverted_cdf"))


def plain_page(turns: WindowTurns, crossed: tuple[str, str] | None, k: int) -> str:
    """Return a page that is drawn from the data: turns and events of every slice of k people."""
    rows = []
    for cell in cells_of(turns, crossed):
        used = in_cell(turns, cell)
        if len(np.unique(turns.persons[used])) >= k:
            counts = [
                int(used.sum()),
                *(int((flag[used] == 1).sum()) for flag in turns.flags.values()),
            ]
            rows.append("<tr>" + "".join(f"<td>{count}</td>" for count in counts) + "</tr>")
    return f"<table>{''.join(rows)}</table>"


def plain_digest(table: Mapping[str, int]) -> str:
    """Return the SHA-256 of a table as evidence is digested elsewhere: sorted JSON."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def plain_pseudonym(column: str, value: str) -> str:
    """Return a pseudonym by hash without a key."""
    return f"{column}-{hashlib.sha256(value.encode()).hexdigest()[:4]}"


def ranks(names: Sequence[str]) -> dict[str, int]:
    """Return the number of each cluster: the rank of its name."""
    return {name: number for number, name in enumerate(sorted(names))}


def hidden_cells(reading: Reading, universe: Sequence[Cell]) -> list[Cell]:
    """Return the slices that a document shows nothing of."""
    return [cell for cell in universe if cell not in reading.turns]
