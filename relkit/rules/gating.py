"""Rule to result to decision: pure, with a reason in words for every verdict.

The steps for a caller: collect :class:`relkit.rules.gate_evidence.Evidence`, then :func:`judge_all`
for the results of one policy, then :func:`decide`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from relkit.domain.comparisons import Regression
from relkit.domain.gates import (
    ORDER,
    CheckRecord,
    GateDecision,
    GatePolicy,
    JudgedPart,
    Rule,
    RuleResult,
    Verdict,
)
from relkit.domain.metrics import TIMING_METRICS, metric_of
from relkit.rules.gate_evidence import (
    COMPARING,
    Compared,
    Evidence,
    blocks_as_family,
    joined,
)
from relkit.rules.gate_judging import (
    judge_bound,
    judge_differences,
    judge_family,
    run_family,
    vanished,
)
from relkit.rules.gate_preconditions import EVIDENCE, finding, preconditions
from relkit.rules.gate_results import new_result, no_data
from relkit.rules.gate_slices import RuleSlices, rule_slices
from relkit.rules.gate_tests import Outcome
from relkit.rules.same_measure import MIXED_LOAD
from relkit.rules.sign_flips import FAMILY_METRICS
from relkit.rules.slice_patterns import spec_of

_LOAD_METRICS = (*TIMING_METRICS, "rtf", "rtfx")


def worst_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the most blocking verdict; ``error`` where there is none at all."""
    found = set(verdicts)
    return next((verdict for verdict in ORDER if verdict in found), Verdict.ERROR)


def judge_all(policy: GatePolicy, evidence: Evidence, *, now: str) -> tuple[RuleResult, ...]:
    """Return every result of a policy: findings about the runs first, then rules in order.

    Raises nothing: what cannot be judged is a result that says so.
    """
    slices = ((rule, _slices(rule, evidence).found) for rule in policy.rules)
    evidence = _families_tested(policy, replace(evidence, together=joined(slices)))
    results = [result for rule in policy.rules for result in judge(rule, evidence)]
    return (*preconditions(policy, evidence, now=now), *results)


def _families_tested(policy: GatePolicy, evidence: Evidence) -> Evidence:
    """Return the evidence with each family tested once, however many rules it is made of."""
    pairs = None if evidence.baseline is None else evidence.baseline.pairs
    if pairs is None:
        return evidence
    tested: dict[tuple[str, float], dict[str, Regression]] = {}
    for rule in policy.rules:
        key = (rule.metric, rule.detectable)
        if blocks_as_family(rule) and rule.metric in FAMILY_METRICS and key not in tested:
            tested[key] = run_family(rule, evidence.together[rule.metric], pairs, evidence)
    return replace(evidence, tested=tested)


def judge(rule: Rule, evidence: Evidence) -> tuple[RuleResult, ...]:
    """Return what came of one rule, a result for each slice it is about; raises nothing."""
    problem = _cannot_judge(rule, evidence)
    if problem is not None:
        return (problem,)
    slices = _slices(rule, evidence)
    gone = [vanished(rule, key) for key in slices.vanished]
    if not slices.found and not gone:
        reason = f"no slice matches {rule.slice}"
        outcome = Outcome(verdict=Verdict.ERROR, code="no_slice")
        return (new_result(rule, rule.slice, outcome, reason),)
    fresh = replace(rule, mode="advisory" if rule.mode == "required" else rule.mode)
    judged = [*_judged(rule, slices.found, evidence), *gone]
    news = (_new(result) for result in _judged(fresh, slices.new, evidence))
    return (*judged, *news)


