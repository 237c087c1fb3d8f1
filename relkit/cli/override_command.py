"""``relkit override``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, safe, say


def command(
    decision: Annotated[Path, typer.Argument(metavar="DECISION", help="A decision's file.")],
    *,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who answers for it.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is printed.")],
    ticket: Annotated[str, typer.Option("--ticket", metavar="ID", help="Where it is followed up.")],
    sign: Annotated[Path, typer.Option("--sign", metavar="KEY", help="A private key.")],
    valid_for: Annotated[
        str, typer.Option("--valid-for", metavar="TIME", help="At most 30d, nor past the decision.")
    ] = "24h",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")
    ] = None,
    common: Common,
) -> None:
    """Let a candidate go although its gate did not pass, signed.

    Every later report shows it. A decision that passed, expired or judged nothing has none.
    Example: relkit override decision.json --by "A. Lee" --reason "fix" --ticket R-1 --sign key
    """
    from relkit import wiring
    from relkit.cli.durations import seconds
    from relkit.wiring import signing
    from relkit.workflows.exceptions import Said

    settings = wiring.settings(common.start)
    said = Said(by=by, reason=reason, ticket=ticket, valid_for_s=seconds(valid_for, "--valid-for"))
    path, made = signing.override(settings, decision, said, key=sign, output=output)
    if common.as_json:
        print_json(
            {
                "override": path.name,
                "decision": made.decision,
                "verdict": str(made.verdict),
                "by": made.by,
                "ticket": made.ticket,
                "expires": made.expires,
                "key": made.key,
            }
        )
    say(
        f"override: {path.name} of a decision that says {made.verdict}, by {safe(made.by)} "
        f"({safe(made.ticket)}), until {made.expires}",
        quiet=common.quiet,
    )
    if made.key not in {key.key for key in signing.trusted_keys(settings)}:
        say("  the key is not one that relkit.yaml trusts: it will allow nothing here")
