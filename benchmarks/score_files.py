"""``relkit score`` of two 100,000-line files as a whole process, beside counting alone.

Counting alone is ``count_texts`` on texts in memory (see ``benchmarks.counts``). The whole process
starts Python, reads and checks both files, counts words and characters, and prints.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.counts import pairs, seconds
from benchmarks.processes import in_turn
from relkit.scoring.words import count_texts

LINES = 100_000
RUNS = 5


def write(folder: Path, texts: dict[str, list[str]]) -> None:
    """Write both sides as plain text, as JSON lines and as TRN."""
    for side, lines in texts.items():
        (folder / f"{side}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        rows = (json.dumps({"id": f"u{i}", "text": text}) for i, text in enumerate(lines))
        (folder / f"{side}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
        marked = (f"{text} (s-{i})" for i, text in enumerate(lines))
        (folder / f"{side}.trn").write_text("\n".join(marked) + "\n", encoding="utf-8")


def main() -> None:
    """Print the table."""
    references, hypotheses = pairs(LINES, np.random.default_rng(1))
    counting = seconds(lambda: count_texts(references, hypotheses))
    relkit = Path(sys.executable).with_name("relkit")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder, {"ref": references, "hyp": hypotheses})
        (folder / "one.txt").write_text("turn on the light\n", encoding="utf-8")
        empty = (relkit, "score", "--ref", folder / "one.txt", "--hyp", folder / "one.txt")
        commands = [
            (relkit, "score", "--ref", folder / f"ref.{kind}", "--hyp", folder / f"hyp.{kind}")
            for kind in ("txt", "jsonl", "trn")
        ]
        subprocess.run(list(map(str, empty)), check=True, capture_output=True)
        start_up, *times = in_turn([empty, *commands], RUNS)
    print(f"{LINES:,} pairs of about 12 words; whole processes, median of {RUNS}")
    print(f"  counting alone                 {counting:.3f} s")
    print(f"  relkit score, one line         {start_up:.3f} s  (start-up)")
    for kind, whole in zip(("txt", "jsonl", "trn"), times, strict=True):
        ratio, work = whole / counting, (whole - start_up) / counting
        print(
            f"  relkit score, {kind:<6}           {whole:.3f} s  "
            f"{ratio:.2f} x counting, {work:.2f} x without start-up"
        )


if __name__ == "__main__":
    main()
