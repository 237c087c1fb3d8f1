"""Folds turns into histograms of units for a canary, in as few passes over the turns as possible.

One GROUP BY over a hash of the unit adds up everything at once: several counts of a unit stand side
by side in the digits of one number, which halves the time. Histograms are then small queries over
units. What is kept between two looks is sealed with the telemetry key.
"""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from relkit.adapters.duckdb.canary_thresholds import (
    columns_of_relation,
    frozen_from,
    quantiles,
    slice_key,
    tails_of,
    timestamp,
)
from relkit.adapters.duckdb.sealed import columns_table, sealed_table, unsealed_table
from relkit.adapters.duckdb.session import quoted
from relkit.adapters.duckdb.turns import EVERY, TurnTable, telemetry_files
from relkit.canary.policies import TURN_RATES
from relkit.canary.ports import FoldedTurns, FoldRequest, KeptTurns
from relkit.canary.types import (
    CAP,
    EVERY_UNIT,
    CellKey,
    FrozenThresholds,
    LostTurns,
    ServedRelease,
    TimeBins,
)
from relkit.core.digests import PREFIX
from relkit.core.errors import InvalidInput
from relkit.core.slices import OVERALL
from relkit.core.values import duration_s, moment
from relkit.datasets.types import NO_VALUE
from relkit.monitoring.serving.budgets import BUDGETS
from relkit.statistics.types import UnitCounts
from relkit.telemetry.types import COLUMNS, TelemetryOptions

_OpenTurns = Callable[[TelemetryOptions], TurnTable]

_Column = npt.NDArray[np.generic]
Integers = npt.NDArray[np.int64]

BIN = 1.02
"""The ratio of the ends of a bin of times."""

LIMIT_FIELD = "limit."
"""Before the id of a limit, where its events are counted like those of a trigger."""

_BITS = 13
"""Bits of a count inside a number: four of them fit into what a double holds exactly."""

_MOST_SLICES = 1000

_FEWEST = 50
"""Turns with a time below which all of them may be the same by chance."""

_JOINT = 400
"""Combinations of slice values that one query groups by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """What is counted in each turn: SQL that is 0 or 1, by the name it is kept under."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bet:
    """A trigger, or a limit, in the slices of a column (None: overall): what n and e are."""

    trigger: str
    column: str | None
    turns: str
    events: str
    per_unit: bool = False


def fold_turns(request: FoldRequest, open_turns: _OpenTurns) -> FoldedTurns:
    """Return the histograms of turns, and of the units that a state kept.

    Raises UsageError and InvalidInput for telemetry that cannot be read or lacks what the policy
    names.
    """
    options = TelemetryOptions(
        paths=request.paths,
        now=request.now,
        mapping=request.policy.mapping,
        dialect=request.policy.dialect,
        control=request.control,
        canary=request.canary,
        key=request.key,
    )
    with open_turns(options) as table:
        return _Fold(request, table, open_turns).run()


class DigestedFiles:
    """Implements :class:`relkit.canary.ports.TelemetryFiles`."""

    def __init__(self, open_turns: _OpenTurns) -> None:
        """Open files in this way where their turns are counted."""
        self._open_turns = open_turns

    def digests(self, paths: tuple[str, ...]) -> dict[str, str]:
        """Return path to digest of the bytes of every file; raises UsageError."""
        digests = {}
        for path in telemetry_files(paths):
            with path.open("rb") as file:
                digests[str(path)] = PREFIX + hashlib.file_digest(file, "sha256").hexdigest()
        return digests

    def turns(self, paths: tuple[str, ...], now: str) -> int:
        """Return how many turns files hold; raises InvalidInput."""
        with self._open_turns(TelemetryOptions(paths=paths, now=now)) as table:
            return int(table.fetch("SELECT count(*) AS n FROM turns")["n"][0])


