"""Bets on which arm a unit of traffic was in: the evidence that a canary differs from control.

The arm of a unit (session, user) was drawn with a known chance, the canary's share. If the arms are
equal, nothing about a unit helps to guess its arm; a bettor who guesses from what went wrong in it,
at fair odds, then reaches 1/alpha times the stake with probability alpha at most, however often one
looks (Ville 1939; Shafer 2021, "Testing by betting", JRSS A 184). A bet on an odds ratio is the
likelihood ratio of the arm given the unit (Wald 1945, "Sequential tests of statistical
hypotheses"); a weighted sum of bets is a bet (the method of mixtures: Robbins 1970, "Statistical
methods related to the law of the iterated logarithm"). So averages spend alpha, over ratios and
over triggers, and read backwards the same bet rules a harm out.

All of it is a function of histograms of units, which can be added: the same units in any order,
split into any files, shards or looks, give the same evidence. What the bets are tuned with (rate,
correlation) comes from both arms together, blind to the arm (docs/canary-quality.md).
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.statistics.types import BoolArray, UnitCounts

THETAS: tuple[float, ...] = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Odds ratios of an event in the canary, of which each is bet on."""

THETA_WEIGHTS: tuple[float, ...] = (0.15, 0.20, 0.25, 0.20, 0.10, 0.10)
"""Which part of a trigger's stake is on each of :data:`THETAS`."""

SHRINKAGE = 300.0
"""Turns at the overall rate that a slice's rate is pooled with."""

RULED_OUT = 50.0
"""Odds against a harm at which it is ruled out: wrong in at most one rollout of fifty (Wald)."""

PRIOR_UNITS = 1000.0
"""Units at the policy's share that the sample ratio is mixed over."""

SUSPECT_RATIO = 1000.0
"""Evidence against the policy's share at which the split of traffic is not believed."""

LARGEST_EVIDENCE = 1e300
"""The largest evidence given: a number that JSON can hold, and that can still be averaged."""

_LARGEST_EXPONENT = 600.0
_FLOOR_NODES, _FLOOR_WEIGHTS = np.polynomial.legendre.leggauss(64)


def units_of(canary: BoolArray, turns: IntArray, events: IntArray) -> UnitCounts:
    """Return the histogram of single units: arm, turns and events of each (u,)."""
    counts = UnitCounts(
        canary=canary, turns=turns, events=events, units=np.ones(len(turns), dtype=np.int64)
    )
    return counts + no_units()


def no_units() -> UnitCounts:
    """Return the histogram without a unit, which adds nothing."""
    none = np.zeros(0, dtype=np.int64)
    return UnitCounts(canary=none.astype(np.bool_), turns=none, events=none, units=none)


# ------------------------------------------------------------------- what the bets are tuned with


def pooled_rate(counts: UnitCounts, *, toward: float | None = None) -> float | None:
    """Return the rate of both arms together, sum e / sum n; None where there is no turn.

    ``toward``: the overall rate of the step, with which a slice's is pooled as 300 turns more.
    """
    turns = float((counts.units * counts.turns).sum())
    events = float((counts.units * counts.events).sum())
    if toward is not None:
        return (events + SHRINKAGE * toward) / (turns + SHRINKAGE)
    return events / turns if turns > 0 else None


def correlation(counts: UnitCounts, rate: float) -> float:
    """Return rho, how alike the turns of a unit are: from 0 (not at all) to 1 (all the same).

    The moment estimate ((sum (e - r n)^2 / r (1 - r)) - sum n) / sum n (n - 1) at the rate r, held
    in [0, 1] (Kish 1965, ``Survey Sampling``: the design effect is 1 + (n - 1) rho). 0 where no
    unit has two turns, or nothing or everything is an event.
    """
    pairs = float((counts.units * counts.turns * (counts.turns - 1)).sum())
    if pairs <= 0 or not 0.0 < rate < 1.0:
        return 0.0
    # Integers, so that no order of the cells changes a digit.
    squares, products, turns = (
        float((counts.units * column).sum())
        for column in (counts.events**2, counts.events * counts.turns, counts.turns)
    )
    turns_squared = float((counts.units * counts.turns**2).sum())
    spread = squares - 2.0 * rate * products + rate * rate * turns_squared
    rho = (spread / (rate * (1.0 - rate)) - turns) / pairs
    return min(1.0, max(0.0, rho))


