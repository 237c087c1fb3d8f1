"""A user's command that tests one release, as ``git bisect run`` runs one: no shell, no input."""

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from relkit.domain.errors import InvalidInput, UsageError
from relkit.domain.releases import Release

GRACE_S = 2.0
"""How long a command may take to end after SIGTERM."""

_STDERR = 2


class ShellessCommand:
    """Implements ReleaseCommand: the release is named in the environment.

    ``RELKIT_MODEL`` and ``RELKIT_VERSION`` name it, ``RELKIT_RELEASE`` is the path of its
    release.json, ``RELKIT_SLICE`` the failing slice where one was named. What the command prints
    goes to stderr, so that stdout holds the result only.
    """

    def __init__(
        self,
        command: str,
        *,
        folder: Path,
        environment: Mapping[str, str],
        release_path: Callable[[str, str], Path],
        timeout_s: float | None,
    ) -> None:
        """Split the command line as a shell would; raises UsageError where it is none."""
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--run is no command line: {error}", hint="check quotes") from error
        if not self._arguments:
            raise UsageError("--run is empty", hint='for example --run "./check-release"')
        self._folder = folder
        self._environment = environment
        self._release_path = release_path
        self._timeout_s = timeout_s

    def run(self, release: Release) -> int | None:
        """Run it in the workspace and return its exit code, below 0 for a signal.

        None where it took too long. Whatever ends the wait, everything it started is ended, too.
        Raises InvalidInput where it cannot be started.
        """
        process = self._start(release)
        try:
            return self._wait(process)
        finally:
            _end(process)

    def _start(self, release: Release) -> "subprocess.Popen[bytes]":
        named = {
            "RELKIT_MODEL": release.model,
            "RELKIT_VERSION": release.version,
            "RELKIT_RELEASE": str(self._release_path(release.model, release.version)),
        }
        try:
            # A session of its own: a kill reaches all it has started, and Ctrl-C is ours to handle.
            return subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,
                cwd=self._folder,
                env={**self._environment, **named},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f'--run: the program "{Path(self._arguments[0]).name}" cannot be started',
                hint="it is run in the workspace, without a shell; for one: --run \"sh -c '…'\"",
            ) from error

    def _wait(self, process: "subprocess.Popen[bytes]") -> int | None:
        try:
            return process.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            return None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program's whole group: SIGTERM, a moment, SIGKILL; what is over already is left."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    _signal(process, signal.SIGKILL)  # also what a finished command has left running
    process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
