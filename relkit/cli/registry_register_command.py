"""``relkit registry register``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe, say


def command(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="A release, JSON or YAML.")],
    *,
    probe: Annotated[
        str | None,
        typer.Option("--probe", metavar="RUN", help="A run that shows how a hosted model behaves."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who registers (default: the user).")
    ] = None,
    common: Common,
) -> None:
    """Register a release: check it, compute its digests, write it to the ledger.

    The same release again changes nothing; a version never gets another digest.
    Example: relkit registry register release.yaml
    """
    from relkit import wiring
    from relkit.wiring.registry import register

    done = register(wiring.settings(common.start), release, by=by, probe=probe)
    found = done.release
    for note in done.notes:
        say(f"relkit: warning: {safe(note)}")
    if common.as_json:
        print_json(
            {
                "model": found.model,
                "version": found.version,
                "digest": found.digest,
                "artifact": found.artifact_digest,
                "registered": done.recorded is not None,
                "sequence": None if done.recorded is None else done.recorded.event.sequence,
                "notes": list(done.notes),
            }
        )
        return
    put(f"{found.model} {found.version}: {found.digest}")
    if done.recorded is None:
        say("unchanged: exactly this was registered before", quiet=common.quiet)
        return
    folder = f"registry/releases/{found.model}/{found.version}"
    say(f"next: git add {folder} registry/events && git commit", quiet=common.quiet)
