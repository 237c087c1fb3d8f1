"""Audio under DVC: put there by DVC's own commands, read from its caches and remotes.

Importing DVC takes a second, so this process never does. What lies in the cache, or in a remote
that is a local folder, is copied and verified here; everything else is DVC's work in a child
process, with the user's configuration, and without analytics or update checks.
"""

import configparser
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from relkit._version import with_extra
from relkit.core import storage
from relkit.core.codec import decode
from relkit.core.errors import BackendUnavailable, InvalidInput, MissingDependency, StorageFailed
from relkit.core.yaml_text import shown
from relkit.datasets.files import DIRECTORY, parse_listing, parse_pointer
from relkit.datasets.types import TrackedAudio

_BLOCK = 1 << 20
_FILES = Path("files", "md5")
_REMOTE = re.compile(r"\A'?remote \"(?P<name>.+)\"'?\Z")
_SCHEME = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]+://")
_LFS = b"version https://git-lfs"


def dvc_root(folder: Path) -> Path | None:
    """Return the nearest folder upward that DVC works in."""
    return next((at for at in (folder, *folder.parents) if (at / ".dvc").is_dir()), None)


def _configs(root: Path) -> tuple[Path, Path]:
    return root / ".dvc" / "config", root / ".dvc" / "config.local"


def object_stores(root: Path) -> tuple[Path, ...]:
    """Return the folders of objects on this machine: the cache first, then local remotes.

    What is set for the user or the machine is DVC's to know, and left to it.
    """
    cache = root / ".dvc" / "cache"
    remotes: dict[str, Path] = {}
    for path in _configs(root):
        config = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            config.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        if folder := config.get("cache", "dir", fallback=""):
            cache = path.parent / folder
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
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5.removesuffix(DIRECTORY):
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
            copies = Path(temporary) / "out"
            for path, md5 in files.items():
                place = copies / path if path else copies
                place.parent.mkdir(parents=True, exist_ok=True)
                _copy(stores, md5, place, what=f"{what}/{path}" if path else what)
            copies.rename(target)
    except OSError as error:
        if not target.exists():
            raise StorageFailed(
                f"{what} could not be written", hint="check free disk space and permissions"
            ) from error


def _copy(stores: Sequence[Path], md5: str, target: Path, *, what: str) -> None:
    problem = "its object is neither in the DVC cache nor in the remote"
    hint = "push it from where it was locked: dvc push"
    for place in _places(stores, md5):
        digest = hashlib.md5(usedforsecurity=False)
        try:
            with place.open("rb") as source, target.open("wb") as copy:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    copy.write(block)
        except FileNotFoundError:
            continue
        if digest.hexdigest() == md5:
            return
        with place.open("rb") as file:
            problem, hint = _wrong(file.read(1024), "its object"), _AGAIN
        target.unlink()
    raise InvalidInput(f"{what}: {problem}", hint=hint)


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


_OF_A_HOOK = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})

_BOOT = (
    "import json, sys\n"
    "sys.path[:] = json.loads(sys.argv[1])\n"
    "from relkit.adapters.dvc import run\n"
    "run(*sys.argv[2:])\n"
)


def installed() -> bool:
    """Whether DVC can be run; it is not imported."""
    return find_spec("dvc") is not None


def require(why: str) -> None:
    """Raise MissingDependency where DVC cannot be run."""
    if not installed():
        raise MissingDependency(f"{why}, and DVC is not installed", hint=with_extra("dvc"))


def environment(site: Path) -> dict[str, str]:
    """Return the environment DVC runs in: the user's own, minus what would phone home."""
    quiet = {"DVC_NO_ANALYTICS": "1", "CI": "true"}  # with CI set DVC looks for no new version
    return {"DVC_SITE_CACHE_DIR": str(site), **_without_hook(), **quiet}


def _without_hook() -> dict[str, str]:
    """Return the environment without a git hook's variables, which may name another repository."""
    return {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}


