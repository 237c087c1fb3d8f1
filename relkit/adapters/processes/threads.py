"""How many threads a worker may use, so that several of them do not fight for the cores."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NUMPY = ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """Return how many cores this process may use: affinity, and a container's quota (cgroup v2)."""
    affinity = getattr(os, "sched_getaffinity", None)
    found = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no container, or "max" for no quota
        quota, period = _QUOTA.read_text().split()
        found = min(found, math.ceil(int(quota) / int(period)))
    return max(1, found)


def threads_per_job(jobs: int) -> int:
    """Return the threads each of ``jobs`` workers gets so that together they fill the cores."""
    return max(1, cores() // jobs)


@contextmanager
def threads_in_environment(threads: int) -> Iterator[None]:
    """Let a process that starts now use so many threads, unless the user has said how many.

    numpy's own threads are always one: their number changes the last bits of a matrix product, and
    with them the words of a recogniser (measured: 4 of 30 noisy clips, tiny.en, 1 against 2). It
    has to be said before numpy is imported, hence by the environment.
    """
    wanted = {"OMP_NUM_THREADS": str(threads), **dict.fromkeys(_NUMPY, "1")}
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
