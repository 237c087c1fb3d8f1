"""What a canary policy can find, in turns and hours, before anything is shipped.

All of it comes from units of traffic like those to come, whose arms are not looked at: a bet on a
harm that is not there loses so much with each unit, and one on a harm that is there gains so much.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from relkit.canary.outlook import units_to_find, units_to_rule_out, units_to_show_floor
from relkit.canary.policies import sliced_triggers
from relkit.canary.types import (
    BlindSlice,
    CanaryPlan,
    CanaryPolicy,
    CanaryStep,
    FalseRollback,
    PlannedFind,
    PlannedStep,
    SampledUnits,
    Trigger,
)
from relkit.core.arrays import FloatArray, IntArray
from relkit.core.slices import SliceSpec
from relkit.core.values import Named
from relkit.statistics.bets import (
    RULED_OUT,
    THETA_WEIGHTS,
    THETAS,
    correlation,
    expected_capitals,
    log_odds_paid,
    no_units,
    pooled_rate,
    trigger_weights,
    unit_scores,
    units_of,
)
from relkit.statistics.types import UnitCounts

RUNS = 1000
"""Rollouts of an equal canary that a plan draws."""

LOOKS = 5
"""Looks at each step of such a rollout."""

_SEED = 20260301
_RATE, _SESSIONS = 0.02, 10_000


def planned_rollout(policy: CanaryPolicy, sample: SampledUnits, *, runs: int = RUNS) -> CanaryPlan:
    """Return what each step can rule out and find, which slices stay blind, and false rollbacks.

    ``runs`` 0 leaves the false rollbacks out.
    """
    counts = {key: _histogram(*pair) for key, pair in sample.counts.items()}
    per_hour = sample.turns_per_hour / max(float(sample.turns.mean()), 1.0)
    steps = tuple(_steps(policy, sample, counts, per_hour))
    hours = [step.hours for step in steps]
    whole = None if None in hours else math.fsum(hour for hour in hours if hour is not None)
    return CanaryPlan(
        policy=Named(name=policy.name, digest=policy.digest),
        turns_per_hour=sample.turns_per_hour,
        units=len(sample.turns),
        assumed=sample.assumed,
        steps=steps,
        hours=whole,
        blind=tuple(_blind(policy, sample, counts, steps, per_hour)),
        false_rollback=None
        if sample.assumed or not runs
        else false_rollbacks(policy, sample, runs=runs),
    )


def assumed_units(policy: CanaryPolicy, turns_per_hour: float) -> SampledUnits:
    """Return units to plan with where there is no traffic yet: 4 turns each, 2 % events.

    A tail has the events that its percentile says; the turns of a unit are alike as in calls
    (their rate is Gamma distributed with shape 2).
    """
    draw = np.random.default_rng(_SEED)
    turns = 1 + draw.poisson(3.0, _SESSIONS)
    counts: dict[tuple[str, str | None], tuple[IntArray, IntArray]] = {}
    for trigger in policy.watched:
        if trigger.kind == "mean":
            continue
        rate = _RATE if trigger.percentile is None else 1.0 - trigger.percentile
        events = draw.binomial(turns, np.minimum(1.0, rate * draw.gamma(2.0, 0.5, _SESSIONS)))
        pair = (turns, events)
        if trigger.per_unit:
            pair = (np.ones_like(turns), np.minimum(events, 1))
        counts[trigger.id, None] = pair
    return SampledUnits(turns=turns, counts=counts, turns_per_hour=turns_per_hour, assumed=True)


def _histogram(turns: IntArray, events: IntArray) -> UnitCounts:
    some = turns > 0
    return units_of(np.zeros(int(some.sum()), dtype=np.bool_), turns[some], events[some])


def _steps(
    policy: CanaryPolicy,
    sample: SampledUnits,
    counts: Mapping[tuple[str, str | None], UnitCounts],
    per_hour: float,
) -> Iterator[PlannedStep]:
    """Yield the steps: what a bet has lost in one it begins the next with."""
    capitals = {trigger.id: np.zeros(len(THETAS)) for trigger in policy.watched}
    canary_units = 0.0
    for step in policy.steps:
        least = step.min_duration_s / 3600 * per_hour
        needed = {
            trigger.id: _needed(trigger, step, counts, capitals[trigger.id], canary_units)
            for trigger in policy.watched
            if trigger.mode == "required" and trigger.kind != "mean"
        }
        known = [units for units in needed.values() if units is not None]
        never = len(known) < len(needed)
        units = max([least, *known])
        slowest = max(needed, key=lambda name: needed[name] or 0.0, default=None)
        if never:
            slowest = next(name for name, few in needed.items() if few is None)
        elif slowest is not None and (needed[slowest] or 0.0) <= least:
            slowest = None
        turns = units * float(sample.turns.mean())
        yield PlannedStep(
            share=step.share,
            detectable=step.detectable,
            turns=None if never else math.ceil(turns),
            hours=None if never else units / per_hour,
            waits_for=slowest,
            finds=tuple(_finds(policy, step, sample, counts, per_hour)),
        )
        canary_units += units * step.share
        for trigger in policy.watched:
            of_trigger = counts.get((trigger.id, None))
            if of_trigger is not None and of_trigger.units.sum():
                each = expected_capitals(of_trigger, step.share) / float(of_trigger.units.sum())
                capitals[trigger.id] = capitals[trigger.id] + units * each


def _needed(
    trigger: Trigger,
    step: CanaryStep,
    counts: Mapping[tuple[str, str | None], UnitCounts],
    capitals: FloatArray,
    canary_units: float,
) -> float | None:
    """Return the units that a step needs for a trigger; None for never."""
    of_trigger = counts.get((trigger.id, None))
    if of_trigger is None or not of_trigger.units.sum():
        return None
    capital = float(capitals[THETAS.index(step.detectable)])
    had = no_units()
    if canary_units >= 1 and of_trigger.units.sum():
        scale = canary_units / float(of_trigger.units.sum())
        had = UnitCounts(
            canary=np.ones(len(of_trigger.units), dtype=np.bool_),
            turns=of_trigger.turns,
            events=of_trigger.events,
            units=np.rint(of_trigger.units * scale).astype(np.int64),
        )
    possible = [
        units
        for units in (
            units_to_rule_out(of_trigger, step.share, step.detectable, capital=capital),
            units_to_show_floor(of_trigger, had, step.share, trigger.floor),
        )
        if units is not None
    ]
    return min(possible, default=None)


def _finds(
    policy: CanaryPolicy,
    step: CanaryStep,
    sample: SampledUnits,
    counts: Mapping[tuple[str, str | None], UnitCounts],
    per_hour: float,
) -> Iterator[PlannedFind]:
    """Yield what finds the step's ratio in each trigger, overall, from no evidence at all."""
    overall = [trigger for trigger in policy.watched if trigger.mode != "advisory"]
    slices = sum(map(len, sample.labels.values())) * len(sliced_triggers(policy))
    stake, _ = trigger_weights(len(overall), slices)
    for trigger in overall:
        of_trigger = counts.get((trigger.id, None))
        if of_trigger is None:
            continue
        needed = math.log(policy.threshold / stake)
        units = units_to_find(of_trigger, step.share, step.detectable, needed)
        turns = None if units is None else math.ceil(units * float(sample.turns.mean()))
        yield PlannedFind(
            trigger=trigger.id,
            ratio=step.detectable,
            turns=turns,
            hours=None if units is None else units / per_hour,
        )


