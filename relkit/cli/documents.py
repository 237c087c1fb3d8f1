"""``relkit card`` and ``relkit runbook``: what a release needs on paper."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from relkit.cli.app import Common
from relkit.cli.output import put, result_is_stored, say, show
from relkit.core.errors import UsageError


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
    from relkit.documents.view import written_text
    from relkit.wiring import documents as wiring

    if format_ == "pdf" and out is None:
        raise UsageError("--format pdf goes to a file", hint="--out FILE")
    options = RunbookOptions(kind=kind, subject=subject, format=format_, out=out)
    document, data = wiring.runbook(common.open(), options)
    if out is None and not common.as_json:
        put(data.decode())
        return
    if out is not None:
        result_is_stored()
    show(document, common, text=written_text)
    if out is not None:
        say(f"wrote {document.path}", quiet=common.quiet)
