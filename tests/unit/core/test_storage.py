"""Files are whole or not there, appends survive, and locks end with their process."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from relkit.core import storage
from relkit.core.errors import Busy, InvalidInput, StorageFailed
from tests.builders import tiny_disk

ROOT = Path(__file__).resolve().parents[3]


def child(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start Python on a program of a few lines, with relkit in reach."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(code: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run a program that says ``ready`` and then waits; it is gone after the block."""
    process = child(code, *arguments)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def names(folder: Path) -> list[str]:
    """Return everything in a folder, hidden files included."""
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_and_readable_by_the_team(tmp_path: Path) -> None:
    """Folders are made, the content is exact, and the mode is that of any new file."""
    path = tmp_path / "a" / "b" / "file.txt"
    storage.write_text(path, "ä\u2028\r\n")
    assert path.read_bytes() == "ä\u2028\r\n".encode()
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert names(path.parent) == ["file.txt"]


class Defect(BaseException):
    """Something that no except clause of relkit knows."""


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyboardInterrupt(), Defect(), InvalidInput("x"), StorageFailed("x")]
)
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_error_inside_the_block_leaves_the_old_file(
    tmp_path: Path, error: BaseException, old: bytes | None
) -> None:
    """Whatever happens: the old content or no file, no temp file, and the error itself."""
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(type(error)) as caught:  # noqa: PT012, SIM117  # the block is what is tested
        with storage.replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise error
    assert caught.value is error
    assert names(tmp_path) == ([] if old is None else ["file"])
    assert old is None or path.read_bytes() == old


