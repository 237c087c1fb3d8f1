"""``relkit telemetry``."""

from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.live import Now
from relkit.cli.output import show
from relkit.core.errors import ExitCode

Paths = Annotated[
    list[str], typer.Argument(metavar="PATH", help="Files, folders or globs of telemetry.")
]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="NAME=COLUMN", help="Where a column is: latency_ms=e2e:s."),
]
DialectOption = Annotated[
    str | None,
    typer.Option("--dialect", metavar="NAME", help="turns, pipecat, livekit, genai or vapi."),
]


def check(
    paths: Paths,
    *,
    map_: Map = None,
    dialect: DialectOption = None,
    now: Now = None,
    common: Common,
) -> None:
    """Say what telemetry holds, what would be dropped, and why.

    Example: relkit telemetry check traces/ --map release=service.version
    """
    from relkit.telemetry.view import telemetry_text
    from relkit.wiring import telemetry as wiring

    options = wiring.telemetry_options(paths, mapping=map_ or (), dialect=dialect, now=now)
    with wiring.open_turns(options) as turns:
        telemetry = turns.summary()
    show(telemetry, common, text=telemetry_text)
    if not telemetry.turns:
        raise typer.Exit(ExitCode.NO_DATA)
