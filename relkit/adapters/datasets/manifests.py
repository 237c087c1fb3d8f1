"""Reads the folder of a dataset: settings, manifest, and the digests of its audio."""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from relkit.core import storage
from relkit.core.codec import decode
from relkit.core.codec import encode
from relkit.core.digests import JsonValue
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown
from relkit.core.yaml_text import where
from relkit.datasets.files import default_id
from relkit.datasets.files import parse_dataset
from relkit.datasets.files import parse_manifest
from relkit.datasets.files import refuse_duplicates
from relkit.datasets.types import DatasetLock
from relkit.datasets.types import DatasetSettings
from relkit.datasets.types import Utterance
import hashlib
import os
import stat


_BLOCK = 1 << 20
_POINTER_SIZE = 1024

_POINTERS = {
    b"version https://git-lfs": "is a Git LFS pointer",
    b"outs:": "is a DVC pointer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDataset:
    """A dataset's folder as it was read; ``digests`` by absolute path of the audio."""

    settings: DatasetSettings
    utterances: tuple[Utterance, ...]
    digests: Mapping[str, str | None]
    lock: DatasetLock | None

    @property
    def digest(self) -> str:
        """SHA-256 over settings, rows and audio, in the order of the ids."""
        return _digest(self.settings, self.utterances, self.digests)


def read(root: Path, name: str, lock: DatasetLock | None) -> ReadDataset:
    """Return a folder's dataset with the digests of the audio that lies in it."""
    settings = read_settings(root, name)
    utterances = read_manifest(root, name, settings)
    paths = dict.fromkeys(item.audio.path for item in utterances)
    digests = {path: _file_digest(path) for path in paths}
    return ReadDataset(settings=settings, utterances=utterances, digests=digests, lock=lock)


def read_settings(root: Path, name: str) -> DatasetSettings:
    """Return ``dataset.yaml``; raises InvalidInput, also where it has another name."""
    source = f"{name}/dataset.yaml"
    data = storage.read_bytes(root / "dataset.yaml", what=source)
    settings = parse_dataset(decode(data, source=source), source=source)
    if settings.name != name:
        raise InvalidInput(
            f'{source}: is called "{shown(settings.name)}"', hint=f'write "name: {name}"'
        )
    return settings


def read_manifest(root: Path, name: str, settings: DatasetSettings) -> tuple[Utterance, ...]:
    """Return the utterances sorted by id, their audio as absolute paths that lie under a root.

    Raises InvalidInput with the line of what is wrong.
    """
    source = f"{name}/{shown(settings.manifest)}"
    roots = [root, *(root / extra for extra in settings.audio_roots)]
    real = tuple(os.path.realpath(path) for path in roots)
    if _root_of(os.path.realpath(root / settings.manifest), real) is None:
        raise InvalidInput(
            f"{name}/dataset.yaml: the manifest lies outside the dataset", hint="move it into it"
        )
    text = decode(storage.read_bytes(root / settings.manifest, what=source), source=source)
    utterances = parse_manifest(text, source=source)
    if not utterances:
        raise InvalidInput(f"{source}: holds no utterance", hint="write one JSON object a line")
    placed = [_placed(utterance, roots, real, source) for utterance in utterances]
    refuse_duplicates(placed, source=source)
    return tuple(sorted(placed, key=lambda utterance: utterance.id))


def _placed(
    utterance: Utterance, roots: list[Path], real: tuple[str, ...], source: str
) -> Utterance:
    """Return the utterance with its audio's absolute path, checked to lie under a root."""
    given = utterance.audio.path
    if "\0" in given:
        raise InvalidInput(f"{where(source, utterance.line)}: the path holds a NUL character")
    choices = [os.path.normpath(root / given) for root in roots]
    path = next((choice for choice in choices if os.path.lexists(choice)), choices[0])
    target = os.path.realpath(path) if _is_link(path) else _real(path)
    inside = _root_of(target, real)
    if inside is None:
        raise InvalidInput(
            f"{where(source, utterance.line)}: the audio path leaves the dataset",
            hint="move the file into it, or add its folder to audio_roots in dataset.yaml",
        )
    name = utterance.id
    if os.path.isabs(given) and name == default_id(given, utterance.audio.offset_s):  # noqa: PTH117  # hot path
        # Such an id would name this machine, and the dataset's digest would depend on it.
        name = default_id(os.path.relpath(target, inside), utterance.audio.offset_s)
    return replace(utterance, id=name, audio=replace(utterance.audio, path=path))


@lru_cache(maxsize=65536)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def _real(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(_real_folder(folder), name)  # noqa: PTH118  # hot path: once per utterance


def _is_link(path: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return False


def _root_of(path: str, roots: Iterable[str]) -> str | None:
    """Return the first root that a resolved path lies under."""
    return next((root for root in roots if path.startswith(root.rstrip(os.sep) + os.sep)), None)


def _digest(
    settings: DatasetSettings,
    utterances: tuple[Utterance, ...],
    digests: Mapping[str, str | None],
) -> str:
    """Return a digest over every row and the bytes of its audio, in the order of the ids."""
    rows: list[JsonValue] = [_row(item, digests[item.audio.path]) for item in utterances]
    shaping: dict[str, JsonValue] = {"cluster": settings.cluster, "bins": encode(settings.bins)}
    if settings.consent == "required":  # it decides which utterances are evaluated
        shaping["consent"] = settings.consent
    return digest_of({"settings": shaping, "utterances": rows})


def _row(item: Utterance, audio: str | None) -> Mapping[str, JsonValue]:
    return {
        "id": item.id,
        "audio": audio,
        "offset": item.audio.offset_s,
        "length": item.audio.length_s if item.audio.offset_s is not None else None,
        "text": item.reference,
        "attributes": dict(item.attributes),
        "entities": [[entity.text, entity.type] for entity in item.entities],
        "consent": item.consent.value,
    }


def _file_digest(path: str) -> str | None:
    """Return the SHA-256 of a regular file's bytes; None where there is none to read."""
    digest = hashlib.sha256()
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # a FIFO would block
            return None
        with open(path, "rb") as file:  # noqa: PTH123  # hot path: once per utterance
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def defect(path: Path) -> str | None:
    """Return what is wrong with a file that should hold audio."""
    try:
        if not path.is_file():
            return "is missing"
        size = path.stat().st_size
        if size == 0:
            return "has zero bytes"
        head = path.read_bytes() if size < _POINTER_SIZE else b""
    except OSError:
        return "cannot be read"
    return next((words for start, words in _POINTERS.items() if head.startswith(start)), None)


def inside(item: Utterance, root: Path) -> str:
    """Return the audio's path relative to the dataset, with forward slashes."""
    return os.path.relpath(item.audio.path, root)
