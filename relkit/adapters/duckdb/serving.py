"""What health and capacity need of a turn table: counts per minute, percentiles, sessions."""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np

from relkit.adapters.duckdb.turns import TurnTable
from relkit.core.arrays import FloatArray
from relkit.core.errors import InvalidInput
from relkit.core.values import moment
from relkit.monitoring.serving.budgets import WHOLE_TURN, budget_lines
from relkit.monitoring.serving.overload import RECENT
from relkit.monitoring.serving.types import (
    CapacityPolicy,
    ChurnFigures,
    HealthPolicy,
    LiveFigures,
    Minutes,
    SessionFigures,
    StageFigures,
    Turns,
)
from relkit.telemetry.types import STAGES, ColumnMapping, Dialect, Telemetry, TelemetryOptions

MOST_CLASSES = 50
"""Tenant classes at the most: a column with more of them names tenants."""

_UNANSWERED_MS = 1e9
"""Stands for "no answer" among latencies, which are a day at the most; a percentile can be it."""

_THOUSAND = (625.0, 1600.0)

_LATENCY = (
    "CASE WHEN latency_ms IS NOT NULL THEN latency_ms"
    f" WHEN failed AND coalesce(outcome NOT IN ('interrupted', 'abandoned'), TRUE)"
    f" THEN {_UNANSWERED_MS!r} END"
)
"""The latency of a turn; one that failed without an answer is slower than every other."""

OpenTurns = Callable[[TelemetryOptions], AbstractContextManager[TurnTable]]


class TurnTableTraffic:
    """Implements LiveTraffic and SessionSource for telemetry files."""

    def __init__(self, paths: tuple[str, ...], open_turns: OpenTurns) -> None:
        """Read files, folders and globs with what opens a turn table."""
        self._paths = paths
        self._open = open_turns

    def figures(self, policy: HealthPolicy, now: str) -> tuple[LiveFigures | None, Telemetry]:
        """Return what traffic looks like until ``now``, None without any, and what was read.

        Raises UsageError, InvalidInput, StorageFailed.
        """
        with self._table(policy.mapping, policy.dialect, now) as table:
            end = _last_minute(table, now)
            if end is None:
                return None, table.summary()
            seconds, newest = end
            since = max(0, seconds - policy.history_s)
            minutes = _minutes(table, policy, since, seconds)
            stages = tuple(_stages(table, policy, seconds))
            figures = LiveFigures(
                newest=newest,
                minutes=minutes,
                turns=int(minutes.turns[-RECENT:].sum()),
                missing=_missing(table, policy, seconds),
                stages=stages[1:],
                unexplained=stages[0] if stages else None,
                churn=tuple(_churn(table, policy, seconds)),
                unmeasured=_unmeasured(table, since, seconds),
                problems=tuple(_queue_in_seconds(table, policy, since, seconds)),
            )
            return figures, table.summary()

    def sessions(self, policy: CapacityPolicy, now: str) -> SessionFigures:
        """Return the sessions until ``now``; raises UsageError, InvalidInput, StorageFailed.

        A turn lasts from the user's speech to the end of the answer, as far as those are known.
        """
        with self._table(policy.mapping, policy.dialect, now) as table:
            rows = table.fetch(
                "WITH parts AS (SELECT session, epoch_us(ts) / 1e6 AS until, epoch_us(ts) / 1e6"
                " - coalesce(audio_in_s, 0) - coalesce(latency_ms, 0) / 1e3"
                " - coalesce(audio_out_s, 0) AS since FROM turns),"
                " marked AS (SELECT *, coalesce(since > $gap + max(until) OVER (PARTITION BY"
                " session ORDER BY since, until ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),"
                " FALSE) AS fresh FROM parts),"
                " numbered AS (SELECT *, sum(CAST(fresh AS INTEGER)) OVER (PARTITION BY session"
                " ORDER BY since, until ROWS UNBOUNDED PRECEDING) AS part FROM marked)"
                " SELECT min(since) AS starts, max(until) AS ends FROM numbered"
                " GROUP BY session, part ORDER BY starts, ends",
                {"gap": policy.session_gap_s},
            )
            most = table.fetch("SELECT max(concurrency) AS most FROM turns")["most"]
            return SessionFigures(
                starts=_filled(rows["starts"]),
                ends=_filled(rows["ends"]),
                concurrency=_number(most[0]),
                telemetry=table.summary(),
            )

    def _table(
        self, mapping: ColumnMapping, dialect: Dialect | None, now: str
    ) -> AbstractContextManager[TurnTable]:
        options = TelemetryOptions(paths=self._paths, now=now, mapping=mapping, dialect=dialect)
        return self._open(options)


def _filled(column: object) -> FloatArray:
    """Return a column as doubles, NaN for NULL."""
    return np.asarray(np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan))


def _number(value: object) -> float | None:
    """Return a number, None for NULL."""
    if value is None or np.ma.is_masked(value):
        return None
    number = float(value)  # type: ignore[arg-type]  # of numpy, whatever its kind
    return number if np.isfinite(number) else None