def _judged(rule: Rule, keys: Sequence[str], evidence: Evidence) -> list[RuleResult]:
    if not keys:
        return []
    if rule.test == "bound":
        return [judge_bound(rule, key, evidence) for key in keys]
    baseline = evidence.baseline
    if baseline is None:
        return [no_data(rule, key, "no_baseline", "there is no baseline") for key in keys]
    if rule.test == "no_regression":
        return judge_family(rule, keys, baseline, evidence)
    results = judge_differences(rule, keys, baseline, evidence)
    if rule.test == "non_inferiority" and evidence.anchor is not None:
        margin = rule.margin if rule.anchor_margin is None else rule.anchor_margin
        far = replace(rule, margin=margin)
        anchored = judge_differences(far, keys, evidence.anchor, evidence)
        results += [
            replace(result, against="anchor", reason=f"against the anchor: {result.reason}")
            for result in anchored
        ]
    return results


def _cannot_judge(rule: Rule, evidence: Evidence) -> RuleResult | None:
    """Return the result of a rule that has no numbers to be judged by, None where it has."""
    try:
        metric_of(rule.metric)
    except KeyError:
        outcome = Outcome(verdict=Verdict.ERROR, code="unknown_metric")
        return new_result(rule, rule.slice, outcome, f'there is no metric "{rule.metric}"')
    spec = spec_of(rule.slice).name
    if spec not in evidence.specs:
        outcome = Outcome(verdict=Verdict.ERROR, code="not_cut")
        reason = f"the candidate's results are not cut by {spec}"
        return new_result(rule, rule.slice, outcome, reason)
    return _other_load(rule, evidence)


def _other_load(rule: Rule, evidence: Evidence) -> RuleResult | None:
    """Return a result where times were measured under conditions that cannot be compared."""
    if rule.metric.partition(".")[0] not in _LOAD_METRICS:
        return None
    loads = {evidence.candidate.load_digest}
    if rule.test in COMPARING:
        others = (evidence.baseline, evidence.anchor)
        loads |= {other.report.load_digest for other in others if other is not None}
    if len(loads) == 1 and MIXED_LOAD not in loads:
        return None
    reason = "times were measured under different loads (hardware, processes, threads)"
    return no_data(rule, rule.slice, "other_load", reason)


def _slices(rule: Rule, evidence: Evidence) -> RuleSlices:
    before = () if evidence.baseline is None else _known(evidence.baseline)
    return rule_slices(rule.slice, evidence.utterances, evidence.candidate.registered, before)


def _known(other: Compared) -> tuple[str, ...]:
    if other.pairs is not None:
        return other.pairs.baseline.slices
    if other.unpaired is not None:
        return other.unpaired[1].slices
    return tuple(item.slice for item in other.report.slices)


def _new(result: RuleResult) -> RuleResult:
    reason = f"new since the dataset was locked, so advisory: {result.reason}"
    return replace(result, reason=reason)


def decide(
    policy: GatePolicy,
    results: Sequence[RuleResult],
    *,
    parts: Sequence[JudgedPart] = (),
    checks: Sequence[CheckRecord] = (),
) -> GateDecision:
    """Return the decision: the most blocking verdict among required results, never less.

    Findings about the runs do not count as something that passed; where no required rule was
    evaluated the decision is ``error``. Times, serial and version are the caller's to add.
    """
    results = tuple(results)
    required = [result for result in results if result.mode == "required"]
    if not any(result.test != EVIDENCE for result in required):
        reason = "no required rule was evaluated: advisory and dry-run rules decide nothing"
        results = (finding("nothing_required", Verdict.ERROR, reason), *results)
        required.append(results[0])
    return GateDecision(
        policy=policy.name,
        policy_digest=policy.digest,
        enforcement=policy.enforcement,
        verdict=worst_of(result.verdict for result in required),
        reason_codes=reason_codes(required),
        results=results,
        parts=tuple(parts),
        checks=tuple(checks),
    )


def reason_codes(required: Iterable[RuleResult]) -> tuple[str, ...]:
    """Return the codes of results that are no pass, the most blocking first, each once."""
    blocking = [result for result in required if result.verdict is not Verdict.PASS]
    ranked = sorted(blocking, key=lambda result: ORDER.index(result.verdict))
    return tuple(dict.fromkeys(result.code for result in ranked))
