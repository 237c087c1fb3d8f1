"""Bets on the arm of a unit: fair whatever the units are, whatever their order, and by hand."""

import itertools
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.arrays import FloatArray
from relkit.statistics.bets import (
    LARGEST_EVIDENCE,
    RULED_OUT,
    THETA_WEIGHTS,
    THETAS,
    control_rate,
    correlation,
    evidence,
    expected_capitals,
    floor_evidence,
    from_log,
    log_capitals,
    log_evidence,
    log_floor_evidence,
    log_likelihoods,
    log_sample_ratio,
    no_units,
    policy_evidence,
    pooled_rate,
    rate_at,
    rules_out,
    sample_ratio,
    smallest_ruled_out,
    step_capitals,
    step_likelihoods,
    trigger_weights,
    unit_scores,
    units_of,
)
from relkit.statistics.measured_bets import (
    DELTA_WEIGHTS,
    DELTAS,
    UnitAmounts,
    log_capitals_of_amounts,
    step_capitals_of_amounts,
)
from relkit.statistics.types import UnitCounts

Unit = tuple[bool, int, int]

SHARES = st.sampled_from([0.01, 0.05, 0.25, 0.5, 0.75])
UNIT = st.integers(1, 63).flatmap(
    lambda turns: st.tuples(st.booleans(), st.just(turns), st.integers(0, turns))
)
AMOUNT = st.tuples(
    st.booleans(),
    st.floats(-1e3, 1e3).map(lambda value: round(value, 3)),
    st.integers(0, 3).map(float),
)


def histogram(units: Sequence[Unit]) -> UnitCounts:
    """Return single units as a histogram."""
    canary, turns, events = (
        (list(column) for column in zip(*units, strict=True)) if units else ([],) * 3
    )
    return units_of(
        np.array(canary, dtype=np.bool_),
        np.array(turns, dtype=np.int64),
        np.array(events, dtype=np.int64),
    )


def amounts_of(units: Sequence[tuple[bool, float, float]]) -> UnitAmounts:
    """Return units with their arm, amount and base."""
    canary, amounts, bases = zip(*units, strict=True)
    return UnitAmounts(
        canary=np.array(canary, dtype=np.bool_),
        amounts=np.array(amounts, dtype=np.float64),
        bases=np.array(bases, dtype=np.float64),
    )


def labellings(count: int, share: float) -> list[tuple[tuple[bool, ...], float]]:
    """Return all ways to draw the arms of so many units, and the chance of each."""
    return [
        (arms, math.prod(share if arm else 1.0 - share for arm in arms))
        for arms in itertools.product((False, True), repeat=count)
    ]


# ------------------------------------------------------------------------------------------- laws


