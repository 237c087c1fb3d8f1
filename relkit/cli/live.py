"""How every command that looks at live traffic ends: record, publish, show, exit code."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.output import annotate, result_is_stored, say, show
from relkit.core.errors import ExitCode

if TYPE_CHECKING:
    from relkit.cli.app import Common
    from relkit.core.config import Workspace
    from relkit.monitoring.types import GateWord, LiveFinding

Junit = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, too.")
]
GitHub = Annotated[
    bool, typer.Option("--github", help="Write GitHub's step summary and annotations.")
]
Turns = Annotated[
    list[str],
    typer.Option("--telemetry", metavar="PATH…", help="Turns: files, folders, globs."),
]
TelemetryPaths = Annotated[
    list[str] | None,
    typer.Option("--telemetry", metavar="PATH…", help="Turns: files, folders, globs."),
]
Prometheus = Annotated[
    str | None, typer.Option("--prometheus", metavar="URL", help="A Prometheus server to ask.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Search up to here.")]
TurnMap = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="NAME=COLUMN", help="Where a column of turns comes from."),
]
Now = Annotated[
    str | None, typer.Option("--now", metavar="TIME", help="Decide as of this UTC time.")
]

_EXIT = {
    "pass": ExitCode.OK,
    "fail": ExitCode.FAILED,
    "error": ExitCode.INVALID,
    "inconclusive": ExitCode.INCONCLUSIVE,
    "no_data": ExitCode.NO_DATA,
}


def conclude(
    finding: "LiveFinding",
    workspace: "Workspace | None",
    common: "Common",
    *,
    text: Callable[["LiveFinding"], str],
    junit: Path | None = None,
    github: bool = False,
    exit_as: "GateWord | None" = None,
) -> None:
    """Keep the record of a look, publish and show it, and leave with its exit code.

    ``exit_as`` is what the exit code says where that is not what a gate makes of the record.
    Outside a workspace nothing is kept. Raises StorageFailed.
    """
    import os

    if workspace is not None:
        from relkit.wiring.findings import keep_finding

        path = keep_finding(workspace, finding)
        result_is_stored()
    if junit is not None or github:
        from relkit.report.run import publish_finding
        from relkit.wiring.evaluation import sharing_of

        sharing = sharing_of(workspace)
        for line in publish_finding(
            finding, os.environ, junit=junit, github=github, sharing=sharing
        ):
            annotate(line)
    show(finding, common, text=text, document=lambda kept: dict(kept.report))  # type: ignore[arg-type]
    if workspace is not None:
        say(f"record: {workspace.shown(path)}", quiet=common.quiet)
    shadow = finding.enforcement == "shadow"
    if code := ExitCode.OK if shadow else _EXIT[exit_as or finding.gate_verdict]:
        raise typer.Exit(code)
