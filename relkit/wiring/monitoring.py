"""Builds what watches live traffic needs: policies, telemetry, a clock."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace
from relkit.core.errors import UsageError
from relkit.core.values import checked_time
from relkit.wiring.stores import monitor_files

if TYPE_CHECKING:
    from relkit.adapters.duckdb.serving import TurnTableTraffic
    from relkit.monitoring.serving.types import CapacityReport, HealthReport


def time_of(now: str | None) -> str:
    """Return the time to judge at: that of ``--now``, else of the clock; raises UsageError."""
    from relkit.adapters.workspace import SystemClock

    if now is None:
        return SystemClock().now()
    try:
        return checked_time(now)
    except ValueError as error:
        raise UsageError(f"--now: {error}", hint="write it in UTC, with Z") from error


def _turn_traffic(paths: tuple[str, ...]) -> "TurnTableTraffic":
    from relkit.adapters.duckdb.serving import TurnTableTraffic
    from relkit.wiring.telemetry import open_turns

    return TurnTableTraffic(paths, open_turns)


def check_health(
    workspace: Workspace, name: str, paths: tuple[str, ...], *, now: str | None
) -> "HealthReport":
    """Judge how a service bears its load; see :mod:`relkit.monitoring.serving.run`."""
    from relkit.monitoring.serving.files import parse_health_policy
    from relkit.monitoring.serving.run import check_health as check

    policy = monitor_files(workspace).read(name, parse_health_policy)
    return check(policy, _turn_traffic(paths), now=time_of(now), replayed=now is not None)


def check_capacity(
    workspace: Workspace,
    name: str,
    load_tests: Sequence[Path],
    paths: tuple[str, ...],
    *,
    now: str | None,
) -> "CapacityReport":
    """Judge what a service needs; see :mod:`relkit.monitoring.serving.run`."""
    from relkit.monitoring.serving.files import parse_capacity_policy
    from relkit.monitoring.serving.run import check_capacity as check

    policy = monitor_files(workspace).read(name, parse_capacity_policy)
    telemetry = _turn_traffic(paths) if paths else None
    return check(policy, load_tests, telemetry, now=time_of(now), replayed=now is not None)
