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
"""What is supposed of two systems where nothing was measured."""

RARE = 0.01
"""The rate that is supposed of what should not happen at all (failures, runaways)."""

_RARE_METRICS = (
    "runaway_rate",
    "failure_rate",
    "hallucination_rate",
    "clipping_rate",
    "dropout_rate",
)


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


def assume(
    metric: str, key: str, policy: GatePolicy, measured: Measured
) -> tuple[Assumptions, Assumed]:
    """Return what is supposed of two systems in a slice, and where its rate is from.

    First what a finished run measured there, then overall; then the policy's own limit on the
    metric, for at the worst rate it allows an equal system should still pass; then a default.
    """
    for place in (key, OVERALL):
        measured_value = value_at(metric, place, measured)
        if (
            measured_value is not None
            and measured_value.value is not None
            and measured_value.value > 0
        ):
            source = f"measured in {measured.run}"
            return _assumed(
                measured_value.value,
                f"{source}, {place}",
                measured=source if place == key else f"{source}, {place}",
            )
    limit = next(
        (
            rule
            for rule in policy.rules
            if (rule.metric, rule.slice, rule.test) == (metric, OVERALL, "bound") and rule.max
        ),
        None,
    )
    if limit is not None and limit.max is not None:
        return _assumed(limit.max, f"the limit of rule {limit.id}")
    return _assumed(RARE if metric in _RARE_METRICS else USUAL.rate, "a usual rate")


def _assumed(
    rate: float, source: str, *, measured: str | None = None
) -> tuple[Assumptions, Assumed]:
    assumptions = replace(USUAL, rate=rate)
    return assumptions, Assumed(
        rate=rate,
        rate_from=source,
        measured=measured,
        discordance=assumptions.discordance,
        clumping=assumptions.clumping,
        between_clusters=assumptions.between_clusters,
    )


def precision_of(
    metric: str, size: SliceSize, policy: GatePolicy, measured: Measured
) -> tuple[Precision | None, Assumed | None]:
    """Return how precisely a difference will be known, measured or supposed; None: unknown."""
    difference = measured.differences.get((metric, size.slice))
    precision = None if difference is None else measured_precision(difference)
    if difference is not None and precision is not None and precision.se > 0:
        return precision, Assumed(rate=difference.baseline, rate_from=BY_BOTH, measured=BY_BOTH)
    if metric not in FAMILY_METRICS:
        return None, None
    assumptions, supposed = assume(metric, size.slice, policy, measured)
    return assumed_precision(size, assumptions), supposed


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


def quiet_floor(metric: str, size: SliceSize, supposed: Assumed | None) -> float:
    """Return the margin below which systems that hardly differ are inconclusive.

    Where fewer than 5 clusters differ, the interval of a difference reaches at least what so many
    utterances can miss (statistics/differences.py).
    """
    if metric not in FAMILY_METRICS or supposed is None or supposed.rate is None:
        return 0.0
    discordance = USUAL.discordance if supposed.discordance is None else supposed.discordance
    differing = _differing(size, supposed.rate, discordance)
    return unseen(size.utterances) if differing < MIN_CLUSTERS else 0.0


def sentences(plans: Iterable[RulePlan]) -> tuple[str, ...]:
    """Return all that the numbers of a plan rest on, each once."""
    rates: dict[str, None] = {}
    supposed = False
    for plan in plans:
        for item in plan.slices:
            if item.supposed is None or item.supposed.rate is None or plan.test == "bound":
                continue
            rate = limit(item.supposed.rate, "fraction")
            source = item.supposed.measured or f"{rate} ({item.supposed.rate_from})"
            rates[f"{plan.metric}: {source}"] = None
            supposed = supposed or item.supposed.discordance is not None
    lines = tuple(rates)
    if not supposed:
        return lines
    alike = (
        f"two systems of equal rates differ in {percent(USUAL.discordance)} of their errors, "
        f"these come in clumps ({times(USUAL.clumping)} Poisson's variance), and the difference "
        f"varies between clusters by {percent(USUAL.between_clusters)} of the rate"
    )
    return (*lines, alike)
