"""A decision judged again from the sums inside it, with the rules that judged it first.

A signature says who decided; this says that the numbers lead to the verdict. What cannot be known
from the evidence (that the sums are those of the runs, measurements at ranks of a percentile) is
believed, and listed as such.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from relkit.domain.decisions import DecisionStatement, PartEvidence
from relkit.domain.gates import GateDecision, GatePolicy, JudgedPart, Rule, RuleResult, Verdict
from relkit.domain.utterances import NO_VALUE
from relkit.rules.gate_evidence import Evidence, joined
from relkit.rules.gate_judging import judge_bound, judge_differences, judge_family
from relkit.rules.gate_preconditions import EVIDENCE
from relkit.rules.gate_requirements import REQUIREMENT
from relkit.rules.gating import reason_codes, worst_of
from relkit.rules.rebuilding import malformed, rebuilt
from relkit.rules.slice_patterns import matches

NEW = "new since"
"""How the reason of a slice begins that was not there when the dataset was locked."""
_RELATIVE = 1e-9
_SEARCHED = 1e-6  # what is found by bisection, and has no closed form
_NUMBERS = ("observed", "low", "high", "candidate", "baseline", "bound", "p_adjusted")
_EXACT = ("verdict", "code", "quantity", "unit", "against", "n", "clusters", "utterances")
_UNKNOWABLE = frozenset(
    {
        "unknown_metric",
        "not_cut",
        "other_load",
        "no_slice",
        "slice_missing",
        "no_baseline",
        "not_comparable",
        "metric_missing",
        "no_error_rate",
    }
)
"""Codes of results that had no numbers to be judged by; none of them passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """What came of judging again: ``problems`` in words, and how many checks agreed.

    ``believed`` names checks with a verdict that the evidence does not hold the sums of.
    """

    problems: tuple[str, ...]
    agreed: int
    believed: tuple[str, ...]


def recompute(statement: DecisionStatement, policies: Mapping[str, GatePolicy]) -> Recomputed:
    """Return whether a decision follows from its evidence.

    ``policies`` maps names to the policies that the statement holds, parsed. Every check is judged
    again, and the verdict of all from the checks; a rule, slice or requirement without a result is
    a problem, too.
    """
    decision = statement.decision
    problems = list(_whole(decision, policies))
    agreed, believed = 0, []
    known = {evidence.part: evidence for evidence in statement.evidence}
    if len(known) != len(statement.evidence):
        problems.append("the evidence of a part stands twice")
    for part in decision.parts:
        evidence = known.get(part.name) or PartEvidence(part=part.name, rules=())
        policy = policies.get(part.policy)
        problems += _rules(part, evidence, policy)
        bad = malformed(evidence)
        if bad is not None:
            problems.append(f"evidence of {_named(part)}{bad}")
            continue
        results = [result for result in decision.results if result.part == part.name]
        problems += _gaps(part, evidence, results)
        for recorded, again in _judged(part, evidence, results):
            if again is None:
                believed.append(_check(recorded))
            elif differences := tuple(_differences(recorded, again)):
                problems.append(f"{_check(recorded)}: {'; '.join(differences)}")
            else:
                agreed += 1
    return Recomputed(problems=tuple(problems), agreed=agreed, believed=tuple(believed))


def _whole(decision: GateDecision, policies: Mapping[str, GatePolicy]) -> Iterator[str]:
    """Yield what is wrong with the verdict, given its own results."""
    required = [result for result in decision.results if result.mode == "required"]
    verdict = worst_of(result.verdict for result in required)
    if verdict is Verdict.PASS and all(result.test == EVIDENCE for result in required):
        verdict = Verdict.ERROR
    if verdict is not decision.verdict:
        yield f"the checks lead to {verdict}, the decision says {decision.verdict}"
    if reason_codes(required) != decision.reason_codes:
        yield "the reason codes are not those of the checks"
    policy = policies.get(decision.policy)
    if policy is None:
        yield "the policy's document is not in the decision"
        return
    if policy.enforcement != decision.enforcement:
        yield f"the policy's enforcement is {policy.enforcement}, not {decision.enforcement}"
    if set(policy.parts.values()) - {part.policy for part in decision.parts}:
        yield "a part of the policy was not judged"
    yield from _requirements(decision, policy)


def _requirements(decision: GateDecision, policy: GatePolicy) -> Iterator[str]:
    records = {record.name: record for record in decision.checks}
    results = {r.rule: r for r in decision.results if r.test == REQUIREMENT and r.part is None}
    for wanted in policy.requires:
        result = results.pop(wanted.name, None)
        record = records.get(wanted.name)
        if result is None or result.mode != "required":
            yield f"{wanted.name}: is required and was not judged"
        elif result.verdict is not Verdict.PASS:
            continue
        elif record is None or record.verdict is not Verdict.PASS:
            yield f"{wanted.name}: passes without a record that passed"
        elif wanted.signed and record.key is None:
            yield f"{wanted.name}: passes without the signature that is asked for"
        elif not record.created <= decision.created < (record.expires or "9"):
            yield f"{wanted.name}: passes with a record that was not valid at that time"
        elif record.candidate is not None and record.candidate not in _digests(decision):
            yield f"{wanted.name}: passes with a record about another candidate"
    for name in results:
        yield f"{name}: is a requirement that the policy does not know"


def _digests(decision: GateDecision) -> set[str | None]:
    return {
        digest
        for part in decision.parts
        for digest in (part.candidate.artifact, part.candidate.candidate)
    }


