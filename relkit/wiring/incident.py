"""Builds what triage, packets and drills need."""

from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace
from relkit.core.errors import InvalidInput

if TYPE_CHECKING:
    from relkit.incident.packets.types import BuiltPacket, PacketOptions


def build_packet(
    workspace: Workspace,  # noqa: ARG001 - unfinished
    options: "PacketOptions",  # noqa: ARG001
    sign: Path,  # noqa: ARG001
) -> "BuiltPacket":
    """Write a packet."""
    raise InvalidInput("packets are not built yet", hint="this state of relkit is unfinished")
