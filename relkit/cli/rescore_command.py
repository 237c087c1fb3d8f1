"""``relkit rescore``."""

from typing import Annotated

import typer

from relkit.cli.common import Common


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
    from relkit.cli.results import show_result

    settings = wiring.settings(common.start)
    result = wiring.rescore(settings, run, normalizer=normalizer, suite=suite)
    show_result(result, common)