class _Fold:
    """One fold; its tables live in the database of the turns."""

    def __init__(self, request: FoldRequest, table: TurnTable, open_turns: _OpenTurns) -> None:
        self._request = request
        self._policy = request.policy
        self._table = table
        self._open_turns = open_turns
        self._slices = tuple(watched.column for watched in request.policy.slices)
        self._since = [_micros(step.since) for step in request.steps]
        self._keep = request.keep or ()
        self._labels: dict[str, tuple[str, ...]] = {}
        self._thresholds = request.thresholds

    def run(self) -> FoldedTurns:
        """Return what came of it."""
        self._check_columns()
        hashing = str(self._table.fetch("SELECT hash('relkit') AS h")["h"][0])
        for kept in self._keep:
            if kept.hashing and kept.hashing != hashing:
                raise InvalidInput(
                    "the state was written by another version of DuckDB, whose hashes differ",
                    hint="go on with that version, or begin a new state with all turns",
                )
        before = max((kept.watermark_us for kept in self._keep if kept.watermark_us), default=None)
        self._load_kept()
        self._select_rows(before)
        first = self._freeze()
        self._label()
        measures = tuple(self._measures())
        bets = tuple(self._bets())
        self._group(measures)
        newest = self._table.fetch("SELECT epoch_us(max(ts)) AS w FROM canary_rows")["w"][0]
        marks = [before, None if np.ma.is_masked(newest) else int(newest)]
        watermark = max((mark for mark in marks if mark is not None), default=None)
        self._mark_closed(watermark)
        closed, going_on = self._histograms(bets)
        lost = self._lost(before)
        summary = self._table.summary()
        kept = KeptTurns()
        if self._request.keep is not None:
            kept = KeptTurns(
                open_=self._sealed(
                    "SELECT * EXCLUDE (step, closed) FROM canary_units"
                    " WHERE NOT closed ORDER BY unit, period"
                ),
                recent=self._recent(watermark),
                first=first,
                watermark_us=watermark,
                hashing=hashing,
            )
        changed = [p for p in summary.problems if p.code in {"unit_change", "type_change"}]
        used = self._used_columns()
        return FoldedTurns(
            closed=closed,
            going_on=going_on,
            kept=kept,
            newest_us=watermark,
            lost=replace(lost, duplicate=lost.duplicate + summary.dropped.duplicate),
            served=self._served(),
            thresholds=self._thresholds,
            times=tuple(self._times()),
            telemetry=summary,
            suspect=(
                *(f"unit_change:{p.where}" for p in changed if p.where in used),
                *self._constant(),
            ),
            warnings=tuple(
                f"{p.where}: {p.message}" for p in summary.problems if p.code != "other"
            ),
        )

    # ---------------------------------------------------------------------------------- columns

    def _check_columns(self) -> None:
        """Refuse what the policy names and the telemetry lacks, with the nearest name."""
        table = self._table
        if not self._request.paths:
            return  # only what was kept is looked at
        for name in self._slices:
            table.require(name, table.attributes, what="attribute")
        rates = [t.column for t in self._policy.watched if t.kind == "rate"]
        rates += [limit.rate for limit in self._policy.limits if limit.rate is not None]
        for name in rates:
            if name not in TURN_RATES:
                table.require(name, (*table.events, *TURN_RATES), what="event")
        if self._policy.unit == "user" and "unit" not in table.columns:
            raise InvalidInput(
                'the telemetry has no column "unit", and the policy says "unit: user"',
                hint="map it: mapping: {unit: user_id}, or assign traffic by session",
            )
        if self._request.control is None and "arm" not in table.columns:
            raise InvalidInput(
                'the telemetry has no column "arm", and the policy names no releases',
                hint='control: {release: "1.4.0"} and canary: {release: "1.5.0"}',
            )
        if self._request.control is not None and "release" not in table.columns:
            raise InvalidInput(
                'the telemetry has no column "release", and the policy tells the arms by it',
                hint="map it: mapping: {release: service.version}",
            )

    def _used_columns(self) -> set[str]:
        return {trigger.column for trigger in self._policy.watched} | self._budgeted()

    def _constant(self) -> Iterator[str]:
        """Yield a code for each time that is the same in every turn: nobody measured it."""
        for column in tails_of(self._policy):
            if not self._has(column):
                continue
            time = quoted(column)
            rows = self._table.fetch(
                f"SELECT count({time}) AS n, coalesce(min({time}) = max({time}), FALSE) AS same"
                " FROM canary_rows"
            )
            if int(rows["n"][0]) >= _FEWEST and bool(rows["same"][0]):
                yield f"constant:{column}"

    def _budgeted(self) -> set[str]:
        """Return the columns of times that limits hold to a budget."""
        names = [limit.budget for limit in self._policy.limits if limit.budget is not None]
        return {line.stage for name in names for line in BUDGETS[name]}

    def _has(self, column: str) -> bool:
        return column in self._table.columns

    def _event(self, name: str) -> tuple[str, str]:
        """Return (turns that count, events among them) of a rate, as conditions."""
        if name in self._table.events:
            return f"({quoted(name)} IS NOT NULL)", f"coalesce({quoted(name)}, FALSE)"
        if name == "failed":
            return "TRUE", "failed"
        if name == "no_answer":
            if not self._has("latency_ms"):
                return "FALSE", "FALSE"
            return "TRUE", f"(latency_ms IS NULL AND NOT {_INTERRUPTED})"
        if name in TURN_RATES and self._has("outcome"):
            return "TRUE", f"coalesce(outcome = '{name}', FALSE)"
        return "FALSE", "FALSE"

    def _no_audio(self, column: str) -> str:
        """Return the condition of a turn that had no first audio."""
        return "latency_ms IS NULL" if self._has("latency_ms") else f"({column} IS NULL AND failed)"

    # ----------------------------------------------------------------------------- rows to look at

    def _load_kept(self) -> None:
        """Make tables of what the states kept."""
        for i, kept in enumerate(self._keep):
            for name, sealed in (
                ("open", kept.open_),
                ("recent", kept.recent),
                ("first", kept.first),
            ):
                if sealed:
                    self._table.register(
                        f"kept_{name}_{i}", unsealed_table(sealed, self._request.key)
                    )

    def _kept_tables(self, name: str) -> list[str]:
        attribute = {"open": "open_"}.get(name, name)
        return [f"kept_{name}_{i}" for i, kept in enumerate(self._keep) if getattr(kept, attribute)]

    def _select_rows(self, before: int | None) -> None:
        """Make the relation of the turns that count in this look: not late, not seen before."""
        since = f"ts >= {timestamp(self._since[0])}" if self._since else "FALSE"
        conditions = [since]
        self._seen = "FALSE"
        if recent := self._kept_tables("recent"):
            union = " UNION ALL ".join(f"SELECT turn FROM {name}" for name in recent)
            self._table.execute(
                f"CREATE TABLE canary_recent AS SELECT DISTINCT turn FROM ({union})"
            )
            self._seen = "turn IN (SELECT turn FROM canary_recent)"
            conditions.append(f"NOT ({self._seen})")
        self._late = "FALSE"
        if before is not None:
            self._late = f"ts < {timestamp(before - self._lateness_us)}"
            conditions.append(f"NOT ({self._late})")
        absent = "".join(
            f", CAST(NULL AS VARCHAR) AS {quoted(name)}"
            for name in self._slices
            if not self._request.paths and name not in COLUMNS
        )
        self._table.execute(
            f"CREATE VIEW canary_rows AS SELECT *{absent} FROM turns WHERE arm IS NOT NULL AND"
            f" {' AND '.join(conditions)}"
        )

    @property
    def _lateness_us(self) -> int:
        return round(duration_s(self._policy.lateness) * 1e6)

    def _lost(self, before: int | None) -> LostTurns:
        """Return what does not count as it stands, since the first step began."""
        if not self._since:
            return LostTurns()
        since = f"(ts IS NULL OR ts >= {timestamp(self._since[0])})"
        now = timestamp(_micros(self._request.now))
        every = self._table.fetch(
            "SELECT count(*) FILTER (WHERE naive) AS naive,"
            " count(*) FILTER (WHERE NOT naive AND NOT named) AS unnamed,"
            f" count(*) FILTER (WHERE NOT naive AND named AND ts > {now}) AS future,"
            " coalesce(sum(bad_values), 0) AS bad_value"
            f" FROM {EVERY} WHERE {since}"
        )
        late = f"({self._late})" if before is not None else "FALSE"
        turns = self._table.fetch(
            f"SELECT count(*) FILTER (WHERE {self._seen}) AS duplicate,"
            f" count(*) FILTER (WHERE {late} AND NOT ({self._seen})) AS late,"
            " count(*) FILTER (WHERE arm IS NULL) AS unknown_arm,"
            " count(*) FILTER (WHERE ok IS NULL AND outcome IS NULL) AS no_outcome"
            f" FROM turns WHERE {since}"
        )
        used = self._table.fetch(
            "SELECT coalesce(sum(turns) FILTER (WHERE arms < 3), 0) AS used,"
            " coalesce(sum(turns) FILTER (WHERE arms = 3), 0) AS both_arms FROM canary_new"
        )
        return LostTurns(
            **{name: int(values[0] or 0) for name, values in {**every, **turns, **used}.items()}
        )

    def _served(self) -> tuple[ServedRelease, ...]:
        """Return which releases served in each step, where the arms are told by ``arm``."""
        if self._request.control is not None or not self._has("release"):
            return ()
        rows = self._table.fetch(
            f"SELECT {self._step_of('epoch_us(ts)')} AS step, arm, release, count(*) AS turns"
            " FROM canary_rows WHERE release IS NOT NULL GROUP BY ALL ORDER BY ALL"
        )
        return tuple(
            ServedRelease(step=int(step), arm=arm, release=str(release), turns=int(turns))
            for step, arm, release, turns in zip(*rows.values(), strict=True)
        )

    def _step_of(self, micros: str) -> str:
        """Return the place of the step that a time lies in, from 1."""
        return " + ".join(f"CAST({micros} >= {since} AS INTEGER)" for since in self._since) or "0"

    # --------------------------------------------------------------------------------- thresholds

    def _freeze(self) -> bytes:
        """Freeze the thresholds of tails where they are not, and return the first turns to keep."""
        tails = tails_of(self._policy)
        if not tails or self._thresholds.source != "none":
            return b""
        columns = [column for column in tails if self._has(column)]
        if self._from_reference(columns):
            return b""
        attributes = ", ".join(quoted(name) for name in self._slices)
        shown = ", ".join(
            ["epoch_us(ts) AS seen_us", *map(quoted, columns), *filter(None, [attributes])]
        )
        parts = [f"SELECT {shown} FROM canary_rows"] if self._request.paths else []
        parts += [f"SELECT * FROM {name}" for name in self._kept_tables("first")]
        if not parts:
            return b""
        most = self._policy.reference.min_turns
        self._table.execute(
            "CREATE TABLE canary_first AS SELECT * FROM ("
            + " UNION ALL BY NAME ".join(parts)
            + f") ORDER BY ALL LIMIT {most}"
        )
        rows = self._table.fetch("SELECT count(*) AS n, max(seen_us) AS last FROM canary_first")
        if int(rows["n"][0]) < most:
            if self._request.keep is None:
                return b""
            return self._sealed("SELECT * FROM canary_first ORDER BY ALL")
        held = set(columns_of_relation(self._table, "canary_first"))
        self._thresholds = FrozenThresholds(
            source="first_turns",
            turns=most,
            after_us=int(rows["last"][0]),
            values=quantiles(
                self._table,
                "canary_first",
                self._policy,
                [column for column in tails if column in held],
            ),
        )
        return b""

    def _from_reference(self, columns: Sequence[str]) -> bool:
        """Take the thresholds from control's turns before the canary; return whether it has any."""
        if not self._since:
            return False
        start = self._since[0] - round(duration_s(self._policy.reference.last) * 1e6)
        period = (
            f"SELECT * FROM turns WHERE arm = 'control' AND ts < {timestamp(self._since[0])}"
            f" AND ts >= {timestamp(start)}"
        )
        if not self._request.reference:
            return bool(self._request.paths) and self._took(
                frozen_from(self._table, period, self._policy, columns)
            )
        options = TelemetryOptions(
            paths=self._request.reference,
            now=self._request.now,
            mapping=self._policy.mapping,
            dialect=self._policy.dialect,
            control=self._request.control,
            canary=self._request.canary,
            key=self._request.key,
        )
        with self._open_turns(options) as table:
            held = [column for column in tails_of(self._policy) if column in table.columns]
            return self._took(frozen_from(table, period, self._policy, held))

    def _took(self, frozen: FrozenThresholds | None) -> bool:
        self._thresholds = frozen or self._thresholds
        return frozen is not None

    # -------------------------------------------------------------------------------------- units

    def _label(self) -> None:
        """Number the values of each slice column, with their thresholds beside them."""
        own = {(t.column, t.percentile, t.slice): t.value for t in self._thresholds.values}
        for i, name in enumerate(self._slices):
            parts = (
                [f"SELECT {quoted(name)} AS value FROM canary_rows"] if self._request.paths else []
            )
            parts += [
                f"SELECT {quoted('s:' + name)} AS value FROM {kept}"
                for kept in self._kept_tables("open")
            ]
            union = " UNION ".join(parts) or "SELECT NULL AS value"
            rows = self._table.fetch(
                f"SELECT DISTINCT value FROM ({union}) WHERE value IS NOT NULL ORDER BY value"
            )
            labels = tuple(str(value) for value in rows["value"])
            if len(labels) > _MOST_SLICES:
                raise InvalidInput(
                    f'"{name}" has {len(labels):,} values: it is no attribute to slice by',
                    hint="slice by what has a few, such as language or device",
                )
            self._labels[name] = labels
            columns = {"value": list(labels), "code": list(range(len(labels)))}
            for column, levels in tails_of(self._policy).items():
                for trigger, level in levels:
                    columns[f"t:{trigger}"] = [
                        own.get(
                            (column, level, slice_key(name, value)),
                            own.get((column, level, OVERALL)),
                        )
                        for value in labels
                    ]
            self._table.register(f"canary_labels_{i}", columns_table(columns))

    def _measures(self) -> Iterator[_Measure]:
        """Yield what is counted in each turn."""
        counted: set[str] = set()
        pairs = [(t.id, t.column) for t in self._policy.watched if t.kind == "rate"]
        pairs += [
            (LIMIT_FIELD + limit.id, limit.rate)
            for limit in self._policy.limits
            if limit.rate is not None
        ]
        for name, column in pairs:
            turns, events = self._event(column)
            if f"n:{column}" not in counted:
                counted.add(f"n:{column}")
                yield _Measure(name=f"n:{column}", sql=turns)
            yield _Measure(name=f"e:{name}", sql=events)
        if self._thresholds.source == "none":
            return
        after = self._thresholds.after_us
        held = "TRUE" if after is None else f"ts > {timestamp(after)}"
        overall = {
            (t.column, t.percentile): t.value for t in self._thresholds.values if t.slice == OVERALL
        }
        for column, levels in tails_of(self._policy).items():
            if not self._has(column) or (column, levels[0][1]) not in overall:
                continue
            silent, time = self._no_audio(column), quoted(column)
            counts = f"({held} AND ({time} IS NOT NULL OR ({silent} AND NOT {_INTERRUPTED})))"
            yield _Measure(name=f"n:{column}", sql=counts)
            for trigger, level in levels:
                limits = {"": repr(overall[column, level])}
                for i, name in enumerate(self._slices):
                    own = f"l{i}.{quoted('t:' + trigger)}"
                    limits[f":{name}"] = f"coalesce({own}, {limits['']})"
                for suffix, limit in limits.items():
                    slow = f"coalesce({time} > {limit}, TRUE) OR {silent}"
                    yield _Measure(name=f"e:{trigger}{suffix}", sql=f"({counts} AND ({slow}))")

    def _bets(self) -> Iterator[_Bet]:
        """Yield the histograms to make: units, every trigger and limit, overall and by slice."""
        for column in (None, *self._slices):
            yield _Bet(trigger=EVERY_UNIT, column=column, turns="turns", events="")
            for trigger in self._policy.watched:
                if column is not None and trigger.mode == "advisory":
                    continue
                if trigger.kind == "rate":
                    yield _Bet(
                        trigger=trigger.id,
                        column=column,
                        turns=f"n:{trigger.column}",
                        events=f"e:{trigger.id}",
                        per_unit=trigger.per_unit,
                    )
                elif trigger.kind == "tail":
                    suffix = "" if column is None else f":{column}"
                    yield _Bet(
                        trigger=trigger.id,
                        column=column,
                        turns=f"n:{trigger.column}",
                        events=f"e:{trigger.id}{suffix}",
                    )
        for limit in self._policy.limits:
            if limit.rate is not None:
                name = LIMIT_FIELD + limit.id
                yield _Bet(trigger=name, column=None, turns=f"n:{limit.rate}", events=f"e:{name}")

    def _group(self, measures: Sequence[_Measure]) -> None:
        """Make the table of units: of these turns (``canary_new``), with those that were kept."""
        names = [measure.name for measure in measures]
        bits = _BITS
        while True:
            packed = list(self._packed(measures, bits))
            self._table.execute(f"CREATE OR REPLACE TABLE canary_packed AS {self._grouped(packed)}")
            rows = self._table.fetch("SELECT coalesce(max(turns), 0) AS most FROM canary_packed")
            if int(rows["most"][0]) < 1 << bits or bits > 26:  # noqa: PLR2004 - one count a number
                break
            bits *= 2
        per = 52 // bits
        unpacked = [
            f"(CAST(p{i // per} AS BIGINT) >> {bits * (i % per)}) & {(1 << bits) - 1}"
            f" AS {quoted(name)}"
            for i, name in enumerate(names)
        ]
        slices = [f"l{i}.value AS {quoted('s:' + name)}" for i, name in enumerate(self._slices)]
        joins = " ".join(
            f"LEFT JOIN canary_labels_{i} l{i} ON l{i}.code = c{i}"
            for i in range(len(self._slices))
        )
        shown = ", ".join(["unit", "period", "begun", "ended", "arms", "turns", *slices, *unpacked])
        self._table.execute(f"CREATE TABLE canary_new AS SELECT {shown} FROM canary_packed {joins}")
        self._table.execute("DROP TABLE canary_packed")
        kept = self._kept_tables("open")
        source = "canary_new"
        if kept:
            union = " UNION ALL BY NAME ".join(f"SELECT * FROM {name}" for name in (source, *kept))
            columns = {
                name: None
                for relation in (source, *kept)
                for name in columns_of_relation(self._table, relation)
                if name.startswith(("n:", "e:"))
            }
            summed = ", ".join(
                f"CAST(sum({quoted(name)}) AS BIGINT) AS {quoted(name)}"
                for name in ("turns", *columns)
            )
            chosen = "".join(
                f", min({quoted('s:' + n)}) AS {quoted('s:' + n)}" for n in self._slices
            )
            source = (
                "(SELECT unit, period, min(begun) AS begun, max(ended) AS ended,"
                " bit_or(arms) AS arms"
                f"{chosen}, {summed} FROM ({union}) GROUP BY unit, period)"
            )
        step = "period" if self._policy.unit == "user" else self._step_of("begun")
        self._table.execute(
            f"CREATE TABLE canary_units AS SELECT *, CAST({step} AS INTEGER) AS step,"
            f" FALSE AS closed FROM {source}"
        )
        self._fields = {
            name
            for name in columns_of_relation(self._table, "canary_units")
            if name.startswith(("n:", "e:", "turns"))
        }

    def _packed(self, measures: Sequence[_Measure], bits: int) -> Iterator[str]:
        per = 52 // bits
        for start in range(0, len(measures), per):
            terms = [
                f"CASE WHEN {measure.sql} THEN {float(1 << bits * i)!r} ELSE 0.0 END"
                for i, measure in enumerate(measures[start : start + per])
            ]
            yield f"sum({' + '.join(terms)}) AS p{start // per}"

    def _grouped(self, packed: Iterable[str]) -> str:
        """Return the query that adds up the turns of each unit."""
        period = self._step_of("epoch_us(ts)") if self._policy.unit == "user" else "0"
        codes = [f"min(l{i}.code) AS c{i}" for i in range(len(self._slices))]
        joins = " ".join(
            f"LEFT JOIN canary_labels_{i} l{i} ON r.{quoted(name)} = l{i}.value"
            for i, name in enumerate(self._slices)
        )
        unit = "unit" if self._policy.unit == "user" else "session"
        shown = ", ".join(
            [
                f"{unit} AS unit",
                f"{period} AS period",
                "epoch_us(min(ts)) AS begun",
                "epoch_us(max(ts)) AS ended",
                "bit_or(CASE arm WHEN 'control' THEN 1 ELSE 2 END) AS arms",
                "count(*) AS turns",
                *codes,
                *packed,
            ]
        )
        return f"SELECT {shown} FROM canary_rows r {joins} GROUP BY ALL"

    def _mark_closed(self, watermark: int | None) -> None:
        """Close the units that cannot go on: sessions after their gap, users with their step."""
        if self._request.keep is None or watermark is None:
            self._table.execute("UPDATE canary_units SET closed = TRUE")
            return
        if self._policy.unit == "user":
            steps = [
                i
                for i, since in enumerate(self._since[1:], 1)
                if watermark - self._lateness_us >= since
            ]
            condition = f"period <= {max(steps, default=0)}"
        else:
            gap = round(duration_s(self._policy.session_gap) * 1e6)
            condition = f"ended < {watermark - gap - self._lateness_us}"
        self._table.execute(f"UPDATE canary_units SET closed = TRUE WHERE {condition}")

    # --------------------------------------------------------------------------------- histograms

    def _histograms(
        self, bets: Sequence[_Bet]
    ) -> tuple[dict[CellKey, UnitCounts], dict[CellKey, UnitCounts]]:
        """Return the histograms of the closed units, and of those that may go on."""
        made: tuple[dict[CellKey, UnitCounts], dict[CellKey, UnitCounts]] = ({}, {})
        for bet in bets:
            if bet.turns not in self._fields or (bet.events and bet.events not in self._fields):
                continue
            turns = quoted(bet.turns)
            events = quoted(bet.events) if bet.events else "0"
            n, e = (
                f"least({turns}, {CAP})",
                (
                    f"CASE WHEN {turns} > {CAP} THEN"
                    f" CAST(ceil({events} * {CAP}.0 / {turns}) AS BIGINT) ELSE {events} END"
                ),
            )
            if bet.per_unit:
                n, e = "1", f"least({events}, 1)"
            key = (
                "''"
                if bet.column is None
                else f"coalesce({quoted('s:' + bet.column)}, '{NO_VALUE}')"
            )
            rows = self._table.fetch(
                f"SELECT closed, step, {key} AS key, arms = 2 AS canary, {n} AS n, {e} AS e,"
                f" count(*) AS units FROM canary_units WHERE arms < 3 AND {turns} > 0"
                " GROUP BY ALL ORDER BY ALL"
            )
            for (closed, step, value), counts in _split(rows):
                cell = (step, bet.trigger, slice_key(bet.column, value))
                made[0 if closed else 1][cell] = counts
        return made

    def _times(self) -> Iterator[TimeBins]:
        """Yield the canary's times of this look, in bins, for what budgets are about."""
        for column in sorted(self._budgeted() & self._table.columns):
            time = quoted(column)
            rows = self._table.fetch(
                f"SELECT {self._step_of('epoch_us(ts)')} AS step,"
                f" CAST(ceil(ln(greatest({time}, 1e-3)) / ln({BIN})) AS INTEGER) AS bin,"
                f" count(*) AS n FROM canary_rows WHERE arm = 'canary' AND {time} IS NOT NULL"
                " GROUP BY ALL ORDER BY ALL"
            )
            for step in np.unique(rows["step"]):
                here = rows["step"] == step
                bins = zip(rows["bin"][here].tolist(), rows["n"][here].tolist(), strict=True)
                yield TimeBins(step=int(step), column=column, bins=tuple(bins))

    # --------------------------------------------------------------------------- what is kept

    def _recent(self, watermark: int | None) -> bytes:
        if watermark is None:
            return b""
        after = watermark - self._lateness_us
        parts = [
            f"SELECT turn, epoch_us(ts) AS seen_us FROM canary_rows WHERE ts >= {timestamp(after)}"
        ]
        parts += [
            f"SELECT turn, seen_us FROM {name} WHERE seen_us >= {after}"
            for name in self._kept_tables("recent")
        ]
        union = " UNION ".join(parts)
        return self._sealed(f"SELECT DISTINCT turn, seen_us FROM ({union}) ORDER BY turn")

    def _sealed(self, sql: str) -> bytes:
        """Return the rows of a query as bytes that only the key opens."""
        return sealed_table(columns_table(self._table.fetch(sql)), self._request.key)


_INTERRUPTED = "coalesce(outcome = 'interrupted', FALSE)"


def _split(rows: Mapping[str, _Column]) -> Iterator[tuple[tuple[bool, int, str], UnitCounts]]:
    """Yield the histogram of each (closed, step, key) of sorted rows."""
    if not len(rows["units"]):
        return
    heads = [np.asarray(rows[name]) for name in ("closed", "step", "key")]
    changes = np.zeros(len(heads[0]), dtype=bool)
    changes[0] = True
    for head in heads:
        changes[1:] |= head[1:] != head[:-1]
    starts = np.flatnonzero(changes)
    for start, end in zip(starts, [*starts[1:], len(changes)], strict=True):
        part = slice(int(start), int(end))
        yield (
            (bool(heads[0][start]), int(heads[1][start]), str(heads[2][start])),
            UnitCounts(
                canary=np.asarray(rows["canary"][part], dtype=np.bool_),
                turns=np.asarray(rows["n"][part], dtype=np.int64),
                events=np.asarray(rows["e"][part], dtype=np.int64),
                units=np.asarray(rows["units"][part], dtype=np.int64),
            ),
        )


def _micros(time: str) -> int:
    at = moment(time).replace(tzinfo=UTC)
    return round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000
