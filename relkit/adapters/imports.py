"""Datasets of other tools: their text files, where their audio lies, and the import of them.

An imported dataset is written whole, or not at all; speakers get names that lead back to no
account, by a key that stays in the workspace.
"""

import codecs
import errno
import hashlib
import hmac
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from relkit.core import storage
from relkit.core.codec import decode
from relkit.core.errors import InvalidInput, StorageFailed
from relkit.core.ports import Progress
from relkit.core.yaml_text import shown, where
from relkit.datasets.imports.rows import ImportedRow, ImportKind, LocatedAudio, SourceFile

MAX_TEXT_BYTES = 1 << 30
MAX_FILES = 5_000_000

READ = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc", ".au", ".snd"}
    | {".caf", ".w64", ".rf64", ".sph", ".wv1", ".wv2", ".nist", ".voc"}
)
"""Endings of what libsndfile reads."""

UNREAD = frozenset({".m4a", ".mp4", ".aac", ".webm", ".wma", ".amr", ".ape", ".mka", ".shn"})
"""Endings of audio that it does not read."""

_CSV = (".csv", ".tsv")
_ENDINGS = MappingProxyType({ImportKind.NEMO: (".json", ".jsonl"), ImportKind.CSV: _CSV})
_KALDI_DEPTH = 3

_TABLES: Mapping[ImportKind, tuple[str, ...]] = MappingProxyType(
    {
        ImportKind.COMMON_VOICE: ("validated.tsv", "train.tsv", "dev.tsv", "test.tsv"),
        ImportKind.AUDIO_FOLDER: ("metadata.csv", "metadata.jsonl"),
    }
)


class ImportSources:
    """Another tool's dataset at a path."""

    def __init__(self, kind: ImportKind, path: Path, *, kaldi_files: Sequence[str]) -> None:
        """Look at a file or folder; ``kaldi_files`` are the names read from a data directory."""
        if not path.exists():
            raise InvalidInput(f"{path.name or 'PATH'}: no such file or folder")
        self._kind = kind
        self._path = path.absolute()
        self._root = self._path if path.is_dir() else self._path.parent
        self._kaldi = kaldi_files

    @property
    def name(self) -> str:
        """What the source is called: a file without its ending, or a folder."""
        path = self._path
        return path.name if path.is_dir() else path.stem

    def files(self) -> tuple[SourceFile, ...]:
        """Return the text files of the layout; raises InvalidInput where there are none."""
        return tuple(self._file(path) for path in self._paths())

    def _paths(self) -> list[Path]:
        if self._path.is_file():
            return self._alone()
        if (endings := _ENDINGS.get(self._kind)) is not None:
            manifests = sorted(path for path in self._root.iterdir() if path.suffix in endings)
            if len(manifests) != 1:
                listed = ", ".join(path.name for path in manifests[:5]) or "none is there"
                raise InvalidInput(
                    f"{self.name}: {len(manifests)} manifests in the folder",
                    hint=f"name one: {listed}",
                )
            return manifests
        if self._kind is ImportKind.KALDI:
            return [self._root / name for name in self._kaldi if (self._root / name).is_file()]
        names = _TABLES[self._kind]
        if self._kind is ImportKind.AUDIO_FOLDER:
            paths = sorted(path for path in self._walk() if path.name in names)
        else:
            paths = [self._root / name for name in names if (self._root / name).is_file()]
            paths += self._lengths() if paths else []
        if not paths:
            raise InvalidInput(
                f"{self.name}: holds none of {', '.join(names)}", hint=_HINTS[self._kind]
            )
        return paths

    def _alone(self) -> list[Path]:
        if self._kind is ImportKind.KALDI:
            raise InvalidInput(
                f"{self._path.name}: is a file", hint="name the data directory, such as data/test"
            )
        if self._path.suffix.lower() in {".tar", ".gz", ".parquet", ".zip"}:
            raise InvalidInput(
                f"{self._path.name}: is an archive or a table that cannot be imported",
                hint="unpack it, and name the manifest or folder inside",
            )
        lengths = self._lengths() if self._kind is ImportKind.COMMON_VOICE else []
        return [self._path, *lengths]

    def _lengths(self) -> list[Path]:
        return [path for path in [self._root / "clip_durations.tsv"] if path.is_file()]

    def _file(self, path: Path) -> SourceFile:
        name = path.relative_to(self._root).as_posix()
        if not path.is_file():
            raise InvalidInput(f"{name}: is no regular file")
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise InvalidInput(f"{name}: is larger than 1 GiB", hint="import it in parts")
        data = storage.read_bytes(path, what=name)
        if path.suffix in _CSV:  # spreadsheets begin their tables with the mark
            data = data.removeprefix(codecs.BOM_UTF8)
        text = decode(data, source=name)
        folder = path.parent.relative_to(self._root).as_posix()
        return SourceFile(name=name, folder="" if folder == "." else folder, text=text)

    def _walk(self) -> Iterator[Path]:
        """Yield every file below the source; links to folders and hidden folders are left out."""
        count = 0
        for folder, folders, names in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                count += 1
                if count > MAX_FILES:
                    raise InvalidInput(
                        f"{self.name}: more than {MAX_FILES} files", hint="import it in parts"
                    )
                yield Path(folder, name)

    def locate(self, rows: Sequence[ImportedRow]) -> tuple[LocatedAudio, ...]:
        """Return where the audio of each row is, in order.

        Raises InvalidInput for a path that is no audio by its name, or leaves a source that names
        its files by paths inside of it.
        """
        return tuple(self._locate(row) for row in rows)

    def _locate(self, row: ImportedRow) -> LocatedAudio:
        at = where(row.file, row.line)
        named = os.path.expanduser(row.audio)  # noqa: PTH111  # as NeMo does; a string is wanted
        if "\0" in named:
            raise InvalidInput(f"{at}: the path holds a NUL character")
        if Path(named).suffix.lower() not in READ | UNREAD:
            raise InvalidInput(
                f'{at}: "{shown(Path(named).name)}" is no audio file by its name',
                hint="it needs an ending such as .wav, .flac or .mp3",
            )
        base = self._root / row.folder
        # Kaldi's paths start from the recipe's folder, two above data/test.
        bases = [base, *base.parents[: _KALDI_DEPTH - 1 if self._kind is ImportKind.KALDI else 0]]
        choices = [os.path.normpath(base / named) for base in bases]
        path = next((choice for choice in choices if os.path.lexists(choice)), choices[0])
        folder, name = os.path.split(path)
        path = os.path.join(_real_folder(folder), name)  # noqa: PTH118  # hot path
        real = os.path.realpath(path)
        if row.confined and not self._inside(path, real, named):
            raise InvalidInput(
                f"{at}: the audio path leaves the source", hint="name files inside the folder"
            )
        return LocatedAudio(path=path, real=real, exists=_is_file(real))

    def _inside(self, path: str, real: str, named: str) -> bool:
        root = os.path.realpath(self._root)
        # A download of Hugging Face holds links into the "blobs" folder two above it.
        blobs = Path(root).parent.parent / "blobs"
        inside = Path(path).is_relative_to(root) and not os.path.isabs(named)  # noqa: PTH117  # hot path
        return inside and (Path(real).is_relative_to(root) or Path(real).is_relative_to(blobs))

    def unlisted(self, located: Sequence[LocatedAudio]) -> int | None:
        """Return how many audio files of the folder no row names; None where paths lead anywhere.

        What lies in the folders of the audio counts, for a layout that keeps its audio inside.
        """
        if self._kind not in _TABLES or self._path.is_file():
            return None
        named = {item.path for item in located}
        root = os.path.realpath(self._root)
        return sum(
            path.suffix.lower() in READ | UNREAD
            and str(Path(root, path.relative_to(self._root))) not in named
            for path in self._walk()
        )


