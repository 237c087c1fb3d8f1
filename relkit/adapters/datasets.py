"""Datasets as folders: ``dataset.yaml``, a manifest, audio inside declared roots only.

:class:`DatasetFiles` finds the datasets of a workspace and old versions of them, compares each with
its ``lock.json``, and brings the audio that DVC holds. The digest of a dataset follows its
settings, its rows and the bytes of its audio.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

from relkit.core import storage
from relkit.core.codec import decode, encode, nearest
from relkit.core.digests import PREFIX, JsonValue, digest_of
from relkit.core.errors import InvalidInput, StorageFailed
from relkit.core.wording import short_digest
from relkit.core.yaml_text import shown, where
from relkit.datasets.files import (
    Pointer,
    parse_dataset,
    parse_lock,
    parse_manifest,
    parse_pointer,
    refuse_duplicates,
    render_lock,
)
from relkit.datasets.selection import default_id
from relkit.datasets.types import (
    Dataset,
    DatasetLock,
    DatasetSettings,
    DatasetSnapshot,
    DatasetVersion,
    Utterance,
)

LOCK = "lock.json"
POINTER = ".dvc"
_POINTER_SIZE = 1024
_POINTERS = {b"version https://git-lfs": "is a Git LFS pointer", b"outs:": "is a DVC pointer"}


class Revisions(Protocol):
    """Versions of a dataset's folder."""

    def state(self) -> tuple[str | None, bool | None]:
        """Return (commit, dirty) of the working tree."""

    def resolve(self, revision: str) -> str:
        """Return the commit of a revision."""

    def export(self, commit: str, target: Path) -> None:
        """Write the folder as it was at a commit to a new folder."""

    def read(self, commit: str, name: str) -> bytes | None:
        """Return a file of the folder as it was at a commit, None where there was none."""

    def below(self, commit: str, ending: str) -> tuple[str, ...]:
        """Return the files at the top of the folder at a commit whose names end so."""


class VersionedAudio(Protocol):
    """Where audio lies that git does not hold."""

    def place(
        self, folder: Path, md5: str, target: Path, *, what: str, remote: str | None = None
    ) -> None:
        """Write what a DVC hash names to ``target``, whole and verified, or raise.

        ``folder`` says which DVC repository is meant.
        """


