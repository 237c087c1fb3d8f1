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
    decision: Annotated[
        Path | None,
        typer.Option(
            "--decision", metavar="FILE", help="Show this decision about the run, not the newest."
        ),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(
            "--junit", metavar="FILE", help="Write JUnit XML, of the decision where one is given."
        ),
    ] = None,
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
    from relkit.wiring import gate_outputs

    settings = wiring.settings(common.start)
    page_only = bool(baseline or with_text or with_audio)
    if junit is not None:
        if page_only or markdown or common.as_json or output is not None:
            raise UsageError(
                "--junit writes one file: the decision's checks, or the numbers of the report",
                hint="call relkit report again for a page",
            )
        _junit(settings, run, decision, junit, quiet=common.quiet)
        return
    if markdown or common.as_json:
        if page_only or decision is not None:
            raise UsageError(
                "a baseline, a decision, transcripts and audio go into the HTML page only",
                hint="leave out --markdown and --json",
            )
        report = wiring.read_report(settings, run)
        if common.as_json:
            print_json(report_document(report))
            return
        page = wiring.renderer().report_markdown(report)
        page += gate_outputs.overrides_markdown(settings, report)
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
        decision=decision,
        with_text=with_text,
        with_audio=with_audio,
        output=output,
        quiet=common.quiet,
    )


def _junit(
    settings: "Settings", run: str, decision: Path | None, target: Path, *, quiet: bool
) -> None:
    """Write the JUnit XML of a decision about the run, or of the run that nothing judged."""
    from relkit import wiring
    from relkit.wiring import gate_outputs

    report = wiring.read_report(settings, run)
    if decision is None:
        gate_outputs.write_report(target, report)
    else:
        judged = gate_outputs.decision_about(decision, report.run)
        gate_outputs.write(judged, settings, junit=target)
    say(f"junit: {target}", quiet=quiet)


def _html(
    settings: "Settings",
    run: str,
    baseline: str | None,
    *,
    decision: Path | None,
    with_text: bool,
    with_audio: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Write the page and say where; one with transcripts or audio says so, too."""
    from dataclasses import replace

    from relkit import storage, wiring
    from relkit.wiring import gate_outputs, pages

    page = pages.report_page(
        settings, run, baseline=baseline, with_text=with_text, with_audio=with_audio
    )
    page = replace(
        page,
        decision=gate_outputs.decision_of_run(settings, decision, page.report.run),
        overrides=gate_outputs.overrides_of_run(settings, page.report),
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
