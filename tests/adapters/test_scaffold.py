"""What ``relkit init`` writes: whole or not at all, and good to work with at once."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from relkit._version import DISTRIBUTION
from relkit.adapters.datasets import DatasetFiles
from relkit.adapters.git import GitRevisions
from relkit.adapters.workspace import (
    CI,
    FOLDERS,
    WORKFLOW,
    find_workspace,
    git_init,
    restore_files,
    scaffold_source,
    unfinished,
    write_scaffold,
    write_workflow,
)
from relkit.core.errors import InvalidInput, StorageFailed, UsageError
from relkit.evaluation.slicing import cluster_ways, select, slice_columns
from relkit.evaluation.suites import parse_suite
from tests.builders import git, tiny_disk

SOURCE = scaffold_source()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a small reference workspace, with what a working copy has beside it."""
    folder = tmp_path / "source"
    for name in ("datasets/words/manifest.jsonl", "eval/suites/demo.yaml", "gates/README.md"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (folder / "relkit.yaml").write_text("name: here\n")
    for left in ("tests/x.py", ".git/config", "eval/.cache/x", "eval/__pycache__/x.pyc", ".env"):
        path = folder / left
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left out")
    return folder


def files(folder: Path) -> dict[str, str]:
    """Return every file below a folder with its text."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_workspace_is_copied_and_nothing_else(source: Path, tmp_path: Path) -> None:
    """Its folders and marker; no caches, no hidden files, no tests of the tool."""
    target = tmp_path / "new" / "workspace"
    written = write_scaffold(target, source)
    assert sorted(written) == [".gitignore", "datasets", "eval", "gates", "relkit.yaml"]
    assert files(target) == {
        ".gitignore": ".relkit/\n",
        "datasets/words/manifest.jsonl": "datasets/words/manifest.jsonl",
        "eval/suites/demo.yaml": "eval/suites/demo.yaml",
        "gates/README.md": "gates/README.md",
        "relkit.yaml": "name: here\n",
    }
    assert sorted(path.name for path in target.iterdir()) == sorted(written)


def test_single_files_are_restored(source: Path, tmp_path: Path) -> None:
    """Only what is named is written, prepared as a whole workspace would be."""
    target = tmp_path / "target"
    target.mkdir()

    def prepare(copy: Path) -> None:
        assert (copy / "datasets" / "words" / "manifest.jsonl").is_file()
        (copy / "eval" / "suites" / "demo.yaml").write_text("prepared")

    names = ["./eval/suites/demo.yaml", "relkit.yaml"]
    restored = restore_files(target, source, names, prepare=prepare)
    assert restored == ["eval/suites/demo.yaml", "relkit.yaml"]
    expected = {"eval/suites/demo.yaml": "prepared", "relkit.yaml": "name: here\n"}
    assert files(target) == expected
    with pytest.raises(InvalidInput, match=r"relkit\.yaml exists already"):
        restore_files(target, source, ["gates/README.md", "relkit.yaml"])
    assert files(target) == expected


def test_example_programs_are_written_where_they_are_named(tmp_path: Path) -> None:
    """A new workspace has none of them: its owner may have a folder of that name."""
    assert "examples" not in write_scaffold(tmp_path / "target", SOURCE)
    name = "examples/agents/voice_agent.py"
    assert restore_files(tmp_path / "target", SOURCE, [name]) == [name]
    assert files(tmp_path / "target" / "examples") == files(SOURCE / "examples")


@pytest.mark.parametrize("name", ["eval", "eval/demo.yaml", "../x", "/etc/passwd", "", ".env"])
def test_only_files_of_the_workspace_are_restored(source: Path, tmp_path: Path, name: str) -> None:
    """Folders, unknown names and paths that lead elsewhere are refused with an example."""
    with pytest.raises(UsageError, match="--only: the reference workspace has no file") as caught:
        restore_files(tmp_path / "target", source, [name])
    assert "eval/suites/demo.yaml" in str(caught.value.hint)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("name", ["relkit.yaml", "datasets", "eval", "gates"])
@pytest.mark.parametrize("kind", ["file", "folder", "link to nowhere"])
def test_nothing_that_exists_is_overwritten(
    source: Path, tmp_path: Path, name: str, kind: str
) -> None:
    """Whatever stands in the way is named, and everything stays as it was."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").write_text("mine")
    if kind == "file":
        (target / name).write_text("mine")
    elif kind == "folder":
        (target / name).mkdir()
    else:
        (target / name).symlink_to("nowhere")
    with pytest.raises(InvalidInput) as caught:
        write_scaffold(target, source)
    assert caught.value.message == f"{name} exists already in the folder"
    assert caught.value.hint
    assert sorted(path.name for path in target.iterdir()) == sorted(["mine", name])
    assert set(files(target).values()) <= {"mine"}


