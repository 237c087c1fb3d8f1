"""What each rule of a policy can decide on a selection of data, and what would change that.

Nothing is decoded for it: clusters and units are counted from the manifest, and rates are assumed
(the policy's own limit, else a default) unless finished runs were measured. The same numbers give
the margins that data can decide: ``relkit init`` writes them into the policies of a workspace.
"""

import math
from dataclasses import replace
from typing import NamedTuple

from relkit.core.codec import as_type
from relkit.core.metrics import metric_of
from relkit.core.wording import NONE, amount, chance, counted, limit, margin, percent, times
from relkit.gate.assumptions import (
    BY_BOTH,
    PLANNED_RATES,
    Measured,
    assume,
    assumed_precision,
    assumptions_of,
    precision_of,
    quiet_floor,
    value_at,
)
from relkit.gate.bounds import plan_bound
from relkit.gate.evidence import blocks_as_family, joined
from relkit.gate.facts import planned_slices, size_of, too_small, units_name
from relkit.gate.judge import decimal_at_most
from relkit.gate.plan_types import Assumed, Outlook, RulePlan, SelectionFacts, SliceFacts, SlicePlan
from relkit.gate.types import GatePolicy, Rule
from relkit.statistics.intervals import MIN_CLUSTERS
from relkit.statistics.power import (
    POWER,
    Precision,
    SliceSize,
    chance_to_pass,
    clusters_to_pass,
    clusters_to_pass_ratio,
    excludable_ratio,
    smallest_margin,
)


def asks(rule: Rule) -> str:
    """Return what a rule asks for, in words."""
    if rule.test == "non_inferiority":
        return f"worse by at most {_asked(rule, rule.margin)}"
    if rule.test == "no_regression":
        worse = "" if rule.tolerate is None else f" by more than {_asked(rule, rule.tolerate)}"
        return f"no slice worse{worse}; {times(rule.detectable)} the rate is excluded"
    if rule.test == "min_change":
        requests = [] if rule.min_change is None else [_asked(rule, rule.min_change)]
        if rule.min_relative_change is not None:
            requests.append(f"{percent(rule.min_relative_change)} of the baseline")
        return f"better by at least {' and '.join(requests)}"
    unit = metric_of(rule.metric).unit
    limits = [] if rule.max is None else [f"at most {limit(rule.max, unit)}"]
    if rule.min is not None:
        limits.append(f"at least {limit(rule.min, unit)}")
    return " and ".join(limits)


def _asked(rule: Rule, difference: float | None) -> str:
    return NONE if difference is None else margin(difference, metric_of(rule.metric).unit)


class FamilySize(NamedTuple):
    """How many slices are tested together, and how many clusters there are in all of them."""

    slices: int
    clusters: int


def plan_rules(
    policy: GatePolicy, facts: SelectionFacts, measured: Measured | None = None
) -> tuple[RulePlan, ...]:
    """Return what each rule can decide, in the order of the policy."""
    measurements = measured or Measured()
    keys = {rule.id: planned_slices(rule, facts) for rule in policy.rules}
    clusters = max((item.clusters for item in facts.slices.values()), default=0)
    together = joined((rule, keys[rule.id]) for rule in policy.rules)
    plans = []
    for rule in policy.rules:
        members = together.get(rule.metric, ()) if blocks_as_family(rule) else keys[rule.id]
        family = FamilySize(slices=len(members), clusters=clusters)
        slices = tuple(
            _slice(rule, policy, facts.slices[key], measurements, family=family)
            for key in keys[rule.id]
        )
        plans.append(as_type(RulePlan, rule, rule=rule.id, asks=asks(rule), slices=slices))
    return tuple(plans)


