"""Suites, runs and reports, and the verb that makes them."""
