"""What whole processes take, run in turn: seconds of the clock, and of the CPU.

CPU seconds are those of user and system together, of the process and of all that it waited for: on
a busy machine only they repeat.
"""

import atexit
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

Command = Sequence[str | Path]


def seconds(command: Command) -> float:
    """Return the wall time of one run in seconds; raises CalledProcessError where it fails."""
    started = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return time.perf_counter() - started


@cache
def _bytecode() -> str:
    """Return a folder for what Python compiles: an installation has it after its first run."""
    folder = tempfile.mkdtemp(prefix="bytecode")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def cpu_seconds(command: Command) -> float:
    """Return the CPU time of one run in seconds; raises CalledProcessError where it fails."""
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    compiled["PYTHONPYCACHEPREFIX"] = _bytecode()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(list(map(str, command)), check=True, capture_output=True, env=compiled)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def in_turn(
    commands: Sequence[Command], runs: int, measure: Callable[[Command], float] = seconds
) -> list[float]:
    """Return the median of each command, run A B A B so that drift hits all alike."""
    for command in commands:
        measure(command)
    times = [[measure(command) for command in commands] for _ in range(runs)]
    return [statistics.median(column) for column in zip(*times, strict=True)]
