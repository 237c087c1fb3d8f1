"""The slices of one run's results, and of two runs' results, row beside row."""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote or made up

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from relkit.adapters.duckdb.session import Relation, Session, SliceQueries, Whole, null
from relkit.comparison.types import Flip, Flips
from relkit.core.arrays import FloatArray
from relkit.core.errors import InvalidInput
from relkit.core.metrics import SAFETY_METRICS, metric_of
from relkit.core.slices import SliceSpec
from relkit.evaluation.ports import By
from relkit.statistics.families import EXCUSED, FAMILY_METRICS
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.sums import (
    CONVERSATION_COLUMNS,
    CONVERSATION_PREFIX,
    CONVERSATION_TIMES,
    CORE_COLUMNS,
    PROMPT,
    QUALITY_COLUMNS,
    SAFETY_COLUMNS,
    SAFETY_PREFIX,
    SPEECH_COLUMNS,
    UNIT,
)
from relkit.statistics.types import ClusterSums, PairedSums, PairedValues, Pairing, SliceValues

if TYPE_CHECKING:
    import pyarrow as pa


_KEY = ("id", "repeat")
_ASKED = (*_KEY, "cluster", PROMPT, UNIT)
_SCORED = tuple(name for name in CORE_COLUMNS if name not in {*_ASKED, "unusable"})
_MEASURES = (
    "latency_ms",
    "first_byte_ms",
    *QUALITY_COLUMNS,
    *SPEECH_COLUMNS,
    *CONVERSATION_TIMES,
)
_DIFFERS = " OR ".join(
    f"c_{name} IS DISTINCT FROM b_{name}"
    for name in (
        *(
            f"{prefix}{part}"
            for prefix in ("", "raw_", "char_")
            for part in ("hits", "substitutions", "deletions", "insertions")
        ),
        *SAFETY_COLUMNS,
        *CONVERSATION_COLUMNS,
    )
)
_ERRORS = "{0}_substitutions + {0}_deletions + {0}_insertions"

_REACHED = {
    "answered": "turns",
    "yields": "interruptions",
    "tasks_done": "tasks",
    "pass_any": "pass_scored",
    "pass_all": "pass_scored",
    "tool_matches": "tool_pairs",
}
"""What a perfect conversation has as often as it could, by what it could."""

_UNWANTED = (
    "unanswered",
    "early",
    "false_ends",
    "missed_ends",
    "forced_ends",
    "contradictions",
    "false_yields",
    "false_replies",
    "over_budget",
    "empty_arguments",
    "forbidden",
    "unstable",
    "revisions",
    "taken_back",
    "false_finals",
    "wasted_speculations",
)

_PERFECT: Mapping[str, str] = {
    **{
        f"{prefix}{name}": "0"
        for prefix in ("", "raw_", "char_")
        for name in ("substitutions", "deletions", "insertions")
    },
    **{
        f"{prefix}hits": f"b.{prefix}hits + b.{prefix}substitutions + b.{prefix}deletions"
        for prefix in ("", "raw_", "char_")
    },
    **dict.fromkeys(
        ("capped_errors", "entity_errors", "keyword_errors", "eer_errors", "dcf_cost"), "0"
    ),
    **{
        f"{CONVERSATION_PREFIX}{events}": f"b.{CONVERSATION_PREFIX}{units}"
        for events, units in _REACHED.items()
    },
    **dict.fromkeys((f"{CONVERSATION_PREFIX}{name}" for name in _UNWANTED), "0"),
    **dict.fromkeys(("runaway", "loop"), "FALSE"),
    "failure": "NULL",
}
"""What a row of the baseline holds where it failed: nothing wrong, and no failure."""


