"""How a file is made safe: temp file, fsync, rename; appends that survive a kill; locks."""

import errno
import fcntl
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from relkit.core.codec import decode
from relkit.core.errors import Busy, InvalidInput, StorageFailed
from relkit.core.yaml_text import shown

SECRET_BYTES = 32
"""The length of a key of relkit's, which a file has in hexadecimal."""

_OTHERS = 0o077
_DEVICES = Path("/dev")
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")  # as mkstemp names it


def _failed(path: Path, error: OSError) -> StorageFailed:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFailed(
            f"no space left to write {path.name}",
            hint="free some disk space and run the same command again",
        )
    return StorageFailed(
        f"cannot write {path.name}: {os.strerror(error.errno or errno.EIO)}",
        hint="check the permissions of the folder",
    )


def sync_folder(folder: Path) -> None:
    """Make a rename durable: the directory entry has to reach the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temp path beside ``path``; on success it replaces ``path``, whole and fsynced.

    On any error the temp file is removed and ``path`` stays as it was. Raises StorageFailed, also
    for a device or a pipe (``/dev/stdout``), which a file would replace for everybody.
    """
    try:
        special = path.exists() and not path.is_file() and not path.is_dir()
        if special or path.absolute().parent == _DEVICES:
            raise StorageFailed(
                f"cannot write {shown(path.name)}: it is a device or a pipe, and no file",
                hint="name a file",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
    except OSError as error:
        raise _failed(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp gives 0600, which a team could not read.
        temporary.chmod(0o666 & ~umask())
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def drop_leftovers(folder: Path) -> None:
    """Remove the temp files that a kill inside :func:`replacing` left; hold the folder's lock."""
    for path in folder.glob(".*.*"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def umask() -> int:
    """Return the mask of new files, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; raises StorageFailed."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; raises StorageFailed."""
    write_bytes(path, text.encode("utf-8"))


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can ever read, from its first byte on; raises OSError.

    A file that is there is left as it is: raises FileExistsError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def secret_bytes(
    path: Path, *, make: bool, what: str, absent: str, exposed: InvalidInput, broken: InvalidInput
) -> bytes:
    """Return the 32 bytes of a secret in hexadecimal; with ``make`` one that is absent is made.

    Of two processes that make it at once, both get the secret of one. Raises InvalidInput with the
    hint ``absent`` where there is none, ``exposed`` where others can read it, ``broken`` where it
    is no secret, StorageFailed where none can be written.
    """
    if make and not path.exists():
        try:
            write_secret(path, secrets.token_hex(SECRET_BYTES).encode("ascii") + b"\n")
        except FileExistsError:
            pass
        except OSError as error:
            raise StorageFailed(
                f"cannot write {what}: {os.strerror(error.errno or 0)}",
                hint="check the permissions of the folder",
            ) from error
    data = read_bytes(path, what=what, hint=absent)
    if path.stat().st_mode & _OTHERS:
        raise exposed
    try:
        secret = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise broken
    return secret


def read_bytes(path: Path, *, what: str, hint: str | None = None) -> bytes:
    """Return a file's bytes; raises InvalidInput that calls it ``what``, never by its full path."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InvalidInput(f"{what}: no such file", hint=hint) from error
    except IsADirectoryError as error:
        raise InvalidInput(f"{what}: is a folder, a file was expected", hint=hint) from error
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        raise InvalidInput(f"{what}: cannot be read: {reason}", hint=hint) from error


def unreadable(error: OSError, *, among: str) -> InvalidInput:
    """Return that one of some files cannot be read: its name, where the error has it, and why."""
    name = Path(os.fsdecode(error.filename)).name if error.filename else among
    reason = os.strerror(error.errno or errno.EIO)
    return InvalidInput(f"{shown(name)}: cannot be read: {reason}")


class AppendLog:
    """A file of lines that only grows; a line is whole or, after a kill, a torn last one.

    ``sync`` decides when a batch must be on disk; ``read_lines`` drops a torn tail.
    """

    def __init__(self, path: Path) -> None:
        """Open for appending; a torn last line is cut off first."""
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what could not be written must not be tried again when it is closed.
            self._file = path.open("ab", buffering=0)
            self._file.truncate(whole_length(path))
        except OSError as error:
            raise _failed(path, error) from error

    def append(self, line: str) -> None:
        """Append one line and hand it to the operating system, so that SIGKILL cannot lose it.

        Where it cannot be written whole it is taken back. Raises StorageFailed.
        """
        rest = line.encode("utf-8") + b"\n"
        before = os.fstat(self._file.fileno()).st_size
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(before)
            raise _failed(self._path, error) from error

    def sync(self) -> None:
        """Make all lines durable against a power cut."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _failed(self._path, error) from error

    def close(self) -> None:
        """Sync and close."""
        if self._file.closed:
            return
        with suppress(OSError):
            os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> Self:
        """Return the log itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close, whatever happened."""
        self.close()


def whole_length(path: Path) -> int:
    """Return how many bytes of a line file are whole lines; 0 where there is no file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0
    return data.rfind(b"\n") + 1


def read_lines(path: Path) -> list[str]:
    """Return the whole lines of an append log; a torn last line is left out.

    Only a line feed ends a line: JSON may hold U+2028 and U+0085 as they are. Raises InvalidInput
    for what is no UTF-8 text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return decode(data[: data.rfind(b"\n") + 1], source=path.name).split("\n")[:-1]


@contextmanager
def lock_file(path: Path, *, what: str) -> Iterator[None]:
    """Hold an exclusive lock for the block; raises Busy where another process holds it.

    The operating system releases it when the process dies, so a kill leaves no stale lock.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _failed(path, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(
                f"{what} is in use by another relkit process", hint="wait until it has ended"
            ) from error
        except OSError as error:  # a file system without locks
            raise _failed(path, error) from error
        yield
    finally:
        os.close(descriptor)
