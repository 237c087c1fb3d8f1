"""Systems under test: what answers a clip or speaks a text."""
