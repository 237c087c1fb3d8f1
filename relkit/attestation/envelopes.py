"""DSSE envelopes around in-toto statements: bytes to types and back, no I/O, no cryptography.

DSSE v1.0 (secure-systems-lab/dsse) signs the pre-authentication encoding of a payload, so that
what is verified is exactly what is read. An unsigned document is the same envelope with an empty
``signatures`` list.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from relkit.core.codec import Record, check, decode, parse_json
from relkit.core.digests import PREFIX, JsonValue, canonical, sha256_bytes
from relkit.core.errors import InvalidInput

PAYLOAD_TYPE: Literal["application/vnd.in-toto+json"] = "application/vnd.in-toto+json"


STATEMENT_TYPE: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"


MAX_BYTES = 256 * 2**20
"""Larger files are refused before they are parsed."""


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature, and the id of the key that is said to have made it."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A payload and the signatures over it."""

    payload: bytes
    signatures: tuple[Signature, ...] = ()

    @property
    def message(self) -> bytes:
        """The bytes that are signed: DSSE's pre-authentication encoding."""
        kind = PAYLOAD_TYPE.encode("ascii")
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    @property
    def digest(self) -> str:
        """The digest of the statement inside; signing it changes nothing about it."""
        return sha256_bytes(self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """An in-toto Statement v1: what it is about by digest, and a predicate of some type."""

    subjects: tuple[tuple[str, str], ...]
    predicate_type: str
    predicate: Mapping[str, JsonValue]


class _SignatureRecord(Record):
    keyid: str
    sig: str


class _EnvelopeRecord(Record):
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    payload: str
    signatures: list[_SignatureRecord]


class _DigestSet(Record):
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Subject(Record):
    name: Annotated[str, Field(min_length=1)]
    digest: _DigestSet


class _StatementRecord(Record):
    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[list[_Subject], Field(min_length=1)]
    predicate_type: Annotated[str, Field(min_length=1, alias="predicateType")]
    predicate: dict[str, object]


def render_envelope(envelope: Envelope) -> bytes:
    """Return an envelope as one line of canonical JSON; `parse_envelope` gives it back."""
    document: JsonValue = {
        "payload": _encoded(envelope.payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": signature.key, "sig": _encoded(signature.value)}
            for signature in envelope.signatures
        ],
    }
    return canonical(document) + b"\n"


def parse_envelope(data: bytes, *, source: str) -> Envelope:
    """Return an envelope; raises InvalidInput for another payload type and for what is ambiguous.

    Base64 has one spelling here: DSSE allows more, and a changed byte that changes nothing would
    be one that nobody notices.
    """
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"{source}: is larger than {MAX_BYTES // 2**20} MiB")
    document = parse_json(decode(data, source=source), source=source)
    record = check(_EnvelopeRecord, document, source=source)
    return Envelope(
        payload=_decoded(record.payload, "payload", source),
        signatures=tuple(
            Signature(key=one.keyid, value=_decoded(one.sig, "sig", source))
            for one in record.signatures
        ),
    )


def render_statement(statement: Statement) -> bytes:
    """Return a statement as canonical JSON (RFC 8785): the payload of an envelope."""
    document: JsonValue = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": digest.removeprefix(PREFIX)}}
            for name, digest in statement.subjects
        ],
        "predicateType": statement.predicate_type,
        "predicate": statement.predicate,
    }
    return canonical(document)


def parse_statement(payload: bytes, *, source: str) -> Statement:
    """Return the statement of a payload; raises InvalidInput."""
    document = parse_json(decode(payload, source=source), source=source)
    record = check(_StatementRecord, document, source=source)
    predicate = document["predicate"] if isinstance(document, Mapping) else None
    if not isinstance(predicate, Mapping):
        raise InvalidInput(f"{source}: has no predicate")
    return Statement(
        subjects=tuple((one.name, PREFIX + one.digest.sha256) for one in record.subject),
        predicate_type=record.predicate_type,
        predicate=predicate,
    )


def as_json(value: object) -> JsonValue:
    """Return what was parsed from YAML or JSON as the JSON it is; raises InvalidInput."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise InvalidInput("a policy holds a value that is no JSON")


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decoded(text: str, name: str, source: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f'{source}: "{name}" is not base64') from error
    if _encoded(data) != text:
        raise InvalidInput(f'{source}: "{name}" is not base64 in its one spelling')
    return data