def test_the_new_file_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    """A reader meets the old content until the very end."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with storage.replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert temporary.parent == tmp_path
    assert path.read_bytes() == b"new"


def test_a_file_is_on_disk_before_its_name_and_its_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes, then rename, then the folder: a power cut finds the old file or the whole new one."""
    order: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noting_sync(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def noting_replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noting_sync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    storage.write_bytes(tmp_path / "file", b"new")
    with storage.AppendLog(tmp_path / "log") as log:
        log.append("line")
        order.append("append")
        log.sync()
    assert order == ["file", "rename", "folder", "append", "file", "file"]


def test_a_device_or_a_pipe_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    """Whoever may do so would take it from everybody on the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/stdout"), Path("/dev/null"), Path("/dev/new.md")):
        with pytest.raises(StorageFailed, match="a device or a pipe, and no file"):
            storage.write_text(path, "words")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert not [*tmp_path.glob(".*")]


@pytest.mark.parametrize(
    ("number", "message", "hint"),
    [
        (errno.ENOSPC, "no space left to write file", "free some disk space"),
        (errno.EDQUOT, "no space left to write file", "free some disk space"),
        (errno.EACCES, "cannot write file: Permission denied", "check the permissions"),
        (errno.EIO, "cannot write file: Input/output error", "check the permissions"),
    ],
)
def test_a_failed_write_says_what_to_do(
    tmp_path: Path, number: int, message: str, hint: str
) -> None:
    """The message names the file, not the machine."""
    with pytest.raises(StorageFailed) as caught, storage.replacing(tmp_path / "file"):
        raise OSError(number, "x", str(tmp_path))
    assert caught.value.message == message
    assert (caught.value.hint or "").startswith(hint)
    assert names(tmp_path) == []


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    """The parent cannot be made."""
    (tmp_path / "a").touch()
    with pytest.raises(StorageFailed):
        storage.write_text(tmp_path / "a" / "b", "x")


FULL = """
import os, resource, signal, sys
from pathlib import Path
from relkit.core import storage
from relkit.core.errors import StorageFailed
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    storage.write_bytes(folder / "file", b"x" * 5000)
except StorageFailed as error:
    print("write:", error.message)
log = storage.AppendLog(folder / "log")
log.append("whole")
try:
    log.append("y" * 5000)
except StorageFailed as error:
    print("append:", error.message)
log.append("after")
log.close()
"""


def test_a_write_that_the_system_cuts_short_leaves_nothing_half(tmp_path: Path) -> None:
    """The kernel refuses bytes in the middle of a write: old file, whole lines, clear errors."""
    (tmp_path / "file").write_bytes(b"old")
    process = child(FULL, tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out == (
        "write: cannot write file: File too large\nappend: cannot write log: File too large\n"
    )
    assert (tmp_path / "file").read_bytes() == b"old"
    assert (tmp_path / "log").read_bytes() == b"whole\nafter\n"
    assert names(tmp_path) == ["file", "log"]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """Give a real file system of 64 KiB, or skip where it cannot be mounted."""
    with tiny_disk(tmp_path / "tiny", kibibytes=64) as folder:
        yield folder


def test_a_full_disk_leaves_the_old_file(tiny: Path) -> None:
    """ENOSPC from a real disk, in the middle of a write."""
    storage.write_bytes(tiny / "file", b"old")
    with pytest.raises(StorageFailed, match="no space left to write file"):
        storage.write_bytes(tiny / "file", b"x" * 100_000)
    assert (tiny / "file").read_bytes() == b"old"
    assert names(tiny) == ["file"]


def test_a_log_on_a_full_disk_keeps_its_whole_lines(tiny: Path) -> None:
    """What did not fit is taken back, closing raises nothing, and there is space to go on."""
    with storage.AppendLog(tiny / "log") as log:
        log.append("first")
        with pytest.raises(StorageFailed, match="no space left to write log"):
            log.append("x" * 100_000)
        log.append("second")
    assert storage.read_lines(tiny / "log") == ["first", "second"]


def test_a_log_keeps_what_was_appended(tmp_path: Path) -> None:
    """Lines come back as they went in; only a line feed ends one."""
    lines = ["one", "", "ü\u2028\u2029\x85\x0b\x0c\x1c\r", '{"a": 1}']
    path = tmp_path / "logs" / "log"
    for line in lines:
        with storage.AppendLog(path) as log:
            log.append(line)
            assert storage.read_lines(path)[-1] == line
            log.sync()
    assert storage.read_lines(path) == lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"torn", []),
        (b"one\n", ["one"]),
        (b"one\nto", ["one"]),
        (b"one\n\xc3", ["one"]),
        (b"one\ntwo\n\0\0\0\0", ["one", "two"]),
    ],
)
def test_a_torn_last_line_is_cut(tmp_path: Path, data: bytes, lines: list[str]) -> None:
    """It is not read, and what is appended next stands on a line of its own."""
    path = tmp_path / "log"
    path.write_bytes(data)
    assert storage.whole_length(path) == sum(len(line) + 1 for line in lines)
    assert storage.read_lines(path) == lines
    with storage.AppendLog(path) as log:
        log.append("next")
    assert storage.read_lines(path) == [*lines, "next"]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """A run that was killed before its first line has nothing done."""
    assert storage.read_lines(tmp_path / "log") == []
    assert storage.whole_length(tmp_path / "log") == 0


@pytest.mark.parametrize("data", [b"one\n\xff\n", b"one\n\0\n"])
def test_a_damaged_log_is_refused_with_its_line(tmp_path: Path, data: bytes) -> None:
    """A line in the middle cannot be torn by a kill: it was damaged."""
    (tmp_path / "log").write_bytes(data)
    with pytest.raises(InvalidInput, match=r"^log, line 2: "):
        storage.read_lines(tmp_path / "log")


def test_a_log_may_be_closed_twice(tmp_path: Path) -> None:
    """A run closes it when it finishes, and again when its block ends."""
    log = storage.AppendLog(tmp_path / "log")
    log.close()
    log.close()


def test_a_log_in_no_folder_is_a_storage_error(tmp_path: Path) -> None:
    """Opening fails as writing does."""
    (tmp_path / "a").touch()
    with pytest.raises(StorageFailed):
        storage.AppendLog(tmp_path / "a" / "log")


APPEND = """
import sys
from pathlib import Path
from relkit.core import storage
log = storage.AppendLog(Path(sys.argv[1]))
print("ready", flush=True)
for i in range(10**9):
    log.append(f"line {i}")
"""


def test_a_kill_loses_no_line_that_was_appended(tmp_path: Path) -> None:
    """SIGKILL in the middle of a stream: every line up to the end is whole and in order."""
    path = tmp_path / "log"
    with running(APPEND, path) as process:
        while storage.whole_length(path) < 2_000:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    lines = storage.read_lines(path)
    assert lines == [f"line {i}" for i in range(len(lines))]


REPLACE = """
import sys
from pathlib import Path
from relkit.core import storage
path = Path(sys.argv[1])
with storage.replacing(path) as temporary:
    temporary.write_bytes(b"half")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_kill_inside_a_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    """What is left beside it is known as a leftover, and only that is removed."""
    path = tmp_path / "texts.parquet"
    path.write_bytes(b"old")
    for name in (".lock", ".hidden", ".gitignore", "a.b.c", ".dvc.config"):
        (tmp_path / name).touch()
    kept = names(tmp_path)
    with running(REPLACE, path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.read_bytes() == b"old"
    (left,) = set(names(tmp_path)) - set(kept)
    assert re.fullmatch(r"\.texts\.parquet\.\w{8}", left)
    storage.drop_leftovers(tmp_path)
    assert names(tmp_path) == kept


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.unlink(missing_ok=True), "the thing: no such file"),
        (lambda path: path.mkdir(), "the thing: is a folder, a file was expected"),
        (lambda path: path.symlink_to(path), "the thing: cannot be read: "),
    ],
)
def test_a_file_that_cannot_be_read_is_called_by_its_name(
    tmp_path: Path, make: object, message: str
) -> None:
    """Never by its place on the machine."""
    path = tmp_path / "file"
    assert callable(make)
    make(path)
    with pytest.raises(InvalidInput) as caught:
        storage.read_bytes(path, what="the thing", hint="do this")
    assert caught.value.message.startswith(message)
    assert str(tmp_path) not in caught.value.message
    assert caught.value.hint == "do this"


