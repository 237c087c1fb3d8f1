"""Digests: SHA-256 of RFC 8785 JSON for documents, of bytes for everything else."""

import hashlib
from collections.abc import Mapping, Sequence

import rfc8785

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]

PREFIX = "sha256:"


def sha256_bytes(data: bytes | memoryview) -> str:
    """Return ``sha256:<hex>`` of bytes."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest_of(document: JsonValue) -> str:
    """Return ``sha256:<hex>`` of a JSON document in canonical form (RFC 8785)."""
    return sha256_bytes(rfc8785.dumps(_plain(document)))


def _plain(value: JsonValue) -> rfc8785._impl._Value:  # the library names its input type only there
    """Return the document in dicts and lists: the library takes no other mapping or sequence."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
