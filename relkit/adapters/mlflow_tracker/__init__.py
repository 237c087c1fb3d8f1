"""Tells MLflow about a finished run, in a process of its own that is given a bounded time.

MLflow takes seconds to import, configures logging, prints, reads its settings from the process's
environment and, left alone, waits minutes for a dead server. So ``MlflowTracker.track`` writes down
what to log as one JSON order and a child process (``run_client``) logs it with ``MlflowClient``:
the child can be killed at any moment, which makes the deadline honest, and nothing of MLflow
reaches the caller's streams, environment or memory.
"""

from relkit.adapters.mlflow_tracker.tracker import MlflowTracker

__all__ = ["MlflowTracker"]
