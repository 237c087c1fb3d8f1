"""DSSE envelopes: bytes to types and back, no I/O, no cryptography.

DSSE v1.0 (secure-systems-lab/dsse) signs the pre-authentication encoding of a payload, so that
what is verified is exactly what is read. An unsigned document is the same envelope with an empty
``signatures`` list.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from relkit.core.codec import decode, encode, parse, parse_json
from relkit.core.digests import canonical, sha256_bytes
from relkit.core.errors import InvalidInput
from relkit.core.values import OMITTED, Base64, Limits, Shape, named

MAX_BYTES = 256 * 2**20
"""Larger files are refused before they are parsed."""

MAX_SIGNATURES = 64
"""More are refused: each is tried with every key over the whole payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature, and what its maker calls the key: a hint, nothing vouches for it.

    Other tools leave the hint out or have names of their own, and add keys (certificates, times)
    that a reader has to pass over.
    """

    FILE: ClassVar = Shape(open=True)

    value: Base64 = field(metadata=named("sig"))
    key: str | None = field(default=None, metadata=named("keyid") | OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A payload and the signatures over it."""

    FILE: ClassVar = Shape(required=True)

    payload: Base64
    payload_type: Literal["application/vnd.in-toto+json"] = field(
        default="application/vnd.in-toto+json", metadata=named("payloadType")
    )
    signatures: Annotated[tuple[Signature, ...], Limits(max_length=MAX_SIGNATURES)] = ()

    @property
    def message(self) -> bytes:
        """The bytes that are signed: DSSE's pre-authentication encoding."""
        kind = self.payload_type.encode("ascii")
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    @property
    def digest(self) -> str:
        """The digest of the statement inside; signing it changes nothing about it."""
        return sha256_bytes(self.payload)


def render_envelope(envelope: Envelope) -> bytes:
    """Return an envelope as one line of canonical JSON; `parse_envelope` gives it back."""
    return canonical(encode(envelope)) + b"\n"


def parse_envelope(data: bytes, *, source: str) -> Envelope:
    """Return an envelope; raises InvalidInput for another payload type and for what is ambiguous.

    Base64 has one spelling here: DSSE allows more, and a changed byte that changes nothing would
    be one that nobody notices.
    """
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"{source}: is larger than {MAX_BYTES // 2**20} MiB")
    return parse(Envelope, parse_json(decode(data, source=source), source=source), source=source)
