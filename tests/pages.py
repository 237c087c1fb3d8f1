"""Pages of the documentation that are executed: their files are written, their commands run."""

import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

from relkit.cli.boundary import run
from tests.conftest import ROOT

FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Walk:
    """Does what a page says, in its order, and keeps what was printed."""

    def __init__(self, page: str, folder: Path, **changes: str) -> None:
        """Begin in an empty folder, with the relkit that is tested on the PATH.

        ``changes`` replace words of the page, such as a port that may be taken.
        """
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for word, other in changes.items():
            text = text.replace(word.strip("_"), other)
        self.blocks = FENCE.findall(text)
        self.folder = folder
        bin_ = str(Path(sys.executable).parent)
        self.environment = {**os.environ, "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}"}
        self.printed: dict[str, str] = {}
        self.servers: list[subprocess.Popen[bytes]] = []

    def go(self) -> None:
        """Write the files of the page and run its commands, block by block."""
        try:
            for kind, name, block in self.blocks:
                if kind == "console":
                    for line in block.splitlines():
                        self.run(line.removeprefix("$ "))
                else:
                    path = self.folder / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(self.named(block), encoding="utf-8")
        finally:
            for server in self.servers:
                server.kill()
                server.wait()

    def run(self, line: str) -> None:
        """Run one command; one that the page says fails has to, one with ``&`` goes on."""
        command, _, remark = line.partition("   # ")
        if command.startswith("cd "):
            self.folder /= command.removeprefix("cd ")
            return
        if command.endswith(" &"):
            arguments = shlex.split(command.removesuffix(" &"))
            server = subprocess.Popen(
                arguments, cwd=self.folder, env=self.environment, stderr=subprocess.DEVNULL
            )
            self.servers.append(server)
            return
        done = self._done(self.named(command))
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
        return json.loads(self._done(f"{command} --json").stdout)

    def _done(self, command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            shlex.split(command),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


class WalkHere(Walk):
    """Does the same, with every ``relkit`` in this process: Python starts once, not ten times."""

    def _done(self, command: str) -> "subprocess.CompletedProcess[str]":
        program, *arguments = shlex.split(command)
        if program != "relkit":
            return super()._done(command)
        out, err = (TextIOWrapper(BytesIO(), encoding="utf-8", newline="") for _ in range(2))
        with chdir(self.folder), redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
        printed = []
        for stream in (out, err):
            stream.seek(0)
            printed.append(stream.read())
        return subprocess.CompletedProcess(command, code, *printed)
