"""What the shell completes: the names of runs, suites, policies, models and datasets."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.models import ArgumentInfo

if TYPE_CHECKING:
    from relkit.core.config import Workspace

Names = Callable[["Workspace"], list[str]]

MOVING = ("@latest", "@prev")
"""Names of runs by their place in the list of runs."""


def _runs(workspace: "Workspace") -> list[str]:
    from relkit.wiring.stores import run_folders

    newest = run_folders(workspace).newest_first()
    return [*MOVING[: len(newest)], *newest]


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*/"))


_NAMES: dict[str, Names] = {
    "RUN": _runs,
    "BASELINE": _runs,
    "CANDIDATE": _runs,
    "SUITE": lambda workspace: _stems(workspace.suites),
    "POLICY": lambda workspace: _stems(workspace.gates),
    "MODEL": lambda workspace: _folders(workspace.registry / "releases"),
    "DATASET": lambda workspace: _folders(workspace.datasets),
}
"""What the arguments and options with a metavar name."""


def complete(parameters: Iterable[inspect.Parameter]) -> list[str]:
    """Let the shell complete what parameters name, and return those that name runs."""
    runs = []
    for parameter in parameters:
        for option in getattr(parameter.annotation, "__metadata__", ()):
            word = _word(option, parameter.name)
            if word in _NAMES:
                option.autocompletion = _completer(_NAMES[word])
            if _NAMES.get(word) is _runs:
                runs.append(parameter.name)
    return runs


def _word(option: Any, name: str) -> str:  # noqa: ANN401  # Typer's own type
    """Return what an argument or option names, which is mostly how its value is called."""
    word = (option.metavar or "").strip("[]")
    names_dataset = word == "NAME" and (isinstance(option, ArgumentInfo) or name == "dataset")
    return "DATASET" if names_dataset else word


def _completer(names: Names) -> Callable[[typer.Context, str], list[str]]:
    def completions(ctx: typer.Context, incomplete: str) -> list[str]:
        from relkit.core.errors import RelkitError
        from relkit.wiring.stores import workspace_if_any

        try:
            workspace = workspace_if_any(_start(ctx))
            available = [] if workspace is None else names(workspace)
        except (RelkitError, OSError):  # a shell has no place for messages
            return []
        return [name for name in available if name.startswith(incomplete)]

    return completions


def _start(ctx: Any) -> Path:  # noqa: ANN401  # Typer's type of the outer ones is private
    """Return the folder of ``--workspace``, before or after the command's name, else this one."""
    while ctx is not None:
        if folder := ctx.params.get("workspace"):
            return Path(folder)
        ctx = ctx.parent
    return Path.cwd()