def test_a_second_time_is_refused(source: Path, tmp_path: Path) -> None:
    """The workspace that was written is in the way of itself."""
    write_scaffold(tmp_path / "target", source)
    before = files(tmp_path / "target")
    with pytest.raises(InvalidInput, match=r"^relkit\.yaml exists already"):
        write_scaffold(tmp_path / "target", source)
    assert files(tmp_path / "target") == before


def test_other_files_and_an_own_gitignore_stay(source: Path, tmp_path: Path) -> None:
    """A workspace can be added to a project that has something already."""
    target = tmp_path / "target"
    target.mkdir()
    (target / ".gitignore").write_text("mine\n")
    (target / "README.md").write_text("mine\n")
    assert ".gitignore" not in write_scaffold(target, source)
    assert (target / ".gitignore").read_text() == "mine\n"
    assert (target / "README.md").read_text() == "mine\n"


def test_a_file_is_no_folder_to_fill(source: Path, tmp_path: Path) -> None:
    """The user named the wrong thing; the disk is fine."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInput, match="file is a file"):
        write_scaffold(tmp_path / "file", source)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("free", [0, 4, 8, 12, 16])
def test_a_full_disk_leaves_nothing_half_written(source: Path, tmp_path: Path, free: int) -> None:
    """A real disk with room for a part only: no file, and the second try works."""
    with tiny_disk(tmp_path / "disk", kibibytes=64) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * (64 - free) * 1024)
        target = disk / "workspace"
        with pytest.raises(StorageFailed) as caught:
            write_scaffold(target, source)
        assert caught.value.hint
        assert files(disk).keys() == {"ballast"}
        ballast.unlink()
        write_scaffold(target, source)
        assert files(target)["relkit.yaml"] == "name: here\n"


def test_the_reference_workspace_works_as_it_is(tmp_path: Path) -> None:
    """It is found, its suites are read, and its dataset loads and can be cut as they say."""
    target = tmp_path / "workspace"
    written = write_scaffold(target, SOURCE)
    assert set(written) <= {"relkit.yaml", ".gitignore", *FOLDERS}
    settings = find_workspace(target / "eval", {})
    assert settings.folder == target.resolve()
    store = DatasetFiles(settings.datasets, cache=settings.cache, revisions=GitRevisions)
    tables = set(settings.suites.glob("*tools.yaml"))
    suites = sorted(set(settings.suites.glob("*.yaml")) - tables)
    assert suites
    for path in suites:
        suite = parse_suite(path.read_text(encoding="utf-8"), source=path.name)
        assert suite.name == path.stem
        data = store.load(suite.dataset.name, rev=suite.dataset.rev)
        assert select(data, suite.dataset.where)
        assert slice_columns(data, suite)
        assert cluster_ways(data, suite)
        paths = {path for item in data.utterances for path in item.audio_paths}
        missing = [path for path in paths if not Path(path).is_file()]
        assert missing == []


def test_the_copied_dataset_is_the_same_version(tmp_path: Path) -> None:
    """Everyone who starts from the reference workspace measures on the same digest."""
    write_scaffold(tmp_path / "a", SOURCE)
    digests = {
        store.load("assistant-commands", rev=None).version.digest
        for store in (
            DatasetFiles(folder / "datasets", cache=tmp_path / "cache", revisions=GitRevisions)
            for folder in (SOURCE, tmp_path / "a")
        )
    }
    assert len(digests) == 1


def test_a_repository_is_made_once(tmp_path: Path) -> None:
    """Not inside one that is there."""
    assert git_init(tmp_path) is True
    assert git(tmp_path, "rev-parse", "--is-inside-work-tree") == "true"
    inner = tmp_path / "inner"
    inner.mkdir()
    assert git_init(inner) is False
    assert not (inner / ".git").exists()


def test_without_git_no_repository_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workspace works without one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_init(tmp_path) is False


def test_a_fresh_workspace_is_clean_after_its_first_commit(source: Path, tmp_path: Path) -> None:
    """What relkit writes there later is ignored."""
    target = tmp_path / "target"
    write_scaffold(target, source)
    assert git_init(target)
    git(target, "add", "--all")
    git(target, "commit", "--quiet", "--message", "first")
    (target / ".relkit" / "runs").mkdir(parents=True)
    (target / ".relkit" / "runs" / "x").touch()
    assert git(target, "status", "--porcelain") == ""
    assert subprocess.run(["git", "--version"], capture_output=True, check=True).returncode == 0


def test_a_locked_dataset_is_copied_with_its_audio(source: Path, tmp_path: Path) -> None:
    """The lock and the files, not the pointer to objects that the new workspace lacks."""
    words = source / "datasets" / "words"
    for name in ("lock.json", "audio.dvc", ".gitignore", "audio/a.flac"):
        (words / name).parent.mkdir(exist_ok=True)
        (words / name).write_text(name)
    write_scaffold(tmp_path / "target", source)
    assert sorted(files(tmp_path / "target" / "datasets" / "words")) == [
        "audio/a.flac",
        "lock.json",
        "manifest.jsonl",
    ]


def test_a_source_whose_audio_is_not_here_is_refused(source: Path, tmp_path: Path) -> None:
    """A workspace without it could not be evaluated; nothing is written."""
    (source / "datasets" / "words" / "audio.dvc").write_text("outs: []\n")
    with pytest.raises(InvalidInput, match="words/audio: the audio of the reference") as caught:
        write_scaffold(tmp_path / "target", source)
    assert "dvc pull" in (caught.value.hint or "")
    assert not (tmp_path / "target").exists()


EXAMPLE = f"with:\n  workspace: .\nuses: OWNER/relkit/{CI.as_posix()}@TAG\n"


@pytest.fixture
def gated(source: Path) -> Path:
    """Give a reference workspace with an example of a workflow."""
    (source / CI).mkdir(parents=True)
    (source / CI / "example.yml").write_text(EXAMPLE)
    return source


@pytest.mark.parametrize("inside", [".", "speech", "teams/voice assistant"])
def test_the_workflow_goes_to_the_top_of_the_repository(
    gated: Path, tmp_path: Path, inside: str
) -> None:
    """GitHub reads it there alone; it names the folder of the workspace, and stays as it is."""
    top = tmp_path / "repository"
    folder = top / inside
    folder.mkdir(parents=True)
    assert git_init(top)
    workflow = write_workflow(folder, gated)
    assert workflow is not None
    assert (workflow.inside, workflow.written) == (inside, True)
    assert (folder / workflow.path).resolve() == top / WORKFLOW
    found = yaml.safe_load((top / WORKFLOW).read_text())
    assert found["with"]["workspace"] == inside
    (top / WORKFLOW).write_text("mine")
    again = write_workflow(folder, gated)
    assert again is not None
    assert not again.written
    assert (top / WORKFLOW).read_text() == "mine"


def test_without_a_repository_the_workflow_is_in_the_workspace(
    gated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no git nothing is above the workspace."""
    monkeypatch.setenv("PATH", str(tmp_path))
    workflow = write_workflow(tmp_path, gated)
    assert workflow is not None
    assert (workflow.inside, workflow.path) == (".", WORKFLOW.as_posix())


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("addresses", "used"),
    [
        ([f"Source, https://github.com/me/relkit/tree/{COMMIT}"], f"me/relkit/{CI}@{COMMIT}"),
        ([], None),
        ([f"Source, https://example.org/me/relkit/tree/{COMMIT}"], None),
        (["Source, https://github.com/me/relkit/tree/main"], None),
        ([f"Home, https://github.com/me/relkit/tree/{COMMIT}"], None),
    ],
)
def test_the_workflow_uses_the_commit_that_is_installed(
    addresses: list[str],
    used: str | None,
    gated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What runs in CI is what made the workspace; an unknown source is left to be filled in."""
    record = tmp_path / "site" / f"{DISTRIBUTION.replace('-', '_')}-9.dist-info"
    record.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {DISTRIBUTION}", "Version: 9"]
    lines += [f"Project-URL: {address}" for address in addresses]
    (record / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(record.parent)
    folder = tmp_path / "workspace"
    folder.mkdir()
    workflow = write_workflow(folder, gated)
    assert workflow is not None
    assert workflow.named == (used is not None)
    found = yaml.safe_load((folder / WORKFLOW).read_text())
    assert found["uses"] == (used or f"OWNER/relkit/{CI.as_posix()}@TAG")


@pytest.mark.parametrize("placed", range(6))
def test_an_init_that_was_killed_is_finished_in_the_same_folder(
    tmp_path: Path, source: Path, placed: int
) -> None:
    """Whatever was in place by then stays as it is, and what it left behind is gone.

    A folder that somebody else filled is refused as before.
    """
    target = tmp_path / "target"
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from relkit.adapters.workspace import unfinished, write_scaffold\n"
        "rename, left = Path.rename, [int(sys.argv[3])]\n"
        "def killed(path, to):\n"
        "    if not left[0]:\n"
        "        os.kill(os.getpid(), 9)\n"
        "    left[0] -= 1\n"
        "    return rename(path, to)\n"
        "Path.rename = killed\n"
        "with unfinished(Path(sys.argv[1])) as again:\n"
        "    write_scaffold(Path(sys.argv[1]), Path(sys.argv[2]), again=again)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    arguments = [sys.executable, "-c", script, str(target), str(source), str(placed)]
    assert subprocess.run(arguments, check=False).returncode == -9
    with unfinished(target) as again:
        assert again
        written = write_scaffold(target, source, again=again)
    assert {path.name for path in target.iterdir()} == {*written, ".gitignore"}
    assert (target / "eval" / "suites" / "demo.yaml").is_file()
    with unfinished(target) as again, pytest.raises(InvalidInput, match="exists already"):
        write_scaffold(target, source, again=again)
    assert {path.name for path in target.iterdir()} == {*written, ".gitignore"}
