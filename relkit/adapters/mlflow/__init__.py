"""Talks to an MLflow server, or to a database in the workspace, in a process with bounded time.

MLflow takes seconds to import, configures logging, prints, reads its settings from the process's
environment and, left alone, waits minutes for a dead server. So the caller's side (``access``)
writes down what to do as one JSON order and a child process (``child.run_client``) does it with
``MlflowClient``: the child can be killed at any moment, which makes the deadline honest, and
nothing of MLflow reaches the caller's streams, environment or memory. ``tracker`` tells of finished
runs, ``registry`` keeps the registered models that serving systems read (``registering``).
"""

__all__ = ["MlflowRegistry", "MlflowTracker"]
