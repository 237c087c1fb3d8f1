"""Drills: an incident that unfolds while people respond to it, and what their answer was worth."""
