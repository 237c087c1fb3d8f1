"""The machine's clock and what can be said about the machine itself."""

import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from relkit.domain.suites import Scalar

_DISTRIBUTIONS = (
    "relkit",
    "faster-whisper",
    "ctranslate2",
    "rapidfuzz",
    "whisper-normalizer",
    "duckdb",
)


class SystemClock:
    """Implements the ``Clock`` port."""

    def now(self) -> str:
        """Return the UTC time to the second."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def versions() -> dict[str, str]:
    """Return the versions of Python and of what shapes a run's numbers."""
    found = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def load_fingerprint(*, cores: int, jobs: int, threads: int) -> dict[str, Scalar]:
    """Return the conditions that latencies depend on: hardware, system, processes, threads."""
    return {
        "processor": _processor(),
        "cores": cores,
        "system": platform.system(),
        "machine": platform.machine(),
        "jobs": jobs,
        "threads_per_job": threads,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
