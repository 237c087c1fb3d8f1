"""``relkit registry verify``."""

from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe, say
from relkit.domain.errors import ExitCode


def command(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A model (default: all of them).")
    ] = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what is certain, and tell the mirror.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="Note it for releases without a gate: rollback asks for it."),
    ] = False,
    probe: Annotated[
        str | None,
        typer.Option("--probe", metavar="RUN", help="A new run over a hosted model's probe clips."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who says so (default: the user).")
    ] = None,
    common: Common,
) -> None:
    """Prove the chain of the ledger and every digest.

    Exits 1 where something is not as it was recorded, 5 where only the mirror did not answer.
    Example: relkit registry verify asr --repair
    """
    from relkit import wiring
    from relkit.wiring.registry import verify

    found = verify(
        wiring.settings(common.start), model, repair=repair, record=record, by=by, probe=probe
    )
    if common.as_json:
        print_json(
            {
                "valid": not found.problems,
                "problems": list(found.problems),
                "models": list(found.models),
                "events": found.events,
                "repaired": list(found.repaired),
                "unchecked": list(found.unchecked),
                "recorded": list(found.recorded),
                "mirror": found.mirror,
                "mirror_error": None if found.silent is None else found.silent.message,
            }
        )
    else:
        for line in found.repaired:
            put(f"repaired: {safe(line)}")
        for line in found.problems:
            put(safe(line))
        state = "valid" if not found.problems else f"{len(found.problems)} problems"
        put(f"{len(found.models)} models, {found.events} events: {state}")
        for line in found.recorded:
            say(f"recorded: {safe(line)} verifies", quiet=common.quiet)
        for line in found.unchecked:
            say(f"not checked: {safe(line)}", quiet=common.quiet)
        if found.mirror == "skipped":
            say("no mirror is configured: none was compared", quiet=common.quiet)
    if found.silent is not None and not common.as_json:
        say(f"relkit: the mirror was not compared: {safe(found.silent.message)}")
        say(f"  {safe(found.silent.hint or '')}".rstrip())
    silent = ExitCode.OK if found.silent is None else ExitCode.BACKEND
    raise typer.Exit(ExitCode.FAILED if found.problems else silent)
