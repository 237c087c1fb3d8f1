"""Write the bundled dataset again, or check that it can be.

`python -m benchmarks.corpus.build --write` makes it; `--check --only 6` compares six clips.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpus import dataset, engines
from benchmarks.corpus.noise import number

DATASET = Path(__file__).parents[2] / "datasets" / "assistant-commands"


def _say(line: str) -> None:
    """Print one line."""
    sys.stdout.write(line + "\n")


def write(folder: Path) -> None:
    """Make the whole dataset in `folder`, replacing its audio; its README stays as it is."""
    shutil.rmtree(folder / "audio", ignore_errors=True)
    everyone = dataset.items()
    rows, digests = [], {}
    for item in everyone:
        row, digests[item.id] = dataset.write_audio(folder, item, everyone)
        rows.append(row)
    dataset.write_tables(folder, rows, digests)
    _say(f"wrote {len(rows)} clips")


def engine_differences(recorded: dict[str, str]) -> list[str]:
    """Say which engine is not the one the dataset was made with."""
    here = engines.versions()
    return [
        f"engine differs: {name}: recorded {version!r}, here {here.get(name)!r}"
        for name, version in recorded.items()
        if here.get(name) != version
    ]


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the manifest's rows by id."""
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def clip_differences(folder: Path, recorded: dict[str, str], only: int | None) -> list[str]:
    """Rebuild clips (`only` of them, spread over the dataset) and say which are not as recorded."""
    everyone = dataset.items()
    chosen = sorted(everyone, key=lambda item: number(item.id))[:only]
    rows = _manifest(folder)
    found = []
    if {item.id for item in everyone} != set(recorded):
        found.append("ids differ from those recorded")
    with tempfile.TemporaryDirectory() as scratch:
        for item in chosen:
            row, digest = dataset.write_audio(Path(scratch), item, everyone)
            if digest != recorded.get(item.id):
                found.append(f"samples differ: {item.id}")
            if row != rows.get(item.id):
                found.append(f"manifest row differs: {item.id}")
    return found


def check(folder: Path, only: int | None) -> int:
    """Compare a rebuild with what is recorded; return the exit status."""
    provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    found = engine_differences(provenance["engines"])
    found = found or clip_differences(folder, provenance["samples"], only)
    for line in found or ["the rebuilt clips are the same"]:
        _say(line)
    return 1 if found else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description="Make or check datasets/assistant-commands.")
    job = parser.add_mutually_exclusive_group(required=True)
    job.add_argument("--write", action="store_true", help="make the dataset again")
    job.add_argument("--check", action="store_true", help="rebuild and compare with provenance")
    parser.add_argument("--only", type=int, metavar="N", help="check N clips instead of all")
    options = parser.parse_args(arguments)
    if options.write:
        write(DATASET)
        return 0
    return check(DATASET, options.only)


if __name__ == "__main__":
    sys.exit(main())
