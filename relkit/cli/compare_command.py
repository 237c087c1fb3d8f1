"""``relkit compare``."""

from typing import Annotated

import typer

from relkit.cli.common import Common


def command(
    baseline: Annotated[
        str, typer.Argument(metavar="BASELINE", help="The run to compare with: id, prefix, path.")
    ],
    candidate: Annotated[
        str, typer.Argument(metavar="CANDIDATE", help="The run that may have changed.")
    ],
    *,
    metric: Annotated[
        str | None,
        typer.Option("--metric", metavar="NAME", help="Compare this one, e.g. cer."),
    ] = None,
    with_text: Annotated[
        bool, typer.Option("--with-text", help="Show confusions: words of transcripts.")
    ] = False,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, max=1000, help="Show so many of each.")
    ] = 10,
    common: Common,
) -> None:
    """Show where two runs differ, slice by slice.

    Example: relkit compare 20260131T09 20260131T12 --top 20
    """
    from relkit import wiring
    from relkit.cli.compare_text import compare_summary
    from relkit.cli.output import print_json, put
    from relkit.records.compare_documents import compare_document
    from relkit.wiring.comparing import compare

    settings = wiring.settings(common.start)
    report = compare(settings, baseline, candidate, metric=metric, with_text=with_text, most=top)
    if common.as_json:
        print_json(compare_document(report))
    else:
        put(compare_summary(report, top=top))
