"""The workspace a command works in, the one that ``relkit init`` writes, and the machine itself."""

import difflib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from relkit._version import DISTRIBUTION, __version__
from relkit.core import storage
from relkit.core.codec import decode, parse_yaml
from relkit.core.config import (
    MARKER,
    MlflowSettings,
    Privacy,
    Tracking,
    Workspace,
    WorkspaceFile,
)
from relkit.core.errors import InvalidInput, StorageFailed, UsageError
from relkit.core.values import time_text
from relkit.core.yaml_text import shown

if TYPE_CHECKING:  # rollback reads the clock, and has no time for the types of evaluations
    from relkit.evaluation.types import Scalar

FOLDERS = ("datasets", "eval", "gates", "registry", "runbooks")
EXAMPLES = "examples"
"""Programs beside the reference workspace: written where they are named, never by themselves."""

_GITIGNORE = ".gitignore"
_IGNORED = ".relkit/\n"
_POINTER = ".dvc"

CI = Path(".github", "actions", "relkit-gate")
"""The action that gates in CI, in relkit's own repository; beside it lies an example of its use."""

WORKFLOW = Path(".github", "workflows", "relkit-gate.yml")
_ACTION = f"OWNER/relkit/{CI.as_posix()}@TAG"
_SOURCE = re.compile(r"Source, https://github\.com/([\w.-]+/[\w.-]+)/tree/([0-9a-f]{40})")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*", f"*{_POINTER}")


