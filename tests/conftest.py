"""Fixtures: a real workspace, and the command line as a user calls it."""

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from relkit.adapters.workspace import scaffold_source, write_scaffold
from relkit.cli.boundary import run
from tests.documented import check_keys

# A busy machine is no counter-example. In CI every run draws the same examples, so that a change is
# judged by itself and not by its luck; elsewhere each run looks for new ones.
settings.register_profile("relkit", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("relkit")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

CLIPS = """\
schema: relkit.suite/v1
name: clips
dataset: {{name: assistant-commands, where: {{voice: [{voices}]}}}}
normalizer: english
metrics: [wer, wer_capped, cer, rtf, latency_ms, failure_rate]
slices: [accent, noise]
system: {system}
"""
VOICES = ("flite-slt", "flite-rms")
"""Two voices of eight clips each: the smallest suite that decodes real speech."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long the tests of each folder took, one after the other."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds["/".join(report.nodeid.split("/")[:2])] += report.duration
    for folder, duration in sorted(seconds.items()):
        terminalreporter.write_line(f"-- {folder}: {duration:.0f} s of tests")


@dataclass(frozen=True, slots=True)
class Said:
    """What one command line answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document on stdout."""
        document: dict[str, Any] = json.loads(self.out)
        return document


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace in a temporary folder."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def relkit(self, *arguments: str) -> Said:
        """Run the command line in this process, in the workspace.

        Every JSON document that it prints has to have the keys that docs/cli.md lists.
        """
        self.capture.readouterr()
        code = run([*arguments, "--workspace", str(self.folder)])
        captured = self.capture.readouterr()
        if "--json" in arguments and captured.out.startswith("{"):
            check_keys(arguments, json.loads(captured.out))
        return Said(code=code, out=captured.out, err=captured.err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command line as a process of its own, in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "relkit", *arguments, "--workspace", str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def suite(self, system: str, name: str = "clips", voices: tuple[str, ...] = VOICES) -> str:
        """Write a small suite with this system, and return its name."""
        text = CLIPS.format(voices=", ".join(voices), system=system).replace("clips", name, 1)
        (self.folder / "eval" / "suites" / f"{name}.yaml").write_text(text, encoding="utf-8")
        return name

    def manifest(self) -> list[dict[str, Any]]:
        """Return the rows of the bundled dataset's manifest."""
        path = self.folder / "datasets" / "assistant-commands" / "manifest.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def recorded(self, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
        """Write a recorded answer for every utterance, and return the suite that uses them."""
        lines = [json.dumps({"id": row["id"], **answer(row)}) for row in self.manifest()]
        (self.folder / "answers.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return self.suite("{kind: recorded, path: answers.jsonl}", name="recorded")

    @property
    def runs(self) -> list[Path]:
        """The run folders, oldest first."""
        folders = (self.folder / ".relkit" / "runs").glob("*/")
        return sorted(folders, key=lambda folder: folder.stat().st_ctime_ns)


@pytest.fixture(scope="session")
def commands_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what ``relkit init`` writes without agents' datasets, which few tests need."""
    folder = tmp_path_factory.mktemp("scaffold") / "workspace"
    write_scaffold(folder, scaffold_source())
    for name in ("assistant-safety", "assistant-talks"):
        shutil.rmtree(folder / "datasets" / name)
    return folder


@pytest.fixture
def workspace(
    commands_alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Workspace:
    """Give a workspace as ``relkit init`` writes it, with the dataset of commands alone."""
    folder = tmp_path / "workspace"
    write_scaffold(folder, commands_alone)
    return Workspace(folder=folder, capture=capsys)