class DatasetFiles:
    """The datasets of a workspace; implements the ``DatasetStore`` port."""

    def __init__(
        self,
        folder: Path,
        *,
        cache: Path,
        revisions: Callable[[Path], Revisions],
        audio: VersionedAudio | None = None,
    ) -> None:
        """Look for datasets in ``folder``; old revisions are exported below ``cache``.

        ``revisions`` gives the versions of a folder. Without ``audio`` nothing that lies under DVC
        can be fetched.
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
        root = self.folder(name)
        revisions = self._revisions(root)
        if rev is None:
            lock = read_lock(root, name)
            self._fetch(root, root, lock, name)
            content = _read(root, name, lock)
            commit, dirty = revisions.state()
            return content.dataset(commit, dirty=True if content.stale else dirty)
        commit = revisions.resolve(rev)
        return self._old(root, name, commit).dataset(commit, dirty=False)

    def snapshot(self, name: str, *, rev: str | None) -> DatasetSnapshot:
        """Return the dataset with the digests of its audio, fetching none of it.

        At a revision these come from its lock, or from git where git holds the audio; in the
        working tree from the files themselves, or from the lock where a path under DVC is absent.
        A stale lock tells nothing of audio that is not here. Raises InvalidInput.
        """
        root = self.folder(name)
        revisions = self._revisions(root)
        if rev is None:
            return _working(root, name, revisions)
        commit = revisions.resolve(rev)
        if revisions.read(commit, LOCK) is None and not revisions.below(commit, POINTER):
            # git itself holds the audio
            return self._old(root, name, commit).snapshot(commit, dirty=False)
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary) / name
            copy.mkdir()
            settings = _copy_texts(revisions, commit, copy, name)
            lock = read_lock(copy, name)
            utterances = _read_manifest(copy, name, settings)
            held = {} if lock is None else lock.audio.sha256
            digests = {path: held.get(_inside(path, copy)) for path in _paths(utterances)}
            content = _Content(
                root=copy, settings=settings, utterances=utterances, digests=digests, lock=lock
            )
            locked = lock is not None and not content.stale
            return content.snapshot(commit, dirty=False, present=False, audio_known=locked)

    def locked(self, name: str, *, rev: str) -> DatasetLock | None:
        """Return what a revision's lock says without reading anything else of it.

        None where the revision has no lock. Raises InvalidInput for an unknown revision.
        """
        revisions = self._revisions(self.folder(name))
        data = revisions.read(revisions.resolve(rev), LOCK)
        return None if data is None else parsed_lock(data, name)

    def write_lock(self, lock: DatasetLock) -> bool:
        """Write a dataset's lock whole; False where it says the same already."""
        path = self.folder(lock.name) / LOCK
        data = render_lock(lock).encode()
        if path.is_file() and path.read_bytes() == data:
            return False
        storage.write_bytes(path, data)
        return True

    def defects(self, name: str) -> dict[str, str]:
        """Return what is wrong with audio files, path inside the dataset to words.

        Missing, empty, or the pointer of a large-file store instead of the audio itself.
        """
        root = self.folder(name)
        utterances = _read_manifest(root, name, _read_settings(root, name))
        problems = {_inside(path, root): _defect(Path(path)) for path in _paths(utterances)}
        return {path: problem for path, problem in problems.items() if problem}

    def names(self) -> tuple[str, ...]:
        """Return the names of all datasets, sorted."""
        return tuple(sorted(path.parent.name for path in self._folder.glob("*/dataset.yaml")))

    def folder(self, name: str) -> Path:
        """Return the absolute folder of a dataset; raises InvalidInput where there is none."""
        root = self._folder / name
        if Path(name).name != name or not (root / "dataset.yaml").is_file():
            raise InvalidInput(
                f'no dataset "{shown(name)}" in {self._folder.name}/',
                hint=nearest(name, self.names()) or "make one, or start from: relkit init DIR",
            )
        return root

    def _old(self, root: Path, name: str, commit: str) -> "_Content":
        """Return what a complete export holds; one that was changed since is made again."""
        old = self._cache / name / commit
        reused = old.is_dir()
        if not reused:
            self._build(root, old, name, commit)
        content = _read(old, name, read_lock(old, name))
        if reused and content.stale:
            shutil.rmtree(old, ignore_errors=True)
            self._build(root, old, name, commit)
            content = _read(old, name, content.lock)
        _refuse_other_audio(content, name)
        if content.stale:
            raise InvalidInput(
                f"{name}/{LOCK} at revision {short_digest(commit)} was written before the dataset"
                " changed",
                hint=f"run: relkit dataset lock {name}, commit, and name that revision",
            )
        return content

    def _build(self, root: Path, old: Path, name: str, commit: str) -> None:
        """Export a revision and its audio; it appears under its name when it is complete."""
        try:
            old.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".building-", dir=old.parent) as temporary:
                tree = Path(temporary) / "tree"
                self._revisions(root).export(commit, tree)
                lock = read_lock(tree, name)
                _check_pointers(tree, lock, name, commit)
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
        for out in _absent(tree, lock):
            what = f"{name}/{shown(out)}"
            if self._audio is None or lock is None:
                raise InvalidInput(f"{what}: the audio is not here", hint="run: dvc pull")
            path = tree / f"{out}{POINTER}"
            remote = _pointer(path, name).remote if path.is_file() else None
            md5 = lock.audio.dvc[out]
            self._audio.place(root, md5, tree / out, remote=remote, what=what)


def _working(root: Path, name: str, revisions: Revisions) -> DatasetSnapshot:
    lock = read_lock(root, name)
    content = _read(root, name, lock)
    lacking = _absent(root, lock)
    if lock is not None and lacking:
        below = tuple(f"{out}/" for out in lacking)
        sha256 = lock.audio.sha256
        digests = {
            path: sha256.get(inside) if f"{inside}/".startswith(below) else digest
            for path, inside, digest in content.files()
        }
        content = replace(content, digests=digests)
    commit, dirty = revisions.state()
    return content.snapshot(
        commit,
        dirty=dirty or content.stale,
        present=not lacking,
        audio_known=not (lacking and content.stale),
    )


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
    settings = _read_settings(copy, name)
    plain = os.path.normpath(settings.manifest)
    if not os.path.isabs(plain) and not plain.startswith(".."):  # noqa: PTH117  # its text, no path yet
        bring(plain)
    bring(LOCK)
    return settings


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


def _absent(root: Path, lock: DatasetLock | None) -> tuple[str, ...]:
    """Return the paths under DVC that are not there."""
    outs = () if lock is None else lock.audio.dvc
    return tuple(out for out in outs if not os.path.lexists(root / out))