@settings(max_examples=60, deadline=None)
@given(
    units=st.lists(UNIT, min_size=1, max_size=40),
    share=SHARES,
    cuts=st.lists(st.integers(0, 40), max_size=4),
    shuffler=st.randoms(use_true_random=False),
)
def test_evidence_does_not_depend_on_order_or_on_how_units_are_split(
    units: list[Unit], share: float, cuts: list[int], shuffler: random.Random
) -> None:
    """Shuffled and cut into parts that are added up, the same units give the same evidence."""
    expected = step_capitals(histogram(units), share)
    shuffled = list(units)
    shuffler.shuffle(shuffled)
    ends = [0, *sorted(min(cut, len(units)) for cut in cuts), len(units)]
    parts = [histogram(shuffled[start:end]) for start, end in itertools.pairwise(ends)]
    shuffler.shuffle(parts)
    merged = sum(parts, no_units())
    assert np.array_equal(step_capitals(merged, share), expected)
    # Cells that were never merged: the same to rounding.
    columns = ("canary", "turns", "events", "units")
    loose = UnitCounts(
        **{name: np.concatenate([getattr(p, name) for p in parts]) for name in columns}
    )
    assert step_capitals(loose, share) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    units=st.lists(UNIT, min_size=1, max_size=12),
    share=SHARES,
    toward=st.none() | st.floats(0.001, 0.5),
)
def test_every_bet_is_fair_over_all_labellings(
    units: list[Unit], share: float, toward: float | None
) -> None:
    """Nothing the bets are tuned with sees the arm, and every capital is 1 on average."""
    blind = histogram(units)
    rate = pooled_rate(blind, toward=toward)
    assert rate is not None
    rho = correlation(blind, rate)
    _, turns, events = (np.array(column) for column in zip(*units, strict=True))
    capitals, chances = [], []
    for arms, chance in labellings(len(units), share):
        labelled = UnitCounts(
            canary=np.array(arms),
            turns=turns,
            events=events,
            units=np.ones(len(units), dtype=np.int64),
        )
        bets = log_capitals(labelled, share, rate=rate, correlation=rho)
        ratios = log_likelihoods(labelled, share, rate=rate, correlation=rho)
        capitals.append(np.exp([*bets, *ratios]))
        chances.append(chance)
    assert pooled_rate(labelled, toward=toward) == rate
    assert correlation(labelled, rate) == rho
    assert np.array(chances) @ np.array(capitals) == pytest.approx(np.ones(12), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(units=st.lists(UNIT, min_size=1, max_size=30))
def test_at_an_even_split_swapped_arms_cannot_both_win(units: list[Unit]) -> None:
    """The capitals of a labelling and of its mirror image multiply to at most 1."""
    counts = histogram(units)
    mirrored = UnitCounts(
        canary=~counts.canary, turns=counts.turns, events=counts.events, units=counts.units
    )
    assert np.all(step_capitals(counts, 0.5) + step_capitals(mirrored, 0.5) <= 1e-12)


@settings(max_examples=60, deadline=None)
@given(
    turns=st.integers(1, 12),
    share=SHARES,
    rate=st.floats(0.001, 0.6),
    bet=st.integers(0, len(THETAS) - 1),
)
def test_a_harm_that_is_there_is_ruled_out_once_in_fifty(
    turns: int, share: float, rate: float, bet: int
) -> None:
    """Where turns are independent, 1 / likelihood ratio of the true odds is 1 on average."""
    ratios = np.array(THETAS)
    control = float(control_rate(rate, share, ratios)[bet])
    canary = rate_at(control, THETAS[bet])
    assert share * canary + (1.0 - share) * control == pytest.approx(rate)
    mean = 0.0
    for arm, chance, true in ((True, share, canary), (False, 1.0 - share, control)):
        for events in range(turns + 1):
            unit = units_of(np.array([arm]), np.array([turns]), np.array([events]))
            log = log_likelihoods(unit, share, rate=rate, correlation=0.0)[bet]
            drawn = math.comb(turns, events) * true**events * (1.0 - true) ** (turns - events)
            mean += chance * drawn * math.exp(-log)
    assert mean == pytest.approx(1.0, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(units=st.lists(UNIT, max_size=30), share=SHARES, canary=st.booleans())
def test_one_arm_alone_shows_no_harm_and_rules_none_out(
    *, units: list[Unit], share: float, canary: bool
) -> None:
    """Without units of the other arm, or of any, the evidence is 1 and nothing is ruled out."""
    counts = histogram([(canary, turns, events) for _, turns, events in units])
    for capitals in (step_capitals(counts, share), step_likelihoods(counts, share)):
        assert evidence(capitals) == pytest.approx(1.0)
        assert smallest_ruled_out(capitals) is None
    amounts = UnitAmounts(
        canary=counts.canary,
        amounts=counts.events.astype(np.float64),
        bases=counts.turns.astype(np.float64),
    )
    assert evidence(step_capitals_of_amounts(amounts, share), DELTA_WEIGHTS) == pytest.approx(1.0)


@settings(max_examples=25, deadline=None)
@given(units=st.lists(AMOUNT, min_size=1, max_size=12), share=SHARES, lower=st.booleans())
def test_bets_on_amounts_are_fair_over_all_labellings(
    *, units: list[tuple[bool, float, float]], share: float, lower: bool
) -> None:
    """The capital of every bet on a relative change is 1 on average over the arms."""
    _, amounts, bases = zip(*units, strict=True)
    capitals, chances = [], []
    for arms, chance in labellings(len(units), share):
        labelled = amounts_of(list(zip(arms, amounts, bases, strict=True)))
        capitals.append(np.exp(log_capitals_of_amounts(labelled, share, lower_is_worse=lower)))
        chances.append(chance)
    assert np.array(chances) @ np.array(capitals) == pytest.approx(np.ones(len(DELTAS)), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(units=st.lists(AMOUNT, min_size=1, max_size=40), cut=st.integers(0, 40))
def test_amounts_do_not_depend_on_their_order(
    units: list[tuple[bool, float, float]], cut: int
) -> None:
    """Split, swapped and joined, the same amounts give the same capitals."""
    cut = min(cut, len(units) - 1)
    joined = amounts_of(units[cut:])
    if cut:
        joined += amounts_of(units[:cut])
    assert log_capitals_of_amounts(joined, 0.05) == pytest.approx(
        log_capitals_of_amounts(amounts_of(units), 0.05), rel=1e-9, abs=1e-9
    )


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 40), share=SHARES)
def test_the_sample_ratio_is_fair(count: int, share: float) -> None:
    """Averaged over how many of the units are in the canary, its evidence is 1."""
    mean = sum(
        math.comb(count, k)
        * share**k
        * (1.0 - share) ** (count - k)
        * math.exp(log_sample_ratio(k, count, share))
        for k in range(count + 1)
    )
    assert mean == pytest.approx(1.0, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 60),
    floor=st.floats(1e-3, 0.3),
    more=st.floats(0.0, 1.0),
    turns=st.integers(1, 5),
)
def test_the_floor_is_fair_where_the_rate_is_not_below_it(
    count: int, floor: float, more: float, turns: int
) -> None:
    """Its evidence is 1 on average at the floor, and at most 1 above it."""
    at_floor = 1.0 - (1.0 - floor) ** turns
    chance = at_floor + more * (1.0 - at_floor)

    def of(hit: int) -> float:
        return math.exp(
            log_floor_evidence(
                histogram([(True, turns, int(k < hit)) for k in range(count)]), floor
            )
        )

    mean = sum(
        math.comb(count, k) * chance**k * (1.0 - chance) ** (count - k) * of(k)
        for k in range(count + 1)
    )
    assert mean <= 1.0 + 1e-9
    if more == 0.0:
        assert mean == pytest.approx(1.0, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    units=st.lists(UNIT, min_size=2, max_size=30),
    share=SHARES,
    ratio=st.sampled_from(THETAS),
    times=st.integers(1, 400),
)
def test_what_is_ruled_out_rules_out_all_larger_harms(
    units: list[Unit], share: float, ratio: float, times: int
) -> None:
    """The bet on a larger ratio has lost more wherever a smaller one is ruled out."""
    counts = histogram(units)
    many = UnitCounts(
        canary=counts.canary, turns=counts.turns, events=counts.events, units=counts.units * times
    )
    capitals = step_capitals(many, share)
    if rules_out(capitals, ratio):
        assert all(rules_out(capitals, larger) for larger in THETAS if larger > ratio)


