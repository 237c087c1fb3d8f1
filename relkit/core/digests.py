"""Digests: SHA-256 of RFC 8785 JSON for documents, of bytes for everything else."""

import hashlib
from collections.abc import Mapping, Sequence

import rfc8785

from relkit.core.errors import InvalidInput

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
PREFIX = "sha256:"


def sha256_bytes(data: bytes | memoryview) -> str:
    """Return ``sha256:<hex>`` of bytes."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest_of(document: JsonValue) -> str:
    """Return ``sha256:<hex>`` of a JSON document in canonical form (RFC 8785).

    Raises InvalidInput for a number that has none.
    """
    return sha256_bytes(_dumps(_plain(document)))


def _plain(value: JsonValue) -> rfc8785._impl._Value:  # the library names its input type only there
    """Return the document in dicts and lists: the library takes no other mapping or sequence."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def canonical(document: JsonValue) -> bytes:
    """Return a document of dicts, lists and plain values in canonical form (RFC 8785).

    The library writes it, but for the containers that hold the sums: rows of whole numbers are most
    of a decision, and it would look at each number twice. Raises InvalidInput for a number that has
    no such form.
    """
    if isinstance(document, dict):
        # Keys are sorted by their UTF-16 code units.
        keys = sorted(document, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        inside = (_dumps(key) + b":" + canonical(document[key]) for key in keys)
        return b"{" + b",".join(inside) + b"}"
    if isinstance(document, list):
        counts = set(map(type, document)) == {int}
        if counts and min(document) >= -MOST_WHOLE and max(document) <= MOST_WHOLE:
            return str(document).replace(" ", "").encode("ascii")
        return b"[" + b",".join(map(canonical, document)) + b"]"
    return _dumps(document)


def _dumps(value: rfc8785._impl._Value) -> bytes:
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise InvalidInput(
            "a number is no finite one, or a whole one beyond 2^53 - 1, which JSON readers round",
            hint="nothing that relkit measures is as large: look where it comes from",
        ) from error


MOST_WHOLE = 2**53 - 1
"""The largest whole number that JSON readers agree on."""
