"""Builds what drills need: those that ship and those of a workspace, a folder, a clock."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relkit.adapters.drills import DrillLibrary
    from relkit.incident.drills.run import DrillPorts
    from relkit.incident.drills.types import Drill, DrillScore, DrillStatus, PacketVerdict


def drills(start: Path) -> "tuple[Drill, ...]":
    """Return all drills, those of the workspace at or above ``start`` first."""
    from relkit.incident.drills.run import drill_list

    return drill_list(_library(start))


def start(start: Path, folder: Path, name: str, *, seed: int, speed: float) -> "DrillStatus":
    """Begin a drill in a new folder; see :func:`relkit.incident.drills.run.start_drill`."""
    from relkit.incident.drills.run import start_drill

    return start_drill(name, _library(start), _ports(folder), seed=seed, speed=speed)


def status(folder: Path) -> "DrillStatus":
    """Let a drill go on; see :func:`relkit.incident.drills.run.drill_status`."""
    from relkit.incident.drills.run import drill_status

    return drill_status(_ports(folder))


def answer(folder: Path, file: Path) -> "DrillStatus":
    """Hand in an answer; see :func:`relkit.incident.drills.run.answer_drill`."""
    from relkit.core import storage
    from relkit.core.codec import decode
    from relkit.incident.drills.files import parse_drill_answer
    from relkit.incident.drills.run import answer_drill

    text = decode(storage.read_bytes(file, what=file.name), source=file.name)
    return answer_drill(parse_drill_answer(text, source=file.name), _ports(folder))


def score(folder: Path, keys: tuple[str, ...]) -> "DrillScore":
    """Return what the answer was worth; see :func:`relkit.incident.drills.run.score_drill`."""
    from relkit.incident.drills.run import score_drill

    return score_drill(_ports(folder, keys))


def _library(start: Path) -> "DrillLibrary":
    from relkit.adapters.drills import DrillLibrary
    from relkit.adapters.workspace import scaffold_source
    from relkit.wiring.stores import workspace_if_any

    workspace = workspace_if_any(start)
    folders = [] if workspace is None else [workspace.folder]
    every = [folder / "runbooks" / "drills" for folder in (*folders, scaffold_source())]
    return DrillLibrary(every)


def _ports(folder: Path, keys: tuple[str, ...] = ()) -> "DrillPorts":
    from functools import partial

    from relkit.adapters.drills import DrillWorkFolder
    from relkit.adapters.simulated import SimulatedWorkspace
    from relkit.adapters.workspace import SystemClock
    from relkit.incident.drills.run import DrillPorts

    return DrillPorts(
        folder=DrillWorkFolder(folder, partial(_checked, keys)),
        files=SimulatedWorkspace(folder, fresh=False),
        clock=SystemClock(),
    )


def _checked(keys: tuple[str, ...], packet: Path, users: Collection[str]) -> "PacketVerdict":
    """Return what a receiver of the packet would say, and how many of the users are in it."""
    from relkit.adapters.leaks import LeakFiles
    from relkit.disclosure.leaks import LeakSearch, leak_token
    from relkit.incident.drills.types import PacketVerdict
    from relkit.incident.received.run import VerifyPacketOptions
    from relkit.wiring.incident import verify_packet

    verified, page = verify_packet(VerifyPacketOptions(packet=packet), keys)
    search = LeakSearch([leak_token(user, "a user", where="telemetry") for user in users])
    files = [packet] if page is None else [packet, page]
    hits = sum(len(LeakFiles(search).scan(file).hits) for file in files)
    check = verified.check
    return PacketVerdict(
        valid=check.valid,
        leaks=hits,
        problems=tuple(f"packet: {problem.code}: {problem.where}" for problem in check.problems),
    )
