"""What the shell completes, asked as bash, zsh and fish ask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Workspace


def completed(line: str, folder: Path, shell: str = "bash") -> list[str]:
    """Return what a shell offers at the end of a command line typed in a folder."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "relkit")],
        cwd=folder,
        env={**os.environ, **asked, "_RELKIT_COMPLETE": f"complete_{shell}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def add_runs(workspace: Workspace, *names: str) -> None:
    """Make runs by name: a completion looks into none of them."""
    for name in names:
        folder = workspace.folder / ".relkit" / "runs" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("relkit eva", ["eval"]),
        ("relkit dataset c", ["check", "candidates"]),
        ("relkit eval d", ["demo", "digits"]),
        ("relkit rescore x --suite fu", ["full"]),
        ("relkit gate a", ["agent-safety", "asr-promotion"]),
        ("relkit gate x --dataset ", ["assistant-commands"]),
        ("relkit dataset stats ", ["assistant-commands"]),
        ("relkit rollback ", ["asr"]),
        ("relkit registry history ", ["asr"]),
        ("relkit gate x --candidate 2026", ["20260202T100000Z-b", "20260101T100000Z-a"]),
        ("relkit report x @p", ["@prev"]),
        ("relkit eval x --resume @", ["@latest", "@prev"]),
    ],
)
def test_names_are_completed(workspace: Workspace, line: str, names: list[str]) -> None:
    """Runs newest first, and what the folders of the workspace hold."""
    add_runs(workspace, "20260101T100000Z-a", "20260202T100000Z-b")
    (workspace.folder / "registry" / "releases" / "asr").mkdir(parents=True)
    assert completed(line, workspace.folder) == names


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_the_same_names(workspace: Workspace, shell: str) -> None:
    """Each has a form of its own around the names."""
    assert {"demo", "digits"} <= set(
        " ".join(completed("relkit eval d", workspace.folder, shell)).replace('"', " ").split()
    )


def test_outside_a_workspace_nothing_is_completed(workspace: Workspace, tmp_path: Path) -> None:
    """No message gets into the line, also where relkit.yaml is broken; --workspace is followed."""
    assert completed("relkit eval ", tmp_path) == []
    before = f"relkit --workspace {workspace.folder} eval di"
    assert completed(before, tmp_path) == ["digits"]
    assert completed(f"relkit eval --workspace {workspace.folder} di", tmp_path) == ["digits"]
    (workspace.folder / "relkit.yaml").write_text("name: [")
    assert completed("relkit eval ", workspace.folder) == []
