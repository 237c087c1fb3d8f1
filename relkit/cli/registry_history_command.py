"""``relkit registry history``."""

from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put


def command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.")],
    *,
    common: Common,
) -> None:
    """Show what was served when, by share of traffic.

    Example: relkit registry history asr
    """
    from relkit import wiring
    from relkit.cli.registry_text import history_json, history_table
    from relkit.wiring.registry import history

    events, state = history(wiring.settings(common.start), model)
    if common.as_json:
        print_json(history_json(events, state))
    else:
        put(history_table(events, state))