def _slice(
    rule: Rule, policy: GatePolicy, facts: SliceFacts, measured: Measured, *, family: FamilySize
) -> SlicePlan:
    size = size_of(rule.metric, facts)
    plan = SlicePlan(
        slice=facts.slice,
        outlook="unknown",
        says="",
        utterances=facts.utterances,
        clusters=size.clusters,
        units=int(size.units),
        unit=units_name(rule.metric),
    )
    if (short := _too_little(rule, size, plan)) is not None:
        return short
    if rule.test == "bound":
        return plan_bound(rule, plan, value_at(rule.metric, facts.slice, measured))
    if rule.test == "no_regression":
        return _family(rule, policy, size, plan, measured, family)
    return _paired(rule, policy, size, plan, measured)


def _too_little(rule: Rule, size: SliceSize, plan: SlicePlan) -> SlicePlan | None:
    """Return the plan of a slice that never passes, whatever the systems do."""
    if size.units <= 0:
        return replace(plan, outlook="cannot", says=f"has no {plan.unit}: it can never pass")
    if not too_small(rule, size):
        return None
    needed = max(rule.min_clusters, MIN_CLUSTERS)
    says = f"{size.clusters} of {needed} clusters: it stays inconclusive"
    if size.clusters >= needed:
        needed = math.ceil(rule.min_utterances * size.clusters / size.utterances)
        says = f"{size.utterances} of {rule.min_utterances} utterances: it stays inconclusive"
    missing = needed - size.clusters
    return replace(
        plan, outlook="cannot", says=says, needed_clusters=needed, missing_clusters=missing
    )


def _paired(
    rule: Rule, policy: GatePolicy, size: SliceSize, plan: SlicePlan, measured: Measured
) -> SlicePlan:
    """Plan ``non_inferiority`` and ``min_change`` from the precision a difference will have."""
    precision, assumed = precision_of(rule.metric, size, policy, measured)
    if precision is None:
        return replace(
            plan,
            says=f"how far {rule.metric} varies only finished runs can tell: "
            "name two with --baseline and --candidate",
        )
    floor = quiet_floor(rule.metric, size, assumed)
    least = max(smallest_margin(precision), floor)
    plan = replace(plan, assumed=assumed, smallest=least)
    if rule.test == "min_change":
        return _change(rule, plan, precision, assumed)
    margin = rule.margin or 0.0
    within = decimal_at_most(floor, margin)
    equal_passes = chance_to_pass(precision, margin) if within else 0.0
    needed = clusters_to_pass(precision, margin)
    if not within and margin > 0:
        needed = max(needed or 0, math.ceil(size.clusters * floor / margin))
    blocked, unit = margin + smallest_margin(precision), metric_of(rule.metric).unit
    says = (
        f"an equal system passes in {chance(equal_passes)}, one that is {amount(blocked, unit)} "
        f"worse is blocked in {chance(POWER)}"
    )
    if equal_passes < POWER:
        says += f"; a margin of {amount(least, unit)} would do"
    elif (finer := clusters_to_pass(precision, margin / 2)) is not None:
        says += f"; half the margin takes {counted(finer, 'cluster')}"
    plan = replace(
        plan,
        outlook="decides" if equal_passes >= POWER else "weak",
        equal_passes=equal_passes,
        blocked_from=blocked,
        says=says,
    )
    return _with_needed(plan, needed)


def _change(
    rule: Rule, plan: SlicePlan, precision: Precision, assumed: Assumed | None
) -> SlicePlan:
    rate = None if assumed is None else assumed.rate
    changes = [] if rule.min_change is None else [rule.min_change]
    if rule.min_relative_change is not None and rate is not None:
        changes.append(rule.min_relative_change * rate)
    required, detectable = max(changes, default=0.0), smallest_margin(precision)
    possible = rate is None or required + detectable <= rate
    least = required + detectable
    says = f"shows an improvement in {chance(POWER)} once it is "
    says += amount(least, metric_of(rule.metric).unit)
    says += "" if possible else ", more than the supposed rate"
    return replace(plan, outlook="decides" if possible else "weak", smallest=least, says=says)


