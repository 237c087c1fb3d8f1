"""``relkit triage``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.live import Now
from relkit.cli.output import result_is_stored, show
from relkit.core.errors import ExitCode

_EXIT = {
    "nothing": ExitCode.OK,
    "release": ExitCode.FAILED,
    "not_release": ExitCode.INCONCLUSIVE,
    "undetermined": ExitCode.INCONCLUSIVE,
    "no_data": ExitCode.NO_DATA,
}


def triage(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="A model or stack with a ledger; default: all there are."
        ),
    ] = None,
    *,
    telemetry: Annotated[
        list[str],
        typer.Option("--telemetry", metavar="PATH…", help="Turns: files, folders, globs."),
    ],
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Search from here; default: the last 48 h."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Search up to here.")
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Signals, slices and windows of your own."),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option("--events", metavar="FILE", help="What changed elsewhere, as JSON lines."),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="NAME=COLUMN", help="Where a column of turns comes from."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the report as JSON, too."),
    ] = None,
    now: Now = None,
    common: Common,
) -> None:
    """Say what broke, and which release did it, or that none did.

    Since when, for whom, where to go back to, and what would tell it where the counts do not.

    Exit code 0: nothing, 1: a release, 3: no release, or it cannot be told, 4: no data.
    Example: relkit triage --telemetry traffic
    """
    from relkit.incident.view import triage_text
    from relkit.wiring import incident as wiring
    from relkit.wiring.stores import workspace_if_any

    report = wiring.triage(
        workspace_if_any(common.start),
        wiring.triage_options(
            telemetry, model=model, since=since, until=until, mapping=map_ or (), now=now
        ),
        policy=policy,
        events=events,
        out=out,
    )
    if out is not None:
        result_is_stored()
    show(report, common, text=triage_text)
    if _EXIT[report.verdict]:
        raise typer.Exit(_EXIT[report.verdict])
