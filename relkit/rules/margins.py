"""Margins that data can decide: what ``relkit init`` writes into the policies of a workspace."""

import math

from relkit.domain.gates import GatePolicy, Rule
from relkit.domain.plans import SelectionFacts
from relkit.rules.power import SliceSize, smallest_margin
from relkit.rules.sign_flips import FAMILY_METRICS
from relkit.rules.supposing import (
    Measured,
    quiet_floor,
    size_of,
    slices_of,
    suppose,
    supposed_precision,
)


def margins(policy: GatePolicy, facts: SelectionFacts) -> dict[str, float]:
    """Return, by rule id, the margin at which an equal system passes in 80 % of gates.

    For ``non_inferiority`` on error rates; the largest over a rule's slices, rounded up to two
    digits. Rules whose slices have too little data for any margin are left out.
    """
    found: dict[str, float] = {}
    for rule in policy.rules:
        if rule.test != "non_inferiority" or rule.metric not in FAMILY_METRICS:
            continue
        sizes = [size_of(rule.metric, facts.slices[key]) for key in slices_of(rule, facts)]
        least = [_least(rule, size, policy) for size in sizes]
        if least and None not in least:
            found[rule.id] = _rounded_up(max(value for value in least if value is not None))
    return found


def _least(rule: Rule, size: SliceSize, policy: GatePolicy) -> float | None:
    assumptions, supposed = suppose(rule.metric, size.slice, policy, Measured())
    precision = supposed_precision(size, assumptions)
    if precision is None:
        return None
    return max(smallest_margin(precision), quiet_floor(rule.metric, size, supposed))


def _rounded_up(value: float) -> float:
    if value <= 0:
        return 0.0
    digits = 1 - math.floor(math.log10(value))
    scale = 10.0**digits
    return round(math.ceil(round(value * scale, 6)) / scale, digits)
