"""What the team that made a packet can say of it to those who received it."""

from dataclasses import dataclass, field
from typing import ClassVar

from relkit.core.values import Shape
from relkit.incident.packets.types import Opening


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedName:
    """A pseudonym of a packet, and the column or ``column=value`` that it stands for."""

    incident: str
    name: str
    stands_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCommitments:
    """What the commitments of a packet are opened with.

    ``file`` is the name of a file that was held against them, and ``committed`` the kind of what it
    is, None where it is nothing that the packet is committed to.
    """

    FILE: ClassVar = Shape(required=True)

    incident: str
    openings: tuple[Opening, ...] = field(repr=False)
    file: str | None = None
    committed: str | None = None
