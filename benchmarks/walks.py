"""Five walks through the code: which files a value passes on its way through a command.

``python -m benchmarks.walks [FOLDER …]`` runs each command of a small workspace with every call
traced, a column for each checkout (default: this one). A call is on the walk where one of its
arguments is the value, or holds it two levels deep; a move is a step from one file to another.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TRACER = """
import dataclasses, json, sys
root, text, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
sys.path.insert(0, root)
home = root + "/relkit/"
calls = []

def carries(value, depth=2):
    if isinstance(value, str):
        return value == text
    if depth == 0:
        return False
    if isinstance(value, (list, tuple)):
        return any(carries(item, depth - 1) for item in value[:5])
    if isinstance(value, dict):
        return any(carries(item, depth - 1) for item in list(value.values())[:30])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return any(carries(getattr(value, name, None), depth - 1) for name in names)
    return False

def trace(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_filename.startswith(home) and code.co_name[0] != "<":
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if any(carries(frame.f_locals.get(name)) for name in names):
            calls.append((code.co_filename[len(home):], code.co_name))

from relkit.cli.boundary import run
sys.setprofile(trace)
status = run(arguments)
sys.setprofile(None)
files = [file for file, _ in calls]
moves = sum(first != second for first, second in zip(files, files[1:]))
print(json.dumps([status, len(set(calls)), len(set(files)), moves]), file=sys.stderr)
"""

SUITE = """\
schema: relkit.suite/v1
name: walk
dataset: {name: assistant-commands}
task: asr
normalizer: english
metrics: [wer, wer_capped, failure_rate]
slices: [accent]
system: {kind: recorded, path: answers.jsonl}
"""
POLICY = """\
schema: relkit.gate/v1
name: walk
rules:
  - {id: wer, metric: wer_capped, test: non_inferiority, margin: 0.05}
  - {id: failures, metric: failure_rate, test: bound, max: 0.05}
"""
RELEASE = """\
schema: relkit.release/v1
model: asr
version: "{version}"
component: asr
owner: speech team
licence: CC0-1.0
run: {run}
artifact: {{root: answers.jsonl}}
interface: {{sample_rate_hz: 16000, languages: [en]}}
"""


class Served:
    """A workspace with two runs, a decision and releases, made with the code of a checkout."""

    def __init__(self, code: Path, folder: Path) -> None:
        """Make it below an empty folder."""
        self._code, self.folder = code, folder / "served"
        self.relkit("init", str(self.folder), folder=folder)
        write = (self.folder / "eval/suites/walk.yaml").write_text
        write(SUITE, encoding="utf-8")
        (self.folder / "gates/walk.yaml").write_text(POLICY, encoding="utf-8")
        self._answers()
        self.first, self.second = (
            json.loads(self.relkit("eval", "walk", "--json"))["run"] for _ in range(2)
        )
        gate = ("gate", "walk", "--candidate", self.second, "--baseline", self.first)
        self.relkit(*gate, "--decision", "decision.json")
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            release = RELEASE.format(version=version, run=self.second)
            (self.folder / "asr.yaml").write_text(release, encoding="utf-8")
            self.relkit("registry", "register", "asr.yaml")
        for version in ("1.0.0", "1.1.0"):
            self.promote(version)
        (self.folder / "ref.txt").write_text("turn on the light\n", encoding="utf-8")
        (self.folder / "hyp.txt").write_text("turn of the light\n", encoding="utf-8")

    def _answers(self) -> None:
        manifest = self.folder / "datasets/assistant-commands/manifest.jsonl"
        rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
        answers = [
            {"id": row.get("id") or row["audio_filepath"].rpartition(".")[0], "text": row["text"]}
            for row in rows
        ]
        text = "".join(json.dumps(answer) + "\n" for answer in answers)
        (self.folder / "answers.jsonl").write_text(text, encoding="utf-8")

    def promote(self, version: str) -> None:
        """Promote a version by the decision."""
        decision = ("--decision", "decision.json", "--by", "benchmark")
        self.relkit("registry", "promote", "asr", version, *decision)

    def relkit(self, *arguments: str, folder: Path | None = None) -> str:
        """Run a command of the checkout's relkit and return what it printed; it must end well."""
        environment = {**os.environ, "PYTHONPATH": str(self._code)}
        done = subprocess.run(
            [sys.executable, "-m", "relkit", *arguments],
            cwd=folder or self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"relkit {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def walk(self, text: str, *arguments: str) -> str:
        """Return what following ``text`` through a command counts, in words."""
        done = subprocess.run(
            [sys.executable, "-c", TRACER, str(self._code), text, json.dumps(arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        status, functions, files, moves = json.loads(done.stderr.splitlines()[-1])
        if status:
            sys.exit(f"relkit {' '.join(arguments)}: {done.stderr}")
        return f"{functions} functions, {files} files, {moves} moves"


def walks(code: Path) -> dict[str, str]:
    """Return the five walks through the relkit of a checkout."""
    with tempfile.TemporaryDirectory() as folder:
        served = Served(code, Path(folder))
        gate = (
            "--candidate",
            served.second,
            "--baseline",
            served.first,
            "--decision",
            "later.json",
        )
        by = ("--by", "benchmark")
        return {
            "the suite name in eval": served.walk("walk", "eval", "walk"),
            "the policy in gate": served.walk("walk", "gate", "walk", *gate),
            "--slice in rollback": served.walk(
                "accent=scottish", "rollback", "asr", "--slice", "accent=scottish"
            ),
            "a hypothesis to its counts": served.walk(
                "turn of the light", "score", "--ref", "ref.txt", "--hyp", "hyp.txt"
            ),
            "a version from promote to the ledger": served.walk(
                "1.2.0", "registry", "promote", "asr", "1.2.0", "--decision", "later.json", *by
            ),
        }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="*", type=Path, default=[Path()])
    columns = [walks(folder.resolve()) for folder in parser.parse_args().folder]
    for name in columns[0]:
        print(f"{name:40}", *(f"{column[name]:>40}" for column in columns))


if __name__ == "__main__":
    main()
