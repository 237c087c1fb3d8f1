"""What a packet is made from, and what stays behind of it in the workspace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from relkit.core.config import Profile
from relkit.core.values import Digest, Limits, Shape
from relkit.disclosure.types import (
    Commitment,
    HourSpan,
    IncidentSeverity,
    IncidentStatus,
    Mitigation,
    Packet,
    PacketStage,
    SharedName,
    Subjects,
)

PACKET_ENDING = ".packet.json"
"""What the name of a signed packet ends in; that of its page ends in ``.html``."""

Material = Literal["telemetry", "triage", "decision", "finding", "ledger"]
"""What stays at home, and is committed to."""

Hex32 = Annotated[str, Limits(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes in hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketOptions:
    """What was asked for; None where the triage, the workspace or the packet before says it.

    ``window`` is ``FROM/TO`` and ``mapping`` are ``NAME=COLUMN`` as they were typed, ``columns``
    those to cut by, ``now`` the time.
    """

    model: str | None
    telemetry: tuple[str, ...]
    window: str
    now: str
    mapping: tuple[str, ...] = ()
    triage: Path | None = None
    columns: tuple[str, ...] | None = None
    stage: PacketStage | None = None
    update: Path | None = None
    profile: Profile | None = None
    subjects: Subjects = "people"
    status: IncidentStatus | None = None
    severity: IncidentSeverity | None = None
    aware: str | None = None
    mitigations: tuple[Mitigation, ...] = ()
    out: Path = Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an auditor opens a commitment with: SHA-256(random ‖ digest) is the commitment.

    ``name`` is what the material is called in the workspace, ``digest`` its own SHA-256; both stay
    there. ``random`` are 32 bytes.
    """

    FILE: ClassVar = Shape(required=True)

    kind: Material
    name: str
    digest: Digest
    random: Hex32 = field(repr=False)
    sha256: Hex32

    @property
    def commitment(self) -> Commitment:
        """What a packet holds of it."""
        return Commitment(kind=self.kind, sha256=self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentNames:
    """``names.json`` of an incident: pseudonym to the column, or ``column=value``."""

    FILE: ClassVar = Shape(required=True)

    names: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentOpenings:
    """``openings.json`` of an incident."""

    FILE: ClassVar = Shape(required=True)

    openings: tuple[Opening, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedPacket:
    """A packet that is out: its statement by digest, and the signed file as it was written."""

    name: str
    digest: str
    packet: Packet
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPacket:
    """What was written: both files and what is in them, in numbers.

    ``again`` says that the packet was out already, as it is.
    """

    packet: str
    page: str
    incident: SharedName
    stage: PacketStage
    window: HourSpan
    cells: int
    pooled: tuple[str, ...]
    hidden: int
    again: bool = False