def _family(
    rule: Rule,
    policy: GatePolicy,
    size: SliceSize,
    plan: SlicePlan,
    measured: Measured,
    family: FamilySize,
) -> SlicePlan:
    """Plan ``no_regression``: the smallest ratio that is excluded, and clusters for the wanted."""
    regression = measured.regressions.get((rule.id, size.slice))
    if regression is not None and regression.p_adjusted is not None:
        excludes, needed = regression.excludes, regression.needed_clusters
        rate = regression.difference.baseline
        assumed = Assumed(rate=rate, rate_from=BY_BOTH, measured=BY_BOTH)
        says = "these two runs exclude no ratio"
        if excludes is not None:
            says = f"these two runs exclude {times(excludes)} the rate"
    else:
        assumed = assume(rule.metric, size.slice, policy, measured)
        assumptions = assumptions_of(rule.metric, assumed)
        excludes = excludable_ratio(size, assumptions, **family._asdict())
        needed = clusters_to_pass_ratio(size, assumptions, rule.detectable, **family._asdict())
        says = "would exclude no ratio"
        if excludes is not None:
            says = f"excludes {times(excludes)} the rate in {chance(POWER)}"
    enough = excludes is not None and excludes <= rule.detectable
    if not enough:
        says += f"; {times(rule.detectable)} is asked for, so it stays inconclusive"
    outlook: Outlook = "decides" if enough else "cannot"
    plan = replace(plan, outlook=outlook, assumed=assumed, excludes_ratio=excludes, says=says)
    return _with_needed(plan, needed)


def _with_needed(plan: SlicePlan, needed: int | None) -> SlicePlan:
    if needed is None:
        return plan
    return replace(plan, needed_clusters=needed, missing_clusters=max(0, needed - plan.clusters))


def margins(policy: GatePolicy, facts: SelectionFacts) -> dict[str, float]:
    """Return, by rule id, the margin at which an equal system passes in 80 % of gates.

    For ``non_inferiority`` on rates that are planned; the largest over a rule's slices, rounded up
    to two digits. Rules whose slices have too little data for any margin are left out.
    """
    chosen: dict[str, float] = {}
    for rule in policy.rules:
        if rule.test != "non_inferiority" or rule.metric not in PLANNED_RATES:
            continue
        least: list[float] = []
        keys = planned_slices(rule, facts)
        for key in keys:
            size = size_of(rule.metric, facts.slices[key])
            assumed = assume(rule.metric, key, policy, Measured())
            precision = assumed_precision(size, assumptions_of(rule.metric, assumed))
            if precision is not None:
                floor = quiet_floor(rule.metric, size, assumed)
                least.append(max(smallest_margin(precision), floor))
        if least and len(least) == len(keys):
            chosen[rule.id] = _rounded_up(max(least))
    return chosen


MOST_RATIO = 5.0
"""A ratio of rates beyond this says nothing worth having: the rule keeps the one it asks for."""


def ratios(policy: GatePolicy, facts: SelectionFacts) -> dict[str, float]:
    """Return, by rule id, the ratio that the data excludes in 80 % where the wanted one is finer.

    For ``no_regression``: the largest over a rule's slices, in steps of a half, at most 5.
    """
    chosen: dict[str, float] = {}
    by_id = {rule.id: rule for rule in policy.rules if rule.test == "no_regression"}
    for plan in plan_rules(policy, facts):
        excluded = [item.excludes_ratio for item in plan.slices]
        if plan.rule not in by_id or not excluded or None in excluded:
            continue
        ratio = math.ceil(2.0 * max(value for value in excluded if value is not None)) / 2.0
        if by_id[plan.rule].detectable < ratio <= MOST_RATIO:
            chosen[plan.rule] = ratio
    return chosen


def _rounded_up(value: float) -> float:
    if value <= 0:
        return 0.0
    digits = 1 - math.floor(math.log10(value))
    scale = 10.0**digits
    return round(math.ceil(round(value * scale, 6)) / scale, digits)
