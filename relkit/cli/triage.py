"""``relkit triage``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.live import Now, TurnMap, Turns, Until
from relkit.cli.output import result_is_stored, say, show
from relkit.core.errors import ExitCode, RelkitError, UsageError

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
    telemetry: Turns,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Search from here; default: the last 48 h."),
    ] = None,
    until: Until = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Signals, slices and windows of your own."),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option("--events", metavar="FILE", help="What changed elsewhere, as JSON lines."),
    ] = None,
    map_: TurnMap = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the report as JSON, too."),
    ] = None,
    packet: Annotated[
        Path | None,
        typer.Option("--packet", metavar="DIR", help="Write a packet that can be sent, too."),
    ] = None,
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="KEY", help="Sign it with this private key.")
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

    if (packet is None) != (sign is None):
        raise UsageError("--packet DIR and --sign KEY belong together", hint="name both, or none")
    workspace = workspace_if_any(common.start) if packet is None else common.open()
    options = wiring.triage_options(
        telemetry, model=model, since=since, until=until, mapping=map_ or (), now=now
    )
    report = wiring.triage(workspace, options, policy=policy, events=events, out=out)
    if workspace is not None and packet is not None and sign is not None:
        try:
            built = wiring.packet_of_triage(
                workspace, report, options, mapping=map_ or (), out=packet, sign=sign
            )
        except RelkitError as error:  # what broke is told all the same
            say(f"relkit: no packet: {error.message.removeprefix('no packet: ')}")
            if error.hint:
                say(f"  {error.hint}")
        else:
            report = replace(report, packet=built.packet)
            if out is not None:
                wiring.write_report(out, report)
    if out is not None:
        result_is_stored()
    show(report, common, text=triage_text)
    if _EXIT[report.verdict]:
        raise typer.Exit(_EXIT[report.verdict])
