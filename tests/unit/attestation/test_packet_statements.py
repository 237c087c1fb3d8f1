"""Packets and verification summaries as in-toto statements."""

import json
from dataclasses import replace
from typing import Any

import pytest

from relkit.adapters.signing import load_private, load_public, make_key
from relkit.attestation.run import statement_file
from relkit.attestation.statements import parse_content, parse_statement, render_statement
from relkit.attestation.types import DigestSet, SummaryPolicy, VerificationSummary, Verifier
from relkit.attestation.verify import VerifyOptions, verify
from relkit.attestation.view import verify_document, verify_text
from relkit.core.digests import canonical
from relkit.core.errors import InvalidInput
from relkit.disclosure.types import Packet
from tests.packet_data import packet

PACKET = packet(page="cd" * 32)
SUMMARY = VerificationSummary(
    verifier=Verifier(id="urn:relkit:gate", version={"relkit": "0.1.0"}),
    time_verified="2026-11-01T02:00:00Z",
    resource_uri="urn:relkit:artifact:sha256:" + "12" * 32,
    policy=SummaryPolicy(uri="urn:relkit:policy:asr-promotion", digest=DigestSet(sha256="34" * 32)),
    verification_result="PASSED",
    verified_levels=("RELKIT_GATE_PASSED",),
)
NOW = "2026-11-30T10:00:00Z"


def document(content: Packet | VerificationSummary) -> Any:  # noqa: ANN401 - JSON
    """Return the statement of something, to be changed."""
    return json.loads(render_statement(content))


@pytest.mark.parametrize("content", [PACKET, SUMMARY], ids=["packet", "summary"])
def test_what_is_signed_is_what_is_read(content: Packet | VerificationSummary) -> None:
    """A statement gives its content back, in the one canonical form."""
    payload = render_statement(content)
    statement = parse_statement(payload, source="p.json")
    assert statement.content == content
    assert statement.canonical
    assert render_statement(statement.content) == payload


def test_a_packet_is_about_its_page() -> None:
    """The subject is the page by name and digest, and nothing else may stand there."""
    stated = document(PACKET)
    assert stated["predicateType"] == "urn:relkit:incident-packet:v1"
    subject = {"name": "INC-2026-11-29.html", "digest": {"sha256": "cd" * 32}}
    assert stated["subject"] == [subject]
    for change in ({"name": "other.html"}, {"digest": {"sha256": "00" * 32}}):
        changed = {**stated, "subject": [subject | change]}
        with pytest.raises(InvalidInput, match="not the page of the packet"):
            parse_statement(canonical(changed), source="p.json")


def test_a_summary_is_in_the_form_that_slsa_describes() -> None:
    """Other verifiers find what SLSA 1.0 requires, by its keys."""
    stated = document(SUMMARY)
    assert stated["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert stated["subject"][0]["digest"]["sha256"] == "12" * 32
    assert set(stated["predicate"]) == {
        "verifier",
        "timeVerified",
        "resourceUri",
        "policy",
        "verificationResult",
        "verifiedLevels",
    }
    changed = {**stated, "subject": [{"name": "artifact", "digest": {"sha256": "00" * 32}}]}
    with pytest.raises(InvalidInput, match="not the artifact that was verified"):
        parse_statement(canonical(changed), source="s.json")


def test_one_is_not_taken_for_the_other() -> None:
    """Each kind is asked for by its type."""
    with pytest.raises(InvalidInput, match="is no verification summary"):
        parse_content(render_statement(PACKET), VerificationSummary, source="p.json")


def test_the_general_verifier_knows_packets(tmp_path: Any) -> None:  # noqa: ANN401 - a path
    """``relkit verify`` vouches for signature, form and time, and says what it has not checked."""
    private, public = make_key(tmp_path, {})
    keys = (load_public(str(public), relative_to=tmp_path),)
    data = statement_file(PACKET, load_private(private, {}))

    def verified(data: bytes, **options: Any) -> Any:  # noqa: ANN401 - of any kind
        return verify(data, keys, now=NOW, options=VerifyOptions(**options), source="p.json")

    verification = verified(data)
    assert verification.valid
    assert verification.content == PACKET
    assert "relkit incident verify" in verify_text(verification, "p.json")
    assert verify_document(verification)["incident"] == "INC-2026-11-29"
    assert verified(data, artifact="sha256:" + "cd" * 32).valid
    assert verified(data, serial=1).problems == ("a packet has no serial: it names the one before",)
    assert not verified(data.replace(b"sig", b"gis")).valid
    late = replace(PACKET, created="2026-12-02T00:00:00Z")
    assert not verified(statement_file(late, load_private(private, {}))).valid
    summary = statement_file(SUMMARY, load_private(private, {}))
    assert verified(summary, policy="sha256:" + "34" * 32).valid
    assert not verified(summary, policy="sha256:" + "35" * 32).valid
