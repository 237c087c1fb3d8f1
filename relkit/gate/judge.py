"""One rule in one slice, or in a family of slices: numbers to a result.

Boundaries are inclusive and compared in decimal, to 12 places: 0.3 - 0.1 is 0.2 here. Nothing
passes on too little evidence.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from relkit.core.metrics import METRICS
from relkit.core.values import WITHIN, Estimate
from relkit.gate.evidence import FAMILY_ALPHA, Compared, Evidence, correction_of
from relkit.gate.reasons import reason_of
from relkit.gate.types import Rule, RuleResult, Verdict
from relkit.statistics.differences import clusters_needed
from relkit.statistics.families import FAMILY_METRICS, test_regressions
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.sums import PairedSums
from relkit.statistics.types import Difference, Regression

PLACES = 12

_STRICTLY = 1e-10
"""What a relative change of a baseline of 0 has to reach: better by something."""

Interval = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A verdict with its reason as one of a fixed set of words."""

    verdict: Verdict
    code: str


def decimal(value: float) -> Decimal:
    """Return a number as people wrote it, rounded to 12 places."""
    return round(Decimal(repr(value)), PLACES)


def decimal_at_most(value: float, bound: float) -> bool:
    """Return whether value <= bound in decimal."""
    return decimal(value) <= decimal(bound)


def not_finite(*values: float | None) -> bool:
    """Return whether some value is NaN or infinite: such a number says nothing."""
    return any(value is not None and not math.isfinite(value) for value in values)


def within_bounds(interval: Interval, *, maximum: float | None, minimum: float | None) -> Outcome:
    """``bound``: pass if the whole interval is inside, fail if it is wholly outside.

    An end that is None is open. Without any interval the verdict is inconclusive.
    """
    low, high = interval
    if low is None and high is None:
        return Outcome(verdict=Verdict.INCONCLUSIVE, code="no_interval")
    above = maximum is not None and low is not None and not decimal_at_most(low, maximum)
    below = minimum is not None and high is not None and not decimal_at_most(minimum, high)
    if above or below:
        return Outcome(verdict=Verdict.FAIL, code="above_maximum" if above else "below_minimum")
    inside_top = maximum is None or (high is not None and decimal_at_most(high, maximum))
    inside_bottom = minimum is None or (low is not None and decimal_at_most(minimum, low))
    if inside_top and inside_bottom:
        return Outcome(verdict=Verdict.PASS, code="within_bounds")
    return Outcome(verdict=Verdict.INCONCLUSIVE, code="bound_inside_interval")


def not_worse(worsening: Interval, margin: float) -> Outcome:
    """``non_inferiority``: pass if the upper end <= margin, fail if the lower end > margin."""
    low, high = worsening
    if low is None and high is None:
        return Outcome(verdict=Verdict.INCONCLUSIVE, code="no_interval")
    if high is not None and decimal_at_most(high, margin):
        return Outcome(verdict=Verdict.PASS, code="within_margin")
    if low is not None and not decimal_at_most(low, margin):
        return Outcome(verdict=Verdict.FAIL, code="worse_than_margin")
    return Outcome(verdict=Verdict.INCONCLUSIVE, code="margin_inside_interval")


def better_by(improvement: Interval, required: float) -> Outcome:
    """``min_change``: pass if the lower end >= wanted, fail if the upper end is below it."""
    low, high = improvement
    if low is None and high is None:
        return Outcome(verdict=Verdict.INCONCLUSIVE, code="no_interval")
    if low is not None and decimal_at_most(required, low):
        return Outcome(verdict=Verdict.PASS, code="better_enough")
    if high is not None and not decimal_at_most(required, high):
        return Outcome(verdict=Verdict.FAIL, code="not_better_enough")
    return Outcome(verdict=Verdict.INCONCLUSIVE, code="change_inside_interval")


def required_change(
    baseline: float, *, absolute: float | None, relative: float | None
) -> float | None:
    """Return how much better a candidate has to be, the larger where both are asked for.

    A relative change is of |baseline|; of a baseline of 0 the absolute one counts, and without one
    the candidate has to be better by something. None where nothing is asked for.
    """
    changes = [] if absolute is None else [absolute]
    if relative is not None and baseline != 0:
        changes.append(float(decimal(relative) * abs(decimal(baseline))))
    elif relative is not None and absolute is None:
        changes.append(_STRICTLY)
    return max(changes, default=None)


def no_regression(
    p_adjusted: float, worsening: float, *, detects: float | None, detectable: float
) -> Outcome:
    """``no_regression``: fail where the family's test finds it, pass where it would have.

    ``p_adjusted`` is one-sided over the family at 5 %; ``detects`` is the smallest ratio of rates
    that this data finds with 80 % power. Data too weak for ``detectable`` never pass.
    """
    if worsening > 0 and decimal_at_most(p_adjusted, FAMILY_ALPHA):
        return Outcome(verdict=Verdict.FAIL, code="regressed")
    if detects is None or not decimal_at_most(detects, detectable):
        return Outcome(verdict=Verdict.INCONCLUSIVE, code="too_weak_to_see")
    return Outcome(verdict=Verdict.PASS, code="no_regression_seen")