def _blind(
    policy: CanaryPolicy,
    sample: SampledUnits,
    counts: Mapping[tuple[str, str | None], UnitCounts],
    steps: tuple[PlannedStep, ...],
    per_hour: float,
) -> Iterator[BlindSlice]:
    """Yield the slices that could hide more than the last step's ratio when it is over."""
    every = len(sample.turns)
    hidden = []
    for column, labels in sample.labels.items():
        for code, label in enumerate(labels):
            inside = sample.codes[column] == code
            share = float(inside.sum()) / every
            for trigger in sliced_triggers(policy):
                pair = sample.counts.get((trigger.id, column))
                overall = counts.get((trigger.id, None))
                if pair is None or overall is None:
                    continue
                of_slice = _histogram(pair[0][inside], pair[1][inside])
                total = float(of_slice.units.sum())
                capitals = np.zeros(len(THETAS))
                for step, written in zip(steps, policy.steps, strict=True):
                    lasts = written.min_duration_s / 3600 if step.hours is None else step.hours
                    units = lasts * per_hour * share
                    toward = pooled_rate(overall)
                    if total:
                        each = expected_capitals(of_slice, step.share, toward=toward) / total
                        capitals = capitals + units * each
                ruled_out = [
                    theta
                    for theta, capital in zip(THETAS, capitals.tolist(), strict=True)
                    if capital <= -math.log(RULED_OUT)
                ]
                largest = ruled_out[0] if ruled_out else None
                if largest is None or largest > steps[-1].detectable:
                    key = SliceSpec.parse(column).key((label,))
                    hidden.append(BlindSlice(slice=key, trigger=trigger.id, could_hide=largest))
    yield from sorted(hidden, key=lambda blind: (-(blind.could_hide or math.inf), blind.slice))


