"""Canary states and decisions as files: versioned, chained by digests, refused where edited."""

import json
from collections.abc import Iterable

import numpy as np

from relkit.canary.types import (
    AmountCounts,
    AmountHistogram,
    CanaryPolicy,
    CanaryState,
    CellKey,
    HistogramEntry,
    StepTime,
    UnitCells,
    UnitHistogram,
)
from relkit.core.codec import decode, encode, parse, parse_json
from relkit.core.digests import canonical, sha256_bytes
from relkit.core.errors import InvalidInput
from relkit.core.wording import short_digest
from relkit.statistics.types import UnitCounts

_ANEW = "begin a new state, with all of the step's turns"


def render_state(state: CanaryState) -> tuple[bytes, str]:
    """Return a state's file and its digest, which covers everything else in it."""
    document = encode(state)
    document.pop("digest")
    digest = sha256_bytes(canonical(document))
    return json.dumps(document | {"digest": digest}, ensure_ascii=False).encode() + b"\n", digest


def parse_state(
    data: bytes, policy: CanaryPolicy, *, source: str, newest: tuple[int, str] | None = None
) -> CanaryState:
    """Return a state; raises InvalidInput for one that is edited, older, or of another policy.

    ``newest`` is (sequence, digest) of the state that was last written there.
    """
    document = parse_json(decode(data, source=source), source=source)
    state = parse(CanaryState, document, source=source)
    without = {key: value for key, value in encode(state).items() if key != "digest"}
    if sha256_bytes(canonical(without)) != state.digest:
        raise InvalidInput(
            f"{source}: was edited: its digest is not that of its content",
            hint=f"restore it, or {_ANEW}",
        )
    if state.policy.digest != policy.rollout:
        raise InvalidInput(
            f"{source}: is of another policy: {state.policy.name} "
            f"({short_digest(state.policy.digest)}), not {policy.name} "
            f"({short_digest(policy.rollout)})",
            hint=f"a policy that is changed begins a new rollout: {_ANEW}",
        )
    if newest is not None:
        sequence, digest = newest
        if state.sequence < sequence or (state.sequence == sequence and state.digest != digest):
            raise InvalidInput(
                f"{source}: is older than the state that was last written here "
                f"(look {state.sequence}, the last was {sequence})",
                hint="restore the newest one: an older one would forget what was seen",
            )
    return state


def check_steps(state: CanaryState, steps: tuple[StepTime, ...], *, source: str) -> None:
    """Raise InvalidInput where the steps that a state knows are not the first of those now."""
    if steps[: len(state.steps)] != state.steps:
        raise InvalidInput(
            f"{source}: its steps began at other times, or with other shares",
            hint=f"what was seen in a step stays in it: {_ANEW}",
        )


def histogram_entries(histogram: UnitHistogram) -> tuple[HistogramEntry, ...]:
    """Return a histogram as files have it, sorted."""
    return tuple(
        HistogramEntry(
            step=step,
            trigger=trigger,
            slice=key,
            control=_cells(histogram[step, trigger, key], canary=False),
            canary=_cells(histogram[step, trigger, key], canary=True),
        )
        for step, trigger, key in sorted(histogram)
    )


def histogram_of(entries: Iterable[HistogramEntry], *, source: str) -> dict[CellKey, UnitCounts]:
    """Return the histogram of a file; raises InvalidInput for counts that cannot be."""
    histogram = {}
    for entry in entries:
        cells = np.array([*entry.control, *entry.canary], dtype=np.int64).reshape(-1, 3)
        try:
            counts = UnitCounts(
                canary=np.arange(len(cells)) >= len(entry.control),
                turns=cells[:, 0],
                events=cells[:, 1],
                units=cells[:, 2],
            )
        except ValueError as error:
            raise InvalidInput(f"{source}: {entry.trigger} on {entry.slice}: {error}") from error
        histogram[entry.step, entry.trigger, entry.slice] = counts
    return histogram


def amount_entries(histogram: AmountHistogram) -> tuple[HistogramEntry, ...]:
    """Return a histogram of amounts as files have it, sorted."""
    entries = []
    for (step, trigger, key), counts in sorted(histogram.items(), key=lambda entry: entry[0]):
        rows = np.stack([counts.bases, counts.bins, counts.units], axis=1)
        control, canary = (
            tuple((int(a), int(b), int(c)) for a, b, c in rows[counts.canary == arm].tolist())
            for arm in (False, True)
        )
        entries.append(
            HistogramEntry(step=step, trigger=trigger, slice=key, control=control, canary=canary)
        )
    return tuple(entries)


def amounts_of(entries: Iterable[HistogramEntry]) -> dict[CellKey, AmountCounts]:
    """Return the histogram of amounts of a file."""
    histogram = {}
    for entry in entries:
        cells = np.array([*entry.control, *entry.canary], dtype=np.int64).reshape(-1, 3)
        histogram[entry.step, entry.trigger, entry.slice] = AmountCounts(
            canary=np.arange(len(cells)) >= len(entry.control),
            bases=cells[:, 0],
            bins=cells[:, 1],
            units=cells[:, 2],
        )
    return histogram


def amounts_added_up(*histograms: AmountHistogram) -> dict[CellKey, AmountCounts]:
    """Return histograms of amounts added up."""
    total: dict[CellKey, AmountCounts] = {}
    for histogram in histograms:
        for key, counts in histogram.items():
            total[key] = total[key] + counts if key in total else counts
    return total


def added_up(*histograms: UnitHistogram) -> dict[CellKey, UnitCounts]:
    """Return histograms added up: whatever the order, each cell once and ascending."""
    total: dict[CellKey, UnitCounts] = {}
    for histogram in histograms:
        for key, counts in histogram.items():
            total[key] = total[key] + counts if key in total else counts
    return total


def _cells(counts: UnitCounts, *, canary: bool) -> UnitCells:
    here = counts.canary == canary
    rows = np.stack([counts.turns[here], counts.events[here], counts.units[here]], axis=1)
    return tuple((int(turns), int(events), int(units)) for turns, events, units in rows.tolist())