_HINTS: Mapping[ImportKind, str] = MappingProxyType(
    {
        ImportKind.COMMON_VOICE: "name the folder of one language, such as cv-corpus-17.0/cy",
        ImportKind.AUDIO_FOLDER: "without such a table there are no transcripts to score against; "
        "metadata.parquet is not read: write it as metadata.jsonl",
    }
)


@lru_cache(maxsize=65536)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116  # hot path: once per row
    except OSError:
        return False


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
            storage.lock_file(self._state / "import.lock", what="the import of datasets"),
            self._fresh() as folder,
        ):
            for done, (source, inside) in enumerate(copies, start=1):
                _copy(source, folder / inside, name)
                progress(done, len(copies))
            for file, text in texts.items():
                with _writing(name), (folder / file).open("xb") as target:
                    _write(target, text.encode("utf-8"))
            self.check_name(name)
            with _writing(name):
                folder.chmod(0o755 & ~storage.umask())
                folder.rename(self._datasets / name)
                storage.sync_folder(self._datasets)

    @contextmanager
    def _fresh(self) -> Iterator[Path]:
        """Give a new folder beside the datasets; whatever is still there at the end is removed.

        Those that a killed import left are removed first: the lock says that they are nobody's.
        """
        with _writing("the dataset"):
            self._datasets.mkdir(parents=True, exist_ok=True)
            for leftover in self._datasets.glob(f"{_PREFIX}*"):
                shutil.rmtree(leftover)
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
            with target.open("xb") as file:
                while block := _read(descriptor, shown_name):
                    file.write(block)
                _write(file, b"")
    finally:
        os.close(descriptor)


def _read(descriptor: int, name: str) -> bytes:
    try:
        return os.read(descriptor, _BLOCK)
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        raise InvalidInput(f"{name}: cannot be read: {reason}") from error


def _write(file: BinaryIO, data: bytes) -> None:
    """Write to a file and make it durable."""
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


_KEY_BYTES = 32
_LENGTH = 16


class Pseudonyms:
    """Replaces a name by the same pseudonym each time, in this workspace only.

    A plain hash would not do: account ids are published, and whoever has the list could hash it.
    """

    def __init__(self, path: Path) -> None:
        """Use the key in a file, which is made when it is first needed, readable by its owner."""
        self._path = path
        self._key: bytes | None = None

    def of(self, name: str) -> str:
        """Return 16 hexadecimal digits: HMAC-SHA-256 (RFC 2104) of the name, shortened."""
        if self._key is None:
            self._key = _read_or_make(self._path)
        digest = hmac.new(self._key, name.encode("utf-8"), hashlib.sha256)
        return digest.hexdigest()[:_LENGTH]


def _read_or_make(path: Path) -> bytes:
    """Return the key; raises InvalidInput where the file is no key, StorageFailed."""
    key = secrets.token_bytes(_KEY_BYTES)
    try:
        storage.write_secret(path, key)
    except FileExistsError:
        return _read_key(path)
    except OSError as error:
        hint = "check disk and permissions"
        raise StorageFailed(f"cannot write {path.name}", hint=hint) from error
    return key


def _read_key(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path.name}: cannot be read", hint="check its permissions") from error
    if len(key) != _KEY_BYTES:
        raise InvalidInput(
            f"{path.name}: is no key of {_KEY_BYTES} bytes",
            hint="remove it: a new one is made, and speakers get new pseudonyms",
        )
    return key
