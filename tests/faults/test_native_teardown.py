"""A command that has done its work keeps its exit code whatever native libraries do at exit."""

import subprocess
import sys
from pathlib import Path

import pytest

ABORTS_AT_EXIT = """
import ctypes, sys, tempfile
from relkit.cli import boundary
from relkit.__main__ import main
libc = ctypes.CDLL(None)
libc.__cxa_atexit(libc.abort, None, None)  # where C++ registers destructors of its globals
where, run = sys.argv.pop(1), boundary.run
def with_folder(arguments):
    global folder
    folder = tempfile.TemporaryDirectory(dir=where)
    return run(arguments)
boundary.run = with_folder
main()
"""


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [(["--version"], 0, "relkit "), (["compare"], 2, ""), (["report", "no-such-run"], 2, "")],
)
def test_an_abort_of_a_native_library_at_exit_changes_nothing(
    arguments: list[str], code: int, output: str, tmp_path: Path
) -> None:
    """Exit code and output are the command's, and temporary folders are removed as ever."""
    done = subprocess.run(
        [sys.executable, "-c", ABORTS_AT_EXIT, str(tmp_path), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith(output)
    assert bool(done.stderr) == (code != 0)
    assert list(tmp_path.iterdir()) == []
