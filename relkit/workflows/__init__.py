"""The verbs: each takes ports, runs one job and returns domain types."""
