"""Turns counted by window and bin, and the sums that a drift profile is made of."""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relkit.adapters.duckdb.session import literal, quoted
from relkit.adapters.duckdb.turns import TURNS, Columns, TurnTable
from relkit.core.arrays import FloatArray, IntArray
from relkit.monitoring.drift.bins import value_digest
from relkit.monitoring.drift.types import (
    SLOTS,
    CategoryCount,
    ClusterMoments,
    ColumnCounts,
    FrozenBins,
    ReferenceSums,
    Season,
    SlotTotals,
    WindowTotals,
)
from relkit.telemetry.types import COLUMNS, Telemetry

_CODED = "drift_coded"
_CELLS = "drift_cells"
_HOUR = "(epoch_us(ts) // 3600000000)"
_CURRENT = "drift_current"
_OTHERS = "drift_others"
_QUANTITIES = frozenset({"ms", "s", "number", "count"})

_MOST_OTHERS = 5000
"""Distinct values that are no bin by themselves and are looked at one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Others:
    """Values that are no bin: rare ones of the reference, and new ones with their turns."""

    rare: tuple[str, ...]
    new: tuple[tuple[str, int], ...]


class DuckDBDrift:
    """Implements DriftTurns; the table stays open as long as it is used."""

    def __init__(self, table: TurnTable, cluster: str) -> None:
        """Cluster by ``session``, ``unit``, an attribute or a measure; raises InvalidInput else.

        A turn in which it is null is a turn of its session; without turns none has to be there.
        """
        self._table = table
        self.cluster = cluster
        if cluster in {"session", "unit"} or self.span() is None:
            self._cluster = cluster if cluster == "unit" else "session"
        else:
            column = table.require(cluster, ("session", "unit", *table.attributes, *table.measures))
            self._cluster = f"CASE WHEN {column} IS NULL THEN session ELSE hash({column}) END"
        self._seconds = 0
        self._places: dict[str, int] = {}

    @property
    def kinds(self) -> Mapping[str, str]:
        """The columns that can be judged, to ``number``, ``category`` or ``flag``."""
        table = self._table
        kinds = dict.fromkeys(table.measures, "number")
        kinds |= dict.fromkeys(table.attributes, "category")
        kinds |= dict.fromkeys((*table.events, "failed"), "flag")
        for name in table.columns:
            kind = COLUMNS[name]
            if kind in _QUANTITIES:
                kinds[name] = "number"
            elif kind == "text":
                kinds[name] = "category"
            elif kind == "flag":
                kinds[name] = "flag"
        return dict(sorted(kinds.items()))

    @property
    def telemetry(self) -> Telemetry:
        """What was read, and what does not count."""
        return self._table.summary()

    def span(self) -> tuple[int, int] | None:
        """Return the first and last second since 1970 with a turn; None without turns."""
        times = self._table.fetch(
            "SELECT epoch_us(min(ts)) // 1000000 AS low, epoch_us(max(ts)) // 1000000 AS high,"
            f" count(*) AS turns FROM {TURNS}"
        )
        return (int(times["low"][0]), int(times["high"][0])) if times["turns"][0] else None

    def deciles(self, column: str) -> tuple[float, ...]:
        """Return the nine deciles of the finite values of a column, none where there are none."""
        at = ", ".join(f"{i / 10}" for i in range(1, 10))
        fetched = self._table.fetch(
            f"SELECT unnest(quantile_cont({quoted(column)}, [{at}])) AS decile FROM {TURNS}"
            f" WHERE isfinite({quoted(column)})"
        )
        return tuple(np.asarray(fetched["decile"], np.float64).tolist())

    def distinct(self, column: str, most: int) -> tuple[float, ...]:
        """Return the distinct finite values of a column, ascending, at most so many."""
        fetched = self._table.fetch(
            f"SELECT value FROM (SELECT DISTINCT {quoted(column)} AS value FROM {TURNS}"
            f" WHERE isfinite({quoted(column)}) LIMIT {int(most)}) ORDER BY value"
        )
        return tuple(np.asarray(fetched["value"], np.float64).tolist())

    def moments(self, column: str) -> tuple[float | None, float | None]:
        """Return the median and the standard deviation of the finite values."""
        name = quoted(column)
        fetched = self._table.fetch(
            f"SELECT quantile_cont({name}, 0.5) AS median, stddev_pop({name}) AS spread,"
            f" count(*) AS n FROM {TURNS} WHERE isfinite({name})"
        )
        if not fetched["n"][0]:
            return None, None
        return float(fetched["median"][0]), float(fetched["spread"][0])

    def categories(self, column: str, most: int) -> tuple[CategoryCount, ...]:
        """Return the values of a column with turns and clusters, at most so many."""
        name = quoted(column)
        fetched = self._table.fetch(
            f"SELECT {name} AS value, count(*) AS turns,"
            f" count(DISTINCT {self._cluster}) AS clusters FROM {TURNS} WHERE {name} IS NOT NULL"
            f" GROUP BY ALL ORDER BY ALL LIMIT {int(most)}"
        )
        return tuple(
            CategoryCount(value=str(value), turns=int(turns), clusters=int(clusters))
            for value, turns, clusters in zip(
                fetched["value"], fetched["turns"], fetched["clusters"], strict=True
            )
        )

    def reference_sums(
        self, columns: Sequence[FrozenBins], season: Season
    ) -> dict[str, ReferenceSums]:
        """Return the sums by bin that a profile is made of, of each column."""
        labelled = [frozen for frozen in columns if frozen.labelled]
        result = self._sums([frozen for frozen in columns if not frozen.labelled], season, "")
        for frozen in labelled:
            rows = f" WHERE {quoted(frozen.column)} IS NOT NULL"
            result |= self._sums([frozen], season, rows)
        return result

    def _sums(
        self, columns: Sequence[FrozenBins], season: Season, rows: str
    ) -> dict[str, ReferenceSums]:
        """Return the sums of columns that are judged on the same rows."""
        if not columns:
            return {}
        codes = [f", CAST({_code(x)} AS UTINYINT) AS k{i}" for i, x in enumerate(columns)]
        self._table.execute(
            f"CREATE OR REPLACE TEMP TABLE {_CODED} AS SELECT *, {_slot(season)} AS slot,"
            " count(*) OVER (PARTITION BY cluster) AS n_span,"
            " count(*) OVER (PARTITION BY cluster, hour) AS n_hour FROM"
            f" (SELECT {_HOUR} AS hour, {self._cluster} AS cluster{''.join(codes)}"
            f" FROM {TURNS}{rows})"
        )
        fetched = self._table.fetch(
            "SELECT slot, sum(n) AS turns, count(*) AS clusters, sum(n * n) AS squares FROM"
            f" (SELECT slot, cluster, count(*) AS n FROM {_CODED} GROUP BY ALL) GROUP BY slot"
        )
        sizes = self._table.fetch(
            "SELECT coalesce(sum(CAST(n_span AS DOUBLE)), 0) AS span,"
            f" coalesce(sum(CAST(n_hour AS DOUBLE)), 0) AS hour FROM {_CODED}"
        )
        by_slot = np.zeros((SLOTS[season], 3), np.int64)
        for i, name in enumerate(("turns", "clusters", "squares")):
            by_slot[fetched["slot"].astype(np.int64), i] = fetched[name].astype(np.int64)
        totals = tuple(
            SlotTotals(turns=turns, clusters=clusters, squares=squares)
            for turns, clusters, squares in by_slot.tolist()
        )
        return {
            frozen.column: self._column_sums(
                f"k{i}", (SLOTS[season], len(frozen.bins)), totals, sizes
            )
            for i, frozen in enumerate(columns)
        }

    def _column_sums(
        self, code: str, shape: tuple[int, int], totals: tuple[SlotTotals, ...], sizes: Columns
    ) -> ReferenceSums:
        """Return the sums of one column of the coded turns; ``shape`` is slots and bins."""
        self._table.execute(
            f"CREATE OR REPLACE TEMP TABLE {_CELLS} AS SELECT slot, cluster, {code} AS code,"
            " sum(e) AS e, sum(CAST(e AS DOUBLE) * e) AS hour_squares FROM (SELECT slot, hour,"
            f" cluster, {code}, count(*) AS e FROM {_CODED} GROUP BY ALL) GROUP BY ALL"
        )
        cells = self._table.fetch(
            "SELECT slot, code, sum(e) AS turns, count(*) AS clusters,"
            f" sum(hour_squares) AS hour FROM {_CELLS} GROUP BY slot, code"
        )
        spans = f"(SELECT code, sum(e) AS e FROM {_CELLS} GROUP BY cluster, code)"
        squares = self._table.fetch(
            f"SELECT code, sum(CAST(e AS DOUBLE) * e) AS span FROM {spans} GROUP BY code"
        )
        products = self._table.fetch(
            f"SELECT {code} AS code, sum(CAST(n_span AS DOUBLE)) AS span,"
            f" sum(CAST(n_hour AS DOUBLE)) AS hour FROM {_CODED} GROUP BY {code}"
        )
        at = (cells["slot"].astype(np.int64), cells["code"].astype(np.int64))
        by_bin = {
            name: _filled(shape[1], fetched["code"].astype(np.int64), fetched[column])
            for name, fetched, column in (
                ("squares", squares, "span"),
                ("span", products, "span"),
                ("hour", products, "hour"),
            )
        }
        return ReferenceSums(
            span=ClusterMoments(
                squares=by_bin["squares"], products=by_bin["span"], sizes=float(sizes["span"][0])
            ),
            hour=ClusterMoments(
                squares=_filled(shape, at, cells["hour"]).sum(axis=0),
                products=by_bin["hour"],
                sizes=float(sizes["hour"][0]),
            ),
            by_slot=_filled(shape, at, cells["turns"]).astype(np.int64),
            clusters=_filled(shape, at, cells["clusters"]).astype(np.int64),
            totals=totals,
        )

    def counts(
        self, columns: Sequence[FrozenBins], seconds: int
    ) -> tuple[WindowTotals, dict[str, ColumnCounts]]:
        """Return the windows that have turns, and the turns by window and bin, no clusters yet."""
        fresh = self._fresh([frozen for frozen in columns if frozen.kind == "category"])
        self._seconds = seconds
        self._places = {frozen.column: i for i, frozen in enumerate(columns)}
        codes = [
            f", CAST({_code(frozen, fresh.get(frozen.column))} AS UTINYINT) AS k{i}"
            for i, frozen in enumerate(columns)
        ]
        # All turns are read once: what follows groups small whole numbers.
        self._table.execute(
            f"CREATE OR REPLACE TEMP TABLE {_CURRENT} AS SELECT epoch_us(ts) //"
            f" {seconds * 1_000_000} AS w, {self._cluster} AS cluster{''.join(codes)} FROM {TURNS}"
        )
        windows = self._totals(None)
        turns = [
            f"SELECT {i} AS k, w, k{i} AS code, count(*) AS turns FROM {_CURRENT} GROUP BY w, k{i}"
            for i in range(len(columns))
        ]
        cells = self._table.fetch(" UNION ALL ".join(turns)) if turns else {}
        result = {}
        for i, frozen in enumerate(columns):
            here = cells["k"] == i
            shape = (len(windows.starts), len(frozen.bins))
            at = (self._rows(windows, cells["w"][here]), cells["code"][here].astype(np.int64))
            filled = _filled(shape, at, cells["turns"][here]).astype(np.int64)
            if frozen.labelled:
                filled[:, -1] = 0
            result[frozen.column] = ColumnCounts(
                turns=filled,
                clusters=np.full(shape, -1, np.int64),
                fresh=fresh[frozen.column].new if frozen.column in fresh else (),
                totals=self._totals(frozen, windows) if frozen.labelled else None,
            )
        return windows, result

    def clusters(self, column: str, bins: Sequence[int], windows: WindowTotals) -> IntArray:
        """Return the clusters of each window that have each of some bins, of columns counted.

        One row a window, one column for each of ``bins``, ascending.
        """
        code = f"k{self._places[column]}"
        fetched = self._table.fetch(
            f"SELECT w, {code} AS code, count(DISTINCT cluster) AS clusters FROM {_CURRENT}"
            f" WHERE {code} IN ({', '.join(map(str, map(int, bins)))}) GROUP BY ALL"
        )
        at = (
            self._rows(windows, fetched["w"]),
            np.searchsorted(bins, fetched["code"].astype(np.int64)),
        )
        shape = (len(windows.starts), len(bins))
        return _filled(shape, at, fetched["clusters"]).astype(np.int64)

    def _rows(self, windows: WindowTotals, numbers: NDArray[np.generic]) -> IntArray:
        """Return the places of windows that are numbered since 1970."""
        starts = numbers.astype(np.int64) * self._seconds
        return np.searchsorted(windows.starts, starts).astype(np.int64)

    def _totals(
        self, labelled: FrozenBins | None, windows: WindowTotals | None = None
    ) -> WindowTotals:
        """Return the totals of all windows with turns, or of those with a label in ``windows``."""
        which = ""
        if labelled is not None:
            which = f" WHERE k{self._places[labelled.column]} < {len(labelled.bins) - 1}"
        fetched = self._table.fetch(
            "SELECT w, sum(n) AS turns, count(*) AS clusters, sum(n * n) AS squares FROM"
            f" (SELECT w, cluster, count(*) AS n FROM {_CURRENT}{which} GROUP BY ALL)"
            " GROUP BY w ORDER BY w"
        )
        starts = fetched["w"].astype(np.int64) * self._seconds
        every = starts if windows is None else windows.starts
        at = np.searchsorted(every, starts)
        turns, clusters, squares = (
            _filled(len(every), at, fetched[name]).astype(np.int64)
            for name in ("turns", "clusters", "squares")
        )
        return WindowTotals(starts=every, turns=turns, clusters=clusters, squares=squares)

    def _fresh(self, columns: Sequence[FrozenBins]) -> dict[str, _Others]:
        """Return, of each column, the values that are no bin by themselves, in one scan."""
        if not columns:
            return {}
        others = []
        for i, frozen in enumerate(columns):
            name = quoted(frozen.column)
            listed = _listed(frozen.categories)
            common = f"WHEN {name} IN ({listed}) THEN NULL " if frozen.categories else ""
            others.append(f"CASE {common}ELSE {name} END AS v{i}")
        values = ", ".join(f"v{i}" for i in range(len(columns)))
        self._table.execute(
            f"CREATE OR REPLACE TEMP TABLE {_OTHERS} AS SELECT {', '.join(others)},"
            f" count(*) AS turns FROM {TURNS} GROUP BY {values}"
        )
        result = {}
        for i, frozen in enumerate(columns):
            fetched = self._table.fetch(
                f"SELECT v{i} AS value, sum(turns) AS turns FROM {_OTHERS} WHERE v{i} IS NOT NULL"
                f" GROUP BY ALL ORDER BY turns DESC, value LIMIT {_MOST_OTHERS}"
            )
            counts = [
                (str(value), int(turns))
                for value, turns in zip(fetched["value"], fetched["turns"], strict=True)
            ]
            rare = [
                value for value, _ in counts if value_digest(frozen.column, value) in frozen.rare
            ]
            result[frozen.column] = _Others(
                rare=tuple(rare),
                new=tuple((value, turns) for value, turns in counts if value not in set(rare)),
            )
        return result


def _code(frozen: FrozenBins, others: _Others | None = None) -> str:
    """Return an expression for the bin of a turn; without ``others`` all of those are rare."""
    name, last = quoted(frozen.column), len(frozen.bins) - 1
    if frozen.kind == "number":
        return f"CASE WHEN isfinite({name}) THEN {_search(name, frozen.edges)} ELSE {last} END"
    if frozen.kind == "flag":
        return f"CASE {name} WHEN FALSE THEN 0 WHEN TRUE THEN 1 ELSE {last} END"
    if frozen.kind == "value":
        cases = " ".join(
            f"WHEN {name} = CAST('{value}' AS DOUBLE) THEN {i}"
            for i, value in enumerate(frozen.categories)
        )
        return f"CASE {cases} WHEN isfinite({name}) THEN {last - 1} ELSE {last} END"
    cases = " ".join(
        f"WHEN {name} = {literal(value)} THEN {i}" for i, value in enumerate(frozen.categories)
    )
    if others is None:
        return f"CASE {cases} WHEN {name} IS NULL THEN {last} ELSE {last - 2} END"
    rare = f"WHEN {name} IN ({_listed(others.rare)}) THEN {last - 2} " if others.rare else ""
    return f"CASE {cases} WHEN {name} IS NULL THEN {last} {rare}ELSE {last - 1} END"


def _search(name: str, edges: Sequence[float], first: int = 0) -> str:
    """Return an expression for the number of edges below a value: a binary search."""
    if not edges:
        return str(first)
    middle = len(edges) // 2
    below = _search(name, edges[:middle], first)
    above = _search(name, edges[middle + 1 :], first + middle + 1)
    edge = f"CAST('{edges[middle]!r}' AS DOUBLE)"
    return f"CASE WHEN {name} <= {edge} THEN {below} ELSE {above} END"


def _listed(values: Sequence[str]) -> str:
    return ", ".join(map(literal, values))


def _slot(season: Season) -> str:
    """Return an expression for the slot of an hour in the season, as ``slots_of`` has it."""
    if season == "hour_of_day":
        return "(hour % 24)"
    return "((hour + 72) % 168)" if season == "hour_of_week" else "0"


def _filled(
    shape: int | tuple[int, ...], at: IntArray | tuple[IntArray, ...], values: NDArray[np.generic]
) -> FloatArray:
    """Return an array of 0 with values at some places."""
    result = np.zeros(shape)
    result[at] = np.asarray(values, np.float64)
    return result
