"""``relkit health`` and ``relkit capacity``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.live import GitHub, Junit, Now, Prometheus, TelemetryPaths, conclude
from relkit.core.errors import UsageError


def health(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy's name, or a path.")],
    *,
    telemetry: TelemetryPaths = None,
    prometheus: Prometheus = None,
    now: Now = None,
    junit: Junit = None,
    github: GitHub = False,
    common: Common,
) -> None:
    """Say how a service bears its load, from live traffic.

    Queue, retries, tenant classes, churn, and the latency budget.
    Example: relkit health serving --telemetry traffic
    """
    from relkit.monitoring.serving.view import health_finding, health_text
    from relkit.wiring import monitoring as wiring

    workspace = common.open()
    if bool(telemetry) == (prometheus is not None):
        raise UsageError(
            "needs --telemetry or --prometheus, and not both", hint="see: relkit health --help"
        )
    paths = tuple(telemetry or ())
    report = wiring.check_health(workspace, policy, paths, prometheus=prometheus, now=now)
    conclude(
        health_finding(report),
        workspace,
        common,
        text=lambda _: health_text(report),
        junit=junit,
        github=github,
    )


def capacity(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy's name, or a path.")],
    *,
    load_test: Annotated[
        list[Path] | None,
        typer.Option("--load-test", metavar="PATH…", help="Steps of a load test, JSONL or CSV."),
    ] = None,
    telemetry: TelemetryPaths = None,
    about: Annotated[
        str | None,
        typer.Option("--about", metavar="MODEL@VERSION", help="The release that was under load."),
    ] = None,
    now: Now = None,
    junit: Junit = None,
    github: GitHub = False,
    common: Common,
) -> None:
    """Say what a service can bear, and what it needs.

    Knee, slots, replicas, memory, and head-room at the observed peak.
    Example: relkit capacity sizing --load-test steps.csv --telemetry traffic
    """
    from relkit.monitoring.serving.view import capacity_finding, capacity_text
    from relkit.wiring import monitoring as wiring
    from relkit.wiring.registry import artifact_of

    workspace = common.open()
    tests, paths = list(load_test or ()), list(telemetry or ())
    if not tests and not paths:
        raise UsageError("needs --load-test or --telemetry", hint="see: relkit capacity --help")
    release = None if about is None else artifact_of(workspace, about)
    report = wiring.check_capacity(workspace, policy, tests, tuple(paths), now=now, about=about)
    conclude(
        capacity_finding(report, *(release or ())),
        workspace,
        common,
        text=lambda _: capacity_text(report),
        junit=junit,
        github=github,
    )
