"""Finds the datasets of a workspace, and their versions."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from relkit import storage
from relkit.adapters.dataset_files.locks import (
    LOCK,
    POINTER,
    absent,
    below,
    check_pointers,
    parsed_lock,
    read_lock,
    refuse_other_audio,
    refuse_stale,
)
from relkit.adapters.dataset_files.reading import (
    ReadDataset,
    defect,
    inside,
    read,
    read_manifest,
    read_record,
)
from relkit.domain.dataset_versions import DatasetLock, DatasetSnapshot
from relkit.domain.datasets import Bins, Dataset, DatasetVersion
from relkit.domain.errors import InvalidInput, StorageFailed
from relkit.records.dataset_locks import render_lock
from relkit.records.datasets import DatasetRecord
from relkit.records.strict import nearest
from relkit.records.yaml_text import shown


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

    def read(self, commit: str, name: str) -> bytes | None:
        """Return a file of the folder as it was at a commit, None where there was none."""
        ...

    def below(self, commit: str, ending: str) -> tuple[str, ...]:
        """Return the files at the top of the folder at a commit whose names end so."""
        ...


class RevisionsOf(Protocol):
    """Makes the :class:`Revisions` of a folder."""

    def __call__(self, folder: Path, /) -> Revisions:
        """Return the versions of ``folder``."""
        ...


class VersionedAudio(Protocol):
    """Where audio lies that git does not hold."""

    def place(self, folder: Path, md5: str, target: Path, *, what: str) -> None:
        """Write what a DVC hash names to ``target``, whole and verified, or raise.

        ``folder`` says which DVC repository is meant.
        """
        ...


class DatasetFiles:
    """The datasets of a workspace; implements the ``DatasetStore`` port."""

    def __init__(
        self,
        folder: Path,
        *,
        cache: Path,
        revisions: RevisionsOf,
        audio: VersionedAudio | None = None,
    ) -> None:
        """Look for datasets in ``folder``; old revisions are exported below ``cache``.

        Without ``audio`` nothing that lies under DVC can be fetched.
        """
        self._folder = folder
        self._cache = cache
        self._revisions = revisions
        self._audio = audio

    def load(self, name: str, *, rev: str | None) -> Dataset:
        """Return the dataset at a git revision, or the working tree, with its audio in place.

        Audio under DVC that is absent is fetched. The working tree is dirty also where its lock
        was written before the files changed. Raises InvalidInput, BackendUnavailable.
        """
        root = self._root(name)
        revisions = self._revisions(root)
        if rev is None:
            lock = read_lock(root, name)
            self._fetch(root, root, lock, name)
            found = read(root, name, lock)
            commit, dirty = revisions.state()
            if lock is not None and lock.digest != found.digest:
                dirty = True
            return _dataset(root, found, _version(name, commit, found, dirty=dirty))
        commit = revisions.resolve(rev)
        old = self._cache / name / commit
        found = self._old(root, old, name, commit)
        return _dataset(old, found, _version(name, commit, found, dirty=False))

    def snapshot(self, name: str, *, rev: str | None) -> DatasetSnapshot:
        """Return the dataset with the digests of its audio, fetching none of it.

        At a revision these come from its lock, or from git where git holds the audio; in the
        working tree from the files themselves, or from the lock where a path under DVC is absent.
        A stale lock tells nothing of audio that is not here. Raises InvalidInput.
        """
        root = self._root(name)
        if rev is None:
            return self._working(root, name)
        revisions = self._revisions(root)
        commit = revisions.resolve(rev)
        if revisions.read(commit, LOCK) is None and not revisions.below(commit, POINTER):
            old = self._cache / name / commit  # git itself holds the audio
            found = self._old(root, old, name, commit)
            version = _version(name, commit, found, dirty=False)
            return _snapshot(old, found, version, present=True, known=True)
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary) / name
            copy.mkdir()
            record = _copy_texts(revisions, commit, copy, name)
            lock = read_lock(copy, name)
            utterances = read_manifest(copy, name, record)
            held = {} if lock is None else lock.audio
            digests = {u.audio.path: held.get(inside(u, copy)) for u in utterances}
            found = ReadDataset(record=record, utterances=utterances, digests=digests, lock=lock)
            fresh = lock is not None and lock.digest == found.digest
            version = _version(name, commit, found, dirty=False)
            return _snapshot(copy, found, version, present=False, known=fresh)

    def locked(self, name: str, *, rev: str) -> DatasetLock | None:
        """Return what a revision's lock says without reading anything else of it.

        None where the revision has no lock. Raises InvalidInput for an unknown revision.
        """
        revisions = self._revisions(self._root(name))
        data = revisions.read(revisions.resolve(rev), LOCK)
        return None if data is None else parsed_lock(data, name)

    def write_lock(self, lock: DatasetLock) -> bool:
        """Write a dataset's lock whole; False where it says the same already."""
        path = self._root(lock.name) / LOCK
        data = render_lock(lock).encode()
        if path.is_file() and path.read_bytes() == data:
            return False
        storage.write_bytes(path, data)
        return True

    def defects(self, name: str) -> dict[str, str]:
        """Return what is wrong with audio files, path inside the dataset to words.

        Missing, empty, or the pointer of a large-file store instead of the audio itself.
        """
        root = self._root(name)
        record = read_record(root, name)
        found: dict[str, str] = {}
        for item in read_manifest(root, name, record):
            if problem := defect(Path(item.audio.path)):
                found[inside(item, root)] = problem
        return found

    def folder(self, name: str) -> Path:
        """Return the absolute folder of a dataset; raises InvalidInput where there is none."""
        return self._root(name)

    def _working(self, root: Path, name: str) -> DatasetSnapshot:
        lock = read_lock(root, name)
        found = read(root, name, lock)
        lacking = absent(root, lock)
        if lacking and lock is not None:
            here = {u.audio.path: inside(u, root) for u in found.utterances}
            digests = {
                path: lock.audio.get(here[path]) if below(here[path], lacking) else digest
                for path, digest in found.digests.items()
            }
            found = replace(found, digests=digests)
        commit, dirty = self._revisions(root).state()
        stale = lock is not None and lock.digest != found.digest
        version = _version(name, commit, found, dirty=dirty or stale)
        known = not (lacking and stale)
        return _snapshot(root, found, version, present=not lacking, known=known)

    def _old(self, root: Path, old: Path, name: str, commit: str) -> ReadDataset:
        """Return what a complete export holds; one that was changed since is made again."""
        reused = old.is_dir()
        if not reused:
            self._build(root, old, name, commit)
        found = read(old, name, read_lock(old, name))
        if reused and found.lock is not None and found.lock.digest != found.digest:
            shutil.rmtree(old, ignore_errors=True)
            self._build(root, old, name, commit)
            found = read(old, name, found.lock)
        if found.lock is not None:
            refuse_other_audio(found, old, name)
            refuse_stale(found.lock, found, name, commit)
        return found

    def _build(self, root: Path, old: Path, name: str, commit: str) -> None:
        """Export a revision and its audio; it appears under its name when it is complete."""
        try:
            old.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".building-", dir=old.parent) as temporary:
                tree = Path(temporary) / "tree"
                self._revisions(root).export(commit, tree)
                lock = read_lock(tree, name)
                check_pointers(tree, lock, name, commit)
                self._fetch(root, tree, lock, name)
                tree.rename(old)
        except OSError as error:
            if not old.is_dir():
                raise StorageFailed(
                    f"the dataset at revision {commit[:12]} could not be written",
                    hint="check free disk space and permissions",
                ) from error

    def _fetch(self, root: Path, tree: Path, lock: DatasetLock | None, name: str) -> None:
        """Put what DVC holds into ``tree`` where it is absent."""
        for out in absent(tree, lock):
            what = f"{name}/{shown(out)}"
            if self._audio is None or lock is None:
                raise InvalidInput(f"{what}: the audio is not here", hint="run: dvc pull")
            self._audio.place(root, lock.outs[out], tree / out, what=what)

    def _root(self, name: str) -> Path:
        root = self._folder / name
        if Path(name).name != name or not (root / "dataset.yaml").is_file():
            known = tuple(sorted(path.parent.name for path in self._folder.glob("*/dataset.yaml")))
            raise InvalidInput(
                f'no dataset "{shown(name)}" in {self._folder.name}/',
                hint=nearest(name, known) or "make one, or start from: relkit init DIR",
            )
        return root