HOLD = """
import sys
from pathlib import Path
from relkit.core import storage
with storage.lock_file(Path(sys.argv[1]), what="the run"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_lock_shuts_out_another_process_until_it_is_killed(tmp_path: Path) -> None:
    """Busy while a real process holds it; free the moment that process is gone."""
    path = tmp_path / "runs" / ".lock"
    with running(HOLD, path) as process:
        with pytest.raises(Busy) as caught, storage.lock_file(path, what="the run"):
            pytest.fail("two processes hold one lock")
        assert caught.value.message == "the run is in use by another relkit process"
        assert caught.value.hint
        process.send_signal(signal.SIGKILL)
        process.wait()
        with storage.lock_file(path, what="the run"):
            assert path.exists()


def test_a_lock_is_let_go_of_after_any_error(tmp_path: Path) -> None:
    """And it shuts out this process, too, as long as it is held."""
    path = tmp_path / ".lock"
    with suppress(ValueError), storage.lock_file(path, what="it"):
        with pytest.raises(Busy), storage.lock_file(path, what="it"):
            pytest.fail("held twice")
        raise ValueError
    with storage.lock_file(path, what="it"):
        pass


def test_a_lock_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    """No lock, no run."""
    (tmp_path / "a").touch()
    with pytest.raises(StorageFailed), storage.lock_file(tmp_path / "a" / "b", what="it"):
        pytest.fail("there is no such folder")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Thousands of writes in one process must not run out of files."""
    before = len(list(Path("/dev/fd").iterdir()))
    for i in range(20):
        storage.write_text(tmp_path / "file", str(i))
        with (
            storage.lock_file(tmp_path / ".lock", what="it"),
            storage.AppendLog(tmp_path / "log") as log,
        ):
            log.append(str(i))
        with pytest.raises(StorageFailed), storage.replacing(tmp_path / "file"):
            raise OSError(errno.EIO, "x")
    assert len(list(Path("/dev/fd").iterdir())) == before
