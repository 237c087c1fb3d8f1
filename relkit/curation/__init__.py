"""Contracts, leakage between datasets, and the utterances that people should review."""
