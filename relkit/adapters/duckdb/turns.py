"""Turns of files, folders and globs as one relation of a DuckDB database, out of core."""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from relkit.adapters.duckdb.session import Session, literal, quoted
from relkit.adapters.duckdb.turn_files import (
    AlikeFiles,
    held_by,
    is_trace,
    sources_of,
    telemetry_files,
    type_changes,
)
from relkit.core import storage
from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown
from relkit.telemetry.columns import (
    LONGEST_S,
    REQUIRED_COLUMNS,
    SECONDS,
    ColumnPlan,
    factor,
    plan_columns,
)
from relkit.telemetry.types import (
    COLUMNS,
    OUTCOMES,
    ColumnMapping,
    Dropped,
    Kind,
    Telemetry,
    TelemetryColumn,
    TelemetryOptions,
    TelemetryProblem,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from relkit.telemetry.ports import TraceReader

Columns = dict[str, npt.NDArray[np.generic]]

ROWS = "turn_rows"
"""The relation of all rows as they were read; ``turns`` is without those that are dropped."""

TURNS = "turns"
EVERY = "turn_every"
_TRACES = "turn_traces"

_SQL: Mapping[Kind, str] = {
    "time": "TIMESTAMP",
    "key": "UBIGINT",
    "text": "VARCHAR",
    "flag": "BOOLEAN",
    **dict.fromkeys(("ms", "s", "number", "count"), "DOUBLE"),
}
_FURTHER: Mapping[str, str] = {"attribute": "VARCHAR", "event": "BOOLEAN", "measure": "DOUBLE"}
_OFFSET = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"

_EPOCH = "TIMESTAMP '1970-01-01'"
"""No turn is older: an earlier time is one that nobody measured, -infinity among them."""

_LAST_US = 253_402_300_799_000_000
"""The end of the year 9999 in microseconds since 1970."""

_SAMPLE = 20_000
"""Turns that a change of unit is looked for in."""

_SORTED = 26_000_000
"""Turn ids that are sorted at once, in memory."""

_FEWEST = 20
"""Turns that a median has to rest on to be compared with others."""


class TurnTable(AbstractContextManager["TurnTable"]):
    """Turns of telemetry as the relation ``turns``; close it, or use it in ``with``.

    It has all of ``COLUMNS`` (NULL where they are not in the files; ``ts`` a TIMESTAMP in UTC,
    keys as UBIGINT hashes that mean nothing elsewhere, quantities DOUBLE, flags BOOLEAN), further
    ``failed`` (not ``ok``, or no outcome), ``turn`` (a hash of session and turn id), and the
    attributes (VARCHAR), events (BOOLEAN) and measures (DOUBLE) under their own quoted names.
    ``trace_counts`` says what became of the spans, where there were traces.
    """

    def __init__(
        self,
        options: TelemetryOptions,
        *,
        traces: "TraceReader | None" = None,
        duplicates: Literal["remove", "keep"] = "remove",
        memory_limit: str = "1GiB",
        threads: int | None = None,
    ) -> None:
        """Open the files; ``traces`` reads those that are no tables.

        With ``duplicates="keep"`` turns that were sent twice stay twice: the caller sees to them.
        Raises UsageError, InvalidInput.
        """
        self._options = options
        self._problems: list[TelemetryProblem] = []
        self._summary: Telemetry | None = None
        self._plans: dict[str, ColumnPlan] = {}
        self.dialect = "turns"
        self.trace_counts: Mapping[str, int] = {}
        self._attributes_of: Mapping[str, str] = {}
        try:
            files = telemetry_files(options.paths)
        except OSError as error:
            raise storage.unreadable(error, among="the telemetry") from error
        self._session = Session(memory_limit=memory_limit, threads=threads)
        try:
            self._session.execute("SET TimeZone = 'UTC'")
            self._session.execute("SET preserve_insertion_order = false")
            self._open(files, traces)
            self._drop(duplicates)
        except BaseException as error:
            self._session.close()
            if isinstance(error, OSError):  # a file that may not be read, or that has gone since
                raise storage.unreadable(error, among="the telemetry") from error
            raise

    def __exit__(self, *_exit: object) -> None:
        """Let go of memory and spilled files."""
        self._session.close()

    @property
    def attributes(self) -> tuple[str, ...]:
        """The columns that turns can be cut by, by name; tenant class, model and release too."""
        own = [
            name
            for name, kind in COLUMNS.items()
            if kind == "text" and name in self._plans and name not in {"arm", "outcome", "currency"}
        ]
        return (*sorted(self._of_role("attribute")), *own)

    @property
    def events(self) -> tuple[str, ...]:
        """The columns of true and false that a rate may name."""
        return tuple(sorted(self._of_role("event")))

    @property
    def measures(self) -> tuple[str, ...]:
        """The columns of numbers that mean nothing to relkit by themselves, such as ``snr_db``."""
        return tuple(sorted(self._of_role("measure")))

    @property
    def columns(self) -> frozenset[str]:
        """The columns of ``COLUMNS`` that the files have."""
        return frozenset(self._of_role("own"))

    def require(self, name: str, among: Iterable[str], *, what: str = "column") -> str:
        """Return a name quoted for SQL; raises InvalidInput, with the nearest, for an unknown."""
        names = tuple(among)
        if name not in names:
            hint = nearest(name, names) or f"there are: {', '.join(names) or 'none'}"
            raise InvalidInput(f'the telemetry has no {what} "{shown(name)}"', hint=hint)
        return quoted(name)

    def fetch(self, sql: str, parameters: Mapping[str, object] | None = None) -> Columns:
        """Return the columns that a query gives; raises InvalidInput, StorageFailed."""
        return self._session.query(sql, parameters or {}, blamed="the telemetry")

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> None:
        """Run a statement, such as one that makes a table; raises InvalidInput, StorageFailed."""
        self._session.execute(sql, parameters or {}, blamed="the telemetry")

    def batches(self, sql: str, *, rows: int) -> "Iterator[pa.RecordBatch]":
        """Yield what a query gives in Arrow, so many rows at a time; raises StorageFailed."""
        yield from self._session.batches(sql, rows=rows, blamed="the telemetry")

    def register(self, name: str, table: "pa.Table") -> None:
        """Let queries name a table in memory."""
        self._session.register(name, table)

    def _of_role(self, role: str) -> list[str]:
        return [name for name, plan in self._plans.items() if plan.role == role]

    def _open(self, files: Sequence[Path], traces: "TraceReader | None") -> None:
        """Make the relation of all rows."""
        tables = [file for file in files if not is_trace(file)]
        others = [file for file in files if file not in set(tables)]
        dialect = self._options.dialect
        if dialect is not None and dialect != "turns":
            tables, others = [], list(files)
        elif dialect == "turns":
            tables, others = list(files), []
        sources = list(sources_of(self._session, tables, self._options.mapping, self._problems))
        if others:
            if traces is None:
                raise InvalidInput(
                    f"{others[0].name}: is no turn table",
                    hint="turn it into one: relkit telemetry import PATH --to FILE.parquet",
                )
            read, self.dialect, problems = traces(others, self._options)
            self._problems += problems
            self.trace_counts = {
                name.decode(): int(number) for name, number in (read.schema.metadata or {}).items()
            }
            self._attributes_of = {
                column.name: column.metadata[b"attribute"].decode()
                for column in read.schema
                if column.metadata and b"attribute" in column.metadata
            }
            self._session.register(_TRACES, read)
            types = self._session.describe(f"SELECT * FROM {_TRACES}")
            sources.append(AlikeFiles(label="traces", reading=_TRACES, types=types, held=types))
        self._problems += type_changes(sources)
        every = {column for source in sources for column in source.types}
        planned = [
            (
                source,
                plan_columns(
                    held_by(source.types), self._mapping(source, every), source=source.label
                ),
            )
            for source in sources
        ]
        spellings: dict[str, str] = {}  # SQL takes names that differ in case for the same
        for _, plans in planned:
            for plan in plans:
                spelled = spellings.setdefault(plan.name.casefold(), plan.name)
                if plan.role != "left_out" and spelled == plan.name:
                    self._plans.setdefault(plan.name, plan)
                elif plan.name not in {problem.where for problem in self._problems}:
                    why = plan.why or f"it is {shown(spelled)} but for its case"
                    self._problems.append(
                        TelemetryProblem(
                            code="left_out", where=plan.name, message=f"not read: {why}"
                        )
                    )
        selects = [self._select(source, plans) for source, plans in planned]
        if not selects:
            selects = [
                self._select(AlikeFiles(label="", reading="(SELECT 1)", types={}, held={}), ())
                + " WHERE FALSE"
            ]
        self._session.execute(f"CREATE VIEW {ROWS} AS {' UNION ALL '.join(selects)}")

    def _mapping(self, source: AlikeFiles, columns: AbstractSet[str]) -> ColumnMapping:
        """Return the mapping as far as it is about this source; traces were mapped when read.

        What only some of the files have is missing in the others; what none has is a mistake.
        """
        if source.reading == _TRACES:
            return {}
        return {
            name: mapped
            for name, mapped in self._options.mapping.items()
            if mapped.column in source.types or mapped.column not in columns
        }

    def _select(self, source: AlikeFiles, plans: Sequence[ColumnPlan]) -> str:
        """Return a query of one source in the columns of the turn table."""
        by_name = {plan.name: plan for plan in plans if plan.role != "left_out"}
        parts = []
        bad = []
        for name, kind in COLUMNS.items():
            plan = by_name.get(name)
            if plan is None:
                parts.append(f"CAST(NULL AS {_SQL[kind]}) AS {quoted(name)}")
                continue
            expression, refused = _expression(plan, kind, source)
            parts.append(f"{expression} AS {quoted(name)}")
            bad += [f"CAST({refused} AS INTEGER)"] if refused else []
        naive = _naive(by_name["ts"], source) if "ts" in by_name else "FALSE"
        keys = [by_name[name] for name in REQUIRED_COLUMNS if name in by_name]
        parts.append(f"{naive} AS naive")
        parts.append(f"{' AND '.join(_there(plan, source) for plan in keys) or 'FALSE'} AS named")
        parts.append(f"{' + '.join(bad) or '0'} AS bad_values")
        turn = by_name.get("turn_id")
        text = "''" if turn is None else f"CAST({quoted(turn.source)} AS VARCHAR)"
        parts.append(f"{text} AS turn_text")
        for name, first in self._plans.items():
            if first.role not in _FURTHER:
                continue
            plan = by_name.get(name)
            sql = _FURTHER[first.role]
            parts.append(
                f"CAST(NULL AS {sql}) AS {quoted(name)}"
                if plan is None
                else f"TRY_CAST({quoted(plan.source)} AS {sql}) AS {quoted(name)}"
            )
        return f"SELECT {', '.join(parts)} FROM {source.reading}"

    def _drop(self, duplicates: str) -> None:
        """Make the relation of the turns that count."""
        control, canary = self._options.control, self._options.canary
        arm = "CASE WHEN arm IN ('control', 'canary') THEN arm END"
        if control is not None or canary is not None:
            cases = [
                f"WHEN release = {literal(version)} THEN '{name}'"
                for name, version in (("control", control), ("canary", canary))
                if version is not None
            ]
            arm = f"CASE {' '.join(cases)} END"
        unit = "coalesce(unit, session)" if "unit" in self._plans else "session"
        rows = (
            f"SELECT * REPLACE ({arm} AS arm, {unit} AS unit), hash(session, turn_text) AS turn,"
            " coalesce(NOT ok, outcome IS NULL) OR coalesce(outcome = 'failed', FALSE) AS failed"
            f" FROM {ROWS}"
        )
        self._session.execute(f"CREATE VIEW {EVERY} AS {rows}")
        now = f"TIMESTAMP '{self._options.now.removesuffix('Z').replace('T', ' ')}'"
        usable = (
            f"SELECT * EXCLUDE (naive, named, turn_text) FROM {EVERY}"
            f" WHERE named AND NOT naive AND ts <= {now}"
        )
        self._usable, self._now = usable, now
        self._removed = duplicates == "remove" and self._repeated()
        if self._removed:
            order = "ts, ok, outcome, latency_ms"
            usable = (
                f"SELECT * FROM ({usable}) WHERE turn NOT IN (FROM turn_repeated)"
                f" UNION ALL SELECT * FROM ({usable}) WHERE turn IN (FROM turn_repeated)"
                f" QUALIFY row_number() OVER (PARTITION BY turn ORDER BY {order}) = 1"
            )
        self._session.execute(f"CREATE VIEW {TURNS} AS {usable}")

    def _repeated(self) -> bool:
        """Make a table of the turns that are there twice; return whether there are any.

        Turn ids that are unique by themselves are the rule. Their hashes sorted, some millions at a
        time, say so at a fifth of what a hash table of them costs.
        """
        usable = f"{EVERY} WHERE named AND NOT naive AND ts <= {self._now}"
        rows = int(self.fetch(f"SELECT count(*) AS n FROM {usable}")["n"][0])
        parts = 1 + rows // _SORTED
        for part in range(parts):
            ids = np.asarray(
                self.fetch(
                    f"SELECT hash(turn_text) AS id FROM {usable}"
                    f" AND hash(turn_text) % {parts} = {part}"
                )["id"]
            )
            ids.sort()
            if bool(np.any(ids[1:] == ids[:-1])):
                break
        else:
            return False
        self._session.execute(
            f"CREATE TABLE turn_repeated AS SELECT turn FROM ({self._usable})"
            " GROUP BY turn HAVING count(*) > 1"
        )
        return bool(self.fetch("SELECT count(*) AS n FROM turn_repeated")["n"][0])

    def summary(self, *, sessions: int | None = None, units: int | None = None) -> Telemetry:
        """Return what was read and what was dropped, and why; counted once.

        A caller that has counted sessions and units spares counting them again.
        """
        if self._summary is None:
            self._summary = self._count(sessions, units)
        return self._summary

    def _count(self, sessions: int | None, units: int | None) -> Telemetry:
        good = f"named AND NOT naive AND ts <= {self._now}"
        counted = [
            "count(*) AS turns, CAST(min(ts) AS VARCHAR) AS low, CAST(max(ts) AS VARCHAR) AS high",
            *(
                f"count(*) FILTER (WHERE {condition}) AS {name}"
                for name, condition in (
                    ("armless", "arm IS NULL"),
                    ("control", "arm = 'control'"),
                    ("canary", "arm = 'canary'"),
                    ("no_outcome", "ok IS NULL AND outcome IS NULL"),
                )
            ),
            *(
                f"count({quoted(name)}) AS {quoted('has ' + name)}"
                for name in self._plans
                if name not in REQUIRED_COLUMNS
            ),
        ]
        counts = self.fetch(
            "SELECT count(*) AS n_rows, count(*) FILTER (WHERE naive) AS naive,"
            " count(*) FILTER (WHERE NOT naive AND NOT named) AS unnamed,"
            f" count(*) FILTER (WHERE NOT naive AND named AND ts > {self._now}) AS future,"
            f" count(*) FILTER (WHERE {good}) AS usable,"
            f" coalesce(sum(bad_values), 0) AS bad, {', '.join(counted)} FROM {EVERY}"
        )
        # Where every row counts, one pass has counted the turns, too.
        alone = not self._removed and int(counts["usable"][0]) == int(counts["n_rows"][0])
        turns = counts if alone else self.fetch(f"SELECT {', '.join(counted)} FROM {TURNS}")
        if sessions is None:
            sessions = self._distinct("session")
        if units is None:
            units = self._distinct("unit") if "unit" in self._plans else sessions
        with_arms = "arm" in self._plans or self._options.control or self._options.canary
        number = {
            name: int(values[0] or 0)
            for name, values in {**counts, **turns}.items()
            if name not in {"low", "high"}
        }
        sources = {name: plan.source for name, plan in self._plans.items()} | {
            **self._attributes_of
        }
        return Telemetry(
            dialect=self.dialect,
            rows=number["n_rows"],
            turns=number["turns"],
            sessions=sessions,
            units=units,
            from_=_written(turns["low"][0]),
            to=_written(turns["high"][0]),
            arms={
                arm: number[arm]
                for arm in sorted(("canary", "control"), key=lambda arm: -number[arm])
                if number[arm]
            },
            releases=self._counted("release"),
            columns=tuple(
                TelemetryColumn(
                    name=name,
                    source=sources[name],
                    unit=_unit(name),
                    missing=number["turns"] - number.get(f"has {name}", number["turns"]),
                )
                for name, plan in self._plans.items()
            ),
            dropped=Dropped(
                duplicate=number["usable"]
                - number["turns"]
                + self.trace_counts.get("duplicate", 0),
                future=number["future"],
                naive=number["naive"],
                unnamed=number["unnamed"],
                unknown_arm=number["armless"] if with_arms else 0,
                no_outcome=number["no_outcome"],
                bad_value=number["bad"] + self.trace_counts.get("bad_value", 0),
            ),
            mapping={name: source for name, source in sources.items() if source != name},
            problems=(*self._problems, *self.unit_changes()),
        )

    def _distinct(self, column: str) -> int:
        rows = self.fetch(f"SELECT count(*) AS n FROM (SELECT 1 FROM {TURNS} GROUP BY {column})")
        return int(rows["n"][0])

    def _counted(self, column: str) -> dict[str, int]:
        if not self._options.control and not self._options.canary and column not in self._plans:
            return {}
        rows = self.fetch(
            f"SELECT {column} AS value, count(*) AS n FROM {TURNS} WHERE {column} IS NOT NULL"
            f" GROUP BY {column} ORDER BY n DESC, value LIMIT 50"
        )
        return {str(value): int(n) for value, n in zip(rows["value"], rows["n"], strict=True)}

    def unit_changes(self) -> tuple[TelemetryProblem, ...]:
        """Return durations whose median moves at once by a factor near 1,000 or 60.

        Looked for in a sample of turns that depends on the turns alone, between neighbouring
        twentieths of the time of an arm and release, and between these.
        """
        names = [n for n, kind in COLUMNS.items() if kind in {"ms", "s"} and n in self._plans]
        if not names:
            return ()
        medians = ", ".join(
            f"quantile_cont({name}, 0.5) FILTER (WHERE {name} > 0) AS {quoted('m ' + name)},"
            f" count({name}) FILTER (WHERE {name} > 0) AS {quoted('n ' + name)}"
            for name in names
        )
        span = self.fetch(
            "SELECT count(*) AS n, min(epoch_us(ts)) AS low, max(epoch_us(ts)) AS high"
            f" FROM {TURNS}"
        )
        count = int(span["n"][0])
        if not count:
            return ()
        low, high = int(span["low"][0]), int(span["high"][0])
        rows = self.fetch(
            f"SELECT arm, release, least(19, 20 * (epoch_us(ts) - {low}) // {max(1, high - low)})"
            f" AS part, {medians} FROM {TURNS} WHERE hash(ts) % {max(1, count // _SAMPLE)} = 0"
            " GROUP BY ALL ORDER BY part"
        )
        series: dict[tuple[str, str], list[int]] = {}
        keys = [np.ma.filled(rows[name], "").tolist() for name in ("arm", "release")]
        for place, (arm, release) in enumerate(zip(*keys, strict=True)):
            series.setdefault((str(arm), str(release)), []).append(place)
        changed = []
        for name in names:
            counts = np.asarray(np.ma.filled(rows[f"n {name}"], 0), dtype=np.int64)
            every = np.asarray(np.ma.filled(rows[f"m {name}"], np.nan), dtype=np.float64)
            each = [every[places][counts[places] >= _FEWEST] for places in series.values()]
            arms = np.array([np.median(values) for values in each if values.size])
            if ratio := _unit_ratio([arms, *each]):
                message = f"its median moves by a factor of {ratio:,.0f}: it may be in another unit"
                changed.append(TelemetryProblem(code="unit_change", where=name, message=message))
        return tuple(changed)


def _unit_ratio(series: Iterable[npt.NDArray[np.float64]]) -> float | None:
    """Return a factor near 60 or 1,000 between neighbours, None where there is none.

    What grows and falls with the day does so little by little; a unit changes at once.
    """
    for values in series:
        low, high = np.minimum(values[1:], values[:-1]), np.maximum(values[1:], values[:-1])
        for ratio in (high / low).tolist():
            if any(unit / 1.6 <= ratio <= unit * 1.6 for unit in (60.0, 1e3, 1e6)):
                return float(ratio)
    return None


def _unit(name: str) -> str | None:
    kind = COLUMNS.get(name)
    return kind if kind in {"ms", "s"} else None


def _written(value: object) -> str | None:
    """Return a time of DuckDB as relkit writes it, to the second."""
    return (
        None if value is None or np.ma.is_masked(value) else f"{str(value)[:19].replace(' ', 'T')}Z"
    )


def _plain(plan: ColumnPlan, source: AlikeFiles) -> str:
    """Return a column as text, NULL where it is an empty one."""
    column = quoted(plan.source)
    text = column if source.types[plan.source] == "VARCHAR" else f"CAST({column} AS VARCHAR)"
    return text if plan.source in source.full else f"nullif({text}, '')"


def _there(plan: ColumnPlan, source: AlikeFiles) -> str:
    """Return a condition for values that are not missing."""
    timed = source.types[plan.source].startswith("TIMESTAMP")
    if plan.source in source.full and (plan.name != "ts" or timed):
        return "TRUE"
    if plan.name == "ts":
        return f"({_expression(plan, 'time', source)[0]}) IS NOT NULL"
    return f"{_plain(plan, source)} IS NOT NULL"


def _naive(plan: ColumnPlan, source: AlikeFiles) -> str:
    """Return a condition for times that have no offset and were not said to be in UTC."""
    sql = source.types[plan.source]
    if plan.mapped is not None and (plan.mapped.zone or plan.mapped.unit):
        return "FALSE"
    column = quoted(plan.source)
    if sql == "VARCHAR":
        return (
            f"({column} IS NOT NULL AND TRY_CAST({column} AS TIMESTAMPTZ) IS NOT NULL"
            f" AND NOT regexp_matches({column}, '{_OFFSET}'))"
        )
    return (
        f"({column} IS NOT NULL)" if sql.startswith("TIMESTAMP") and "ZONE" not in sql else "FALSE"
    )


def _time(plan: ColumnPlan, source: AlikeFiles) -> str:
    """Return the value of a time, NULL before 1970; raises InvalidInput for what is none."""
    column, sql = quoted(plan.source), source.types[plan.source]
    if plan.mapped is not None and plan.mapped.unit is not None:
        micros = f"(TRY_CAST({column} AS DOUBLE) * {SECONDS[plan.mapped.unit] * 1e6!r})"
        possible = f"isfinite({micros}) AND {micros} BETWEEN 0 AND {_LAST_US!r}"
        return f"make_timestamp(CASE WHEN {possible} THEN CAST(round({micros}) AS BIGINT) END)"
    if sql.startswith("TIMESTAMP") and "ZONE" not in sql:
        value = f"CAST({column} AS TIMESTAMP)"
    elif sql == "VARCHAR" or sql.startswith("TIMESTAMP"):
        value = f"make_timestamp(epoch_us(TRY_CAST({column} AS TIMESTAMPTZ)))"
    elif sql == "DATE":
        raise InvalidInput(
            f'"{shown(plan.source)}" holds days, and no time of day',
            hint="a turn has a time, in UTC with its offset: 2026-11-01T10:00:00Z",
        )
    else:
        raise InvalidInput(
            f'"{shown(plan.source)}" holds numbers, and no unit says since when they count',
            hint=f"mapping: {{{plan.name}: {{column: {plan.source}, unit: s}}}} (since 1970)",
        )
    return (
        value if plan.source in source.full else f"CASE WHEN {value} >= {_EPOCH} THEN {value} END"
    )


def _expression(plan: ColumnPlan, kind: Kind, source: AlikeFiles) -> tuple[str, str]:
    """Return the value of a column, and a condition for values that cannot be."""
    column, sql, text = quoted(plan.source), source.types[plan.source], _plain(plan, source)
    unit = None if plan.mapped is None else plan.mapped.unit
    if kind == "time":
        return _time(plan, source), ""
    if kind == "key":
        traced = source.reading == _TRACES  # hashed when they were read
        hashed = column if traced else f"hash({text})"  # NULL has a hash, too
        return (
            hashed
            if traced or plan.source in source.full
            else f"CASE WHEN {text} IS NOT NULL THEN {hashed} END",
            "",
        )
    if kind == "text" and plan.name != "outcome":
        return text, ""
    if kind in {"text", "flag"}:
        outcomes = ", ".join(map(literal, OUTCOMES))
        value = f"TRY_CAST({text} AS BOOLEAN)"
        if kind == "text":
            value = f"CASE WHEN {text} IN ({outcomes}) THEN {text} END"
        refused = f"({text} IS NOT NULL AND {value} IS NULL)"
        return (column, "") if sql == "BOOLEAN" else (value, refused)
    try:
        times = factor(kind, unit)
    except ValueError as error:
        raise InvalidInput(
            f"mapping: {shown(plan.name)}: {error}", hint="leave the unit out"
        ) from error
    plain = text if sql == "VARCHAR" else column
    number = f"TRY_CAST({plain} AS DOUBLE)"
    scaled = number if times == 1.0 else f"({number} * {times!r})"
    most = {"ms": LONGEST_S * 1e3, "s": LONGEST_S}.get(kind, 1e15)
    # Nobody is answered in no time: 0 stands for what was not measured.
    over = f" AND {scaled} > 0" if plan.name == "latency_ms" else ""
    # Statistics of Parquet leave NaN out, and DuckDB would take the range for granted.
    possible = f"isfinite({scaled}) AND {scaled} BETWEEN 0 AND {most!r}{over}"
    value = f"CASE WHEN {possible} THEN {scaled} END"
    return value, f"({plain} IS NOT NULL AND ({value}) IS NULL)"
