"""Sums and single measurements by slice, of one run and of two, out of results.parquet."""

from relkit.adapters.duckdb_slices.pairs import DuckDBPairs
from relkit.adapters.duckdb_slices.slices import DuckDBSlices

__all__ = ["DuckDBPairs", "DuckDBSlices"]
