"""``relkit registry validate``."""

from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe
from relkit.domain.errors import ExitCode


def command(
    *,
    no_artifacts: Annotated[
        bool, typer.Option("--no-artifacts", help="Do not read the files of artifacts.")
    ] = False,
    common: Common,
) -> None:
    """Say everything that is wrong with releases and ledgers, file and line.

    Exits 1 where anything is.
    Example: relkit registry validate --no-artifacts
    """
    from relkit import wiring
    from relkit.wiring.registry import validate

    found = validate(wiring.settings(common.start), artifacts=not no_artifacts)
    if common.as_json:
        print_json(
            {
                "valid": not found.defects,
                "releases": found.releases,
                "problems": [
                    {
                        "file": f"registry/{one.source}",
                        "line": one.line,
                        "message": one.message,
                        "hint": one.hint,
                    }
                    for one in found.defects
                ],
            }
        )
    else:
        for one in found.defects:
            put(f"registry/{safe(str(one))}" + (f"\n  {safe(one.hint)}" if one.hint else ""))
        count = len(found.defects)
        put(f"{found.releases} releases, {count} problem{'' if count == 1 else 's'}")
    raise typer.Exit(ExitCode.FAILED if found.defects else ExitCode.OK)
