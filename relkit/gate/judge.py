"""One rule in one slice, or in a family of slices: numbers to a result.

Boundaries are inclusive and compared in decimal, to 12 places: 0.3 - 0.1 is 0.2 here. Nothing
passes on too little evidence.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from relkit.core.metrics import METRICS, split_metric
from relkit.core.values import WITHIN, Estimate
from relkit.gate.evidence import FAMILY_ALPHA, Compared, Evidence, correction_of
from relkit.gate.reasons import reason_of
from relkit.gate.types import STRICTLY, Rule, RuleResult, Verdict
from relkit.statistics.ceilings import SCORE, is_tested, limits_excluded, scores_of
from relkit.statistics.differences import clusters_needed
from relkit.statistics.families import FAMILY_METRICS, test_regressions
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import Difference, PairedSums, Regression

PLACES = 12

Interval = tuple[float | None, float | None]


class RuleOutcome(NamedTuple):
    """A verdict with its reason as one of a fixed set of words."""

    verdict: Verdict
    code: str


def judge_bound(rule: Rule, key: str, evidence: Evidence) -> RuleResult:
    """Judge the candidate's own value against a limit."""
    estimate = evidence.estimates.get(key, {}).get(rule.metric)
    if estimate is None:
        return no_data(rule, key, "metric_missing", f"{rule.metric} was not measured")
    tested = None if estimate.method == WITHIN else _limits_excluded(rule, key, evidence)
    low, high = (estimate.low, estimate.high) if tested is None else tested
    value, note = estimate.value, estimate.note if tested is None else None
    shown = replace(
        new_result(rule, key),
        unit=estimate.unit,
        observed=value,
        low=low,
        high=high,
        candidate=value,
        bound=rule.min if rule.max is None else rule.max,
        n=estimate.n,
        clusters=estimate.clusters,
        utterances=evidence.utterances.get(key, 0),
        method=_method(rule, estimate) if tested is None else SCORE,
    )
    ends = (value, low, estimate.low)
    negative = any(number is not None and number < 0 for number in ends)
    if negative or not_finite(*ends, high, estimate.high):
        return no_number(shown)
    if value is None or estimate.n <= 0:
        return nothing_measured(shown, estimate.note)
    outcome = within_bounds((low, high), maximum=rule.max, minimum=rule.min)
    result = if_enough(rule, shown, outcome, estimate.method)
    return _worded(rule, result, evidence, note)


def _limits_excluded(rule: Rule, key: str, evidence: Evidence) -> Interval | None:
    """Return the ends by a test of the limit; None for what is not tested so, or without sums."""
    metric = RATE_METRICS.get(rule.metric)
    if metric is None or evidence.rates is None or not is_tested(metric):
        return None
    scores = scores_of(metric, evidence.rates, key)
    return None if scores is None else limits_excluded(scores)


def _method(rule: Rule, estimate: Estimate) -> str | None:
    """Return how a rate's interval was made; what is no function of sums has one way only."""
    return estimate.method if rule.metric in RATE_METRICS else None


def judge_differences(
    rule: Rule, keys: Sequence[str], compared: Compared, evidence: Evidence
) -> list[RuleResult]:
    """Judge how much worse (or better) the candidate is than another run, slice by slice."""
    differences = compared.differences(rule.metric)
    missing = f"{rule.metric} was not measured by both"
    if compared.pairs is None and compared.unpaired is None:
        missing = f"{rule.metric} cannot be compared: the results of both runs are needed"
    return [
        _judge_difference(rule, key, differences[key], evidence)
        if key in differences
        else no_data(rule, key, "not_comparable", missing)
        for key in keys
    ]


def _judge_difference(
    rule: Rule, key: str, difference: Difference, evidence: Evidence
) -> RuleResult:
    shown = _difference_result(rule, key, difference)
    worsening, low, high = difference.worsening, difference.low, difference.high
    if not_finite(worsening, low, high, difference.candidate, difference.baseline):
        return no_number(shown)
    if worsening is None or difference.n <= 0 or difference.baseline is None:
        return nothing_measured(shown, difference.note)
    if rule.test == "min_change":
        least = required_change(
            difference.baseline, absolute=rule.min_change, relative=rule.min_relative_change
        )
        if least is None:
            return judged(shown, "no_bound", Verdict.ERROR, "the rule says not by how much")
        low, high = None if high is None else -high, None if low is None else -low
        shown = replace(
            shown, quantity="improvement", observed=-worsening, low=low, high=high, bound=least
        )
        outcome, margin, effect = better_by((low, high), least), -least, worsening
    else:
        margin = rule.margin or 0.0
        shown, outcome = replace(shown, bound=margin), not_worse((low, high), margin)
        # As many as would decide if things are as they look; a candidate that looks better may
        # still be only as good.
        effect = max(0.0, worsening)
    result = if_enough(rule, shown, outcome, difference.method)
    if result.verdict is Verdict.INCONCLUSIVE:
        result = with_missing(result, clusters_needed(difference, margin, effect=effect))
    return _worded(rule, result, evidence, difference.note)


