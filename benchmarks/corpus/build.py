"""Write the bundled dataset again, or check that it can be.

`python -m benchmarks.corpus.build --write` makes it; `--check --only 6` compares six clips.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.corpus import dataset, engines
from benchmarks.corpus.dataset import Row
from benchmarks.corpus.noise import number

DATASET = Path(__file__).parents[2] / "datasets" / "assistant-commands"

Makers = Mapping[str, Callable[[Path], tuple[Row, str]]]
"""By its id, what writes a clip below a folder and returns its manifest row and its digest."""


def makers() -> Makers:
    """Return what writes each clip of the dataset."""
    everyone = dataset.items()

    def write_item(item: dataset.Item, folder: Path) -> tuple[Row, str]:
        return dataset.write_audio(folder, item, everyone)

    return {item.id: partial(write_item, item) for item in everyone}


def say(line: str) -> None:
    """Print one line."""
    sys.stdout.write(line + "\n")


def write(folder: Path) -> None:
    """Make the whole dataset in `folder`, replacing its audio; its README stays as it is."""
    shutil.rmtree(folder / "audio", ignore_errors=True)
    rows, digests = [], {}
    for name, make in makers().items():
        row, digests[name] = make(folder)
        rows.append(row)
    dataset.write_tables(folder, rows, digests)
    say(f"wrote {len(rows)} clips")


def engine_differences(recorded: dict[str, str], more: Sequence[str] = ()) -> list[str]:
    """Say which engine, or which of `more` programs, is not the one the dataset was made with."""
    here = engines.versions(more)
    return [
        f"engine differs: {name}: recorded {version!r}, here {here.get(name)!r}"
        for name, version in recorded.items()
        if here.get(name) != version
    ]


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the manifest's rows by id."""
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def clip_differences(
    folder: Path, recorded: dict[str, str], made_by: Makers, only: int | None
) -> list[str]:
    """Rebuild clips (`only` of them, spread over the dataset) and say which are not as recorded."""
    rows = _manifest(folder)
    found = []
    if set(made_by) != set(recorded):
        found.append("ids differ from those recorded")
    with tempfile.TemporaryDirectory() as scratch:
        for name in sorted(made_by, key=number)[:only]:
            row, digest = made_by[name](Path(scratch))
            if digest != recorded.get(name):
                found.append(f"samples differ: {name}")
            if row != rows.get(name):
                found.append(f"manifest row differs: {name}")
    return found


def check(folder: Path, made_by: Makers, only: int | None, more: Sequence[str] = ()) -> int:
    """Compare a rebuild with what is recorded; return the exit status."""
    provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    found = engine_differences(provenance["engines"], more)
    found = found or clip_differences(folder, provenance["samples"], made_by, only)
    for line in found or ["the rebuilt clips are the same"]:
        say(line)
    return 1 if found else 0


def options_of(arguments: Sequence[str] | None, name: str) -> argparse.Namespace:
    """Read the command line of a bundled dataset."""
    parser = argparse.ArgumentParser(description=f"Make or check datasets/{name}.")
    job = parser.add_mutually_exclusive_group(required=True)
    job.add_argument("--write", action="store_true", help="make the dataset again")
    job.add_argument("--check", action="store_true", help="rebuild and compare with provenance")
    parser.add_argument("--only", type=int, metavar="N", help="check N clips instead of all")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = options_of(arguments, DATASET.name)
    if options.write:
        write(DATASET)
        return 0
    return check(DATASET, makers(), options.only)


if __name__ == "__main__":
    sys.exit(main())
