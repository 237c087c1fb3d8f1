"""Overrides and approvals: what a person may say, and about what."""

from dataclasses import dataclass, replace
from pathlib import Path

from relkit.attestation.statements import parse_content, render_statement
from relkit.attestation.verify import Verification
from relkit.core.errors import InvalidInput
from relkit.core.values import after, moment
from relkit.gate.types import CheckRecord, GateDecision, Overridden, Override, Verdict

LONGEST_EXCEPTION_S = 30 * 86400.0
"""No exception and no approval is valid for longer than 30 days."""

_JUDGED = frozenset({Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS})


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideOptions:
    """Who answers for a decision, why and under which ticket; valid for so many seconds.

    ``sign`` is the private key; without ``output`` the override goes beside the decision.
    """

    decision: Path
    by: str
    reason: str
    ticket: str
    sign: Path
    valid_for_s: float = 86400.0
    output: Path | None = None


def plan_override(
    verification: Verification, options: OverrideOptions, *, now: str, tool_version: str
) -> tuple[Override, bytes]:
    """Return an override of a verified decision, and its payload; raises InvalidInput.

    Refused: a decision that is not to be believed or has expired, one that passed, one in shadow
    (nothing promotes it), and one in which no required rule had numbers to be judged by: nobody
    can answer for what was not looked at. It ends with the decision, or earlier.
    """
    decision, source = verification.content, options.decision.name
    if not verification.valid:
        raise InvalidInput(
            f"{source}: {verification.problems[0]}", hint=f"see: relkit verify {source} --key PUB"
        )
    if not isinstance(decision, GateDecision) or verification.digest is None:
        raise InvalidInput(f"{source}: is no gate decision")
    refusal = _refusal(decision)
    if refusal is not None:
        raise InvalidInput(f"{source}: {refusal}")
    override = Override(
        decision=Overridden(
            digest=verification.digest,
            policy=decision.policy.name,
            policy_digest=decision.policy.digest,
            verdict=decision.verdict,
            runs=tuple(part.candidate.run for part in decision.parts),
        ),
        subjects=tuple(digest for _, digest, _ in decision.subjects),
        by=options.by.strip(),
        reason=options.reason.strip(),
        ticket=options.ticket.strip(),
        created=now,
        expires=min(_ends(now, options.valid_for_s), decision.expires, key=moment),
        tool_version=tool_version,
    )
    payload = render_statement(override)
    parse_content(payload, Override, source="the override")
    return override, payload


def _refusal(decision: GateDecision) -> str | None:
    if decision.verdict is Verdict.PASS:
        return "the decision passes: there is nothing to override"
    if decision.policy.enforcement == "shadow":
        return "the policy is in shadow: nothing can promote by it"
    required = [r for r in decision.results if r.mode == "required" and r.test != "evidence"]
    if not any(result.verdict in _JUDGED for result in required):
        return "no required rule had anything to be judged by: there is nothing to answer for"
    return None


def plan_approval(record: CheckRecord, *, now: str, valid_for_s: float | None) -> CheckRecord:
    """Return a check as it will be signed now, its expiry no later than asked; raises InvalidInput.

    A record of another tool keeps its time, verdict and reason: a signature vouches for them and
    makes them no younger.
    """
    if moment(record.created) > moment(now):
        raise InvalidInput(f"{record.name}: was made after now, at {record.created}")
    if record.expires is not None and moment(record.expires) <= moment(now):
        raise InvalidInput(f"{record.name}: has expired, at {record.expires}")
    if valid_for_s is None:
        return record
    ends = [_ends(now, valid_for_s)] + ([] if record.expires is None else [record.expires])
    return replace(record, expires=min(ends, key=moment))


def _ends(now: str, valid_for_s: float) -> str:
    if valid_for_s > LONGEST_EXCEPTION_S:
        raise InvalidInput("--valid-for: 30d at most", hint="say it again when it is needed again")
    return after(now, valid_for_s)