def false_rollbacks(policy: CanaryPolicy, sample: SampledUnits, *, runs: int) -> FalseRollback:
    """Return how often an equal canary of this very traffic is rolled back.

    The units are cut into the policy's steps in the order of time, each looked at five times. In
    each run the arms are drawn again with the step's share, the same for all triggers and slices of
    a unit. The log capital is ln(theta) A x less what is the same for all arms, so that all runs,
    triggers and slices of a look are one product of matrices.
    """
    draw = np.random.default_rng(_SEED)
    columns = list(_columns(policy, sample))
    stakes = np.array([stake for *_, stake in columns])
    worst = np.zeros(runs)
    before = np.zeros((runs, len(columns), len(THETAS)))
    size = len(sample.turns) // len(policy.steps)
    for number, step in enumerate(policy.steps):
        arms = (draw.random((runs, size)) < step.share).astype(np.float32)
        here = before
        for look in range(1, LOOKS + 1):
            seen = size * look // LOOKS
            part = slice(number * size, number * size + seen)
            here = before + _capitals(columns, part, arms[:, :seen], step.share)
            logs = np.minimum(here, 600.0)
            evidence = np.exp(logs) @ np.array(THETA_WEIGHTS)
            worst = np.maximum(worst, evidence @ stakes)
        before = here
    fired = int((worst >= policy.threshold).sum())
    return FalseRollback(rate=fired / runs, high=_upper_end(fired, runs), runs=runs)


_Column = tuple[IntArray, IntArray, "str | None", "tuple[str, str | None]", float]


def _columns(policy: CanaryPolicy, sample: SampledUnits) -> Iterator[_Column]:
    """Yield (turns, events, slice column, trigger and column, stake) of everything bet on."""
    overall = [
        trigger
        for trigger in policy.watched
        if trigger.mode != "advisory" and (trigger.id, None) in sample.counts
    ]
    sliced = [
        (trigger, column, code)
        for column, labels in sample.labels.items()
        for code in range(len(labels))
        for trigger in sliced_triggers(policy)
        if (trigger.id, column) in sample.counts
    ]
    of_overall, of_slice = trigger_weights(len(overall), len(sliced))
    for trigger in overall:
        turns, events = sample.counts[trigger.id, None]
        yield turns, events, None, (trigger.id, None), of_overall
    for trigger, column, code in sliced:
        turns, events = sample.counts[trigger.id, column]
        inside = sample.codes[column] == code
        yield turns * inside, events * inside, column, (trigger.id, None), of_slice


def _capitals(
    columns: list[_Column], part: slice, arms: NDArray[np.float32], share: float
) -> FloatArray:
    """Return the log capitals (runs, columns, 6) of the units of a look."""
    rates: dict[tuple[str, str | None], float | None] = {}
    scores = np.zeros((arms.shape[1], len(columns)), dtype=np.float32)
    paid = np.zeros((len(columns), len(THETAS)))
    logs = np.log(np.array(THETAS))
    for place, (turns, events, column, key, _) in enumerate(columns):
        counts = _histogram(turns[part], events[part])
        toward = rates.get(key) if column is not None else None
        rate = pooled_rate(counts, toward=toward)
        if column is None:
            rates[key] = rate
        if rate is None or not counts.units.sum():
            continue
        # A unit without such a turn has no score, and none is computed.
        some = np.maximum(turns[part], 1)
        x = unit_scores(some, events[part], rate=rate, correlation=correlation(counts, rate))
        x = np.where(turns[part] > 0, x, 0.0)
        scores[:, place] = x
        paid[place] = log_odds_paid(x[:, None] * logs, share).sum(axis=0)
    gained = (arms @ scores).astype(np.float64)
    return np.asarray(gained[:, :, None] * logs - paid)


def _upper_end(events: int, runs: int) -> float:
    """Return the upper two-sided 95 % end of a share (Clopper and Pearson 1934)."""
    if events >= runs:
        return 1.0

    def below(rate: float) -> float:
        return math.fsum(
            math.comb(runs, k) * rate**k * (1 - rate) ** (runs - k) for k in range(events + 1)
        )

    low, high = events / runs, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) > 0.025 else (low, middle)  # noqa: PLR2004
    return high
