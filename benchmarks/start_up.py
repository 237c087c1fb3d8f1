"""What relkit's commands cost where there is little to do, beside a bare program of the same kind.

    python -m benchmarks.start_up [--runs 11] [--only gate]

The peer is a Typer program with the same number of lazy sub-commands and nothing behind them. Both
are whole processes, run in turn, and what counts is CPU time, user and system: on a busy machine
only it repeats. The two runs hold the 148 answers of the suite ``demo``, made up from its texts.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.processes import Command, cpu_seconds, in_turn

RUNS = 3
RELEASES = 20
"""Releases of the small registry."""

BARE = '''
import typer
from typer.core import TyperGroup
COMMANDS = {f"command-{i}": "Do one thing." for i in range(6)}
class Lazy(TyperGroup):
    def list_commands(self, ctx): return list(COMMANDS)
    def get_command(self, ctx, name): return None
    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
app = typer.Typer(cls=Lazy, rich_markup_mode=None)
@app.callback()
def main(version: bool = False) -> None:
    """A bare program."""
app(prog_name="bare")
'''

HELP = (("score",), ("eval",), ("gate",), ("report",), ("dataset", "check"), ("rollback",))
"""Commands whose help is asked for."""

TARGETS = {
    "score, ten lines": 3.5,
    "rollback, 20 releases": 4.0,
    "gate, 148 utterances": 7.0,
    "report, 148 utterances": 7.0,
    "rescore, 148 utterances": 9.0,
    "dataset check, 296 utterances": 20.0,
} | {f"{' '.join(words)} --help": 1.6 for words in HELP}
"""The most that a command may take, as a multiple of the bare program."""


def write_answers(workspace: Path, name: str, latency_ms: float) -> None:
    """Write answers to the bundled dataset: its texts, every other one cut by half."""
    manifest = workspace / "datasets" / "assistant-commands" / "manifest.jsonl"
    rows = map(json.loads, manifest.read_text(encoding="utf-8").splitlines())
    lines = [
        json.dumps(
            {
                "id": row["id"],
                "text": row["text"][: len(row["text"]) // (1 + i % 2)],
                "latency_ms": latency_ms + i,
            }
        )
        for i, row in enumerate(rows)
    ]
    (workspace / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_runs(relkit: Path, workspace: Path) -> None:
    """Make a workspace with a baseline and a candidate that was measured on the same clips."""
    subprocess.run([relkit, "init", workspace], check=True, capture_output=True)
    suite = workspace / "eval" / "suites" / "demo.yaml"
    text = suite.read_text(encoding="utf-8").replace("dnsmos_ovrl, ", "")
    system = "system: {kind: recorded, path: answers.jsonl}\n"
    suite.write_text(re.sub(r"system: .*\n", system, text), encoding="utf-8")
    for latency_ms in (200.0, 201.0):
        write_answers(workspace, "answers.jsonl", latency_ms)
        run = (relkit, "eval", "demo", "--workspace", workspace)
        subprocess.run(run, check=True, capture_output=True)


def commands_in(folder: Path) -> dict[str, Command]:
    """Return what is measured by its title; the peer is first."""
    from benchmarks.rollback_speed import write_registry

    relkit = Path(sys.executable).with_name("relkit")
    workspace, registry = folder / "workspace", folder / "registry"
    write_runs(relkit, workspace)
    write_registry(registry, worse=1, canary_steps=False, releases=RELEASES)
    (folder / "bare.py").write_text(BARE, encoding="utf-8")
    lines = "".join(f"turn on light number {i}\n" for i in range(10))
    (folder / "ref.txt").write_text(lines, encoding="utf-8")
    (folder / "hyp.txt").write_text(lines.replace("on", "off"), encoding="utf-8")
    files = ("--ref", folder / "ref.txt", "--hyp", folder / "hyp.txt", "--format", "txt")
    here = ("--workspace", workspace)
    return {
        "a bare lazy Typer program --help": (sys.executable, folder / "bare.py", "--help"),
        "--help": (relkit, "--help"),
        **{f"{' '.join(words)} --help": (relkit, *words, "--help") for words in HELP},
        "score, ten lines": (relkit, "score", *files),
        "score, ten lines, english": (relkit, "score", *files, "--normalizer", "english"),
        "rollback, 20 releases": (
            relkit, "rollback", "asr", "--slice", "accent=scottish", "--workspace", registry,
        ),
        "gate, 148 utterances": (
            relkit, "gate", "asr-promotion", "--candidate", "@latest", "--baseline", "@prev", *here,
        ),
        "report, 148 utterances": (
            relkit, "report", "@latest", "-o", folder / "report.html", *here,
        ),
        "rescore, 148 utterances": (relkit, "rescore", "@latest", *here),
        "dataset check, 296 utterances": (
            relkit, "dataset", "check", "assistant-commands", *here,
        ),
    }  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", help="measure commands whose title has this, beside the peer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        peer, *others = commands_in(Path(temporary)).items()
        measured = dict([peer, *(item for item in others if (options.only or "") in item[0])])
        bare, *times = in_turn(list(measured.values()), options.runs, cpu_seconds)
    print("CPU seconds of whole processes, user and system, median of", options.runs)
    print(f"  {peer[0]:<37}{bare:7.3f}")
    for title, time in zip(list(measured)[1:], times, strict=True):
        target = f", to be {TARGETS[title]:g} at most" if title in TARGETS else ""
        print(f"  relkit {title:<30}{time:7.3f}{time / bare:6.1f} x the bare one{target}")


if __name__ == "__main__":
    main()
