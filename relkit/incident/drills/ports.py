"""What a drill needs from outside."""

from collections.abc import Collection
from typing import Protocol

from relkit.incident.drills.types import Drill, DrillState, HandedIn, PacketVerdict


class DrillFiles(Protocol):
    """The drills there are, by name."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all drills, the shipped ones and those of the workspace."""

    def read(self, name: str) -> Drill:
        """Return a drill; raises UsageError for an unknown one, InvalidInput for a broken one."""


class DrillFolder(Protocol):
    """The folder in which a drill unfolds, a workspace."""

    def require_new(self) -> None:
        """Raise UsageError where the folder is not empty."""

    def begin(self, state: DrillState) -> None:
        """Note that the drill began; raises StorageFailed."""

    def state(self) -> DrillState:
        """Return the drill of the folder; raises UsageError where there is none."""

    def ledger(self, model: str) -> bytes:
        """Return a model's ledger as it is there, empty where there is none."""

    def hand_in(self, handed_in: HandedIn) -> None:
        """Keep an answer; the first time it was handed in stays."""

    def handed_in(self) -> HandedIn | None:
        """Return the answer, None before there is one."""

    def check_packet(self, path: str, users: Collection[str]) -> PacketVerdict:
        """Return whether a packet in the folder holds, and how many of the users are in it."""
