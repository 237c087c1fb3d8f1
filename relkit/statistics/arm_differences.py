"""Differences between canary and control that are shown beside the evidence and never decide.

An interval of the difference of rates that may be looked at all the time, and the rank test with
the labels of Spinnaker's Kayenta, for people who know it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.statistics.types import UnitCounts

FEWEST_EVENTS = 50
"""Events of each arm below which a difference has no interval: its se would be a guess."""

TUNED_FOR = 5000.0
"""Units at which the always-valid interval is narrowest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmDifference:
    """Canary's rate minus control's, a fraction, with its always-valid ends.

    ``difference`` is None where an arm has no turn, the ends where there is no interval; ``note``
    says why.
    """

    difference: float | None
    low: float | None = None
    high: float | None = None
    note: str | None = None


def difference_of_rates(steps: Iterable[UnitCounts], *, alpha: float = 0.05) -> ArmDifference:
    """Return the difference of rates over steps, each weighted by n1 n0 / (n1 + n0) of its turns.

    Rates are compared within a step and never pooled over steps, whose shares differ. The standard
    errors are clustered by unit. The interval holds at all looks together
    (:func:`always_valid_half_width`); none below 50 events in either arm.
    """
    weights, differences, variances = [], [], []
    events, units = {True: 0, False: 0}, 0
    for counts in steps:
        sums = {arm: counts.arm(canary=arm) for arm in (True, False)}
        canary, control = sums[True], sums[False]
        if canary.rate is None or control.rate is None:
            continue
        weights.append(canary.turns * control.turns / (canary.turns + control.turns))
        differences.append(canary.rate - control.rate)
        variances.append(sum(_variance(counts, canary=arm) for arm in (True, False)))
        units += canary.units + control.units
        for arm in events:
            events[arm] += sums[arm].events
    if not weights:
        return ArmDifference(difference=None, note="one arm has no turns")
    shares = np.array(weights) / math.fsum(weights)
    difference = float(shares @ np.array(differences))
    fewest = min(events.values())
    if fewest < FEWEST_EVENTS:
        note = f"no interval: {fewest} events in one arm, {FEWEST_EVENTS} needed"
        return ArmDifference(difference=difference, note=note)
    se = math.sqrt(float(np.square(shares) @ np.array(variances)))
    half = always_valid_half_width(se, units, alpha=alpha)
    return ArmDifference(difference=difference, low=difference - half, high=difference + half)


def _variance(counts: UnitCounts, *, canary: bool) -> float:
    """Return the squared standard error of an arm's rate: sum (e - r n)^2 / (sum n)^2 k / (k - 1).

    Linearised, clustered by unit (Kish 1965, ``Survey Sampling``).
    """
    sums = counts.arm(canary=canary)
    if sums.rate is None or sums.units < 2:  # noqa: PLR2004 - one unit has no spread
        return math.inf
    units = np.where(counts.canary == canary, counts.units, 0)
    squares = float(units @ np.square(counts.events - sums.rate * counts.turns))
    return squares / sums.turns**2 * sums.units / (sums.units - 1)


def always_valid_half_width(
    se: float, count: float, *, alpha: float = 0.05, tuned_for: float = TUNED_FOR
) -> float:
    """Return half the width of an interval that covers at all looks together.

    se sqrt(2 (N q + 1) / (N q) ln(sqrt(N q + 1) / alpha)) of N = ``count`` observations, with q =
    (-2 ln alpha + ln(-2 ln alpha + 1)) / ``tuned_for`` (Waudby-Smith, Arbour, Sinha, Kennedy and
    Ramdas 2021, "Time-uniform central limit theory and asymptotic confidence sequences").
    """
    log = -2.0 * math.log(alpha)
    seen = count * (log + math.log(log + 1.0)) / tuned_for
    return se * math.sqrt(2.0 * (seen + 1.0) / seen * math.log(math.sqrt(seen + 1.0) / alpha))


