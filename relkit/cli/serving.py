"""``relkit health`` and ``relkit capacity``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.live import GitHub, Junit, Now, conclude
from relkit.core.errors import UsageError


def health(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy's name, or a path.")],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="PATH", help="Further telemetry.")
    ] = None,
    *,
    telemetry: Annotated[
        list[str] | None,
        typer.Option("--telemetry", metavar="PATH", help="Turns: files, folders, globs."),
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option("--prometheus", metavar="URL", help="A Prometheus server to ask."),
    ] = None,
    now: Now = None,
    junit: Junit = None,
    github: GitHub = False,
    common: Common,
) -> None:
    """Say how a service bears its load: queue, retries, tenants, churn, latency budget.

    Example: relkit health serving --telemetry traffic
    """
    from relkit.monitoring.serving.view import health_finding, health_text
    from relkit.wiring import monitoring as wiring

    workspace = common.open()
    if bool(telemetry) == (prometheus is not None) or (more and not telemetry):
        raise UsageError(
            "needs --telemetry or --prometheus, and not both", hint="see: relkit health --help"
        )
    paths = (*(telemetry or ()), *(more or ()))
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
    more: Annotated[
        list[str] | None, typer.Argument(metavar="PATH", help="Further files of the option.")
    ] = None,
    *,
    load_test: Annotated[
        list[Path] | None,
        typer.Option("--load-test", metavar="PATH", help="Steps of a load test, JSONL or CSV."),
    ] = None,
    telemetry: Annotated[
        list[str] | None,
        typer.Option("--telemetry", metavar="PATH", help="Turns: files, folders, globs."),
    ] = None,
    now: Now = None,
    junit: Junit = None,
    github: GitHub = False,
    common: Common,
) -> None:
    """Say what a service can bear and what it needs: knee, slots, replicas, memory, head-room.

    Example: relkit capacity sizing --load-test steps.csv --telemetry traffic
    """
    from relkit.monitoring.serving.view import capacity_finding, capacity_text
    from relkit.wiring import monitoring as wiring

    workspace = common.open()
    tests, paths = list(load_test or ()), list(telemetry or ())
    if not tests and not paths:
        raise UsageError("needs --load-test or --telemetry", hint="see: relkit capacity --help")
    if more and tests and paths:
        raise UsageError(
            "of which option a further PATH is cannot be told",
            hint="name the option before each: --load-test A --load-test B --telemetry C",
        )
    if tests:
        tests += map(Path, more or ())
    else:
        paths += more or ()
    report = wiring.check_capacity(workspace, policy, tests, tuple(paths), now=now)
    conclude(
        capacity_finding(report),
        workspace,
        common,
        text=lambda _: capacity_text(report),
        junit=junit,
        github=github,
    )
