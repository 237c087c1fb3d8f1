"""What disclosure control shows, widens and hides in random windows, and how long it takes.

    python -m benchmarks.disclosure_audit [--windows 200] [--turns 1000000]

People differ in how much they say (log-normal); a window has three columns of six values, of which
one is the person's and the others change by turn, and two metrics. In every second window two
columns are crossed. ``programs tighter``: windows in which linear programs bound some hidden count
tighter than the propagation that a receiver uses; ``pinned by programs alone``: windows in which,
without the audit, they pin a count that propagation does not. Seeds are fixed.
"""

import argparse
import time
from unittest.mock import patch

import numpy as np

from relkit.adapters.linear import HighsBounds
from relkit.core.arrays import FloatArray
from relkit.core.errors import InvalidInput
from relkit.disclosure import disclose as disclosing
from relkit.disclosure.audit import SLACK, Audit, audit_of, excess, outside_view, propagate
from relkit.disclosure.disclose import disclose
from relkit.disclosure.ports import LinearBounds
from relkit.disclosure.types import Disclosed, ShownRate, WindowTurns
from relkit.disclosure.widening import Draft, Widened
from tests.window_data import failing_window, random_window

LEAST, MOST = 50, 5000
FEWEST = 10


def unaudited(draft: Draft, _programs: LinearBounds) -> Widened:
    """Return the cells as thresholds and intervals alone would show them."""
    return Widened(cells=draft.table.cells, widened=0, hidden=draft.hidden)


def ends_of(audit: Audit, programs: LinearBounds) -> FloatArray:
    """Return how far linear programs bound each hidden count (T, 2)."""
    ends = np.empty((len(audit.hidden), 2))
    for place, unknown in enumerate(audit.targets.tolist()):
        for end, sign in enumerate((1.0, -1.0)):
            weights = np.zeros(len(audit.system.lower))
            weights[unknown] = sign
            point = programs.least(audit.system, weights)
            ends[place, end] = np.nan if point is None else point[unknown]
    return ends


def pinned(audit: Audit, ends: FloatArray) -> bool:
    """Return whether bounds pin any hidden count."""
    counts = zip(audit.hidden, ends.tolist(), strict=True)
    return any(excess(count, low, high) > 0 for count, (low, high) in counts)


def view_of(disclosed: Disclosed) -> Audit:
    """Return the system of what is shown, as it is known outside."""
    return audit_of(outside_view(disclosed.cells, FEWEST, disclosed.hidden))


def windows(count: int) -> None:
    """Print what became of random windows."""
    programs = HighsBounds()
    numbers = dict.fromkeys(("windows", "cells", "rates", "widened", "not shown", "refused"), 0)
    tighter = alone = told = left = 0
    for seed in range(count):
        rng = np.random.default_rng(seed)
        people = int(np.exp(rng.uniform(np.log(LEAST), np.log(MOST))))
        turns = random_window(seed, people)
        slices = ["c0", "c1", "c2", *["c0&c1"] * (seed % 2)]
        numbers["windows"] += 1
        with patch.object(disclosing, "widen_until_safe", unaudited):
            before = view_of(disclose(turns, slices=slices, k=FEWEST, linear=programs))
        bounds = propagate(before.system)[before.targets]
        ends = ends_of(before, programs)
        by_bounds, by_programs = pinned(before, bounds), pinned(before, ends)
        told += by_bounds or by_programs
        alone += by_programs and not by_bounds
        moved = (ends[:, 0] > bounds[:, 0] + SLACK) | (ends[:, 1] < bounds[:, 1] - SLACK)
        tighter += bool(moved.any())
        try:
            disclosed = disclose(turns, slices=slices, k=FEWEST, linear=programs)
        except InvalidInput:
            numbers["refused"] += 1
            continue
        after = view_of(disclosed)
        left += pinned(after, ends_of(after, programs))
        shown = [metric for cell in disclosed.cells for metric in cell.metrics.values()]
        numbers["cells"] += len(disclosed.cells)
        numbers["rates"] += sum(isinstance(metric, ShownRate) for metric in shown)
        numbers["widened"] += disclosed.widened
        numbers["not shown"] += disclosed.hidden
    print("  ".join(f"{name} {number}" for name, number in numbers.items()))
    print(f"pinned without the audit: {told} of {count} windows, with it: {left}")
    print(f"programs tighter: {tighter} of {count}, pinned by programs alone: {alone}")


def incidents() -> None:
    """Print in how many incidents the failing value is shown above every other one."""
    right = 0
    for seed in range(10):
        turns = failing_window(seed)
        disclosed = disclose(turns, slices=["accent", "device"], k=FEWEST, linear=HighsBounds())
        rates = {
            cell.slice: cell.metrics["failure"].value
            for cell in disclosed.cells
            if isinstance(cell.metrics["failure"], ShownRate)
        }
        right += max(rates, key=rates.__getitem__) == "accent=scottish"
    print(f"failing slice shown with its rate, above the others: {right} of 10")


def speed(turns: int) -> None:
    """Print how long a large window takes, and what is only audited again."""
    people = turns // 5
    window: WindowTurns = random_window(1, people, columns=5, metrics=4)
    start = time.perf_counter()
    slices = [*window.columns, "c0&c1"]
    disclosed = disclose(window, slices=slices, k=FEWEST, linear=HighsBounds())
    whole = time.perf_counter() - start
    start = time.perf_counter()
    propagate(view_of(disclosed).system)
    again = time.perf_counter() - start
    print(
        f"{len(window):,} turns, {len(window.columns)} columns, {len(window.flags)} metrics: "
        f"{whole:.1f} s; a receiver's check of {len(disclosed.cells)} cells: {again:.2f} s"
    )


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--turns", type=int, default=1_000_000)
    options = parser.parse_args()
    incidents()
    windows(options.windows)
    speed(options.turns)


if __name__ == "__main__":
    main()