def _run_python(
    site: Path, *arguments: str, folder: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env=environment(site),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        check=False,
    )


def dvc(folder: Path, site: Path, *arguments: str) -> None:
    """Run a DVC command in a folder; raises InvalidInput with DVC's own reason."""
    require(f"dvc {arguments[0]} is needed")
    done = _run_python(site, "-m", "dvc", *arguments, folder=folder)
    if done.returncode:
        raise InvalidInput(
            f"dvc {arguments[0]} failed{_reason(done.stderr, folder)}",
            hint=f"run it by hand to see more: dvc {shlex.join(arguments)}",
        )


def _reason(text: str, folder: Path) -> str:
    """Return DVC's error line, without the machine's paths."""
    lines = [line for line in text.splitlines() if line.startswith("ERROR: ")]
    if not lines:
        return ""
    reason = lines[-1].removeprefix("ERROR: ")
    for place in (folder, *folder.parents[:-1]):
        reason = reason.replace(f"{place}{os.sep}", "")
    return f": {reason}" if f" {os.sep}" not in reason and f"'{os.sep}" not in reason else ""


def pull(root: Path, site: Path, md5: str, *, remote: str | None, what: str) -> None:
    """Bring a hash, and for a folder all its files, from a remote (None: the default) to the cache.

    What the remote lacks is not an error here. Raises BackendUnavailable where there is no remote
    or it cannot be reached.
    """
    require(f"{what}: the audio is not in the DVC cache")
    done = _run_python(site, "-c", _BOOT, json.dumps(sys.path), str(root), md5, remote or "")
    lines = done.stdout.splitlines()
    reply = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {"error": "crashed"}
    if "error" not in reply:
        return
    named = f' "{shown(reply["remote"])}"' if reply.get("remote") else ""
    problem = {
        "none": "no DVC remote is set",
        "unknown": f"the DVC remote{named}, which its .dvc file names, is not set",
        "gone": f"the DVC remote{named} is gone",
        "plugin": f"the DVC remote{named} needs a part of DVC that is not installed",
    }.get(reply["error"], f"the DVC remote{named} cannot be reached ({reply['error']})")
    raise BackendUnavailable(
        f"{what}: the audio is not in the DVC cache, and {problem}",
        hint="see: dvc remote list; then: dvc pull",
    )


def git(folder: Path, *arguments: str, entered: bytes | None = None) -> bytes | None:
    """Return what a git command printed; None where it failed or there is no git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607  # the user's own git
            input=entered,
            capture_output=True,
            check=False,
            env=_without_hook(),
        )
    except OSError:
        return None
    return None if done.returncode else done.stdout


class DvcAudio:
    """The audio of datasets in one workspace's DVC repository."""

    def __init__(self, workspace: Path, *, site: Path) -> None:
        """Set up DVC in ``workspace`` where it is absent; its own scratch data goes to ``site``."""
        self._workspace = workspace
        self._site = site

    def track(self, folder: Path, outs: Sequence[str]) -> TrackedAudio:
        """Put paths of a dataset's folder under DVC and out of git's index.

        Where DVC refuses, git's index is as it was. Raises InvalidInput, MissingDependency.
        """
        require("audio goes under DVC")
        initialised = dvc_root(folder) is None and dvc_init(self._workspace, self._site)
        # As ``update-index`` takes them back.
        entries = git(folder, "ls-files", "--stage", "--full-name", "-z", "--", *outs) or b""
        if entries:
            git(folder, "rm", "-r", "--cached", "--quiet", "--ignore-unmatch", "--", *outs)
        try:
            dvc(folder, self._site, "add", "--", *outs)
        except BaseException:
            if entries:
                git(folder, "update-index", "-z", "--index-info", entered=entries)
            raise
        pointed = {}
        for out in outs:
            source = f"{folder.name}/{shown(out)}.dvc"
            text = decode(storage.read_bytes(folder / f"{out}.dvc", what=source), source=source)
            pointed[out] = parse_pointer(text, source=source).md5
        root = dvc_root(folder)
        configs = () if root is None else _configs(root)
        return TrackedAudio(
            outs=pointed,
            untracked=entries.count(b"\0"),
            initialised=initialised,
            remote=any(
                'remote "' in path.read_text(errors="replace") for path in configs if path.is_file()
            ),
        )

    def place(
        self, folder: Path, md5: str, target: Path, *, what: str, remote: str | None = None
    ) -> None:
        """Write what a DVC hash names to ``target``, whole and verified.

        ``folder`` lies in the DVC repository that is asked: its cache, its local remotes, then
        through DVC itself ``remote``, the output's own (None: the default). Raises InvalidInput,
        BackendUnavailable, MissingDependency, StorageFailed.
        """
        root = dvc_root(folder)
        if root is None:
            raise InvalidInput(
                f"{what}: the audio is under DVC, and there is no .dvc folder here",
                hint="copy the dataset with its audio, or its whole repository",
            )
        stores = object_stores(root)
        files = listing(stores, md5, what=what)
        if files is None or missing(stores, files):
            pull(root, self._site, md5, remote=remote, what=what)
            files = listing(stores, md5, what=what)
        if files is None:
            raise InvalidInput(
                f"{what}: the list of its files is neither in the DVC cache nor in the remote",
                hint="push it from where it was locked: dvc push",
            )
        write_copies(stores, files, target, what=what)