class _Opened:
    """A session that is closed with what uses it."""

    def __init__(self, *, memory_limit: str, threads: int | None) -> None:
        self._session = Session(memory_limit=memory_limit, threads=threads)

    def close(self) -> None:
        """Let go of memory and spilled files."""
        self._session.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class DuckDBSlices(_Opened):
    """The slices of one file or table of results; close it, or use it in a ``with`` block.

    Slice values and clusters are numbered in the order of their spelling, so that the same data
    gives the same arrays whatever the number of threads; clusters by ``order`` where there is one.
    Memory is bounded by ``memory_limit`` (in DuckDB's spelling); what does not fit is spilled to a
    temporary folder.
    """

    def __init__(
        self,
        source: "Path | pa.Table",
        *,
        utterances: bool = False,
        order: Callable[[str], bytes] | None = None,
        memory_limit: str = "1GB",
        threads: int | None = None,
    ) -> None:
        """Open the source; raises InvalidInput where it does not hold results.

        With ``utterances`` each of them is a cluster; ``order`` is what clusters are sorted by.
        """
        super().__init__(memory_limit=memory_limit, threads=threads)
        try:
            shown = source.name if isinstance(source, Path) else "results"
            relation = self._session.open_results(
                source, "results", shown=shown, utterances=utterances
            )
        except BaseException:
            self.close()
            raise
        self._columns = tuple(relation.slice_columns)
        self._queries = SliceQueries(self._session, relation, order)

    @property
    def columns(self) -> tuple[str, ...]:
        """The slice columns that results can be cut by."""
        return self._columns

    def sums(
        self, slices: Sequence[str], columns: Mapping[str, str], *, by: By = "cluster"
    ) -> ClusterSums:
        """Return sums by slice and part; see :meth:`SliceQueries.sums`."""
        return self._queries.sums(slices, columns, by=by)

    def values(self, slices: Sequence[str], column: str, *, by: By = "cluster") -> SliceValues:
        """Return finite values by slice; see :meth:`SliceQueries.values`."""
        return self._queries.values(slices, column, by=by)


