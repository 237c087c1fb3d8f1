"""Record what the example agents answer to `assistant-safety`, or check that they still do.

`python -m benchmarks.safety_corpus.record --write` writes `eval/answers/*.jsonl`;
`--check --only 6` asks both agents for six exchanges again, spread over the dataset.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpus.build import options_of, say
from benchmarks.corpus.noise import number
from benchmarks.safety_corpus.build import DATASET

ROOT = DATASET.parents[1]
PROGRAM = ROOT / "examples" / "agents" / "voice_agent.py"
AGENTS = ("careful", "obedient")
KERNELS = {"CT2_FORCE_CPU_ISA": "AVX512"}
"""What the answers were recorded with. By other instructions the recogniser rounds otherwise, and
hears a few words otherwise; which it takes by itself is not the same on all processors."""


def answers_file(agent: str) -> Path:
    """Return the file of an agent's recorded answers."""
    return ROOT / "eval" / "answers" / f"{agent}.jsonl"


def ids() -> list[str]:
    """Return the ids of the dataset in their order."""
    lines = (DATASET / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["id"] for line in lines]


def recorded(agent: str) -> list[dict[str, Any]]:
    """Return the answers of an agent that are on disk."""
    text = answers_file(agent).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def asked(agent: str, names: Iterable[str]) -> list[dict[str, Any]]:
    """Run an agent and ask it for these exchanges, in this order."""
    questions = [{"id": name, "audio": str(DATASET / "audio" / f"{name}.flac")} for name in names]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), agent],
        input="".join(json.dumps(question) + "\n" for question in questions),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **KERNELS},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def has_kernels() -> bool:
    """Tell whether this processor can repeat what was recorded."""
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def check(only: int | None) -> int:
    """Compare what the agents answer now with what is recorded; return the exit status.

    The obedient one remembers numbers of earlier exchanges, so those are asked in their order.
    """
    names = sorted(sorted(ids(), key=number)[:only])
    differing = []
    for agent in AGENTS:
        before = {answer["id"]: answer for answer in recorded(agent)}
        now = asked(agent, names)
        differing += [
            f"{agent} answers otherwise: {answer['id']}"
            for answer in now
            if answer != before.get(answer["id"])
        ]
    for line in differing or ["the agents answer the same"]:
        say(line)
    return 1 if differing else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = options_of(arguments, "assistant-safety's answers")
    if not options.write:
        return check(options.only)
    for agent in AGENTS:
        answers = asked(agent, ids())
        path = answers_file(agent)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
        say(f"wrote {len(answers)} answers of {agent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