# ------------------------------------------------------------------------------------------- bets


def unit_scores(
    turns: IntArray, events: IntArray, *, rate: float, correlation: float
) -> FloatArray:
    """Return x = (e - r n) / (1 + (n - 1) rho) per unit: the events beyond those expected."""
    excess = events - rate * turns
    return np.asarray(excess / (1.0 + (turns - 1) * correlation), dtype=np.float64)


def log_odds_paid(exponents: FloatArray, share: float) -> FloatArray:
    """Return ln(1 + p (e^z - 1)) for exponents z of any shape: what a fair bet on the arm costs.

    It is the mean of e^(A z) over the arm A, 1 with chance ``share`` p, so that e^(A z) divided by
    its exponential is 1 on average.
    """
    held = np.minimum(exponents, _LARGEST_EXPONENT)
    paid = np.log1p(share * np.expm1(held)) + (exponents - held)
    return np.asarray(paid, dtype=np.float64)


def log_capitals(
    counts: UnitCounts, share: float, *, rate: float, correlation: float
) -> FloatArray:
    """Return the log capital of the bet on each odds ratio, of the units of one step, (6,).

    l_theta = sum [A x ln theta - ln(1 + p (theta^x - 1))], with A = 1 in the canary, p its
    ``share`` of traffic within (0, 1), and x of :func:`unit_scores`. Averaged over all ways to draw
    the arms, each capital is 1. Capitals of steps are added up. Zeros where there is no unit.
    ValueError for a share at or outside the ends.
    """
    scores = unit_scores(counts.turns, counts.events, rate=rate, correlation=correlation)
    return _gains(counts, share, scores[:, None] * np.log(THETAS), counts.canary)


def step_capitals(counts: UnitCounts, share: float, *, toward: float | None = None) -> FloatArray:
    """Return :func:`log_capitals` of a step at its own rate and correlation, (6,).

    Zeros, the capital before any bet, where one arm has no unit: what only one arm has shows no
    harm and rules none out. ``toward`` as in :func:`pooled_rate`.
    """
    rate = pooled_rate(counts, toward=toward)
    if rate is None or not counts.both_arms:
        return np.zeros(len(THETAS))
    return log_capitals(counts, share, rate=rate, correlation=correlation(counts, rate))


def log_likelihoods(
    counts: UnitCounts, share: float, *, rate: float, correlation: float
) -> FloatArray:
    """Return the log likelihood ratio of arms at each odds ratio against equal ones, (6,).

    As :func:`log_capitals`, with (e ln theta - n ln(1 + r0 (theta - 1))) / (1 + (n - 1) rho) in
    place of x ln theta, where r0 is control's rate if the canary's odds are theta times as high and
    both pool to ``rate``. x ln theta is its first order, which is enough to find a harm. To rule
    one out it is not: at a small share, or where many turns are events, the first order rules out
    harms that are there (docs/canary-quality.md). A fair bet, too; and where turns are independent
    and theta is true, 1 / ratio is 1 on average, which is what Wald's lower boundary rests on.
    """
    ratios = np.asarray(THETAS)
    penalties = np.log1p(control_rate(rate, share, ratios) * (ratios - 1.0))
    tilts = counts.events[:, None] * np.log(ratios) - counts.turns[:, None] * penalties
    alike = 1.0 + (counts.turns - 1) * correlation
    return _gains(counts, share, tilts / alike[:, None], counts.canary)


def step_likelihoods(
    counts: UnitCounts, share: float, *, toward: float | None = None
) -> FloatArray:
    """Return :func:`log_likelihoods` as :func:`step_capitals` returns the capitals, (6,)."""
    rate = pooled_rate(counts, toward=toward)
    if rate is None or not counts.both_arms:
        return np.zeros(len(THETAS))
    return log_likelihoods(counts, share, rate=rate, correlation=correlation(counts, rate))


