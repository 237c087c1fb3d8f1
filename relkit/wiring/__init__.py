"""Composition root: the only place that builds adapters, each when it is needed."""
