"""Signatures: what was changed, replayed, expired or meant for something else is refused."""

import base64
import json
import random
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip(
    "cryptography", reason="signatures need the extra: pip install 'relkit-speech[sign]'"
)

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from relkit.adapters.decisions import DecisionFiles
from relkit.adapters.signing import PASSWORD, SigningKey, load_private, load_public, make_key
from relkit.attestation.checks import DecisionEntry
from relkit.attestation.envelopes import Envelope, Signature, parse_envelope, render_envelope
from relkit.attestation.verify import Verification, VerifyOptions, verify
from relkit.core.errors import InvalidInput, StorageFailed
from relkit.gate.types import Verdict
from tests.decisions import ARTIFACT, LATER, OTHER, new_key, policy, signed, statement


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """Give a key."""
    return new_key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def data(key: SigningKey) -> bytes:
    """Give a signed decision."""
    return signed(statement(), key)


def verified(
    data: bytes, *keys: SigningKey, now: str = LATER, options: VerifyOptions | None = None
) -> Verification:
    """Return a verification with some public keys."""
    trusted = [key.public for key in keys]
    return verify(data, trusted, now=now, options=options or VerifyOptions(), source="d.json")


def test_a_signed_decision_is_valid(data: bytes, key: SigningKey) -> None:
    """Signature, times, digests and every check."""
    found = verified(data, key)
    assert (found.problems, found.signers, found.agreed) == ((), (key.public.key,), 9)
    assert found.content == statement()


def test_every_flipped_bit_is_noticed(data: bytes, key: SigningKey) -> None:
    """1,000 single bits, anywhere in the file but in what the signer calls the key: a hint."""
    draw = random.Random(7)  # noqa: S311 - a test's own choice, no secret
    hint = range(start := data.index(b'"keyid":'), data.index(b",", start))
    for _ in range(1000):
        changed = bytearray(data)
        changed[at := draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        found = verified(bytes(changed), key)
        assert not found.valid or (at in hint and found.content == statement())


def test_every_flipped_bit_of_the_payload_is_noticed(data: bytes, key: SigningKey) -> None:
    """Also where the file stays a good envelope: the statement itself is changed."""
    draw = random.Random(8)  # noqa: S311 - a test's own choice, no secret
    envelope = parse_envelope(data, source="d.json")
    for _ in range(1000):
        payload = bytearray(envelope.payload)
        payload[draw.randrange(len(payload))] ^= 1 << draw.randrange(8)
        changed = render_envelope(replace(envelope, payload=bytes(payload)))
        problems = verified(changed, key).problems
        assert problems[0].endswith("is not good: it was changed")


def test_another_key_is_no_signature(data: bytes, tmp_path: Path) -> None:
    """Only pinned keys count, and without one nothing is read."""
    found = verified(data, new_key(tmp_path))
    assert found.problems == ("no trusted key has signed it",)
    assert found.content is None


def test_a_signature_counts_for_the_key_that_made_it(
    data: bytes, key: SigningKey, tmp_path: Path
) -> None:
    """A key id is a hint: what counts is which key made the signature."""
    envelope = parse_envelope(data, source="d.json")
    other = new_key(tmp_path)
    claimed = Signature(key=other.public.key, value=envelope.signatures[0].value)
    renamed = render_envelope(replace(envelope, signatures=(claimed,)))
    assert not verified(renamed, other).valid
    assert verified(renamed, key, other).signers == (key.public.key,)


def test_keys_are_counted_once(data: bytes, key: SigningKey, tmp_path: Path) -> None:
    """A signature that stands twice, also under another id, is refused."""
    envelope = parse_envelope(data, source="d.json")
    (one,) = envelope.signatures
    for second in (one, Signature(key="another", value=one.value)):
        twice = render_envelope(replace(envelope, signatures=(one, second)))
        assert not verified(twice, key).valid
    both = signed(statement(), key, new_key(tmp_path))
    assert verified(both, key).signers == (key.public.key,)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (VerifyOptions(serial=8), "it is decision 7, older than 8: replayed"),
        (VerifyOptions(artifact=OTHER), "it is about another artifact"),
        (VerifyOptions(policy=OTHER), "it was decided by another policy"),
    ],
)
def test_what_is_insisted_on(
    data: bytes, key: SigningKey, options: VerifyOptions, problem: str
) -> None:
    """An older serial, another artifact and another policy are refused."""
    assert verified(data, key, options=options).problems == (problem,)


def test_what_is_insisted_on_and_there(data: bytes, key: SigningKey) -> None:
    """The same demands, met."""
    options = VerifyOptions(serial=7, artifact=ARTIFACT, policy=policy().digest)
    assert verified(data, key, options=options).valid