def _last_minute(table: TurnTable, now: str) -> tuple[int, float] | None:
    """Return (end of the last minute that is over and has turns, newest turn) in Unix seconds."""
    until = int(moment(now).timestamp()) // 60 * 60
    rows = table.fetch(
        "SELECT max(epoch_us(ts)) / 1e6 AS newest, max(epoch_us(ts)) FILTER (WHERE epoch_us(ts) <"
        f" {until * 1_000_000}) // 60000000 AS minute FROM turns"
    )
    newest, minute = _number(rows["newest"][0]), _number(rows["minute"][0])
    return None if newest is None or minute is None else (60 * (int(minute) + 1), newest)


def _between(since: float, until: float) -> str:
    return f"epoch_us(ts) >= {int(since * 1e6)} AND epoch_us(ts) < {int(until * 1e6)}"


def _minutes(table: TurnTable, policy: HealthPolicy, since: float, until: int) -> Minutes:
    """Return the counts of every minute from the first with a turn."""
    bound = policy.queue.p95_ms if policy.queue is not None else 0.0
    rows = table.fetch(
        "SELECT epoch_us(ts) // 60000000 AS minute, count(*) AS turns,"
        " coalesce(sum(1 + retries), 0) AS attempts, count(retries) AS counted,"
        " count(queue_ms) AS queued, count(*) FILTER (WHERE queue_ms > $bound) AS waited,"
        " quantile_cont(queue_ms, 0.95) AS queue_p95_ms,"
        " avg(greatest(0, latency_ms - queue_ms)) / 1e3 AS service_s"
        f" FROM turns WHERE {_between(since, until)} GROUP BY minute ORDER BY minute",
        {"bound": bound},
    )
    place = np.asarray(rows["minute"], dtype=np.int64)
    first, size = int(place[0]), until // 60 - int(place[0])

    def spread(column: str, empty: float) -> FloatArray:
        values = np.full(size, empty)
        values[place - first] = _filled(rows[column])
        return values

    classes, calls = _classes(table, policy, first, until)
    return Minutes(
        start=60 * first,
        turns=spread("turns", 0.0),
        attempts=spread("attempts", 0.0),
        counted=spread("counted", 0.0),
        queued=spread("queued", 0.0),
        waited=spread("waited", 0.0),
        queue_p95_ms=spread("queue_p95_ms", np.nan),
        service_s=spread("service_s", np.nan),
        classes=classes,
        calls=calls,
    )


def _classes(
    table: TurnTable, policy: HealthPolicy, first: int, until: int
) -> tuple[tuple[str, ...], FloatArray]:
    """Return the tenant classes and their calls per minute; raises InvalidInput for tenants."""
    size = until // 60 - first
    if policy.tenants is None or "tenant_class" == policy.tenants.column not in table.attributes:
        return (), np.zeros((0, size))
    column = table.require(policy.tenants.column, table.attributes)
    rows = table.fetch(
        f"SELECT {column} AS name, epoch_us(ts) // 60000000 AS minute, count(*) AS calls"
        f" FROM turns WHERE {column} IS NOT NULL AND {_between(60 * first, until)}"
        " GROUP BY name, minute ORDER BY name, minute"
    )
    names, place = np.unique(np.asarray(rows["name"], dtype=str), return_inverse=True)
    if len(names) > MOST_CLASSES:
        raise InvalidInput(
            f"{policy.tenants.column} has {len(names):,} values: tenants, and not their classes",
            hint=f"map a column of at most {MOST_CLASSES} classes: tenants: {{column: …}}",
        )
    calls = np.zeros((len(names), size))
    calls[place, np.asarray(rows["minute"], dtype=np.int64) - first] = _filled(rows["calls"])
    return tuple(str(name) for name in names), calls


def _missing(table: TurnTable, policy: HealthPolicy, until: int) -> dict[str, float]:
    """Return the share of turns without what the policy needs."""
    parts = {"queue_ms": "queue_ms", "retries": "retries"}
    if policy.tenants is not None and policy.tenants.column in table.attributes:
        parts[policy.tenants.column] = table.require(policy.tenants.column, table.attributes)
    counts = ", ".join(f"count({column}) AS n{i}" for i, column in enumerate(parts.values()))
    recent = table.fetch(
        f"SELECT count(*) AS turns, {counts} FROM turns"
        f" WHERE {_between(until - 60 * RECENT, until)}"
    )
    turns = float(recent["turns"][0])
    missing = {
        name: 1.0 - float(recent[f"n{i}"][0]) / turns if turns else 1.0
        for i, name in enumerate(parts)
    }
    timed = table.fetch(
        f"SELECT count(*) AS turns, count({_LATENCY}) AS timed FROM turns WHERE"
        " coalesce(outcome NOT IN ('interrupted', 'abandoned'), TRUE)"
        f" AND {_between(until - policy.span_s, until)}"
    )
    answered = float(timed["turns"][0])
    missing[WHOLE_TURN] = 1.0 - float(timed["timed"][0]) / answered if answered else 1.0
    return missing


