"""``relkit rescore``."""

from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, say


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a unique prefix, a path.")],
    *,
    normalizer: Annotated[
        str | None, typer.Option("--normalizer", metavar="NAME", help="Use another normalizer.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="SUITE", help="Use another suite.")
    ] = None,
    common: Common,
) -> None:
    """Score the stored predictions of a run again; nothing is decoded.

    Example: relkit rescore 20260131 --normalizer digits
    """
    from relkit import wiring
    from relkit.cli.tables import eval_summary
    from relkit.records.reports import report_document

    settings = wiring.settings(common.start)
    result = wiring.rescore(settings, run, normalizer=normalizer, suite=suite)
    for warning in result.warnings:
        say(f"relkit: warning: {warning}")
    if common.as_json:
        print_json(report_document(result.report))
    else:
        put(eval_summary(result.report))
    say(f"report: .relkit/runs/{result.report.run}/report.json", quiet=common.quiet)
