"""Folds turns into histograms of units for a canary, in as few passes over the turns as possible.

One GROUP BY over a hash of the unit adds up everything at once: several counts of a unit stand side
by side in the digits of one number, which halves the time. Histograms are then small queries over
units. What is kept between two looks is sealed with the telemetry key.
"""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from relkit.adapters.duckdb.canary_counts import (
    INTERRUPTED,
    TurnCount,
    capped_counts,
    event_sql,
    packed_counts,
    tail_sql,
)
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
from relkit.adapters.duckdb.turn_files import telemetry_files
from relkit.adapters.duckdb.turns import EVERY, TurnTable
from relkit.canary.policies import TURN_RATES
from relkit.canary.ports import FoldedTurns, FoldRequest, KeptTurns
from relkit.canary.types import (
    AMOUNT_BIN,
    CAP,
    EVERY_UNIT,
    NO_AMOUNT,
    AmountCounts,
    CellKey,
    FileBytes,
    FrozenThresholds,
    LostTurns,
    ReadFile,
    SampledUnits,
    ServedRelease,
    TimeBins,
    Trigger,
)
from relkit.core.digests import PREFIX
from relkit.core.errors import InvalidInput
from relkit.core.slices import OVERALL
from relkit.core.values import duration_s, moment
from relkit.datasets.types import NO_VALUE
from relkit.monitoring.serving.budgets import BUDGETS
from relkit.statistics.types import UnitCounts
from relkit.telemetry.types import COLUMNS, Telemetry, TelemetryOptions, TelemetryProblem

_OpenTurns = Callable[[TelemetryOptions], TurnTable]

_Column = npt.NDArray[np.generic]
Integers = npt.NDArray[np.int64]

LIMIT_FIELD = "limit."
"""Before the id of a limit, where its events are counted like those of a trigger."""

_BITS = 13
"""Bits of a count inside a number: four of them fit into what a double holds exactly."""

_MOST_SLICES = 1000

_FEWEST = 50
"""Turns with a time below which all of them may be the same by chance."""


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


def sample_units(
    request: FoldRequest, open_turns: _OpenTurns, *, most: int = 20_000
) -> SampledUnits:
    """Return units of traffic before a canary, whatever arm they were in, in the order of time.

    Of more than ``most`` units those with the smallest hashes are taken. Raises UsageError,
    InvalidInput.
    """
    options = TelemetryOptions(
        paths=request.paths,
        now=request.now,
        mapping=request.policy.mapping,
        dialect=request.policy.dialect,
        key=request.key,
    )
    with open_turns(options) as table:
        return _Fold(request, table, open_turns).sampled(most)


class DigestedFiles:
    """Implements :class:`relkit.canary.ports.TelemetryFiles`."""

    def __init__(self, open_turns: _OpenTurns) -> None:
        """Open files in this way where their turns are counted."""
        self._open_turns = open_turns
        self._rests: str | None = None

    def digests(self, paths: tuple[str, ...], lengths: Sequence[int]) -> dict[str, FileBytes]:
        """Return path to digest of every file, and of its beginnings; raises UsageError."""
        return {str(path): _file_bytes(path, lengths) for path in telemetry_files(paths)}

    def after(self, path: str, length: int) -> str:
        """Return a temporary file of the same name with what comes after so many bytes."""
        if self._rests is None:
            self._rests = tempfile.mkdtemp(prefix="relkit-canary-")
            weakref.finalize(self, shutil.rmtree, self._rests, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=self._rests))
        rest = folder / Path(path).name
        with Path(path).open("rb") as whole, rest.open("wb") as copy:
            whole.seek(length)
            shutil.copyfileobj(whole, copy)
        return str(rest)

    def turns(self, paths: tuple[str, ...], now: str) -> int:
        """Return how many turns files hold; raises InvalidInput."""
        with self._open_turns(TelemetryOptions(paths=paths, now=now)) as table:
            return int(table.fetch("SELECT count(*) AS n FROM turns")["n"][0])


_CHUNK = 1 << 20