@settings(max_examples=30, deadline=None)
@given(units=st.lists(UNIT, min_size=1, max_size=10), share=SHARES)
def test_a_plan_expects_the_mean_over_all_labellings(units: list[Unit], share: float) -> None:
    """The expected log capital of equal arms is the mean of the log capitals over the arms."""
    counts = histogram(units)
    rate = pooled_rate(counts)
    assert rate is not None
    rho = correlation(counts, rate)
    _, turns, events = (np.array(column) for column in zip(*units, strict=True))
    mean: FloatArray = np.zeros(len(THETAS))
    for arms, chance in labellings(len(units), share):
        labelled = units_of(np.array(arms), turns, events)
        mean = mean + chance * log_capitals(labelled, share, rate=rate, correlation=rho)
    assert expected_capitals(counts, share) == pytest.approx(mean, abs=1e-9)
    # The bettor who knows the truth grows fastest, and does not lose (Kelly 1956).
    grown = expected_capitals(counts, share, truth=2.0)
    assert grown[THETAS.index(2.0)] >= max(0.0, float(grown.max())) - 1e-12


# ---------------------------------------------------------------------------------------- by hand


UNITS = ((False, 4, 1), (False, 2, 0), (True, 3, 2), (True, 1, 0), (False, 5, 0), (True, 5, 2))


