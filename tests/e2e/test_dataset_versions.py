"""Versions of a dataset through the command line: real git, real DVC, a folder as its remote."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relkit.adapters.datasets import DatasetFiles
from relkit.adapters.git import GitRevisions
from relkit.cli.boundary import run
from tests.builders import commit_all, dvc, git, row, write_dataset
from tests.conftest import Workspace

pytest.importorskip("dvc", reason="DVC is not installed")

NAMES = [f"audio/{i:02d}.wav" for i in range(12)]
ROWS = [
    row(
        name,
        id=f"u{i:02d}",
        text=f"secretword number {i}",
        accent="plain" if i % 2 else "broad",
        speaker=f"s{i % 4}",
        duration=1.0 + i % 3,
    )
    for i, name in enumerate(NAMES)
]
SETTINGS = "slices: [accent]\nbins: [{name: length, column: duration, edges: [2, 3]}]\n"
SUITE = """\
schema: relkit.suite/v1
name: NAME
dataset: {name: wordsREV}
normalizer: english
metrics: [wer]
slices: [accent]
system: {kind: recorded, path: answers.jsonl}
"""
REVISIONS = ("plain", "locked", "changed")


def suite(folder: Path, name: str, rev: str | None) -> None:
    """Write a suite over a revision, or the working tree."""
    said = "" if rev is None else f", rev: {rev}"
    path = folder / "eval" / "suites" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SUITE.replace("NAME", name).replace("REV", said))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Make a workspace of three commits: audio in git, locked, changed and locked again.

    Both locked versions are pushed to a folder inside the repository; what the locks said is
    returned beside it.
    """
    folder = tmp_path_factory.mktemp("history") / "workspace"
    data = write_dataset(folder / "datasets" / "words", ROWS, SETTINGS)
    (folder / "relkit.yaml").write_text("schema: relkit.workspace/v1\nname: here\n")
    (folder / ".gitignore").write_text(".relkit/\nanswers.jsonl\nobjects/\n")
    lines = [json.dumps({"id": r["id"], "text": r["text"]}) + "\n" for r in ROWS]
    (folder / "answers.jsonl").write_text("".join(lines))
    for name, rev in (("old", "locked"), ("new", "changed"), ("now", None)):
        suite(folder, name, rev)
    git(folder, "init", "--quiet")
    said: dict[str, Any] = {}
    commit_all(folder, "plain")
    git(folder, "tag", "plain")
    said["locked"] = lock(folder)
    dvc(folder, "remote", "add", "--default", "near", "objects")
    commit_all(folder, "locked")
    git(folder, "tag", "locked")
    dvc(folder, "push")
    change(data)
    said["changed"] = lock(folder)
    dvc(folder, "push")
    commit_all(folder, "changed")
    git(folder, "tag", "changed")
    return folder, said


