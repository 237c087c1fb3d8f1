"""Envelopes as other tools write them, for both verifiers: they accept and refuse the same."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cryptography", reason="signatures need the extra: pip install 'relkit[sign]'")

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relkit.adapters.signing import SigningKey
from relkit.attestation import auditor
from relkit.attestation.envelopes import MAX_SIGNATURES, Envelope, parse_envelope
from relkit.attestation.verify import VerifyOptions, verify
from relkit.core.digests import canonical
from tests.decisions import LATER, signed, statement

PRIVATE = [Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i in range(3)]
FIRST, SECOND, STRANGER = map(SigningKey, PRIVATE)
TRUSTED = (FIRST.public, SECOND.public)
DATA = signed(statement(), FIRST)
MESSAGE = parse_envelope(DATA, source="d.json").message
NOW = {"now": auditor.moment(LATER), "serial": None, "artifact": None, "policy": None}

Document = dict[str, Any]


def signature(of: int, **keys: object) -> Document:
    """Return a good signature of a key; of the third one, which nobody trusts, too."""
    return {"sig": base64.b64encode(PRIVATE[of].sign(MESSAGE)).decode(), **keys}


def by_both(data: bytes) -> tuple[bool, bool]:
    """Return whether relkit verify accepts an envelope, and whether the auditors' file does."""
    keys = {
        key.public.key: private.public_key()
        for key, private in zip((FIRST, SECOND), PRIVATE, strict=False)
    }
    problems, _ = auditor.audit(data, keys, NOW)
    ours = verify(data, TRUSTED, now=LATER, options=VerifyOptions(), source="d.json")
    return ours.valid, not problems


def document(*signatures: object, **keys: object) -> bytes:
    """Return the envelope with other signatures, and with other keys of its own."""
    return json.dumps({**json.loads(DATA), "signatures": [*signatures], **keys}).encode()


def payload_with(change: Callable[[Document], object]) -> bytes:
    """Return an envelope whose statement was changed and signed again by a trusted key."""
    content = json.loads(parse_envelope(DATA, source="d.json").payload)
    change(content)
    payload = json.dumps(content, separators=(",", ":")).encode()
    if all(map(_writable, _leaves(content))):
        payload = canonical(content)
    envelope = FIRST.sign(Envelope(payload=payload))
    value = base64.b64encode(envelope.signatures[0].value).decode()
    return document({"sig": value}, payload=base64.b64encode(payload).decode())


def _leaves(value: object) -> list[object]:
    inside = list(auditor.inside(value))
    return [value] if not inside else [leaf for item in inside for leaf in _leaves(item)]


def _writable(value: object) -> bool:
    return not isinstance(value, int) or abs(value) < 2**53


