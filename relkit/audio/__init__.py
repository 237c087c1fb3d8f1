"""Samples, levels, and the quality of audio."""