def scaffold_source() -> Path:
    """Return the folder the workspace is copied from: inside the wheel, or the source tree.

    Raises InvalidInput where the installation holds neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_scaffold", package.parent):
        if (folder / MARKER).is_file() and (folder / "datasets").is_dir():
            return folder
    raise InvalidInput(
        "this installation of relkit holds no reference workspace",
        hint="install relkit again from its wheel",
    )


_UNFINISHED = ".relkit-init"
_BEGUN = "this workspace is being made; relkit init goes on with it\n"


@contextmanager
def unfinished(target: Path) -> Iterator[bool]:
    """Hold a folder while a workspace is made in it; give whether a kill cut that short before.

    Raises Busy where another process is at it, StorageFailed. What an error ends is not begun.
    """
    if target.exists() and not target.is_dir():
        yield False  # what is wrong with it is said where it is written to
        return
    marker = target / _UNFINISHED
    with storage.lock_file(marker, what="the folder"):
        again = marker.read_text(encoding="utf-8") == _BEGUN
        for leftover in target.glob(f"{_UNFINISHED}-*"):
            shutil.rmtree(leftover)
        try:
            yield again
        finally:
            marker.unlink(missing_ok=True)


def write_scaffold(
    target: Path,
    source: Path,
    *,
    prepare: Callable[[Path], object] | None = None,
    again: bool = False,
) -> list[str]:
    """Copy the reference workspace to ``target`` and return the names written at its top.

    ``prepare`` is called with the folder of the copy before any of it is put in place. ``again``
    says that what is there of it was put there by a call that was cut short.

    Audio comes as plain files: a copy of DVC's ``*.dvc`` files would point to objects that the
    new workspace does not have, and ``relkit dataset lock`` makes them again.
    Nothing that exists is changed: raises InvalidInput naming the first name that is in the way.
    All is copied beside the target first, so that a full disk leaves nothing half-written.
    """
    names = [MARKER, *(name for name in FOLDERS if (source / name).is_dir())]
    if target.exists() and not target.is_dir():
        raise InvalidInput(f"{target.name} is a file", hint="name a folder")
    if not again:
        _refuse_present(target, names)
    _refuse_absent_audio(source)
    try:
        target.mkdir(parents=True, exist_ok=True)
        if (target / _UNFINISHED).exists():
            (target / _UNFINISHED).write_text(_BEGUN, encoding="utf-8")
        with tempfile.TemporaryDirectory(prefix=f"{_UNFINISHED}-", dir=target) as temporary:
            copy = Path(temporary)
            for name in names:
                _copy(source / name, copy / name)
            if prepare is not None:
                prepare(copy)
            if not os.path.lexists(target / _GITIGNORE):
                (copy / _GITIGNORE).write_text(_IGNORED, encoding="utf-8")
                names.append(_GITIGNORE)
            for name in names:
                if not os.path.lexists(target / name):
                    (copy / name).rename(target / name)
    except OSError as error:
        raise StorageFailed(
            "the workspace could not be written", hint="check free disk space and permissions"
        ) from error
    return names


def _refuse_present(target: Path, names: Sequence[str]) -> None:
    for name in names:
        if os.path.lexists(target / name):  # a link to nowhere is in the way, too
            raise InvalidInput(
                f"{name} exists already in the folder",
                hint="choose another folder, or move it; a lost file comes back with --only FILE",
            )


def restore_files(
    target: Path,
    source: Path,
    names: Sequence[str],
    *,
    prepare: Callable[[Path], object] | None = None,
) -> list[str]:
    """Copy single files of the reference workspace that the target lacks; return their names.

    ``names`` are paths inside the workspace or of its example programs, ``prepare`` is as for
    :func:`write_scaffold`. Raises UsageError for a name the reference workspace does not have,
    InvalidInput for one that exists.
    """
    roots = [source / name for name in (MARKER, *FOLDERS, EXAMPLES)]
    files = {
        path.relative_to(source).as_posix()
        for root in roots
        for path in (root.rglob("*") if root.is_dir() else [root])
        if path.is_file()
    }
    chosen = [Path(os.path.normpath(name)).as_posix() for name in names]
    for name in chosen:
        if name not in files:
            inside = [file for file in sorted(files) if file.startswith(f"{name}/")][:5]
            close = difflib.get_close_matches(name, files, n=3) or ["eval/suites/demo.yaml"]
            raise UsageError(
                f'--only: the reference workspace has no file "{shown(name)}"',
                hint=f"for example: {', '.join(inside or close)}",
            )
        if os.path.lexists(target / name):
            raise InvalidInput(f"{name} exists already in the folder", hint="move it away first")
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{_UNFINISHED}-", dir=target) as temporary:
            copy = Path(temporary)
            for root in roots:
                if root.exists():
                    _copy(root, copy / root.name)
            if prepare is not None:
                prepare(copy)
            for name in chosen:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (copy / name).rename(target / name)
    except OSError as error:
        raise StorageFailed(
            "the files could not be written", hint="check free disk space and permissions"
        ) from error
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """The workflow that gates in CI: its path from the workspace, and what to do about it.

    GitHub reads workflows at the top of a repository alone. ``inside`` is the workspace's path from
    there, "." where it is the top itself. ``written`` is False where a workflow was there, and
    ``named`` where nobody knows which repository this relkit came from.
    """

    path: str
    inside: str
    written: bool
    named: bool


def write_workflow(workspace: Path, source: Path) -> Workflow | None:
    """Write the workflow to the top of the workspace's repository unless one is there.

    It uses the action of the commit that is installed. None where the installation holds no
    example. Raises StorageFailed.
    """
    example = source / CI / "example.yml"
    if not example.is_file():
        return None
    folder = workspace.resolve()
    top = repository_top(folder) or folder
    inside = folder.relative_to(top).as_posix()
    action = installed_action()
    written = not os.path.lexists(top / WORKFLOW)
    if written:
        text = example.read_text(encoding="utf-8").replace(_ACTION, action or _ACTION)
        if inside != ".":
            text = text.replace("workspace: .\n", f"workspace: {json.dumps(inside)}\n")
        storage.write_bytes(top / WORKFLOW, text.encode("utf-8"))
    return Workflow(
        path=Path(os.path.relpath(top / WORKFLOW, folder)).as_posix(),
        inside=inside,
        written=written,
        named=action is not None,
    )


def installed_action() -> str | None:
    """Return the action as a workflow uses it, at the commit that is installed; None if unknown."""
    try:
        addresses = metadata.metadata(DISTRIBUTION).get_all("Project-URL") or ()
    except metadata.PackageNotFoundError:
        return None
    commits = (_SOURCE.fullmatch(address) for address in addresses)
    commit = next((match for match in commits if match), None)
    return None if commit is None else f"{commit[1]}/{CI.as_posix()}@{commit[2]}"


def _refuse_absent_audio(source: Path) -> None:
    for pointer in source.glob(f"datasets/*/*{_POINTER}"):
        if not pointer.with_suffix("").exists():
            raise InvalidInput(
                f"{pointer.parent.name}/{pointer.stem}: the audio of the reference workspace is "
                "not here",
                hint="run dvc pull where relkit's source lies, or install relkit from its wheel",
            )


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=_LEFT_OUT)
    else:
        shutil.copyfile(source, target)


def repository_top(folder: Path) -> Path | None:
    """Return the top of the git repository that ``folder`` lies in; None without one, or git."""
    top = _git("-C", str(folder), "rev-parse", "--show-toplevel")
    return None if top is None else Path(top).resolve()


def git_init(folder: Path) -> bool:
    """Make ``folder`` a git repository unless it lies in one; False without git on the machine."""
    inside = _git("-C", str(folder), "rev-parse", "--git-dir")
    return inside is None and _git("init", "-q", str(folder)) is not None


def keep_from_git(secret: Path, workspace: Path | None) -> None:
    """See to it that git takes no file at ``secret``, which need not be there yet.

    Inside the workspace its .gitignore names the file from now on. Raises InvalidInput where git
    would take it all the same: it is tracked, or lies in another repository that ignores it not.
    """
    path = secret.resolve()
    folder = next(parent for parent in path.parents if parent.is_dir())
    at = ("-C", str(folder))

    def is_taken() -> bool:
        ignored = _git(*at, "check-ignore", "--quiet", str(path)) is not None
        return not ignored and _git(*at, "rev-parse", "--git-dir") is not None

    if workspace is not None and path.is_relative_to(workspace):
        ignoring = workspace / _GITIGNORE
        before = ignoring.read_text(encoding="utf-8") if ignoring.is_file() else ""
        line = "/" + re.sub(r"([\\*?\[\]!# ])", r"\\\1", path.relative_to(workspace).as_posix())
        if line not in before.splitlines():
            start = before if before.endswith("\n") or not before else f"{before}\n"
            storage.write_bytes(ignoring, f"{start}{line}\n".encode())
            if is_taken():
                storage.write_bytes(ignoring, before.encode())
    if is_taken():
        raise InvalidInput(
            f"git would take {path.name} into its repository there",
            hint="name a folder outside of it, such as ~/.config/relkit; a key that was committed "
            "once is no secret",
        )


def _git(*arguments: str) -> str | None:
    """Return what git printed, without its last line end; None where it failed or is not here."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run([git, *arguments], capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout.removesuffix("\n")


