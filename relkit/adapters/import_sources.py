"""Folders of other tools: their text files, and where the audio they name lies."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from relkit import storage
from relkit.domain.errors import InvalidInput
from relkit.domain.imports import ImportedRow, ImportKind, LocatedAudio, SourceFile
from relkit.records.strict import decode
from relkit.records.yaml_text import shown, where

MAX_TEXT_BYTES = 1 << 30
MAX_FILES = 5_000_000
READ = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc", ".au", ".snd"}
    | {".caf", ".w64", ".rf64", ".sph", ".wv1", ".wv2", ".nist", ".voc"}
)
"""Endings of what libsndfile reads."""

UNREAD = frozenset({".m4a", ".mp4", ".aac", ".webm", ".wma", ".amr", ".ape", ".mka", ".shn"})
"""Endings of audio that it does not read."""

_NEMO = (".json", ".jsonl")
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
        paths = self._paths()
        return tuple(self._file(path) for path in paths)

    def _paths(self) -> list[Path]:
        if self._path.is_file():
            return self._alone()
        if self._kind is ImportKind.NEMO:
            return [self._manifest()]
        if self._kind is ImportKind.KALDI:
            return [self._root / name for name in self._kaldi if (self._root / name).is_file()]
        wanted = _TABLES[self._kind]
        if self._kind is ImportKind.AUDIO_FOLDER:
            found = sorted(path for path in self._walk() if path.name in wanted)
        else:
            found = [self._root / name for name in wanted if (self._root / name).is_file()]
            found += self._lengths() if found else []
        if not found:
            raise InvalidInput(
                f"{self.name}: holds none of {', '.join(wanted)}", hint=_HINTS[self._kind]
            )
        return found

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

    def _manifest(self) -> Path:
        found = sorted(path for path in self._root.iterdir() if path.suffix in _NEMO)
        if len(found) != 1:
            listed = ", ".join(path.name for path in found[:5]) or "none is there"
            raise InvalidInput(
                f"{self.name}: {len(found)} manifests in the folder", hint=f"name one: {listed}"
            )
        return found[0]

    def _file(self, path: Path) -> SourceFile:
        name = path.relative_to(self._root).as_posix()
        if not path.is_file():
            raise InvalidInput(f"{name}: is no regular file")
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise InvalidInput(f"{name}: is larger than 1 GiB", hint="import it in parts")
        text = decode(storage.read_bytes(path, what=name), source=name)
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
        given = os.path.expanduser(row.audio)  # noqa: PTH111  # as NeMo does; a string is wanted
        if "\0" in given:
            raise InvalidInput(f"{at}: the path holds a NUL character")
        if Path(given).suffix.lower() not in READ | UNREAD:
            raise InvalidInput(
                f'{at}: "{shown(Path(given).name)}" is no audio file by its name',
                hint="it needs an ending such as .wav, .flac or .mp3",
            )
        choices = [os.path.normpath(base / given) for base in self._bases(row)]
        path = next((choice for choice in choices if os.path.lexists(choice)), choices[0])
        folder, name = os.path.split(path)
        path = os.path.join(_real_folder(folder), name)  # noqa: PTH118  # hot path
        real = os.path.realpath(path)
        if row.confined and not self._inside(path, real, given):
            raise InvalidInput(
                f"{at}: the audio path leaves the source", hint="name files inside the folder"
            )
        return LocatedAudio(path=path, real=real, found=_is_file(real))

    def _bases(self, row: ImportedRow) -> list[Path]:
        base = self._root / row.folder
        if self._kind is not ImportKind.KALDI:
            return [base]
        # Kaldi's paths start from the recipe's folder, two above data/test.
        return [base, *base.parents][:_KALDI_DEPTH]

    def _inside(self, path: str, real: str, given: str) -> bool:
        root = os.path.realpath(self._root)
        # A download of Hugging Face holds links into the "blobs" folder two above it.
        blobs = Path(root).parent.parent / "blobs"
        inside = Path(path).is_relative_to(root) and not os.path.isabs(given)  # noqa: PTH117  # hot path
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
