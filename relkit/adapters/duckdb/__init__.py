"""Sums and single measurements by slice, of one run and of two, out of results.parquet."""
