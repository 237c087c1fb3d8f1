"""``relkit incident``: packets that tell of an incident, and of nobody."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from relkit.cli.app import Common
from relkit.cli.live import Now
from relkit.cli.output import result_is_stored, say, show


def packet(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A model with a ledger.")
    ] = None,
    *,
    telemetry: Annotated[
        list[str],
        typer.Option("--telemetry", metavar="PATH…", help="Turns: files, folders, globs."),
    ],
    window: Annotated[
        str,
        typer.Option("--window", metavar="FROM/TO", help="Whole UTC hours: 2026-11-01T03Z/…T09Z."),
    ],
    sign: Annotated[
        Path, typer.Option("--sign", metavar="KEY", help="Sign it with this private key.")
    ],
    triage: Annotated[
        Path | None,
        typer.Option("--triage", metavar="FILE", help="What relkit triage --json printed."),
    ] = None,
    slice_: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="COL…",
            help="Columns to cut by; default: the failing ones and all that are shared.",
        ),
    ] = None,
    stage: Annotated[
        Literal["initial", "update", "final"] | None,
        typer.Option("--stage", help="Default: initial, and update with --update."),
    ] = None,
    update: Annotated[
        Path | None,
        typer.Option("--update", metavar="PACKET", help="Go on where this packet ended."),
    ] = None,
    profile: Annotated[
        Literal["default", "health"] | None,
        typer.Option("--profile", help="Cells of 10 people, or 11; default: relkit.yaml's."),
    ] = None,
    subjects: Annotated[
        Literal["people", "public", "synthetic"],
        typer.Option("--subjects", help="Whose turns they are."),
    ] = "people",
    status: Annotated[
        Literal["open", "mitigated", "resolved"] | None,
        typer.Option("--status", help="Default: by what the timeline shows."),
    ] = None,
    severity: Annotated[
        Literal["low", "medium", "high", "critical"] | None,
        typer.Option("--severity", help="How bad it is."),
    ] = None,
    aware: Annotated[
        str | None,
        typer.Option("--aware", metavar="TIME", help="When you knew of it, in UTC."),
    ] = None,
    mitigation: Annotated[
        list[str] | None,
        typer.Option("--mitigation", metavar="KIND…", help="What was done: rolled_back, …"),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="NAME=COLUMN", help="Where a column of turns comes from."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the two files go.")
    ] = None,
    now: Now = None,
    common: Common,
) -> None:
    """Write a signed packet about an incident: aggregates only.

    That is one JSON file and one page. Exits 2 where nothing can be shown without telling of
    somebody, 4 where there is no data.
    Example: relkit incident packet asr --telemetry turns/
    --window 2026-11-01T03Z/2026-11-01T09Z --triage triage.json --sign keys/relkit.key
    """
    from relkit.incident.packets.types import PacketOptions
    from relkit.incident.packets.view import built_document, built_text
    from relkit.incident.packets.windows import checked_mitigations
    from relkit.wiring import incident as wiring
    from relkit.wiring.telemetry import as_of

    options = PacketOptions(
        model=model,
        telemetry=tuple(telemetry),
        window=window,
        mapping=tuple(map_ or ()),
        triage=triage,
        columns=None if slice_ is None else tuple(slice_),
        stage=stage,
        update=update,
        profile=profile,
        subjects=subjects,
        status=status,
        severity=severity,
        aware=aware,
        mitigations=checked_mitigations(mitigation or ()),
        out=out or Path(),
        now=as_of(now),
    )
    written = wiring.build_packet(common.open(), options, sign)
    result_is_stored()
    show(written, common, text=built_text, document=built_document)
    say(f"wrote {written.packet} and {written.page}", quiet=common.quiet)
