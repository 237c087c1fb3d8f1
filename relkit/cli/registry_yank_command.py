"""``relkit registry yank``."""

from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe, say


def command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A registered version.")],
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")],
    restore: Annotated[bool, typer.Option("--restore", help="Take a yank back.")] = False,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who says so (default: the user).")
    ] = None,
    common: Common,
) -> None:
    """Withdraw a release: it is never promoted or rolled back to again.

    Example: relkit registry yank asr 1.2.0 --reason "wrong labels in training"
    """
    from relkit import wiring
    from relkit.cli.registry_text import recorded_json, state_line
    from relkit.wiring.registry import yank

    done = yank(
        wiring.settings(common.start), model, version, by=by, reason=reason, restore=restore
    )
    if common.as_json:
        print_json(recorded_json(done))
    else:
        put(f"{safe(model)} {safe(version)}: {done.event.kind} (event {done.event.sequence})")
    if not restore and version in (done.state.live, done.state.candidate):
        say(
            f"relkit: warning: it is served still: {state_line(done.state)}\n"
            f"  relkit rollback {model} --bad {version}"
        )
