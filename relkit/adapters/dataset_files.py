"""Datasets as folders: ``dataset.yaml``, a manifest, audio inside declared roots only."""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from relkit import storage
from relkit.domain.datasets import Bins, Dataset, DatasetVersion
from relkit.domain.errors import InvalidInput
from relkit.domain.utterances import Utterance
from relkit.records.datasets import (
    DatasetRecord,
    default_id,
    parse_dataset,
    parse_manifest,
    refuse_duplicates,
)
from relkit.records.digests import JsonValue, digest_of
from relkit.records.strict import decode, nearest
from relkit.records.yaml_text import shown, where

_BLOCK = 1 << 20


class Revisions(Protocol):
    """Versions of a dataset's folder."""

    def state(self) -> tuple[str | None, bool | None]:
        """Return (commit, dirty) of the working tree."""
        ...

    def resolve(self, revision: str) -> str:
        """Return the commit of a revision."""
        ...

    def export(self, commit: str, target: Path) -> None:
        """Write the folder as it was at a commit to a new folder."""
        ...


class RevisionsOf(Protocol):
    """Makes the :class:`Revisions` of a folder."""

    def __call__(self, folder: Path, /) -> Revisions:
        """Return the versions of ``folder``."""
        ...


class DatasetFiles:
    """The datasets of a workspace; implements the ``DatasetStore`` port."""

    def __init__(self, folder: Path, *, cache: Path, revisions: RevisionsOf) -> None:
        """Look for datasets in ``folder``; old revisions are exported below ``cache``."""
        self._folder = folder
        self._cache = cache
        self._revisions = revisions

    def load(self, name: str, *, rev: str | None) -> Dataset:
        """Return the dataset at a git revision, or the working tree; raises InvalidInput."""
        root = self._root(name)
        revisions = self._revisions(root)
        if rev is None:
            commit, dirty = revisions.state()
        else:
            commit, dirty = revisions.resolve(rev), False
            old = self._cache / name / commit
            if not old.is_dir():
                revisions.export(commit, old)
            root = old
        record = _read_record(root, name)
        utterances = _read_manifest(root, name, record)
        version = DatasetVersion(
            name=name,
            revision=commit,
            dirty=dirty,
            digest=_digest(record, utterances),
            utterances=len(utterances),
        )
        return _dataset(root, record, version, utterances)

    def _root(self, name: str) -> Path:
        root = self._folder / name
        if Path(name).name != name or not (root / "dataset.yaml").is_file():
            known = tuple(sorted(path.parent.name for path in self._folder.glob("*/dataset.yaml")))
            raise InvalidInput(
                f'no dataset "{shown(name)}" in {self._folder.name}/',
                hint=nearest(name, known) or "make one, or start from: relkit init DIR",
            )
        return root


def _read_record(root: Path, name: str) -> DatasetRecord:
    source = f"{name}/dataset.yaml"
    data = storage.read_bytes(root / "dataset.yaml", what=source)
    record = parse_dataset(decode(data, source=source), source=source)
    if record.name != name:
        raise InvalidInput(
            f'{source}: is called "{shown(record.name)}"', hint=f'write "name: {name}"'
        )
    return record


def _read_manifest(root: Path, name: str, record: DatasetRecord) -> tuple[Utterance, ...]:
    source = f"{name}/{shown(record.manifest)}"
    roots = [root, *(root / extra for extra in record.audio_roots)]
    real = tuple(os.path.realpath(path) for path in roots)
    if _root_of(os.path.realpath(root / record.manifest), real) is None:
        raise InvalidInput(
            f"{name}/dataset.yaml: the manifest lies outside the dataset", hint="move it into it"
        )
    text = decode(storage.read_bytes(root / record.manifest, what=source), source=source)
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


def _digest(record: DatasetRecord, utterances: tuple[Utterance, ...]) -> str:
    """Return a digest over every row and the bytes of its audio, in the order of the ids."""
    digests: dict[str, str | None] = {}
    rows: list[JsonValue] = []
    for item in utterances:
        if item.audio.path not in digests:
            digests[item.audio.path] = _file_digest(item.audio.path)
        rows.append(_row(item, digests[item.audio.path]))
    bins: list[JsonValue] = [b.model_dump() for b in record.bins]
    settings: dict[str, JsonValue] = {"cluster": record.cluster, "bins": bins}
    return digest_of({"settings": settings, "utterances": rows})


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


def _dataset(
    root: Path,
    record: DatasetRecord,
    version: DatasetVersion,
    utterances: tuple[Utterance, ...],
) -> Dataset:
    return Dataset(
        version=version,
        root=str(root),
        cluster=record.cluster,
        slices=tuple(record.slices),
        bins=tuple(Bins(name=b.name, column=b.column, edges=tuple(b.edges)) for b in record.bins),
        utterances=utterances,
        manifest=f"{version.name}/{record.manifest}",
    )
