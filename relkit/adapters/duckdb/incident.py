"""Turns counted for triage: by five-minute bin, slice columns and releases, in one pass."""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from relkit.adapters.duckdb.session import literal, quoted
from relkit.adapters.duckdb.turns import TURNS, Columns, TurnTable
from relkit.core.arrays import Codes, IntArray
from relkit.core.values import time_text
from relkit.incident.causes import LACKS, LOG_SUM
from relkit.incident.types import BIN_S, IncidentCounts, ReleaseColumn, Signal
from relkit.telemetry.types import COLUMNS, STAGES, Telemetry

_TABLE = "incident_turns"
_WELL = "(NOT failed AND coalesce(outcome, 'completed') = 'completed')"
"""Turns that went well: what they lack was not measured, and did not fail to happen."""

_DERIVED: Mapping[str, tuple[frozenset[str], str]] = {
    "failed": (frozenset(), "failed"),
    "interrupted": (frozenset({"outcome"}), "outcome = 'interrupted'"),
    "churn": (
        frozenset({"partial_changes", "partial_words"}),
        "partial_changes / nullif(partial_words, 0)",
    ),
    "tokens": (
        frozenset({"input_tokens", "output_tokens"}),
        "coalesce(input_tokens + output_tokens, input_tokens, output_tokens)",
    ),
}
"""Columns that are made from others: which they need, and the expression."""

