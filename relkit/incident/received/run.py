"""``relkit incident verify``, ``show``, ``resolve`` and ``open``: files to what they say."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from relkit.attestation.envelopes import MAX_BYTES, parse_envelope
from relkit.attestation.statements import parse_content
from relkit.attestation.types import TrustedKey
from relkit.core import storage
from relkit.core.codec import decode
from relkit.core.digests import PREFIX, sha256_bytes
from relkit.core.errors import InvalidInput, UsageError
from relkit.disclosure.leaks import LeakSearch, parse_tokens
from relkit.disclosure.types import Packet
from relkit.incident.packets.types import IssuedPacket, Opening
from relkit.incident.received.types import OpenedCommitments, ResolvedName
from relkit.incident.received.verify import (
    MOST_RECEIVED,
    ReceivedPacket,
    VerifiedPacket,
    verify_packet,
)

_ENDING = ".packet.json"
_ELSEWHERE = "only the workspace that made a packet can: ask its sender"
_NAMED = re.compile(r"(?:.*[=&])?([^=&]+)")


class IncidentState(Protocol):
    """What the workspace that made packets keeps of their incidents."""

    def incidents(self) -> tuple[str, ...]:
        """Return the incidents that there are."""
        ...

    def names(self, incident: str) -> dict[str, str]:
        """Return pseudonym to what it stands for."""
        ...

    def openings(self, incident: str) -> tuple[Opening, ...]:
        """Return what commitments are opened with."""
        ...

    def issued(self, incident: str) -> tuple[IssuedPacket, ...]:
        """Return the packets that are out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyPacketOptions:
    """The files to check: a packet, its page (None: the one beside it, if any), earlier packets.

    ``tokens`` is a file of what must not stand in packet or page.
    """

    packet: Path
    page: Path | None = None
    previous: tuple[Path, ...] = ()
    tokens: Path | None = None


def page_beside(packet: Path) -> Path | None:
    """Return the page beside a packet, which has the packet's name; None where there is none."""
    page = packet.with_name(packet.name.removesuffix(_ENDING) + ".html")
    return page if packet.name.endswith(_ENDING) and page.exists() else None


def verify_received(
    options: VerifyPacketOptions, keys: Sequence[TrustedKey]
) -> tuple[VerifiedPacket, Path | None]:
    """Return what is wrong with a received packet, and the page that was checked with it.

    Raises InvalidInput for a file that cannot be read.
    """
    page = options.page or page_beside(options.packet)
    search = None
    if options.tokens is not None:
        name = options.tokens.name
        text = decode(storage.read_bytes(options.tokens, what=name), source=name)
        search = LeakSearch(parse_tokens(text, source=name))
    received = ReceivedPacket(
        data=_read(options.packet),
        page=None if page is None else _read(page),
        earlier={path.name: _read(path) for path in options.previous},
    )
    return verify_packet(received, keys, search=search), page


def read_packet(path: Path) -> tuple[Packet, str]:
    """Return a packet as it is, believed or not, and the digest of its statement.

    Raises InvalidInput for what is none.
    """
    data = _read(path)
    if len(data) > MOST_RECEIVED:
        raise InvalidInput(f"{path.name}: is larger than 1 MiB, which no packet is")
    envelope = parse_envelope(data, source=path.name)
    return parse_content(envelope.payload, Packet, source=path.name), envelope.digest


def is_signed_page(packet: Packet, page: bytes) -> bool:
    """Return whether a page is the one that a packet names."""
    return sha256_bytes(page) == PREFIX + packet.page


