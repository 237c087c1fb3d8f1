"""The whole path of the gate in CI: a workspace in a sub-folder, locked, committed, cloned, gated.

The steps of the workflow that `relkit init` wrote and of the action are run as GitHub runs them,
with its variables, in a fresh virtual environment that the action makes.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import commit_all, dvc, git

pytest.importorskip("dvc", reason="DVC is not installed")

ROOT = Path(__file__).resolve().parents[2]
ACTION = ROOT / ".github" / "actions" / "relkit-gate"
EXPRESSION = re.compile(r"\$\{\{ *(.+?) *\}\}")
SPOKEN = """\
import json, os, pathlib, sys, zlib
lines = pathlib.Path("datasets/assistant-commands/manifest.jsonl").read_text().splitlines()
texts = {os.path.basename(row["audio_filepath"]): row["text"] for row in map(json.loads, lines)}
for line in sys.stdin:
    asked = json.loads(line)
    name = os.path.basename(asked["audio"])
    wrong = " so" if zlib.crc32(name.encode()) % int(sys.argv[1]) == 0 else ""
    print(json.dumps({"id": asked["id"], "text": texts[name] + wrong}), flush=True)
"""
SUITE = """\
schema: relkit.suite/v1
name: heard
dataset: {name: assistant-commands, where: {subset: demo}}
normalizer: english
metrics: [wer, wer_capped, failure_rate]
slices: [noise]
system: {kind: command, run: "python3 heard.py 4", timeout_s: 30}
"""
LIMIT = "{id: wer-limit, metric: wer_capped, slice: overall, test: bound, max: 0.5}"
POLICY = f"{{schema: relkit.gate/v1, name: small, coverage: 1.0, rules: [{LIMIT}]}}\n"


@dataclass
class Runner:
    """What GitHub's runner keeps between the steps of a job."""

    workspace: Path
    temporary: Path
    path: str
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)

    def value(self, text: object) -> str:
        """Return a text with its expressions replaced, those that the action has."""
        return EXPRESSION.sub(lambda match: self._expression(match[1]), str(text))

    def _expression(self, text: str) -> str:
        for name in text.split(" || "):
            kind, _, rest = name.partition(".")
            if kind == "inputs" and (found := self.inputs[rest]):
                return found
            if kind == "steps":
                step, output = rest.split(".outputs.")
                return self.outputs[step][output]
            if name == "runner.temp":
                return str(self.temporary)
        return ""

    def step(self, step: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        """Run a shell step as GitHub does, and take what it told the steps that follow."""
        files = {name: self.temporary / name for name in ("GITHUB_OUTPUT", "GITHUB_PATH")}
        for file in files.values():
            file.write_text("")
        script = self.temporary / "step.sh"
        script.write_text(step["run"], encoding="utf-8")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            cwd=self.workspace,
            env={
                **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                **{name: str(file) for name, file in files.items()},
                **{name: self.value(value) for name, value in step.get("env", {}).items()},
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(ACTION),
                "GITHUB_REPOSITORY": "them/theirs",
                "GITHUB_STEP_SUMMARY": str(self.temporary / "summary.md"),
                "GITHUB_WORKSPACE": str(self.workspace),
                "PATH": self.path,
                "RUNNER_TEMP": str(self.temporary),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        added = files["GITHUB_PATH"].read_text().splitlines()
        self.path = os.pathsep.join([*reversed(added), self.path])
        text = files["GITHUB_OUTPUT"].read_text()
        several = r"^(\w+)<<(\S+)\n(.*?)\n?^\2$"
        single = re.sub(several, r"\1=\3", text, flags=re.MULTILINE | re.DOTALL)
        pairs = (line.split("=", 1) for line in single.splitlines())
        self.outputs[step.get("id", "")] = dict(pairs)
        return done


def relkit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this relkit where a person works."""
    return subprocess.run(
        [sys.executable, "-m", "relkit", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository with a locked workspace in a sub-folder, and give a clone without audio."""
    folder = tmp_path_factory.mktemp("ci")
    repository, workspace = folder / "repository", folder / "repository" / "speech"
    repository.mkdir()
    git(repository, "init", "--quiet")
    relkit(repository, "init", "speech")
    (workspace / "heard.py").write_text(SPOKEN)
    (workspace / "eval" / "suites" / "heard.yaml").write_text(SUITE)
    (workspace / "gates" / "small.yaml").write_text(POLICY)
    said = relkit(workspace, "dataset", "lock", "assistant-commands")
    assert "a clone will lack the audio" in said.stderr
    dvc(workspace, "remote", "add", "--default", "near", str(folder / "remote"))
    dvc(workspace, "push")
    commit_all(repository, "locked")
    git(folder, "clone", "--quiet", str(repository), str(folder / "clone"))
    assert not (folder / "clone/speech/datasets/assistant-commands/audio").exists()
    return folder / "clone"


@pytest.mark.slow
def test_a_clone_is_gated_by_the_relkit_of_the_action(clone: Path, tmp_path: Path) -> None:
    """Installed from the action's repository, with DVC; pulled, evaluated twice, gated, told."""
    workflow = yaml.safe_load((clone / ".github/workflows/relkit-gate.yml").read_text())
    (gate,) = [item for item in workflow["jobs"]["gate"]["steps"] if item.get("id") == "gate"]
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    runner = Runner(clone, tmp_path, f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    defaults = {name: str(item.get("default", "")) for name, item in action["inputs"].items()}
    asked = {"policy": "small", "suite": "heard", "system": "run=python3 heard.py 5", "extras": ""}
    runner.inputs = {**defaults, **gate["with"], **asked, "comment": "false"}
    assert runner.inputs["workspace"] == "speech"
    for item in action["runs"]["steps"]:
        if "run" in item and "if" not in item:
            done = runner.step(item)
            if item["name"] == "Install" and re.search(r"No matching dist|Retry", done.stderr):
                pytest.skip("needs a package index")
            assert done.returncode == 0, f"{item['name']}\n{done.stdout}{done.stderr}"
    assert runner.path.startswith(str(tmp_path))
    assert runner.outputs["gate"] == {"verdict": "pass", "enforcement": "enforce", "allows": "true"}
    assert runner.outputs["candidate"]["run"] != runner.outputs["baseline"]["run"]
    assert (clone / "relkit-decision.json").is_file()
    assert (tmp_path / "summary.md").read_text().startswith("## PASS")
    assert any((clone / "speech/datasets/assistant-commands/audio").iterdir())
    header = json.loads(next(clone.glob("speech/.relkit/runs/*/run.json")).read_text())
    assert header["dataset"]["dirty"] is False
    assert header["dataset"]["revision"] == git(clone, "rev-parse", "HEAD")