def _copy_texts(revisions: Revisions, commit: str, copy: Path, name: str) -> DatasetRecord:
    """Write settings, manifest and lock of a revision to a folder and return the settings."""

    def bring(path: str) -> None:
        data = revisions.read(commit, path)
        if data is not None:
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes(data)

    bring("dataset.yaml")
    if not (copy / "dataset.yaml").is_file():
        raise InvalidInput(
            f"the dataset does not exist at revision {commit[:12]}",
            hint="name a revision in which it was committed",
        )
    record = read_record(copy, name)
    plain = os.path.normpath(record.manifest)
    if not os.path.isabs(plain) and not plain.startswith(".."):  # noqa: PTH117  # its text, no path yet
        bring(plain)
    bring(LOCK)
    return record


def _version(
    name: str, commit: str | None, found: ReadDataset, *, dirty: bool | None
) -> DatasetVersion:
    return DatasetVersion(
        name=name,
        revision=commit,
        dirty=dirty,
        digest=found.digest,
        utterances=len(found.utterances),
    )


def _snapshot(
    root: Path, found: ReadDataset, version: DatasetVersion, *, present: bool, known: bool
) -> DatasetSnapshot:
    audio = {item.id: found.digests[item.audio.path] for item in found.utterances}
    return DatasetSnapshot(
        dataset=_dataset(root, found, version),
        audio=audio if known else None,
        files={item.id: inside(item, root) for item in found.utterances},
        lock=found.lock,
        present=present,
    )


def _dataset(root: Path, found: ReadDataset, version: DatasetVersion) -> Dataset:
    record, lock = found.record, found.lock
    return Dataset(
        version=version,
        root=str(root),
        cluster=record.cluster,
        slices=tuple(record.slices),
        bins=tuple(Bins(name=b.name, column=b.column, edges=tuple(b.edges)) for b in record.bins),
        utterances=found.utterances,
        manifest=f"{version.name}/{record.manifest}",
        consent=record.consent,
        registered=None if lock is None else lock.registered,
    )
