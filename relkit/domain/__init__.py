"""Frozen types and errors that every layer speaks; standard library only."""
