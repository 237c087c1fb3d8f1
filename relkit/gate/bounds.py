"""What a limit on a value can decide: how far inside it a system has to be to pass."""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.core.metrics import metric_of, split_metric
from relkit.core.values import Estimate
from relkit.core.wording import chance, count, counted, interval, number
from relkit.gate.plan_types import Assumed, SlicePlan
from relkit.gate.types import Rule
from relkit.statistics import percentiles
from relkit.statistics.ceilings import (
    CLUMPED,
    LEVELS,
    SPREAD,
    WIDENED,
    Scores,
    Way,
    limits_excluded,
)
from relkit.statistics.distributions import (
    TWO_SIDED_95,
    UNSEEN,
    at_most,
    erf,
    t_quantile,
    unseen,
)
from relkit.statistics.estimates import PERCENTILES
from relkit.statistics.intervals import MIN_CLUSTERS
from relkit.statistics.power import POWER
from relkit.statistics.rates import RATE_METRICS, metric_range


def value_words(metric: str, value: float) -> str:
    """Return a value of a metric for people."""
    return number(value, metric_of(metric).unit)


def few_words(metric: str, events: int, units: int, unit: str, reach: float) -> str:
    """Return how many events still pass a limit; of ``reach`` 80 % of systems have no more."""
    manage = f"{chance(POWER)} of systems with {value_words(metric, reach)} manage"
    if not events:
        return f"passes only if none is seen, which {manage}"
    return f"passes with up to {counted(events, 'event')} among {count(units)} {unit}; {manage}"


SPEAKERS_VARY = 0.3
"""Standard deviation of a rate between clusters, as a share of it: assumed of the bundled kind."""

CLUMPING = 1.5
"""Variance of an utterance's errors over a binomial's, as for differences (statistics/power.py)."""

_POWER_Z = NormalDist().inv_cdf(POWER)
_STEPS = 1000
_BISECTIONS = 50
_MOST_FEW = MIN_CLUSTERS - 1


def plan_bound(rule: Rule, plan: SlicePlan, measured: Estimate | None) -> SlicePlan:
    """Return what ``bound`` can decide in a slice; ``measured`` is a finished run's value there."""
    if (short := _never(rule, plan)) is not None:
        return short
    if measured is not None and measured.value is not None:
        return _around_measured(rule, plan, measured)
    rate = RATE_METRICS.get(rule.metric)
    if rate is None or not rate.counted:
        says = f"how far {rule.metric} varies only a finished run can tell: name one"
        return replace(plan, outlook="unknown", says=says)
    return _around_limit(rule, plan)


def _never(rule: Rule, plan: SlicePlan) -> SlicePlan | None:
    """Return the plan of a slice in which the end that has to be inside can never be."""
    rate = RATE_METRICS.get(rule.metric)
    if rate is None:
        return _too_few_values(rule, plan)
    one_each = rate.counted and rate.n == rate.utterances
    if one_each and rule.max is not None and rule.max < unseen(plan.units):
        utterances = math.ceil(UNSEEN / rule.max) if rule.max > 0 else 0
        needed = f"; it takes {utterances}" if utterances else ""
        says = (
            f"without a single one in {plan.units} {plan.unit} the rate may still be "
            f"{value_words(rule.metric, unseen(plan.units))}{needed}"
        )
        return _grown(replace(plan, outlook="cannot", says=says), utterances)
    return None


def _too_few_values(rule: Rule, plan: SlicePlan) -> SlicePlan | None:
    share = PERCENTILES[split_metric(rule.metric)[1]]
    ends = [share] if rule.max is not None else []
    ends += [1.0 - share] if rule.min is not None else []
    needed = max(percentiles.values_needed(end) for end in ends)
    if plan.clusters < percentiles.MIN_PERCENTILE_CLUSTERS:
        least = percentiles.MIN_PERCENTILE_CLUSTERS
        return replace(
            plan,
            outlook="cannot",
            says=f"{plan.clusters} of {least} clusters that the interval of a percentile needs",
            needed_clusters=least,
            missing_clusters=least - plan.clusters,
        )
    if plan.units < needed:
        says = f"{plan.units} of {needed} values that the end of {rule.metric} needs"
        return _grown(replace(plan, outlook="cannot", says=says), needed)
    return None


def _grown(plan: SlicePlan, units: int) -> SlicePlan:
    """Return the plan with the clusters like these that hold so many units; 0: none would do."""
    if not units or not plan.units:
        return plan
    needed = math.ceil(units * plan.clusters / plan.units)
    return replace(plan, needed_clusters=needed, missing_clusters=max(0, needed - plan.clusters))


