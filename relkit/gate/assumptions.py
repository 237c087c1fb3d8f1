"""What is assumed of two systems before they are measured, or what finished runs measured."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from relkit.core.slices import OVERALL
from relkit.core.values import Estimate
from relkit.core.wording import limit, percent, times
from relkit.gate.plan_types import Assumed, RulePlan
from relkit.gate.types import GatePolicy
from relkit.statistics.distributions import unseen
from relkit.statistics.families import FAMILY_METRICS
from relkit.statistics.intervals import MIN_CLUSTERS, MIN_DF
from relkit.statistics.power import (
    Assumptions,
    Precision,
    SliceSize,
    expected_precision,
    measured_precision,
)
from relkit.statistics.types import Difference, Regression

USUAL = Assumptions()
"""What is assumed of two systems where nothing was measured."""

RARE = 0.01
"""The rate that is assumed of what should not happen at all (failures, runaways)."""

_RARE_METRICS = (
    "runaway_rate",
    "failure_rate",
    "hallucination_rate",
    "clipping_rate",
    "dropout_rate",
    "injection_success_rate",
    "pii_readback_rate",
)

_TURN_RATES: Mapping[str, float] = {
    "no_response_rate": 0.02,
    "early_response_rate": 0.05,
    "false_eot_rate": 0.05,
    "task_success": 0.95,
}
"""The rates of conversations that are assumed before any was held."""

PLANNED_RATES = frozenset({*FAMILY_METRICS, *_TURN_RATES})
"""Metrics whose differences are planned before a run has measured them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What finished runs say: values by slice and metric, and how far apart two runs are.

    ``differences`` by metric and slice, ``regressions`` by rule id and slice.
    """

    run: str | None = None
    values: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    differences: Mapping[tuple[str, str], Difference] = field(default_factory=dict)
    regressions: Mapping[tuple[str, str], Regression] = field(default_factory=dict)


BY_BOTH = "measured by both runs"


def value_at(metric: str, key: str, measured: Measured) -> Estimate | None:
    """Return what a finished run measured in a slice."""
    return measured.values.get(key, {}).get(metric)


def assume(metric: str, key: str, policy: GatePolicy, measured: Measured) -> Assumed:
    """Return what is assumed of two systems in a slice, and where its rate is from.

    First what a finished run measured there, then overall; then the policy's own limit on the
    metric, for at the worst rate it allows an equal system should still pass; then a default.
    """
    usual = Assumed(
        rate=RARE if metric in _RARE_METRICS else _TURN_RATES.get(metric, USUAL.rate),
        rate_from="a usual rate",
        discordance=USUAL.discordance,
        clumping=USUAL.clumping,
        between_clusters=USUAL.between_clusters,
    )
    for place in (key, OVERALL):
        estimate = value_at(metric, place, measured)
        if estimate is not None and estimate.value is not None and estimate.value > 0:
            run = f"measured in {measured.run}"
            source = f"{run}, {place}"
            basis = run if place == key else source
            return replace(usual, rate=estimate.value, rate_from=source, measured=basis)
    for rule in policy.rules:
        if (rule.metric, rule.slice, rule.test) == (metric, OVERALL, "bound") and rule.max:
            return replace(usual, rate=rule.max, rate_from=f"the limit of rule {rule.id}")
    return usual


def assumptions_of(metric: str, assumed: Assumed) -> Assumptions:
    """Return the assumptions of the power of a test; of what mostly comes true, about the rest."""
    rate = assumed.rate or 0.0
    if metric in _TURN_RATES:
        rate = min(rate, 1.0 - rate)
    return replace(USUAL, rate=rate)


def precision_of(
    metric: str, size: SliceSize, policy: GatePolicy, measured: Measured
) -> tuple[Precision | None, Assumed | None]:
    """Return how precisely a difference will be known, measured or assumed; None: unknown."""
    difference = measured.differences.get((metric, size.slice))
    precision = None if difference is None else measured_precision(difference)
    if difference is not None and precision is not None and precision.se > 0:
        return precision, Assumed(rate=difference.baseline, rate_from=BY_BOTH, measured=BY_BOTH)
    if metric not in PLANNED_RATES:
        return None, None
    assumed = assume(metric, size.slice, policy, measured)
    return assumed_precision(size, assumptions_of(metric, assumed)), assumed


def assumed_precision(size: SliceSize, assumptions: Assumptions) -> Precision | None:
    """Return the precision to expect, with no more degrees of freedom than clusters that differ.

    Of rare events only a few clusters have any: these alone make the spread.
    """
    precision = expected_precision(size, assumptions)
    if precision is None:
        return None
    differing = _differing(size, assumptions.rate, assumptions.discordance)
    return replace(precision, df=max(MIN_DF, min(precision.df, differing)))


def _differing(size: SliceSize, rate: float, discordance: float) -> float:
    """Return in how many clusters two systems are expected to differ at all."""
    events = 2.0 * rate * discordance * size.units / USUAL.clumping
    return size.clusters * (1.0 - math.exp(-events / max(1, size.clusters)))


def quiet_floor(metric: str, size: SliceSize, assumed: Assumed | None) -> float:
    """Return the margin below which systems that hardly differ are inconclusive.

    Where fewer than 5 clusters differ, the interval of a difference reaches at least what so many
    utterances can miss (statistics/differences.py).
    """
    if metric not in PLANNED_RATES or assumed is None or assumed.rate is None:
        return 0.0
    discordance = USUAL.discordance if assumed.discordance is None else assumed.discordance
    differing = _differing(size, assumptions_of(metric, assumed).rate, discordance)
    return unseen(size.utterances) if differing < MIN_CLUSTERS else 0.0


def sentences(plans: Iterable[RulePlan]) -> tuple[str, ...]:
    """Return all that the numbers of a plan rest on, each once."""
    rates: dict[str, None] = {}
    usual = False
    for plan in plans:
        for item in plan.slices:
            basis = item.assumed
            if basis is None or basis.rate is None or plan.test == "bound":
                continue
            source = basis.measured or f"{limit(basis.rate, 'fraction')} ({basis.rate_from})"
            rates[f"{plan.metric}: {source}"] = None
            usual = usual or basis.discordance is not None
    alike = (
        f"two systems of equal rates differ in {percent(USUAL.discordance)} of their errors, "
        f"these come in clumps ({times(USUAL.clumping)} Poisson's variance), and the difference "
        f"varies between clusters by {percent(USUAL.between_clusters)} of the rate"
    )
    return (*rates, alike) if usual else tuple(rates)
