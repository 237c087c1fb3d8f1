"""What making a packet needs from outside."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from relkit.disclosure.types import HourSpan, Packet, WindowTurns
from relkit.incident.packets.types import IssuedPacket, Opening
from relkit.monitoring.types import LiveFinding


class WindowTelemetry(Protocol):
    """Telemetry that was opened."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """The columns that turns can be cut by."""
        ...

    def digests(self) -> Mapping[str, str]:
        """Return the digest of each file by its path."""
        ...

    def turns(
        self, window: HourSpan, columns: Sequence[str], unit: Literal["user", "session"]
    ) -> WindowTurns:
        """Return the turns of a window; raises InvalidInput where people cannot be counted."""
        ...


class Incidents(Protocol):
    """What a workspace keeps of its incidents."""

    def held(self) -> AbstractContextManager[None]:
        """Hold all of it for the block; raises Busy."""
        ...

    def incidents(self) -> tuple[str, ...]:
        """Return the incidents that there are."""
        ...

    def key(self, incident: str) -> bytes:
        """Return the 32 bytes of an incident's key, made on first use."""
        ...

    def names(self, incident: str) -> dict[str, str]:
        """Return pseudonym to what it stands for."""
        ...

    def keep_names(self, incident: str, names: Mapping[str, str]) -> None:
        """Write them."""
        ...

    def openings(self, incident: str) -> tuple[Opening, ...]:
        """Return what commitments are opened with."""
        ...

    def keep_openings(self, incident: str, openings: Sequence[Opening]) -> None:
        """Write them."""
        ...

    def triage(self, incident: str, at: str) -> tuple[str, bytes] | None:
        """Return the name and bytes of the last triage that was kept for a window up to ``at``."""
        ...

    def keep_triage(self, incident: str, at: str, data: bytes) -> None:
        """Write the report of the triage that the packet of a window rests on."""
        ...

    def issued(self, incident: str) -> tuple[IssuedPacket, ...]:
        """Return the packets that are out, the first hours first."""
        ...

    def page(self, incident: str, name: str) -> bytes:
        """Return the page of a packet that is out."""
        ...

    def keep_issued(self, incident: str, name: str, data: bytes, page: bytes) -> None:
        """Write a packet and its page as they are about to go out."""
        ...


class Findings(Protocol):
    """What monitors have found."""

    def recorded(self) -> Iterator[tuple[str, str, LiveFinding]]:
        """Yield (name, digest, finding) of each; raises InvalidInput for one that is broken."""
        ...


class DecisionStore(Protocol):
    """The decisions of a workspace."""

    def decision(self, digest: str) -> bytes | None:
        """Return the file of a decision by its digest, None where it is not here."""
        ...


RenderPage = Callable[[Packet], bytes]
"""Returns the page of a packet, in which its own digest does not stand."""
