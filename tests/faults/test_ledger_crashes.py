"""Killed between any two writes: what was acknowledged is there, and the same command finishes."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relkit.core import storage
from relkit.core.config import MARKER
from relkit.core.digests import sha256_bytes
from relkit.core.errors import StorageFailed
from relkit.registry.register import RegisterOptions
from relkit.registry.verify import VerifyRegistryOptions
from relkit.wiring import registry
from relkit.wiring.stores import ledger_files, open_workspace
from tests.conftest import Workspace
from tests.release_data import history, ledger_in, registered, write_history

_MOST = 40
_KILLED = -signal.SIGKILL


class Countdown:
    """Kills its own process at the n-th step that writes something."""

    def __init__(self, steps: int) -> None:
        """Live for so many steps."""
        self._left = steps

    def step(self) -> None:
        """Take one step, or die as by a power cut: no handler runs."""
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def in_steps(patch: pytest.MonkeyPatch, countdown: Countdown) -> None:
    """Put a step before, in the middle of and after every write of relkit's storage."""
    append, sync, replacing = (
        storage.AppendLog.append,
        storage.AppendLog.sync,
        storage.replacing,
    )

    def torn(self: storage.AppendLog, line: str) -> None:
        countdown.step()
        path: Path = self._path
        for part in (line[: len(line) // 2], line):  # half a line, then one without its line feed
            before = path.read_bytes()
            path.write_bytes(before + part.encode())
            countdown.step()
            path.write_bytes(before)
        append(self, line)
        countdown.step()

    def synced(self: storage.AppendLog) -> None:
        sync(self)
        countdown.step()

    @contextmanager
    def replaced(path: Path) -> Iterator[Path]:
        countdown.step()
        with replacing(path) as temporary:
            yield temporary
            countdown.step()
        countdown.step()

    patch.setattr(storage.AppendLog, "append", torn)
    patch.setattr(storage.AppendLog, "sync", synced)
    patch.setattr(storage, "replacing", replaced)


def _child(act: Callable[[], object], steps: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        in_steps(patch, Countdown(steps))
        act()


def killed_after(steps: int, act: Callable[[], object]) -> bool:
    """Run ``act`` in a process that is killed at a step; False where it came to its end."""
    child = multiprocessing.get_context("fork").Process(target=_child, args=(act, steps))
    child.start()
    child.join()
    assert child.exitcode in {0, _KILLED}
    return child.exitcode == _KILLED


@pytest.mark.parametrize("before", [0, 3])
def test_an_append_is_there_or_not_wherever_it_is_killed(tmp_path: Path, before: int) -> None:
    """The events before stay, the chain is whole, the next append goes through, repair is clean."""
    seen = set()
    for steps in range(_MOST):
        folder = tmp_path / str(steps)
        events = history()[:before]
        ledger = write_history(folder, events)
        new = registered("2.0.0", 9)
        killed = killed_after(steps, lambda: ledger_in(folder).append(new, expected=before))  # noqa: B023 - called at once
        found = ledger.events("asr")
        assert found[:before] == events
        assert len(found) in {before, before + 1}
        assert killed or len(found) == before + 1
        seen.add((killed, len(found) - before))
        ledger.append(registered("3.0.0", 10), expected=len(found))
        ledger.repair("asr")
        assert ledger.read("asr").problems == ()
        names = {path.name for path in (folder / "events").iterdir()}
        assert {name for name in names if name.startswith(".asr")} == set()
        assert [one.version for one in ledger.events("asr")][: len(found)] == [
            one.version for one in found
        ]
        if not killed:
            break
    assert seen == {(True, 0), (True, 1), (False, 1)}


def test_a_repair_can_be_killed_and_repeated(tmp_path: Path) -> None:
    """It replaces the file whole, so that there is the old one or the new one."""
    for steps in range(_MOST):
        folder = tmp_path / str(steps)
        ledger = write_history(folder, history())
        path = folder / "events" / "asr.jsonl"
        good = path.read_bytes()
        lines = good.splitlines(keepends=True)
        path.write_bytes(b"".join([lines[1], lines[0], lines[2]]))
        killed = killed_after(steps, lambda: ledger_in(folder).repair("asr"))  # noqa: B023 - called at once
        ledger.repair("asr")
        assert path.read_bytes() == good
        if not killed:
            return
    pytest.fail("the repair never came to its end")


def test_a_registration_is_finished_by_the_same_command(tmp_path: Path) -> None:
    """File, evidence and event: after a kill anywhere the same command ends well."""
    for steps in range(_MOST):
        folder = tmp_path / str(steps)
        (folder / "models").mkdir(parents=True)
        (folder / MARKER).write_text("name: crash\n")
        (folder / "models" / "m.bin").write_bytes(b"weights")
        source = folder / "release.yaml"
        source.write_text(
            "schema: relkit.release/v1\nmodel: asr\nversion: 1.0.0\ncomponent: asr\n"
            "owner: team\nlicence: MIT\nartifact: {root: models/m.bin}\n"
        )
        settings = open_workspace(folder)
        options = RegisterOptions(release=source, by="ann")
        killed = killed_after(steps, lambda: registry.register(settings, options))  # noqa: B023 - called at once
        done = registry.register(settings, options)
        assert done.release.artifact_digest == sha256_bytes(b"weights")
        assert len(ledger_files(settings).events("asr")) == 1
        assert registry.verify(settings, VerifyRegistryOptions(repair=True)).problems == ()
        assert registry.validate(settings, artifacts=True).defects == ()
        if not killed:
            return
    pytest.fail("the registration never came to its end")


def test_a_full_disk_appends_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written whole is taken back, and the ledger goes on later."""
    ledger = write_history(workspace.folder, history())

    def full(_self: storage.AppendLog, _line: str) -> None:
        raise StorageFailed("no space left to write asr.jsonl")

    with monkeypatch.context() as patch:
        patch.setattr(storage.AppendLog, "append", full)
        with pytest.raises(StorageFailed):
            ledger.append(registered("2.0.0", 9), expected=3)
    assert ledger.events("asr") == history()
    ledger.append(registered("2.0.0", 9), expected=3)