def test_the_capitals_by_hand() -> None:
    """Rate, correlation, scores and log capitals of six units, one by one."""
    counts = histogram(UNITS)
    rate = 5 / 20
    assert pooled_rate(counts) == rate
    assert pooled_rate(counts, toward=0.02) == pytest.approx((5 + 300 * 0.02) / 320)
    spread = sum((e - rate * n) ** 2 for _, n, e in UNITS)
    rho = (spread / (rate * (1 - rate)) - 20) / sum(n * (n - 1) for _, n, e in UNITS)
    assert 0 < rho < 1
    assert correlation(counts, rate) == pytest.approx(rho)
    share = 0.05
    for theta, capital in zip(THETAS, step_capitals(counts, share), strict=True):
        log = 0.0
        for arm, n, e in UNITS:
            x = (e - rate * n) / (1 + (n - 1) * rho)
            log += arm * x * math.log(theta) - math.log(1 + share * (theta**x - 1))
        assert capital == pytest.approx(log)


def test_the_evidence_by_hand() -> None:
    """Weights add up to 1, harm in the canary is paid and harm in control is not."""
    assert sum(THETA_WEIGHTS) == pytest.approx(1.0)
    assert sum(DELTA_WEIGHTS) == pytest.approx(1.0)
    worse = histogram([(k % 2 == 0, 4, int(k % 2 == 0 or k % 16 == 1)) for k in range(200)])
    capitals = step_capitals(worse, 0.5)
    assert evidence(capitals) == pytest.approx(sum(np.array(THETA_WEIGHTS) * np.exp(capitals)))
    assert evidence(capitals) > 1e6
    better = UnitCounts(
        canary=~worse.canary, turns=worse.turns, events=worse.events, units=worse.units
    )
    assert evidence(step_capitals(better, 0.5)) < 1e-3
    assert smallest_ruled_out(step_capitals(better, 0.5)) == 1.25


def test_evidence_does_not_overflow() -> None:
    """A million hopeless sessions give a large finite number, whose logarithm is exact."""
    counts = UnitCounts(
        canary=np.array([True, False]),
        turns=np.array([63, 63]),
        events=np.array([63, 0]),
        units=np.array([10**6, 10**6]),
    )
    capitals = step_capitals(counts, 0.5)
    assert np.all(np.isfinite(capitals))
    assert log_evidence(capitals) > 1e5
    assert evidence(capitals) == pytest.approx(LARGEST_EVIDENCE)
    assert policy_evidence([evidence(capitals)] * 6, [LARGEST_EVIDENCE] * 120) <= LARGEST_EVIDENCE
    assert from_log(-1e6) == 0.0


def test_no_event_and_nothing_but_events_bet_nothing() -> None:
    """Where all units are alike there is nothing to guess from, and nothing is ruled out."""
    for events in (0, 3):
        counts = histogram([(k % 2 == 0, 3, events) for k in range(5000)])
        assert step_capitals(counts, 0.5) == pytest.approx(np.zeros(6), abs=1e-9)
    constant = amounts_of([(k % 2 == 0, 0.1, 1.0) for k in range(999)])
    assert np.array_equal(step_capitals_of_amounts(constant, 0.5), np.zeros(5))
    baseless = amounts_of([(k % 2 == 0, 0.1, 0.0) for k in range(9)])
    assert np.array_equal(step_capitals_of_amounts(baseless, 0.5), np.zeros(5))


def test_the_scores_of_correlated_turns_count_less() -> None:
    """With rho 1 a unit counts as one turn, with rho 0 as all of its turns."""
    turns, events = np.array([1, 10, 10]), np.array([1, 10, 0])
    alone = unit_scores(turns, events, rate=0.1, correlation=0.0)
    alike = unit_scores(turns, events, rate=0.1, correlation=1.0)
    assert alone == pytest.approx([0.9, 9.0, -1.0])
    assert alike == pytest.approx([0.9, 0.9, -0.1])