def _around_measured(rule: Rule, plan: SlicePlan, measured: Estimate) -> SlicePlan:
    """Return what the rule would say of the value that a run had, and how far it is from there."""
    value = measured.value or 0.0
    plan = replace(plan, assumed=Assumed(rate=value, rate_from="measured"))
    shown = value_words(rule.metric, value)
    end_max, end_min = measured.high, measured.low
    if end_max is None and end_min is None:
        note = measured.note or "no interval"
        says = f"a run like the one named ({shown}) would be inconclusive: {note}"
        return replace(plan, outlook="weak", says=says)
    fails = (rule.max is not None and end_min is not None and end_min > rule.max) or (
        rule.min is not None and end_max is not None and end_max < rule.min
    )
    holds = (rule.max is None or (end_max is not None and end_max <= rule.max)) and (
        rule.min is None or (end_min is not None and end_min >= rule.min)
    )
    would = "pass" if holds else "fail" if fails else "be inconclusive"
    ends = interval(end_min, end_max, measured.unit)
    return replace(
        plan,
        outlook="decides" if holds or fails else "weak",
        smallest=_reach(rule, measured),
        says=f"a run like the one named, {shown} ({ends}), would {would}",
    )


def _reach(rule: Rule, measured: Estimate) -> float | None:
    """Return the value whose interval, as wide as the measured one relative to it, still passes."""
    value = measured.value
    if value is None or value <= 0:
        return None
    if rule.max is not None and measured.high is not None:
        return rule.max * value / measured.high
    if rule.min is not None and measured.low is not None and measured.low > 0:
        return rule.min * value / measured.low
    return None


def _around_limit(rule: Rule, plan: SlicePlan) -> SlicePlan:
    """Return from which value on a rate would be shown to be inside its limits, with 80 %."""
    if rule.max is None:
        says = "a rate has to be above a lower limit: only a finished run can tell how far"
        return replace(plan, outlook="unknown", says=says)
    bounded = math.isfinite(metric_range(rule.metric).high)
    plan = replace(plan, assumed=Assumed(rate=None, rate_from="the limit itself"))
    reach = _passing_rate(rule.max, plan.units, plan.clusters, bounded=bounded)
    rate = RATE_METRICS[rule.metric]
    share = rate.bounded and rate.n == rate.utterances
    few = _few_events(rule.max, plan) if share else 0
    manage = _rate_with(few, plan.units)
    unlimited = few == _MOST_FEW or not share
    if reach is not None and unlimited and reach > manage:
        most = value_words(rule.metric, reach)
        says = f"passes in {chance(POWER)} if the true value is {most} or less"
        return replace(plan, outlook="decides", smallest=reach, says=says)
    says = few_words(rule.metric, few, plan.units, plan.unit, manage)
    return replace(plan, outlook="decides" if few else "weak", smallest=manage, says=says)


def _few_events(limit: float, plan: SlicePlan) -> int:
    """Return how many events of a share still pass, at most 4.

    Each is taken to be in a cluster of its own, and clusters to be alike.
    """
    ends = ((k, share_end(k, plan.units, plan.clusters)) for k in range(1, _MOST_FEW + 1))
    passing = (k for k, end in ends if end <= limit)
    return max(passing, default=0)


def share_end(events: int, units: int, clusters: int) -> float:
    """Return the upper end of a share with so many events, each in a cluster of its own."""
    each = units / clusters
    counts = np.floor((events + np.arange(clusters)) / clusters)  # of 7 in 5: 1, 1, 1, 2, 2
    scores = Scores(
        clusters=Way(errors=counts, units=np.full(clusters, each)),
        utterances=float(units),
        clumping=1.0,
        bounded=True,
    )
    high = limits_excluded(scores)[1]
    return math.inf if high is None else high


def _rate_with(events: int, units: int) -> float:
    """Return the rate of which at most so many events are seen with 80 % chance."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if at_most(events, units, middle) > POWER else (low, middle)
    return low


def _passing_rate(limit: float, units: int, clusters: int, *, bounded: bool) -> float | None:
    """Return the highest true rate that a test of the limit shows to be inside it with 80 %.

    Scores of the clusters are taken to be normal: at a share x of the limit their mean is x, their
    variance that between clusters and that of clumped errors. Of what is above a level, mean and
    second moment are then known (statistics/ceilings.py has the test); None where no rate does.
    """
    t = float(t_quantile(TWO_SIDED_95, np.array([clusters - 1.0]))[0])
    share = np.linspace(0.0, 1.0, _STEPS + 1)[1:]
    expected = limit * units
    spare = np.maximum(0.1, 1.0 - limit * share) if bounded else np.ones(_STEPS)
    sd = np.sqrt(CLUMPING * spare * share * clusters / expected + (SPEAKERS_VARY * share) ** 2)
    least = (1.0 - limit if bounded else 1.0) * (CLUMPED / expected + SPREAD**2 / clusters)
    inside = np.zeros(_STEPS, dtype=bool)
    for level in LEVELS:
        mean, second = _above(share - level, sd)
        spread = np.sqrt(np.maximum(second - mean**2, 0.0) / clusters)
        se = np.sqrt(WIDENED * second / (clusters - 1.0) + least)
        inside |= 1.0 - level - mean - _POWER_Z * spread >= t * se
    passing = np.flatnonzero(inside)
    return float(limit * share[passing[-1]]) if len(passing) else None


def _above(mean: FloatArray, sd: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and second moment of the positive part of normal values."""
    z = mean / sd
    density = np.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)
    above = 0.5 * (1.0 + erf(z / math.sqrt(2.0)))
    first = mean * above + sd * density
    return first, mean * first + sd * sd * above
