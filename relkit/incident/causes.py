"""What else it can be than a release: measurement, a place, a dependency, load, price, the mix.

In this order; each says why it is it, or why not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.wording import chance, times
from relkit.disclosure.types import Cause
from relkit.incident.blame import LEAST_SCORE, Blame, names_other
from relkit.incident.expected import Mask, hours_of
from relkit.incident.scan import Hypothesis, Scanned, cell_key, scan
from relkit.incident.types import BIN_S, IncidentCounts, RuledOut, Signal

LACKS = "missing "
"""Begins the signals that count in which turns that went well a column has no value."""

LOG_SUM = "log10 "
"""Begins the sums of the logarithm of a duration, where it was measured."""

_NULLS, _LOGS = 0.10, 1.5
_UPSTREAM, _LOAD, _PRICE = 0.5, 1.5, 1.05
_FEWEST_FAILURES, _FEWEST_MEASURED = 10, 10

_PLACES: tuple[tuple[Cause, tuple[str, ...]], ...] = (
    ("region", ("region",)),
    ("client", ("client",)),
    ("tenant", ("tenant", "tenant_class")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCause:
    """A cause that is no release; ``columns`` are those whose signals it makes worthless."""

    cause: Cause
    name: str
    reason: str
    slice: tuple[tuple[str, str], ...] | None = None
    columns: frozenset[str] = frozenset()


def measurement(scanned: Scanned, reference: IncidentCounts) -> NamedCause | None:
    """Return what is wrong with the telemetry itself: values gone missing, or another unit."""
    signals = [Signal(name=n, column=n) for n in scanned.counts.events if n.startswith(LACKS)]
    for hypothesis in scan(scanned, signals, most_columns=1, releases=False):
        if hypothesis.score < LEAST_SCORE:
            break
        cells = scanned.cells_of(hypothesis)
        turns = float(scanned.counts.measured[hypothesis.signal][cells].sum())
        if (hypothesis.observed - hypothesis.expected) / max(turns, 1.0) >= _NULLS:
            column = hypothesis.signal.removeprefix(LACKS)
            shares = hypothesis.observed / turns, hypothesis.expected / turns
            return NamedCause(
                cause="measurement",
                name=column,
                reason=f"{column} is missing in {chance(shares[0])} of the turns that went well,"
                f" where {chance(shares[1])} was to be expected",
                slice=hypothesis.slice,
                columns=frozenset(s.name.removeprefix(LACKS) for s in signals),
            )
    return _unit_change(scanned, reference)


def _unit_change(scanned: Scanned, reference: IncidentCounts) -> NamedCause | None:
    """Return durations that are in another unit, in all traffic or at one value of a column."""
    counts, windows = scanned.counts, scanned.windows
    stages = {name.removeprefix(LOG_SUM): name for name in counts.sums if name.startswith(LOG_SUM)}
    # Where no turn is known to have gone well nobody can say in which of them a value was measured.
    stages = {stage: key for stage, key in stages.items() if f"{LACKS}{stage}" in counts.events}
    if not stages:
        return None
    whole = np.zeros(len(counts.bins), np.int64), np.zeros(len(reference.bins), np.int64)
    columns: dict[str | None, tuple[IntArray, IntArray, tuple[str, ...]]] = {None: (*whole, ("",))}
    for label, column in counts.columns.items():
        columns[label] = (
            column.codes.astype(np.int64),
            reference.columns[label].codes.astype(np.int64),
            column.names,
        )
    best: tuple[float, tuple[tuple[str, str], ...]] = (0.0, ())
    for name, (codes, earlier, names) in columns.items():
        moved, measured, shifts = (np.zeros((len(names), windows)) for _ in range(3))
        inside, before = codes >= 0, earlier >= 0
        index = codes[inside] * windows + counts.bins[inside] // scanned.window
        for stage, key in stages.items():
            n = np.bincount(index, _there(counts, stage)[inside], moved.size).reshape(moved.shape)
            logs = np.bincount(index, counts.sums[key][inside], moved.size).reshape(moved.shape)
            n0 = np.bincount(earlier[before], _there(reference, stage)[before], len(names))
            logs0 = np.bincount(earlier[before], reference.sums[key][before], len(names))
            usual = logs0 / np.maximum(n0, 1.0)
            enough = (n >= _FEWEST_MEASURED) & (n0 >= _FEWEST_MEASURED)[:, None]
            shift = np.abs(logs / np.maximum(n, 1.0) - usual[:, None])
            measured += enough
            moved += enough & (shift >= _LOGS)
            shifts += np.where(enough & (shift >= _LOGS), shift - 1.0, 0.0)
        total = np.where((moved > 0) & (moved == measured), shifts, 0.0).sum(axis=1)
        place = int(np.argmax(total))
        if total[place] > best[0]:
            best = float(total[place]), () if name is None else ((name, names[place]),)
    if best[0] <= 0:
        return None
    return NamedCause(
        cause="measurement",
        name=", ".join(stages),
        reason="durations are in another unit: they moved at once by a factor of 30 or more, all"
        " of them",
        slice=best[1],
        columns=frozenset((*stages, "latency_ms")),
    )


def _there(counts: IncidentCounts, column: str) -> IntArray:
    """Return in how many turns that went well a column has a value."""
    name = f"{LACKS}{column}"
    return counts.measured[name] - counts.events[name]


def other_cause(
    scanned: Scanned, reference: IncidentCounts, blame: Blame
) -> tuple[NamedCause | None, tuple[RuledOut, ...]]:
    """Return the first cause that is no release and fits, and why those before it do not.

    It is about the best hypothesis without a release.
    """
    plain = blame.plain
    if plain is None:
        return None, ()
    ruled_out: list[RuledOut] = []
    place = _place(plain, blame)
    if isinstance(place, NamedCause):
        return place, ()
    ruled_out += place
    tests = (
        _dependency(scanned, plain),
        _load(scanned, reference, plain),
        _price(scanned, reference, plain),
    )
    for answer in tests:
        if isinstance(answer, NamedCause):
            return answer, tuple(ruled_out)
        if answer is not None:
            ruled_out.append(answer)
    return None, tuple(ruled_out)


def _place(plain: Hypothesis, blame: Blame) -> NamedCause | list[RuledOut]:
    """Return the region, client or tenant that a hypothesis is about, where no release is in it."""
    values = dict(plain.slice)
    ruled_out = []
    innocent = not blame.open
    for cause, names in _PLACES:
        cell = next((name for name in names if name in values), None)
        if cell is None:
            ruled_out.append(
                RuledOut(cause=cause, name=cause, reason=f"it is not limited to a {cause}")
            )
        elif innocent:
            name = cell_key([(cell, values[cell])])
            reason = f"it is limited to {name}, whatever version served"
            return NamedCause(cause=cause, name=name, reason=reason, slice=plain.slice)
    return ruled_out


def _dependency(scanned: Scanned, plain: Hypothesis) -> NamedCause | RuledOut | None:
    sums = scanned.counts.sums
    if "upstream" not in sums:
        return None
    cells = scanned.cells_of(plain)
    upstream = float(sums["upstream"][cells].sum())
    failures = float(sums["failures"][cells].sum())
    if failures < _FEWEST_FAILURES:
        return RuledOut(cause="dependency", name="upstream", reason="next to nothing failed in it")
    share = upstream / failures
    reason = f"{chance(share)} of the failures carry an upstream code"
    if share > _UPSTREAM:
        return NamedCause(cause="dependency", name="upstream", reason=reason, slice=plain.slice)
    return RuledOut(cause="dependency", name="upstream", reason=f"only {reason}")


def _load(scanned: Scanned, reference: IncidentCounts, plain: Hypothesis) -> NamedCause | RuledOut:
    """Return whether there were more turns than at that hour on the days before."""
    counts = scanned.counts
    days = (int(reference.bins.max()) + 1) * BIN_S / 86400.0
    usual = np.bincount(hours_of(reference), reference.turns, 24) / max(days, 1.0)
    bins = np.arange(plain.first, plain.last)
    start = _first_hour_bin(counts)
    expected = float((usual[(bins + start) // 12 % 24] / 12).sum())
    inside = (counts.bins >= bins[0]) & (counts.bins <= bins[-1])
    turns = float(counts.turns[inside].sum())
    ratio = turns / max(expected, 1.0)
    reason = f"the traffic was {times(ratio)} that of the same hours before"
    if ratio < _LOAD:
        return RuledOut(cause="load", name="traffic", reason=f"{reason}: under {times(_LOAD)}")
    for cause, names in _PLACES:
        for name in names:
            if name not in counts.columns:
                continue
            column, earlier = counts.columns[name], reference.columns[name]
            size = len(column.names) + 1
            now = np.bincount(column.codes[inside] + 1, counts.turns[inside], size)
            before = np.bincount(earlier.codes + 1, reference.turns, size)
            usual_here = before / max(float(before.sum()), 1.0) * expected
            extra = now - usual_here
            code = int(np.argmax(extra[1:]))
            here, before_here = float(now[code + 1]), float(usual_here[code + 1])
            rest = (turns - here) / max(expected - before_here, 1.0)
            most = extra[code + 1] > 0.5 * (turns - expected)
            if most and here > _LOAD * rest * before_here:
                key = cell_key([(name, column.names[code])])
                return NamedCause(
                    cause=cause,
                    name=key,
                    reason=f"{reason}, and most of what was added came from {key}",
                    slice=((name, column.names[code]),),
                )
    return NamedCause(cause="load", name="traffic", reason=reason)


def _first_hour_bin(counts: IncidentCounts) -> int:
    return int(counts.start[11:13]) * 12 + int(counts.start[14:16]) // 5


def _price(
    scanned: Scanned, reference: IncidentCounts, plain: Hypothesis
) -> NamedCause | RuledOut | None:
    sums = scanned.counts.sums
    if plain.signal != "costly" or "priced_tokens" not in sums:
        return None
    if names_other(plain):
        # Input, output and speech have prices of their own: who uses other parts of each pays more.
        reason = f"a price is that of all, and it is limited to {plain.key}"
        return RuledOut(cause="price", name="cost per token", reason=reason)
    cells = scanned.cells_of(plain)
    before = np.ones(len(reference.bins), dtype=np.bool_)
    for name, value in plain.slice:
        column = reference.columns[name]
        before &= column.codes == column.names.index(value)
    ratio = _per_token(sums, cells) / max(_per_token(reference.sums, before), 1e-12)
    reason = f"a token cost {times(ratio)} what it did before"
    if ratio >= _PRICE:
        return NamedCause(cause="price", name="cost per token", reason=reason, slice=plain.slice)
    return RuledOut(cause="price", name="cost per token", reason=reason)


def _per_token(sums: Mapping[str, FloatArray], cells: Mask) -> float:
    return float(sums["cost"][cells].sum()) / max(float(sums["priced_tokens"][cells].sum()), 1.0)
