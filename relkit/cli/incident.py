"""``relkit incident``: packets that tell of an incident, and of nobody."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from relkit.cli.app import Common
from relkit.cli.live import Now, TurnMap, Turns
from relkit.cli.output import put, result_is_stored, say, show
from relkit.core.errors import ExitCode, UsageError
from relkit.core.storage import write_bytes


def packet(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A model with a ledger.")
    ] = None,
    *,
    telemetry: Turns,
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
    map_: TurnMap = None,
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


Packet = Annotated[
    Path, typer.Argument(metavar="PACKET", help="A packet's file: NAME.packet.json.")
]


def verify(
    packet: Packet,
    page: Annotated[
        Path | None, typer.Argument(metavar="PAGE", help="Its page; default: the one beside it.")
    ] = None,
    *,
    key: Annotated[
        list[str], typer.Option("--key", metavar="PUB", help="The sender's public key.")
    ],
    previous: Annotated[
        list[Path] | None,
        typer.Option("--previous", metavar="PACKET…", help="Earlier packets of the incident."),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option("--tokens", metavar="FILE", help="Tokens that must not be in it, one a line."),
    ] = None,
    common: Common,
) -> None:
    """Check a packet as its receiver: offline, trusting nothing in it.

    That is signature, page, form, bands, grids, names, and what could be told from what is shown.
    Exits 1 on any finding.
    Example: relkit incident verify asr-20261101T03Z.packet.json --key sender.pub
    """
    from relkit.incident.received.answers_view import verified_document, verified_text
    from relkit.incident.received.run import VerifyPacketOptions
    from relkit.wiring import incident as wiring

    options = VerifyPacketOptions(
        packet=packet, page=page, previous=tuple(previous or ()), tokens=tokens
    )
    verified, checked_page = wiring.verify_packet(options, key)
    show(
        verified.check,
        common,
        text=lambda _: verified_text(
            verified,
            name=packet.name,
            page=None if checked_page is None else checked_page.name,
            chained=bool(previous),
        ),
        document=verified_document,
    )
    if not verified.check.valid:
        raise typer.Exit(ExitCode.FAILED)


def show_packet(
    packet: Packet,
    *,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Draw its page again.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
    pdf: Annotated[
        Path | None, typer.Option("--pdf", metavar="FILE", help="Draw its page as PDF.")
    ] = None,
    common: Common,
) -> None:
    """Read a packet: what broke, since when, for whom, what was done.

    Everything is drawn from the packet here, so its page need not be trusted; nothing is verified.
    Example: relkit incident show asr-20261101T03Z.packet.json --html asr.html
    """
    from relkit.incident.received.run import is_signed_page, read_packet
    from relkit.incident.received.text_view import packet_text
    from relkit.wiring import incident as wiring
    from relkit.wiring.documents import document_renderer

    if markdown and common.as_json:
        raise UsageError("--json and --markdown are two formats", hint="leave one of them out")
    content, _ = read_packet(packet)
    if html is not None:
        drawn = wiring.packet_pages().html(content).encode("utf-8")
        write_bytes(html, drawn)
        same = "byte for byte the page that was signed"
        if not is_signed_page(content, drawn):
            same = f"not the bytes that were signed: relkit {content.tool_version} drew those"
        say(f"wrote {html.name}: {same}", quiet=common.quiet)
    if pdf is not None:
        page = wiring.packet_pages().html(content)
        write_bytes(pdf, document_renderer(None).pdf(page))
        say(f"wrote {pdf.name}", quiet=common.quiet)
    if markdown:
        put(wiring.packet_pages().markdown(content))
    elif common.as_json or (html is None and pdf is None):
        show(content, common, text=packet_text)
    say("nothing was verified: relkit incident verify PACKET --key PUB", quiet=common.quiet)


def resolve(
    packet: Packet,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A pseudonym, as the packet shows it.")
    ],
    *,
    common: Common,
) -> None:
    """Translate a pseudonym back, where the packet was made.

    Example: relkit incident resolve asr-20261101T03Z.packet.json tenant-3fa2
    """
    from relkit.incident.received.answers_view import resolved_document, resolved_text
    from relkit.incident.received.run import resolve_name
    from relkit.wiring import incident as wiring

    resolved = resolve_name(packet, name, wiring.incident_state(common.open()))
    show(resolved, common, text=resolved_text, document=resolved_document)


def open_(
    packet: Packet,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Is it what the packet is about?")
    ] = None,
    random: Annotated[
        str | None,
        typer.Option(
            "--random", metavar="HEX", help="Of its opening: then no workspace is needed."
        ),
    ] = None,
    common: Common,
) -> None:
    """Print what a packet's commitments are opened with, for an auditor.

    With --file it says whether that file is one of those that stayed at home, and exits 1 where it
    is none.
    Example: relkit incident open asr-20261101T03Z.packet.json --file turns/2026-11-01.parquet
    """
    from relkit.incident.received.answers_view import opened_document, opened_text
    from relkit.incident.received.run import open_commitments, open_with
    from relkit.wiring import incident as wiring

    if random is None:
        opened = open_commitments(packet, wiring.incident_state(common.open()), file=file)
    elif file is None:
        raise UsageError("--random: is the opening of a --file", hint="name the file, too")
    else:
        opened = open_with(packet, file, random)
    show(opened, common, text=opened_text, document=opened_document)
    if file is not None and opened.committed is None:
        raise typer.Exit(ExitCode.FAILED)