def _check_pointers(tree: Path, lock: DatasetLock | None, name: str, commit: str) -> None:
    """Refuse a revision whose lock is missing, or is not about the audio that DVC holds."""
    for path in sorted(tree.glob(f"?*{POINTER}")):
        if lock is None:
            raise InvalidInput(
                f"{name} has audio under DVC and no {LOCK} at revision {short_digest(commit)}",
                hint=f"run: relkit dataset lock {name}, and commit what it wrote",
            )
        out = path.name.removesuffix(POINTER)
        if out in lock.audio.dvc and lock.audio.dvc[out] != _pointer(path, name).md5:
            raise InvalidInput(
                f"{name}/{path.name} names other audio than {LOCK} at revision"
                f" {short_digest(commit)}",
                hint=f"run: relkit dataset lock {name}, and commit what it wrote",
            )


def _pointer(path: Path, name: str) -> Pointer:
    source = f"{name}/{path.name}"
    data = storage.read_bytes(path, what=source)
    return parse_pointer(decode(data, source=source), source=source)


def _refuse_other_audio(content: "_Content", name: str) -> None:
    """Refuse audio whose bytes are not those that the lock recorded."""
    held = {} if content.lock is None else content.lock.audio.sha256
    for absolute, path, digest in content.files():
        if path in held and digest != held[path]:
            problem = _defect(Path(absolute)) or f"has another SHA-256 than {LOCK} says"
            raise InvalidInput(
                f"{name}/{shown(path)}: {problem}", hint="restore it from where it was locked"
            )


@dataclass(frozen=True, kw_only=True)
class _Content:
    """What a dataset's folder holds; ``digests`` by absolute path of the audio."""

    root: Path
    settings: DatasetSettings
    utterances: tuple[Utterance, ...]
    digests: Mapping[str, str | None]
    lock: DatasetLock | None

    @cached_property
    def digest(self) -> str:
        """SHA-256 over settings, every row and the bytes of its audio, in the order of the ids."""
        rows: list[JsonValue] = [
            {
                "id": item.id,
                "audio": None if item.script else self.digests[item.audio.path],
                "offset": item.audio.offset_s,
                "length": item.audio.length_s if item.audio.offset_s is not None else None,
                "text": item.reference,
                "attributes": dict(item.attributes),
                "entities": [[entity.text, entity.type] for entity in item.entities],
                "consent": item.consent.value,
                **self._held(item),
            }
            for item in self.utterances
        ]
        shaping: dict[str, JsonValue] = {
            "cluster": encode(self.settings.cluster),
            "bins": encode(self.settings.bins),
        }
        if self.settings.consent == "required":  # it decides which utterances are evaluated
            shaping["consent"] = self.settings.consent
        return digest_of({"settings": shaping, "utterances": rows})

    def _held(self, item: Utterance) -> dict[str, JsonValue]:
        """Return what a conversation's row says besides: its script, acoustics and outcome.

        Clips stand for their bytes, wherever they lie.
        """
        if not item.script:
            return {}
        script = [
            replace(entry, audio_filepath=self.digests[entry.audio_filepath] or "(missing)")
            for entry in item.script
        ]
        sound = item.acoustics
        if sound is not None and sound.noise is not None:
            sound = replace(sound, noise=self.digests[sound.noise] or "(missing)")
        outcome, case = item.expect, item.case
        return {
            "script": [encode(entry) for entry in script],
            "acoustics": None if sound is None else encode(sound),
            "expect": None if outcome is None else encode(outcome),
            "case": None if case is None else encode(case),
        }

    def files(self) -> list[tuple[str, str, str | None]]:
        """Return each file of audio: absolute path, path inside the dataset, and digest."""
        return [(path, _inside(path, self.root), digest) for path, digest in self.digests.items()]

    def _bounded(self) -> tuple[Utterance, ...]:
        """Return the utterances, their scripts with the bounds of clips that are still locked."""
        if self.lock is None or not self.lock.audio.speech:
            return self.utterances
        held, speech = self.lock.audio.sha256, self.lock.audio.speech
        bounds = {
            path: speech[inside]
            for path, inside, digest in self.files()
            if inside in speech and held.get(inside) == digest
        }
        return tuple(
            replace(item, script=script) if item.script else item
            for item in self.utterances
            for script in [
                tuple(
                    replace(entry, bounds_ms=bounds.get(entry.audio_filepath))
                    for entry in item.script
                )
            ]
        )

    @property
    def stale(self) -> bool:
        """Whether the lock was written before the files changed."""
        return self.lock is not None and not self.lock.describes(self.digest, self.settings)

    def dataset(self, commit: str | None, *, dirty: bool | None) -> Dataset:
        return Dataset(
            version=DatasetVersion(
                name=self.settings.name,
                revision=commit,
                dirty=dirty,
                digest=self.digest,
                utterances=len(self.utterances),
                subjects=self.settings.subjects,
            ),
            root=str(self.root),
            settings=self.settings,
            utterances=self._bounded(),
            registered=None if self.lock is None else self.lock.slices,
        )

    def snapshot(
        self,
        commit: str | None,
        *,
        dirty: bool | None,
        present: bool = True,
        audio_known: bool = True,
    ) -> DatasetSnapshot:
        """Return the dataset with digests; without those of audio that is not known."""
        audio = {item.id: self._sound(item) for item in self.utterances}
        return DatasetSnapshot(
            dataset=self.dataset(commit, dirty=dirty),
            audio=audio if audio_known else None,
            files={inside: digest for _, inside, digest in self.files()},
            lock=self.lock,
            present=present,
        )

    def _sound(self, item: Utterance) -> str | None:
        """Return the digest of an utterance's audio, None where any of it is missing."""
        if not item.script:
            return self.digests[item.audio.path]
        clips = [self.digests[path] for path in item.audio_paths]
        return None if None in clips else digest_of(clips).removeprefix(PREFIX)


