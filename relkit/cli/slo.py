"""``relkit slo``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.live import GitHub, Junit, Now, Prometheus, TelemetryPaths, conclude
from relkit.cli.output import result_is_stored, show
from relkit.core.errors import UsageError


def slo(
    policy: Annotated[str, typer.Argument(metavar="SLO", help="An objective, by name or path.")],
    *,
    telemetry: TelemetryPaths = None,
    prometheus: Prometheus = None,
    now: Now = None,
    export: Annotated[
        tuple[str, Path] | None,
        typer.Option(
            "--export", metavar="KIND PATH", help="Write: prometheus DIR, or openslo FILE."
        ),
    ] = None,
    junit: Junit = None,
    github: GitHub = False,
    common: Common,
) -> None:
    """Say whether an error budget burns too fast, and who spent it.

    Example: relkit slo turns-answered --telemetry traffic
    """
    from relkit.monitoring.slo.run import OUTCOME_OF
    from relkit.monitoring.slo.view import exported_text, slo_text
    from relkit.wiring import monitoring as wiring

    workspace = common.open()
    paths = tuple(telemetry or ())
    if export is not None:
        if paths or prometheus is not None or now is not None:
            raise UsageError(
                "--export needs no source", hint="relkit slo SLO --export openslo FILE"
            )
        exported = wiring.export_slo(workspace, policy, *export)
        result_is_stored()
        show(exported, common, text=exported_text)
        return
    report, finding = wiring.check_slo(
        workspace, policy, paths=paths, prometheus=prometheus, now=now
    )
    conclude(
        finding,
        workspace,
        common,
        text=lambda _: slo_text(report),
        junit=junit,
        github=github,
        exit_as=OUTCOME_OF[report.verdict],
    )
