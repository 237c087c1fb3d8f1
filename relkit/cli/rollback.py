"""``relkit bisect`` and ``relkit rollback``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from relkit.cli.app import Common
from relkit.cli.output import result_is_stored, say, show
from relkit.core.errors import ExitCode, UsageError

_EXIT = {
    "found": ExitCode.OK,
    "set": ExitCode.INCONCLUSIVE,
    "contradiction": ExitCode.FAILED,
    "no_bad": ExitCode.FAILED,
    "no_good": ExitCode.FAILED,
    "no_data": ExitCode.NO_DATA,
}


def bisect(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model with a ledger.")],
    *,
    good: Annotated[
        str | None,
        typer.Option(
            "--good",
            metavar="V",
            help="A good release; default: the newest before that passed and held all traffic.",
        ),
    ] = None,
    bad: Annotated[
        str | None, typer.Option("--bad", metavar="V", help="A bad release; default: what is live.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="CMD", help="Test with a command: 0 good, 125 skip, 1 bad."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", metavar="NAME", help="Read a metric from stored reports."),
    ] = None,
    slice_: Annotated[
        str | None, typer.Option("--slice", metavar="COL=VALUE", help="The failing slice.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="S", min=0.01, help="Seconds a command may take."),
    ] = None,
    on_timeout: Annotated[
        Literal["abort", "skip", "bad"],
        typer.Option("--on-timeout", help="What a command that takes too long means."),
    ] = "abort",
    check_bounds: Annotated[
        bool, typer.Option("--check-bounds", help="Test the named good and bad releases, too.")
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", help="Keep answers here; the same again goes on."),
    ] = None,
    common: Common,
) -> None:
    """Find the first bad release, or the set that cannot be told apart.

    Example: relkit bisect assistant-asr --good 1.2.0 --run "./check-release"
    """
    from relkit.bisect.run import BisectOptions
    from relkit.bisect.view import bisect_text
    from relkit.wiring import rollback as wiring

    workspace = common.open()
    if (run is None) == (metric is None):
        raise UsageError("needs --run or --metric, and not both", hint="see: relkit bisect --help")
    if metric is not None and (
        timeout is not None or check_bounds or log is not None or on_timeout != "abort"
    ):
        raise UsageError(
            "--timeout, --on-timeout, --check-bounds and --log are for --run",
            hint="leave them out with --metric",
        )
    options = BisectOptions(
        model=model,
        good=good,
        bad=bad,
        run=run or "",
        metric=metric or "",
        slice=slice_,
        timeout_s=timeout,
        on_timeout=on_timeout,
        check_bounds=check_bounds,
        log=log,
    )
    if run is not None:
        tell = partial(say, quiet=common.quiet)
        bisection = wiring.bisect_by_command(workspace, options, tell)
    else:
        bisection = wiring.bisect_by_metric(workspace, options)
    show(bisection, common, text=bisect_text)
    if _EXIT[bisection.status] != ExitCode.OK:
        raise typer.Exit(_EXIT[bisection.status])


def rollback(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model of the registry.")],
    *,
    bad: Annotated[
        list[str] | None,
        typer.Option("--bad", metavar="VERSION", help="The first bad one, or each of the set."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="Go to this one and no other.")
    ] = None,
    slice_: Annotated[
        str | None, typer.Option("--slice", metavar="COL=VALUE", help="The slice that fails.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Append the event, then move the alias.")
    ] = False,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who does it (default: the user).")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; the ledger keeps it.")
    ] = None,
    common: Common,
) -> None:
    """Find the release to go back to; --apply goes there.

    Bad is what is live, unless said. Without --apply nothing is changed.
    Example: relkit rollback assistant-asr --bad 2.1.0 --slice accent=scottish
    """
    from relkit.rollback.run import RollbackOptions
    from relkit.rollback.view import rollback_json, rollback_lines
    from relkit.wiring import rollback as wiring

    options = RollbackOptions(
        model=model, bad=tuple(bad or ()), to=to, slice=slice_, apply=apply, by=by, reason=reason
    )
    planned, done = wiring.rollback(common.open(), options)
    if apply:
        result_is_stored()
    show(
        planned,
        common,
        text=partial(rollback_lines, done=done),
        document=partial(rollback_json, done=done),
    )
    if planned.moves and not apply and not common.as_json:
        say("nothing was changed: --apply goes there", quiet=common.quiet)
    if planned.target.target is None:
        raise typer.Exit(ExitCode.FAILED)
