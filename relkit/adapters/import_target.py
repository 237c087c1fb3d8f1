"""Writes an imported dataset whole, or not at all."""

import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from relkit import storage
from relkit.domain.errors import InvalidInput, StorageFailed
from relkit.ports import Progress
from relkit.records.yaml_text import shown

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BLOCK = 1 << 20
_PREFIX = ".relkit-import-"


class ImportTarget:
    """The datasets folder of a workspace."""

    def __init__(self, datasets: Path, *, state: Path) -> None:
        """Write below ``datasets``; the lock lies in ``state``."""
        self._datasets = datasets
        self._state = state

    def check_name(self, name: str) -> None:
        """Raise InvalidInput where a dataset cannot be called so, or is there already."""
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f'a dataset cannot be called "{shown(name)}"',
                hint="--name: letters, digits, dot, dash and underscore, beginning with the first",
            )
        if os.path.lexists(self._datasets / name):
            raise InvalidInput(
                f"{self._datasets.name}/{name} exists already",
                hint="choose another name with --name, or move the folder away",
            )

    def root_entry(self, name: str, root: str) -> str:
        """Return how ``audio_roots`` names a folder: from the dataset where both are neighbours."""
        base = Path(os.path.realpath(self._datasets))
        if base == self._datasets and Path(root).is_relative_to(base.parent):
            return os.path.relpath(root, base / name)
        return root

    def write(
        self,
        name: str,
        texts: Mapping[str, str],
        copies: Sequence[tuple[str, str]],
        progress: Progress,
    ) -> None:
        """Write text files and copies (from an absolute path, to one inside) as a new dataset.

        All is written and synced beside the dataset's place first, then renamed into it. Raises
        InvalidInput where it exists by now or a file cannot be read, StorageFailed, and Busy where
        another import is under way.
        """
        with (
            storage.lock(self._state / "import.lock", what="the import of datasets"),
            self._fresh() as folder,
        ):
            for done, (source, inside) in enumerate(copies, start=1):
                _copy(source, folder / inside, name)
                progress(done, len(copies))
            for file, text in texts.items():
                with _writing(name):
                    _write(folder / file, text)
            self.check_name(name)
            with _writing(name):
                folder.chmod(0o755 & ~_umask())
                folder.rename(self._datasets / name)
                _sync(self._datasets)

    @contextmanager
    def _fresh(self) -> Iterator[Path]:
        """Give a new folder beside the datasets; whatever is still there at the end is removed.

        Those that a killed import left are removed first: the lock says that they are nobody's.
        """
        with _writing("the dataset"):
            self._datasets.mkdir(parents=True, exist_ok=True)
            for left in self._datasets.glob(f"{_PREFIX}*"):
                shutil.rmtree(left)
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._datasets))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _writing(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFailed(
                f"no space left to write {name}", hint="free some disk space and import it again"
            ) from error
        raise StorageFailed(
            f"cannot write {name}: {os.strerror(error.errno or errno.EIO)}",
            hint="check the permissions of the datasets folder",
        ) from error


def _copy(source: str, target: Path, name: str) -> None:
    """Copy a regular file; what it becomes while it is read (a pipe) never blocks."""
    shown_name = shown(Path(source).name)
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        raise InvalidInput(f"{shown_name}: cannot be read: {reason}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidInput(f"{shown_name}: is no regular file")
        with _writing(name):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as writing:
                while block := _read(descriptor, shown_name):
                    writing.write(block)
                writing.flush()
                os.fsync(writing.fileno())
    finally:
        os.close(descriptor)


def _read(descriptor: int, name: str) -> bytes:
    try:
        return os.read(descriptor, _BLOCK)
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        raise InvalidInput(f"{name}: cannot be read: {reason}") from error


def _write(path: Path, text: str) -> None:
    with path.open("xb") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)  # it can only be read by setting it
    os.umask(mask)
    return mask
