"""A DuckDB database in memory with bounded resources, and results opened in it by name."""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote or made up

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.domain.errors import InvalidInput, StorageFailed
from relkit.rules.result_columns import (
    CORE_COLUMNS,
    COUNT_COLUMNS,
    LATER_COLUMNS,
    QUALITY_COLUMNS,
    SPEECH_COLUMNS,
)
from relkit.rules.slice_numbers import Array

if TYPE_CHECKING:
    import pyarrow as pa

_HINT = "write it anew with: relkit eval SUITE"
_TEXT = ("id", "cluster", "failure", "unusable", "load", "quality_reason")
_TYPES: Mapping[str, str] = {
    **dict.fromkeys(CORE_COLUMNS, "BIGINT"),
    **dict.fromkeys(("runaway", "loop", "cached"), "BOOLEAN"),
    **dict.fromkeys(("latency_ms", "first_byte_ms", "duration"), "DOUBLE"),
    **dict.fromkeys((*QUALITY_COLUMNS, *SPEECH_COLUMNS), "DOUBLE"),
    **dict.fromkeys(_TEXT, "VARCHAR"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """Results in a session: the relation's name, the file's, and exact column name to expression.

    Core columns go by their own names, slice columns by names we made up.
    """

    name: str
    source: str
    columns: Mapping[str, str]

    @property
    def slice_columns(self) -> dict[str, str]:
        """The columns that are not core columns, exact name to expression."""
        return {name: sql for name, sql in self.columns.items() if name not in CORE_COLUMNS}

    def expression(self, column: str) -> str:
        """Return the expression of a column; raises InvalidInput for an unknown one."""
        if column not in self.columns:
            known = ", ".join(self.slice_columns)
            raise InvalidInput(
                f"{self.source}: no column {column} to slice by",
                hint=f"columns: {known or 'none'}",
            )
        return self.columns[column]

    def unreadable(self) -> InvalidInput:
        """Return the error of a file that does not hold what it should."""
        return _unreadable(self.source)


class Session:
    """A database of its own; close it.

    Memory is bounded by ``memory_limit`` (in DuckDB's spelling); what does not fit is spilled to a
    temporary folder.
    """

    def __init__(self, *, memory_limit: str, threads: int | None) -> None:
        """Start the database."""
        import duckdb

        self._spill = tempfile.TemporaryDirectory(prefix="relkit-duckdb-")
        self._connection = duckdb.connect(":memory:")
        try:
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

    def open_results(self, source: "Path | pa.Table", name: str, *, shown: str) -> Relation:
        """Make a view of results under ``name``; errors call the source ``shown``.

        Raises InvalidInput where it does not hold results. DuckDB does not tell ``Hits`` from
        ``hits``: it renames one of two such columns, and finds either under both names. By position
        nothing is mistaken for something else.
        """
        import duckdb
        from pyarrow import ArrowException
        from pyarrow import parquet as pq

        try:
            if isinstance(source, Path):
                names = pq.read_schema(source).names
                relation = self._connection.read_parquet(_literal(source))
            else:
                names = source.schema.names
                relation = self._connection.from_arrow(source)
        except (duckdb.Error, ArrowException, OSError) as error:
            raise _unreadable(shown) from error
        missing = [column for column in CORE_COLUMNS if column not in names]
        if needed := [column for column in missing if column not in LATER_COLUMNS]:
            raise InvalidInput(f"{shown}: no column {needed[0]}", hint=_HINT)
        own = {
            column: column if column in CORE_COLUMNS else f"c{i}" for i, column in enumerate(names)
        }
        selected = [
            f"CAST({quoted(there)} AS {_TYPES.get(column, 'VARCHAR')}) AS {own[column]}"
            for column, there in zip(names, relation.columns, strict=True)
        ]
        selected += [f"CAST(NULL AS {_TYPES[column]}) AS {column}" for column in missing]
        relation.project(", ".join(selected)).create_view(name)
        opened = Relation(
            name=name, source=shown, columns=own | {column: column for column in missing}
        )
        self._check_rows(opened)
        return opened

    def fetch(self, sql: str, relation: Relation) -> dict[str, Array]:
        """Return the columns a query gives; raises StorageFailed, InvalidInput.

        ``relation`` is what a value that cannot be read is blamed on.
        """
        import duckdb

        try:
            found: dict[str, Array] = self._connection.execute(sql).fetchnumpy()
        except duckdb.OutOfMemoryException as error:
            raise StorageFailed(
                "not enough memory and temporary disk to sum the results by slice",
                hint="free disk space in the temporary folder, or ask for fewer slices",
            ) from error
        except (duckdb.ConversionException, duckdb.IOException) as error:
            raise relation.unreadable() from error
        return found

    def _check_rows(self, relation: Relation) -> None:
        """Refuse rows without id, and scored rows without counts, which sums would pass over."""
        bad = " OR ".join(f"{name} IS NULL OR CAST({name} AS BIGINT) < 0" for name in COUNT_COLUMNS)
        found = self.fetch(
            "SELECT count(*) FILTER (WHERE id IS NULL OR repeat IS NULL) AS unnamed,"
            f" count(*) FILTER (WHERE unusable IS NULL AND ({bad})) AS uncounted"
            f" FROM {relation.name}",
            relation,
        )
        if found["unnamed"][0] or found["uncounted"][0]:
            raise InvalidInput(
                f"{relation.source}: {found['unnamed'][0]} rows without id or repeat,"
                f" {found['uncounted'][0]} scored rows without counts",
                hint=_HINT,
            )


def quoted(name: str) -> str:
    """Return a name as SQL spells it."""
    return '"' + name.replace('"', '""') + '"'


def _unreadable(shown: str) -> InvalidInput:
    return InvalidInput(f"{shown}: cannot be read as results", hint=_HINT)


def _literal(path: Path) -> str:
    """Return a path in which no character is a wildcard."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in str(path))
