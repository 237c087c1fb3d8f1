"""Gate decisions as in-toto statements: domain to predicate and back (docs/evidence.md)."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import Field

from relkit.domain.decisions import DecisionStatement, candidate_digests, why_not_promotable
from relkit.domain.errors import InvalidInput
from relkit.domain.gates import (
    CheckRecord,
    Coverage,
    Enforcement,
    GateDecision,
    JudgedPart,
    JudgedRun,
    Mode,
    NullReplay,
    RuleResult,
    Verdict,
)
from relkit.records.digests import JsonValue
from relkit.records.envelopes import (
    Digest,
    Statement,
    as_json,
    parse_statement,
    render_statement,
)
from relkit.records.evidence import EvidenceRecord, evidence_document
from relkit.records.overrides import KnownOverrideRecord, known_override_document
from relkit.records.strict import Record, check
from relkit.records.times import Time
from relkit.records.words import VerdictWord

PREDICATE_TYPE = "urn:relkit:gate-decision:v1"

Text = Annotated[str, Field(max_length=4000)]
Count = Annotated[int, Field(ge=0)]


class _PolicyRecord(Record):
    name: str
    digest: Digest
    enforcement: Enforcement
    documents: dict[str, dict[str, object]]


class _RunRecord(Record):
    run: str
    report: Digest
    candidate: Digest
    artifact: Digest | None
    created: Time

    def judged(self) -> JudgedRun:
        return JudgedRun(**self.model_dump())


class _DatasetRecord(Record):
    name: str
    revision: str | None
    digest: Digest


class _NamedRecord(Record):
    name: str
    digest: Digest


class _CoverageRecord(Record):
    expected: Count
    scored: Count
    unusable: Count


class _ReplayRecord(Record):
    replays: Count
    blocked: Count
    undecided: Count
    method: str


class _PartRecord(Record):
    name: str | None
    policy: _NamedRecord
    candidate: _RunRecord
    baseline: _RunRecord | None
    anchor: _RunRecord | None
    dataset: _DatasetRecord
    suite: _NamedRecord
    normalizer: _NamedRecord
    scorer: str
    coverage: _CoverageRecord
    baseline_failures: list[str]
    null_replay: _ReplayRecord | None

    def judged(self) -> JudgedPart:
        return JudgedPart(
            name=self.name,
            policy=self.policy.name,
            policy_digest=self.policy.digest,
            candidate=self.candidate.judged(),
            baseline=None if self.baseline is None else self.baseline.judged(),
            anchor=None if self.anchor is None else self.anchor.judged(),
            dataset=self.dataset.name,
            dataset_revision=self.dataset.revision,
            dataset_digest=self.dataset.digest,
            suite=self.suite.name,
            suite_digest=self.suite.digest,
            normalizer=self.normalizer.name,
            normalizer_digest=self.normalizer.digest,
            scorer=self.scorer,
            coverage=Coverage(**self.coverage.model_dump()),
            baseline_failures=tuple(self.baseline_failures),
            null_replay=_replay(self.null_replay),
        )


class _ResultRecord(Record):
    rule: str
    slice: str
    metric: str
    test: str
    mode: Mode
    verdict: VerdictWord
    code: str
    reason: Text
    quantity: Literal["value", "worsening", "improvement"]
    unit: str
    observed: float | None
    low: float | None
    high: float | None
    candidate: float | None
    baseline: float | None
    bound: float | None
    p_adjusted: float | None
    detects: float | None
    n: Count
    clusters: Count
    utterances: Count
    needed_clusters: Count | None
    against: Literal["baseline", "anchor"] | None
    part: str | None
    harm: float | None

    def result(self) -> RuleResult:
        fields = self.model_dump()
        return RuleResult(**{**fields, "verdict": Verdict(self.verdict)})


class _RequiredRecord(Record):
    name: str
    verdict: VerdictWord
    reason: Text
    by: str
    created: Time
    digest: Digest
    expires: Time | None
    candidate: Digest | None
    key: str | None
    ticket: str | None

    def record(self) -> CheckRecord:
        return CheckRecord(**{**self.model_dump(), "verdict": Verdict(self.verdict)})


class _DecisionRecord(Record):
    verdict: VerdictWord
    promotable: bool
    not_promotable: list[str]
    reason_codes: list[str]
    policy: _PolicyRecord
    parts: list[_PartRecord]
    checks: list[_ResultRecord]
    required_checks: list[_RequiredRecord]
    serial: Annotated[int, Field(ge=1)]
    previous: Digest | None
    created: Time
    expires: Time
    tool_version: str
    overrides: list[KnownOverrideRecord]
    evidence: EvidenceRecord


def render_decision(statement: DecisionStatement) -> bytes:
    """Return the payload: an in-toto statement whose subject are the candidate's artifacts.

    Where a candidate has no artifact digest the digest of its settings is the subject, and
    ``promotable`` is false with the reason. The same decision always gives the same bytes.
    """
    return render_statement(
        Statement(
            subjects=subjects(statement.decision),
            predicate_type=PREDICATE_TYPE,
            predicate=_predicate(statement),
        )
    )


def subjects(decision: GateDecision) -> tuple[tuple[str, str], ...]:
    """Return (name, digest) of what a decision is about."""
    return tuple((name, digest) for name, digest, _ in candidate_digests(decision))


def parse_decision(payload: bytes, *, source: str) -> DecisionStatement:
    """Return the decision of a payload; raises InvalidInput, also where its parts disagree."""
    statement = parse_statement(payload, source=source)
    if statement.predicate_type != PREDICATE_TYPE:
        raise InvalidInput(f"{source}: is no gate decision")
    return decision_of(statement, source=source)


def decision_of(statement: Statement, *, source: str) -> DecisionStatement:
    """Return the decision in a statement; raises InvalidInput where it contradicts itself.

    A decision says twice what it is about, and whether it promotes: in what programs of others
    read first, and in what relkit decided. Both have to agree.
    """
    record = check(_DecisionRecord, statement.predicate, source=source)
    found = _statement(record)
    if statement.subjects != subjects(found.decision):
        raise InvalidInput(f"{source}: the subject is not the candidate that was judged")
    reasons = why_not_promotable(found.decision)
    if (record.promotable, tuple(record.not_promotable)) != (not reasons, reasons):
        raise InvalidInput(f'{source}: "promotable" contradicts the decision')
    return found


def _statement(record: _DecisionRecord) -> DecisionStatement:
    decision = GateDecision(
        policy=record.policy.name,
        policy_digest=record.policy.digest,
        enforcement=record.policy.enforcement,
        verdict=Verdict(record.verdict),
        reason_codes=tuple(record.reason_codes),
        results=tuple(one.result() for one in record.checks),
        parts=tuple(one.judged() for one in record.parts),
        checks=tuple(one.record() for one in record.required_checks),
        created=record.created,
        expires=record.expires,
        serial=record.serial,
        previous=record.previous,
        tool_version=record.tool_version,
    )
    return DecisionStatement(
        decision=decision,
        evidence=record.evidence.evidence(),
        policies=record.policy.documents,
        overrides=tuple(one.override() for one in record.overrides),
    )


def _predicate(statement: DecisionStatement) -> Mapping[str, JsonValue]:
    decision = statement.decision
    reasons = why_not_promotable(decision)
    return {
        "verdict": str(decision.verdict),
        "promotable": not reasons,
        "not_promotable": list(reasons),
        "reason_codes": list(decision.reason_codes),
        "policy": {
            "name": decision.policy,
            "digest": decision.policy_digest,
            "enforcement": decision.enforcement,
            "documents": _documents(statement.policies),
        },
        "parts": [_part_document(part) for part in decision.parts],
        "checks": [asdict(result) for result in decision.results],
        "required_checks": [asdict(record) for record in decision.checks],
        "serial": decision.serial,
        "previous": decision.previous,
        "created": decision.created,
        "expires": decision.expires,
        "tool_version": decision.tool_version,
        "overrides": [known_override_document(one) for one in statement.overrides],
        "evidence": evidence_document(statement.evidence),
    }


def _documents(policies: Mapping[str, Mapping[str, object]]) -> dict[str, JsonValue]:
    return {name: as_json(document) for name, document in policies.items()}


def _part_document(part: JudgedPart) -> JsonValue:
    return {
        "name": part.name,
        "policy": {"name": part.policy, "digest": part.policy_digest},
        "candidate": asdict(part.candidate),
        "baseline": None if part.baseline is None else asdict(part.baseline),
        "anchor": None if part.anchor is None else asdict(part.anchor),
        "dataset": {
            "name": part.dataset,
            "revision": part.dataset_revision,
            "digest": part.dataset_digest,
        },
        "suite": {"name": part.suite, "digest": part.suite_digest},
        "normalizer": {"name": part.normalizer, "digest": part.normalizer_digest},
        "scorer": part.scorer,
        "coverage": asdict(part.coverage),
        "baseline_failures": list(part.baseline_failures),
        "null_replay": None if part.null_replay is None else asdict(part.null_replay),
    }


def _replay(record: _ReplayRecord | None) -> NullReplay | None:
    return None if record is None else NullReplay(**record.model_dump())
