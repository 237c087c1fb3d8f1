"""Runs DVC and git as commands, quietly."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from relkit.domain.errors import BackendUnavailable, InvalidInput, MissingDependency

_OF_A_HOOK = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})
_BOOT = (
    "import json, sys\n"
    "sys.path[:] = json.loads(sys.argv[1])\n"
    "from relkit.adapters.dvc_data.child import run\n"
    "run(*sys.argv[2:])\n"
)


def installed() -> bool:
    """Whether DVC can be run; it is not imported."""
    return find_spec("dvc") is not None


def require(why: str) -> None:
    """Raise MissingDependency where DVC cannot be run."""
    if not installed():
        raise MissingDependency(
            f"{why}, and DVC is not installed", hint="pip install 'relkit[dvc]'"
        )


def environment(site: Path) -> dict[str, str]:
    """Return the environment DVC runs in: the user's own, minus what would phone home."""
    kept = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    quiet = {"DVC_NO_ANALYTICS": "1", "CI": "true"}  # with CI set DVC looks for no new version
    return {"DVC_SITE_CACHE_DIR": str(site), **kept, **quiet}


def dvc(folder: Path, site: Path, *arguments: str) -> None:
    """Run a DVC command in a folder; raises InvalidInput with DVC's own reason."""
    require(f"dvc {arguments[0]} is needed")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", *arguments],
        cwd=folder,
        env=environment(site),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise InvalidInput(
            f"dvc {arguments[0]} failed{_reason(done.stderr, folder)}",
            hint=f"run it by hand to see more: dvc {' '.join(arguments)}",
        )


def _reason(text: str, folder: Path) -> str:
    """Return DVC's error line, without the machine's paths."""
    lines = [line for line in text.splitlines() if line.startswith("ERROR: ")]
    if not lines:
        return ""
    said = lines[-1].removeprefix("ERROR: ")
    for place in (folder, *folder.parents[:-1]):
        said = said.replace(f"{place}{os.sep}", "")
    return f": {said}" if f" {os.sep}" not in said and f"'{os.sep}" not in said else ""


def pull(root: Path, site: Path, md5: str, *, what: str) -> None:
    """Bring a hash, and for a folder all its files, from the remote into the cache.

    What the remote lacks is not an error here. Raises BackendUnavailable where there is no remote
    or it cannot be reached.
    """
    require(f"{what}: the audio is not in the DVC cache")
    done = subprocess.run(
        [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path), str(root), md5],
        env=environment(site),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        check=False,
    )
    lines = done.stdout.splitlines()
    said = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {"error": "crashed"}
    if "error" not in said:
        return
    remote = f' "{said["remote"]}"' if said.get("remote") else ""
    problem = {
        "none": "no DVC remote is set",
        "gone": f"the DVC remote{remote} is gone",
        "plugin": f"the DVC remote{remote} needs a part of DVC that is not installed",
    }.get(said["error"], f"the DVC remote{remote} cannot be reached ({said['error']})")
    raise BackendUnavailable(
        f"{what}: the audio is not in the DVC cache, and {problem}",
        hint="see: dvc remote list; then: dvc pull",
    )


def git(folder: Path, *arguments: str, given: bytes | None = None) -> bytes | None:
    """Return what a git command printed; None where it failed or there is no git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607  # the user's own git
            input=given,
            capture_output=True,
            check=False,
            env={k: v for k, v in os.environ.items() if k not in _OF_A_HOOK},
        )
    except OSError:
        return None
    return None if done.returncode else done.stdout


def index_entries(folder: Path, outs: Sequence[str]) -> bytes:
    """Return the entries of git's index below some paths, as ``update-index`` takes them back."""
    return git(folder, "ls-files", "--stage", "--full-name", "-z", "--", *outs) or b""
