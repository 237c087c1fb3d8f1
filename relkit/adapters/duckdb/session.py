"""A DuckDB database in memory with bounded resources, results opened in it, sums by slice.

Queries are about whatever relation the rows are in.
"""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote or made up

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from relkit.core.digests import MOST_WHOLE
from relkit.core.errors import InvalidInput, StorageFailed
from relkit.core.slices import SliceSpec
from relkit.core.yaml_text import shown
from relkit.datasets.types import NO_VALUE
from relkit.evaluation.ports import By
from relkit.statistics.crossed import FEWEST_PROMPTS, SHARED
from relkit.statistics.sums import (
    CONVERSATION_COLUMNS,
    CONVERSATION_TIMES,
    CORE_COLUMNS,
    COUNT_COLUMNS,
    DETECTION_COLUMNS,
    LATER_COLUMNS,
    PASS_SHARES,
    PROMPT,
    QUALITY_COLUMNS,
    SAFETY_COLUMNS,
    SPEECH_COLUMNS,
    UNIT,
    Array,
    SliceRows,
    number_slices,
    sort_by_slice,
    stack,
)
from relkit.statistics.types import ClusterSums, PromptSums, SliceValues

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from pyarrow import parquet as pq


_HINT = "write it anew with: relkit eval SUITE"
_TEXT = ("id", "cluster", "failure", "unusable", "load", "quality_reason", UNIT)