def lock(folder: Path) -> dict[str, Any]:
    """Lock the dataset in a process of its own and return what it said, its warnings beside."""
    done = subprocess.run(
        [sys.executable, "-m", "relkit", "dataset", "lock", "words", "--json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said | {"stderr": done.stderr}


def change(data: Path) -> None:
    """Relabel 0, move 1 to another accent, drop 2, give 3 other audio, add 12."""
    rows = [dict(item) for item in ROWS]
    rows[0]["text"] = "secretword other"
    rows[1]["accent"] = "broad"
    del rows[2]
    rows.append(row("audio/12.wav", id="u12", accent="new", speaker="s9", duration=9.0))
    write_dataset(data, rows, SETTINGS, audio=False)
    (data / "audio" / "03.wav").write_bytes(b"another take")
    (data / "audio" / "12.wav").write_bytes(b"audio/12.wav")
    (data / "audio" / "02.wav").unlink()


@pytest.fixture
def clone(
    history: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Workspace:
    """Give a fresh clone with the remote's objects in it, and no audio."""
    folder = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(history[0]), str(folder))
    shutil.copytree(history[0] / "objects", folder / "objects", dirs_exist_ok=True)
    lines = [json.dumps({"id": r["id"], "text": r["text"]}) + "\n" for r in ROWS]
    (folder / "answers.jsonl").write_text("".join(lines))
    assert not (folder / "datasets" / "words" / "audio").exists()
    return Workspace(folder=folder, capture=capsys)


@pytest.fixture
def said(history: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    """Give what the locks said."""
    return history[1]


def evaluated(workspace: Workspace, name: str) -> dict[str, Any]:
    """Run a suite and return which dataset its run.json names."""
    done = workspace.relkit("eval", name, "--quiet")
    assert done.code == 0, done.err
    document = json.loads((workspace.runs[-1] / "run.json").read_text())
    dataset: dict[str, Any] = document["dataset"]
    return dataset


def exports(workspace: Workspace) -> list[Path]:
    """Return what lies in the cache of old versions."""
    return sorted((workspace.folder / ".relkit" / "cache" / "datasets" / "words").iterdir())


def test_a_lock_says_what_it_took_out_of_git(said: dict[str, Any]) -> None:
    """The first one sets up DVC and empties git's index of audio; the second has nothing to."""
    first, second = said["locked"], said["changed"]
    assert (first["untracked"], first["initialised"], first["changed"]) == (12, True, True)
    assert "took 12 audio files out of git's index" in first["stderr"]
    assert "no remote: a clone will lack the audio" in first["stderr"]
    assert "dvc remote add -d" in first["stderr"]
    assert "remote" not in second["stderr"]
    assert (second["untracked"], second["initialised"], second["changed"]) == (0, False, True)
    assert first["slices"] == {
        "accent": ["broad", "plain"],
        "length": ["[-inf,2)", "[2,3)", "[3,inf)"],
    }
    assert first["digest"] != second["digest"]
    assert "secretword" not in json.dumps([first, second])


def test_git_keeps_the_manifest_and_lets_go_of_the_audio(clone: Workspace) -> None:
    """What a version is made of: the text in git, the audio by name."""
    assert git(clone.folder, "ls-files", "datasets").splitlines() == [
        "datasets/words/.gitignore",
        "datasets/words/audio.dvc",
        "datasets/words/dataset.yaml",
        "datasets/words/lock.json",
        "datasets/words/manifest.jsonl",
    ]


def test_the_digest_of_a_lock_is_that_of_the_plain_files(
    clone: Workspace, said: dict[str, Any], tmp_path: Path
) -> None:
    """Locking changes nothing about the data: lines in another order elsewhere, no DVC, no git."""
    rows = random.Random(7).sample(ROWS, len(ROWS))  # noqa: S311  # a repeatable order, no secret
    write_dataset(tmp_path / "elsewhere" / "words", rows, SETTINGS)
    store = DatasetFiles(tmp_path / "elsewhere", cache=tmp_path / "c", revisions=GitRevisions)
    assert store.load("words", rev=None).version.digest == said["locked"]["digest"]
    document = json.loads((clone.folder / "datasets" / "words" / "lock.json").read_text())
    assert document["digest"] == said["changed"]["digest"]


def test_an_old_version_is_evaluated_exactly(clone: Workspace, said: dict[str, Any]) -> None:
    """Its manifest from git, its audio from the remote; the working tree is not touched."""
    found = evaluated(clone, "old")
    assert found["digest"] == said["locked"]["digest"]
    assert found["revision"] == git(clone.folder, "rev-parse", "locked^{commit}")
    assert (found["dirty"], found["utterances"]) == (False, 12)
    assert not (clone.folder / "datasets" / "words" / "audio").exists()
    assert git(clone.folder, "status", "--porcelain") == ""
    (old,) = exports(clone)
    assert (old / "audio" / "03.wav").read_bytes() == b"audio/03.wav"
    assert (old / "audio" / "02.wav").is_file()


def test_a_version_whose_audio_git_held_is_evaluated_too(
    clone: Workspace, said: dict[str, Any]
) -> None:
    """Before it was locked it had the same digest."""
    suite(clone.folder, "before", "plain")
    assert evaluated(clone, "before")["digest"] == said["locked"]["digest"]


def test_the_working_tree_of_a_fresh_clone_fetches_its_audio(
    clone: Workspace, said: dict[str, Any]
) -> None:
    """Nobody has to know about DVC to run what was cloned; the tree is clean, as committed."""
    clone.relkit("eval", "now", "--quiet")  # answers lack u12 and know u02: refused, after loading
    assert (clone.folder / "datasets" / "words" / "audio" / "12.wav").is_file()
    stats = clone.relkit("dataset", "stats", "words", "--json").document
    assert (stats["lock"], stats["dirty"], stats["audio_present"]) == ("fresh", False, True)
    assert stats["digest"] == said["changed"]["digest"]
    assert git(clone.folder, "status", "--porcelain") == ""


def test_a_complete_export_is_used_again(clone: Workspace) -> None:
    """Without the remote, without the cache."""
    first = evaluated(clone, "old")
    shutil.rmtree(clone.folder / "objects")
    shutil.rmtree(clone.folder / ".dvc" / "cache", ignore_errors=True)
    assert evaluated(clone, "old") == first


@pytest.mark.parametrize("damage", ["gone", "other", "empty", "manifest"])
def test_an_export_that_is_not_whole_is_made_again(
    clone: Workspace, said: dict[str, Any], damage: str
) -> None:
    """Whatever happened to it, the run is on exactly that version."""
    evaluated(clone, "old")
    (old,) = exports(clone)
    audio = old / "audio" / "04.wav"
    if damage == "gone":
        audio.unlink()
    elif damage == "manifest":
        text = (old / "manifest.jsonl").read_text()
        (old / "manifest.jsonl").write_text(text.replace("plain", "plane"))
    else:
        audio.write_bytes(b"" if damage == "empty" else b"x")
    assert evaluated(clone, "old")["digest"] == said["locked"]["digest"]
    assert audio.read_bytes() == b"audio/04.wav"


def test_a_killed_export_is_not_trusted(clone: Workspace, said: dict[str, Any]) -> None:
    """Killed at any moment, the next run is on the whole version."""
    for wait in (0.3, 0.4, 0.5, 0.6):
        process = clone.start("eval", "old")
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert evaluated(clone, "old")["digest"] == said["locked"]["digest"]


def _objects(clone: Workspace) -> list[Path]:
    return sorted((clone.folder / "objects").rglob("*"))


def _a_wav(clone: Workspace) -> Path:
    """Return the remote's object of audio/04.wav."""
    return next(p for p in _objects(clone) if p.is_file() and p.read_bytes() == b"audio/04.wav")


def _write(data: bytes) -> Callable[[Workspace], object]:
    def change(clone: Workspace) -> None:
        path = _a_wav(clone)
        path.chmod(0o644)
        path.write_bytes(data)

    return change


def _commit(name: str, old: str, new: str | None) -> Callable[[Workspace], object]:
    """Commit a version in which a file says something else, or is gone."""

    def change(clone: Workspace) -> None:
        path = clone.folder / "datasets" / "words" / name
        if new is None:
            path.unlink()
        else:
            path.write_text(path.read_text().replace(old, new))
        commit_all(clone.folder)
        suite(clone.folder, "old", "HEAD")

    return change


BROKEN: dict[str, tuple[Callable[[Workspace], object], int, str]] = {
    "missing object": (lambda c: _a_wav(c).unlink(), 2, "04.wav: its object is neither in the"),
    "wrong md5": (_write(b"audio/05.wav"), 2, "04.wav: its object under DVC has another MD5"),
    "zero bytes": (_write(b""), 2, "04.wav: its object under DVC has zero bytes"),
    "pointer": (_write(b"version https://git-lfs"), 2, "04.wav: its object under DVC is a Git LFS"),
    "remote gone": (
        lambda c: shutil.rmtree(c.folder / "objects"),
        5,
        'not in the DVC cache, and the DVC remote "near" is gone',
    ),
    "no lock": (_commit("lock.json", "", None), 2, "has audio under DVC and no lock.json at"),
    "stale lock": (
        _commit("manifest.jsonl", "secretword other", "secretword third"),
        2,
        "lock.json at revision",
    ),
    "other audio": (
        _commit("audio.dvc", "md5: ", "md5: 00000000000000000000000000000000.dir\n  desc: "),
        2,
        "audio.dvc names other audio than lock.json",
    ),
    "wrong sha256": (
        _commit("lock.json", '"audio/04.wav": "', '"audio/04.wav": "' + "0" * 64 + '", "x": "'),
        2,
        "audio/04.wav: has another SHA-256 than lock.json says",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named_and_nothing_is_run(clone: Workspace, name: str) -> None:
    """One clear error with its exit code; no run, no half of an export."""
    change, code, message = BROKEN[name]
    change(clone)
    done = clone.relkit("eval", "old", "--json")
    error = done.document["error"]
    assert (done.code, clone.runs) == (code, [])
    assert message in error["message"]
    assert error["hint"]
    assert str(clone.folder) not in json.dumps(error)
    assert "secretword" not in json.dumps(error)
    left = clone.folder / ".relkit" / "cache" / "datasets" / "words"
    assert [p for p in left.rglob("*") if p.name.startswith(".building")] == []


def test_without_dvc_a_far_remote_names_the_extra(
    clone: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in a bucket needs DVC, and the message says how to get it."""
    config = clone.folder / ".dvc" / "config"
    config.write_text(config.read_text().replace("url = ../objects", "url = s3://somewhere/else"))
    monkeypatch.setitem(sys.modules, "dvc", None)
    done = clone.relkit("eval", "old", "--json")
    assert (done.code, done.document["error"]["code"]) == (2, "missing_dependency")
    assert done.document["error"]["hint"] == "pip install 'relkit-speech[dvc]'"


@pytest.mark.parametrize("where", ["manifest", "audio"])
def test_a_stale_lock_is_recorded_and_not_trusted(
    clone: Workspace, said: dict[str, Any], where: str
) -> None:
    """The working tree is dirty and has its own digest, also where git cannot see the change."""
    clone.relkit("eval", "now", "--quiet")
    data = clone.folder / "datasets" / "words"
    if where == "audio":
        (data / "audio" / "04.wav").write_bytes(b"other")
        assert git(clone.folder, "status", "--porcelain") == ""
    else:
        write_dataset(data, ROWS, SETTINGS, audio=False)
        commit_all(clone.folder)
    rows = [json.loads(line) for line in (data / "manifest.jsonl").read_text().splitlines()]
    lines = [json.dumps({"id": r["id"], "text": r["text"]}) + "\n" for r in rows]
    (clone.folder / "answers.jsonl").write_text("".join(lines))
    found = evaluated(clone, "now")
    assert found["dirty"] is True
    assert found["digest"] != said["changed"]["digest"]
    stats = clone.relkit("dataset", "stats", "words", "--json").document
    assert (stats["lock"], stats["digest"]) == ("stale", found["digest"])


def test_a_diff_says_what_changed(clone: Workspace) -> None:
    """Added, removed, relabelled, moved, other audio, and coverage; ids only, nothing fetched."""
    done = clone.relkit("dataset", "diff", "words", "locked", "changed", "--json")
    found = done.document
    assert (found["added"], found["removed"]) == (["u12"], ["u02"])
    assert (found["relabelled"], found["audio_changed"]) == (["u00"], ["u03"])
    assert found["attributes"] == {"u01": ["accent"]}
    coverage = {item["slice"]: item for item in found["coverage"]}
    assert coverage["overall"]["utterances"] == {"before": 12, "after": 12}
    assert coverage["overall"]["clusters"] == {"before": 4, "after": 5}
    assert coverage["accent=new"]["utterances"] == {"before": 0, "after": 1}
    assert coverage["accent=plain"]["utterances"] == {"before": 6, "after": 5}
    assert found["before"]["digest"] != found["after"]["digest"]
    assert "secretword" not in done.out
    assert not (clone.folder / "datasets" / "words" / "audio").exists()
    assert not (clone.folder / ".relkit").exists()


def test_a_diff_is_readable(clone: Workspace) -> None:
    """Without ``--json``: a heading for each list, and a table of what moved."""
    text = clone.relkit("dataset", "diff", "words", "locked").out
    for line in ("added: 1", "removed: 1", "relabelled: 1", "audio: 1", "  u01 (accent)"):
        assert line in text.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in text.splitlines() if "accent=" in line}
    assert table["accent=new"] == ["0", "1", "0", "1"]
    assert "secretword" not in text


def test_a_diff_reaches_the_working_tree_and_back_before_the_lock(clone: Workspace) -> None:
    """Without a second revision the working tree; where git held the audio its bytes are read."""
    same = clone.relkit("dataset", "diff", "words", "plain", "locked", "--json").document
    assert (same["changed"], same["audio_changed"], same["before"]["lock"]) == (False, [], "none")
    clone.relkit("eval", "now", "--quiet")
    (clone.folder / "datasets" / "words" / "audio" / "05.wav").write_bytes(b"third take")
    found = clone.relkit("dataset", "diff", "words", "changed", "--json").document
    assert (found["audio_changed"], found["relabelled"]) == (["u05"], [])
    assert (found["after"]["dirty"], found["after"]["lock"]) == (True, "stale")


def test_a_stale_lock_tells_a_diff_nothing_about_audio(clone: Workspace) -> None:
    """What cannot be compared is not called unchanged."""
    _commit("manifest.jsonl", "secretword other", "secretword third")(clone)
    found = clone.relkit("dataset", "diff", "words", "changed", "HEAD", "--json").document
    assert (found["relabelled"], found["audio_changed"]) == (["u00"], None)
    assert (found["after"]["digest"], found["after"]["lock"]) == (None, "stale")
    assert "audio: not compared" in clone.relkit("dataset", "diff", "words", "changed", "HEAD").out


def test_an_unknown_revision_is_named(clone: Workspace) -> None:
    """As for ``eval``."""
    done = clone.relkit("dataset", "diff", "words", "nowhere")
    assert done.code == 2
    assert 'the revision "nowhere" is unknown to git here' in done.err


def test_stats_are_numbers_only(clone: Workspace) -> None:
    """Hours, words, coverage and the state of the lock, without the audio being here."""
    done = clone.relkit("dataset", "stats", "words", "--json")
    found = done.document
    assert (found["utterances"], found["clusters"], found["cluster"]) == (12, 5, "speaker")
    assert found["hours"] == pytest.approx(sum(r["duration"] for r in ROWS) / 3600, rel=0.5)
    assert (found["without_duration"], found["empty_references"]) == (0, 0)
    assert (found["lock"], found["audio_present"]) == ("fresh", False)
    slices = {item["slice"]: item for item in found["slices"]}
    assert slices["accent=new"] == {
        "slice": "accent=new",
        "utterances": 1,
        "clusters": 1,
        "minutes": 9.0 / 60,
    }
    assert "secretword" not in done.out
    assert "accent=new" in clone.relkit("dataset", "stats", "words").out


def test_a_lock_written_again_is_the_same(clone: Workspace, said: dict[str, Any]) -> None:
    """On another machine, from the remote: not one byte of what git holds changes."""
    done = clone.relkit("dataset", "lock", "words")
    assert done.code == 0
    assert "unchanged" in done.out
    assert said["changed"]["digest"] in done.out
    assert git(clone.folder, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "is missing"),
        (b"", "has zero bytes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    ],
)
def test_what_is_no_audio_is_not_locked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes | None, problem: str
) -> None:
    """A lock promises that the audio can be had; nothing is written, DVC is not even set up."""
    (tmp_path / "relkit.yaml").write_text("schema: relkit.workspace/v1\nname: here\n")
    folder = write_dataset(tmp_path / "datasets" / "words", ROWS, SETTINGS)
    (folder / "audio" / "04.wav").unlink()
    if data is not None:
        (folder / "audio" / "04.wav").write_bytes(data)
    assert run(["dataset", "lock", "words", "--workspace", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"such as words/audio/04.wav, which {problem}" in said
    assert not (tmp_path / ".dvc").exists()
    assert not (folder / "lock.json").exists()


def test_audio_outside_the_dataset_is_not_locked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would not be part of the version."""
    (tmp_path / "relkit.yaml").write_text("schema: relkit.workspace/v1\nname: here\n")
    (tmp_path / "datasets" / "more").mkdir(parents=True)
    (tmp_path / "datasets" / "more" / "a.wav").write_bytes(b"a")
    rows = [row("../more/a.wav", id="a")]
    write_dataset(tmp_path / "datasets" / "words", rows, "audio_roots: [../more]\n", audio=False)
    assert run(["dataset", "lock", "words", "--workspace", str(tmp_path)]) == 2
    assert "lies outside its folder" in capsys.readouterr().err


READ = """
import sys, json
from pathlib import Path
from relkit.wiring.stores import dataset_files
from relkit.wiring.stores import open_workspace
lock = dataset_files(open_workspace(Path(sys.argv[1]))).locked("words", rev="locked")
print(json.dumps([lock.digest, sorted(m for m in sys.modules if m.partition(".")[0] == "dvc")]))
"""


def test_the_digest_of_a_version_is_read_without_dvc(
    clone: Workspace, said: dict[str, Any]
) -> None:
    """Importing it alone would take a second."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(clone.folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert json.loads(done.stdout) == [said["locked"]["digest"], []]


def test_registered_values_are_those_of_the_lock(clone: Workspace) -> None:
    """A later decision asks for the values that were recorded, not for those that are left."""
    store = DatasetFiles(
        clone.folder / "datasets", cache=clone.folder / ".relkit" / "c", revisions=GitRevisions
    )
    with pytest.raises(Exception, match="the audio is not here") as caught:
        store.load("words", rev=None)
    assert "dvc pull" in (getattr(caught.value, "hint", "") or "")
    lock = store.locked("words", rev="locked")
    assert lock is not None
    assert lock.slices["accent"] == ("broad", "plain")
    assert store.load("words", rev="plain").registered is None


def test_the_bundled_lock_is_true_and_can_be_made_again(workspace: Workspace) -> None:
    """In a fresh workspace, without git: the same digest, the same bytes of ``lock.json``."""
    path = workspace.folder / "datasets" / "assistant-commands" / "lock.json"
    before = path.read_bytes()
    stats = workspace.relkit("dataset", "stats", "assistant-commands", "--json").document
    assert (stats["lock"], stats["utterances"]) == ("fresh", 296)
    done = workspace.relkit("dataset", "lock", "assistant-commands", "--json")
    assert done.code == 0, done.err
    assert done.document["digest"] == stats["digest"]
    assert (done.document["changed"], done.document["initialised"]) == (False, True)
    assert path.read_bytes() == before
    assert (path.parent / "audio.dvc").is_file()