def resolve_name(path: Path, name: str, incidents: IncidentState) -> ResolvedName:
    """Return what a pseudonym stands for; ``name`` may be it, or a slice that ends with it.

    Raises UsageError where the packet was not made here, or holds no such pseudonym.
    """
    packet, digest = read_packet(path)
    _require_issued(packet, digest, path, incidents)
    match = _NAMED.fullmatch(name)
    pseudonym = match[1] if match else name
    stands_for = incidents.names(packet.incident).get(pseudonym)
    if stands_for is None:
        raise UsageError(
            f"no pseudonym of {packet.incident} has that name",
            hint="name one as the packet shows it, such as tenant-3fa2; others are names as are",
        )
    return ResolvedName(incident=packet.incident, name=pseudonym, stands_for=stands_for)


def open_commitments(
    path: Path, incidents: IncidentState, *, file: Path | None = None
) -> OpenedCommitments:
    """Return the openings of a packet's commitments, and whether a file is one of them.

    Raises UsageError where the packet was not made here, InvalidInput for a file that cannot be
    read.
    """
    packet, digest = read_packet(path)
    _require_issued(packet, digest, path, incidents)
    committed = {commitment.sha256 for commitment in packet.commitments}
    openings = [item for item in incidents.openings(packet.incident) if item.sha256 in committed]
    opened = OpenedCommitments(
        incident=packet.incident,
        openings=tuple(sorted(openings, key=lambda opening: (opening.kind, opening.name))),
    )
    return opened if file is None else _held_against(opened, packet, file)


def open_with(path: Path, file: Path, random: str) -> OpenedCommitments:
    """Return whether a file is one that a packet is committed to, by the bytes of its opening.

    Needs no workspace: an auditor has the packet, the file, and ``random`` from the sender.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", random):
        raise UsageError("--random: 64 hexadecimal digits were expected")
    packet, _ = read_packet(path)
    openings = tuple(
        Opening(
            kind=commitment.kind,
            name=file.name,
            digest=digest,
            random=random,
            sha256=commitment.sha256,
        )
        for digest in _digests(file)
        for commitment in packet.commitments
        if commitment.sha256 == commitment_of(random, digest)
    )
    return _held_against(
        OpenedCommitments(incident=packet.incident, openings=openings), packet, file
    )


def _held_against(opened: OpenedCommitments, packet: Packet, file: Path) -> OpenedCommitments:
    digests = _digests(file)
    kinds = {commitment.sha256: commitment.kind for commitment in packet.commitments}
    kind = next(
        (
            kinds[opening.sha256]
            for opening in opened.openings
            if opening.digest in digests
            and commitment_of(opening.random, opening.digest) == opening.sha256
        ),
        None,
    )
    return OpenedCommitments(
        incident=opened.incident, openings=opened.openings, file=file.name, committed=kind
    )


def commitment_of(random: str, digest: str) -> str:
    """Return SHA-256 of 32 random bytes and a digest, in hexadecimal: what a packet holds."""
    sealed = bytes.fromhex(random) + bytes.fromhex(digest.removeprefix(PREFIX))
    return hashlib.sha256(sealed).hexdigest()


def _digests(file: Path) -> tuple[str, ...]:
    """Return the digests that a file can be meant by: its own, and that of a statement in it."""
    try:
        with file.open("rb") as stream:
            digest = PREFIX + hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0)
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise storage.unreadable(error, among=file.name) from error
    try:
        return digest, parse_envelope(data, source=file.name).digest
    except InvalidInput:
        return (digest,)


def _require_issued(packet: Packet, digest: str, path: Path, incidents: IncidentState) -> None:
    here = packet.incident in incidents.incidents()
    issued = incidents.issued(packet.incident) if here else ()
    if digest not in {item.digest for item in issued}:
        raise UsageError(f"{path.name}: was not made in this workspace", hint=_ELSEWHERE)


def _read(path: Path) -> bytes:
    """Return the bytes of a file, or so many of them that it is too large; raises InvalidInput."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_RECEIVED + 1)
    except OSError as error:
        if path.is_dir():
            raise InvalidInput(f"{path.name}: is a folder, a file was expected") from error
        raise InvalidInput(
            f"{path.name}: cannot be read: {os.strerror(error.errno or 0)}"
        ) from error