def _rules(part: JudgedPart, evidence: PartEvidence, policy: GatePolicy | None) -> Iterator[str]:
    if policy is None:
        yield f"the document of the policy {part.policy} is not in the decision"
        return
    written = tuple(replace(rule, line=None) for rule in policy.rules)
    if evidence.rules != written:
        yield f"the rules of {_named(part)}the evidence are not those of the policy"
    covered = part.coverage
    if not 0 < covered.scored <= covered.expected or (
        covered.scored < policy.coverage * covered.expected
    ):
        yield from _unfound(part, "coverage is below what the policy asks for")


def _unfound(part: JudgedPart, what: str) -> Iterator[str]:
    yield f"{_named(part)}{what}"


def _gaps(part: JudgedPart, evidence: PartEvidence, results: Sequence[RuleResult]) -> Iterator[str]:
    """Yield rules without a result, slices that were measured and not judged, unknown checks."""
    rules = {rule.id: rule for rule in evidence.rules}
    judged = {(result.rule, result.slice) for result in results}
    for result in results:
        if result.test in (EVIDENCE, REQUIREMENT):
            continue
        rule = rules.get(result.rule)
        if rule is None or (rule.metric, rule.test) != (result.metric, result.test):
            yield f"{_check(result)}: the policy has no such rule"
        elif result.mode != rule.mode and not result.reason.startswith(NEW):
            yield f"{_check(result)}: is {result.mode}, the rule is {rule.mode}"
    whole = {result.rule for result in results if result.code in _UNKNOWABLE}
    for rule in evidence.rules:
        if rule.id not in {name for name, _ in judged}:
            yield f"{_named(part)}rule {rule.id} was not judged"
        elif rule.id not in whole:
            missing = [key for key in _measured(rule, evidence) if (rule.id, key) not in judged]
            if missing:
                yield f"{_named(part)}rule {rule.id}: {missing[0]} was measured and not judged"


def _measured(rule: Rule, evidence: PartEvidence) -> Iterator[str]:
    """Yield the slices of a rule that there are sums of, but for those of missing labels."""
    for table in evidence.sums:
        if table.metric == rule.metric and (table.against is None) == (rule.test == "bound"):
            present = {int(row[0]) for row in table.rows}
            for i, key in enumerate(table.slices):
                if i in present and matches(rule.slice, key) and NO_VALUE not in key:
                    yield key


def _judged(
    part: JudgedPart, evidence: PartEvidence, results: Sequence[RuleResult]
) -> Iterator[tuple[RuleResult, RuleResult | None]]:
    """Yield each result that had numbers, with what it is when judged again (None: no sums)."""
    again: dict[str, Evidence] = {}
    for rule in evidence.rules:
        own = [r for r in results if r.rule == rule.id and r.code not in _UNKNOWABLE]
        own = [r for r in own if r.test == rule.test and r.metric == rule.metric]
        if not own:
            continue
        if rule.metric not in again:
            again[rule.metric] = replace(
                rebuilt(part, evidence, rule.metric), together=_families(evidence.rules, results)
            )
        for fresh in (False, True):
            group = [r for r in own if r.reason.startswith(NEW) == fresh]
            yield from zip(group, _again(rule, group, again[rule.metric]), strict=True)


def _families(rules: Sequence[Rule], results: Sequence[RuleResult]) -> dict[str, tuple[str, ...]]:
    """Return the slices by metric that were tested together."""
    known = [r for r in results if r.code not in _UNKNOWABLE and not r.reason.startswith(NEW)]
    return joined((rule, (r.slice for r in known if r.rule == rule.id)) for rule in rules)


def _again(
    rule: Rule, group: Sequence[RuleResult], evidence: Evidence
) -> Iterator[RuleResult | None]:
    """Yield the results of a rule judged again, in order; a family is judged as one."""
    keys = tuple(result.slice for result in group)
    if rule.test == "no_regression" and group:
        if evidence.baseline is None:
            yield from (None for _ in keys)
        else:
            yield from judge_family(rule, keys, evidence.baseline, evidence)
        return
    for result in group:
        if rule.test == "bound":
            known = result.slice in evidence.estimates
            yield judge_bound(rule, result.slice, evidence) if known else None
            continue
        anchored = result.against == "anchor"
        other = evidence.anchor if anchored else evidence.baseline
        if other is None:
            yield None
            continue
        margin = rule.anchor_margin if anchored and rule.anchor_margin is not None else rule.margin
        (one,) = judge_differences(replace(rule, margin=margin), (result.slice,), other, evidence)
        yield replace(one, against=result.against)


def _differences(recorded: RuleResult, again: RuleResult) -> Iterator[str]:
    """Yield each field in which a recorded result is not what its sums give."""
    if _one_cluster(recorded) and again.verdict is recorded.verdict:
        return
    for name in _EXACT:
        ours, theirs = getattr(again, name), getattr(recorded, name)
        if ours != theirs:
            yield f"{name} is {ours}, not {theirs}"
    for name in _NUMBERS:
        ours, theirs = getattr(again, name), getattr(recorded, name)
        if not _same(ours, theirs, _RELATIVE):
            yield f"{name} is {ours}, not {theirs}"
    if not _same(again.detects, recorded.detects, _SEARCHED):
        yield f"detects is {again.detects}, not {recorded.detects}"


def _one_cluster(result: RuleResult) -> bool:
    """Return whether a result shows an interval within its one cluster: it decides nothing."""
    return result.clusters <= 1 and result.verdict is Verdict.INCONCLUSIVE


def _same(one: float | None, other: float | None, relative: float) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=relative, abs_tol=1e-12)


def _check(result: RuleResult) -> str:
    part = "" if result.part is None else f"{result.part}: "
    against = " (anchor)" if result.against == "anchor" else ""
    return f"{part}{result.rule} on {result.slice}{against}"


def _named(part: JudgedPart) -> str:
    return "" if part.name is None else f"{part.name}: "
