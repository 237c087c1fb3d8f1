"""By how much the cost of a success grew, with an interval, and what follows from it.

A ratio of sums over sessions is jackknifed on the log scale, one arm at a time, with effective
degrees of freedom; the squared errors of two arms that share no session add up, their degrees of
freedom by Satterthwaite (1946) (docs/method.md, sections "Intervals" and "Comparing two systems").
One session that holds most of the cost has an interval of nearly everything: it does not decide.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.core.slices import OVERALL
from relkit.core.wording import count, counted, number, percent
from relkit.monitoring.cost.types import (
    ArmUsage,
    CostPolicy,
    CostSlice,
    CostVerdict,
    Denominator,
    Two,
)
from relkit.statistics.distributions import TWO_SIDED_95, t_quantile
from relkit.statistics.intervals import (
    MIN_CLUSTERS,
    MIN_EFFECTIVE,
    effective_parts,
    group_sum,
    leave_one_out_spread,
)
from relkit.statistics.types import ClusterSums

ARM_NAMES = ("baseline", "candidate")

_DIGITS = 12
"""Decimals to which ends are compared with the margin: beyond these is rounding."""

DENOMINATOR_NAMES: Mapping[Denominator, str] = {
    "call": "call",
    "audio_minute": "audio minute",
    "success": "success",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Costs:
    """One arm's cost per unit in each of its slices (S,), and the spread of its logarithm."""

    slices: tuple[str, ...]
    cost: FloatArray
    units: FloatArray
    sessions: FloatArray
    se: FloatArray
    df: FloatArray
    effective: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Cost per unit of both arms in a slice, and by which fraction it grew, with its ends.

    ``note`` says why there is no growth (or no interval).
    """

    cost: Two
    totals: tuple[float, float]
    sessions: tuple[int, int]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


def _costs(sums: ClusterSums, unit: Denominator) -> _Costs:
    groups = len(sums.slices)
    group = sums.slice_index
    cost, units = sums.columns["cost"], sums.columns[unit]
    totals = group_sum(cost, group, groups), group_sum(units, group, groups)
    left_cost, left_units = totals[0][group] - cost, totals[1][group] - units
    # What is left of a sum from which its only part is taken is rounding, and not a cost.
    sound = (left_cost > 1e-9 * totals[0][group]) & (left_units > 1e-9 * totals[1][group])
    ratio = np.divide(left_cost, left_units, out=np.ones_like(left_cost), where=sound)
    spread = leave_one_out_spread(np.where(sound, np.log(ratio), np.nan), group, groups)
    return _Costs(
        slices=sums.slices,
        cost=totals[0],
        units=totals[1],
        sessions=spread.clusters.astype(np.float64),
        se=spread.se,
        df=spread.df,
        effective=np.minimum(
            effective_parts(cost, group, groups), effective_parts(units, group, groups)
        ),
    )


def growths(baseline: ClusterSums, candidate: ClusterSums, unit: Denominator) -> dict[str, Growth]:
    """Return by how much the cost per unit grew in every slice that either arm has."""
    arms = [_costs(sums, unit) for sums in (baseline, candidate)]
    places = [{name: i for i, name in enumerate(arm.slices)} for arm in arms]
    return {
        name: _growth(arms, [place.get(name) for place in places], unit)
        for name in dict.fromkeys((*arms[0].slices, *arms[1].slices))
    }


def _growth(arms: Sequence[_Costs], at: Sequence[int | None], unit: Denominator) -> Growth:
    pairs = list(zip(arms, at, strict=True))
    cost = [0.0 if i is None else float(arm.cost[i]) for arm, i in pairs]
    units = [0.0 if i is None else float(arm.units[i]) for arm, i in pairs]
    sessions = [0 if i is None else int(arm.sessions[i]) for arm, i in pairs]
    per_unit = [c / u if u > 0 else None for c, u in zip(cost, units, strict=True)]
    growth = Growth(
        cost=(per_unit[0], per_unit[1]),
        totals=(cost[0], cost[1]),
        sessions=(sessions[0], sessions[1]),
    )
    for name, size, units_of, cost_of in zip(ARM_NAMES, sessions, units, cost, strict=True):
        without = {"success": "success", "call": "call", "audio_minute": "audio"}[unit]
        if not size:
            return _noted(growth, f"the {name} has no session whose calls all have a price")
        if units_of <= 0:
            return _noted(growth, f"the {name} has no {without}")
        if cost_of <= 0:
            return _noted(growth, f"the {name} cost nothing: no growth can be told")
    ratio = (cost[1] / units[1]) / (cost[0] / units[0])
    growth = _noted(growth, "", value=ratio - 1)
    if min(sessions) < MIN_CLUSTERS:
        few = ARM_NAMES[sessions.index(min(sessions))]
        return _noted(
            growth, f"{counted(min(sessions), 'session')} in the {few}: an interval needs 5"
        )
    squares, shares = [], []
    for name, (arm, i) in zip(ARM_NAMES, pairs, strict=True):
        if i is None or arm.effective[i] < MIN_EFFECTIVE or not math.isfinite(arm.se[i]):
            return _noted(growth, f"a few sessions hold nearly all cost or success of the {name}")
        squares.append(float(arm.se[i]) ** 2)
        shares.append(float(arm.df[i]))
    total = sum(squares)
    weights = [(square / total if total else 0.5) ** 2 for square in squares]
    df = 1.0 / sum(weight / degrees for weight, degrees in zip(weights, shares, strict=True))
    half = float(t_quantile(TWO_SIDED_95, np.array([df]))[0]) * math.sqrt(total)
    low, high = (ratio * math.exp(max(-600.0, min(600.0, end))) - 1 for end in (-half, half))
    return _noted(growth, "", value=ratio - 1, low=low, high=high)


def _noted(
    growth: Growth,
    note: str,
    *,
    value: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Growth:
    return Growth(
        cost=growth.cost,
        totals=growth.totals,
        sessions=growth.sessions,
        value=growth.value if value is None else value,
        low=low,
        high=high,
        note=note,
    )


def judge_growth(growth: Growth, margin: float, what: str) -> tuple[CostVerdict, str]:
    """Return the verdict on a growth, and the reason: its interval against the margin."""
    if growth.value is None:
        return "no_data", growth.note
    if growth.low is None or growth.high is None:
        return "inconclusive", f"cost per {what} {grown(growth.value)}, no interval: {growth.note}"
    ends = f"95 % interval {grown(growth.low, sign=True)} to {grown(growth.high, sign=True)}"
    allowed = f"allowed {percent(margin)}"
    sentence = f"cost per {what} {grown(growth.value)} ({ends}, {allowed})"
    if round(growth.high, _DIGITS) <= margin:
        return "pass", sentence
    if round(growth.low, _DIGITS) > margin:
        return "fail", sentence
    return "inconclusive", f"{sentence}: too little data to tell"


def grown(fraction: float, *, sign: bool = False) -> str:
    """Return ``grew by 12.0 %`` or ``fell by 3.1 %``; with ``sign`` ``+12.0 %``."""
    size = number(abs(fraction), "fraction")
    if sign:
        return f"{'-' if fraction < 0 else '+'}{size}"
    if not any(char in "123456789" for char in size):
        return "stayed the same"
    return f"{'fell' if fraction < 0 else 'grew'} by {size}"


def judge_cost(
    policy: CostPolicy, arms: tuple[ArmUsage, ArmUsage], growth: Growth
) -> tuple[CostVerdict, str]:
    """Return the verdict on two arms, and the reason; what is missing never passes."""
    obstacle = _obstacle(policy, arms)
    if obstacle is not None:
        return obstacle
    return judge_growth(growth, policy.margin, DENOMINATOR_NAMES[policy.gated])


def _obstacle(
    policy: CostPolicy, arms: tuple[ArmUsage, ArmUsage]
) -> tuple[CostVerdict, str] | None:
    for name, arm in zip(ARM_NAMES, arms, strict=True):
        if not arm.calls:
            return "no_data", f"the {name} has no turn"
        if arm.telemetry.unreadable is not None:
            return "no_data", f"{name}: {arm.telemetry.unreadable}"
    if policy.gated == "success":
        obstacle = _without_success(policy, arms)
        if obstacle is not None:
            return obstacle
    for name, arm in zip(ARM_NAMES, arms, strict=True):
        for problem, share in _missing(arm):
            if share > policy.max_unpriced:
                allowed = f"at most {percent(policy.max_unpriced)} may"
                return "no_data", f"{name}: {problem}; {allowed}"
    shares = [arm.billed / arm.calls for arm in arms]
    if abs(shares[0] - shares[1]) > policy.max_unpriced:
        both = " and ".join(number(share, "fraction") for share in shares)
        return "no_data", (
            f"{both} of the calls of baseline and candidate were billed, the others priced from a"
            " table: costs that were found in two ways are not compared"
        )
    return None


def _missing(arm: ArmUsage) -> list[tuple[str, float]]:
    """Return what is missing of an arm in words, with its share of the calls (or rows)."""
    unpriced = arm.calls - arm.priced
    dropped = arm.telemetry.dropped
    lost = dropped.naive + dropped.unnamed + dropped.future
    why = ""
    if arm.unpriced:
        (model, code, unit), calls = max(arm.unpriced.items(), key=lambda item: item[1])
        why = f" (most: {count(calls)} {why_unpriced(model, code, unit)})"
    bad = counted(dropped.bad_value, "value")
    return [
        (
            f"{count(unpriced)} of {counted(arm.calls, 'call')} have no price{why}",
            unpriced / arm.calls,
        ),
        (
            f"{count(lost)} of {counted(arm.telemetry.rows, 'row')} were left out: {_LOST}",
            lost / max(1, arm.telemetry.rows),
        ),
        (
            f"{bad} cannot be (negative, not a number)",
            dropped.bad_value / max(1, arm.telemetry.turns),
        ),
    ]


_LOST = "no session or turn id, no offset in the time, or a time of the future"


def _without_success(
    policy: CostPolicy, arms: tuple[ArmUsage, ArmUsage]
) -> tuple[CostVerdict, str] | None:
    for name, arm in reversed(list(zip(ARM_NAMES, arms, strict=True))):
        solved, failed, unsaid = arm.success
        if not solved and not failed:
            return "no_data", f"no session of the {name} says whether it succeeded (column success)"
        if failed and unsaid > policy.max_unpriced * arm.sessions:
            share = f"{count(unsaid)} of {counted(arm.sessions, 'session')}"
            return "no_data", f"{share} of the {name} do not say whether they succeeded"
        if not solved:
            if name == "candidate":
                return "fail", f"no success in {counted(arm.sessions, 'session')} of the candidate"
            return "no_data", "no success in the baseline: there is nothing to compare with"
    return None


_WHY = {
    "no_model": "name no model",
    "unknown_model": "of {model}, which no price table has",
    "expired": "of {model}, whose price does not hold on their day",
    "no_price": "of {model} use {unit}, which have no price",
    "no_usage": "of {model} do not say how many {unit} they used",
    "contradiction": "of {model} count parts of their {unit} that are more than all of them",
    "no_currency": "were billed in no currency",
}
_COUNTED = {
    "input": "input tokens",
    "output": "output tokens",
    "cache_read": "cached tokens",
    "cache_write": "tokens written to the cache",
    "audio_in": "audio tokens of input",
    "audio_out": "audio tokens of output",
    "reasoning": "reasoning tokens",
    "audio_minute": "seconds of audio",
    "second": "seconds of audio",
    "character": "spoken characters",
    "query": "queries",
}


def why_unpriced(model: str | None, code: str, unit: str | None) -> str:
    """Return why calls have no price, in words that follow their number."""
    return _WHY[code].format(model=model or "no model", unit=_COUNTED.get(unit or "", "units"))


def slice_costs(
    by_slice: Mapping[str, Growth], margin: float, what: str, *, decided: bool
) -> tuple[CostSlice, ...]:
    """Return the slices, the one with the largest growth first; those without one last.

    Without ``decided`` (nothing can be said about the whole) none of them passes.
    """
    total = by_slice[OVERALL].totals
    slices = []
    for name, growth in by_slice.items():
        if name == OVERALL:
            continue
        status, reason = judge_growth(growth, margin, what)
        if status == "pass" and not decided:
            status = "no_data"
        shares = [
            part / all_ if all_ > 0 else None
            for part, all_ in zip(growth.totals, total, strict=True)
        ]
        slices.append(
            CostSlice(
                slice=name,
                cost=growth.cost,
                share=(shares[0], shares[1]),
                sessions=growth.sessions,
                delta_pct=growth.value,
                low=growth.low,
                high=growth.high,
                status=status,
                reason=reason,
            )
        )
    return tuple(
        sorted(
            slices, key=lambda cost: (cost.delta_pct is None, -(cost.delta_pct or 0), cost.slice)
        )
    )
