"""Counted turns of eight days with a planted incident, small enough for unit tests."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import Codes
from relkit.incident.diagnosis import Diagnosis, diagnose
from relkit.incident.signals import SHIPPED_SIGNALS
from relkit.incident.types import IncidentCounts, Signal, TriageRead, TriageReport

START = "2026-01-07T00:00:00Z"
BINS, FIRST, WINDOW = 8 * 288, 6 * 288, 6
ONSET = 7 * 288
"""Six days of reference, and an onset in the middle of the two that are searched."""

VALUES: Mapping[str, tuple[str, ...]] = {
    "region": ("ap", "eu", "us"),
    "client": ("ios", "web"),
    "noise": ("cafe", "home"),
}
FAILED = next(signal for signal in SHIPPED_SIGNALS if signal.name == "failed")

Cells = Mapping[str, NDArray[Any]]
Factor = Callable[[Cells], NDArray[Any]]
"""From bin, slice columns (as text) and versions of each cell to a factor."""


def from_onset(cells: Cells) -> NDArray[Any]:
    """Return where it is after the onset."""
    return cells["bin"] >= ONSET


def counted_turns(
    *,
    shares: Mapping[str, Factor] | None = None,
    factor: Factor | None = None,
    traffic: Factor | None = None,
    rate: float = 0.04,
    turns: float = 6.0,
    signals: tuple[Signal, ...] = (FAILED,),
    seed: int = 1,
) -> IncidentCounts:
    """Return counts: ``turns`` in five minutes and cell, of which ``rate`` fail, by Poisson.

    ``shares`` has the share of version "2" by component, "1" has the rest. ``factor`` multiplies
    the rate and ``traffic`` the turns, by cell.
    """
    rng = np.random.default_rng(seed)
    shares = shares or {}
    keys = list(product(*VALUES.values(), *(("1", "2") for _ in shares)))
    size = len(keys)
    cells: dict[str, NDArray[Any]] = {"bin": np.repeat(np.arange(BINS), size)}
    for i, name in enumerate((*VALUES, *shares)):
        cells[name] = np.tile(np.array([key[i] for key in keys]), BINS)
    expected = np.full(BINS * size, turns) * np.where(cells["region"] == "ap", 0.5, 1.0)
    if traffic is not None:
        expected = expected * traffic(cells)
    for name, share in shares.items():
        part = np.broadcast_to(share(cells), expected.shape).astype(float)
        expected = expected * np.where(cells[name] == "2", part, 1.0 - part)
    served = rng.poisson(expected)
    rates = rate * np.where(cells["noise"] == "cafe", 3.0, 1.0)
    if factor is not None:
        rates = rates * factor(cells)
    failed = rng.binomial(served, np.minimum(rates, 0.95))
    there = served > 0

    def codes(name: str, names: tuple[str, ...]) -> Codes:
        numbers = np.searchsorted(np.array(names), cells[name][there])
        return Codes(numbers.astype(np.int32), names)

    return IncidentCounts(
        start=START,
        bins=cells["bin"][there],
        columns={name: codes(name, names) for name, names in VALUES.items()},
        releases={name: codes(name, ("1", "2")) for name in shares},
        turns=served[there],
        measured={signal.name: served[there] for signal in signals},
        events={signal.name: failed[there] for signal in signals},
    )


def diagnosed(counts: IncidentCounts, *, events: tuple[tuple[int, str], ...] = ()) -> Diagnosis:
    """Return the verdict about the last two days."""
    return diagnose(counts, (FAILED,), first=FIRST, bins=BINS, window=WINDOW, other_events=events)


def triage_report(**fields: Any) -> TriageReport:  # noqa: ANN401 - any field
    """Return a report that says nothing, but for some fields."""
    values: dict[str, Any] = {
        "verdict": "nothing",
        "reason": "nothing rose",
        **dict.fromkeys(("cause", "evidence", "component", "first_bad", "slice", "metric")),
        **dict.fromkeys(("onset", "ended", "effect", "log_odds", "target", "command", "probe")),
        "target_verified": False,
        **dict.fromkeys(("refused", "candidates", "ruled_out"), ()),
        "packet": None,
        "read": TriageRead(turns=1000, seconds=0.2, late=0, future=0, duplicates=0),
    }
    return TriageReport(**(values | fields))