def control_rate(rate: float, share: float, ratios: FloatArray) -> FloatArray:
    """Return the rates of control r0 (b,) that pool to ``rate`` if the canary is at ``ratios``.

    The root of (1 - p) k r0^2 + (1 - p + p theta - r k) r0 - r = 0 with k = theta - 1.
    """
    k = ratios - 1.0
    square, linear = (1.0 - share) * k, 1.0 - share + share * ratios - rate * k
    root = np.sqrt(linear * linear + 4.0 * square * rate)
    return np.asarray(2.0 * rate / (linear + root), dtype=np.float64)


def expected_capitals(
    counts: UnitCounts,
    share: float,
    *,
    toward: float | None = None,
    truth: float = 1.0,
    ratios: Sequence[float] = THETAS,
) -> FloatArray:
    """Return the mean log capital of units like these, with arms drawn at odds ratio ``truth``.

    What a plan needs: the arms in ``counts`` are not looked at. With truth 1 the arms are equal and
    the capitals fall (a harm of ratio theta is ruled out when that of theta has lost ln 50); with
    another, a unit is in the canary with chance p t^x / (1 + p (t^x - 1)).
    """
    rate = pooled_rate(counts, toward=toward)
    if rate is None:
        return np.zeros(len(ratios))
    rho = correlation(counts, rate)
    scores = unit_scores(counts.turns, counts.events, rate=rate, correlation=rho)
    exponents = math.log(truth) * scores
    chance = np.exp(math.log(share) + exponents - log_odds_paid(exponents, share))
    return _gains(counts, share, scores[:, None] * np.log(ratios), chance)


def _gains(
    counts: UnitCounts, share: float, exponents: FloatArray, arms: BoolArray | FloatArray
) -> FloatArray:
    _check_share(share)
    gains = arms[:, None] * exponents - log_odds_paid(exponents, share)
    return np.asarray(counts.units @ gains, dtype=np.float64)


def _check_share(share: float) -> None:
    if not 0.0 < share < 1.0:
        raise ValueError(f"a canary's share of traffic lies between 0 and 1, not at {share}")


# --------------------------------------------------------------------------- evidence and verdicts


def log_evidence(capitals: FloatArray, weights: Sequence[float] = THETA_WEIGHTS) -> float:
    """Return ln sum w exp(l) of log capitals (b,) with as many ``weights``, which add up to 1."""
    logs = np.asarray(capitals, dtype=np.float64) + np.log(np.asarray(weights, dtype=np.float64))
    most = float(logs.max())
    return most + math.log(float(np.exp(logs - most).sum()))


def evidence(capitals: FloatArray, weights: Sequence[float] = THETA_WEIGHTS) -> float:
    """Return the evidence of a trigger, sum w exp(l): 1 before any unit, at most 1e300."""
    return from_log(log_evidence(capitals, weights))


def from_log(log: float) -> float:
    """Return the evidence whose logarithm is ``log``, at most 1e300."""
    return min(LARGEST_EVIDENCE, math.exp(min(log, math.log(LARGEST_EVIDENCE))))


def trigger_weights(overall: int, slices: int) -> tuple[float, float]:
    """Return the stake of each overall trigger and of each slice trigger; all of them add up to 1.

    Half is spread over the overall triggers and half over those of slices, all of it over one kind
    where there is none of the other.
    """
    if not overall or not slices:
        return (1.0 / overall if overall else 0.0), (1.0 / slices if slices else 0.0)
    return 0.5 / overall, 0.5 / slices


def policy_evidence(overall: Sequence[float], slices: Sequence[float]) -> float:
    """Return the evidence of a policy from that of its triggers; 1 where there is none.

    Half the mean over the overall triggers and half that over all slice triggers
    (:func:`trigger_weights`). An average of fair bets is a fair bet, so this reaches 1/alpha in
    at most a share alpha of equal canaries, over all triggers and looks together.
    """
    if not overall and not slices:
        return 1.0
    each_overall, each_slice = trigger_weights(len(overall), len(slices))
    return min(LARGEST_EVIDENCE, each_overall * math.fsum(overall) + each_slice * math.fsum(slices))


