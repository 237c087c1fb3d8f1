"""One rule in one slice, or in a family of slices: numbers to a result in words."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from relkit.core.values import Estimate
from relkit.core.wording import (
    allowed,
    amount,
    clusters_words,
    limit,
    metric_words,
    number,
    span,
    where_words,
    worse_or_better,
)
from relkit.gate import tests
from relkit.gate.evidence import Compared, Evidence
from relkit.gate.tests import Outcome, if_enough, new_result, no_data, no_number, said, with_missing
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
        return said(shown, "nothing_measured", Verdict.NO_DATA, f"no {rule.metric}: {reason}")
    outcome = tests.within_bounds((estimate.low, estimate.high), maximum=rule.max, minimum=rule.min)
    return if_enough(rule, shown, outcome, _bound_words(rule, key, estimate, evidence), estimate)


def _bound_words(rule: Rule, key: str, estimate: Estimate, evidence: Evidence) -> str:
    limits = []
    if rule.max is not None:
        limits.append(f"at most {limit(rule.max, estimate.unit)}")
    if rule.min is not None:
        limits.append(f"at least {limit(rule.min, estimate.unit)}")
    interval = span(estimate.low, estimate.high, estimate.unit)
    voices = clusters_words(estimate.clusters, evidence.candidate.cluster)
    value = number(estimate.value, estimate.unit)
    return (
        f"{metric_words(rule.metric)}{where_words(key)} is {value}{interval}; "
        f"allowed {' and '.join(limits)}; {voices}"
    )


def judge_differences(
    rule: Rule, keys: Sequence[str], other: Compared, evidence: Evidence
) -> list[RuleResult]:
    """Judge how much worse (or better) the candidate is than another run, slice by slice."""
    found = other.differences(rule.metric)
    return [_judge_difference(rule, key, found.get(key), other, evidence) for key in keys]


def _judge_difference(
    rule: Rule, key: str, difference: Difference | None, other: Compared, evidence: Evidence
) -> RuleResult:
    if difference is None:
        reason = (
            f"{rule.metric} cannot be compared: the results of both runs are needed"
            if other.pairs is None and other.unpaired is None
            else f"{rule.metric} was not measured by both"
        )
        return no_data(rule, key, "not_comparable", reason)
    shown = _difference_result(rule, key, difference)
    numbers = (difference.worsening, difference.low, difference.high)
    if tests.defect(*numbers, difference.candidate, difference.baseline):
        return no_number(shown)
    if difference.worsening is None or difference.n <= 0 or difference.baseline is None:
        reason = difference.note or "nothing was measured"
        return said(shown, "nothing_measured", Verdict.NO_DATA, f"no {rule.metric}: {reason}")
    if rule.test == "min_change":
        return _changed(rule, shown, difference, evidence)
    margin = rule.margin if rule.margin is not None else 0.0
    outcome = tests.not_worse((difference.low, difference.high), margin)
    words = _difference_words(rule, key, difference)
    words = f"{words}; allowed {allowed(margin, difference.unit)}"
    voices = clusters_words(difference.clusters, evidence.candidate.cluster)
    shown = replace(shown, bound=margin)
    result = if_enough(rule, shown, outcome, f"{words}; {voices}", difference)
    if result.verdict is Verdict.INCONCLUSIVE:
        # As many as would decide if things are as they look; a candidate that looks better may
        # still be only as good.
        effect = max(0.0, difference.worsening)
        needed = clusters_needed(difference, margin, effect=effect)
        return with_missing(result, needed, evidence.candidate.cluster)
    return result


def _changed(
    rule: Rule, shown: RuleResult, difference: Difference, evidence: Evidence
) -> RuleResult:
    """Judge ``min_change``: the candidate has to be better by so much."""
    wanted = tests.wanted_change(
        difference.baseline or 0.0, absolute=rule.min_change, relative=rule.min_relative_change
    )
    if wanted is None or difference.worsening is None:
        return said(shown, "no_bound", Verdict.ERROR, "the rule says not by how much")
    low = None if difference.high is None else -difference.high
    high = None if difference.low is None else -difference.low
    outcome = tests.better_by((low, high), wanted)
    better = -difference.worsening
    shown = replace(
        shown, quantity="improvement", observed=better, low=low, high=high, bound=wanted
    )
    direction = worse_or_better(difference.worsening)
    words = (
        f"{metric_words(rule.metric)}{where_words(shown.slice)} is {direction} by "
        f"{amount(better, difference.unit)}{span(low, high, difference.unit)}; "
        f"wanted better by {allowed(wanted, difference.unit)}; "
        f"{clusters_words(difference.clusters, evidence.candidate.cluster)}"
    )
    result = if_enough(rule, shown, outcome, words, difference)
    if result.verdict is Verdict.INCONCLUSIVE:
        needed = clusters_needed(difference, -wanted, effect=difference.worsening)
        return with_missing(result, needed, evidence.candidate.cluster)
    return result


def _difference_words(rule: Rule, key: str, difference: Difference) -> str:
    worsening = difference.worsening or 0.0
    interval = span(difference.low, difference.high, difference.unit)
    name = f"{metric_words(rule.metric)}{where_words(key)}"
    if tests.decimal(worsening) == 0:
        return f"{name} is the same{interval}"
    if worsening < 0 and difference.high is not None and difference.low is not None:
        interval = span(-difference.high, -difference.low, difference.unit)
    by = f"{amount(worsening, difference.unit)}{interval}"
    return f"{name} is {worse_or_better(worsening)} by {by}"


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
    rule: Rule, keys: Sequence[str], other: Compared, evidence: Evidence
) -> list[RuleResult]:
    """Judge all slices of a rule together, and with those of rules about the same metric."""
    if rule.metric not in FAMILY_METRICS:
        reason = f"no_regression is about error rates, {rule.metric} is none"
        outcome = Outcome(verdict=Verdict.ERROR, code="no_error_rate")
        return [new_result(rule, key, outcome, reason) for key in keys]
    if other.pairs is None:
        reason = "the slices of two runs are compared utterance by utterance"
        return [no_data(rule, key, "not_comparable", reason) for key in keys]
    joint = evidence.together.get(rule.metric, ()) if rule.mode == "required" else ()
    found = evidence.tested.get((rule.metric, rule.detectable)) if joint else None
    if found is None:
        found = run_family(rule, dict.fromkeys((*keys, *joint)), other.pairs, evidence)
    return [_slice_of_family(rule, key, found.get(key), evidence) for key in keys]


def run_family(
    rule: Rule, keys: Iterable[str], pairs: PairedSums, evidence: Evidence
) -> dict[str, Regression]:
    """Return what the joint test of slices says, p-values over all families of the policy.

    Slices that are not in the sums are left out. A rule's test is that of its metric and ratio.
    """
    known = frozenset(pairs.candidate.slices)
    tested = test_regressions(
        RATE_METRICS[rule.metric],
        pairs,
        [key for key in keys if key in known],
        seed=f"{evidence.seed}\n{rule.metric}",
        detectable=rule.detectable,
        alpha=tests.FAMILY_ALPHA / evidence.families,
    )
    return {one.slice: _of_families(one, evidence.families) for one in tested}


def _of_families(found: Regression, families: int) -> Regression:
    """Return the regression with its p-value over all families of the policy (Bonferroni)."""
    if found.p_adjusted is None:
        return found
    return replace(found, p_adjusted=min(1.0, found.p_adjusted * families))


def _slice_of_family(
    rule: Rule, key: str, found: Regression | None, evidence: Evidence
) -> RuleResult:
    if found is None:
        return vanished(rule, key)
    difference = found.difference
    shown = replace(
        _difference_result(rule, key, difference),
        low=found.low,
        high=None,
        p_adjusted=found.p_adjusted,
        detects=found.detects,
        bound=None if found.reference is None else 0.0,
    )
    numbers = (difference.worsening, found.low, found.p_adjusted)
    if tests.defect(*numbers, difference.candidate, difference.baseline):
        return no_number(shown)
    if difference.worsening is None or difference.n <= 0:
        reason = difference.note or found.note or "nothing was measured"
        return said(shown, "nothing_measured", Verdict.NO_DATA, f"no {rule.metric}: {reason}")
    words = _family_words(rule, key, found, evidence)
    if found.p_adjusted is None:
        reason = f"{words}; {found.note or 'no test is possible'}"
        result = said(shown, "no_test", Verdict.INCONCLUSIVE, reason)
        return with_missing(result, found.needed_clusters, evidence.candidate.cluster)
    outcome = tests.no_regression(
        found.p_adjusted,
        difference.worsening,
        detects=found.detects,
        detectable=rule.detectable,
    )
    result = if_enough(rule, shown, outcome, words, difference)
    if result.code == "too_weak_to_see":
        sees = "no ratio" if found.detects is None else f"{found.detects:.3g} times the rate"
        weak = f"this data would only see {sees}, {rule.detectable:g} times is asked for"
        result = replace(result, reason=f"{result.reason}; {weak}")
        return with_missing(result, found.needed_clusters, evidence.candidate.cluster)
    return result


def _family_words(rule: Rule, key: str, found: Regression, evidence: Evidence) -> str:
    difference = found.difference
    words = _difference_words(rule, key, replace(difference, low=None, high=None))
    if found.low is not None and (difference.worsening or 0.0) > 0:
        words += f" (at least {allowed(found.low, difference.unit)} with all slices counted)"
    if found.p_adjusted is not None:
        words += f"; p {found.p_adjusted:.2g} over the family"
    return f"{words}; {clusters_words(difference.clusters, evidence.candidate.cluster)}"
