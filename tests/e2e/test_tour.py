"""docs/tour.md is executed: three releases, one goes bad on a slice, and back."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Tour:
    """Does what the page says, in its order, and keeps what was printed."""

    def __init__(self, folder: Path) -> None:
        """Begin in an empty folder, with the relkit that is tested on the PATH."""
        self.folder = folder
        bin_ = str(Path(sys.executable).parent)
        self.environment = {**os.environ, "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}"}
        self.printed: dict[str, str] = {}

    def go(self) -> None:
        """Write the files of the page and run its commands, block by block."""
        for kind, name, block in FENCE.findall(PAGE):
            if kind == "console":
                for line in block.splitlines():
                    self.run(line.removeprefix("$ "))
            else:
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.named(block), encoding="utf-8")

    def run(self, line: str) -> None:
        """Run one command; one that the page says fails has to."""
        command, _, remark = line.partition("   # ")
        if command.startswith("cd "):
            self.folder /= command.removeprefix("cd ")
            return
        arguments = shlex.split(self.named(command))
        done = subprocess.run(
            arguments,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        expected = int(remark.removeprefix("exit ")) if remark else 0
        assert done.returncode == expected, f"{line}\n{done.stdout}{done.stderr}"
        self.printed[command] = done.stdout

    def named(self, command: str) -> str:
        """Put the newest two runs where the page has words for them."""
        runs = sorted((self.folder / ".relkit" / "runs").glob("*/"))
        names = [path.name for path in sorted(runs, key=lambda path: path.stat().st_ctime_ns)]
        for word, place in (("CANDIDATE", -1), ("BASELINE", -2)):
            if word in command:
                command = command.replace(word, names[place])
        return command

    def json(self, command: str) -> Any:  # noqa: ANN401 - any document
        """Return what a command prints with ``--json``."""
        done = subprocess.run(
            [*shlex.split(command), "--json"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return json.loads(done.stdout)


@pytest.mark.slow
def test_the_tour_ends_where_the_page_says(tmp_path: Path) -> None:
    """Bisect names 1.2.0, rollback goes back to 1.1.0, and the registry proves itself."""
    tour = Tour(tmp_path)
    tour.go()
    assert "1.2.0" in tour.printed['relkit bisect asr --good 1.0.0 --run "python check.py"']
    kinds = [item["kind"] for item in tour.json("relkit registry history asr")["events"]]
    assert kinds == [
        "registered",
        "promoted",
        "registered",
        "canary",
        "promoted",
        "registered",
        "promoted",
        "rolled_back",
    ]
    history = tour.json("relkit registry history asr")
    assert history["live"] == "1.1.0"
    assert tour.json("relkit registry verify")["valid"]
    assert tour.printed["python alias.py"].strip() == "1.1.0"
    again = tour.json("relkit rollback asr --bad 1.2.0 --to 1.2.0")
    assert again["target"] is None
    blocked = tour.printed["relkit gate slices --candidate CANDIDATE --baseline BASELINE"]
    assert blocked.index("accent=scottish") < blocked.index("wer-overall")
