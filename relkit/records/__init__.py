"""Versioned files to domain types and back; no I/O."""
