"""Releases, the ledger of what was served when, and its mirror."""
