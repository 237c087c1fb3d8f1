"""Versions from a real git repository: what a revision is, and exactly what it held."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relkit.adapters.git import GitRevisions
from relkit.core.errors import InvalidInput, StorageFailed
from tests.builders import commit_all, git


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with one committed file inside a repository."""
    made = tmp_path / "repo" / "words"
    made.mkdir(parents=True)
    (made / "file").write_text("first")
    git(made.parent, "init", "--quiet", "--initial-branch", "main")
    commit_all(made.parent, "first")
    return made


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_clean_folder_is_its_commit(folder: Path) -> None:
    """The commit of HEAD, and not dirty."""
    assert GitRevisions(folder).state() == (git(folder, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize("change", ["edit", "delete", "new", "staged", "renamed"])
def test_a_changed_folder_is_dirty(folder: Path, change: str) -> None:
    """Edited, deleted, untracked, staged or renamed: none of it is what the commit holds."""
    if change == "edit":
        (folder / "file").write_text("second")
    elif change == "delete":
        (folder / "file").unlink()
    elif change == "renamed":
        git(folder, "mv", "file", "other")
    else:
        (folder / "new").touch()
        if change == "staged":
            git(folder, "add", "new")
    assert GitRevisions(folder).state() == (git(folder, "rev-parse", "HEAD"), True)


def test_untracked_files_count_whatever_the_users_settings_say(folder: Path) -> None:
    """``status.showUntrackedFiles=no`` hides them from people, not from a record."""
    git(folder, "config", "status.showUntrackedFiles", "no")
    (folder / "new").touch()
    assert GitRevisions(folder).state()[1] is True


def test_changes_outside_the_folder_do_not_make_it_dirty(folder: Path) -> None:
    """A dataset is clean while the rest of the workspace is being worked on."""
    (folder.parent / "other").touch()
    assert GitRevisions(folder).state()[1] is False


def test_a_folder_that_git_ignores_is_not_what_the_commit_holds(folder: Path) -> None:
    """Git's status is clean there, and yet the commit lacks it: dirty."""
    ignored = folder.parent / "ignored"
    ignored.mkdir()
    (ignored / "file").touch()
    (folder.parent / ".gitignore").write_text("ignored/\n")
    commit_all(folder.parent)
    assert GitRevisions(ignored).state()[1] is True
    assert GitRevisions(folder).state()[1] is False
    assert GitRevisions(folder.parent).state()[1] is False


def test_outside_git_nothing_is_known(tmp_path: Path) -> None:
    """No commit, and dirty is neither true nor false."""
    assert GitRevisions(tmp_path).state() == (None, None)


def test_before_the_first_commit_nothing_is_known(tmp_path: Path) -> None:
    """A fresh repository has no revision to name."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").touch()
    assert GitRevisions(tmp_path).state() == (None, None)


def test_without_git_nothing_is_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git can evaluate the working tree, and says so for revisions."""
    monkeypatch.setenv("PATH", str(folder))
    assert GitRevisions(folder).state() == (None, None)
    with pytest.raises(InvalidInput, match='revision "HEAD" is unknown'):
        GitRevisions(folder).resolve("HEAD")


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"])
def test_inside_a_git_hook_the_folder_is_still_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Git sets these for hooks; they speak of another place."""
    monkeypatch.setenv(variable, ".git")
    assert GitRevisions(folder).state() == (GitRevisions(folder).resolve("main"), False)


def test_a_revision_is_any_name_of_a_commit(folder: Path) -> None:
    """Commit, short commit, branch, tag (also annotated), and what lies before them."""
    first = git(folder, "rev-parse", "HEAD")
    git(folder, "tag", "light")
    git(folder, "tag", "--annotate", "--message", "x", "heavy")
    (folder / "file").write_text("second")
    second = commit_all(folder.parent, "second")
    revisions = GitRevisions(folder)
    for name in (first, first[:9], "light", "heavy", "HEAD~1", "main^"):
        assert revisions.resolve(name) == first
    for name in (second, "HEAD", "main", "@"):
        assert revisions.resolve(name) == second


@pytest.mark.parametrize(
    "revision",
    [
        "nothing",
        "0" * 40,
        "",
        "--all",
        "-q",
        "--git-dir",
        "^HEAD",
        "HEAD..HEAD",
        "HEAD^@",
        "HEAD:words",
        "HEAD~5",
        "HEAD ",
        "HEAD\n",
        "a\0b",
        "\udcff",
        "; touch /tmp/x",
    ],
)
def test_what_is_no_commit_is_refused(folder: Path, revision: str) -> None:
    """Unknown names, options in disguise, ranges, files, and characters that no name has."""
    with pytest.raises(InvalidInput) as caught:
        GitRevisions(folder).resolve(revision)
    assert caught.value.message.endswith("is unknown to git here")
    assert caught.value.message.isprintable()
    assert caught.value.hint == "name a commit, branch or tag of the workspace's repository"


def test_an_export_is_the_folder_as_it_was(folder: Path, tmp_path: Path) -> None:
    """Files of the commit only: nothing that came later, nothing that was never committed."""
    (folder / "sub").mkdir()
    (folder / "sub" / "ä b").write_bytes(b"\0\r\n\xff")
    (folder / "inside").symlink_to("file")
    commit = commit_all(folder.parent)
    (folder / "file").write_text("changed")
    (folder / "untracked").touch()
    target = tmp_path / "cache" / "deep" / commit
    GitRevisions(folder).export(commit, target)
    assert contents(target) == {
        "file": b"first",
        "inside": b"first",
        os.path.join("sub", "ä b"): b"\0\r\n\xff",  # noqa: PTH118  # a key, not a path
    }
    assert [path.name for path in target.parent.iterdir()] == [commit]
    assert (folder / "file").read_text() == "changed"


def test_a_folder_that_the_commit_lacks_is_named(folder: Path, tmp_path: Path) -> None:
    """A dataset that came later does not exist at an old revision."""
    first = git(folder, "rev-parse", "HEAD")
    later = folder.parent / "later"
    later.mkdir()
    (later / "file").touch()
    commit_all(folder.parent)
    with pytest.raises(InvalidInput, match=f"does not exist at revision {first[:12]}") as caught:
        GitRevisions(later).export(first, tmp_path / "out")
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("link", ["../outside", "/etc/passwd", "sub/../../outside"])
def test_a_link_out_of_an_old_revision_is_refused(folder: Path, tmp_path: Path, link: str) -> None:
    """Nothing of it is left where the next run would find it."""
    (folder / "link").symlink_to(link)
    commit = commit_all(folder.parent)
    with pytest.raises(InvalidInput, match="holds a link that leaves it"):
        GitRevisions(folder).export(commit, tmp_path / "cache" / commit)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_second_export_finds_the_first_as_good(folder: Path, tmp_path: Path) -> None:
    """Two runs may want the same revision at once."""
    commit = git(folder, "rev-parse", "HEAD")
    for _ in range(2):
        GitRevisions(folder).export(commit, tmp_path / "cache" / commit)
    assert contents(tmp_path / "cache") == {f"{commit}/file": b"first"}


EXPORT = """
import sys
from pathlib import Path
from relkit.adapters.git import GitRevisions
folder, commit, target = sys.argv[1:]
sys.stdin.readline()
GitRevisions(Path(folder)).export(commit, Path(target))
"""


def test_two_processes_may_export_at_once(folder: Path, tmp_path: Path) -> None:
    """Whoever is second leaves the first one's files alone."""
    commit = git(folder, "rev-parse", "HEAD")
    command = [sys.executable, "-c", EXPORT, str(folder), commit, str(tmp_path / "cache" / commit)]
    processes = [
        subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    assert contents(tmp_path / "cache") == {f"{commit}/file": b"first"}


def test_an_export_that_cannot_be_written_is_a_storage_error(folder: Path, tmp_path: Path) -> None:
    """The cache's place is taken by a file."""
    (tmp_path / "cache").touch()
    with pytest.raises(StorageFailed, match="could not be written"):
        GitRevisions(folder).export(git(folder, "rev-parse", "HEAD"), tmp_path / "cache" / "x")


def test_a_file_of_a_revision_is_read_without_an_export(folder: Path) -> None:
    """Its bytes as they were, None where there was none."""
    commit = git(folder, "rev-parse", "HEAD")
    (folder / "file").write_text("changed")
    assert GitRevisions(folder).read(commit, "file") == b"first"
    assert GitRevisions(folder).read(commit, "other") is None
    assert GitRevisions(folder.parent / "nowhere").read(commit, "file") is None


def test_files_with_an_ending_are_found_at_the_top_of_the_folder(folder: Path) -> None:
    """Not below it, not beside it, and not the ending alone."""
    for name in ("b.dvc", "é.dvc", "deep/c.dvc", ".dvc", "../d.dvc"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    commit = commit_all(folder.parent)
    assert GitRevisions(folder).below(commit, ".dvc") == ("b.dvc", "é.dvc")
    assert GitRevisions(folder).below("0" * 40, ".dvc") == ()
