"""``relkit health`` and ``relkit capacity``: what was measured in, a report with a verdict out."""

from collections.abc import Sequence
from pathlib import Path

from relkit.core import storage
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown
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
from relkit.telemetry.types import Telemetry

_NAMED = 5
"""Releases of the telemetry that a message names at the most."""


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
    version: str | None = None,
) -> CapacityReport:
    """Return what a service can bear and needs; raises InvalidInput for what cannot be read.

    ``version`` is the release that it is about: telemetry that names releases has to name it.
    """
    tests = [
        parse_load_test(storage.read_bytes(path, what=path.name), source=path.name)
        for path in load_tests
    ]
    sessions = None if telemetry is None else telemetry.sessions(policy, now)
    if version is not None and sessions is not None:
        _check_release(sessions.telemetry, version)
    return plan_capacity(policy, tests, sessions, now=now, replayed=replayed)


def _check_release(telemetry: Telemetry, version: str) -> None:
    """Raise InvalidInput where turns name their releases, and none names this one."""
    served = telemetry.releases
    names_releases = any(column.name == "release" for column in telemetry.columns)
    if (served or names_releases) and version not in served:
        others = ", ".join(map(shown, list(served)[:_NAMED])) or "no value"
        raise InvalidInput(
            f"no turn of the telemetry is of release {version}: its column release has {others}"
            f"{', …' if len(served) > _NAMED else ''}",
            hint="name the release that was under load, or, where another column has the versions "
            "of that model, in the policy: mapping: {release: COLUMN}",
        )
