"""Intervals, percentiles, differences, families of tests, power and change points; pure."""
