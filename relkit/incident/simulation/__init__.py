"""Incidents that are made up, each with its answer: for tests, drills and rehearsals."""
