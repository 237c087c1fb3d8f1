"""The wheel carries the audio of every locked dataset, or is not built."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from relkit._version import DISTRIBUTION
from relkit.datasets.files import render_lock
from relkit.datasets.types import DatasetLock, LockedAudio
from tests.builders import DIGEST, commit_all, git

pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")

ROOT = Path(__file__).resolve().parents[2]
FILES = {"a.flac": b"first", "b.flac": b"second"}
OBJECTS = Path(".dvc", "bundled", "files", "md5")


def md5(data: bytes) -> str:
    """Return DVC's hash of some bytes."""
    return hashlib.md5(data).hexdigest()  # noqa: S324  # DVC's hash, no secret


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a small source tree built as this one is: its settings, its hook, a locked dataset."""
    root = tmp_path / "source"
    action = ".github/actions/relkit-gate"
    beside = ("eval", "examples", "gates", "registry", "runbooks")
    for name in ("relkit", *beside, action, "datasets/words/audio"):
        (root / name).mkdir(parents=True)
        (root / name / "README.md").write_text("x")
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "relkit.yaml"):
        shutil.copyfile(ROOT / name, root / name)
    shutil.copyfile(ROOT / "relkit" / "__init__.py", root / "relkit" / "__init__.py")
    (root / "datasets" / "words" / "audio" / "README.md").unlink()
    for name, data in FILES.items():
        (root / "datasets" / "words" / "audio" / name).write_bytes(data)
    listing = json.dumps([{"md5": md5(data), "relpath": name} for name, data in FILES.items()])
    lock = DatasetLock(
        name="words",
        digest=DIGEST,
        utterances=2,
        slices={},
        audio=LockedAudio(
            dvc={"audio": md5(listing.encode()) + ".dir"},
            sha256={f"audio/{n}": hashlib.sha256(data).hexdigest() for n, data in FILES.items()},
        ),
    )
    (root / "datasets" / "words" / "lock.json").write_text(render_lock(lock))
    for name, data in [(lock.audio.dvc["audio"], listing.encode())] + [
        (md5(data), data) for data in FILES.values()
    ]:
        path = root / OBJECTS / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def build(tree: Path) -> subprocess.CompletedProcess[str]:
    """Build the wheel."""
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )


def carried(tree: Path) -> dict[str, bytes]:
    """Return the audio inside the wheel."""
    (wheel,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {
            name.rpartition("/")[2]: archive.read(name)
            for name in archive.namelist()
            if name.startswith("relkit/_scaffold/datasets/words/audio/")
        }


def metadata_of(tree: Path) -> Message:
    """Build the wheel and return its metadata."""
    done = build(tree)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


@pytest.mark.parametrize("here", [True, False])
def test_the_wheel_carries_the_audio(tree: Path, *, here: bool) -> None:
    """As it lies there, or out of the objects in the repository where nobody pulled it yet."""
    if not here:
        shutil.rmtree(tree / "datasets" / "words" / "audio")
    done = build(tree)
    assert done.returncode == 0, done.stderr
    assert carried(tree) == FILES
    (wheel,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "files/md5" in name]


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://example.org/me/relkit.git", "https://example.org/me/relkit"),
        ("https://user:token@example.org/me/relkit", "https://example.org/me/relkit"),
        ("git@example.org:me/relkit.git", "https://example.org/me/relkit"),
        ("ssh://git@example.org/me/relkit", "https://example.org/me/relkit"),
        ("/home/me/relkit", None),
        ("file:///home/me/relkit", None),
    ],
)
def test_the_wheel_names_the_commit_it_was_built_from(
    tree: Path, remote: str, address: str | None
) -> None:
    """By an address that others reach: no token, and no folder of this machine."""
    git(tree, "init", "--quiet")
    git(tree, "remote", "add", "origin", remote)
    commit_all(tree, "source")
    expected = (
        [] if address is None else [f"Source, {address}/tree/{git(tree, 'rev-parse', 'HEAD')}"]
    )
    assert metadata_of(tree).get_all("Project-URL", []) == expected


def test_an_archive_inside_another_repository_is_not_from_there(tree: Path) -> None:
    """A folder that was unpacked below somebody's work tree names nobody's commit."""
    git(tree.parent, "init", "--quiet")
    git(tree.parent, "remote", "add", "origin", "https://example.org/me/other")
    commit_all(tree.parent, "other")
    assert metadata_of(tree)["Name"] == DISTRIBUTION
    assert "Project-URL" not in metadata_of(tree)


def _lose(tree: Path) -> None:
    shutil.rmtree(tree / "datasets" / "words" / "audio")
    name = md5(b"second")
    (tree / OBJECTS / name[:2] / name[2:]).unlink()


def _spoil(tree: Path) -> None:
    shutil.rmtree(tree / "datasets" / "words" / "audio")
    name = md5(b"second")
    (tree / OBJECTS / name[:2] / name[2:]).write_bytes(b"")


def _no_objects(tree: Path) -> None:
    shutil.rmtree(tree / "datasets" / "words" / "audio")
    shutil.rmtree(tree / ".dvc")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: (t / "datasets/words/audio/b.flac").unlink(), "audio/b.flac is missing"),
        (
            lambda t: (t / "datasets/words/audio/b.flac").write_bytes(b"other"),
            "audio/b.flac is not the file of lock.json",
        ),
        (_lose, "audio/b.flac is missing"),
        (_spoil, "audio/b.flac is not the file of lock.json"),
        (_no_objects, "audio/a.flac is missing"),
    ],
)
def test_a_wheel_without_its_audio_is_not_built(
    tree: Path, change: Callable[[Path], object], message: str
) -> None:
    """Which file, and what to run; nothing is left that could be published."""
    change(tree)
    done = build(tree)
    assert done.returncode != 0
    assert f"datasets/words/{message}" in done.stderr
    assert "dvc" in done.stderr
    assert not list(tree.glob("dist/*.whl"))
