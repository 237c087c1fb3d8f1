"""A decision is judged again from its evidence: what was changed is found, whoever signed it."""

from dataclasses import replace

import pytest

from relkit.attestation.checks import new_check, parse_check, read_check
from relkit.attestation.envelopes import Envelope, render_envelope
from relkit.attestation.statements import render_statement
from relkit.attestation.verify import Verification, VerifyOptions, verify
from relkit.core.codec import as_type, encode
from relkit.core.digests import JsonValue, canonical
from relkit.gate.types import (
    METHOD,
    CheckRecord,
    DecisionEvidence,
    GateDecision,
    Verdict,
    WrittenCheck,
)
from tests.decisions import (
    ARTIFACT,
    LATER,
    NOW,
    POLICY,
    signed,
    statement,
)


def judged(content: GateDecision) -> Verification:
    """Return a verification of an unsigned decision: only what is in it counts."""
    return verify(
        signed(content), (), now=LATER, options=VerifyOptions(unsigned=True), source="d.json"
    )


def test_a_shadow_decision_says_what_it_cannot_do() -> None:
    """It is valid, and promotes nothing."""
    text = POLICY.replace("name: asr-promotion\n", "name: asr-promotion\nenforcement: shadow\n")
    found = judged(statement(text=text))
    assert found.problems == ()
    assert "shadow: it shows a verdict and can never promote" in found.notes


def test_what_is_believed_is_said() -> None:
    """A valid decision tells how much of it has to be believed."""
    parts = tuple(replace(part, percentiles=()) for part in statement().evidence.parts)
    found = judged(replace(statement(), evidence=DecisionEvidence(parts=parts, method=METHOD)))
    assert found.problems == ()
    assert found.believed == ("latency-p95 on overall", "latency-same on overall")
    assert "are believed" in found.notes[-1]


def test_a_payload_in_another_spelling_is_refused() -> None:
    """One decision has one digest."""
    payload = b" " + signed_payload()
    data = render_envelope(Envelope(payload=payload))
    found = verify(data, (), now=LATER, options=VerifyOptions(unsigned=True), source="d.json")
    assert found.problems == ("it is not written in the one canonical form",)


def signed_payload() -> bytes:
    """Return the payload of a check."""
    return render_statement(approval())


def approval(**change: object) -> CheckRecord:
    """Return a check."""
    record = new_check(
        "load-test", verdict="pass", by="k6", reason="p95 612 ms", created=NOW, candidate=ARTIFACT
    )
    return replace(record, **change)  # type: ignore[arg-type]  # any field


def written(record: CheckRecord) -> dict[str, JsonValue]:
    """Return a check as a file holds it."""
    document: dict[str, JsonValue] = encode(as_type(WrittenCheck, record))
    return document


def test_a_plain_check_of_another_tool_is_read() -> None:
    """Its digest is that of the file, and nobody has signed it."""
    data = canonical(written(approval()))
    record = parse_check(data, source="c.json")
    assert (record.name, record.verdict, record.key) == ("load-test", Verdict.PASS, None)
    assert read_check("load-test", data, (), source="c.json") == record


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"schema":"relkit.check/v2","name":"a"}',
        canonical(written(approval()) | {"verdict": "ok"}),
        canonical(written(approval()) | {"by": "two\nlines"}),
        canonical(written(approval()) | {"candidate": "abc"}),
        canonical(written(approval()) | {"created": "yesterday"}),
        canonical(written(approval()) | {"name": "../x"}),
        canonical(written(approval()) | {"name": "other"}),
        render_envelope(Envelope(payload=b"{}")),
    ],
)
def test_a_check_that_cannot_be_used_says_why(data: bytes) -> None:
    """A reason in words, and never a record."""
    found = read_check("load-test", data, (), source="c.json")
    assert isinstance(found, str)
    assert found


def test_an_expired_check_is_refused() -> None:
    """Also where it has no serial and no policy."""
    data = render_envelope(Envelope(payload=render_statement(approval(expires=LATER))))
    found = verify(data, (), now=LATER, options=VerifyOptions(unsigned=True), source="c.json")
    assert (found.kind, found.problems) == ("check", (f"it expired at {LATER}",))
