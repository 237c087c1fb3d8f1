"""Reads versions from git by calling git itself; never changes the working tree."""

import os
import re
import subprocess
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from relkit.core.errors import InvalidInput, StorageFailed
from relkit.core.wording import short_digest
from relkit.core.yaml_text import shown

_TIMEOUT_S = 60
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_OF_A_HOOK = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})


class GitRevisions:
    """Versions of a folder in the git repository it lies in, if it lies in one."""

    def __init__(self, folder: Path) -> None:
        """Work on ``folder`` (absolute); nothing is run yet."""
        self._folder = folder

    def _git(self, *arguments: str) -> bytes | None:
        """Return what a git command printed; None where it failed or there is no git."""
        try:
            done = subprocess.run(
                ["git", "-C", str(self._folder), *arguments],  # noqa: S607  # the user's own git
                capture_output=True,
                check=False,
                timeout=_TIMEOUT_S,
                # A hook's variables name another repository, or this one from elsewhere.
                env={k: v for k, v in os.environ.items() if k not in _OF_A_HOOK},
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return None if done.returncode else done.stdout

    def state(self) -> tuple[str | None, bool | None]:
        """Return (commit, dirty) of the folder; (None, None) outside git or without a commit.

        A folder that the commit lacks (one that git ignores) is dirty, whatever git's status says.
        """
        head = self._git("rev-parse", "HEAD")
        if head is None:
            return None, None
        commit = head.decode().strip()
        status = self._git("status", "--porcelain", "--untracked-files=all", "--", ".")
        if status is None:
            return commit, None
        committed = self._git("rev-parse", "--verify", "--quiet", "HEAD:./")
        return commit, bool(status.strip()) or committed is None

    def resolve(self, revision: str) -> str:
        """Return the full commit id of a revision; raises InvalidInput where it is unknown."""
        if revision.isprintable() and not revision.startswith("-"):
            printed = self._git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
            commit = (printed or b"").decode(errors="replace").strip()
            if _COMMIT.fullmatch(commit):
                return commit
        raise InvalidInput(
            f'the revision "{shown(revision)}" is unknown to git here',
            hint="name a commit, branch or tag of the workspace's repository",
        )

    def read(self, commit: str, name: str) -> bytes | None:
        """Return a file of the folder as it was at ``commit``; None where there was none."""
        return self._git("cat-file", "blob", f"{commit}:./{name}")

    def below(self, commit: str, ending: str) -> tuple[str, ...]:
        """Return the files at the top of the folder at ``commit`` whose names end so, sorted."""
        names = self._git("ls-tree", "--name-only", "-z", commit, "--", "./") or b""
        every = names.decode(errors="replace").split("\0")
        return tuple(sorted(name for name in every if name.endswith(ending) and name != ending))

    def export(self, commit: str, target: Path) -> None:
        """Write the folder as it was at ``commit`` to ``target``, which must not exist yet.

        The files appear under a temp name first and are renamed when complete; where another
        process was faster, its files are as good. Raises InvalidInput, StorageFailed.
        """
        archive = self._git("archive", "--format=tar", commit, "--", ".")
        if archive is None:
            raise InvalidInput(
                f"the dataset does not exist at revision {short_digest(commit)}",
                hint="name a revision in which it was committed",
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
                folder = Path(temporary) / "tree"
                with tarfile.open(fileobj=BytesIO(archive)) as tree:
                    tree.extractall(folder, filter="data")
                folder.rename(target)
        except tarfile.FilterError as error:
            raise InvalidInput(
                f"the dataset at revision {short_digest(commit)} holds a link that leaves it",
                hint="name a revision whose files lie inside the dataset",
            ) from error
        except OSError as error:
            if not target.is_dir():
                raise StorageFailed(
                    f"the dataset at revision {short_digest(commit)} could not be written",
                    hint="check free disk space and permissions",
                ) from error
