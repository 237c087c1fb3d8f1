"""``relkit eval``."""

from typing import Annotated

import typer

from relkit.cli.common import Common


def command(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A suite's name, or its path.")],
    *,
    system: Annotated[
        list[str] | None,
        typer.Option("--system", metavar="KEY=VALUE", help="Change an option of the system."),
    ] = None,
    repeat: Annotated[
        int | None, typer.Option("--repeat", min=1, max=100, help="Ask for every clip so often.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with an interrupted run.")
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, max=256, help="Processes, each with its own system.")
    ] = 1,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask for everything again; use no stored answer.")
    ] = False,
    common: Common,
) -> None:
    """Run a suite: decode, score by slice, write a run.

    Exits 0 once the run is written, whatever the metrics are; 4 if nothing could be scored.
    Example: relkit eval demo --jobs 2
    """
    from relkit import wiring
    from relkit.cli.progress import progress_bar
    from relkit.cli.results import show_result

    settings = wiring.settings(common.start)
    with progress_bar("decoding", quiet=common.quiet) as progress:
        result = wiring.evaluate(
            settings,
            suite,
            system=tuple(system or ()),
            repeats=repeat,
            resume=resume,
            jobs=jobs,
            fresh=fresh,
            progress=progress,
        )
    show_result(result, common)
