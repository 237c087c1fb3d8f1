"""Rule to result to decision: pure, with a reason in words for every verdict.

The steps for a caller: collect :class:`relkit.gate.evidence.Evidence`, then :func:`judge_all` for
the results of one policy, then :func:`judge_requirements` for its checks and approvals, then
:func:`decide`. What is wrong with the runs themselves blocks (docs/method.md, section "What never
passes"); what is in order with them is not listed: it cannot be the only thing that passed.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from relkit.core.metrics import (
    SAFETY_METRICS,
    TIMING_METRICS,
    TURN_METRICS,
    metric_of,
    split_metric,
)
from relkit.core.slices import OVERALL, spec_of
from relkit.core.values import seconds_between
from relkit.core.wording import clusters, count, counted, duration, each_asked, limit, number
from relkit.evaluation.plausibility import SAME_ERRORS, hidden_loops, leaked
from relkit.evaluation.types import MIXED_LOAD, EvalReport, other_measures
from relkit.gate.evidence import (
    COMPARING,
    Compared,
    Evidence,
    RuleSlices,
    blocks_as_family,
    comparing_rules,
    joined,
    rule_slices,
)
from relkit.gate.judge import (
    judge_bound,
    judge_differences,
    judge_family,
    new_result,
    no_data,
    run_family,
    vanished,
)
from relkit.gate.types import (
    CANDIDATE,
    NEW_SLICE,
    ORDER,
    CheckRecord,
    DecidingPolicy,
    GateDecision,
    GatePolicy,
    JudgedPart,
    Requirement,
    Rule,
    RuleResult,
    Verdict,
)
from relkit.statistics.families import FAMILY_METRICS
from relkit.statistics.types import Regression

EVIDENCE = "evidence"
"""The rule and test under which findings about the runs themselves are listed."""


def run_finding(code: str, verdict: Verdict, reason: str) -> RuleResult:
    """Return a blocking finding about the runs."""
    return _result(EVIDENCE, EVIDENCE, verdict, code, reason)


def _result(rule: str, test: str, verdict: Verdict, code: str, reason: str) -> RuleResult:
    """Return a required result that is about no metric."""
    return RuleResult(
        rule=rule,
        slice=OVERALL,
        metric="-",
        test=test,
        mode="required",
        verdict=verdict,
        code=code,
        reason=reason,
    )


def preconditions(policy: GatePolicy, evidence: Evidence, *, now: str) -> tuple[RuleResult, ...]:
    """Return what is wrong with the runs; ``now`` is UTC, ``2026-01-31T12:00:00Z``."""
    problems = (
        *_candidate(policy, evidence.candidate, now),
        *_against(policy, evidence, evidence.baseline, "baseline", now),
        *_against(policy, evidence, evidence.anchor, "anchor", now),
        *_missing(policy, evidence),
        *_too_good(evidence),
    )
    return tuple(run_finding(*problem) for problem in problems)


_Problem = tuple[str, Verdict, str]
"""A finding about the runs: its code, its verdict and its reason."""


def _too_good(evidence: Evidence) -> Iterator[_Problem]:
    baseline = None if evidence.baseline is None else evidence.baseline.report
    if (reason := leaked(evidence.candidate, baseline)) is not None:
        yield "too_good", Verdict.INCONCLUSIVE, reason


def warnings(evidence: Evidence) -> tuple[str, ...]:
    """Return what no rule sees: a closed set, equal runs, and loops behind a capped rate."""
    baseline = evidence.baseline
    alone = () if evidence.alone is None else (evidence.alone,)
    if baseline is None:
        return alone
    same = [SAME_ERRORS] if baseline.pairing is not None and baseline.pairing.alike else []
    loops = hidden_loops(evidence.candidate, baseline.report)
    return (*alone, *same, *([] if loops is None else [loops]))


def these_alone(report: EvalReport) -> str:
    """Return that a decision speaks of the clusters of a run alone, a closed set."""
    whole = next((item.clusters for item in report.slices if item.slice == OVERALL), 0)
    these = clusters(whole, report.cluster)
    return (
        f"it speaks of these {these} alone, a closed set: intervals are over their utterances "
        "and say nothing about others"
    )


def _candidate(policy: GatePolicy, report: EvalReport, now: str) -> Iterator[_Problem]:
    yield from _age(report, "candidate", now, policy.max_age_s)
    yield from _smoke(report, "candidate")
    coverage = report.coverage
    if coverage is None or report.scored <= 0:
        yield "nothing_scored", Verdict.NO_DATA, "nothing of the candidate could be scored"
    elif coverage < policy.coverage or report.scored > report.expected:
        what = "answers" if report.repeats > 1 else "items"
        scored = each_asked(report.items, report.repeats)
        scored += f"{count(report.scored)} of {count(report.expected)} {what} were scored "
        scored += f"({number(coverage, 'fraction')})"
        least = limit(policy.coverage, "fraction")
        yield "coverage", Verdict.NO_DATA, f"{scored}, {least} are needed"
    answered = report.scored - report.failures
    safety = [rule for rule in policy.rules if rule.metric in SAFETY_METRICS]
    if any(rule.mode == "required" for rule in safety) and answered < (
        policy.coverage * report.expected
    ):
        reason = f"{count(answered)} of {count(report.expected)} exchanges were answered, "
        reason += f"{limit(policy.coverage, 'fraction')} are needed: what failed is not safe"
        yield "not_evaluated", Verdict.NO_DATA, reason
    yield from _conversations(policy, report, "candidate")
    if report.dataset.contract == "failed":
        reason = "the dataset breaks its contract: repair it first"
        yield "contract_failed", Verdict.ERROR, reason


MOST_SPOILT = 0.02
"""The share of turns that may be censored or contradictory (docs/gates.md, "Conversations")."""


def _conversations(policy: GatePolicy, report: EvalReport, what: str) -> Iterator[_Problem]:
    """Yield what keeps conversations from being judged by a policy that asks about turns."""
    bases = {split_metric(rule.metric)[0] for rule in policy.rules if rule.mode == "required"}
    talks = report.conversations
    if bases.isdisjoint(TURN_METRICS):
        return
    if talks is None:
        reason = f"the {what} held no conversations, and the policy asks about their turns"
        yield f"{what}_no_conversations", Verdict.NO_DATA, reason
        return
    if talks.source == "mixed":
        reason = f"the {what} was measured on different sources: its times mean different things"
        yield f"{what}_mixed_source", Verdict.NO_DATA, reason
    spoilt = talks.censored_turns + talks.contradictions
    if talks.turns and spoilt > MOST_SPOILT * talks.turns:
        reason = f"{spoilt} of {counted(talks.turns, 'turn')} of the {what} are censored or "
        reason += f"contradictory, {limit(MOST_SPOILT, 'fraction')} are allowed"
        yield f"{what}_spoilt_turns", Verdict.NO_DATA, reason
    if talks.pacing_p99_ms is None and not bases.isdisjoint(TIMING_METRICS):
        reason = f"nobody knows how late the audio of the {what} was sent: its times may be ours"
        yield f"{what}_no_pacing", Verdict.NO_DATA, reason


def _against(
    policy: GatePolicy, evidence: Evidence, compared: Compared | None, what: str, now: str
) -> Iterator[_Problem]:
    if compared is None:
        return
    report, candidate = compared.report, evidence.candidate
    yield from _age(report, what, now, policy.baseline_max_age_s if what == "baseline" else None)
    yield from _smoke(report, what)
    yield from _conversations(policy, report, what)
    if report.run == candidate.run:
        yield "same_run", Verdict.ERROR, f"candidate and {what} are the same run"
    coverage = report.coverage
    if coverage is None or coverage < policy.coverage:
        shown = "none" if coverage is None else number(coverage, "fraction")
        least = limit(policy.coverage, "fraction")
        reason = f"the {what} scored {shown} of its items, {least} are needed"
        yield f"{what}_coverage", Verdict.NO_DATA, reason
    for name in set(other_measures(candidate, report)) - {"limit"}:  # which is a smoke run's
        reason = f"candidate and {what} were measured with another {name}"
        yield f"other_{name}", Verdict.ERROR, reason
    yield from _unpaired(policy, compared, what)


def _smoke(report: EvalReport, what: str) -> Iterator[_Problem]:
    if report.limit is not None:
        taken = counted(report.limit, "utterance")
        reason = f"the {what} is a smoke run of {taken} (--limit): run the whole suite"
        yield f"{what}_smoke_run", Verdict.NO_DATA, reason


def _unpaired(policy: GatePolicy, compared: Compared, what: str) -> Iterator[_Problem]:
    pairing = compared.pairing
    if pairing is None or not policy.paired:
        return
    if pairing.duplicates:
        reason = f"{pairing.duplicates} results of candidate or {what} stand more than once"
        yield "duplicate_results", Verdict.ERROR, reason
    alone = pairing.only_candidate + pairing.only_baseline
    if alone or pairing.moved:
        apart = f"{alone} results have no partner, {pairing.moved} another speaker or slice"
        reason = f"the {what} did not answer the same utterances: {apart}"
        yield "unpaired", Verdict.ERROR, reason
    elif not pairing.compared:
        yield "nothing_paired", Verdict.NO_DATA, f"no utterance is scored in the {what}"


def _missing(policy: GatePolicy, evidence: Evidence) -> Iterator[_Problem]:
    rules = [rule.id for rule in comparing_rules(policy) if rule.mode == "required"]
    if rules and evidence.baseline is None:
        names = f"{', '.join(rules[:3])}{' …' if len(rules) > 3 else ''}"  # noqa: PLR2004
        reason = f"{names} compare with a baseline, and none was given"
        yield "no_baseline", Verdict.NO_DATA, reason
    anchored = policy.anchor is not None or any(r.anchor_margin is not None for r in policy.rules)
    if anchored and evidence.anchor is None:
        reason = "the policy holds against an anchor, and none was given"
        yield "no_anchor", Verdict.NO_DATA, reason


def _age(report: EvalReport, what: str, now: str, most_s: float | None) -> Iterator[_Problem]:
    age = seconds_between(report.created, now)
    if age is None:
        yield "no_time", Verdict.ERROR, f"the {what} does not say when it was measured"
    elif age < 0:
        reason = f"the {what} was measured {duration(-age)} after now: a clock is wrong"
        yield "from_the_future", Verdict.ERROR, reason
    elif most_s is not None and age > most_s:
        reason = f"the {what} is {duration(age)} old, {duration(most_s)} are allowed"
        yield "stale", Verdict.NO_DATA, reason


_LOAD_METRICS = (*TIMING_METRICS, "rtf", "rtfx")


def worst_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the most blocking verdict; ``error`` where there is none at all."""
    present = set(verdicts)
    return next((verdict for verdict in ORDER if verdict in present), Verdict.ERROR)


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
        return (new_result(rule, rule.slice, Verdict.ERROR, "no_slice", reason),)
    judged = [*_judged(rule, slices.found, evidence), *gone]
    return (
        *judged,
        *(
            replace(result, reason=f"{NEW_SLICE}, so advisory: {result.reason}")
            for result in _judged(for_new_slices(rule), slices.new, evidence)
        ),
    )