def judge_family(
    rule: Rule, keys: Sequence[str], compared: Compared, evidence: Evidence
) -> list[RuleResult]:
    """Judge all slices of a rule together, and with those of rules about the same metric."""
    if rule.metric not in FAMILY_METRICS:
        reason = f"no_regression is about error rates, {rule.metric} is none"
        return [new_result(rule, key, Verdict.ERROR, "no_error_rate", reason) for key in keys]
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
    """Return the joint test of slices, p-values over all families of the policy.

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
    return {
        item.slice: item
        if item.p_adjusted is None
        else replace(item, p_adjusted=min(1.0, item.p_adjusted * families))
        for item in tested
    }


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
        excludes=regression.excludes,
        bound=None if regression.p_adjusted is None else 0.0,
    )
    numbers = (difference.worsening, regression.low, regression.p_adjusted)
    if not_finite(*numbers, difference.candidate, difference.baseline):
        return no_number(shown)
    if difference.worsening is None or difference.n <= 0:
        return nothing_measured(shown, difference.note or regression.note)
    if regression.p_adjusted is None:
        result = judged(shown, "no_test", Verdict.INCONCLUSIVE)
        result = with_missing(result, regression.needed_clusters)
        return _worded(rule, result, evidence, regression.note)
    outcome = no_regression(
        rule, regression.p_adjusted, difference.worsening, regression.low, regression.excludes
    )
    result = if_enough(rule, shown, outcome, difference.method)
    if result.code == "ratio_not_excluded":
        result = with_missing(result, regression.needed_clusters)
    return _worded(rule, result, evidence, difference.note)


def _difference_result(rule: Rule, key: str, difference: Difference) -> RuleResult:
    """Return the numbers of a difference; the harm is of rates per word only."""
    worsening, utterances, harm = difference.worsening, difference.utterances, None
    rate = RATE_METRICS.get(rule.metric)
    if rate is not None and rate.n == "words" and worsening is not None and utterances > 0:
        harm = 1000.0 * worsening * difference.n / utterances
    return replace(
        new_result(rule, key),
        quantity="worsening",
        unit=difference.unit,
        observed=worsening,
        low=difference.low,
        high=difference.high,
        candidate=difference.candidate,
        baseline=difference.baseline,
        n=difference.n,
        clusters=difference.clusters,
        utterances=utterances,
        against="baseline",
        harm=harm,
    )


def _worded(rule: Rule, result: RuleResult, evidence: Evidence, note: str | None) -> RuleResult:
    words = reason_of(rule, result, column=evidence.candidate.cluster, note=note)
    return replace(result, reason=words)


def vanished(rule: Rule, key: str) -> RuleResult:
    """Return the result of a slice that has to be there and is not."""
    return no_data(rule, key, "slice_missing", f"{key} is not in the candidate's results")


def no_data(rule: Rule, key: str, code: str, reason: str) -> RuleResult:
    """Return the result of a rule whose number is missing."""
    return new_result(rule, key, Verdict.NO_DATA, code, reason)


def new_result(
    rule: Rule, key: str, verdict: Verdict = Verdict.ERROR, code: str = "", reason: str = ""
) -> RuleResult:
    """Return a result of a rule in one slice, without numbers yet."""
    unit = METRICS[base].unit if (base := split_metric(rule.metric)[0]) in METRICS else "fraction"
    return RuleResult(
        rule=rule.id,
        slice=key,
        metric=rule.metric,
        test=rule.test,
        mode=rule.mode,
        verdict=verdict,
        code=code,
        reason=reason,
        unit=unit,
    )


def if_enough(rule: Rule, shown: RuleResult, outcome: RuleOutcome, method: str) -> RuleResult:
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


def nothing_measured(shown: RuleResult, note: str | None) -> RuleResult:
    """Return the result of a number that is not there; ``note`` says why."""
    reason = f"no {shown.metric}: {note or 'nothing was measured'}"
    return judged(shown, "nothing_measured", Verdict.NO_DATA, reason)


def judged(shown: RuleResult, code: str, verdict: Verdict, reason: str = "") -> RuleResult:
    """Return the result with its verdict and the code of its reason.

    The reason is for :mod:`relkit.gate.reasons` to put into words where there are numbers.
    """
    return replace(shown, verdict=verdict, code=code, reason=reason)


def decimal(value: float) -> Decimal:
    """Return a number as people wrote it, rounded to 12 places."""
    return round(Decimal(repr(value)), PLACES)


def decimal_at_most(value: float, bound: float) -> bool:
    """Return whether value <= bound in decimal."""
    return decimal(value) <= decimal(bound)


def not_finite(*values: float | None) -> bool:
    """Return whether some value is NaN or infinite: such a number says nothing."""
    return any(value is not None and not math.isfinite(value) for value in values)


def within_bounds(
    interval: Interval, *, maximum: float | None, minimum: float | None
) -> RuleOutcome:
    """``bound``: pass if the whole interval is inside, fail if it is wholly outside.

    An end that is None is open. Without any interval the verdict is inconclusive.
    """
    low, high = interval
    if low is None and high is None:
        return RuleOutcome(Verdict.INCONCLUSIVE, "no_interval")
    above = maximum is not None and low is not None and not decimal_at_most(low, maximum)
    below = minimum is not None and high is not None and not decimal_at_most(minimum, high)
    if above or below:
        return RuleOutcome(Verdict.FAIL, "above_maximum" if above else "below_minimum")
    inside_top = maximum is None or (high is not None and decimal_at_most(high, maximum))
    inside_bottom = minimum is None or (low is not None and decimal_at_most(minimum, low))
    if inside_top and inside_bottom:
        return RuleOutcome(Verdict.PASS, "within_bounds")
    return RuleOutcome(Verdict.INCONCLUSIVE, "bound_inside_interval")


def not_worse(worsening: Interval, margin: float) -> RuleOutcome:
    """``non_inferiority``: pass if the upper end <= margin, fail if the lower end > margin."""
    low, high = worsening
    if low is None and high is None:
        return RuleOutcome(Verdict.INCONCLUSIVE, "no_interval")
    if high is not None and decimal_at_most(high, margin):
        return RuleOutcome(Verdict.PASS, "within_margin")
    if low is not None and not decimal_at_most(low, margin):
        return RuleOutcome(Verdict.FAIL, "worse_than_margin")
    return RuleOutcome(Verdict.INCONCLUSIVE, "margin_inside_interval")


def better_by(improvement: Interval, required: float) -> RuleOutcome:
    """``min_change``: pass if the lower end >= required, fail if the upper end is below it."""
    low, high = improvement
    if low is None and high is None:
        return RuleOutcome(Verdict.INCONCLUSIVE, "no_interval")
    if low is not None and decimal_at_most(required, low):
        return RuleOutcome(Verdict.PASS, "better_enough")
    if high is not None and not decimal_at_most(required, high):
        return RuleOutcome(Verdict.FAIL, "not_better_enough")
    return RuleOutcome(Verdict.INCONCLUSIVE, "change_inside_interval")


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
        changes.append(STRICTLY)
    return max(changes, default=None)


def no_regression(
    rule: Rule, p_adjusted: float, worsening: float, low: float | None, excludes: float | None
) -> RuleOutcome:
    """``no_regression``: fail where the family's test finds it, pass where its size is excluded.

    ``p_adjusted`` is one-sided over the family at 5 %, ``low`` the simultaneous lower end of the
    worsening; ``excludes`` is the smallest ratio of rates that this data excludes. Data that do not
    exclude the rule's ratio never pass. A worsening that was found, of which not even the lower end
    is above what the rule tolerates, does not fail; it passes where all that was seen is tolerated.
    """
    if worsening > 0 and decimal_at_most(p_adjusted, FAMILY_ALPHA):
        tolerated = rule.tolerate or 0.0
        if low is None or not decimal_at_most(low, tolerated):
            return RuleOutcome(Verdict.FAIL, "regressed")
        if not decimal_at_most(worsening, tolerated):
            return RuleOutcome(Verdict.INCONCLUSIVE, "maybe_tolerated")
    if excludes is None or not decimal_at_most(excludes, rule.detectable):
        return RuleOutcome(Verdict.INCONCLUSIVE, "ratio_not_excluded")
    return RuleOutcome(Verdict.PASS, "ratio_excluded")
