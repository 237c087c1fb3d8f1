"""``relkit init``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, say


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make or fill.")],
    *,
    common: Common,
) -> None:
    """Make a workspace with a dataset, suites and settings to start from.

    Nothing that exists is changed. Example: relkit init my-assistant
    """
    from relkit import wiring

    written, made = wiring.init_workspace(folder)
    if common.as_json:
        print_json({"written": sorted(written), "made": list(made)})
        return
    repository = f" and made a {' and '.join(made)} repository" if made else ""
    say(f"wrote {', '.join(sorted(written))}{repository}")
    say(f"next: cd {folder.name or folder} && relkit eval demo", quiet=common.quiet)
