"""``relkit telemetry``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.live import Now
from relkit.cli.output import result_is_stored, say, show
from relkit.core.errors import ExitCode, UsageError

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


def import_(
    paths: Paths,
    *,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The Parquet file to write.")],
    map_: Map = None,
    dialect: DialectOption = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Key of the hashes (default: the workspace's)."),
    ] = None,
    now: Now = None,
    common: Common,
) -> None:
    """Write traces, or any readable telemetry, to the turn table.

    Ids become keyed hashes; no text is read.
    Example: relkit telemetry import traces/ --to turns.parquet
    """
    from relkit.telemetry.run import import_document
    from relkit.telemetry.view import turns_written_text
    from relkit.wiring import telemetry as wiring

    workspace = common.open()
    if to.suffix != ".parquet":
        raise UsageError("--to names no .parquet file", hint="for example --to turns.parquet")
    options = wiring.telemetry_options(paths, mapping=map_ or (), dialect=dialect, now=now)
    result = wiring.import_turns(workspace, options, to, key)
    result_is_stored()
    show(result, common, text=turns_written_text, document=import_document)
    say(f"next: relkit telemetry check {result.file}", quiet=common.quiet or common.as_json)
