"""``relkit card`` and ``relkit runbook``: what a release needs on paper."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from relkit.cli.app import Common
from relkit.cli.output import put, result_is_stored, say, show
from relkit.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from relkit.documents.types import WrittenDocument


def _check_paper(format_: str, out: Path | None) -> None:
    """Refuse to print what is no text."""
    if format_ == "pdf" and out is None:
        raise UsageError("--format pdf goes to a file", hint="--out FILE")


def _deliver(document: "WrittenDocument", data: bytes, common: Common) -> None:
    """Print a document itself where it went to no file, else what became of it."""
    from relkit.documents.view import written_text

    if document.path is None and not common.as_json:
        put(data.decode())
    else:
        show(document, common, text=written_text)


def card(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="MODEL[@VERSION]", help="Default: what is live, else the newest release."
        ),
    ],
    *,
    format_: Annotated[
        Literal["markdown", "html", "pdf", "cyclonedx", "eval-results"],
        typer.Option("--format", help="What to write; pdf needs --out."),
    ] = "markdown",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it here, not to stdout.")
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit 1 where anything is left open; leave a check: card."),
    ] = False,
    common: Common,
) -> None:
    """Write the model card of a release, from its records alone.

    What no record knows comes from card.yaml beside the release. A card is public: it tells
    nothing about fewer than k people.
    Example: relkit card assistant-asr@2.1.0 --out card.md
    """
    from relkit.documents.run import CardOptions, complete
    from relkit.wiring import documents as wiring

    _check_paper(format_, out)
    options = CardOptions(subject=subject, format=format_, out=out, strict=strict)
    document, data, made = wiring.card(common.open(), options)
    if out is not None:
        result_is_stored()
    if made.release.yanked is not None:
        say(f"relkit: warning: {subject} is withdrawn since {made.release.yanked}: do not serve it")
    _deliver(document, data, common)
    if strict and not complete(made):
        say("the card is not complete (--strict)", quiet=common.quiet)
        raise typer.Exit(ExitCode.FAILED)


def runbook(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="rollout, rollback, first-hour, post-release, …"),
    ],
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL[@VERSION]",
            help="Default: the only model; its canary, or what is live.",
        ),
    ] = None,
    *,
    format_: Annotated[
        Literal["markdown", "html", "pdf"],
        typer.Option("--format", help="markdown, html or pdf."),
    ] = "markdown",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it here, not to stdout.")
    ] = None,
    common: Common,
) -> None:
    """Write what to do about a release, from records alone.

    Its commands are filled in; what no record knows is listed at its end.
    Example: relkit runbook rollback assistant-asr@2.1.0 --out rollback.md
    """
    from relkit.documents.runbooks import RunbookOptions
    from relkit.wiring import documents as wiring

    _check_paper(format_, out)
    options = RunbookOptions(kind=kind, subject=subject, format=format_, out=out)
    document, data = wiring.runbook(common.open(), options)
    if out is not None:
        result_is_stored()
    _deliver(document, data, common)
    if out is not None:
        say(f"wrote {document.path}", quiet=common.quiet)