@pytest.mark.parametrize(
    ("now", "problem"),
    [
        ("2026-01-31T11:58:00Z", "it was issued in the future"),
        ("2026-02-01T12:00:00Z", "it expired at"),
        ("2031-01-01T00:00:00Z", "it expired at"),
    ],
)
def test_a_decision_has_its_time(data: bytes, key: SigningKey, now: str, problem: str) -> None:
    """One of the future, and one that has expired, are refused."""
    (found,) = verified(data, key, now=now).problems
    assert found.startswith(problem)


def test_an_unsigned_decision_is_the_same_envelope(key: SigningKey) -> None:
    """It is refused unless local work allows it, and then it is said."""
    unsigned = signed(statement())
    assert json.loads(unsigned)["signatures"] == []
    assert verified(unsigned, key).problems == ("it is not signed",)
    found = verified(unsigned, options=VerifyOptions(unsigned=True))
    assert (found.valid, found.signers) == (True, ())
    assert found.notes[0].startswith("it is not signed")


def test_allowing_unsigned_allows_no_bad_signature(data: bytes, tmp_path: Path) -> None:
    """Stripping is allowed, forging is not."""
    assert not verified(data, new_key(tmp_path), options=VerifyOptions(unsigned=True)).valid


def test_trailing_bytes_and_other_types_are_refused(data: bytes, key: SigningKey) -> None:
    """The file is one envelope of one payload type, in one spelling of base64."""
    document = json.loads(data)
    loose = document["payload"].rstrip("=")
    changes = [
        data + b"{}",
        data + b"\0",
        json.dumps(document | {"payloadType": "text/plain"}).encode(),
        json.dumps(document | {"payload": loose + "\n"}).encode(),
        json.dumps(document | {"extra": 1}).encode(),
    ]
    for changed in changes:
        assert not verified(changed, key).valid


def test_the_peer_reads_and_verifies_our_envelope(data: bytes, tmp_path: Path) -> None:
    """securesystemslib, which shares no code with this, accepts it and refuses a changed one."""
    dsse = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not installed")
    signer = pytest.importorskip("securesystemslib.signer")
    _, public = make_key(tmp_path, {})
    own = load_private(tmp_path / "relkit.key", {})
    raw = serialization.load_pem_public_key(public.read_bytes())
    peer = signer.SSlibKey.from_crypto(raw, keyid=own.public.key)
    ours = signed(statement(), own)
    envelope = dsse.Envelope.from_dict(json.loads(ours))
    assert set(envelope.verify([peer], 1)) == {own.public.key}
    envelope.payload = envelope.payload.replace(b"pass", b"fail", 1)
    with pytest.raises(Exception, match="signature"):
        envelope.verify([peer], 1)
    del data


def test_the_peer_validates_our_statement(data: bytes) -> None:
    """in-toto's own library reads the statement and finds it valid."""
    statements = pytest.importorskip(
        "in_toto_attestation.v1.statement", reason="in-toto-attestation is not installed"
    )
    json_format = pytest.importorskip("google.protobuf.json_format")
    pb = pytest.importorskip("in_toto_attestation.v1.statement_pb2")
    payload = parse_envelope(data, source="d.json").payload
    message = json_format.Parse(payload, pb.Statement())
    statements.Statement.copy_from_pb(message).validate()


# -- keys --------------------------------------------------------------------------------------


def test_a_key_is_its_owners_alone(tmp_path: Path) -> None:
    """The private half is 0600 from its first byte, PKCS8; the public half is plain PEM."""
    private, public = make_key(tmp_path / "new", {})
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert private.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert public.read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")
    with pytest.raises(InvalidInput, match="exists already"):
        make_key(tmp_path / "new", {})


def test_the_key_id_is_what_openssl_prints(tmp_path: Path) -> None:
    """SHA-256 of the public key's DER, for both spellings of a public key."""
    private, public = make_key(tmp_path, {})
    own = load_private(private, {}).public.key
    assert load_public(public.name, relative_to=tmp_path).key == own
    raw = serialization.load_pem_public_key(public.read_bytes())
    assert isinstance(raw, ed25519.Ed25519PublicKey)
    inline = base64.b64encode(raw.public_bytes_raw()).decode()
    assert load_public(f"ed25519:{inline}", relative_to=tmp_path).key == own


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """It may be in other hands."""
    private, _ = make_key(tmp_path, {})
    private.chmod(mode)
    with pytest.raises(InvalidInput, match="others than its owner"):
        load_private(private, {})


def test_an_encrypted_key_needs_its_password(tmp_path: Path) -> None:
    """Without, or with a wrong one, there is no signature."""
    private, _ = make_key(tmp_path, {PASSWORD: "correct horse"})
    assert b"ENCRYPTED" in private.read_bytes()
    load_private(private, {PASSWORD: "correct horse"})
    with pytest.raises(InvalidInput, match="is encrypted"):
        load_private(private, {})
    with pytest.raises(InvalidInput, match="no private key"):
        load_private(private, {PASSWORD: "wrong"})


