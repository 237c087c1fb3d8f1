"""Overrides as in-toto statements: domain to predicate and back (docs/evidence.md)."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from relkit.domain.decisions import Override
from relkit.domain.errors import InvalidInput
from relkit.domain.gates import Verdict
from relkit.records.digests import JsonValue
from relkit.records.envelopes import Digest, Statement, render_statement
from relkit.records.strict import Record, check
from relkit.records.times import Time
from relkit.records.words import Line, Reason, VerdictWord

PREDICATE_TYPE = "urn:relkit:override:v1"


class _Decided(Record):
    digest: Digest
    policy: str
    policy_digest: Digest
    verdict: VerdictWord
    runs: Annotated[list[str], Field(min_length=1)]


class OverrideRecord(Record):
    """The predicate of an override."""

    decision: _Decided
    by: Line
    reason: Reason
    ticket: Line
    created: Time
    expires: Time
    tool_version: str


class KnownOverrideRecord(OverrideRecord):
    """An override that was in force when something was decided; ``key`` is who signed it."""

    subjects: Annotated[list[Digest], Field(min_length=1)]
    key: str | None

    def override(self) -> Override:
        """Return it as the domain knows it."""
        return _override(self, tuple(self.subjects), self.key)


def render_override(override: Override) -> bytes:
    """Return the payload of an override; its subjects are those of the decision."""
    return render_statement(
        Statement(
            subjects=tuple((f"candidate-{i}", one) for i, one in enumerate(override.subjects, 1)),
            predicate_type=PREDICATE_TYPE,
            predicate=_predicate(override),
        )
    )


def known_override_document(override: Override) -> dict[str, JsonValue]:
    """Return an override as a decision lists it."""
    return {**_predicate(override), "subjects": list(override.subjects), "key": override.key}


def _predicate(override: Override) -> Mapping[str, JsonValue]:
    return {
        "decision": {
            "digest": override.decision,
            "policy": override.policy,
            "policy_digest": override.policy_digest,
            "verdict": str(override.verdict),
            "runs": list(override.runs),
        },
        "by": override.by,
        "reason": override.reason,
        "ticket": override.ticket,
        "created": override.created,
        "expires": override.expires,
        "tool_version": override.tool_version,
    }


def override_of(statement: Statement, *, source: str) -> Override:
    """Return the override in a statement, without a key; raises InvalidInput."""
    record = check(OverrideRecord, statement.predicate, source=source)
    if record.decision.verdict == "pass":
        raise InvalidInput(f"{source}: overrides a decision that passed")
    return _override(record, tuple(digest for _, digest in statement.subjects), None)


def _override(record: OverrideRecord, subjects: tuple[str, ...], key: str | None) -> Override:
    return Override(
        decision=record.decision.digest,
        policy=record.decision.policy,
        policy_digest=record.decision.policy_digest,
        verdict=Verdict(record.decision.verdict),
        runs=tuple(record.decision.runs),
        subjects=subjects,
        by=record.by,
        reason=record.reason,
        ticket=record.ticket,
        created=record.created,
        expires=record.expires,
        tool_version=record.tool_version,
        key=key,
    )