_DURATIONS = ("latency_ms", *STAGES, "queue_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What turns are counted by; ``names`` are the values behind the codes of a column."""

    signals: tuple[Signal, ...]
    slices: tuple[str, ...]
    releases: tuple[str, ...]
    names: Mapping[str, tuple[str, ...]]
    flags: int
    lacking: tuple[str, ...]
    stages: tuple[str, ...]
    start: int
    dispersion: Mapping[str, float]


class TurnTableIncidents(AbstractContextManager["TurnTableIncidents"]):
    """Implements IncidentTurns over a turn table; closes it."""

    def __init__(self, table: TurnTable) -> None:
        """Use a table."""
        self._table = table
        self._asked: _Asked | None = None

    def __exit__(self, *_exit: object) -> None:
        """Close the table."""
        self._table.__exit__()

    @property
    def attributes(self) -> tuple[str, ...]:
        """The columns of text that turns can be cut by."""
        return self._table.attributes

    @property
    def flags(self) -> frozenset[str]:
        """The columns of true and false, those that are made from others included."""
        own = {name for name in self._table.columns if COLUMNS[name] == "flag"}
        made = {"failed", "retried", "interrupted"} & self.quantities
        return frozenset({*own, *self._table.events, *made})

    @property
    def quantities(self) -> frozenset[str]:
        """The columns that a signal may be about."""
        table = self._table
        own = {
            name
            for name in table.columns
            if COLUMNS[name] in {"flag", "ms", "s", "number", "count"}
        }
        made = {name for name, (needs, _) in _DERIVED.items() if needs <= table.columns}
        if "retries" in table.columns or "attempt" in table.measures:
            made.add("retried")
        if not {"ok", "outcome"} & table.columns:
            made.discard("failed")
        return frozenset({*own, *table.events, *table.measures, *made})

    def summary(self) -> Telemetry:
        """Return what was read and what was dropped, and why."""
        return self._table.summary()

    def span(self) -> tuple[int, int] | None:
        """Return the first and last second since 1970 with a turn; None without turns."""
        times = self._table.fetch(
            "SELECT epoch_us(min(ts)) // 1000000 AS low, epoch_us(max(ts)) // 1000000 AS high,"
            f" count(*) AS turns FROM {TURNS}"
        )
        return (int(times["low"][0]), int(times["high"][0])) if times["turns"][0] else None

    def versions(self, column: str, *, before: int) -> tuple[str, ...]:
        """Return the values of a column in the order of first appearance, up to a second."""
        name = quoted(column)
        rows = self._table.fetch(
            f"SELECT {name} AS value, min(ts) AS first FROM {TURNS} WHERE {name} IS NOT NULL"
            f" AND ts < {_at(before)} GROUP BY ALL ORDER BY first, value"
        )
        return tuple(str(value) for value in rows["value"])

    def counts(
        self,
        signals: Sequence[Signal],
        slices: Sequence[str],
        releases: Mapping[str, ReleaseColumn],
        *,
        start: int,
        reference: int,
        end: int,
    ) -> IncidentCounts:
        """Return turns counted by bin, slice values and versions, ordered by bin."""
        where = f"WHERE ts >= {_at(start)} AND ts < {_at(end)}"
        flags = self._flags(signals, f"{where} AND ts < {_at(reference)}")
        stages = [name for name in _DURATIONS if name in self._table.columns]
        lacking = [s.column for s in signals if self._may_lack(s.column)]
        names: dict[str, tuple[str, ...]] = {}
        codes = []
        for i, column in enumerate(slices):
            names[f"c{i}"] = self._values(column, where)
            codes.append(f"{_coded(quoted(column), names[f'c{i}'])} AS c{i}")
        for i, release in enumerate(releases.values()):
            expression = quoted(release.column)
            if release.versions:
                cases = " ".join(
                    f"WHEN {literal(value)} THEN {literal(version)}"
                    for value, version in release.versions.items()
                )
                expression = f"CASE {expression} {cases} END"
            names[f"r{i}"] = release.order
            codes.append(f"{_coded(expression, release.order)} AS r{i}")
        selected = [
            f"CAST((epoch_us(ts) // 1000000 - {start}) // {BIN_S} AS INTEGER) AS bin",
            "session",
            f"{quoted('user') if 'user' in self._table.columns else 'NULL'} AS person",
            *codes,
            *(f"({flag}) AS f{i}" for i, flag in enumerate(flags)),
            f"{_WELL} AS well",
            *(
                f"({_WELL} AND {self._value(name)} IS NULL) AS x{i}"
                for i, name in enumerate(lacking)
            ),
            *(
                f"CAST(CASE WHEN {_WELL} AND {name} > 0 THEN log10({name}) END AS FLOAT) AS d{i}"
                for i, name in enumerate(stages)
            ),
            *(f"({sql}) AS {name}" for name, sql in self._sums().items()),
        ]
        self._table.execute(
            f"CREATE OR REPLACE TEMP TABLE {_TABLE} AS SELECT {', '.join(selected)}"
            f" FROM {TURNS} {where}"
        )
        asked = _Asked(
            signals=tuple(signals),
            slices=tuple(slices),
            releases=tuple(releases),
            names=names,
            flags=len(flags),
            lacking=tuple(lacking),
            stages=tuple(stages),
            start=start,
            dispersion=self._dispersion(signals, (reference - start) // BIN_S),
        )
        self._asked = asked
        return self._counted(asked)

    def without_heaviest(
        self, signal: str, component: str, version: str, *, first: int
    ) -> tuple[float, IncidentCounts] | None:
        """Return what was counted last, without the two people with the most events of a signal.

        Events from bin ``first`` on count, of turns with a version or a later one; with them comes
        the share of these events that the two hold. None where nobody is known, or has an event.
        """
        asked = self._asked
        if asked is None or "user" not in self._table.columns:
            return None
        event = f"f{[s.name for s in asked.signals].index(signal)}"
        column = f"r{asked.releases.index(component)}"
        place = asked.names[column].index(version)
        rows = self._table.fetch(
            "SELECT person, count(*) AS events, sum(count(*)) OVER () AS total"
            f" FROM {_TABLE} WHERE {event} AND bin >= {first} AND {column} >= {place}"
            " GROUP BY person ORDER BY person IS NULL, events DESC, person LIMIT 2"
        )
        heavy = [str(person) for person in np.ma.compressed(np.ma.asarray(rows["person"]))]
        if not heavy:
            return None
        share = float(sum(rows["events"][: len(heavy)]) / rows["total"][0])
        listed = ", ".join(map(literal, heavy))
        return share, self._counted(asked, f"WHERE person IS NULL OR person NOT IN ({listed})")

    def _counted(self, asked: "_Asked", where: str = "") -> IncidentCounts:
        """Count the turns that were selected, or some of them."""
        keys = ["bin", *asked.names]
        sums = list(self._sums())
        fetched = self._table.fetch(
            f"SELECT {', '.join(keys)}, CAST(count(*) AS UINTEGER) AS turns,"
            " CAST(count(*) FILTER (WHERE well) AS UINTEGER) AS well"
            + "".join(
                f", CAST(count(f{i}) AS UINTEGER) AS m{i},"
                f" CAST(count(*) FILTER (WHERE f{i}) AS UINTEGER) AS e{i}"
                for i in range(asked.flags)
            )
            + "".join(
                f", CAST(count(*) FILTER (WHERE x{i}) AS UINTEGER) AS x{i}"
                for i in range(len(asked.lacking))
            )
            + "".join(f", coalesce(sum(d{i}), 0) AS d{i}" for i in range(len(asked.stages)))
            + "".join(f", CAST(coalesce(sum({n}), 0) AS DOUBLE) AS {n}" for n in sums)
            + f" FROM {_TABLE} {where} GROUP BY {', '.join(keys)} ORDER BY bin"
        )
        well = _whole(fetched.pop("well"))
        measured = {s.name: _whole(fetched.pop(f"m{i}")) for i, s in enumerate(asked.signals)}
        events = {s.name: _whole(fetched.pop(f"e{i}")) for i, s in enumerate(asked.signals)}
        for i, name in enumerate(asked.lacking):
            measured[f"{LACKS}{name}"] = well
            events[f"{LACKS}{name}"] = _whole(fetched.pop(f"x{i}"))
        totals = {f"{LOG_SUM}{name}": f"d{i}" for i, name in enumerate(asked.stages)}
        totals |= {name: name for name in sums}
        return IncidentCounts(
            start=time_text(datetime.fromtimestamp(asked.start, UTC)),
            bins=_whole(fetched.pop("bin")),
            columns=_with_values(asked.slices, "c", fetched, asked.names),
            releases=_with_values(asked.releases, "r", fetched, asked.names),
            turns=_whole(fetched.pop("turns")),
            measured=measured,
            events=events,
            dispersion=asked.dispersion,
            sums={name: np.asarray(fetched.pop(key), np.float64) for name, key in totals.items()},
        )

    def _value(self, column: str) -> str:
        """Return the expression of a column that a signal is about."""
        if column in _DERIVED:
            return _DERIVED[column][1]
        if column == "retried":
            parts = [
                f"{n} > {most}" for n, most in (("retries", 0), ("attempt", 1)) if self._has(n)
            ]
            return f"coalesce({' OR '.join(parts)}, FALSE)"
        return quoted(column)

    def _has(self, name: str) -> bool:
        return name in self._table.columns or name in self._table.measures

    def _may_lack(self, column: str) -> bool:
        """Return whether a turn that went well may have no value: then nobody measured it."""
        return column not in {"failed", "interrupted", "retried", "churn"}

    def _flags(self, signals: Sequence[Signal], reference: str) -> list[str]:
        """Return, for each signal, an expression that is NULL where it was not measured."""
        quantiles = {
            i: f"quantile_cont({self._value(s.column)}, {s.above!r}) AS q{i}"
            for i, s in enumerate(signals)
            if s.above is not None
        }
        limits: Columns = {}
        if quantiles:
            limits = self._table.fetch(
                f"SELECT {', '.join(quantiles.values())} FROM {TURNS} {reference}"
            )
        flags = []
        for i, signal in enumerate(signals):
            value = self._value(signal.column)
            if signal.above is None and signal.over is None:
                flags.append(value if signal.bad else f"NOT {value}")
                continue
            limit = signal.over
            if signal.above is not None:
                limit = None if np.ma.is_masked(limits[f"q{i}"][0]) else float(limits[f"q{i}"][0])
            if limit is None or not np.isfinite(limit):
                flags.append("CAST(NULL AS BOOLEAN)")
                continue
            flag = f"{value} > CAST('{limit!r}' AS DOUBLE)"
            if signal.column == "latency_ms":
                flag = f"CASE WHEN latency_ms IS NULL AND failed THEN TRUE ELSE {flag} END"
            flags.append(flag)
        return flags

    def _sums(self) -> dict[str, str]:
        """Return what is summed, by name: failures and their codes, cost and its tokens."""
        sums = {}
        if "error_code" in self._table.attributes:
            sums["failures"] = "CAST(failed AS INTEGER)"
            sums["upstream"] = (
                "CAST(failed AND coalesce(error_code LIKE 'upstream%', FALSE) AS INTEGER)"
            )
        if "cost" in self._table.columns and _DERIVED["tokens"][0] <= self._table.columns:
            tokens = _DERIVED["tokens"][1]
            sums["cost"] = f"CASE WHEN ({tokens}) > 0 THEN cost END"
            sums["priced_tokens"] = f"CASE WHEN cost IS NOT NULL THEN ({tokens}) END"
        if "cost" in self._table.columns:
            sums["spent"] = "cost"
        return sums

    def _values(self, column: str, where: str) -> tuple[str, ...]:
        name = quoted(column)
        rows = self._table.fetch(
            f"SELECT {name} AS value FROM {TURNS} {where} AND {name} IS NOT NULL"
            " GROUP BY ALL ORDER BY value"
        )
        return tuple(str(value) for value in rows["value"])

    def _dispersion(self, signals: Sequence[Signal], bins: int) -> dict[str, float]:
        """Return by how much more the events of sessions differ than chance has it, at least 1.

        Pearson's statistic over sessions of the reference, each with the rate of all: what sessions
        differ in by their slices is in it, too, so that it errs on the side of silence.
        """
        parts = ", ".join(
            f"count(f{i}) AS n{i}, count(*) FILTER (WHERE f{i}) AS e{i}"
            for i in range(len(signals))
        )
        sums = ", ".join(
            f"sum(e{i}) AS e{i}, sum(n{i}) AS n{i}, sum(e{i} * e{i}) AS ee{i},"
            f" sum(e{i} * n{i}) AS en{i}, sum(n{i} * n{i}) AS nn{i}"
            for i in range(len(signals))
        )
        if not signals:
            return {}
        rows = self._table.fetch(
            f"SELECT {sums} FROM (SELECT session, {parts} FROM {_TABLE} WHERE bin < {bins}"
            " GROUP BY session)"
        )
        dispersion = {}
        for i, signal in enumerate(signals):
            e, n, ee, en, nn = (
                0.0 if np.ma.is_masked(rows[f"{k}{i}"][0]) else float(rows[f"{k}{i}"][0])
                for k in ("e", "n", "ee", "en", "nn")
            )
            rate = e / n if n else 0.0
            spread = ee - 2 * rate * en + rate**2 * nn
            usual = n * rate * (1 - rate)
            dispersion[signal.name] = max(1.0, spread / usual) if usual > 0 else 1.0
        return dispersion


def _at(second: int) -> str:
    return f"make_timestamp({second * 1_000_000})"


def _coded(expression: str, names: Sequence[str]) -> str:
    """Return an expression for the place of a value among names, -1 for none."""
    if not names:
        return "CAST(-1 AS INTEGER)"
    listed = ", ".join(map(literal, names))
    return f"coalesce(list_position([{listed}], {expression}) - 1, -1)::INTEGER"


def _with_values(
    listed: Iterable[str], key: str, fetched: Columns, names: Mapping[str, tuple[str, ...]]
) -> dict[str, Codes]:
    """Return the codes of columns, without those that are empty: there is nothing to cut by."""
    every = {name: _codes(fetched, f"{key}{i}", names) for i, name in enumerate(listed)}
    return {name: codes for name, codes in every.items() if codes.names}


def _codes(fetched: Columns, key: str, names: Mapping[str, tuple[str, ...]]) -> Codes:
    return Codes(np.asarray(fetched.pop(key), np.int32), names[key])


def _whole(values: NDArray[np.generic]) -> IntArray:
    return np.asarray(values, np.int64)
