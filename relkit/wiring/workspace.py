"""Finds and makes workspaces, and looks at the machine they are on."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace

if TYPE_CHECKING:
    from relkit.adapters.health import Health
    from relkit.adapters.workspace import Workflow
    from relkit.disclosure.types import LeakScan


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


def scan_for_leaks(
    path: Path, tokens: Path | None, workspace: Workspace | None
) -> "tuple[LeakScan, tuple[str, ...], tuple[str, ...]]":
    """Scan a file or folder; return what was found, what was looked for, what is too short for it.

    Looked for are the tokens of a file, else what the workspace knows to be secret. Raises
    InvalidInput, NoData, UsageError.
    """
    from relkit.adapters.leaks import LeakFiles, workspace_secrets
    from relkit.core.codec import decode
    from relkit.core.errors import UsageError
    from relkit.core.storage import read_bytes
    from relkit.disclosure.leaks import LeakSearch, parse_tokens

    files: tuple[Path, ...] = () if tokens is None else (tokens,)
    too_short: tuple[str, ...] = ()
    if tokens is not None:
        text = decode(read_bytes(tokens, what=tokens.name), source=tokens.name)
        searched = parse_tokens(text, source=tokens.name)
    elif workspace is not None:
        secrets = workspace_secrets(workspace)
        searched, files, too_short = secrets.tokens, secrets.files, secrets.too_short
    else:
        raise UsageError(
            "--leaks: no workspace here whose secrets could be looked for",
            hint="say what to look for: --tokens FILE, one a line",
        )
    scan = LeakFiles(LeakSearch(searched), left_out=files).scan(path)
    return scan, tuple(dict.fromkeys(item.shown for item in searched)), too_short
