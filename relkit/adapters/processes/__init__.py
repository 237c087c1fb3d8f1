"""Clips through a system in worker processes: bounded time, bounded restarts, nothing left over."""

from relkit.adapters.processes.executor import ProcessExecutor
from relkit.adapters.processes.threads import cores, threads_per_job

__all__ = ["ProcessExecutor", "cores", "threads_per_job"]
