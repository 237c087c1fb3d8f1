"""A disk that is full, for real: a file system of a few hundred KiB."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from relkit.core import storage
from relkit.core.errors import StorageFailed
from tests.conftest import Workspace


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a mounted file system of 256 KiB; skips where mounting is not allowed."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def fill(folder: Path, leave: int) -> None:
    """Fill a file system up to ``leave`` bytes."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "ballast").write_bytes(b"\0" * max(0, free - leave))


def test_a_file_is_old_or_new_and_never_half(small_disk: Path) -> None:
    """What could not be written whole leaves the old file and no other."""
    path = small_disk / "report.json"
    storage.write_text(path, "old")
    fill(small_disk, 8192)
    with pytest.raises(StorageFailed, match="no space left"):
        storage.write_text(path, "x" * 100_000)
    assert path.read_text(encoding="utf-8") == "old"
    assert sorted(item.name for item in small_disk.iterdir()) == ["ballast", "report.json"]


def test_an_eval_on_a_full_disk_says_so_and_goes_on_later(
    workspace: Workspace, small_disk: Path
) -> None:
    """The run stops with one message, and --resume finishes it when there is room again."""
    (workspace.folder / ".relkit").symlink_to(small_disk, target_is_directory=True)
    name = workspace.recorded(lambda row: {"text": row["text"] * 40})
    fill(small_disk, 100_000)
    said = workspace.relkit("eval", name)
    assert said.code == 2, said.err
    assert "space" in said.err
    assert "Traceback" not in said.err
    (run,) = workspace.runs
    assert not (run / "report.json").exists()
    assert not list(run.glob(".*.parquet*"))
    (small_disk / "ballast").unlink()
    again = workspace.relkit("eval", name, "--resume", run.name, "--json")
    assert again.code == 0, again.out
    assert again.document["scored"] == again.document["expected"] == 16


def test_init_on_a_full_disk_leaves_nothing(workspace: Workspace, small_disk: Path) -> None:
    """A workspace is written whole or not at all."""
    said = workspace.relkit("init", str(small_disk / "new"))
    assert said.code == 2
    assert "disk space" in said.err
    assert not list((small_disk / "new").iterdir())