def test_other_kinds_of_keys_are_refused(tmp_path: Path) -> None:
    """Elliptic curves of another kind, public for private, and what is no key at all."""
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "ec.key").write_bytes(pem)
    (tmp_path / "ec.key").chmod(0o600)
    public = other.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "ec.pub").write_bytes(public)
    (tmp_path / "no.key").write_bytes(b"no key")
    (tmp_path / "no.key").chmod(0o600)
    with pytest.raises(InvalidInput, match="Ed25519"):
        load_private(tmp_path / "ec.key", {})
    with pytest.raises(InvalidInput, match="Ed25519"):
        load_public("ec.pub", relative_to=tmp_path)
    with pytest.raises(InvalidInput, match="no private key"):
        load_private(tmp_path / "no.key", {})
    with pytest.raises(InvalidInput, match="is a private key"):
        load_public("ec.key", relative_to=tmp_path)
    for text in ("ed25519:AAAA", "ed25519:!!", "missing.pub"):
        with pytest.raises(InvalidInput):
            load_public(text, relative_to=tmp_path)


def test_messages_name_no_folder_and_no_key(tmp_path: Path) -> None:
    """An error goes to logs of machines that others can read."""
    path = tmp_path / "secret.key"
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    path.chmod(0o600)
    with pytest.raises(InvalidInput) as caught:
        load_private(path, {})
    said = f"{caught.value.message} {caught.value.hint}"
    assert str(tmp_path) not in said
    assert "c2VjcmV0" not in said


# -- decision files ----------------------------------------------------------------------------


def facts(run: str = "r") -> DecisionEntry:
    """Return what the log says."""
    return DecisionEntry(policy="p", run=run, verdict=str(Verdict.PASS), created=LATER)


def test_serials_count_up_and_chain(tmp_path: Path) -> None:
    """Each decision names the digest of the one before."""
    files = DecisionFiles(tmp_path)
    seen: list[tuple[int, str | None]] = []

    def make(serial: int, previous: str | None) -> Envelope:
        seen.append((serial, previous))
        return Envelope(payload=f"{serial}".encode())

    written = [files.append(facts(f"r{i}"), make)[1] for i in range(3)]
    assert [serial for serial, _ in seen] == [1, 2, 3]
    assert [previous for _, previous in seen] == [None, written[0].digest, written[1].digest]
    assert files.log() == tuple(written)
    assert [name for name, _ in files.decisions(frozenset({"r1"}))] == ["p-r1.json"]


def test_a_torn_last_line_is_repaired(tmp_path: Path) -> None:
    """A kill while the log was written loses at most what was never said to be written."""
    files = DecisionFiles(tmp_path)
    files.append(facts(), lambda serial, _: Envelope(payload=b"%d" % serial))
    with (tmp_path / "log.jsonl").open("ab") as log:
        log.write(b'{"serial": 2, "dig')
    _, entry = files.append(facts(), lambda serial, _: Envelope(payload=b"%d" % serial))
    assert entry.serial == 2
    assert len(files.log()) == 2


def test_a_log_that_was_cut_or_edited_is_refused(tmp_path: Path) -> None:
    """Taking a line out would give a serial out twice."""
    files = DecisionFiles(tmp_path)
    for _ in range(3):
        files.append(facts(), lambda serial, _: Envelope(payload=b"%d" % serial))
    log = tmp_path / "log.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text(lines[0] + lines[2])
    with pytest.raises(InvalidInput, match="line 2: does not follow"):
        files.append(facts(), lambda serial, _: Envelope(payload=b"%d" % serial))


def test_a_failed_write_gives_no_serial_out_twice(tmp_path: Path) -> None:
    """The log comes first: what could not be written has used its serial up."""
    files = DecisionFiles(tmp_path)
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageFailed):
        files.append(
            facts(), lambda serial, _: Envelope(payload=b"%d" % serial), path=tmp_path / "taken"
        )
    _, entry = files.append(facts(), lambda serial, _: Envelope(payload=b"%d" % serial))
    assert entry.serial == 2


WRITER = """
import sys
from pathlib import Path
from relkit.adapters.decisions import DecisionFiles
from relkit.attestation.checks import DecisionEntry
from relkit.attestation.envelopes import Envelope
for i in range(20):
    DecisionFiles(Path(sys.argv[1])).append(
        DecisionEntry(policy="p", run=f"{sys.argv[2]}-{i}", verdict="pass", created="x"),
        lambda serial, _: Envelope(payload=b"%d" % serial),
    )
"""


def test_two_processes_never_share_a_serial(tmp_path: Path) -> None:
    """Three writers at once: 60 decisions, serials 1 to 60."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(i)]) for i in range(3)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert [entry.serial for entry in DecisionFiles(tmp_path).log()] == list(range(1, 61))