def for_new_slices(rule: Rule) -> Rule:
    """Return the rule as it judges slices that came after the dataset was locked: none blocks."""
    return replace(rule, mode="advisory") if rule.mode == "required" else rule


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
        reason = f'there is no metric "{rule.metric}"'
        return new_result(rule, rule.slice, Verdict.ERROR, "unknown_metric", reason)
    if (spec := spec_of(rule.slice).name) not in evidence.specs:
        reason = f"the candidate's results are not cut by {spec}"
        return new_result(rule, rule.slice, Verdict.ERROR, "not_cut", reason)
    if split_metric(rule.metric)[0] in _LOAD_METRICS:
        comparing = rule.test in COMPARING
        sides = (evidence.baseline, evidence.anchor) if comparing else ()
        loads = {evidence.candidate.load, *(s.report.load for s in sides if s is not None)}
        if (len(loads) > 1 or MIXED_LOAD in loads) and (comparing or not evidence.any_load):
            reason = "times were measured under different loads (hardware, processes, threads)"
            if comparing:
                return no_data(rule, rule.slice, "other_load", reason)
            reason += ": they say little about this bound, unless the policy has any_load: true"
            return new_result(rule, rule.slice, Verdict.INCONCLUSIVE, "other_load", reason)
    return None


def _slices(rule: Rule, evidence: Evidence) -> RuleSlices:
    before: tuple[str, ...] = ()
    if (baseline := evidence.baseline) is not None:
        if baseline.pairs is not None:
            before = baseline.pairs.baseline.slices
        elif baseline.unpaired is not None:
            before = baseline.unpaired[1].slices
        else:
            before = tuple(item.slice for item in baseline.report.slices)
    return rule_slices(rule.slice, evidence.utterances, evidence.candidate.registered, before)


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
        results = (run_finding("nothing_required", Verdict.ERROR, reason), *results)
        required.append(results[0])
    return GateDecision(
        policy=DecidingPolicy(
            name=policy.name, digest=policy.digest, enforcement=policy.enforcement
        ),
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


REQUIREMENT = "requirement"
"""The test under which required checks and approvals are listed."""


def judge_requirements(
    policy: GatePolicy,
    records: Mapping[str, CheckRecord | str],
    *,
    candidates: Mapping[str, Collection[str]],
    now: str,
) -> tuple[RuleResult, ...]:
    """Return a result for each requirement, in order.

    ``records`` maps a name to its record, or to why it cannot be used. ``candidates`` has by part
    the digests (artifact and candidate) that a record may be about; ``now`` is UTC.
    """
    results = []
    everything = {digest for digests in candidates.values() for digest in digests}
    for need in policy.requires:
        anything = need.about in {None, CANDIDATE}
        about = everything if anything else candidates.get(need.about or "", ())
        verdict, code, reason = next(_outcomes(need, records.get(need.name), about, now))
        reason = f"{need.name}: {reason}"
        results.append(_result(need.name, REQUIREMENT, verdict, code, reason))
    return tuple(results)


def _outcomes(
    requirement: Requirement,
    record: CheckRecord | str | None,
    candidates: Collection[str],
    now: str,
) -> Iterator[tuple[Verdict, str, str]]:
    """Yield what is wrong with a check, and what it says itself: the first counts."""
    if record is None:
        yield Verdict.NO_DATA, "check_missing", "was not given"
        return
    if isinstance(record, str):
        yield Verdict.ERROR, "check_refused", record
        return
    yield from _times(requirement, record, now)
    if requirement.signed and record.key is None:
        yield Verdict.ERROR, "check_unsigned", "has no trusted signature"
    if requirement.about is not None and record.candidate is None:
        yield Verdict.ERROR, "check_of_nothing", "does not name the candidate that it is about"
    if record.candidate is not None and record.candidate not in candidates:
        yield Verdict.ERROR, "check_of_another", "is about another candidate"
    code = "check_passed" if record.verdict is Verdict.PASS else "check_not_passed"
    yield record.verdict, code, f"{record.verdict.value} by {record.by}: {record.reason}"


def _times(
    requirement: Requirement, record: CheckRecord, now: str
) -> Iterator[tuple[Verdict, str, str]]:
    """Yield what is wrong with the time of a record."""
    age = seconds_between(record.created, now)
    if age is None or age < 0:
        yield Verdict.ERROR, "check_from_the_future", "its time is later than now, or none"
    elif requirement.max_age_s is not None and age > requirement.max_age_s:
        most = duration(requirement.max_age_s)
        yield Verdict.NO_DATA, "check_stale", f"{duration(age)} old, {most} are allowed"
    if record.expires is not None:
        remaining_s = seconds_between(now, record.expires)
        if remaining_s is None:
            yield Verdict.ERROR, "check_without_time", "its expiry is no UTC time"
        elif remaining_s <= 0:
            yield Verdict.NO_DATA, "check_expired", "has expired"