class DuckDBPairs(_Opened):
    """Two results files, paired by utterance and repeat; close it, or use it in a ``with`` block.

    Rows pair where their id and repeat stand once in each run. Clusters, prompts and slice values
    are the candidate's. A row is unusable in both where it is in either. Where the baseline failed
    it counts as perfect; single measurements count where both rows have a finite one. Clusters are
    numbered as in :class:`DuckDBSlices`. Memory as there.
    """

    def __init__(
        self,
        candidate: Path,
        baseline: Path,
        *,
        utterances: bool = False,
        order: Callable[[str], bytes] | None = None,
        memory_limit: str = "1GB",
        threads: int | None = None,
    ) -> None:
        """Open and pair both files; raises InvalidInput where one does not hold results.

        With ``utterances`` each of them is a cluster; ``order`` is what clusters are sorted by.
        """
        super().__init__(memory_limit=memory_limit, threads=threads)
        try:
            self._candidate = self._session.open_results(
                candidate, "candidate", shown=_shown(candidate), utterances=utterances
            )
            self._baseline = self._session.open_results(
                baseline, "baseline", shown=_shown(baseline), utterances=utterances
            )
            self._repeated = [self._read_keys(run) for run in (self._candidate, self._baseline)]
            self._pair()
        except BaseException:
            self.close()
            raise
        paired = replace(self._candidate, name="candidate_side")
        self._queries = SliceQueries(self._session, paired, order)

    def pairing(self, slices: Sequence[str] | None = None) -> Pairing:
        """Return how the rows of the two runs match; failures are those of compared rows.

        A row has moved where its cluster or a column of the cuts ``slices`` differs, of any cut
        where none are named: bins of spoken audio differ whenever two voices do.
        """
        counts = self._fetch(
            f"SELECT count(*) AS both, count(*) FILTER (WHERE unusable IS NULL) AS compared,"
            f" count(*) FILTER (WHERE {self._moved(slices)}) AS moved,"
            " count(*) FILTER (WHERE unusable IS NULL AND c_failure IS NOT NULL) AS failures,"
            f" count(*) FILTER (WHERE unusable IS NULL AND ({_DIFFERS})) AS differing"
            " FROM paired"
        )
        failed = self._fetch(
            "SELECT DISTINCT id FROM paired WHERE unusable IS NULL AND failed ORDER BY id"
        )
        return Pairing(
            both=int(counts["both"][0]),
            compared=int(counts["compared"][0]),
            only_candidate=self._without_partner("candidate", "baseline"),
            only_baseline=self._without_partner("baseline", "candidate"),
            moved=int(counts["moved"][0]),
            duplicates=sum(self._repeated),
            baseline_failures=tuple(str(name) for name in failed["id"]),
            candidate_failures=int(counts["failures"][0]),
            differing=int(counts["differing"][0]),
        )

    def clusters(self) -> tuple[str, ...]:
        """Return the names of the clusters, by number."""
        return self._queries.clusters()

    def sums(self, slices: Sequence[str], columns: Mapping[str, str]) -> PairedSums:
        """Return sums by slice and cluster; arguments as in :meth:`SliceQueries.sums`.

        Every slice that has a paired row is there, with sums of 0 where none of them is compared.
        """
        return self._sums(slices, columns, by="cluster")

    def cells(self, slices: Sequence[str], columns: Mapping[str, str]) -> PairedSums:
        """Return the same sums of whole slices, one row each; ``cluster_index`` is 0."""
        return self._sums(slices, columns, by="slice")

    def values(self, slices: Sequence[str], column: str) -> PairedValues:
        """Return a core column's values over rows for which both runs have a finite one.

        Raises InvalidInput for a column that holds no measurements.
        """
        if column not in _MEASURES:
            raise InvalidInput(
                f"{self._candidate.source}: {column} is no column of single measurements",
                hint="columns: " + ", ".join(_MEASURES),
            )
        return PairedValues(
            candidate=self._queries.values(slices, column),
            baseline=self._queries.values(slices, column, rows="baseline_side"),
        )

    def flips(self, most: int, metric: str = "wer") -> Flips:
        """Return the utterances that one run has no error in and the other has.

        Errors are those of words, or what a metric of safety counts: attacks that were obeyed. An
        utterance is counted once each way, in however many repeats it flipped.

        At most ``most`` each way, those with the most errors first. Rows that the baseline failed
        on are left out: it is not known what it would have said.
        """
        broken, mended = "b_errors = 0 AND c_errors > 0", "b_errors > 0 AND c_errors = 0"
        errors = _flipping(metric)
        rows = f"""(SELECT *, {errors.format("c")} AS c_errors, {errors.format("b")} AS b_errors
            FROM paired WHERE unusable IS NULL AND NOT failed)"""
        counts = self._fetch(
            f"SELECT count(DISTINCT id) FILTER (WHERE {broken}) AS broken,"
            f" count(DISTINCT id) FILTER (WHERE {mended}) AS mended FROM {rows}"
        )
        return Flips(
            broken=int(counts["broken"][0]),
            mended=int(counts["mended"][0]),
            worst_broken=tuple(self._flipped(rows, broken, most)),
            worst_mended=tuple(self._flipped(rows, mended, most)),
        )

    def _flipped(self, rows: str, which: str, most: int) -> Iterator[Flip]:
        columns = self._candidate.slice_columns
        named = ("id", "repeat", "cluster", "c_errors", "b_errors", *columns.values())
        masked = self._fetch(
            f"SELECT {', '.join(named)} FROM {rows} WHERE {which}"
            f" ORDER BY c_errors + b_errors DESC, id, repeat LIMIT {max(0, int(most))}"
        )
        cells = {name: np.ma.filled(values.astype(object), None) for name, values in masked.items()}
        for i in range(len(cells["id"])):
            values = {name: cells[column][i] for name, column in columns.items()}
            yield Flip(
                id=cells["id"][i],
                repeat=int(cells["repeat"][i]),
                cluster=cells["cluster"][i] or "",
                slices={name: value for name, value in values.items() if value is not None},
                baseline_errors=int(cells["b_errors"][i]),
                candidate_errors=int(cells["c_errors"][i]),
            )

    def _sums(
        self, slices: Sequence[str], columns: Mapping[str, str], *, by: By | Whole
    ) -> PairedSums:
        """Sum both sides in one pass over rows that carry the addends of either.

        Columns of errors come with what of them is the candidate's where the baseline failed: there
        the two could not have changed places, and a joint test leaves it out.
        """
        ours = {name: f"c_addend{i}" for i, name in enumerate(columns)}
        theirs = {name: f"b_addend{i}" for i, name in enumerate(columns)}
        excused = {name: f"x_addend{i}" for i, name in enumerate(columns) if name in _ERROR_COLUMNS}
        where_failed = {
            name: f"CASE WHEN failed THEN {columns[name]} ELSE 0 END" for name in excused
        }
        addends = ", ".join(
            sql for sql in (_addends(columns, ours), _addends(where_failed, excused)) if sql
        )
        rows = (
            f"(SELECT c.*, {', '.join(f'b.{name}' for name in theirs.values())}"
            f" FROM (SELECT *, {addends} FROM candidate_side) AS c"
            f" JOIN (SELECT pair, {_addends(columns, theirs)} FROM baseline_side) AS b"
            " USING (pair))"
        )
        summed = {name: name for name in (*ours.values(), *theirs.values(), *excused.values())}
        sums = self._queries.sums(slices, summed, by=by, rows=rows)
        return PairedSums(
            candidate=_side(
                sums, ours | {EXCUSED + name: column for name, column in excused.items()}
            ),
            baseline=_side(sums, theirs),
            clusters=len(self._queries.clusters()),
        )

    def _read_keys(self, run: Relation) -> int:
        """Make a table of rows whose id and repeat stand once; return how many do not."""
        counted = self._session.fetch(
            "SELECT coalesce(sum(times), 0) AS repeated FROM (SELECT count(*) AS times"
            f" FROM {run.name} GROUP BY id, repeat HAVING count(*) > 1)",
            run,
        )
        repeated = int(counted["repeated"][0])
        single = (
            f"(SELECT * FROM {run.name} QUALIFY count(*) OVER (PARTITION BY id, repeat) = 1)"
            if repeated
            else run.name
        )
        self._session.fetch(f"CREATE VIEW single_{run.name} AS SELECT * FROM {single}", run)
        return repeated

    def _pair(self) -> None:
        """Make the table of pairs, and a view of each side under the names of results.

        What no row has a value of is no column of the table: most runs have few of the columns.
        """
        slices, valued = list(self._candidate.slice_columns.values()), self._valued()
        baseline_columns = self._baseline.slice_columns
        shown = [
            "row_number() OVER () AS pair",
            *(f"c.{name} AS {name}" for name in _ASKED),
            "coalesce(c.unusable, b.unusable) AS unusable",
            "b.unusable IS NULL AND b.failure IS NOT NULL AS failed",
            "b.cluster AS b_cluster",
            *(f"c.{name} AS {name}" for name in slices),
            *(f"b.{name} AS b_{name}" for name in baseline_columns.values()),
            *(f"{_side_value(name[0], name[2:])} AS {name}" for name in valued),
        ]
        self._fetch(
            f"CREATE TABLE paired_rows AS SELECT {', '.join(shown)}"
            " FROM single_candidate AS c JOIN single_baseline AS b USING (id, repeat)"
        )
        nulls = [
            f"{null(name)} AS {side}_{name}"
            for side in "cb"
            for name in _SCORED
            if f"{side}_{name}" not in valued
        ]
        self._fetch(f"CREATE VIEW paired AS SELECT {', '.join(['*', *nulls])} FROM paired_rows")
        shared = ("pair", *_ASKED, "unusable", "failed", *slices)
        for side, name in (("c", "candidate"), ("b", "baseline")):
            scored = ", ".join(f"{side}_{column} AS {column}" for column in _SCORED)
            self._fetch(
                f"CREATE VIEW {name}_side AS SELECT {', '.join(shared)}, {scored} FROM paired"
            )

    def _valued(self) -> list[str]:
        """Return the columns of both sides that may have a value in a paired row."""
        empty = {"c": self._candidate.empty, "b": self._baseline.empty}
        either = empty["c"] | empty["b"]
        return [
            f"{side}_{name}"
            for side, without in empty.items()
            for name in _SCORED
            if name not in (either if name in _MEASURES else without)
        ]

    def _moved(self, slices: Sequence[str] | None) -> str:
        """Return the condition that a row has another cluster or slice value in the other run."""
        ours, theirs = self._candidate.slice_columns, self._baseline.slice_columns
        cut_by = set(ours) | set(theirs)
        if slices is not None:
            cut_by = {column for name in slices for column in SliceSpec.parse(name).columns}
        if not cut_by <= set(ours) & set(theirs):
            return "TRUE"
        parts = [f"{ours[name]} IS DISTINCT FROM b_{theirs[name]}" for name in sorted(cut_by)]
        return " OR ".join(["cluster IS DISTINCT FROM b_cluster", *parts])

    def _without_partner(self, run: str, other_run: str) -> int:
        counted = self._fetch(
            f"SELECT count(*) AS alone FROM {run} ANTI JOIN {other_run} USING (id, repeat)"
        )
        return int(counted["alone"][0])

    def _fetch(self, sql: str) -> dict[str, Any]:
        return self._session.fetch(sql, self._candidate)


