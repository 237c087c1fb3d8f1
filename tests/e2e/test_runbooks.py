"""Runbooks of the rollback story: every command in them runs, the same records give the same bytes.

The golden files are written again with: RELKIT_GOLDEN=1 pytest tests/e2e/test_runbooks.py
"""

import os
import shlex
import shutil
from pathlib import Path

import pytest

from relkit.adapters.workspace import SystemClock
from relkit.documents.runbooks import WORDED
from tests.conftest import Said, Workspace
from tests.runbook_data import NOW, commands_of, write_story

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "runbooks"

SUBJECTS = {"rollout": "asr@2.5", "rollback": "asr@2.4", "launch-review": "asr@2.5"}
"""Which release a kind is shown for; others are shown for what is live."""

RUN = frozenset({0, 1, 3, 4})
"""Exit codes of a command that did its work, whatever it had to say."""

_OF_TURNS = ("triage", "slo", "health", "drift", "cost", "capacity", "telemetry")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the story's workspace, which no test changes."""
    return write_story(tmp_path_factory.mktemp("story") / "assistant")


@pytest.fixture
def told(
    story: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    """Give the story with its clock, to be read only."""
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW)
    return Workspace(folder=story, capture=capsys)


def copied(story: Workspace, folder: Path) -> Workspace:
    """Return the story in a folder of its own, without its turns."""
    shutil.copytree(story.folder, folder, ignore=shutil.ignore_patterns("telemetry"))
    return Workspace(folder=folder, capture=story.capture)


def subject(kind: str) -> str:
    """Return the release that a kind is shown for."""
    return SUBJECTS.get(kind, "asr@2.4")


@pytest.mark.parametrize("kind", WORDED)
def test_a_runbook_is_as_it_was(told: Workspace, kind: str) -> None:
    """Held as golden files, made twice with the same bytes."""
    said = told.relkit("runbook", kind, subject(kind))
    assert (said.code, said.err) == (0, "")
    assert told.relkit("runbook", kind, subject(kind)).out == said.out
    golden = GOLDEN / f"{kind}.md"
    if os.environ.get("RELKIT_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(said.out, encoding="utf-8")
    assert said.out == golden.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def seen() -> dict[str, Said]:
    """Keep what commands said that only read turns: one run of each is enough."""
    return {}


@pytest.mark.parametrize("kind", WORDED)
def test_every_command_of_a_runbook_runs(
    told: Workspace,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen: dict[str, Said],
) -> None:
    """In its order, or, of those that exclude each other, from where the story ends."""
    commands = commands_of(told.relkit("runbook", kind, subject(kind)).out)
    assert commands
    turns = told.folder / "telemetry"
    monkeypatch.setenv("TURNS", str(turns / "turns-2026-01-1[34].parquet"))
    monkeypatch.setenv("BEFORE", str(turns / "turns-2026-01-[01][0-25-9].parquet"))
    monkeypatch.setenv("PROMETHEUS", "http://127.0.0.1:9")
    in_order = copied(told, tmp_path / "in-order")

    def run(command: str, workspace: Workspace) -> Said:
        program, *arguments = shlex.split(os.path.expandvars(command))
        assert program == "relkit"
        monkeypatch.chdir(workspace.folder)
        return workspace.relkit(*arguments)

    for number, command in enumerate(commands):
        said = seen.get(command) or run(command, in_order)
        if command.split()[1] in _OF_TURNS:
            seen[command] = said
        if said.code not in RUN:
            said = run(command, copied(told, tmp_path / f"alone-{number}"))
        assert said.code in RUN, f"{command}\n{said.err}"
