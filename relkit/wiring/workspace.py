"""Finds and makes workspaces, and looks at the machine they are on."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace

if TYPE_CHECKING:
    from relkit.adapters.health import Health
    from relkit.adapters.workspace import Workflow


def init_workspace(folder: Path) -> "tuple[list[str], tuple[str, ...], Workflow | None]":
    """Write a workspace and return (names written, what was made of it, its workflow for CI).

    What is made of it is ``git``, ``dvc``. The margins of its policies are those that its own data
    can decide.
    """
    from relkit.adapters.dvc import dvc_init
    from relkit.adapters.workspace import (
        git_init,
        scaffold_source,
        unfinished,
        write_scaffold,
        write_workflow,
    )
    from relkit.wiring.gate import set_margins

    source = scaffold_source()
    with unfinished(folder) as again:
        written = write_scaffold(folder, source, prepare=set_margins, again=again)
        steps = [("git", git_init(folder))]
        root = folder.absolute()
        steps.append(("dvc", dvc_init(root, root / ".relkit" / "cache" / "dvc")))
        workflow = write_workflow(folder, source)
    return written, tuple(name for name, done in steps if done), workflow


def restore_files(folder: Path, names: Sequence[str]) -> list[str]:
    """Write single files of the reference workspace again and return their names."""
    from relkit.adapters import workspace
    from relkit.wiring.gate import set_margins

    source = workspace.scaffold_source()
    return workspace.restore_files(folder, source, names, prepare=set_margins)


def health(workspace: Workspace | None) -> "tuple[Health, ...]":
    """Return what ``relkit doctor`` shows; see :func:`relkit.adapters.health.look`."""
    from relkit.adapters.health import look

    return tuple(look(workspace))


def make_key(folder: Path, workspace: Workspace | None) -> tuple[Path, Path]:
    """Write a new signing key that git does not take and return (private, public).

    See :func:`relkit.adapters.workspace.keep_from_git`, :func:`relkit.adapters.signing.make_key`.
    """
    from relkit.adapters import signing
    from relkit.adapters.workspace import keep_from_git

    keep_from_git(folder / signing.PRIVATE_NAME, None if workspace is None else workspace.folder)
    return signing.make_key(folder, os.environ)
