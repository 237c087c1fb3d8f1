"""Whether a packet is to be believed: bytes to problems, without network, clock or workspace.

Only verified bytes are read: one signature, by the pinned key, over a file in its one spelling.
Then everything in it has to be what disclosure control could have shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from relkit.attestation.envelopes import Envelope, parse_envelope, render_envelope
from relkit.attestation.statements import parse_content, parse_statement
from relkit.attestation.types import TrustedKey, VerificationSummary
from relkit.attestation.verify import signed_by
from relkit.core.codec import parse
from relkit.core.digests import PREFIX, sha256_bytes
from relkit.core.errors import InvalidInput, Malformed
from relkit.disclosure.leaks import LeakSearch
from relkit.disclosure.names import is_name
from relkit.disclosure.receiving import packet_chain_problems, packet_problems
from relkit.disclosure.types import Packet, PacketCheck, PacketProblem

MOST_RECEIVED = 2**20
"""A packet, and a page, of more bytes is not read."""

_FILE = "file"
_PAGE = "page"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedPacket:
    """The bytes that came: of the packet, of its page (None: without), and of earlier packets."""

    data: bytes = field(repr=False)
    page: bytes | None = field(default=None, repr=False)
    earlier: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """By the name of their file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPacket:
    """What was found: the check, and the packet where it could be read from verified bytes."""

    check: PacketCheck
    packet: Packet | None = None
    digest: str | None = None


def verify_packet(
    received: ReceivedPacket, keys: Sequence[TrustedKey], *, search: LeakSearch | None = None
) -> VerifiedPacket:
    """Return everything that is wrong with a packet; raises nothing for whatever was received.

    ``search`` are tokens that must not stand in it, nor on its page.
    """
    try:
        packet, digest, signer = _opened(received.data, keys)
    except _Refused as refusal:
        return VerifiedPacket(check=_check((refusal.problem,), None, None))
    problems = [
        *_page_problems(packet, received.page),
        *_summary_problems(packet, keys),
        *packet_problems(packet),
        *_chain(packet, received.earlier, keys),
        *_leaks(received, search),
    ]
    return VerifiedPacket(
        check=_check(tuple(problems), signer, packet), packet=packet, digest=digest
    )


class _Refused(Exception):
    """Nothing inside can be believed."""

    def __init__(self, code: str, where: str) -> None:
        super().__init__(code)
        self.problem = PacketProblem(code=code, where=where)


def _check(
    problems: tuple[PacketProblem, ...], signer: str | None, packet: Packet | None
) -> PacketCheck:
    return PacketCheck(
        valid=not problems,
        problems=problems,
        signer=signer,
        window=None if packet is None else packet.window,
        previous=None if packet is None else packet.previous,
        cells=0 if packet is None else len(packet.cells),
    )


def _opened(data: bytes, keys: Sequence[TrustedKey]) -> tuple[Packet, str, str]:
    """Return (packet, digest of its statement, id of the key that signed); raises _Refused.

    A second signature, another spelling of the same JSON or a hint at another key would be bytes
    that nobody vouches for.
    """
    if len(data) > MOST_RECEIVED:
        raise _Refused("too_large", _FILE)
    try:
        envelope = parse_envelope(data, source=_FILE)
    except InvalidInput as error:
        raise _Refused("envelope", _FILE) from error
    signers, _ = signed_by(envelope, keys)
    if not signers:
        raise _Refused("signature" if envelope.signatures else "unsigned", _FILE)
    if len(envelope.signatures) != 1 or envelope.signatures[0].key != signers[0]:
        raise _Refused("signatures", _FILE)
    if render_envelope(envelope) != data:
        raise _Refused("spelling", _FILE)
    try:
        statement = parse_statement(envelope.payload, source=_FILE)
    except InvalidInput as error:
        where = error.problem if isinstance(error, Malformed) else error.message
        raise _Refused("schema", where.removeprefix(f"{_FILE}: ")) from error
    if not isinstance(statement.content, Packet):
        raise _Refused("kind", _FILE)
    if not statement.canonical:
        raise _Refused("spelling", _FILE)
    return statement.content, envelope.digest, signers[0]


def _page_problems(packet: Packet, page: bytes | None) -> Iterator[PacketProblem]:
    """Yield that a page is another one; that the signed page is the subject was read before."""
    if page is None:
        return
    if len(page) > MOST_RECEIVED:
        yield PacketProblem(code="too_large", where=_PAGE)
    elif sha256_bytes(page) != PREFIX + packet.page:
        yield PacketProblem(code="page", where=_PAGE)


def _summary_problems(packet: Packet, keys: Sequence[TrustedKey]) -> Iterator[PacketProblem]:
    """Yield summaries of decisions that are none, or that the pinned key has not signed."""
    for number, document in enumerate(packet.summaries):
        where = f"summaries.{number}"
        try:
            envelope = parse(Envelope, document, source=where)
            summary = parse_content(envelope.payload, VerificationSummary, source=where)
        except InvalidInput:
            yield PacketProblem(code="summary", where=where)
            continue
        signers, problems = signed_by(envelope, keys)
        if not signers or problems or len(envelope.signatures) != 1:
            yield PacketProblem(code="summary_signature", where=where)
        tools = summary.verifier.version
        if not all(is_name(text) for pair in tools.items() for text in pair):
            yield PacketProblem(code="name", where=where)


def _chain(
    packet: Packet, earlier: Mapping[str, bytes], keys: Sequence[TrustedKey]
) -> Iterator[PacketProblem]:
    """Yield earlier packets that do not hold themselves, then what breaks the chain."""
    packets = {}
    for name, data in earlier.items():
        before = verify_packet(ReceivedPacket(data=data), keys)
        if not before.check.valid or before.packet is None or before.digest is None:
            yield PacketProblem(code="previous", where=name)
        else:
            packets[before.digest] = before.packet
    yield from packet_chain_problems(packet, packets)


def _leaks(received: ReceivedPacket, search: LeakSearch | None) -> Iterator[PacketProblem]:
    if search is None:
        return
    for where, data in ((_FILE, received.data), (_PAGE, received.page)):
        for place in search.scan(data or b""):
            yield PacketProblem(code="leak", where=f"{where}: {place.token}")
