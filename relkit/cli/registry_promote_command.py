"""``relkit registry promote``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe
from relkit.domain.errors import UsageError

if TYPE_CHECKING:
    from relkit.workflows.registry import Recorded


def command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A registered version.")],
    *,
    decision: Annotated[
        Path | None,
        typer.Option("--decision", metavar="FILE", help="The decision that lets it go."),
    ] = None,
    override: Annotated[
        Path | None,
        typer.Option("--override", metavar="FILE", help="A signed override of the decision."),
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option("--canary", metavar="PERCENT", help="Only this share of the traffic."),
    ] = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="The canary does not go on; --canary 0 ends it.")
    ] = False,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who says so (default: the user).")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")] = "",
    common: Common,
) -> None:
    """Let a release be served, by a decision that passed.

    The decision is about exactly this artifact and dataset, by the policy as it is now.
    Example: relkit registry promote asr 1.3.0 --decision decision.json --canary 5%
    """
    from relkit import wiring
    from relkit.cli.registry_text import recorded_json, share_of, state_line
    from relkit.wiring import registry

    share = None if canary is None else share_of(canary)
    settings = wiring.settings(common.start)
    done: Recorded
    if hold:
        if decision is not None or override is not None:
            raise UsageError("--hold takes no decision", hint="leave out --decision, --override")
        done = registry.hold(settings, model, version, share=share, by=by, reason=reason)
    elif decision is None:
        raise UsageError("no decision was named", hint="--decision FILE, made by: relkit gate")
    else:
        done = registry.promote(
            settings,
            model,
            version,
            decision=decision,
            override=override,
            share=share,
            by=by,
            reason=reason,
        )
    if common.as_json:
        print_json(recorded_json(done))
        return
    put(f"{safe(model)} {safe(version)}: {done.event.kind} (event {done.event.sequence})")
    put(state_line(done.state))