def rules_out(capitals: FloatArray, ratio: float, ratios: Sequence[float] = THETAS) -> bool:
    """Return whether a harm of this ratio, one of ``ratios``, is ruled out: l <= -ln 50.

    The other boundary of Wald's test: were the ratio true, the bet on it would ever lose so much
    with probability 1/50 at most. ValueError for a ratio that is not bet on.
    """
    if ratio not in ratios:
        raise ValueError(f"{ratio} is not among the ratios that are bet on: {ratios}")
    return float(capitals[list(ratios).index(ratio)]) <= -math.log(RULED_OUT)


def smallest_ruled_out(capitals: FloatArray, ratios: Sequence[float] = THETAS) -> float | None:
    """Return the smallest ratio that is ruled out with all larger ones; None where 10 is not.

    Whatever is smaller could still hide.
    """
    smallest = None
    for ratio in reversed(ratios):
        if not rules_out(capitals, ratio, ratios):
            break
        smallest = ratio
    return smallest


def rate_at(rate: float, ratio: float) -> float:
    """Return the rate whose odds are ``ratio`` times those of ``rate``: what a harm amounts to."""
    return ratio * rate / (1.0 - rate + ratio * rate)


def log_floor_evidence(counts: UnitCounts, floor: float) -> float:
    """Return the log evidence that the canary's rate is below ``floor``, within (0, 1).

    Of m canary units k have an event, and at the floor a unit of n turns (their mean) has one with
    chance q = 1 - (1 - floor)^n. The evidence is the likelihood of a Beta(1/2, 1) mixture over
    chances below q, as 64 bets, over that at q; for every chance from q on it is 1 or less on
    average (Robbins 1970). 0 without a unit of the canary.
    """
    if not 0.0 < floor < 1.0:
        raise ValueError(f"a floor lies between 0 and 1, not at {floor}")
    units = np.where(counts.canary, counts.units, 0)
    total = int(units.sum())
    if total == 0:
        return 0.0
    hit = int(units[counts.events > 0].sum())
    turns = float((units * counts.turns).sum()) / total
    log_free = turns * math.log1p(-floor)
    chance = -math.expm1(log_free)
    # u = v^2 with v uniform has the density u^(-1/2) / 2; the nodes are a mixture of their own.
    below = ((_FLOOR_NODES + 1.0) / 2.0) ** 2
    logs = hit * np.log(below) + (total - hit) * (np.log1p(-chance * below) - log_free)
    return log_evidence(logs, (_FLOOR_WEIGHTS / 2.0).tolist())


def floor_evidence(counts: UnitCounts, floor: float = 0.001) -> float:
    """Return the evidence that the canary's rate is below ``floor``; 50 or more shows it."""
    return from_log(log_floor_evidence(counts, floor))


def log_sample_ratio(canary: int, units: int, share: float) -> float:
    """Return the log evidence that ``canary`` of ``units`` of a step were not drawn at ``share``.

    Beta-binomial: the share mixed over Beta(1000 p, 1000 (1 - p)), against p itself. Always valid
    (Lindon and Malek 2022, "Anytime-valid inference for multinomial count data"). Those of steps
    are added up. ValueError for more canary units than units.
    """
    _check_share(share)
    if not 0 <= canary <= units:
        raise ValueError(f"{canary} of {units} units")
    a, b = PRIOR_UNITS * share, PRIOR_UNITS * (1.0 - share)
    others = units - canary
    mixed = _log_beta(a + canary, b + others) - _log_beta(a, b)
    return mixed - canary * math.log(share) - others * math.log1p(-share)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def sample_ratio(steps: Iterable[tuple[int, int, float]]) -> float:
    """Return the evidence that traffic was not split as the policy says; 1,000 is a mismatch.

    ``steps`` are (canary units, units, share) each. Over the values of a slice the evidences are
    averaged, each of its own steps.
    """
    return from_log(math.fsum(log_sample_ratio(*step) for step in steps))