def if_enough(rule: Rule, shown: RuleResult, outcome: Outcome, method: str) -> RuleResult:
    """Return the result; one on too little evidence is undecided, whatever its numbers say.

    ``method`` is how the interval was made.
    """
    if shown.clusters == 1 and rule.mode == "required":
        return judged(shown, "one_cluster", Verdict.ERROR)
    if shown.clusters < rule.min_clusters:
        result = judged(shown, "few_clusters", Verdict.INCONCLUSIVE)
        return replace(result, needed_clusters=rule.min_clusters)
    if shown.utterances < rule.min_utterances:
        return judged(shown, "few_utterances", Verdict.INCONCLUSIVE)
    if method == WITHIN:
        return judged(shown, "one_cluster", Verdict.INCONCLUSIVE)
    return judged(shown, outcome.code, outcome.verdict)


def with_missing(result: RuleResult, needed: int | None) -> RuleResult:
    """Return a result with how many clusters would decide it, where they are more than it has."""
    needed = max(needed or 0, result.needed_clusters or 0)
    return replace(result, needed_clusters=needed) if needed > result.clusters else result


def no_number(shown: RuleResult) -> RuleResult:
    """Return the result of a number that is NaN, infinite or impossible: it is shown as none."""
    bare = replace(shown, observed=None, low=None, high=None, candidate=None, baseline=None)
    return judged(bare, "not_finite", Verdict.ERROR, f"{shown.metric} is no number")


def judged(shown: RuleResult, code: str, verdict: Verdict, reason: str = "") -> RuleResult:
    """Return the result with its verdict and the code of its reason.

    The reason is for :mod:`relkit.gate.reasons` to put into words where there are numbers.
    """
    return replace(shown, verdict=verdict, code=code, reason=reason)


def new_result(rule: Rule, key: str, outcome: Outcome, reason: str) -> RuleResult:
    """Return a result of a rule in one slice, without numbers yet."""
    unit = METRICS[base].unit if (base := rule.metric.partition(".")[0]) in METRICS else "fraction"
    return RuleResult(
        rule=rule.id,
        slice=key,
        metric=rule.metric,
        test=rule.test,
        mode=rule.mode,
        verdict=outcome.verdict,
        code=outcome.code,
        reason=reason,
        unit=unit,
    )


def no_data(rule: Rule, key: str, code: str, reason: str) -> RuleResult:
    """Return the result of a rule whose number is missing."""
    return new_result(rule, key, Outcome(verdict=Verdict.NO_DATA, code=code), reason)


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
    if not_finite(estimate.value, estimate.low, estimate.high) or _negative(estimate):
        return no_number(shown)
    if estimate.value is None or estimate.n <= 0:
        reason = estimate.note or "nothing was measured"
        return judged(shown, "nothing_measured", Verdict.NO_DATA, f"no {rule.metric}: {reason}")
    outcome = within_bounds((estimate.low, estimate.high), maximum=rule.max, minimum=rule.min)
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
    if not_finite(*numbers, difference.candidate, difference.baseline):
        return no_number(shown)
    if difference.worsening is None or difference.n <= 0 or difference.baseline is None:
        reason = difference.note or "nothing was measured"
        return judged(shown, "nothing_measured", Verdict.NO_DATA, f"no {rule.metric}: {reason}")
    if rule.test == "min_change":
        return _changed(rule, shown, difference, evidence)
    margin = rule.margin if rule.margin is not None else 0.0
    outcome = not_worse((difference.low, difference.high), margin)
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
    at_least = required_change(
        difference.baseline or 0.0, absolute=rule.min_change, relative=rule.min_relative_change
    )
    if at_least is None or difference.worsening is None:
        return judged(shown, "no_bound", Verdict.ERROR, "the rule says not by how much")
    low = None if difference.high is None else -difference.high
    high = None if difference.low is None else -difference.low
    outcome = better_by((low, high), at_least)
    better = -difference.worsening
    shown = replace(
        shown, quantity="improvement", observed=better, low=low, high=high, bound=at_least
    )
    result = if_enough(rule, shown, outcome, difference.method)
    if result.verdict is Verdict.INCONCLUSIVE:
        needed = clusters_needed(difference, -at_least, effect=difference.worsening)
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
    if not_finite(*numbers, difference.candidate, difference.baseline):
        return no_number(shown)
    if difference.worsening is None or difference.n <= 0:
        reason = difference.note or regression.note or "nothing was measured"
        return judged(shown, "nothing_measured", Verdict.NO_DATA, f"no {rule.metric}: {reason}")
    if regression.p_adjusted is None:
        result = with_missing(
            judged(shown, "no_test", Verdict.INCONCLUSIVE), regression.needed_clusters
        )
        return _worded(rule, result, evidence, regression.note)
    outcome = no_regression(
        regression.p_adjusted,
        difference.worsening,
        detects=regression.detects,
        detectable=rule.detectable,
    )
    result = if_enough(rule, shown, outcome, difference.method)
    if result.code == "too_weak_to_see":
        result = with_missing(result, regression.needed_clusters)
    return _worded(rule, result, evidence, difference.note)
