"""One rule in one slice, or in a family of slices: numbers to a result."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from relkit.core.values import Estimate
from relkit.gate import tests
from relkit.gate.evidence import Compared, Evidence, correction_of
from relkit.gate.reasons import reason_of
from relkit.gate.tests import (
    Outcome,
    if_enough,
    judged,
    new_result,
    no_data,
    no_number,
    with_missing,
)
from relkit.gate.types import Rule, RuleResult, Verdict
from relkit.statistics.differences import clusters_needed
from relkit.statistics.families import FAMILY_METRICS, test_regressions
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.sums import PairedSums
from relkit.statistics.types import Difference, Regression


def judge_bound(rule: Rule, key: str, evidence: Evidence) -> RuleResult:
    """Judge the candidate's own value against a limit."""
    estimate = evidence.estimates.get(key, {}).get(rule.metric)
    if estimate is None:
        return no_data(rule, key, "metric_missing", f"{rule.metric} was not measured")
    utterances = evidence.utterances.get(key, 0)
    bound = rule.min if rule.max is None else rule.max
    shown = new_result(rule, key, Outcome(verdict=Verdict.ERROR, code=""), "")
    shown = replace(
        shown,
        unit=estimate.unit,
        observed=estimate.value,
        low=estimate.low,
        high=estimate.high,
        candidate=estimate.value,
        bound=bound,
        n=estimate.n,
        clusters=estimate.clusters,
        utterances=utterances,
    )
    if tests.defect(estimate.value, estimate.low, estimate.high) or _negative(estimate):
        return no_number(shown)
    if estimate.value is None or estimate.n <= 0:
        reason = estimate.note or "nothing was measured"
        return judged(shown, "nothing_measured", Verdict.NO_DATA, f"no {rule.metric}: {reason}")
    outcome = tests.within_bounds((estimate.low, estimate.high), maximum=rule.max, minimum=rule.min)
    result = if_enough(rule, shown, outcome, estimate.method)
    return _worded(rule, result, evidence, estimate.note)


def _worded(rule: Rule, result: RuleResult, evidence: Evidence, note: str | None) -> RuleResult:
    words = reason_of(rule, result, column=evidence.candidate.cluster, note=note)
    return replace(result, reason=words)


def judge_differences(
    rule: Rule, keys: Sequence[str], compared: Compared, evidence: Evidence
) -> list[RuleResult]:
    """Judge how much worse (or better) the candidate is than another run, slice by slice."""
    differences = compared.differences(rule.metric)
    return [_judge_difference(rule, key, differences.get(key), compared, evidence) for key in keys]


def _judge_difference(
    rule: Rule, key: str, difference: Difference | None, compared: Compared, evidence: Evidence
) -> RuleResult:
    if difference is None:
        reason = (
            f"{rule.metric} cannot be compared: the results of both runs are needed"
            if compared.pairs is None and compared.unpaired is None
            else f"{rule.metric} was not measured by both"
        )
        return no_data(rule, key, "not_comparable", reason)
    shown = _difference_result(rule, key, difference)
    numbers = (difference.worsening, difference.low, difference.high)
    if tests.defect(*numbers, difference.candidate, difference.baseline):
        return no_number(shown)
    if difference.worsening is None or difference.n <= 0 or difference.baseline is None:
        reason = difference.note or "nothing was measured"
        return judged(shown, "nothing_measured", Verdict.NO_DATA, f"no {rule.metric}: {reason}")
    if rule.test == "min_change":
        return _changed(rule, shown, difference, evidence)
    margin = rule.margin if rule.margin is not None else 0.0
    outcome = tests.not_worse((difference.low, difference.high), margin)
    result = if_enough(rule, replace(shown, bound=margin), outcome, difference.method)
    if result.verdict is Verdict.INCONCLUSIVE:
        # As many as would decide if things are as they look; a candidate that looks better may
        # still be only as good.
        effect = max(0.0, difference.worsening)
        result = with_missing(result, clusters_needed(difference, margin, effect=effect))
    return _worded(rule, result, evidence, difference.note)


def _changed(
    rule: Rule, shown: RuleResult, difference: Difference, evidence: Evidence
) -> RuleResult:
    """Judge ``min_change``: the candidate has to be better by so much."""
    required_change = tests.wanted_change(
        difference.baseline or 0.0, absolute=rule.min_change, relative=rule.min_relative_change
    )
    if required_change is None or difference.worsening is None:
        return judged(shown, "no_bound", Verdict.ERROR, "the rule says not by how much")
    low = None if difference.high is None else -difference.high
    high = None if difference.low is None else -difference.low
    outcome = tests.better_by((low, high), required_change)
    better = -difference.worsening
    shown = replace(
        shown, quantity="improvement", observed=better, low=low, high=high, bound=required_change
    )
    result = if_enough(rule, shown, outcome, difference.method)
    if result.verdict is Verdict.INCONCLUSIVE:
        needed = clusters_needed(difference, -required_change, effect=difference.worsening)
        result = with_missing(result, needed)
    return _worded(rule, result, evidence, difference.note)