def _unmeasured(table: TurnTable, since: float, until: int) -> frozenset[str]:
    """Return the stages that no turn has."""
    counts = ", ".join(f"count({stage}) AS {stage}" for stage in STAGES)
    rows = table.fetch(f"SELECT {counts} FROM turns WHERE {_between(since, until)}")
    return frozenset(stage for stage in STAGES if not int(rows[stage][0]))


def _queue_in_seconds(
    table: TurnTable, policy: HealthPolicy, since: float, until: int
) -> Iterator[str]:
    """Yield a warning where waiting became a thousandth: seconds, where it was milliseconds.

    Waiting grows and falls by any factor by itself, so that its median over a day says nothing.
    """
    latest = _between(until - policy.span_s, until)
    medians = table.fetch(
        f"SELECT median(queue_ms) FILTER (WHERE {latest}) AS late,"
        f" median(queue_ms) FILTER (WHERE NOT ({latest})) AS early"
        f" FROM turns WHERE queue_ms > 0 AND {_between(since, until)}"
    )
    late, early = _number(medians["late"][0]), _number(medians["early"][0])
    if policy.queue is not None and late and early and _THOUSAND[0] < early / late < _THOUSAND[1]:
        yield f"queue_ms: its median fell by a factor of {early / late:,.0f}: is it in seconds now?"


def _stages(table: TurnTable, policy: HealthPolicy, until: int) -> Iterator[StageFigures]:
    """Yield what no stage explains, then every stage, over the last ``span``; none unasked."""
    if policy.budget is None:
        return
    known = " + ".join(f"coalesce({stage}, 0)" for stage in STAGES)
    values = {
        "unexplained": f"CASE WHEN coalesce({', '.join(STAGES)}) IS NOT NULL"
        f" THEN latency_ms - ({known}) END",
        **{stage: stage for stage in STAGES},
        WHOLE_TURN: _LATENCY,
    }
    within = _between(until - policy.span_s, until)
    yield from _percentiles(table, values, f"turns WHERE {within}", "all")
    for turns in ("first", "warm"):
        if any(line.turns == turns for line in budget_lines(policy.budget)):
            order = "row_number() OVER (PARTITION BY session ORDER BY ts, turn)"
            source = f"(SELECT *, {order} AS place FROM turns) WHERE {within} AND place"
            source += " = 1" if turns == "first" else " > 1"
            yield from _percentiles(table, {WHOLE_TURN: _LATENCY}, source, turns)


def _percentiles(
    table: TurnTable, values: dict[str, str], source: str, turns: Turns
) -> Iterator[StageFigures]:
    parts = ", ".join(
        f"count({value}) AS n{i}, quantile_cont({value}, 0.5) AS median{i},"
        f" quantile_cont({value}, 0.95) AS high{i}"
        for i, value in enumerate(values.values())
    )
    rows = table.fetch(f"SELECT {parts} FROM {source}")
    for i, stage in enumerate(values):
        yield StageFigures(
            stage=stage,
            of=turns,
            turns=int(rows[f"n{i}"][0]),
            p50=_answered(rows[f"median{i}"][0]),
            p95=_answered(rows[f"high{i}"][0]),
        )


def _answered(value: object) -> float | None:
    """Return a percentile; infinity where it lies among turns without an answer."""
    number = _number(value)
    return np.inf if number is not None and number > _UNANSWERED_MS / 10 else number


def _churn(table: TurnTable, policy: HealthPolicy, until: int) -> Iterator[ChurnFigures]:
    """Yield the churn of all, then of each language, over the last ``span``."""
    if policy.churn is None:
        return
    language = "CAST(NULL AS VARCHAR)"
    if policy.churn.language in table.attributes or policy.churn.language != "language":
        language = table.require(policy.churn.language, table.attributes)
    rows = table.fetch(
        f"SELECT {language} AS language, grouping({language}) AS every, count(*) AS utterances,"
        " sum(partial_changes) AS changes, sum(partial_words) AS words,"
        " median(partial_changes / partial_words) AS middle FROM turns"
        " WHERE partial_words > 0 AND partial_changes IS NOT NULL"
        f" AND {_between(until - policy.span_s, until)}"
        f" GROUP BY GROUPING SETS ((), ({language})) ORDER BY every DESC, language"
    )
    for i in range(len(rows["utterances"])):
        if rows["every"][i] or (name := rows["language"][i]) is None or np.ma.is_masked(name):
            name = None
        if name is None and not rows["every"][i]:
            continue
        yield ChurnFigures(
            language=name,
            utterances=int(rows["utterances"][i]),
            changes=_number(rows["changes"][i]) or 0.0,
            words=_number(rows["words"][i]) or 0.0,
            median=_number(rows["middle"][i]),
        )
