"""Good and bad turns per minute, and by slice, as DuckDB counts them in a turn table."""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from relkit.adapters.duckdb.session import quoted
from relkit.adapters.duckdb.turns import TURNS, TurnTable
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.slices import SliceSpec
from relkit.core.values import duration_s, time_text
from relkit.core.wording import counted, duration
from relkit.core.yaml_text import shown
from relkit.datasets.types import NO_VALUE
from relkit.monitoring.counters import stretches_without
from relkit.monitoring.slo.judge import history_s, last_minute, longest_window_s, utc_of
from relkit.monitoring.slo.types import EventCounts, GoodEvents, SloPolicy, SloProblem
from relkit.telemetry.types import Telemetry, TelemetryOptions

MOST_UNUSABLE = 0.01
"""The share of rows that may be unusable before what is left counts as a part."""

MOST_WITHOUT_STAGE = 0.1
"""The share of turns that may lack the duration an objective is about."""

_MINUTE_US = 60_000_000
_MOST_VALUES = 1_000
_OUTCOMES = {"interrupted", "abandoned"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """What counts in a turn, in SQL: whether it is an event, and whether it is a bad one.

    ``lacking`` says of which other turns too many make the counts a part, "FALSE" for none.
    """

    counts: str
    bad: str
    lacking: str = "FALSE"


class TelemetryLevels:
    """Implements ServiceLevels with turns of telemetry."""

    source: Literal["telemetry"] = "telemetry"

    def __init__(
        self, paths: tuple[str, ...], open_turns: Callable[[TelemetryOptions], TurnTable]
    ) -> None:
        """Count what is at ``paths``; nothing is read yet."""
        self._paths = paths
        self._open_turns = open_turns

    def counts(self, policy: SloPolicy, at: str) -> EventCounts:
        """Return the events of an objective; raises InvalidInput, UsageError, StorageFailed."""
        if policy.good.rate is None and policy.good.tail is None:
            raise UsageError(
                f'"{policy.name}" says nothing about telemetry',
                hint="add rate: or tail: to its good:, or use --prometheus URL",
            )
        options = TelemetryOptions(
            paths=self._paths, now=at, mapping=policy.mapping, dialect=policy.dialect
        )
        with self._open_turns(options) as table:
            return _counted(table, policy, at)


def _counted(table: TurnTable, policy: SloPolicy, at: str) -> EventCounts:
    event = _event(table, policy.good)
    columns = [
        (name, table.require(name, table.attributes, what="column to slice by"))
        for name in policy.slices
    ]
    if policy.release in table.attributes and policy.release not in policy.slices:
        columns.append((policy.release, quoted(policy.release)))
    end = last_minute(at)
    minute = f"((epoch_us(ts) + {_MINUTE_US - 1}) // {_MINUTE_US} * 60)"
    since = end - history_s(policy)
    rows = table.fetch(
        f"SELECT CAST({minute} AS BIGINT) AS at,"
        f" CAST(count(*) FILTER (WHERE {event.counts}) AS DOUBLE) AS total,"
        f" CAST(count(*) FILTER (WHERE ({event.counts}) AND ({event.bad})) AS DOUBLE) AS bad,"
        f" count(*) FILTER (WHERE NOT ({event.counts})) AS left_out,"
        f" count(*) FILTER (WHERE {event.lacking}) AS lacking"
        f" FROM {TURNS} WHERE {minute} > {since} AND {minute} <= {end} GROUP BY 1 ORDER BY 1"
    )
    minutes = np.asarray(rows["at"], dtype=np.int64)
    by_slice = {}
    for name, column in columns:
        value = f"coalesce({column}, '{NO_VALUE}')"
        spent = table.fetch(
            f"SELECT {value} AS value, CAST(count(*) AS DOUBLE) AS total,"
            f" CAST(count(*) FILTER (WHERE {event.bad}) AS DOUBLE) AS bad FROM {TURNS}"
            f" WHERE ({event.counts}) AND {minute} > {end - policy.window_s} AND {minute} <= {end}"
            f" GROUP BY 1 ORDER BY bad DESC, value LIMIT {_MOST_VALUES}"
        )
        spec = SliceSpec.parse(name)
        for text, bad, total in zip(spent["value"], spent["bad"], spent["total"], strict=True):
            by_slice[spec.key([str(text)])] = (float(bad), float(total))
    began = max(since, _began(policy))
    gaps = stretches_without(minutes, began, end, duration_s(policy.silence))
    totals = np.asarray(rows["total"], dtype=np.float64)
    left_out, lacking = int(np.sum(rows["left_out"])), int(np.sum(rows["lacking"]))
    telemetry = table.summary()
    return EventCounts(
        at=minutes,
        bad=np.asarray(rows["bad"], dtype=np.float64),
        total=totals,
        gaps=gaps,
        by_slice=by_slice,
        problems=(
            *_gap_problems(policy, gaps, end),
            *_left_out(left_out),
            *_dropped(telemetry),
        ),
        partial=_partial(telemetry, lacking, int(totals.sum()) + lacking),
    )


def _began(policy: SloPolicy) -> float:
    return -np.inf if policy.since is None else last_minute(policy.since)


def _event(table: TurnTable, good: GoodEvents) -> _Event:
    """Return what counts by an objective; a column that the telemetry lacks is refused."""
    if good.tail is not None:
        column = table.require(good.tail, table.columns)
        bad = f"NOT coalesce({column} <= {good.below!r}, FALSE)"
        if good.tail == "latency_ms":  # nobody heard an answer: that is no fast one
            cut = "outcome = 'interrupted'"
            return _Event(counts=f"NOT coalesce({column} IS NULL AND {cut}, FALSE)", bad=bad)
        # A turn that failed before the stage began is bad, one that never needed it says nothing.
        without = f"{column} IS NULL AND NOT failed"
        return _Event(counts=f"NOT ({without})", bad=bad, lacking=without)
    rate = str(good.rate)
    value = "TRUE" if good.is_ else "FALSE"
    if rate == "failed":
        if not table.columns & {"ok", "outcome"}:
            raise InvalidInput(
                "the telemetry says of no turn whether it failed",
                hint="it has neither ok nor outcome: map one, mapping: {ok: {column: …}}",
            )
        return _Event(counts="TRUE", bad=f"failed <> {value}")
    if rate in _OUTCOMES:
        table.require("outcome", table.columns)
        came = f"coalesce(outcome = '{rate}', CASE WHEN ok IS NOT NULL THEN FALSE END)"
        return _Event(counts="TRUE", bad=f"coalesce(({came}) <> {value}, TRUE)")
    if rate == "success":  # stands on one turn of a session
        column = table.require(rate, table.columns)
        return _Event(counts=f"{column} IS NOT NULL", bad=f"{column} <> {value}")
    column = table.require(rate, table.events, what="event")
    return _Event(counts="TRUE", bad=f"coalesce({column} <> {value}, TRUE)")


def _gap_problems(
    policy: SloPolicy, gaps: tuple[tuple[float, float], ...], end: int
) -> Iterator[SloProblem]:
    start = end - longest_window_s(policy)
    inside = [(max(low, start), high) for low, high in gaps if high > start]
    if not inside:
        return
    low, high = max(inside, key=lambda gap: gap[1] - gap[0])
    message = (
        f"{counted(len(inside), 'gap')} of over {policy.silence} without a turn in the last"
        f" {duration(end - start)}, the longest {duration(high - low)} from"
        f" {time_text(utc_of(low))}: where that is normal, set silence: or since:"
    )
    yield SloProblem(code="gap", message=message)


def _left_out(number: int) -> Iterator[SloProblem]:
    if number:
        message = f"{counted(number, 'turn')} left out: they say nothing about this objective"
        yield SloProblem(code="left_out", message=message)


def _dropped(telemetry: Telemetry) -> Iterator[SloProblem]:
    dropped = telemetry.dropped
    reasons = {
        "duplicate": dropped.duplicate,
        "without a time zone": dropped.naive,
        "without session, turn id or time": dropped.unnamed,
    }
    for reason, number in reasons.items():
        if number:
            message = f"{counted(number, 'row')} left out: {reason}"
            yield SloProblem(code="left_out", message=message)
    if dropped.future:
        message = f"{counted(dropped.future, 'row')} after the time of judgement left out"
        yield SloProblem(code="future", message=message)
    if dropped.no_outcome:
        message = f"{counted(dropped.no_outcome, 'turn')} without an outcome count as failed"
        yield SloProblem(code="telemetry", message=message)
    if dropped.bad_value:
        message = f"{counted(dropped.bad_value, 'value')} that cannot be count as missing"
        yield SloProblem(code="not_a_number", message=message)
    for problem in telemetry.problems:
        message = f"{shown(problem.where)}: {shown(problem.message, 200)}"
        yield SloProblem(code="telemetry", message=message)


def _partial(telemetry: Telemetry, lacking: int, turns: int) -> str | None:
    """Return why the counts may be a part of what happened, None where they are not."""
    dropped = telemetry.dropped
    unusable = dropped.naive + dropped.unnamed
    if unusable > MOST_UNUSABLE * telemetry.rows:
        return f"{counted(unusable, 'row')} of {telemetry.rows:,} could not be used"
    if telemetry.unreadable is not None:
        return shown(telemetry.unreadable, 200)
    if lacking > MOST_WITHOUT_STAGE * turns:
        return f"{counted(lacking, 'turn')} of {turns:,} lack the duration"
    return None
