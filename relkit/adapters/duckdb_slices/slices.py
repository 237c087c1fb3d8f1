"""The slices of one run's results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from relkit.adapters.duckdb_slices.queries import SliceQueries
from relkit.adapters.duckdb_slices.session import Session
from relkit.ports import By
from relkit.rules.cluster_sums import ClusterSums, SliceValues

if TYPE_CHECKING:
    import pyarrow as pa


class DuckDBSlices:
    """The slices of one file or table of results; close it, or use it in a ``with`` block.

    Slice values and clusters are numbered in the order of their spelling, so that the same data
    gives the same arrays whatever the number of threads. Memory is bounded by ``memory_limit``
    (in DuckDB's spelling); what does not fit is spilled to a temporary folder.
    """

    def __init__(
        self, source: "Path | pa.Table", *, memory_limit: str = "1GB", threads: int | None = None
    ) -> None:
        """Open the source; raises InvalidInput where it does not hold results."""
        self._session = Session(memory_limit=memory_limit, threads=threads)
        try:
            shown = source.name if isinstance(source, Path) else "results"
            relation = self._session.open_results(source, "results", shown=shown)
        except BaseException:
            self.close()
            raise
        self._columns = tuple(relation.slice_columns)
        self._queries = SliceQueries(self._session, relation)

    def close(self) -> None:
        """Let go of memory and spilled files."""
        self._session.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

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