def test_the_policy_spends_its_stake_once() -> None:
    """Half over the overall triggers, half over slices, and all of one where there is no other."""
    assert policy_evidence([40.0, 0.0], [10.0, 0.0, 2.0]) == pytest.approx(10.0 + 2.0)
    assert policy_evidence([40.0, 0.0], []) == pytest.approx(20.0)
    assert policy_evidence([], [6.0]) == pytest.approx(6.0)
    assert policy_evidence([], []) == 1.0
    assert trigger_weights(6, 120) == pytest.approx((0.5 / 6, 0.5 / 120))
    assert trigger_weights(0, 4) == (0.0, 0.25)
    assert trigger_weights(0, 0) == (0.0, 0.0)


def test_ruling_out_is_inclusive_and_only_of_ratios_bet_on() -> None:
    """Exactly -ln 50 rules out, a hair more does not, and 1.7 is no ratio of the bets."""
    edge = np.full(6, -math.log(RULED_OUT))
    assert rules_out(edge, 2.0)
    assert not rules_out(np.nextafter(edge, 0.0), 2.0)
    assert smallest_ruled_out(np.array([0, -1, -5, -9, -20, -30.0])) == 2.0
    assert smallest_ruled_out(np.zeros(6)) is None
    with pytest.raises(ValueError, match=r"1\.7 is not among"):
        rules_out(edge, 1.7)


def test_a_better_canary_rules_harms_out_and_a_harmed_one_does_not() -> None:
    """5,000 quiet sessions of each arm rule a doubled rate out; a doubled rate does not pass."""
    rng = np.random.default_rng(5)
    canary = rng.random(10_000) < 0.5
    turns = rng.integers(1, 6, 10_000)
    quiet = units_of(canary, turns, rng.binomial(turns, 0.02))
    assert rules_out(step_capitals(quiet, 0.5), 2.0)
    harmed = units_of(canary, turns, rng.binomial(turns, np.where(canary, 0.04, 0.02)))
    assert not rules_out(step_capitals(harmed, 0.5), 2.0)
    assert evidence(step_capitals(harmed, 0.5)) > 1000


def test_a_floor_is_shown_by_enough_quiet_units() -> None:
    """No event in 2,000 turns does not show a rate below 0.1 %, in 6,000 it does."""
    few = UnitCounts(
        canary=np.array([True]), turns=np.array([4]), events=np.array([0]), units=np.array([500])
    )
    many = UnitCounts(
        canary=np.array([True]), turns=np.array([4]), events=np.array([0]), units=np.array([1500])
    )
    assert floor_evidence(few) < RULED_OUT < floor_evidence(many)
    at_floor = many + UnitCounts(
        canary=np.array([True]), turns=np.array([4]), events=np.array([1]), units=np.array([6])
    )
    assert floor_evidence(at_floor) < 1.0
    control = UnitCounts(
        canary=np.array([False]), turns=np.array([4]), events=np.array([0]), units=np.array([10**6])
    )
    assert floor_evidence(control) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="a floor lies between"):
        floor_evidence(many, 0.0)


def test_a_sample_ratio_that_is_off_is_seen() -> None:
    """4 % where the policy says 5 % is found; 5 % is not; steps multiply."""
    assert sample_ratio([(400, 10_000, 0.05)]) > 1000
    assert sample_ratio([(500, 10_000, 0.05)]) < 1
    single = sample_ratio([(430, 10_000, 0.05)])
    assert sample_ratio([(430, 10_000, 0.05), (430, 10_000, 0.05)]) == pytest.approx(single**2)
    assert sample_ratio([]) == 1.0
    with pytest.raises(ValueError, match="5 of 4 units"):
        sample_ratio([(5, 4, 0.5)])


