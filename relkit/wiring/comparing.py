"""Builds what comparing two runs is made with."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Settings
from relkit.core.errors import InvalidInput
from relkit.wiring import run_folders

if TYPE_CHECKING:
    from relkit.adapters.duckdb.results import DuckDBPairs
    from relkit.adapters.runs import RunFolders
    from relkit.comparison.rows import Row, Rows
    from relkit.comparison.types import CompareReport


def compare(
    settings: Settings,
    baseline: str,
    candidate: str,
    *,
    metric: str | None = None,
    with_text: bool = False,
    most: int = 20,
) -> "CompareReport":
    """Return where two runs differ; see :func:`relkit.comparison.compare.compare`."""
    from relkit.comparison import compare as workflow

    folders = run_folders(settings)
    ports = workflow.ComparePorts(
        runs=folders, pairs=partial(open_pairs, folders), rows=_rows(folders)
    )
    return workflow.compare(
        baseline, candidate, ports, metric=metric, with_text=with_text, most=most
    )


def open_pairs(folders: "RunFolders", candidate: str, baseline: str) -> "DuckDBPairs":
    """Open the results of two finished runs.

    Raises InvalidInput where results are not there, or are not what the run wrote.
    """
    from relkit.adapters.duckdb.results import DuckDBPairs

    return DuckDBPairs(_results(folders, candidate), _results(folders, baseline))


def _results(folders: "RunFolders", run: str) -> Path:
    path = folders.results(run)
    if path is None:
        name = folders.find(run).name
        raise InvalidInput(
            f"{name}: has no results.parquet, and only utterances can be compared",
            hint="fetch the whole run, or run the suite again",
        )
    return path


def _rows(folders: "RunFolders") -> "Rows":
    from relkit.adapters.results import read_rows

    def rows(run: str, *, with_text: bool, with_audio: bool) -> "tuple[Row, ...]":
        _, _, outputs = folders.read_header(run)
        return read_rows(folders.find(run), outputs, with_text=with_text, with_audio=with_audio)

    return rows
