"""DVC's objects as files: where they lie, and copies of them that are verified."""

import configparser
import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from relkit.domain.errors import InvalidInput, StorageFailed
from relkit.records.dataset_locks import DIRECTORY, parse_listing
from relkit.records.strict import decode

_BLOCK = 1 << 20
_FILES = Path("files", "md5")
_REMOTE = re.compile(r"\A'?remote \"(?P<name>.+)\"'?\Z")
_SCHEME = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]+://")
_LFS = b"version https://git-lfs"


def dvc_root(folder: Path) -> Path | None:
    """Return the nearest folder upward that DVC works in."""
    return next((at for at in (folder, *folder.parents) if (at / ".dvc").is_dir()), None)


def object_stores(root: Path) -> tuple[Path, ...]:
    """Return the folders of objects on this machine: the cache first, then local remotes.

    What is set for the user or the machine is DVC's to know, and left to it.
    """
    cache = root / ".dvc" / "cache"
    remotes: dict[str, Path] = {}
    for path in (root / ".dvc" / "config", root / ".dvc" / "config.local"):
        config = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            config.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        if own := config.get("cache", "dir", fallback=""):
            cache = path.parent / own
        for section in config.sections():
            named = _REMOTE.match(section)
            url = config.get(section, "url", fallback="")
            if named and url and not _SCHEME.match(url):
                remotes[named["name"]] = path.parent / url
    return tuple(Path(os.path.normpath(at)) / _FILES for at in (cache, *remotes.values()))


def listing(stores: Sequence[Path], md5: str, *, what: str) -> dict[str, str] | None:
    """Return the files of a folder's hash, path to MD5; None where no store has the hash."""
    if not md5.endswith(DIRECTORY):
        return {"": md5}
    data = next((p.read_bytes() for p in _places(stores, md5) if p.is_file()), None)
    if data is None:
        return None
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5.removesuffix(DIRECTORY):
        raise InvalidInput(f"{what}: {_wrong(data, 'the list of its files')}", hint=_AGAIN)
    return parse_listing(decode(data, source=what), source=what)


def missing(stores: Sequence[Path], files: dict[str, str]) -> tuple[str, ...]:
    """Return the paths whose objects are in no store."""
    return tuple(
        path for path, md5 in files.items() if not any(p.is_file() for p in _places(stores, md5))
    )


_AGAIN = "remove it from the DVC cache or remote, and push it again from where it was locked"


def write_copies(stores: Sequence[Path], files: dict[str, str], target: Path, *, what: str) -> None:
    """Write files beside ``target`` and rename them when each has its MD5; raises InvalidInput.

    Where another process was faster, its files are as good.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".relkit-dvc-", dir=target.parent) as temporary:
            made = Path(temporary) / "out"
            for path, md5 in files.items():
                place = made / path if path else made
                place.parent.mkdir(parents=True, exist_ok=True)
                _copy(stores, md5, place, what=f"{what}/{path}" if path else what)
            made.rename(target)
    except OSError as error:
        if not target.exists():
            raise StorageFailed(
                f"{what} could not be written", hint="check free disk space and permissions"
            ) from error


def _copy(stores: Sequence[Path], md5: str, target: Path, *, what: str) -> None:
    problem = "its object is neither in the DVC cache nor in the remote"
    hint = "push it from where it was locked: dvc push"
    for place in _places(stores, md5):
        try:
            found = _hashed_copy(place, target)
        except FileNotFoundError:
            continue
        if found == md5:
            return
        with place.open("rb") as file:
            problem, hint = _wrong(file.read(1024), "its object"), _AGAIN
        target.unlink()
    raise InvalidInput(f"{what}: {problem}", hint=hint)


def _hashed_copy(source: Path, target: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with source.open("rb") as given, target.open("wb") as taken:
        while block := given.read(_BLOCK):
            digest.update(block)
            taken.write(block)
    return digest.hexdigest()


def _wrong(data: bytes, of: str) -> str:
    """Say in words why an object's bytes are not what its name promises."""
    if not data:
        return f"{of} under DVC has zero bytes"
    if data.startswith(_LFS):
        return f"{of} under DVC is a Git LFS pointer"
    if data.startswith(b"outs:"):
        return f"{of} under DVC is a DVC pointer"
    return f"{of} under DVC has another MD5 than its name"


def _places(stores: Sequence[Path], md5: str) -> list[Path]:
    return [store / md5[:2] / md5[2:] for store in stores]
