"""Finds the datasets of a workspace, and their versions.

What the lock of a dataset says, and whether the files beside it agree.

Datasets as folders: ``dataset.yaml``, a manifest, audio inside declared roots only.

``reading`` turns a folder into utterances and digests, ``locks`` compares it with its
``lock.json``, ``store`` finds datasets and old versions of them.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from relkit.core.wording import short_digest
from relkit.adapters.datasets.manifests import ReadDataset
from relkit.adapters.datasets.manifests import defect
from relkit.adapters.datasets.manifests import inside
from relkit.adapters.datasets.manifests import read
from relkit.adapters.datasets.manifests import read_manifest
from relkit.adapters.datasets.manifests import read_settings
from relkit.core import storage
from relkit.core.codec import decode
from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput
from relkit.core.errors import StorageFailed
from relkit.core.yaml_text import shown
from relkit.datasets.files import parse_lock
from relkit.datasets.files import parse_pointer
from relkit.datasets.files import render_lock
from relkit.datasets.types import Dataset
from relkit.datasets.types import DatasetLock
from relkit.datasets.types import DatasetSettings
from relkit.datasets.types import DatasetSnapshot
from relkit.datasets.types import DatasetVersion
from typing import Protocol
import os
import shutil
import tempfile


LOCK = "lock.json"
POINTER = ".dvc"


def read_lock(root: Path, name: str) -> DatasetLock | None:
    """Return what a folder's lock says, None where it has none; raises InvalidInput."""
    path = root / LOCK
    if not os.path.lexists(path):
        return None
    return parsed_lock(storage.read_bytes(path, what=f"{name}/{LOCK}"), name)


def parsed_lock(data: bytes, name: str) -> DatasetLock:
    """Return what the bytes of a lock say; raises InvalidInput, also for another dataset's."""
    source = f"{name}/{LOCK}"
    lock = parse_lock(decode(data, source=source), source=source)
    if lock.name != name:
        raise InvalidInput(
            f'{source}: is the lock of "{shown(lock.name)}"',
            hint=f"write it again: relkit dataset lock {name}",
        )
    return lock


def absent(root: Path, lock: DatasetLock | None) -> tuple[str, ...]:
    """Return the paths under DVC that are not there."""
    outs = () if lock is None else lock.audio.dvc
    return tuple(out for out in outs if not os.path.lexists(root / out))


def below(path: str, outs: Iterable[str]) -> bool:
    """Whether a path is one of some paths, or lies below one."""
    return any(path == out or path.startswith(f"{out}/") for out in outs)


def check_pointers(tree: Path, lock: DatasetLock | None, name: str, commit: str) -> None:
    """Refuse a revision whose lock is missing, or is not about the audio that DVC holds."""
    for path in sorted(tree.glob(f"?*{POINTER}")):
        source = f"{name}/{path.name}"
        if lock is None:
            raise InvalidInput(
                f"{name} has audio under DVC and no {LOCK} at revision {short_digest(commit)}",
                hint=f"run: relkit dataset lock {name}, and commit what it wrote",
            )
        out = path.name.removesuffix(POINTER)
        md5 = parse_pointer(
            decode(storage.read_bytes(path, what=source), source=source), source=source
        )
        if out in lock.audio.dvc and lock.audio.dvc[out] != md5:
            raise InvalidInput(
                f"{source} names other audio than {LOCK} at revision {short_digest(commit)}",
                hint=f"run: relkit dataset lock {name}, and commit what it wrote",
            )


def refuse_other_audio(found: ReadDataset, root: Path, name: str) -> None:
    """Refuse audio whose bytes are not those that the lock recorded."""
    held = {} if found.lock is None else found.lock.audio.sha256
    here = {inside(item, root): item.audio.path for item in found.utterances}
    for path, absolute in here.items():
        digest = found.digests[absolute]
        if path not in held or digest == held[path]:
            continue
        problem = defect(Path(absolute)) or f"has another SHA-256 than {LOCK} says"
        raise InvalidInput(
            f"{name}/{shown(path)}: {problem}", hint="restore it from where it was locked"
        )


def refuse_stale(lock: DatasetLock, found: ReadDataset, name: str, commit: str) -> None:
    """Refuse a revision whose lock says less or other than its files; raises InvalidInput."""
    if lock.digest != found.digest:
        raise InvalidInput(
            f"{name}/{LOCK} at revision {short_digest(commit)} was written before the dataset changed",
            hint=f"run: relkit dataset lock {name}, commit, and name that revision",
        )


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
            settings = _copy_texts(revisions, commit, copy, name)
            lock = read_lock(copy, name)
            utterances = read_manifest(copy, name, settings)
            held = {} if lock is None else lock.audio.sha256
            digests = {u.audio.path: held.get(inside(u, copy)) for u in utterances}
            found = ReadDataset(
                settings=settings, utterances=utterances, digests=digests, lock=lock
            )
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
        settings = read_settings(root, name)
        found: dict[str, str] = {}
        for item in read_manifest(root, name, settings):
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
                path: lock.audio.sha256.get(here[path]) if below(here[path], lacking) else digest
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
                    f"the dataset at revision {short_digest(commit)} could not be written",
                    hint="check free disk space and permissions",
                ) from error

    def _fetch(self, root: Path, tree: Path, lock: DatasetLock | None, name: str) -> None:
        """Put what DVC holds into ``tree`` where it is absent."""
        for out in absent(tree, lock):
            what = f"{name}/{shown(out)}"
            if self._audio is None or lock is None:
                raise InvalidInput(f"{what}: the audio is not here", hint="run: dvc pull")
            self._audio.place(root, lock.audio.dvc[out], tree / out, what=what)

    def _root(self, name: str) -> Path:
        root = self._folder / name
        if Path(name).name != name or not (root / "dataset.yaml").is_file():
            known = tuple(sorted(path.parent.name for path in self._folder.glob("*/dataset.yaml")))
            raise InvalidInput(
                f'no dataset "{shown(name)}" in {self._folder.name}/',
                hint=nearest(name, known) or "make one, or start from: relkit init DIR",
            )
        return root


def _copy_texts(revisions: Revisions, commit: str, copy: Path, name: str) -> DatasetSettings:
    """Write settings, manifest and lock of a revision to a folder and return the settings."""

    def bring(path: str) -> None:
        data = revisions.read(commit, path)
        if data is not None:
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes(data)

    bring("dataset.yaml")
    if not (copy / "dataset.yaml").is_file():
        raise InvalidInput(
            f"the dataset does not exist at revision {short_digest(commit)}",
            hint="name a revision in which it was committed",
        )
    settings = read_settings(copy, name)
    plain = os.path.normpath(settings.manifest)
    if not os.path.isabs(plain) and not plain.startswith(".."):  # noqa: PTH117  # its text, no path yet
        bring(plain)
    bring(LOCK)
    return settings


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
    return Dataset(
        version=version,
        root=str(root),
        settings=found.settings,
        utterances=found.utterances,
        registered=None if found.lock is None else found.lock.slices,
    )


__all__ = ["DatasetFiles", "Revisions", "RevisionsOf", "VersionedAudio"]
