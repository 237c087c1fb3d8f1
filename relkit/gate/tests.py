"""The tests a rule can ask for, on numbers alone: interval and bound to verdict.

Boundaries are inclusive and compared in decimal, to 12 places: 0.3 - 0.1 is 0.2 here.

How the results of rules are made: nothing passes on too little evidence.
"""

import math
from dataclasses import dataclass, replace
from decimal import Decimal

from relkit.core.metrics import METRICS
from relkit.core.values import WITHIN
from relkit.gate.types import Rule, RuleResult, Verdict

PLACES = 12


FAMILY_ALPHA = 0.05
"""The chance that ``no_regression`` blocks equal systems, over all families of a policy."""


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


def at_most(value: float, bound: float) -> bool:
    """Return whether value <= bound in decimal."""
    return decimal(value) <= decimal(bound)


def defect(*values: float | None) -> bool:
    """Return whether some value is NaN or infinite: such a number says nothing."""
    return any(value is not None and not math.isfinite(value) for value in values)


def within_bounds(interval: Interval, *, maximum: float | None, minimum: float | None) -> Outcome:
    """``bound``: pass if the whole interval is inside, fail if it is wholly outside.

    An end that is None is open. Without any interval the verdict is inconclusive.
    """
    low, high = interval
    if low is None and high is None:
        return Outcome(verdict=Verdict.INCONCLUSIVE, code="no_interval")
    above = maximum is not None and low is not None and not at_most(low, maximum)
    below = minimum is not None and high is not None and not at_most(minimum, high)
    if above or below:
        return Outcome(verdict=Verdict.FAIL, code="above_maximum" if above else "below_minimum")
    inside_top = maximum is None or (high is not None and at_most(high, maximum))
    inside_bottom = minimum is None or (low is not None and at_most(minimum, low))
    if inside_top and inside_bottom:
        return Outcome(verdict=Verdict.PASS, code="within_bounds")
    return Outcome(verdict=Verdict.INCONCLUSIVE, code="bound_inside_interval")


def not_worse(worsening: Interval, margin: float) -> Outcome:
    """``non_inferiority``: pass if the upper end <= margin, fail if the lower end > margin."""
    low, high = worsening
    if low is None and high is None:
        return Outcome(verdict=Verdict.INCONCLUSIVE, code="no_interval")
    if high is not None and at_most(high, margin):
        return Outcome(verdict=Verdict.PASS, code="within_margin")
    if low is not None and not at_most(low, margin):
        return Outcome(verdict=Verdict.FAIL, code="worse_than_margin")
    return Outcome(verdict=Verdict.INCONCLUSIVE, code="margin_inside_interval")


def better_by(improvement: Interval, required: float) -> Outcome:
    """``min_change``: pass if the lower end >= wanted, fail if the upper end is below it."""
    low, high = improvement
    if low is None and high is None:
        return Outcome(verdict=Verdict.INCONCLUSIVE, code="no_interval")
    if low is not None and at_most(required, low):
        return Outcome(verdict=Verdict.PASS, code="better_enough")
    if high is not None and not at_most(required, high):
        return Outcome(verdict=Verdict.FAIL, code="not_better_enough")
    return Outcome(verdict=Verdict.INCONCLUSIVE, code="change_inside_interval")


def wanted_change(
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
    if worsening > 0 and at_most(p_adjusted, FAMILY_ALPHA):
        return Outcome(verdict=Verdict.FAIL, code="regressed")
    if detects is None or not at_most(detects, detectable):
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