def dvc_init(folder: Path, site: Path) -> bool:
    """Set up DVC in a folder unless it lies in a DVC repository; False where nothing was done."""
    if dvc_root(folder) is not None or not installed():
        return False
    top = git(folder, "rev-parse", "--show-toplevel")
    if top is None:
        how = ["--no-scm"]
    else:
        same = Path(top.decode().rstrip("\n")).resolve() == folder.resolve()
        how = [] if same else ["--subdir"]
    dvc(folder, site, "init", *how)
    return True


def run(root: str, md5: str, remote: str) -> None:
    """Pull a hash into the cache and say in one line of JSON how it went."""
    print(json.dumps(_pull(root, md5, remote or None)))  # noqa: T201  # the one line the parent reads


def _pull(root: str, md5: str, name: str | None) -> dict[str, Any]:
    from dvc.config import (  # type: ignore[import-untyped]  # DVC ships no types
        NoRemoteError,
        RemoteNotFoundError,
    )
    from dvc.repo import Repo  # type: ignore[import-untyped]  # as above
    from dvc_data.hashfile.hash_info import HashInfo

    try:
        with Repo(root) as repo:
            name = name or repo.config["core"].get("remote")
            remote = repo.cloud.get_remote_odb(name, "pull")
            if remote.fs.protocol == "local" and not Path(remote.path).parents[1].is_dir():
                return {"error": "gone", "remote": name}
            repo.cloud.pull([HashInfo("md5", md5)], remote=name)
            listing = Path(repo.cache.local.oid_to_path(md5))
            if not listing.is_file():
                _ask(remote, md5)
            elif md5.endswith(".dir"):
                files = json.loads(listing.read_bytes())
                repo.cloud.pull([HashInfo("md5", item["md5"]) for item in files], remote=name)
    except NoRemoteError:
        return {"error": "none"}
    except RemoteNotFoundError:
        return {"error": "unknown", "remote": name}
    except ImportError:  # each kind of remote is a package of its own
        return {"error": "plugin", "remote": name}
    except Exception as error:  # noqa: BLE001  # each kind of remote has errors of its own; all mean that it did not answer
        sys.stderr.write(f"{error}\n")
        return {"error": type(error).__name__, "remote": name}
    return {}


def _ask(remote: Any, md5: str) -> None:  # noqa: ANN401  # DVC ships no types
    """Raise where a hash is missing only because the remote does not answer: DVC says neither."""
    try:
        remote.fs.info(remote.oid_to_path(md5))
    except FileNotFoundError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
            raise cause from error
