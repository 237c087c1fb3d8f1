"""Clips through a system in worker processes: bounded time, bounded restarts, nothing left over."""

from relkit.adapters.processes.executor import ProcessExecutor
from relkit.adapters.processes.threads import threads_per_job

__all__ = ["ProcessExecutor", "threads_per_job"]
