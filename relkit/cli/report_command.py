"""``relkit report``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, say
from relkit.domain.errors import UsageError


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a unique prefix, a path.")],
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")
    ] = None,
    common: Common,
) -> None:
    """Show a finished run as a page.

    Example: relkit report 20260131 --markdown --output report.md
    """
    from relkit import storage, wiring
    from relkit.records.reports import report_document

    settings = wiring.settings(common.start)
    if not markdown and not common.as_json:
        raise UsageError("the HTML page does not exist yet", hint="add --markdown, or --json")
    report = wiring.read_report(settings, run)
    if common.as_json:
        print_json(report_document(report))
        return
    page = wiring.renderer().report_markdown(report)
    if output is None:
        put(page)
        return
    storage.write_text(output, page)
    say(f"report: {output}")