def _paths(utterances: Iterable[Utterance]) -> dict[str, None]:
    """Return every file of audio once."""
    return dict.fromkeys(path for item in utterances for path in item.audio_paths)


def _read(root: Path, name: str, lock: DatasetLock | None) -> _Content:
    """Return a folder's dataset with the digests of the audio that lies in it."""
    settings = _read_settings(root, name)
    utterances = _read_manifest(root, name, settings)
    digests = {path: _file_digest(path) for path in _paths(utterances)}
    return _Content(root=root, settings=settings, utterances=utterances, digests=digests, lock=lock)


def _read_settings(root: Path, name: str) -> DatasetSettings:
    """Return ``dataset.yaml``; raises InvalidInput, also where it has another name."""
    source = f"{name}/dataset.yaml"
    data = storage.read_bytes(root / "dataset.yaml", what=source)
    settings = parse_dataset(decode(data, source=source), source=source)
    if settings.name != name:
        raise InvalidInput(
            f'{source}: is called "{shown(settings.name)}"', hint=f'write "name: {name}"'
        )
    return settings


def _read_manifest(root: Path, name: str, settings: DatasetSettings) -> tuple[Utterance, ...]:
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
    """Return the utterance with absolute paths of its audio, checked to lie under a root."""
    at = where(source, utterance.line)
    if utterance.script:
        sound = utterance.acoustics
        if sound is not None and sound.noise is not None:
            sound = replace(sound, noise=_lies(sound.noise, roots, real, at)[0])
        script = tuple(
            replace(entry, audio_filepath=_lies(entry.audio_filepath, roots, real, at)[0])
            for entry in utterance.script
        )
        return replace(utterance, script=script, acoustics=sound)
    written = utterance.audio.path
    path, target, folder = _lies(written, roots, real, at)
    key = utterance.id
    if os.path.isabs(written) and key == default_id(written, utterance.audio.offset_s):  # noqa: PTH117  # hot path
        # Such an id would name this machine, and the dataset's digest would depend on it.
        key = default_id(os.path.relpath(target, folder), utterance.audio.offset_s)
    return replace(utterance, id=key, audio=replace(utterance.audio, path=path))


def _lies(written: str, roots: list[Path], real: tuple[str, ...], at: str) -> tuple[str, str, str]:
    """Return a file's absolute path, where that leads, and the root it lies under."""
    if "\0" in written:
        raise InvalidInput(f"{at}: the path holds a NUL character")
    choices = [os.path.normpath(root / written) for root in roots]
    path = next((choice for choice in choices if os.path.lexists(choice)), choices[0])
    try:
        is_link = stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        is_link = False
    parent, name = os.path.split(path)
    # Hot path, once per utterance: only the folder is resolved where the file is no link.
    target = os.path.realpath(path) if is_link else os.path.join(_real_folder(parent), name)  # noqa: PTH118
    folder = _root_of(target, real)
    if folder is None:
        raise InvalidInput(
            f"{at}: the audio path leaves the dataset",
            hint="move the file into it, or add its folder to audio_roots in dataset.yaml",
        )
    return path, target, folder


@lru_cache(maxsize=65536)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def _root_of(path: str, roots: Iterable[str]) -> str | None:
    """Return the first root that a resolved path lies under."""
    return next((root for root in roots if path.startswith(root.rstrip(os.sep) + os.sep)), None)


def _file_digest(path: str) -> str | None:
    """Return the SHA-256 of a regular file's bytes; None where there is none to read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # a FIFO would block
            return None
        with open(path, "rb") as file:  # noqa: PTH123  # hot path: once per utterance
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _defect(path: Path) -> str | None:
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


def _inside(path: str, root: Path) -> str:
    """Return a file's path relative to the dataset, with forward slashes."""
    return os.path.relpath(path, root)
