"""``relkit rollback``."""

from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, say


def command(
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
    from relkit import wiring
    from relkit.cli.rollback_text import rollback_json, rollback_lines
    from relkit.domain.errors import ExitCode
    from relkit.wiring.rollback import apply_rollback, plan_rollback
    from relkit.workflows.rollback import Applied, RollbackRequest

    settings = wiring.settings(common.start)
    request = RollbackRequest(model=model, bad=tuple(bad or ()), to=to, slice=slice_)
    if apply:
        planned, done = apply_rollback(settings, request, by=by, reason=reason)
    else:
        planned, done = plan_rollback(settings, request), Applied()
    if common.as_json:
        print_json(rollback_json(planned, done))
    else:
        put(rollback_lines(planned, done))
        if planned.moves and not apply:
            say("nothing was changed: --apply goes there", quiet=common.quiet)
    if planned.target.target is None:
        raise typer.Exit(ExitCode.FAILED)