_DISTRIBUTIONS = (
    "faster-whisper",
    "ctranslate2",
    "rapidfuzz",
    "whisper-normalizer",
    "duckdb",
)


class SystemClock:
    """Implements the ``Clock`` port."""

    def now(self) -> str:
        """Return the UTC time to the second."""
        return time_text(datetime.now(UTC))


def versions() -> dict[str, str]:
    """Return the versions of Python and of what shapes a run's numbers."""
    installed = {"python": platform.python_version(), "relkit": __version__}
    for name in _DISTRIBUTIONS:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def load_fingerprint(*, cores: int, jobs: int, threads: int) -> "dict[str, Scalar]":
    """Return the conditions that latencies depend on: hardware, system, processes, threads."""
    return {
        "processor": _processor(),
        "cores": cores,
        "system": platform.system(),
        "machine": platform.machine(),
        "jobs": jobs,
        "threads_per_job": threads,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


_HINT = "make one with: relkit init DIR"

PRIVACY_VARIABLE = "RELKIT_PRIVACY_CI"
"""With ``shared`` what CI systems show may be read by anybody, whatever relkit.yaml says."""


def workspace_folder(start: Path) -> Path | None:
    """Return the nearest folder upward with a ``relkit.yaml``, or None."""
    start = start.absolute()
    folders = (start, *start.parents)
    return next((folder for folder in folders if (folder / MARKER).is_file()), None)


def find_workspace(start: Path, environment: Mapping[str, str]) -> Workspace:
    """Return the workspace at or above a folder; raises InvalidInput."""
    folder = workspace_folder(start)
    if folder is None:
        raise InvalidInput(f"no {MARKER} in this folder or above it", hint=_HINT)
    return read_workspace(folder, environment)


def read_workspace(folder: Path, environment: Mapping[str, str]) -> Workspace:
    """Return the workspace in a folder; raises InvalidInput where it is none."""
    data = storage.read_bytes(folder / MARKER, what=MARKER, hint=_HINT)
    written = parse_yaml(decode(data, source=MARKER), WorkspaceFile, source=MARKER)
    root = folder.resolve()
    folders = {
        name: _inside(root, getattr(written.paths, name), f"paths.{name}")
        for name in ("datasets", "suites", "normalizers", "gates")
    }
    return Workspace(
        folder=root,
        name=written.name,
        **folders,
        trusted_keys=() if written.signing is None else written.signing.keys,
        privacy=stricter(written.privacy or Privacy(), environment),
        mlflow=_mlflow(written, environment),
        environment=dict(environment),
    )


def stricter(privacy: Privacy, environment: Mapping[str, str]) -> Privacy:
    """Return what may leave the team, with ``ci: shared`` where ``RELKIT_PRIVACY_CI`` says so.

    Nothing in the environment allows more than relkit.yaml. Raises UsageError for another word.
    """
    word = environment.get(PRIVACY_VARIABLE, "")
    if word not in {"", "internal", "shared"}:
        raise UsageError(f"{PRIVACY_VARIABLE}: shared or internal was expected")
    return replace(privacy, ci="shared") if word == "shared" else privacy


def _inside(root: Path, relative: str, key: str) -> Path:
    path = Path(os.path.normpath(root / relative))
    if not path.is_relative_to(root):
        raise InvalidInput(f'{MARKER}: "{key}" leaves the workspace', hint="use a folder inside it")
    return path


def _mlflow(written: WorkspaceFile, environment: Mapping[str, str]) -> MlflowSettings | None:
    """Return tracking settings; the usual MLflow variables win and turn tracking on."""
    uri = environment.get("MLFLOW_TRACKING_URI")
    if written.mlflow is None and not uri:
        return None
    settings = written.mlflow or Tracking()
    return MlflowSettings(
        tracking_uri=uri or settings.tracking_uri,
        experiment=environment.get("MLFLOW_EXPERIMENT_NAME") or settings.experiment or written.name,
    )
