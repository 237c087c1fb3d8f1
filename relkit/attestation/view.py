"""How the verification of a signed file is shown: JSON for programs, text for people."""

from relkit.attestation.verify import Verification
from relkit.canary.types import CanaryDecision
from relkit.core.codec import encode
from relkit.core.digests import JsonValue
from relkit.core.wording import counted, safe
from relkit.disclosure.types import Packet
from relkit.gate.types import GateDecision


def verify_document(verification: Verification) -> dict[str, JsonValue]:
    """Return a verification as ``--json`` shows it; facts only where they were verified."""
    facts: dict[str, JsonValue] = {
        "valid": verification.valid,
        "problems": list(verification.problems),
        "notes": list(verification.notes),
        "kind": verification.kind,
        "digest": verification.digest,
        "signers": list(verification.signers),
    }
    decision = verification.content
    if isinstance(decision, GateDecision):
        facts |= {
            "verdict": str(decision.verdict),
            "enforcement": decision.policy.enforcement,
            "promotable": verification.valid and bool(verification.signers) and decision.promotable,
            "policy": decision.policy.name,
            "policy_digest": decision.policy.digest,
            "serial": decision.serial,
            "expires": decision.expires,
            "recomputed": verification.agreed,
            "believed": list(verification.believed),
        }
    if isinstance(decision, CanaryDecision):
        facts |= {
            "verdict": decision.report.verdict,
            "enforcement": decision.report.enforcement,
            "promotable": verification.valid and bool(verification.signers) and decision.promotes,
            "policy": decision.policy.name,
            "policy_digest": decision.policy.digest,
            "canary": decision.subject.canary,
            "created": decision.created,
            "recomputed": verification.agreed,
            "believed": list(verification.believed),
        }
    if isinstance(decision, Packet):
        facts |= {
            "incident": decision.incident,
            "stage": decision.stage,
            "window": encode(decision.window),
            "previous": decision.previous,
            "created": decision.created,
        }
    return facts


def verify_text(verification: Verification, name: str) -> str:
    """Return a verification for people: what it is, or every reason not to believe it."""
    if not verification.valid:
        return "\n".join(
            [f"{safe(name)}: not valid", *(f"  {safe(p)}" for p in verification.problems)]
        )
    lines = [f"{safe(name)}: valid {verification.kind}"]
    decision = verification.content
    if isinstance(decision, GateDecision):
        lines.append(
            f"  {decision.verdict} by {safe(decision.policy.name)}, decision {decision.serial}, "
            f"until {decision.expires}; {counted(verification.agreed, 'check')} recomputed"
        )
    if isinstance(decision, CanaryDecision):
        about = decision.subject.canary or "the canary"
        lines += [
            f"  {decision.report.verdict} {safe(about)} by {safe(decision.policy.name)}",
            f"  made at {decision.created}",
            f"  {counted(verification.agreed, 'check')} recomputed from the histogram",
        ]
        if decision.promotes and verification.signers:
            lines.append("  it promotes the canary to its next step")
    if isinstance(decision, Packet):
        window = f"{decision.window.from_} to {decision.window.to}"
        lines += [
            f"  {decision.stage} packet of {safe(decision.incident)}, {window}",
            "  what it shows was not checked: relkit incident verify",
        ]
    lines += [f"  signed by {key}" for key in verification.signers]
    return "\n".join(lines)
