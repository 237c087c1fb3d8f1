"""Gate decisions as in-toto statements: domain to predicate and back (docs/evidence.md).

The evidence inside a signed decision: sums by slice and cluster, to JSON and back.

Overrides as in-toto statements: domain to predicate and back (docs/evidence.md).

The document that ``relkit gate --json`` prints (docs/cli.md, section "What --json prints").
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import Field

from relkit.attestation.envelopes import (
    Digest,
    Statement,
    as_json,
    parse_statement,
    render_statement,
)
from relkit.attestation.types import (
    DecisionStatement,
    OrderStatistics,
    PartEvidence,
    PercentileTable,
    SumsTable,
    candidate_digests,
    why_not_promotable,
)
from relkit.core.codec import Record, check
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.values import Line, Reason, Time, VerdictWord
from relkit.gate.types import (
    CheckRecord,
    Coverage,
    Enforcement,
    GateDecision,
    JudgedPart,
    JudgedRun,
    Mode,
    Override,
    Rule,
    RuleResult,
    Test,
    Verdict,
)
from relkit.statistics.types import NullReplay

ABOUT_PERCENTILES = (
    "a percentile's rows are (values, values above it) by cluster; that low and high are the "
    "measurements of their ranks has to be believed"
)
"""What a third party cannot recompute, said inside the evidence."""


Row = list[float]


Name = Annotated[str, Field(min_length=1)]


EvidenceCount = Annotated[int, Field(ge=0)]


class _RuleRecord(Record):
    id: str
    metric: str
    slice: str
    test: Test
    mode: Mode
    max: float | None
    min: float | None
    margin: float | None
    detectable: float
    min_change: float | None
    min_relative_change: float | None
    anchor_margin: float | None
    min_clusters: int
    min_utterances: int

    def rule(self) -> Rule:
        return Rule(**self.model_dump())


class _SumsRecord(Record):
    metric: str
    against: Literal["baseline", "anchor"] | None
    by: Literal["cluster", "repeat"]
    slices: list[Name]
    columns: list[Name]
    rows: list[Row]

    def table(self) -> SumsTable:
        return SumsTable(
            metric=self.metric,
            against=self.against,
            by=self.by,
            slices=tuple(self.slices),
            columns=tuple(self.columns),
            rows=tuple(tuple(row) for row in self.rows),
        )


class _OrderRecord(Record):
    slice: str
    value: float
    values: EvidenceCount
    utterances: EvidenceCount
    rows: list[Annotated[list[float], Field(min_length=2, max_length=2)]]
    low_rank: int | None
    low: float | None
    high_rank: int | None
    high: float | None
    other: "_OrderRecord | None"

    def statistics(self) -> OrderStatistics:
        return OrderStatistics(
            slice=self.slice,
            value=self.value,
            values=self.values,
            utterances=self.utterances,
            rows=tuple((row[0], row[1]) for row in self.rows),
            low_rank=self.low_rank,
            low=self.low,
            high_rank=self.high_rank,
            high=self.high,
            other=None if self.other is None else self.other.statistics(),
        )


class _PercentileRecord(Record):
    metric: str
    against: Literal["baseline", "anchor"] | None
    share: float
    slices: list[_OrderRecord]

    def table(self) -> PercentileTable:
        return PercentileTable(
            metric=self.metric,
            against=self.against,
            share=self.share,
            slices=tuple(one.statistics() for one in self.slices),
        )


class _EvidencePartRecord(Record):
    part: str | None
    rules: list[_RuleRecord]
    sums: list[_SumsRecord]
    percentiles: list[_PercentileRecord]


class EvidenceRecord(Record):
    """What stands under ``evidence``."""

    about_percentiles: str
    parts: list[_EvidencePartRecord]

    def evidence(self) -> tuple[PartEvidence, ...]:
        """Return it as the domain knows it."""
        return tuple(
            PartEvidence(
                part=one.part,
                rules=tuple(rule.rule() for rule in one.rules),
                sums=tuple(table.table() for table in one.sums),
                percentiles=tuple(table.table() for table in one.percentiles),
            )
            for one in self.parts
        )


def evidence_document(parts: tuple[PartEvidence, ...]) -> JsonValue:
    """Return the evidence as JSON; sums that are whole numbers are written as such."""
    return {
        "about_percentiles": ABOUT_PERCENTILES,
        "parts": [
            {
                "part": part.part,
                "rules": [_rule_document(rule) for rule in part.rules],
                "sums": [_sums_document(table) for table in part.sums],
                "percentiles": [_percentile_document(table) for table in part.percentiles],
            }
            for part in parts
        ],
    }


def _rule_document(rule: Rule) -> JsonValue:
    return {name: getattr(rule, name) for name in _RuleRecord.model_fields}


def _sums_document(table: SumsTable) -> JsonValue:
    return {
        "metric": table.metric,
        "against": table.against,
        "by": table.by,
        "slices": list(table.slices),
        "columns": list(table.columns),
        "rows": [list(row) for row in table.rows],
    }


def _percentile_document(table: PercentileTable) -> JsonValue:
    return {
        "metric": table.metric,
        "against": table.against,
        "share": table.share,
        "slices": [_order_document(one) for one in table.slices],
    }


def _order_document(one: OrderStatistics) -> JsonValue:
    return {
        "slice": one.slice,
        "value": one.value,
        "values": one.values,
        "utterances": one.utterances,
        "rows": [list(row) for row in one.rows],
        "low_rank": one.low_rank,
        "low": one.low,
        "high_rank": one.high_rank,
        "high": one.high,
        "other": None if one.other is None else _order_document(one.other),
    }


OVERRIDES_PREDICATE_TYPE = "urn:relkit:override:v1"


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
            predicate_type=OVERRIDES_PREDICATE_TYPE,
            predicate=_overrides_predicate(override),
        )
    )


def known_override_document(override: Override) -> dict[str, JsonValue]:
    """Return an override as a decision lists it."""
    return {
        **_overrides_predicate(override),
        "subjects": list(override.subjects),
        "key": override.key,
    }


def _overrides_predicate(override: Override) -> Mapping[str, JsonValue]:
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


_ORDER = (
    "rule",
    "slice",
    "metric",
    "test",
    "mode",
    "verdict",
    "observed",
    "low",
    "high",
    "baseline",
    "bound",
    "p_adjusted",
    "n",
    "clusters",
    "needed_clusters",
    "reason",
    "code",
    "quantity",
    "unit",
    "candidate",
    "detects",
    "utterances",
    "against",
    "part",
    "harm",
)
"""The keys of a check: those that docs/cli.md lists first, then the other fields of a result."""


def decision_document(
    decision: GateDecision,
    *,
    decision_file: str | None = None,
    overrides: Sequence[Override] = (),
) -> dict[str, JsonValue]:
    """Return the document of a decision; raises InvalidInput for a pass that rests on NaN.

    ``decision_file`` is relative to the workspace or as the user named it, None where none was
    written. All rates are fractions. A number that is NaN or infinite is null.
    """
    return {
        "verdict": decision.verdict.value,
        "enforcement": decision.enforcement,
        "promotes": decision.promotes,
        "reason_codes": list(decision.reason_codes),
        "decision_file": decision_file,
        "policy": {"name": decision.policy, "digest": decision.policy_digest},
        "checks": [_check(item) for item in decision.results],
        "coverage": {
            "expected": sum(part.coverage.expected for part in decision.parts),
            "scored": sum(part.coverage.scored for part in decision.parts),
            "unusable": sum(part.coverage.unusable for part in decision.parts),
        },
        "parts": [_part(item) for item in decision.parts],
        "requires": [_required(item) for item in decision.checks],
        "overrides": [_decision_documents_override(item) for item in overrides],
        "created": decision.created,
        "expires": decision.expires,
        "serial": decision.serial,
        "previous": decision.previous,
        "tool_version": decision.tool_version,
    }


def _check(result: RuleResult) -> dict[str, JsonValue]:
    values = {key: getattr(result, key) for key in _ORDER}
    broken = [key for key, value in values.items() if _says_nothing(value)]
    if broken and result.verdict is Verdict.PASS:
        raise InvalidInput(
            f"the check {result.rule} passes on {result.slice}, yet its {broken[0]} is no number",
            hint="this is a defect: keep the runs and report it",
        )
    return {key: None if key in broken else _plain(value) for key, value in values.items()}


def _says_nothing(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _plain(value: str | float | Verdict | None) -> JsonValue:
    return value.value if isinstance(value, Verdict) else value


def _part(part: JudgedPart) -> dict[str, JsonValue]:
    return {
        "name": part.name,
        "policy": {"name": part.policy, "digest": part.policy_digest},
        "candidate": _run(part.candidate),
        "baseline": _run(part.baseline),
        "anchor": _run(part.anchor),
        "dataset": {
            "name": part.dataset,
            "revision": part.dataset_revision,
            "digest": part.dataset_digest,
        },
        "suite": {"name": part.suite, "digest": part.suite_digest},
        "normalizer": {"name": part.normalizer, "digest": part.normalizer_digest},
        "scorer": part.scorer,
        "coverage": {
            "expected": part.coverage.expected,
            "scored": part.coverage.scored,
            "unusable": part.coverage.unusable,
        },
        "baseline_failures": list(part.baseline_failures),
        "null_replay": _decision_documents_replay(part.null_replay),
    }


def _run(run: JudgedRun | None) -> dict[str, JsonValue] | None:
    if run is None:
        return None
    return {
        "run": run.run,
        "report": run.report,
        "candidate": run.candidate,
        "artifact": run.artifact,
        "created": run.created,
    }


def _decision_documents_replay(replay: NullReplay | None) -> dict[str, JsonValue] | None:
    if replay is None:
        return None
    return {
        "replays": replay.replays,
        "blocked": replay.blocked,
        "undecided": replay.undecided,
        "false_block_rate": replay.false_block_rate,
        "method": replay.method,
    }


def _required(check: CheckRecord) -> dict[str, JsonValue]:
    return {
        "name": check.name,
        "verdict": check.verdict.value,
        "reason": check.reason,
        "by": check.by,
        "created": check.created,
        "expires": check.expires,
        "digest": check.digest,
        "candidate": check.candidate,
        "key": check.key,
        "ticket": check.ticket,
    }


def _decision_documents_override(override: Override) -> dict[str, JsonValue]:
    return {
        "decision": override.decision,
        "by": override.by,
        "reason": override.reason,
        "ticket": override.ticket,
        "created": override.created,
        "expires": override.expires,
        "signed": override.key is not None,
        "key": override.key,
    }
