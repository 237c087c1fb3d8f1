"""Drills: those that ship and those of a workspace, and the folder in which one unfolds."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from relkit.core import storage
from relkit.core.codec import decode, encode, nearest, parse, parse_json
from relkit.core.digests import canonical
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.yaml_text import shown
from relkit.incident.drills.files import parse_drill
from relkit.incident.drills.types import Drill, DrillState, HandedIn, PacketVerdict

_STATE = "drill.json"
_ANSWER = "answer.handed-in.json"

DrillFileT = TypeVar("DrillFileT", DrillState, HandedIn)


class DrillLibrary:
    """Drills as YAML files in folders, the first folder that has a name wins."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Use folders that may be absent."""
        self._paths: dict[str, Path] = {}
        for folder in folders:
            for path in sorted(folder.glob("*.yaml")):
                self._paths.setdefault(path.stem, path)

    def names(self) -> tuple[str, ...]:
        """Return the names of all drills."""
        return tuple(sorted(self._paths))

    def read(self, name: str) -> Drill:
        """Return a drill; raises UsageError for an unknown one, InvalidInput for a broken one."""
        path = self._paths.get(name)
        if path is None:
            hint = nearest(name, self.names()) or "see them: relkit drill list"
            raise UsageError(f'no drill "{shown(name)}"', hint=hint)
        source = f"drills/{path.name}"
        drill = parse_drill(
            decode(storage.read_bytes(path, what=source), source=source), source=source
        )
        if drill.name != path.stem:
            raise InvalidInput(
                f'{source}: is called "{shown(drill.name)}"',
                hint=f'write "name: {path.stem}", or rename the file',
            )
        return drill


class DrillWorkFolder:
    """The folder of one drill; implements DrillFolder."""

    def __init__(
        self, folder: Path, check: Callable[[Path, Collection[str]], PacketVerdict]
    ) -> None:
        """Use a folder; ``check`` looks at a packet as its receiver would, and for users in it."""
        self._folder = folder
        self._check = check

    def require_new(self) -> None:
        """Raise UsageError where the folder is not empty."""
        if self._folder.exists() and (not self._folder.is_dir() or any(self._folder.iterdir())):
            raise UsageError("--out is not empty", hint="name a new folder for the drill")

    def begin(self, state: DrillState) -> None:
        """Note that the drill began."""
        self._write(_STATE, state)

    def state(self) -> DrillState:
        """Return the drill of the folder; raises UsageError where there is none."""
        state = self._read(_STATE, DrillState)
        if state is None:
            raise UsageError(
                f"{self._folder.name} holds no drill",
                hint="start one: relkit drill start NAME --out DIR",
            )
        return state

    def ledger(self, model: str) -> bytes:
        """Return a model's ledger as it is there, empty where there is none."""
        path = self._folder / "registry" / "events" / f"{model}.jsonl"
        return storage.read_bytes(path, what=path.name) if path.is_file() else b""

    def hand_in(self, handed_in: HandedIn) -> None:
        """Keep an answer."""
        self._write(_ANSWER, handed_in)

    def handed_in(self) -> HandedIn | None:
        """Return the answer, None before there is one."""
        return self._read(_ANSWER, HandedIn)

    def check_packet(self, path: str, users: Collection[str]) -> PacketVerdict:
        """Return whether a packet in the folder holds, and how many of the users are in it."""
        packet = (self._folder / path).resolve()
        if not packet.is_relative_to(self._folder.resolve()) or not packet.is_file():
            return PacketVerdict(
                valid=False, leaks=0, problems=("the packet named in the answer is not there",)
            )
        return self._check(packet, users)

    def _write(self, name: str, value: DrillState | HandedIn) -> None:
        storage.write_bytes(self._folder / name, canonical(encode(value)) + b"\n")

    def _read(self, name: str, kind: type[DrillFileT]) -> DrillFileT | None:
        path = self._folder / name
        if not path.is_file():
            return None
        text = decode(storage.read_bytes(path, what=name), source=name)
        return parse(kind, parse_json(text, source=name), source=name)