GOOD: Mapping[str, bytes] = {
    "as relkit writes it": DATA,
    "no key id": document(signature(0)),
    "an empty key id": document(signature(0, keyid="")),
    "null for a key id": document(signature(0, keyid=None)),
    "another tool's key id": document(signature(0, keyid="sigstore-key-1")),
    "another tool's key id, of the same length": document(signature(0, keyid="0" * 64)),
    "the id of another trusted key": document(signature(0, keyid=SECOND.public.key)),
    "a certificate beside it": document(signature(0, keyid="", cert="-----BEGIN", extension={})),
    "both keys, unnamed": document(signature(0), signature(1)),
    "a stranger's signature first": document(signature(2), signature(0)),
    "a stranger's signature under one name": document(
        signature(2, keyid="a"), signature(0, keyid="a")
    ),
    "white space": json.dumps(json.loads(DATA), indent=2).encode(),
}
BAD: Mapping[str, bytes] = {
    "nobody's": document(),
    "a stranger's": document(signature(2)),
    "a stranger's in the name of a trusted key": document(signature(2, keyid=FIRST.public.key)),
    "the same beside a good one": document(
        signature(2, keyid=FIRST.public.key), signature(1, keyid=SECOND.public.key)
    ),
    "one twice": document(signature(0), signature(0)),
    "one twice under two names": document(signature(0, keyid="a"), signature(0, keyid="b")),
    "a good one cut short": document({"sig": base64.b64encode(b"x" * 63).decode()}),
    "an empty one": document({"sig": ""}, {"sig": ""}),
    "no sig": document(signature(0), {"keyid": "a"}),
    "a number for a key id": document(signature(0, keyid=1)),
    "a signature that is no object": document(signature(0), "x"),
    "a sig that is no base64": document(signature(0), {"sig": "?"}),
    "a sig that is no text": document(signature(0), {"sig": 5}),
    "base64 in another spelling": document(signature(0), {"sig": "QR=="}),
    "no list": document(signatures={"sig": "AAAA"}),
    "too many": document(signature(0), *[{"sig": f"{i:04d}"} for i in range(MAX_SIGNATURES)]),
    "a further key of the envelope": document(signature(0), extra=1),
    "no payload type": document(signature(0), payloadType=None),
    "another payload type": document(signature(0), payloadType="text/plain"),
    "a payload that is none": document(signature(0), payload=None),
    "a key that stands twice": DATA.replace(b'"sig":', b'"sig":"AAAA","sig":'),
    "a number out of range beside it": document(signature(0, ext=5)).replace(b": 5", b": 1e999"),
    "NaN beside it": document(signature(0, ext=5)).replace(b": 5", b": NaN"),
    "half a surrogate pair beside it": document(signature(0, ext="\ud800")),
    "deep nesting beside it": document(signature(0, ext=5)).replace(
        b": 5", b": " + b"[" * 101 + b"]" * 101
    ),
    "a byte order mark": b"\xef\xbb\xbf" + DATA,
    "another encoding": DATA.decode().encode("utf-16"),
    "an empty file": b"",
    "two documents": DATA + DATA,
    "a list": b"[]",
    "a number that JSON readers round": payload_with(
        lambda content: content["predicate"].update(serial=2**53)
    ),
    "another kind of statement": payload_with(lambda content: content.update(_type="x")),
    "a further key of the statement": payload_with(lambda content: content.update(more=1)),
    "a subject more": payload_with(lambda content: content["subject"].append({"name": "x"})),
    "a subject twice": payload_with(
        lambda content: content["subject"].append(content["subject"][0])
    ),
    "a subject without a name": payload_with(lambda content: content["subject"][0].pop("name")),
    "a further digest": payload_with(
        lambda content: content["subject"][0]["digest"].update(sha512="0")
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_an_envelope_of_another_tool_is_believed(name: str) -> None:
    """What its maker calls the key is a hint, and further keys of a signature are passed over."""
    assert by_both(GOOD[name]) == (True, True)


@pytest.mark.parametrize("name", BAD)
def test_an_envelope_that_is_none_is_refused_by_both(name: str) -> None:
    """Nobody's signature, a broken one, or what could be read in two ways."""
    assert by_both(BAD[name]) == (False, False)


_HINTS = st.sampled_from(["", "a", FIRST.public.key, SECOND.public.key, None, 5])
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
_SIGNATURES = st.builds(
    lambda of, keys, changed: {**signature(of), **keys, **changed},
    st.integers(0, 2),
    st.fixed_dictionaries({}, optional={"keyid": _HINTS, "cert": _JSON}),
    st.fixed_dictionaries({}, optional={"sig": st.sampled_from(["", "AAAA", "AA==", "A", None])}),
)
_ENVELOPES = st.builds(
    lambda signatures, keys: document(*signatures, **keys),
    st.lists(_SIGNATURES | _JSON, max_size=4),
    st.fixed_dictionaries({}, optional={"payloadType": _JSON, "payload": _JSON, "x": _JSON}),
)


@settings(max_examples=150, deadline=None)
@given(_ENVELOPES | st.lists(_SIGNATURES, min_size=1, max_size=3).map(lambda x: document(*x)))
def test_both_verifiers_are_of_one_opinion_of_any_envelope(data: bytes) -> None:
    """Whatever keys and signatures it has."""
    ours, theirs = by_both(data)
    assert ours is theirs


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_both_verifiers_are_of_one_opinion_of_any_change(draw: st.DataObject) -> None:
    """Bytes taken out, put in and overwritten, wherever they are: most often near the end."""
    data = bytearray(GOOD["a certificate beside it"])
    for _ in range(draw.draw(st.integers(1, 3))):
        near = st.integers(len(data) - 250, len(data) - 1) | st.integers(0, len(data) - 1)
        at = draw.draw(near)
        data[at : at + draw.draw(st.integers(0, 2))] = draw.draw(st.binary(max_size=2))
    ours, theirs = by_both(bytes(data))
    assert ours is theirs