class RankLabel(StrEnum):
    """What Kayenta says of a metric."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a secret
    HIGH = "High"
    LOW = "Low"
    NO_DATA = "Nodata"


@dataclass(frozen=True, slots=True, kw_only=True)
class RankDifference:
    """Kayenta's label of a metric, with the Hodges-Lehmann shift of the canary and its ends.

    The shift and its ends are in the metric's unit, None where there was nothing to rank.
    """

    label: RankLabel
    shift: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str


def rank_difference(
    canary: FloatArray, control: FloatArray, *, tolerance: float = 0.25, confidence: float = 0.98
) -> RankDifference:
    """Return how Kayenta's judge labels single measurements of the two arms, (m,) and (n,).

    High where the canary ranks higher and the lower end of the shift is not below ``tolerance``
    times the shift, Low the other way (Mann and Whitney 1947; Hodges and Lehmann 1963; ends by
    inverting the normal approximation with ties and continuity, as R's ``wilcox.test``). It takes
    measurements as independent, which turns of a session are not. NaN is left out.
    """
    canary, control = canary[np.isfinite(canary)], control[np.isfinite(control)]
    if not len(canary) or not len(control):
        return RankDifference(label=RankLabel.NO_DATA, reason="an arm has no measurement")
    if np.array_equal(np.sort(canary), np.sort(control)):
        return RankDifference(label=RankLabel.PASS, reason="both arms measured the same")
    quantile = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    low, high = _shift_at(canary, control, quantile), _shift_at(canary, control, -quantile)
    # Between the middle two of an even number of differences the rank sum is level.
    first = _shift_at(canary, control, 0.0, continuity=0.0)
    shift = (first - _shift_at(control, canary, 0.0, continuity=0.0)) / 2.0
    allowed, rank = tolerance * abs(shift), _standardised(canary, control)
    label, reason = RankLabel.PASS, "the shift may lie within the tolerance"
    # With many ties, as of zeros, shift and ends are 0, and the rank sum alone says which way.
    if rank > quantile and low >= allowed:
        label, reason = RankLabel.HIGH, "the lower end is above the tolerance"
    elif rank < -quantile and high <= -allowed:
        label, reason = RankLabel.LOW, "the upper end is below the tolerance"
    return RankDifference(label=label, shift=shift, low=low, high=high, reason=reason)


_HALVINGS = 60
_ROUNDING = 1e-12


def _shift_at(
    canary: FloatArray, control: FloatArray, quantile: float, *, continuity: float = 0.5
) -> float:
    """Return the shift of the canary at which the standardised rank sum is ``quantile``."""
    low = float(canary.min() - control.max())
    high = float(canary.max() - control.min())
    size = max(abs(low), abs(high))
    if _standardised(canary - low, control, continuity) <= quantile:
        return low
    if _standardised(canary - high, control, continuity) >= quantile:
        return high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        if _standardised(canary - middle, control, continuity) > quantile:
            low = middle
        else:
            high = middle
    middle = (low + high) / 2.0
    return 0.0 if abs(middle) < _ROUNDING * size else middle


def _standardised(canary: FloatArray, control: FloatArray, continuity: float = 0.5) -> float:
    """Return (U - m n / 2 -+ continuity) / sigma, with ties in sigma; 0 where all are tied."""
    m, n = len(canary), len(control)
    ordered = np.sort(control)
    below = np.searchsorted(ordered, canary, side="left").sum()
    up_to = np.searchsorted(ordered, canary, side="right").sum()
    excess = float(below + up_to) / 2.0 - m * n / 2.0
    _, ties = np.unique(np.concatenate((canary, control)), return_counts=True)
    both = float(m + n)
    tied = float((ties.astype(np.float64) ** 3 - ties).sum()) / (both * (both - 1.0))
    variance = m * n / 12.0 * (both + 1.0 - tied)
    if variance <= 0.0:
        return 0.0
    return (excess - math.copysign(continuity, excess) * (excess != 0.0)) / math.sqrt(variance)
