"""How a finished evaluation is shown, whichever command finished it."""

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, say
from relkit.cli.tables import eval_summary
from relkit.domain.errors import ExitCode
from relkit.records.reports import report_document
from relkit.workflows.evaluate import EvalResult


def show_result(result: EvalResult, common: Common) -> None:
    """Show warnings, the summary or the document, and where the report is; 4 for no data."""
    for warning in result.warnings:
        say(f"relkit: warning: {warning}")
    if common.as_json:
        print_json(report_document(result.report))
    else:
        put(eval_summary(result.report))
    say(f"report: .relkit/runs/{result.report.run}/report.json", quiet=common.quiet)
    if not result.report.scored:
        say("relkit: nothing could be scored: every item was unusable")
        raise typer.Exit(ExitCode.NO_DATA)
