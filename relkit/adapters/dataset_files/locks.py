"""What the lock of a dataset says, and whether the files beside it agree."""

import os
from collections.abc import Iterable
from pathlib import Path

from relkit import storage
from relkit.adapters.dataset_files.reading import ReadDataset, defect, inside
from relkit.domain.dataset_versions import DatasetLock
from relkit.domain.errors import InvalidInput
from relkit.records.dataset_locks import parse_lock, parse_pointer
from relkit.records.strict import decode
from relkit.records.yaml_text import shown

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
    outs = () if lock is None else lock.outs
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
                f"{name} has audio under DVC and no {LOCK} at revision {commit[:12]}",
                hint=f"run: relkit dataset lock {name}, and commit what it wrote",
            )
        out = path.name.removesuffix(POINTER)
        md5 = parse_pointer(
            decode(storage.read_bytes(path, what=source), source=source), source=source
        )
        if out in lock.outs and lock.outs[out] != md5:
            raise InvalidInput(
                f"{source} names other audio than {LOCK} at revision {commit[:12]}",
                hint=f"run: relkit dataset lock {name}, and commit what it wrote",
            )


def refuse_other_audio(found: ReadDataset, root: Path, name: str) -> None:
    """Refuse audio whose bytes are not those that the lock recorded."""
    held = {} if found.lock is None else found.lock.audio
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
            f"{name}/{LOCK} at revision {commit[:12]} was written before the dataset changed",
            hint=f"run: relkit dataset lock {name}, commit, and name that revision",
        )