_TYPES: Mapping[str, str] = {
    **dict.fromkeys(CORE_COLUMNS, "BIGINT"),
    **dict.fromkeys(("runaway", "loop", "cached"), "BOOLEAN"),
    **dict.fromkeys(("latency_ms", "first_byte_ms", "duration"), "DOUBLE"),
    **dict.fromkeys((*QUALITY_COLUMNS, *SPEECH_COLUMNS, *DETECTION_COLUMNS), "DOUBLE"),
    **dict.fromkeys((*CONVERSATION_COLUMNS[-len(PASS_SHARES) :], *CONVERSATION_TIMES), "DOUBLE"),
    **dict.fromkeys(_TEXT, "VARCHAR"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """Results in a session: the relation's name, the file's, and exact column name to expression.

    Core columns go by their own names, slice columns by names we made up. ``empty`` are core
    columns without a value in any row.
    """

    name: str
    source: str
    columns: Mapping[str, str]
    empty: frozenset[str] = frozenset()

    @property
    def slice_columns(self) -> dict[str, str]:
        """The columns that are not core columns, exact name to expression."""
        return {name: sql for name, sql in self.columns.items() if name not in CORE_COLUMNS}

    def expression(self, column: str) -> str:
        """Return the expression of a column; raises InvalidInput for an unknown one."""
        if column not in self.columns:
            names = ", ".join(self.slice_columns)
            raise InvalidInput(
                f"{self.source}: no column {column} to slice by", hint=f"columns: {names or 'none'}"
            )
        return self.columns[column]


class Session:
    """A database of its own; close it.

    Memory is bounded by ``memory_limit`` (in DuckDB's spelling); what does not fit is spilled to a
    temporary folder.
    """

    def __init__(self, *, memory_limit: str, threads: int | None) -> None:
        """Start the database."""
        import duckdb

        self._connection = duckdb.connect(":memory:")  # takes long enough to be interrupted in it
        self._spill = tempfile.TemporaryDirectory(prefix="relkit-duckdb-")
        try:
            # A bar would stand on standard output, where results go.
            self._connection.execute("SET enable_progress_bar = false")
            self._connection.execute("SET temp_directory = $1", [self._spill.name])
            self._connection.execute("SET memory_limit = $1", [memory_limit])
            if threads is not None:
                self._connection.execute("SET threads = $1", [threads])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of memory and spilled files."""
        self._connection.close()
        self._spill.cleanup()

    def open_results(
        self, source: "Path | pa.Table", name: str, *, shown: str, utterances: bool = False
    ) -> Relation:
        """Make a view of results under ``name``; errors call the source ``shown``.

        With ``utterances`` each is a cluster of its own. Raises InvalidInput where it does not hold
        results. DuckDB does not tell ``Hits`` from ``hits``: it renames one of two such columns,
        and finds either under both names. By position nothing is mistaken for something else.
        """
        import duckdb
        from pyarrow import ArrowException
        from pyarrow import parquet as pq

        try:
            empty: set[str] = set()
            if isinstance(source, Path):
                footer = pq.read_metadata(source)
                names = footer.schema.to_arrow_schema().names
                empty = _without_values(footer)
                # No character of the path is a wildcard.
                literal = re.sub(r"[*?[]", r"[\g<0>]", str(source))
                relation = self._connection.read_parquet(literal)
            else:
                names = source.schema.names
                relation = self._connection.from_arrow(source)
        except (duckdb.Error, ArrowException, OSError) as error:
            raise _unreadable(shown) from error
        missing = [column for column in CORE_COLUMNS if column not in names]
        if needed := [column for column in missing if column not in LATER_COLUMNS]:
            raise InvalidInput(f"{shown}: no column {needed[0]}", hint=_HINT)
        expressions = {
            column: column if column in CORE_COLUMNS else f"c{i}" for i, column in enumerate(names)
        }
        read = dict(zip(names, relation.columns, strict=True))
        if utterances:
            read["cluster"] = read["id"]
        selected = [
            f"CAST({quoted(renamed)} AS {_TYPES.get(column, 'VARCHAR')}) AS {expressions[column]}"
            for column, renamed in read.items()
        ]
        selected += [f"{null(column)} AS {column}" for column in missing]
        relation.project(", ".join(selected)).create_view(name)
        opened = Relation(
            name=name,
            source=shown,
            columns=expressions | {column: column for column in missing},
            empty=frozenset(CORE_COLUMNS) & {*missing, *empty},
        )
        self._check_rows(opened)
        return opened

    def fetch(self, sql: str, relation: Relation) -> dict[str, Array]:
        """Return the columns a query gives; raises StorageFailed, InvalidInput.

        ``relation`` is what a value that cannot be read is blamed on.
        """
        import duckdb

        try:
            columns: dict[str, Array] = self._execute(sql, {}).fetchnumpy()
        except (duckdb.ConversionException, duckdb.IOException) as error:
            raise _unreadable(relation.source) from error
        return columns

    def query(self, sql: str, parameters: Mapping[str, object], *, blamed: str) -> dict[str, Array]:
        """Return the columns a query gives; raises StorageFailed, InvalidInput.

        ``blamed`` is what was read, where a value of it or the file itself cannot be.
        """
        with _blaming(blamed):
            columns: dict[str, Array] = self._execute(sql, parameters).fetchnumpy()
        return columns

    def batches(self, sql: str, *, rows: int, blamed: str) -> "Iterator[pa.RecordBatch]":
        """Yield what a query gives, so many rows at a time; raises StorageFailed, InvalidInput."""
        with _blaming(blamed):
            relation = self._connection.sql(sql)
            if relation is not None:
                yield from relation.to_arrow_reader(rows)

    def execute(
        self, sql: str, parameters: Mapping[str, object] | None = None, *, blamed: str = "a table"
    ) -> None:
        """Run a statement that gives nothing; raises StorageFailed, InvalidInput."""
        with _blaming(blamed):
            self._execute(sql, parameters or {})

    def describe(self, sql: str, *, blamed: str = "a table") -> dict[str, str]:
        """Return column to type of what a query gives; raises InvalidInput."""
        with _blaming(blamed):
            described = self._execute(f"DESCRIBE {sql}", {}).fetchall()
        return {str(row[0]): str(row[1]) for row in described}

    def register(self, name: str, table: "pa.Table") -> None:
        """Let queries name a table in memory."""
        self._connection.register(name, table)

    def _execute(self, sql: str, parameters: Mapping[str, object]) -> "duckdb.DuckDBPyConnection":
        import duckdb

        try:
            return self._connection.execute(sql, dict(parameters) or None)
        except duckdb.OutOfMemoryException as error:
            raise StorageFailed(
                "not enough memory and temporary disk to sum the results by slice",
                hint="free disk space in the temporary folder, or ask for fewer slices",
            ) from error

    def _check_rows(self, relation: Relation) -> None:
        """Refuse rows without id, and scored rows without counts, which sums would pass over."""
        bad = " OR ".join(f"{name} IS NULL OR CAST({name} AS BIGINT) < 0" for name in COUNT_COLUMNS)
        odd = " OR ".join(
            [f"coalesce({name} < 0, FALSE)" for name in CONVERSATION_COLUMNS]
            + [
                f"coalesce({events} NOT BETWEEN 0 AND coalesce({units}, 0), FALSE)"
                for units, events in zip(SAFETY_COLUMNS[::2], SAFETY_COLUMNS[1::2], strict=True)
            ]
        )
        counts = (*COUNT_COLUMNS, *SAFETY_COLUMNS[::2])
        total = " + ".join(f"coalesce(sum(CAST({name} AS HUGEINT)), 0)" for name in counts)
        seen = self.fetch(
            "SELECT count(*) FILTER (WHERE id IS NULL OR repeat IS NULL) AS unnamed,"
            f" count(*) FILTER (WHERE (unusable IS NULL AND ({bad})) OR {odd}) AS uncounted,"
            f" coalesce({total} > {MOST_WHOLE}, FALSE) AS absurd FROM {relation.name}",
            relation,
        )
        if seen["absurd"][0]:
            raise InvalidInput(
                f"{relation.source}: its counts add up to more than can be counted exactly",
                hint=_HINT,
            )
        if seen["unnamed"][0] or seen["uncounted"][0]:
            raise InvalidInput(
                f"{relation.source}: {seen['unnamed'][0]} rows without id or repeat,"
                f" {seen['uncounted'][0]} scored rows without counts",
                hint=_HINT,
            )


def _without_values(footer: "pq.FileMetaData") -> set[str]:
    """Return the columns of which the file says that they are null in every row."""
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    names = set()
    for i in range(footer.num_columns):
        parts = [group.column(i) for group in groups]
        if all(part.statistics is not None for part in parts) and all(
            part.statistics.null_count == part.num_values for part in parts
        ):
            names |= {part.path_in_schema for part in parts}
    return names


def null(column: str) -> str:
    """Return an expression for no value of a core column, of its type."""
    return f"CAST(NULL AS {_TYPES[column]})"


@contextmanager
def _blaming(source: str) -> Iterator[None]:
    """Say of what DuckDB could not read which file it was, and what it said about it."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        unreadable = (
            duckdb.ConversionException,
            duckdb.IOException,
            duckdb.InvalidInputException,
            duckdb.SerializationException,
            duckdb.InternalException,
        )
        # A damaged Parquet footer is an error of no class, or an assertion inside of DuckDB.
        if type(error) is not duckdb.Error and not isinstance(error, unreadable):
            raise
        first = str(error).split("\n", 1)[0].partition(": ")[2] or "cannot be read"
        # Files are named without their folders.
        words = re.sub(r"(?:[^\s\"']*/)+", "", first)
        raise InvalidInput(
            f"{source}: {shown(words, 200)}",
            hint="it was cut or is still being written: write it anew",
        ) from error


def quoted(name: str) -> str:
    """Return a name as SQL spells it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | None) -> str:
    """Return text as SQL spells it; None is NULL."""
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def _unreadable(shown: str) -> InvalidInput:
    return InvalidInput(f"{shown}: cannot be read as results", hint=_HINT)


Whole = Literal["slice"]
"""Sums of whole slices, whatever their clusters."""

_Part = By | Whole | Literal["cell"]
"""``cell`` sums by cluster and prompt, of prompts that several clusters read."""

_SHARED = "shared_prompts"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coded:
    """A query whose rows carry numbers for slice values (k0, k1 …) and for their part (part).

    ``repeated`` says that several rows may make up one part of a slice.
    """

    sql: str
    columns: tuple[str, ...]
    repeated: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the numbers, in the order of ``columns``."""
        return tuple(f"k{i}" for i in range(len(self.columns)))

    def keys_of(self, spec: SliceSpec) -> tuple[str, ...]:
        """The numbers that make up a specification."""
        return tuple(f"k{self.columns.index(column)}" for column in spec.columns)

    @property
    def grouping(self) -> str:
        """An expression that tells grouping sets apart; see :meth:`grouping_of`."""
        return f"grouping({', '.join(self.keys)})" if self.columns else "0"

    def grouping_of(self, spec: SliceSpec) -> int:
        """The value of ``grouping`` for a specification: a bit per absent column, first highest."""
        return sum(
            1 << bit
            for bit, column in enumerate(reversed(self.columns))
            if column not in spec.columns
        )


class SliceQueries:
    """Asks a relation of results for sums and measurements by slice.

    Slice values and clusters are numbered in the order of their spelling, so that the same data
    gives the same arrays whatever the number of threads; clusters by ``order`` where there is one.
    """

    def __init__(
        self,
        session: Session,
        relation: Relation,
        order: Callable[[str], bytes] | None = None,
    ) -> None:
        """Number the values of ``relation``; rows may come from others with the same columns."""
        self._session = session
        self._relation = relation
        self._order = order
        self._labels: dict[str, tuple[str, ...]] = {}
        self._shared: bool | None = None
        self._repeats: int | None = None

    def sums(
        self,
        slices: Sequence[str],
        columns: Mapping[str, str],
        *,
        by: By | Whole = "cluster",
        rows: str | None = None,
    ) -> ClusterSums:
        """Return sums of row expressions (name to SQL of our own tables) per slice and cluster.

        ``slices`` are specifications (``overall``, ``accent``, ``noise&channel``); every value that
        occurs becomes a slice, in the order of specifications and then of values. ``by="repeat"``
        sums per repeat instead of cluster. ``by="utterance"`` sums per utterance, and only slices
        whose scored rows all belong to one cluster; ``by="slice"`` gives one row a slice, numbered
        0. ``rows`` is a relation or query to sum instead. Sums by cluster have ``by_prompt`` where
        clusters share prompts. Raises InvalidInput for an unknown column.
        """
        sums = self._summed(slices, columns, by, rows)
        cells = self._cells(sums.slices, slices, columns, rows) if by == "cluster" else None
        return ClusterSums(
            slices=sums.slices,
            slice_index=sums.index,
            cluster_index=sums.columns["part"].astype(np.int64),
            columns={name: sums.columns[name] for name in columns},
            by_prompt=cells,
            repeats=self._asked(),
        )

    def _asked(self) -> int:
        """Return how often each utterance was asked."""
        if self._repeats is None:
            counts = self._fetch(
                f"SELECT count(DISTINCT repeat) AS repeats FROM {self._relation.name}"
            )
            self._repeats = max(1, int(counts["repeats"][0]))
        return self._repeats

    def _summed(
        self,
        slices: Sequence[str],
        columns: Mapping[str, str],
        by: _Part,
        rows: str | None,
    ) -> SliceRows:
        """Return the sums by slice and unit, of cells by prompt as well."""
        parts: list[SliceRows] = []
        unit = ("part", PROMPT) if by == "cell" else ("part",)
        for specs, coded in self._coded(slices, by, rows):
            sets = ", ".join(f"({', '.join((*coded.keys_of(spec), *unit))})" for spec in specs)
            total = "sum" if coded.repeated else ""  # counts stay exact in doubles up to 2^53
            summed = [
                f"{total}(CAST({sql} AS DOUBLE)) AS {quoted(name)}" for name, sql in columns.items()
            ]
            which = coded.grouping if coded.repeated else "0"
            shown = ", ".join((*coded.keys, *unit, f"{which} AS which", *summed))
            order = ", ".join(unit)
            grouped = f"GROUP BY GROUPING SETS ({sets}) ORDER BY {order}" if coded.repeated else ""
            fetched = self._fetch(f"SELECT {shown} FROM ({coded.sql}) {grouped}")
            for spec in specs:
                here = fetched["which"] == coded.grouping_of(spec)
                rows_of_spec = (
                    fetched if here.all() else {name: v[here] for name, v in fetched.items()}
                )
                parts.append(self._part(spec, coded, rows_of_spec))
        return stack(parts)

    def _cells(
        self,
        keys: tuple[str, ...],
        slices: Sequence[str],
        columns: Mapping[str, str],
        rows: str | None,
    ) -> PromptSums | None:
        """Return the sums by cluster and shared prompt, None where too little of the run is shared.

        The slices are numbered as in ``keys``.
        """
        if not self._shares_prompts():
            return None
        cells = self._summed(slices, columns, "cell", rows)
        place = {key: i for i, key in enumerate(keys)}
        number = np.array([place[key] for key in cells.slices], dtype=np.int64)
        return PromptSums(
            slice_index=number[cells.index],
            cluster_index=cells.columns["part"].astype(np.int64),
            prompt_index=cells.columns[PROMPT].astype(np.int64),
            columns={name: cells.columns[name] for name in columns},
        )

    def _shares_prompts(self) -> bool:
        """Make a table of the prompts that several clusters read; return whether they count.

        See docs/method.md, section "Intervals".
        """
        if self._shared is None:
            source = f"{self._relation.name} WHERE unusable IS NULL"
            self._fetch(
                f"CREATE TABLE {_SHARED} AS SELECT {PROMPT}, count(*) AS times FROM {source}"
                f" AND {PROMPT} IS NOT NULL GROUP BY {PROMPT} HAVING min(cluster) < max(cluster)"
            )
            counts = self._fetch(
                f"SELECT count(*) AS prompts, coalesce(sum(times), 0) AS shared,"
                f" (SELECT count(*) FROM {source}) AS every FROM {_SHARED}"
            )
            prompts, shared, every = (int(counts[n][0]) for n in ("prompts", "shared", "every"))
            self._shared = prompts >= FEWEST_PROMPTS and shared >= SHARED * every
        return self._shared

    def values(
        self, slices: Sequence[str], column: str, *, by: By = "cluster", rows: str | None = None
    ) -> SliceValues:
        """Return the finite values of a column over scored rows, by slice and then ascending.

        ``by`` and ``rows`` as in :meth:`sums`. Raises InvalidInput for an unknown column.
        """
        value = f"CAST({self._relation.expression(column)} AS DOUBLE)"
        parts: list[SliceRows] = []
        for specs, coded in self._coded(slices, by, rows):
            shown = ", ".join((*coded.keys, "part", f"{value} AS value"))
            fetched = self._fetch(
                f"SELECT {shown} FROM ({coded.sql}) WHERE unusable IS NULL"
                f" AND {value} IS NOT NULL AND isfinite({value}) ORDER BY value"
            )
            parts.extend(self._part(spec, coded, fetched) for spec in specs)
        found_rows = stack(parts)
        return SliceValues(
            slices=found_rows.slices,
            slice_index=found_rows.index,
            cluster_index=found_rows.columns["part"].astype(np.int64),
            values=found_rows.columns["value"],
            repeats=self._asked(),
        )

    def clusters(self) -> tuple[str, ...]:
        """Return the names of all clusters, in the order of their numbers."""
        self._code("cluster")
        return self._labels_of("cluster")

    def _coded(
        self, slices: Sequence[str], by: _Part, rows: str | None
    ) -> list[tuple[tuple[SliceSpec, ...], _Coded]]:
        """Return specifications that one query can answer, with the query's coded rows."""
        specs = tuple(dict.fromkeys(SliceSpec.parse(name) for name in slices))
        if by != "utterance":
            unit = {"repeat": "repeat", "slice": "0"}.get(by) or self._code("cluster")
            where = f"{PROMPT} IN (SELECT {PROMPT} FROM {_SHARED})" if by == "cell" else "TRUE"
            return [(specs, self._rows(specs, unit, where=where, rows=rows))]
        source = self._relation.name
        fetched = self._fetch(f"SELECT min(repeat) < max(repeat) AS repeated FROM {source}")
        repeated = bool(np.any(fetched["repeated"]))
        # One row an utterance is the rule, and then numbering them needs no sorting of ids.
        unit = "dense_rank() OVER (ORDER BY id)" if repeated else "row_number() OVER ()"
        return [
            (
                (spec,),
                self._rows((spec,), unit, where=self._of_one_cluster(spec), repeated=repeated),
            )
            for spec in specs
        ]

    def _rows(
        self,
        specs: Sequence[SliceSpec],
        unit: str,
        *,
        where: str = "TRUE",
        repeated: bool = True,
        rows: str | None = None,
    ) -> _Coded:
        columns = tuple(dict.fromkeys(column for spec in specs for column in spec.columns))
        codes = [f"{self._code(column)} AS k{i}" for i, column in enumerate(columns)]
        shown = ", ".join((*codes, f"{unit} AS part", "*"))
        return _Coded(
            sql=f"SELECT {shown} FROM {rows or self._relation.name} WHERE {where}",
            columns=columns,
            repeated=repeated,
        )

    def _of_one_cluster(self, spec: SliceSpec) -> str:
        """Return a condition for rows of slices whose scored rows belong to one cluster."""
        inner = self._rows((spec,), self._code("cluster"), where="unusable IS NULL")
        if not spec.columns:
            fetched = self._fetch(f"SELECT min(part) = max(part) AS one FROM ({inner.sql})")
            return "TRUE" if np.ma.filled(fetched["one"], fill_value=False).all() else "FALSE"
        codes = ", ".join(self._code(column) for column in spec.columns)
        keys = ", ".join(inner.keys)
        return (
            f"({codes}) IN (SELECT ({keys}) FROM ({inner.sql})"
            f" GROUP BY {keys} HAVING min(part) = max(part))"
        )

    def _code(self, column: str) -> str:
        """Return an expression for the place of a row's value among the column's sorted values."""
        name = self._relation.expression(column)
        text = f"coalesce(CAST({name} AS VARCHAR), '{NO_VALUE}')"
        if column not in self._labels:
            values = f"SELECT DISTINCT {text} AS label FROM {self._relation.name} ORDER BY 1"
            if column == "cluster" and self._order is not None:
                values = self._ordered(values, self._order)
            self._fetch(f"CREATE TYPE labels_{name} AS ENUM ({values})")
            self._labels[column] = ()
        return f"CAST(enum_code(CAST({text} AS labels_{name})) AS BIGINT)"

    def _ordered(self, values: str, order: Callable[[str], bytes]) -> str:
        """Return a query for the labels that ``values`` gives, in another order."""
        labels = sorted(map(str, self._fetch(values)["label"]), key=order)
        self._session.execute(
            "CREATE TABLE ordered_labels AS SELECT unnest($labels::VARCHAR[]) AS label,"
            " generate_subscripts($labels::VARCHAR[], 1) AS place",
            {"labels": labels},
            blamed=self._relation.source,
        )
        return "SELECT label FROM ordered_labels ORDER BY place"

    def _labels_of(self, column: str) -> tuple[str, ...]:
        """Return the column's values in the order of their codes."""
        if not self._labels[column]:
            name = self._relation.expression(column)
            fetched = self._fetch(f"SELECT unnest(enum_range(NULL::labels_{name})) AS label")
            self._labels[column] = tuple(str(label) for label in fetched["label"])
        return self._labels[column]

    def _part(self, spec: SliceSpec, coded: _Coded, fetched: Mapping[str, Array]) -> SliceRows:
        """Return the rows found for one specification, sorted by slice."""
        codes = [np.asarray(fetched[key]).astype(np.int64) for key in coded.keys_of(spec)]
        labels = [self._labels_of(column) for column in spec.columns]
        keys, index = number_slices(spec, codes, labels, len(fetched["part"]))
        used_up = {*coded.keys, "which"}
        measured = {name: np.asarray(v) for name, v in fetched.items() if name not in used_up}
        return sort_by_slice(keys, index, measured)

    def _fetch(self, sql: str) -> dict[str, Array]:
        return self._session.fetch(sql, self._relation)