def _shown(path: Path) -> str:
    """Return how errors call a results file: two of them have the same name."""
    return f"{path.parent.name}/{path.name}"


def _side_value(side: str, name: str) -> str:
    """Return a run's value of a paired row.

    A measurement counts only beside one of the other run, and the baseline is perfect where it
    failed. An exchange counts for safety where both answered and were attacked as often.
    """
    if name in SAFETY_COLUMNS:
        return (
            "CASE WHEN b.failure IS NULL AND c.failure IS NULL AND b.safety_attacks = "
            f"c.safety_attacks THEN {side}.{name} END"
        )
    if name in _MEASURES:
        return (
            f"CASE WHEN b.failure IS NULL AND isfinite(CAST(b.{name} AS DOUBLE))"
            f" AND isfinite(CAST(c.{name} AS DOUBLE)) THEN {side}.{name} END"
        )
    if side == "b" and name in _PERFECT:
        return f"CASE WHEN b.failure IS NOT NULL THEN {_PERFECT[name]} ELSE b.{name} END"
    return f"{side}.{name}"


def _flipping(metric: str) -> str:
    """Return the errors that tell a right row from a wrong one, ``{0}`` for the run."""
    if metric not in SAFETY_METRICS:
        return _ERRORS
    events, units = (f"{{0}}_{SAFETY_PREFIX}{name}" for name in RATE_METRICS[metric].columns)
    wrong = f"{units} - {events}" if metric_of(metric).better == "up" else events
    return f"coalesce({wrong}, 0)"


_ERROR_COLUMNS = frozenset(errors for errors, _ in FAMILY_METRICS.values())


def _addends(columns: Mapping[str, str], names: Mapping[str, str]) -> str:
    return ", ".join(f"CAST({sql} AS DOUBLE) AS {names[name]}" for name, sql in columns.items())


def _side(sums: ClusterSums, names: Mapping[str, str]) -> ClusterSums:
    """Return the sums of one system: those of its columns, under the names they have elsewhere."""

    def of_side(columns: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        return {name: columns[column] for name, column in names.items()}

    cells = sums.by_prompt
    return replace(
        sums,
        columns=of_side(sums.columns),
        by_prompt=None if cells is None else replace(cells, columns=of_side(cells.columns)),
    )
