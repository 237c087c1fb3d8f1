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
    from relkit.monitoring.drift.run import DriftOptions, ProfileOptions
    from relkit.monitoring.drift.types import DriftProfile, DriftReport
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


def drift_profile(workspace: Workspace, options: "ProfileOptions") -> "DriftProfile":
    """Freeze a reference and write it; see :func:`relkit.monitoring.drift.run.make_profile`."""
    from relkit.adapters.duckdb.drift import DuckDBDrift
    from relkit.core import storage
    from relkit.monitoring.drift.files import parse_drift_policy, render_profile
    from relkit.monitoring.drift.run import make_profile
    from relkit.telemetry.types import TelemetryOptions
    from relkit.wiring.telemetry import open_turns

    policy = None
    if options.policy is not None:
        policy = monitor_files(workspace).read(options.policy, parse_drift_policy)
    telemetry = TelemetryOptions(
        paths=options.paths,
        now=time_of(options.now),
        mapping={} if policy is None else policy.mapping,
    )
    with open_turns(telemetry) as table:
        profile = make_profile(DuckDBDrift(table, policy.by if policy else "session"), policy)
    storage.write_text(options.to, render_profile(profile))
    return profile


def drift(workspace: Workspace, options: "DriftOptions") -> "DriftReport":
    """Judge current telemetry; see :func:`relkit.monitoring.drift.run.judge_turns`."""
    from relkit.adapters.duckdb.drift import DuckDBDrift
    from relkit.core import storage
    from relkit.core.codec import decode
    from relkit.monitoring.drift.files import parse_drift_policy, parse_profile
    from relkit.monitoring.drift.run import check_fit, judge_turns, windowed
    from relkit.telemetry.types import TelemetryOptions
    from relkit.wiring.telemetry import open_turns

    policy = monitor_files(workspace).read(options.policy, parse_drift_policy)
    policy = windowed(policy, options.window)
    source = options.reference.name
    data = storage.read_bytes(
        options.reference, what=source, hint="make one: relkit drift profile PATH --to FILE"
    )
    profile = parse_profile(decode(data, source=source), source=source)
    check_fit(policy, profile)
    telemetry = TelemetryOptions(
        paths=options.current, now=time_of(options.now), mapping=policy.mapping
    )
    with open_turns(telemetry) as table:
        return judge_turns(DuckDBDrift(table, policy.by), policy, profile)
