"""``relkit report``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, say
from relkit.domain.errors import UsageError

if TYPE_CHECKING:
    from relkit.config import Settings


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a unique prefix, a path.")],
    baseline: Annotated[
        str | None,
        typer.Argument(
            metavar="[BASELINE]", help="An older run to show beside it.", show_default=False
        ),
    ] = None,
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown.")] = False,
    with_text: Annotated[
        bool, typer.Option("--with-text", help="Put transcripts into the page.")
    ] = False,
    with_audio: Annotated[
        bool,
        typer.Option("--with-audio", help="Put clips into the page, where consent is granted."),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")
    ] = None,
    common: Common,
) -> None:
    """Show a finished run as a page.

    Example: relkit report 20260131 --with-text --output report.html
    """
    from relkit import storage, wiring
    from relkit.records.reports import report_document

    settings = wiring.settings(common.start)
    if markdown or common.as_json:
        if baseline is not None or with_text or with_audio:
            raise UsageError(
                "a baseline, transcripts and audio go into the HTML page only",
                hint="leave out --markdown and --json",
            )
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
        return
    _html(
        settings,
        run,
        baseline,
        with_text=with_text,
        with_audio=with_audio,
        output=output,
        quiet=common.quiet,
    )


def _html(
    settings: "Settings",
    run: str,
    baseline: str | None,
    *,
    with_text: bool,
    with_audio: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Write the page and say where; one with transcripts or audio says so, too."""
    from relkit import storage, wiring
    from relkit.wiring import pages

    page = pages.report_page(
        settings, run, baseline=baseline, with_text=with_text, with_audio=with_audio
    )
    path = output or pages.default_output(settings, page)
    storage.write_text(path, wiring.renderer().report_html(page))
    shown = path if output is not None else path.relative_to(settings.workspace)
    say(f"report: {shown}", quiet=quiet)
    if with_text or with_audio:
        held = " and ".join(
            name for name, has in (("transcripts", with_text), ("audio", with_audio)) if has
        )
        say(f"  it holds {held}: share it only with people who may have them", quiet=quiet)