def _file_bytes(path: Path, lengths: Sequence[int]) -> FileBytes:
    """Return the digest of a file, and of its first ``lengths`` bytes where a line ends there."""
    lines = path.suffix.lower() in {".json", ".jsonl", ".ndjson"}
    size = path.stat().st_size
    ends = [length for length in lengths if length < size] if lines else []
    digest, read, beginnings = hashlib.sha256(), 0, {}
    with path.open("rb") as file:
        for end in (*ends, None):
            last = b""
            while end is None or read < end:
                chunk = file.read(_CHUNK if end is None else min(_CHUNK, end - read))
                if not chunk:
                    break
                digest.update(chunk)
                read, last = read + len(chunk), chunk[-1:]
            if end is not None and last == b"\n":
                beginnings[end] = PREFIX + digest.hexdigest()
    whole = ReadFile(digest=PREFIX + digest.hexdigest(), length=read if lines else 0)
    return FileBytes(file=whole, beginnings=beginnings)


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
        self._every: list[str] = []
        self._places: dict[str, tuple[int, int]] = {}
        self._bits = _BITS

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
        newest = self._group(tuple(self._counts()))
        watermark = max((mark for mark in (before, newest) if mark is not None), default=None)
        self._join_kept(watermark)
        closed, going_on = self._histograms(tuple(self._bets()))
        closed_amounts, amounts_going_on = self._amount_histograms()
        summary = self._summary()
        lost = self._lost(before, summary)
        kept = KeptTurns()
        if self._request.keep is not None:
            kept = KeptTurns(
                open_=self._open(),
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
            closed_amounts=closed_amounts,
            amounts_going_on=amounts_going_on,
            kept=kept,
            newest_us=watermark,
            lost=lost,
            served=self._served(),
            thresholds=self._thresholds,
            times=tuple(self._times()),
            telemetry=summary,
            suspect=(
                *(f"unit_change:{p.where}" for p in changed if p.where in used),
                *self._constant(),
            ),
            warnings=tuple(_warnings(summary.problems)),
        )

    def sampled(self, most: int) -> SampledUnits:
        """Return units with their turns and events in each trigger and slice column."""
        self._check_columns(arms=False)
        self._since = [0]
        self._table.execute(
            "CREATE VIEW canary_rows AS SELECT * REPLACE ('control' AS arm) FROM turns"
        )
        span = self._table.fetch(
            "SELECT count(*) AS turns, coalesce(epoch_us(max(ts)) - epoch_us(min(ts)), 0) AS us"
            " FROM canary_rows"
        )
        turns, hours = int(span["turns"][0]), int(span["us"][0]) / 3.6e9
        if turns < self._policy.reference.min_turns or hours <= 0:
            raise InvalidInput(
                f"the reference has {turns:,} turns, and a plan needs "
                f"{self._policy.reference.min_turns:,}",
                hint="give more of it, or plan with --turns-per-hour N",
            )
        columns = [column for column in tails_of(self._policy) if self._has(column)]
        self._thresholds = FrozenThresholds(
            source="reference",
            turns=turns,
            values=quantiles(self._table, "canary_rows", self._policy, columns),
        )
        self._label()
        self._group(tuple(self._counts()))
        self._join_kept(None)
        rows = self._table.fetch(
            f"SELECT * FROM (SELECT * FROM canary_units ORDER BY hash(unit, 1) LIMIT {most})"
            " ORDER BY begun, unit"
        )
        counts = {}
        for bet in self._bets():
            if bet.trigger == EVERY_UNIT or bet.trigger.startswith(LIMIT_FIELD):
                continue
            if not self._fields.issuperset((bet.turns, bet.events)):
                continue
            n, e = (np.asarray(rows[name], dtype=np.int64) for name in (bet.turns, bet.events))
            n, e = capped_counts(n, e, per_unit=bet.per_unit)
            counts[bet.trigger, bet.column] = (n, e)
        codes = {
            name: np.asarray(np.ma.filled(rows[f"c{i}"], -1), dtype=np.int64)
            for i, name in enumerate(self._slices)
        }
        return SampledUnits(
            turns=np.asarray(rows["turns"], dtype=np.int64),
            counts=counts,
            codes=codes,
            labels=dict(self._labels),
            turns_per_hour=turns / hours,
        )

    # ---------------------------------------------------------------------------------- columns

    def _check_columns(self, *, arms: bool = True) -> None:
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
        if not arms:
            return
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
        """Yield a code for each time that is the same in every turn: nobody measured it.

        Some turns show that it is not, so that all are looked at only where they do not.
        """
        columns = [column for column in tails_of(self._policy) if self._has(column)]
        for rows in ("(SELECT * FROM canary_rows LIMIT 2048)", "canary_rows"):
            same = ", ".join(
                f"count({quoted(column)}) >= {_FEWEST if rows == 'canary_rows' else 0} AND"
                f" coalesce(min({quoted(column)}) = max({quoted(column)}), TRUE)"
                f" AS {quoted(column)}"
                for column in columns
            )
            found = self._table.fetch(f"SELECT {same} FROM {rows}") if same else {}
            columns = [column for column in columns if bool(found[column][0])]
        yield from (f"constant:{column}" for column in columns)

    def _budgeted(self) -> set[str]:
        """Return the columns of times that limits hold to a budget."""
        names = [limit.budget for limit in self._policy.limits if limit.budget is not None]
        return {line.stage for name in names for line in BUDGETS[name]}

    def _has(self, column: str) -> bool:
        return column in self._table.columns

    def _event(self, name: str) -> tuple[str, str]:
        """Return (turns that count, events among them) of a rate, as conditions."""
        if name in self._table.events:
            return f"({quoted(name)} IS NOT NULL)", quoted(name)
        if name == "failed":
            return "TRUE", "failed"
        if name == "no_answer":
            if not self._has("latency_ms"):
                return "FALSE", "FALSE"
            return "TRUE", f"(latency_ms IS NULL AND NOT {INTERRUPTED})"
        if name in TURN_RATES and self._has("outcome"):
            return "TRUE", f"outcome = '{name}'"
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

    def _summary(self) -> Telemetry:
        """Return what was read; sessions are not counted again where all turns were grouped."""
        grouped = self._table.fetch(
            "SELECT count(*) AS units, coalesce(sum(turns), 0) AS turns FROM canary_packed"
        )
        turns = self._table.fetch("SELECT count(*) AS turns FROM turns")
        if self._policy.unit != "session" or grouped["turns"][0] != turns["turns"][0]:
            return self._table.summary()
        return self._table.summary(sessions=int(grouped["units"][0]))

    def _lost(self, before: int | None, summary: Telemetry) -> LostTurns:
        """Return what does not count as it stands, since the first step began."""
        if not self._since:
            return LostTurns()
        first = summary.from_
        used = self._table.fetch(
            "SELECT coalesce(sum(turns) FILTER (WHERE arms < 3), 0) AS used,"
            " coalesce(sum(turns) FILTER (WHERE arms = 3), 0) AS both_arms FROM canary_packed"
        )
        if before is None and first is not None and _micros(first) >= self._since[0]:
            counts = {name: getattr(summary.dropped, name) for name in _DROPPED}
            return LostTurns(**counts, **{name: int(values[0]) for name, values in used.items()})
        since = f"(ts IS NULL OR ts >= {timestamp(self._since[0])})"
        now = timestamp(_micros(self._request.now))
        every = self._table.fetch(
            "SELECT count(*) FILTER (WHERE naive) AS naive,"
            " count(*) FILTER (WHERE NOT naive AND NOT named) AS unnamed,"
            f" count(*) FILTER (WHERE NOT naive AND named AND ts > {now}) AS future,"
            " coalesce(sum(bad_values), 0) AS bad_value"
            f" FROM {EVERY} WHERE {since}"
        )
        turns = self._table.fetch(
            f"SELECT count(*) FILTER (WHERE {self._seen}) AS duplicate,"
            f" count(*) FILTER (WHERE {self._late} AND NOT ({self._seen})) AS late,"
            " count(*) FILTER (WHERE arm IS NULL) AS unknown_arm,"
            " count(*) FILTER (WHERE ok IS NULL AND outcome IS NULL) AS no_outcome"
            f" FROM turns WHERE {since}"
        )
        lost = LostTurns(
            **{name: int(values[0] or 0) for name, values in {**every, **turns, **used}.items()}
        )
        return replace(lost, duplicate=lost.duplicate + summary.dropped.duplicate)

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
            # A turn without a value has a row of its own: no threshold is ever missing.
            columns: dict[str, list[object]] = {
                "value": [*labels, ""],
                "code": [*range(len(labels)), None],
            }
            for column, levels in tails_of(self._policy).items():
                for trigger, level in levels:
                    columns[f"t:{trigger}"] = [
                        own.get(
                            (column, level, slice_key(name, value)),
                            own.get((column, level, OVERALL)),
                        )
                        for value in (*labels, None)
                    ]
            self._table.register(f"canary_labels_{i}", columns_table(columns))

    def _counts(self) -> Iterator[TurnCount]:
        """Yield what is counted in each turn; what is true of every turn is not counted again."""
        rates = [t.column for t in self._policy.watched if t.kind == "rate"]
        rates += [limit.rate for limit in self._policy.limits if limit.rate is not None]
        for column in dict.fromkeys(rates):
            turns, events = self._event(column)
            if turns == "TRUE":
                self._every.append(f"n:{column}")
                yield TurnCount(fields=(f"e:{column}",), sql=partial(event_sql, None, events))
            else:
                both = (f"n:{column}", f"e:{column}")
                yield TurnCount(fields=both, sql=partial(event_sql, turns, events))
        if self._thresholds.source == "none":
            return
        after = self._thresholds.after_us
        held = None if after is None else f"ts > {timestamp(after)}"
        overall = {
            (t.column, t.percentile): t.value for t in self._thresholds.values if t.slice == OVERALL
        }
        for column, levels in tails_of(self._policy).items():
            if not self._has(column) or (column, levels[0][1]) not in overall:
                continue
            limits = [repr(overall[column, level]) for _, level in levels]
            counted = partial(tail_sql, quoted(column), self._no_audio(column), held)
            for i, name in enumerate(self._slices or ("",)):
                own = [
                    f"l{i}.{quoted('t:' + trigger)}" if name else limit
                    for (trigger, _), limit in zip(levels, limits, strict=True)
                ]
                names = (f"n:{column}", *(f"e:{trigger}" for trigger, _ in levels))
                fields = tuple(f"{field}{self._suffix(name)}" for field in names)
                yield TurnCount(fields=fields, sql=partial(counted, own))

    def _suffix(self, column: str | None) -> str:
        """Return what tells the counts of tails in a slice column apart; none in the first one.

        Overall, a turn is held against the threshold of its value of the first column as well.
        """
        return f":{column}" if column and column != self._slices[0] else ""

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
                        events=f"e:{trigger.column}",
                        per_unit=trigger.per_unit,
                    )
                elif trigger.kind == "tail":
                    suffix = self._suffix(column)
                    yield _Bet(
                        trigger=trigger.id,
                        column=column,
                        turns=f"n:{trigger.column}{suffix}",
                        events=f"e:{trigger.id}{suffix}",
                    )
        for limit in self._policy.limits:
            if limit.rate is not None:
                name = LIMIT_FIELD + limit.id
                yield _Bet(
                    trigger=name, column=None, turns=f"n:{limit.rate}", events=f"e:{limit.rate}"
                )

    def _group(self, counts: Sequence[TurnCount]) -> int | None:
        """Add up the turns of each unit (``canary_new``); return the time of the newest turn."""
        bits = _BITS
        while True:
            terms, places = packed_counts(counts, bits)
            self._table.execute(f"CREATE OR REPLACE TABLE canary_packed AS {self._grouped(terms)}")
            rows = self._table.fetch(
                "SELECT max(turns) AS most, max(ended) AS ended FROM canary_packed"
            )
            if np.ma.is_masked(rows["most"][0]):
                newest = None
                break
            newest = int(rows["ended"][0])
            if int(rows["most"][0]) < 1 << bits or bits > 26:  # noqa: PLR2004 - one count a number
                break
            bits *= 2
        self._places, self._bits = places, bits
        unpacked = [
            f"(CAST(p{number} AS BIGINT) >> {bits * place}) & {(1 << bits) - 1} AS {quoted(name)}"
            for name, (number, place) in places.items()
        ]
        unpacked += [f"turns AS {quoted(name)}" for name in self._every]
        codes = [f"c{i}" for i in range(len(self._slices))]
        shown = ", ".join(["unit", "period", "begun", "ended", "arms", "turns", *codes, *unpacked])
        numbers = "".join(f", p{i}" for i in range(len(terms)))
        numbers += "".join(f", {sql.rpartition(' AS ')[2]}" for sql in self._sums())
        self._table.execute(f"CREATE VIEW canary_new AS SELECT {shown}{numbers} FROM canary_packed")
        return newest

    def _join_kept(self, watermark: int | None) -> None:
        """Make the relation of all units: of these turns, and of those that were kept."""
        source, kept = "canary_new", self._kept_tables("open")
        if kept:
            joins = " ".join(
                f"LEFT JOIN canary_labels_{i} l{i} ON k.{quoted('s:' + name)} = l{i}.value"
                for i, name in enumerate(self._slices)
            )
            codes = "".join(f", l{i}.code AS c{i}" for i in range(len(self._slices)))
            without = ", ".join(quoted("s:" + name) for name in self._slices)
            excluded = f" EXCLUDE ({without})" if without else ""
            parts = [f"SELECT k.*{excluded}{codes} FROM {name} k {joins}" for name in kept]
            union = " UNION ALL BY NAME ".join([f"SELECT * FROM {source}", *parts])
            columns = {
                name: None
                for relation in (source, *kept)
                for name in columns_of_relation(self._table, relation)
                if name.startswith(("n:", "e:", "k:", "w:"))
            }
            self._every.clear()
            amounts = {
                name: None
                for relation in (source, *kept)
                for name in columns_of_relation(self._table, relation)
                if name.startswith("y:")
            }
            summed = ", ".join(
                f"CAST(sum(CAST({quoted(name)} AS DOUBLE)) AS BIGINT) AS {quoted(name)}"
                for name in ("turns", *columns)
            )
            summed += "".join(f", sum({quoted(name)}) AS {quoted(name)}" for name in amounts)
            chosen = "".join(f", min(c{i}) AS c{i}" for i in range(len(self._slices)))
            self._table.execute(
                "CREATE TABLE canary_joined AS SELECT unit, period, min(begun) AS begun,"
                f" max(ended) AS ended, bit_or(arms) AS arms{chosen}, {summed} FROM ({union})"
                " GROUP BY unit, period"
            )
            source = "canary_joined"
        step = "period" if self._policy.unit == "user" else self._step_of("begun")
        self._table.execute(
            f"CREATE VIEW canary_units AS SELECT *, CAST({step} AS INTEGER) AS step,"
            f" {self._closed(watermark)} AS closed FROM {source}"
        )
        self._fields = set(columns_of_relation(self._table, "canary_units"))

    def _grouped(self, terms: Sequence[str]) -> str:
        """Return the query that adds up the turns of each unit."""
        period = self._step_of("epoch_us(ts)") if self._policy.unit == "user" else "0"
        codes = [f"min(l{i}.code) AS c{i}" for i in range(len(self._slices))]
        joins = " ".join(
            f"JOIN canary_labels_{i} l{i} ON coalesce(r.{quoted(name)}, '') = l{i}.value"
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
                *(f"sum({term}) AS p{i}" for i, term in enumerate(terms)),
                *self._sums(),
            ]
        )
        return f"SELECT {shown} FROM canary_rows r {joins} GROUP BY ALL"

    def _closed(self, watermark: int | None) -> str:
        """Return which units cannot go on: sessions after their gap, users with their step."""
        if self._request.keep is None or watermark is None:
            return "TRUE"
        if self._policy.unit == "user":
            over = [
                i
                for i, since in enumerate(self._since[1:], 1)
                if watermark - self._lateness_us >= since
            ]
            return f"period <= {max(over, default=0)}"
        gap = round(duration_s(self._policy.session_gap) * 1e6)
        return f"ended < {watermark - gap - self._lateness_us}"

    # --------------------------------------------------------------------------------- histograms

    def _histograms(
        self, bets: Sequence[_Bet]
    ) -> tuple[dict[CellKey, UnitCounts], dict[CellKey, UnitCounts]]:
        """Return the histograms of the closed units, and of those that may go on."""
        made: tuple[dict[CellKey, UnitCounts], dict[CellKey, UnitCounts]] = ({}, {})
        codes = ", ".join(f"coalesce(c{i}, -1) AS c{i}" for i in range(len(self._slices)))
        head = ", ".join(filter(None, ["closed", "step", "arms = 2 AS canary", codes]))
        for fields, columns in self._tables(bets):
            rows = self._table.fetch(
                f"SELECT {head}, {columns}, count(*) AS units FROM canary_units WHERE arms < 3"
                " GROUP BY ALL"
            )
            values = self._values(rows, fields)
            for bet in bets:
                counted, events = values.get(bet.turns), values.get(bet.events)
                if counted is None or (events is None if bet.events else fields):
                    continue
                for (closed, step, code), counts in self._cells(bet, rows, counted, events):
                    value = NO_VALUE if code < 0 else self._labels[bet.column or ""][code]
                    cell = (step, bet.trigger, slice_key(bet.column, value))
                    made[0 if closed else 1][cell] = counts
        return made

    def _tables(self, bets: Sequence[_Bet]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield the fields that a query gives, and the columns that it asks for.

        Where nothing was kept, the counts that stand in one number are grouped as they are: a
        thousand different numbers are taken apart afterwards, and not each unit's.
        """
        yield (), "turns"
        if not self._kept_tables("open"):
            for number in sorted({number for number, _ in self._places.values()}):
                here = tuple(name for name, (n, _) in self._places.items() if n == number)
                yield here, f"turns, CAST(p{number} AS BIGINT) AS packed"
            return
        for pair in dict.fromkeys((bet.turns, bet.events) for bet in bets if bet.events):
            if self._fields.issuperset(pair):
                yield pair, ", ".join(["turns", *map(quoted, pair)])

    def _values(self, rows: Mapping[str, _Column], fields: Sequence[str]) -> dict[str, Integers]:
        """Return the counts of each field in grouped rows."""
        turns = np.asarray(rows["turns"], dtype=np.int64)
        values = {"turns": turns, **dict.fromkeys(self._every, turns)}
        if "packed" not in rows:
            for name in fields:
                values[name] = np.asarray(np.ma.filled(rows[name], 0), dtype=np.int64)
            return values
        packed, most = np.asarray(rows["packed"], dtype=np.int64), (1 << self._bits) - 1
        for name in fields:
            values[name] = (packed >> (self._bits * self._places[name][1])) & most
        return values

    def _cells(
        self, bet: _Bet, rows: Mapping[str, _Column], turns: Integers, events: Integers | None
    ) -> Iterator[tuple[tuple[bool, int, int], UnitCounts]]:
        """Yield the histogram of each (closed, step, code) in grouped rows."""
        counts = turns > 0
        e = np.zeros_like(turns) if events is None else events
        n, e = capped_counts(turns[counts], e[counts], per_unit=bet.per_unit)
        code = np.full_like(n, -1)
        if bet.column is not None:
            code = np.asarray(rows[f"c{self._slices.index(bet.column)}"], dtype=np.int64)[counts]
        closed = np.asarray(rows["closed"], dtype=np.int64)[counts]
        step = np.asarray(rows["step"], dtype=np.int64)[counts]
        canary = np.asarray(rows["canary"], dtype=np.int64)[counts]
        units = np.asarray(rows["units"], dtype=np.int64)[counts]
        group = (step * 2 + closed) * (_MOST_SLICES + 2) + code + 1
        cell = ((group * 2 + canary) * (CAP + 1) + n) * (CAP + 1) + e
        keys, place = np.unique(cell, return_inverse=True)
        sums = np.bincount(place, weights=units).astype(np.int64)
        groups = keys // (2 * (CAP + 1) ** 2)
        for number in np.unique(groups):
            here = groups == number
            inside = keys[here] % (2 * (CAP + 1) ** 2)
            first, coded = divmod(int(number), _MOST_SLICES + 2)
            yield (
                (bool(first % 2), first // 2, coded - 1),
                UnitCounts(
                    canary=inside // (CAP + 1) ** 2 == 1,
                    turns=inside // (CAP + 1) % (CAP + 1),
                    events=inside % (CAP + 1),
                    units=sums[here],
                ),
            )

    def _means(self) -> list[Trigger]:
        """Return the means whose column is there."""
        return [
            trigger
            for trigger in self._policy.watched
            if trigger.kind == "mean"
            and (trigger.column == "turns" or self._has(trigger.column) or not self._request.paths)
        ]

    def _sums(self) -> Iterator[str]:
        """Yield what is added up for means: the amount, how often it was measured, success."""
        for trigger in self._means():
            if trigger.column == "turns":
                continue
            column = quoted(trigger.column)
            yield f"coalesce(sum({column}), 0) AS {quoted('y:' + trigger.id)}"
            yield f"count({column}) AS {quoted('k:' + trigger.id)}"
            if trigger.per == "success":
                yield (
                    "CAST(coalesce(bool_or(success), FALSE) AS BIGINT)"
                    f" AS {quoted('w:' + trigger.id)}"
                )

    def _amount_histograms(
        self,
    ) -> tuple[dict[CellKey, AmountCounts], dict[CellKey, AmountCounts]]:
        """Return the histograms of amounts of the closed units, and of those that may go on."""
        made: tuple[dict[CellKey, AmountCounts], dict[CellKey, AmountCounts]] = ({}, {})
        for trigger in self._means():
            amount, measured = quoted("y:" + trigger.id), quoted("k:" + trigger.id)
            if trigger.column == "turns":
                amount = measured = "turns"
            base = {
                "turn": measured,
                "session": "1",
                "success": f"least({quoted('w:' + trigger.id)}, 1)",
            }[trigger.per]
            place = (
                f"CASE WHEN {amount} > 0 THEN"
                f" CAST(round(ln({amount}) / ln({AMOUNT_BIN})) AS BIGINT) ELSE {NO_AMOUNT} END"
            )
            for column in (None, *(self._slices if trigger.mode != "advisory" else ())):
                code = "-1" if column is None else f"c{self._slices.index(column)}"
                rows = self._table.fetch(
                    f"SELECT closed, step, coalesce({code}, -1) AS code, arms = 2 AS canary,"
                    f" {base} AS base, {place} AS bin, count(*) AS units FROM canary_units"
                    f" WHERE arms < 3 AND {measured} > 0 GROUP BY ALL ORDER BY ALL"
                )
                heads = np.stack(
                    [np.asarray(rows[name], dtype=np.int64) for name in ("closed", "step", "code")]
                )
                for closed, step, number in np.unique(heads, axis=1).T.tolist():
                    here = np.all(heads == [[closed], [step], [number]], axis=0)
                    value = NO_VALUE if number < 0 else self._labels[column or ""][number]
                    key = (int(step), trigger.id, slice_key(column, value))
                    made[0 if closed else 1][key] = AmountCounts(
                        canary=np.asarray(rows["canary"][here], dtype=np.bool_),
                        bases=np.asarray(rows["base"][here], dtype=np.int64),
                        bins=np.asarray(rows["bin"][here], dtype=np.int64),
                        units=np.asarray(rows["units"][here], dtype=np.int64),
                    )
        return made

    def _times(self) -> Iterator[TimeBins]:
        """Yield the canary's times of this look, in bins, for what budgets are about."""
        for column in sorted(self._budgeted() & self._table.columns):
            time = quoted(column)
            rows = self._table.fetch(
                f"SELECT {self._step_of('epoch_us(ts)')} AS step,"
                f" CAST(ceil(ln(greatest({time}, 1e-3)) / ln({AMOUNT_BIN})) AS INTEGER) AS bin,"
                f" count(*) AS n FROM canary_rows WHERE arm = 'canary' AND {time} IS NOT NULL"
                " GROUP BY ALL ORDER BY ALL"
            )
            for step in np.unique(rows["step"]):
                here = rows["step"] == step
                bins = zip(rows["bin"][here].tolist(), rows["n"][here].tolist(), strict=True)
                yield TimeBins(step=int(step), column=column, bins=tuple(bins))

    # --------------------------------------------------------------------------- what is kept

    def _open(self) -> bytes:
        """Return the units that may go on, with the values of their slices."""
        codes = ", ".join(f"c{i}" for i in range(len(self._slices)))
        values = "".join(
            f", l{i}.value AS {quoted('s:' + name)}" for i, name in enumerate(self._slices)
        )
        joins = " ".join(
            f"LEFT JOIN canary_labels_{i} l{i} ON l{i}.code = u.c{i}"
            for i in range(len(self._slices))
        )
        numbers = [f"p{n}" for n in sorted({number for number, _ in self._places.values()})]
        packed = [] if self._kept_tables("open") else numbers
        excluded = ", ".join(filter(None, ["step", "closed", codes, *packed]))
        return self._sealed(
            f"SELECT u.* EXCLUDE ({excluded}){values} FROM canary_units u {joins}"
            " WHERE NOT closed ORDER BY unit, period"
        )

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


_DROPPED = (
    "duplicate",
    "future",
    "naive",
    "unnamed",
    "unknown_arm",
    "no_outcome",
    "bad_value",
)


def _micros(time: str) -> int:
    at = moment(time).replace(tzinfo=UTC)
    return round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000


def _warnings(problems: Iterable[TelemetryProblem]) -> Iterator[str]:
    """Yield what people should know of the telemetry, changes of unit on one line."""
    listed = list(problems)
    if moved := [problem.where for problem in listed if problem.code == "unit_change"]:
        yield f"{', '.join(moved)}: the median moves as between units (1,000, 60) half-way"
    for problem in listed:
        if problem.code not in {"other", "unit_change", "left_out"}:
            yield f"{problem.where}: {problem.message}"
