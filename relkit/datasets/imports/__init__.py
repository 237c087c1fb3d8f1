"""Datasets of other tools, text to rows."""
