"""What is supposed of two systems before they are measured, or what finished runs measured."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from relkit.domain.comparisons import Difference, Regression
from relkit.domain.estimates import Estimate
from relkit.domain.gates import GatePolicy, Rule
from relkit.domain.plans import RulePlan, SelectionFacts, SliceFacts, Supposed
from relkit.domain.slices import OVERALL
from relkit.domain.utterances import NO_VALUE
from relkit.rules.binomial import unseen
from relkit.rules.intervals import MIN_CLUSTERS
from relkit.rules.jackknife import MIN_DF
from relkit.rules.power import (
    Assumptions,
    Precision,
    SliceSize,
    expected_precision,
    measured_precision,
)
from relkit.rules.rate_metrics import RATE_METRICS
from relkit.rules.sign_flips import FAMILY_METRICS
from relkit.rules.slice_patterns import expand_slices, is_pattern

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


def slices_of(rule: Rule, facts: SelectionFacts) -> tuple[str, ...]:
    """Return the slices a rule is judged in; of a pattern, not those of missing labels."""
    found = expand_slices(rule.slice, facts.slices)
    if not is_pattern(rule.slice):
        return found
    return tuple(key for key in found if not _unlabelled(key))


def _unlabelled(key: str) -> bool:
    return any(part.endswith(f"={NO_VALUE}") for part in key.split("&"))


def size_of(metric: str, facts: SliceFacts) -> SliceSize:
    """Return how much a slice has for a metric: its denominator's units and who holds them.

    What only a run can count (latencies, scored clips) is taken as one per utterance.
    """
    known = RATE_METRICS.get(metric)
    counted = facts.units.get(known.n if known is not None else "utterances")
    if counted is None:
        counted = facts.units["utterances"]
    return SliceSize(
        slice=facts.slice,
        clusters=counted.clusters,
        utterances=counted.utterances,
        units=float(counted.total),
    )


def value_at(metric: str, key: str, measured: Measured) -> Estimate | None:
    """Return what a finished run measured in a slice."""
    return measured.values.get(key, {}).get(metric)


def suppose(
    metric: str, key: str, policy: GatePolicy, measured: Measured
) -> tuple[Assumptions, Supposed]:
    """Return what is supposed of two systems in a slice, and where its rate is from.

    First what a finished run measured there, then overall; then the policy's own limit on the
    metric, for at the worst rate it allows an equal system should still pass; then a default.
    """
    for place in (key, OVERALL):
        found = value_at(metric, place, measured)
        if found is not None and found.value is not None and found.value > 0:
            return _supposed(found.value, f"measured in {measured.run}, {place}")
    limit = next(
        (
            rule
            for rule in policy.rules
            if (rule.metric, rule.slice, rule.test) == (metric, OVERALL, "bound") and rule.max
        ),
        None,
    )
    if limit is not None and limit.max is not None:
        return _supposed(limit.max, f"the limit of rule {limit.id}")
    return _supposed(RARE if metric in _RARE_METRICS else USUAL.rate, "a usual rate")


def _supposed(rate: float, source: str) -> tuple[Assumptions, Supposed]:
    assumptions = replace(USUAL, rate=rate)
    return assumptions, Supposed(
        rate=rate,
        rate_from=source,
        discordance=assumptions.discordance,
        clumping=assumptions.clumping,
        between_clusters=assumptions.between_clusters,
    )


def precision_of(
    metric: str, size: SliceSize, policy: GatePolicy, measured: Measured
) -> tuple[Precision | None, Supposed | None]:
    """Return how precisely a difference will be known, measured or supposed; None: unknown."""
    found = measured.differences.get((metric, size.slice))
    precision = None if found is None else measured_precision(found)
    if found is not None and precision is not None and precision.se > 0:
        return precision, Supposed(rate=found.baseline, rate_from="measured by both runs")
    if metric not in FAMILY_METRICS:
        return None, None
    assumptions, supposed = suppose(metric, size.slice, policy, measured)
    return supposed_precision(size, assumptions), supposed


def supposed_precision(size: SliceSize, assumptions: Assumptions) -> Precision | None:
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


def quiet_floor(metric: str, size: SliceSize, supposed: Supposed | None) -> float:
    """Return the margin below which systems that hardly differ are inconclusive.

    Where fewer than 5 clusters differ, the interval of a difference reaches at least what so many
    utterances can miss (rules/differences.py).
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
            source = item.supposed.rate_from
            if source.startswith("measured"):
                rates[f"{plan.metric}: {source.replace(f', {item.slice}', '')}"] = None
            else:
                rates[f"{plan.metric}: {100 * item.supposed.rate:g} % ({source})"] = None
            supposed = supposed or item.supposed.discordance is not None
    lines = tuple(rates)
    if not supposed:
        return lines
    alike = (
        f"two systems of equal rates differ in {100 * USUAL.discordance:g} % of their errors, "
        f"these come in clumps ({USUAL.clumping:g} times Poisson's variance), and the difference "
        f"varies between clusters by {100 * USUAL.between_clusters:g} % of the rate"
    )
    return (*lines, alike)