def _difference_result(rule: Rule, key: str, difference: Difference) -> RuleResult:
    return replace(
        new_result(rule, key, Outcome(verdict=Verdict.ERROR, code=""), ""),
        quantity="worsening",
        unit=difference.unit,
        observed=difference.worsening,
        low=difference.low,
        high=difference.high,
        candidate=difference.candidate,
        baseline=difference.baseline,
        n=difference.n,
        clusters=difference.clusters,
        utterances=difference.utterances,
        against="baseline",
        harm=_harm(rule, difference),
    )


def _harm(rule: Rule, difference: Difference) -> float | None:
    """Return extra wrong words per thousand turns, for rates per word."""
    per_word = RATE_METRICS.get(rule.metric)
    if per_word is None or per_word.n != "words" or difference.worsening is None:
        return None
    if difference.utterances <= 0:
        return None
    return 1000.0 * difference.worsening * difference.n / difference.utterances


def _negative(estimate: Estimate) -> bool:
    """Return whether some number of an estimate lies below what its unit can be."""
    return any(value is not None and value < 0 for value in (estimate.value, estimate.low))


def vanished(rule: Rule, key: str) -> RuleResult:
    """Return the result of a slice that has to be there and is not."""
    return no_data(rule, key, "slice_missing", f"{key} is not in the candidate's results")


def judge_family(
    rule: Rule, keys: Sequence[str], compared: Compared, evidence: Evidence
) -> list[RuleResult]:
    """Judge all slices of a rule together, and with those of rules about the same metric."""
    if rule.metric not in FAMILY_METRICS:
        reason = f"no_regression is about error rates, {rule.metric} is none"
        outcome = Outcome(verdict=Verdict.ERROR, code="no_error_rate")
        return [new_result(rule, key, outcome, reason) for key in keys]
    if compared.pairs is None:
        reason = "the slices of two runs are compared utterance by utterance"
        return [no_data(rule, key, "not_comparable", reason) for key in keys]
    joint = evidence.together.get(rule.metric, ()) if rule.mode == "required" else ()
    regressions = evidence.tested.get((rule.metric, rule.detectable)) if joint else None
    if regressions is None:
        regressions = run_family(rule, dict.fromkeys((*keys, *joint)), compared.pairs, evidence)
    return [_slice_of_family(rule, key, regressions.get(key), evidence) for key in keys]


def run_family(
    rule: Rule, keys: Iterable[str], pairs: PairedSums, evidence: Evidence
) -> dict[str, Regression]:
    """Return what the joint test of slices says, p-values over all families of the policy.

    Slices that are not in the sums are left out. A rule's test is that of its metric and ratio.
    """
    measured = frozenset(pairs.candidate.slices)
    correction = correction_of(rule, evidence.families)
    tested = test_regressions(
        RATE_METRICS[rule.metric],
        pairs,
        [key for key in keys if key in measured],
        seed=f"{evidence.seed}\n{rule.metric}",
        detectable=rule.detectable,
        correction=correction,
    )
    families = 1 if correction.discoveries else evidence.families
    return {regression.slice: _of_families(regression, families) for regression in tested}


def _of_families(regression: Regression, families: int) -> Regression:
    """Return the regression with its p-value over all families of the policy (Bonferroni)."""
    if regression.p_adjusted is None:
        return regression
    return replace(regression, p_adjusted=min(1.0, regression.p_adjusted * families))


def _slice_of_family(
    rule: Rule, key: str, regression: Regression | None, evidence: Evidence
) -> RuleResult:
    if regression is None:
        return vanished(rule, key)
    difference = regression.difference
    shown = replace(
        _difference_result(rule, key, difference),
        low=regression.low,
        high=None,
        p_adjusted=regression.p_adjusted,
        detects=regression.detects,
        bound=None if regression.reference is None else 0.0,
    )
    numbers = (difference.worsening, regression.low, regression.p_adjusted)
    if tests.defect(*numbers, difference.candidate, difference.baseline):
        return no_number(shown)
    if difference.worsening is None or difference.n <= 0:
        reason = difference.note or regression.note or "nothing was measured"
        return judged(shown, "nothing_measured", Verdict.NO_DATA, f"no {rule.metric}: {reason}")
    if regression.p_adjusted is None:
        result = with_missing(
            judged(shown, "no_test", Verdict.INCONCLUSIVE), regression.needed_clusters
        )
        return _worded(rule, result, evidence, regression.note)
    outcome = tests.no_regression(
        regression.p_adjusted,
        difference.worsening,
        detects=regression.detects,
        detectable=rule.detectable,
    )
    result = if_enough(rule, shown, outcome, difference.method)
    if result.code == "too_weak_to_see":
        result = with_missing(result, regression.needed_clusters)
    return _worded(rule, result, evidence, difference.note)