def test_bets_on_amounts_by_hand() -> None:
    """Clipped, scaled by both arms, with the tilt of each relative change; and turned around."""
    units = [
        (True, 3.0, 1.0),
        (False, 1.0, 1.0),
        (False, 1.5, 2.0),
        (True, 0.5, 0.0),
        (False, 1.0, 1.0),
    ]
    ratio = 7.0 / 5.0
    distances = [y - ratio * d for _, y, d in units]
    spread = math.sqrt(sum(z * z for z in distances) / 5)
    for sign, lower in ((1.0, False), (-1.0, True)):
        capitals = step_capitals_of_amounts(amounts_of(units), 0.25, lower_is_worse=lower)
        for delta, capital in zip(DELTAS, capitals, strict=True):
            tilt = min(1.0, delta * ratio * 1.0 / spread)
            log = 0.0
            for (arm, _, _), distance in zip(units, distances, strict=True):
                z = tilt * sign * max(-5.0, min(5.0, distance / spread))
                log += arm * z - math.log(1 + 0.25 * (math.exp(z) - 1))
            assert capital == pytest.approx(log)


def test_a_whale_does_not_decide() -> None:
    """One caller who costs fifty times as much lies seven spreads away and counts as five."""
    amounts = np.where(np.arange(50) == 0, 50.0, 1.0)
    units = UnitAmounts(canary=np.arange(50) % 2 == 0, amounts=amounts, bases=np.ones(50))
    ratio = float(amounts.mean())
    spread = float(np.sqrt(np.mean((amounts - ratio) ** 2)))
    assert (50.0 - ratio) / spread > 6.9
    tilt = min(1.0, DELTAS[-1] * ratio / spread)
    exponents = tilt * np.minimum((amounts - ratio) / spread, 5.0)
    log = float((units.canary * exponents).sum() - np.log1p(0.5 * np.expm1(exponents)).sum())
    capitals = step_capitals_of_amounts(units, 0.5)
    assert capitals[-1] == pytest.approx(log)
    assert evidence(capitals, DELTA_WEIGHTS) < 20


def test_what_a_ratio_amounts_to() -> None:
    """Twice the odds of 2 % is 3.9 %, of 50 % two thirds."""
    assert rate_at(0.02, 2.0) == pytest.approx(0.04 / 1.02)
    assert rate_at(0.5, 2.0) == pytest.approx(2 / 3)
    assert rate_at(0.0, 10.0) == 0.0


def test_sums_of_an_arm() -> None:
    """Units, turns, events and the rate of each arm; no rate without a turn."""
    counts = histogram(UNITS)
    canary, control = counts.arm(canary=True), counts.arm(canary=False)
    assert (canary.units, canary.turns, canary.events) == (3, 9, 4)
    assert control.rate == pytest.approx(1 / 11)
    assert no_units().arm(canary=True).rate is None
    assert pooled_rate(no_units()) is None
    assert np.array_equal(expected_capitals(no_units(), 0.5), np.zeros(6))


@pytest.mark.parametrize(
    ("turns", "events", "units", "message"),
    [
        ([0], [0], [1], "at least one turn"),
        ([2], [3], [1], "one per turn"),
        ([2], [-1], [1], "one per turn"),
        ([2], [1], [-1], "negative count"),
        ([2, 2], [1], [1], "one length"),
    ],
)
def test_what_is_no_histogram_is_refused(
    turns: list[int], events: list[int], units: list[int], message: str
) -> None:
    """Impossible units never become evidence."""
    with pytest.raises(ValueError, match=message):
        UnitCounts(
            canary=np.array([True]),
            turns=np.array(turns),
            events=np.array(events),
            units=np.array(units),
        )


@pytest.mark.parametrize(
    ("amounts", "bases", "message"),
    [
        ([math.nan], [1.0], "not finite"),
        ([1.0], [math.inf], "not finite"),
        ([1.0], [-1.0], "not negative"),
        ([1.0, 2.0], [1.0], "one length"),
    ],
)
def test_amounts_that_cannot_be_compared_are_refused(
    amounts: list[float], bases: list[float], message: str
) -> None:
    """A missing amount is never counted as 0."""
    with pytest.raises(ValueError, match=message):
        UnitAmounts(canary=np.array([True]), amounts=np.array(amounts), bases=np.array(bases))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, math.nan])
def test_a_share_at_the_ends_is_refused(share: float) -> None:
    """With all traffic in one arm there is nothing to guess."""
    with pytest.raises(ValueError, match="lies between 0 and 1"):
        step_capitals(histogram(UNITS), share)
