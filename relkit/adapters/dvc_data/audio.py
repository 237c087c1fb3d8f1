"""Puts audio under DVC, and brings it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relkit import storage
from relkit.adapters.dvc_data import commands, objects
from relkit.domain.errors import InvalidInput
from relkit.records.dataset_locks import parse_pointer
from relkit.records.strict import decode
from relkit.records.yaml_text import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """What putting paths under DVC did.

    ``outs`` maps each path to its DVC hash; ``untracked`` counts the files that were taken out of
    git's index; ``initialised`` says that DVC was set up first; ``remote`` that one is set.
    """

    outs: dict[str, str]
    untracked: int
    initialised: bool
    remote: bool


class DvcAudio:
    """The audio of datasets in one workspace's DVC repository."""

    def __init__(self, workspace: Path, *, site: Path) -> None:
        """Set up DVC in ``workspace`` where it is absent; its own scratch data goes to ``site``."""
        self._workspace = workspace
        self._site = site

    def track(self, folder: Path, outs: Sequence[str]) -> Tracked:
        """Put paths of a dataset's folder under DVC and out of git's index.

        Where DVC refuses, git's index is as it was. Raises InvalidInput, MissingDependency.
        """
        commands.require("audio goes under DVC")
        initialised = objects.dvc_root(folder) is None and dvc_init(self._workspace, self._site)
        entries = commands.index_entries(folder, outs)
        if entries:
            commands.git(folder, "rm", "-r", "--cached", "--quiet", "--ignore-unmatch", "--", *outs)
        try:
            commands.dvc(folder, self._site, "add", "--quiet", "--", *outs)
        except BaseException:
            if entries:
                commands.git(folder, "update-index", "-z", "--index-info", given=entries)
            raise
        root = objects.dvc_root(folder)
        return Tracked(
            outs={out: _pointed(folder, out) for out in outs},
            untracked=entries.count(b"\0"),
            initialised=initialised,
            remote=root is not None and _has_remote(root),
        )

    def place(self, folder: Path, md5: str, target: Path, *, what: str) -> None:
        """Write what a DVC hash names to ``target``, whole and verified.

        ``folder`` lies in the DVC repository that is asked: its cache, its local remotes, then
        any other remote through DVC itself. Raises InvalidInput, BackendUnavailable,
        MissingDependency, StorageFailed.
        """
        root = objects.dvc_root(folder)
        if root is None:
            raise InvalidInput(
                f"{what}: the audio is under DVC, and there is no .dvc folder here",
                hint="copy the dataset with its audio, or its whole repository",
            )
        stores = objects.object_stores(root)
        files = objects.listing(stores, md5, what=what)
        if files is None or objects.missing(stores, files):
            commands.pull(root, self._site, md5, what=what)
            files = objects.listing(stores, md5, what=what)
        if files is None:
            raise InvalidInput(
                f"{what}: the list of its files is neither in the DVC cache nor in the remote",
                hint="push it from where it was locked: dvc push",
            )
        objects.write_copies(stores, files, target, what=what)


def dvc_init(folder: Path, site: Path) -> bool:
    """Set up DVC in a folder unless it lies in a DVC repository; False where nothing was done."""
    if objects.dvc_root(folder) is not None or not commands.installed():
        return False
    top = commands.git(folder, "rev-parse", "--show-toplevel")
    if top is None:
        how = ["--no-scm"]
    else:
        same = Path(top.decode().rstrip("\n")).resolve() == folder.resolve()
        how = [] if same else ["--subdir"]
    commands.dvc(folder, site, "init", "--quiet", *how)
    return True


def _pointed(folder: Path, out: str) -> str:
    source = f"{folder.name}/{shown(out)}.dvc"
    data = storage.read_bytes(folder / f"{out}.dvc", what=source)
    return parse_pointer(decode(data, source=source), source=source)


def _has_remote(root: Path) -> bool:
    paths = (root / ".dvc" / name for name in ("config", "config.local"))
    return any('remote "' in path.read_text(errors="replace") for path in paths if path.is_file())
