"""``relkit health`` and ``relkit capacity``: what was measured in, a report with a verdict out."""

from collections.abc import Sequence
from pathlib import Path

from relkit.core import storage
from relkit.monitoring.serving.files import parse_load_test
from relkit.monitoring.serving.health import judge_health
from relkit.monitoring.serving.ports import LiveTraffic, SessionSource
from relkit.monitoring.serving.sizing import plan_capacity
from relkit.monitoring.serving.types import (
    CapacityPolicy,
    CapacityReport,
    HealthPolicy,
    HealthReport,
)


def check_health(
    policy: HealthPolicy, traffic: LiveTraffic, *, now: str, replayed: bool = False
) -> HealthReport:
    """Return how a service bears its load until ``now``; raises what the source of it raises."""
    figures, telemetry = traffic.figures(policy, now)
    return judge_health(policy, figures, telemetry, now=now, replayed=replayed)


def check_capacity(
    policy: CapacityPolicy,
    load_tests: Sequence[Path],
    telemetry: SessionSource | None,
    *,
    now: str,
    replayed: bool = False,
) -> CapacityReport:
    """Return what a service can bear and needs; raises InvalidInput for what cannot be read."""
    tests = [
        parse_load_test(storage.read_bytes(path, what=path.name), source=path.name)
        for path in load_tests
    ]
    sessions = None if telemetry is None else telemetry.sessions(policy, now)
    return plan_capacity(policy, tests, sessions, now=now, replayed=replayed)
