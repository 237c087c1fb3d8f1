"""The wheel carries the audio of every locked dataset, or is not built."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from relkit.datasets.files import render_lock
from relkit.datasets.types import DatasetLock, LockedAudio
from tests.builders import DIGEST

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
    folders = ("relkit", "eval", "gates", "registry", "runbooks", action, "datasets/words/audio")
    for name in folders:
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
