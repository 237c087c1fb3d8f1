"""Judges a look at a canary: advance, hold or roll back, with every reason. No I/O, no clock.

Everything is a function of the histogram of units and the counts beside it, so whoever has a
decision can compute it again (docs/canary-quality.md has the formulas).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np

from relkit.canary.outlook import units_to_rule_out, units_to_show_floor
from relkit.canary.policies import sliced_triggers
from relkit.canary.types import (
    EVERY_UNIT,
    ArmFigures,
    BlindSlice,
    CanaryCheck,
    CanaryLimit,
    CanaryLook,
    CanaryPolicy,
    CanaryReport,
    CanaryStep,
    CanaryVerdict,
    CheckStatus,
    JudgedLimit,
    JudgedStep,
    NeededData,
    NextStep,
    SampleRatioCheck,
    Trigger,
    TriggerMode,
)
from relkit.core.arrays import FloatArray
from relkit.core.slices import OVERALL, columns_of
from relkit.core.wording import counted, lasted, number, on_slice, percent
from relkit.gate.types import Verdict
from relkit.monitoring.serving.budgets import BUDGETS
from relkit.statistics.arm_differences import difference_of_rates
from relkit.statistics.bets import (
    RULED_OUT,
    SUSPECT_RATIO,
    THETAS,
    evidence,
    floor_evidence,
    no_units,
    policy_evidence,
    pooled_rate,
    rules_out,
    sample_ratio,
    smallest_ruled_out,
    step_capitals,
    step_likelihoods,
    trigger_weights,
)
from relkit.statistics.measured_bets import (
    DELTA_WEIGHTS,
    DELTAS,
    UnitAmounts,
    step_capitals_of_amounts,
)
from relkit.statistics.types import UnitCounts

LIMIT = "limit."
"""Before the id of a limit: the pseudo trigger whose histogram counts its events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bet:
    """A trigger in a slice: log capitals of the bets on ``ratios``, evidence, and both arms.

    ``ruling`` are the logs that a harm is ruled out by: of events the exact likelihood ratios where
    they have lost less than the bets. ``steps`` are its units by step, and ``units`` all together;
    none of a mean.
    """

    trigger: Trigger
    slice: str
    capitals: FloatArray
    ruling: FloatArray
    ratios: tuple[float, ...]
    evidence: float
    steps: tuple[UnitCounts, ...]
    units: UnitCounts
    control: ArmFigures
    canary: ArmFigures
    mode: TriggerMode

    @property
    def now(self) -> UnitCounts:
        """The units of the current step."""
        return self.steps[-1] if self.steps else no_units()

    @property
    def measured(self) -> bool:
        """Whether there is a unit that the trigger could have seen."""
        return self.control.units + self.canary.units > 0

    @property
    def both_arms(self) -> bool:
        """Whether both arms have units."""
        return self.control.units > 0 and self.canary.units > 0

    @property
    def below_floor(self) -> bool:
        """Whether the canary's rate is shown to be small enough by itself."""
        if self.trigger.kind == "mean" or not self.both_arms:
            return False
        return floor_evidence(self.units, self.trigger.floor) >= RULED_OUT

    def required(self, detectable: float) -> float:
        """Return the ratio to rule out: that of the step, or the mean's own change."""
        own = self.trigger.detectable
        return detectable if self.trigger.kind != "mean" or own is None else own

    def done(self, detectable: float) -> bool:
        """Return whether the harm of a step is ruled out, or the rate too small to matter."""
        ruled_out = rules_out(self.ruling, self.required(detectable), self.ratios)
        return ruled_out or self.below_floor


def judge_canary(policy: CanaryPolicy, look: CanaryLook) -> CanaryReport:
    """Return what comes of a look; raises nothing.

    Harm is judged first, then what makes data unfit, then whether the step is done: nothing from
    too little, one-sided or strange data ever advances.
    """
    step = policy.steps[look.steps[-1].index - 1] if look.steps else None
    bets = tuple(_bets(policy, look))
    counted_bets = [bet for bet in bets if bet.mode != "advisory" and bet.measured]
    overall = [bet.evidence for bet in counted_bets if bet.slice == OVERALL]
    sliced = [bet.evidence for bet in counted_bets if bet.slice != OVERALL]
    total = policy_evidence(overall, sliced)
    fired = total >= policy.threshold
    limits = tuple(_judged_limit(limit, look) for limit in policy.limits)
    ratio = _sample_ratio(look)
    harms = [bet for bet in counted_bets if fired and bet.evidence >= policy.threshold]
    harms.sort(key=lambda bet: -bet.evidence)
    codes = list(dict.fromkeys(f"harm:{bet.trigger.id}" for bet in harms))
    codes += [f"limit:{limit.id}" for limit in limits if limit.broken]
    if look.final is not None:
        codes = list(dict.fromkeys([*codes, *look.final.reason_codes, "final"]))
    holds = [] if step is None else list(_holds(policy, look, step, bets, ratio))
    verdict: CanaryVerdict = (
        "roll_back" if codes else "hold" if holds or step is None else "advance"
    )
    if verdict == "hold":
        codes = holds or ["no_data"]
    weights = trigger_weights(len(overall), len(sliced))
    parts = {
        (bet.trigger.id, bet.slice): bet.evidence * weights[bet.slice != OVERALL] / total
        for bet in counted_bets
    }
    checks = tuple(
        sorted(
            (_check(bet, policy, step, parts, fired=bet in harms) for bet in bets),
            key=lambda check: -check.share_of_evidence,
        )
    )
    report = CanaryReport(
        verdict=verdict,
        gate_verdict=_gate_verdict(verdict, codes),
        enforcement=policy.enforcement,
        reason_codes=tuple(codes),
        reason="",
        step=_judged_step(look),
        next_step=_next_step(policy, look),
        evidence=total,
        threshold=policy.threshold,
        alpha=policy.alpha,
        sample_ratio=ratio,
        checks=checks,
        limits=limits,
        blind=tuple(_blind(bets, step)),
        needed=_needed(look, step, bets) if verdict == "hold" else None,
        lost=look.lost,
        missing=look.lost.missing,
        thresholds=look.thresholds.source,
        notes=tuple(_notes(policy, look)),
    )
    return replace(report, reason=_reason(report, look))


def step_counts(look: CanaryLook, step: int, trigger: str, slice_: str) -> UnitCounts:
    """Return the units of a step, trigger and slice; none where there are none."""
    counts = look.histogram.get((step, trigger, slice_))
    return no_units() if counts is None else counts


def slice_keys(look: CanaryLook) -> tuple[str, ...]:
    """Return the slices that any unit belongs to, by name."""
    keys = {key for _, trigger, key in look.histogram if trigger == EVERY_UNIT and key != OVERALL}
    return tuple(sorted(keys))


def _bets(policy: CanaryPolicy, look: CanaryLook) -> Iterator[_Bet]:
    modes = {watched.column: watched.mode for watched in policy.slices}
    for trigger in policy.watched:
        yield _bet(look, trigger, OVERALL, trigger.mode)
    for key in slice_keys(look):
        mode = modes.get(columns_of(key)[0], "watch")
        for trigger in sliced_triggers(policy):
            yield _bet(look, trigger, key, "watch" if trigger.mode == "watch" else mode)


def _bet(look: CanaryLook, trigger: Trigger, key: str, mode: TriggerMode) -> _Bet:
    if trigger.kind == "mean":
        return _mean_bet(look, trigger, key, mode)
    capitals, likelihoods = np.zeros(len(THETAS)), np.zeros(len(THETAS))
    counts = []
    for i, step in enumerate(look.steps, 1):
        here = step_counts(look, i, trigger.id, key)
        counts.append(here)
        toward = None
        if key != OVERALL:
            toward = pooled_rate(step_counts(look, i, trigger.id, OVERALL))
        capitals = capitals + step_capitals(here, step.share, toward=toward)
        likelihoods = likelihoods + step_likelihoods(here, step.share, toward=toward)
    units = reduce(add, counts) if counts else no_units()
    return _Bet(
        trigger=trigger,
        slice=key,
        capitals=capitals,
        ruling=np.maximum(capitals, likelihoods),
        ratios=THETAS,
        evidence=evidence(capitals),
        steps=tuple(counts),
        units=units,
        control=_figures(units, canary=False),
        canary=_figures(units, canary=True),
        mode=mode,
    )


def _mean_bet(look: CanaryLook, trigger: Trigger, key: str, mode: TriggerMode) -> _Bet:
    capitals = np.zeros(len(DELTAS))
    sums = {False: [0, 0, 0.0], True: [0, 0, 0.0]}
    for i, step in enumerate(look.steps, 1):
        counts = look.amounts.get((i, trigger.id, key))
        if counts is None:
            continue
        amounts = counts.amounts
        each = UnitAmounts(
            canary=np.repeat(counts.canary, counts.units),
            amounts=np.repeat(amounts, counts.units),
            bases=np.repeat(counts.bases.astype(np.float64), counts.units),
        )
        capitals = capitals + step_capitals_of_amounts(each, step.share)
        for arm, total in sums.items():
            units = np.where(counts.canary == arm, counts.units, 0)
            total[0] += int(units.sum())
            total[1] += int((units * counts.bases).sum())
            total[2] += float((units * amounts).sum())
    control, canary = (
        ArmFigures(
            units=int(total[0]),
            turns=int(total[1]),
            events=0,
            value=total[2] / total[1] if total[1] else None,
        )
        for total in (sums[False], sums[True])
    )
    return _Bet(
        trigger=trigger,
        slice=key,
        capitals=capitals,
        ruling=capitals,
        ratios=DELTAS,
        evidence=evidence(capitals, DELTA_WEIGHTS),
        steps=(),
        units=no_units(),
        control=control,
        canary=canary,
        mode=mode,
    )


def _holds(
    policy: CanaryPolicy,
    look: CanaryLook,
    step: CanaryStep,
    bets: Sequence[_Bet],
    ratio: SampleRatioCheck | None,
) -> Iterator[str]:
    """Yield every reason not to advance."""
    now = step_counts(look, len(look.steps), EVERY_UNIT, OVERALL)
    if not now.units.sum():
        yield "no_data"
        return
    yield from _unfit(policy, look, ratio, now)
    required = [bet for bet in bets if bet.mode == "required" and bet.slice == OVERALL]
    for bet in required:
        waits = bet.trigger.kind == "tail" and look.thresholds.source == "none"
        if not bet.measured and not waits:
            yield f"no_data:{bet.trigger.id}"
        elif not bet.done(step.detectable):
            yield f"not_ruled_out:{bet.trigger.id}"
    if look.steps[-1].index == len(policy.steps):
        yield from _required_slices(policy, step, bets)
    if look.elapsed_s < step.min_duration_s:
        yield "min_duration"


def _unfit(
    policy: CanaryPolicy, look: CanaryLook, ratio: SampleRatioCheck | None, now: UnitCounts
) -> Iterator[str]:
    """Yield why the data of the step is not fit to advance on."""
    if not now.both_arms:
        yield "one_arm"
    if look.lost.missing > policy.max_missing:
        yield "missing_data"
    if ratio is not None and ratio.mismatch:
        yield "sample_ratio"
    for arm in ("control", "canary"):
        releases = {
            served.release
            for served in look.served
            if served.arm == arm and served.step == len(look.steps)
        }
        if len(releases) > 1:
            yield f"{arm}_changed"
    yield from look.suspect


def _required_slices(policy: CanaryPolicy, step: CanaryStep, bets: Sequence[_Bet]) -> Iterator[str]:
    """Yield what the last step waits for: the harm of each slice that is required."""
    by_column = {w.column: w.detectable for w in policy.slices if w.mode == "required"}
    for column, detectable in by_column.items():
        inside = [
            bet for bet in bets if bet.slice != OVERALL and columns_of(bet.slice) == (column,)
        ]
        if not inside:
            yield f"no_data:{column}"
        for bet in inside:
            if bet.mode == "required" and not bet.done(detectable or step.detectable):
                yield f"not_ruled_out:{bet.trigger.id}:{bet.slice}"


def _gate_verdict(verdict: CanaryVerdict, codes: Sequence[str]) -> Verdict:
    if verdict == "advance":
        return Verdict.PASS
    if verdict == "roll_back":
        return Verdict.FAIL
    empty = any(code.partition(":")[0] == "no_data" for code in codes)
    return Verdict.NO_DATA if empty else Verdict.INCONCLUSIVE


def _figures(counts: UnitCounts, *, canary: bool) -> ArmFigures:
    sums = counts.arm(canary=canary)
    return ArmFigures(units=sums.units, turns=sums.turns, events=sums.events, value=sums.rate)


def _check(
    bet: _Bet,
    policy: CanaryPolicy,
    step: CanaryStep | None,
    parts: Mapping[tuple[str, str], float],
    *,
    fired: bool,
) -> CanaryCheck:
    control, canary = bet.control, bet.canary
    shown = difference_of_rates(bet.steps)
    difference = shown.difference
    if bet.trigger.kind == "mean" and control.value is not None and canary.value is not None:
        difference = canary.value - control.value
    smallest = smallest_ruled_out(bet.ruling, bet.ratios)
    below = bet.below_floor
    status: CheckStatus = "quiet"
    if fired:
        status = "harm"
    elif not bet.both_arms:
        status = "no_data"
    elif step is not None and bet.done(step.detectable):
        status = "ruled_out"
    return CanaryCheck(
        trigger=bet.trigger.id,
        slice=bet.slice,
        metric=bet.trigger.metric,
        unit="amount" if bet.trigger.kind == "mean" else "fraction",
        mode=bet.mode,
        status=status,
        control=control,
        canary=canary,
        difference=difference,
        low=_finite(shown.low),
        high=_finite(shown.high),
        evidence=bet.evidence,
        share_of_evidence=parts.get((bet.trigger.id, bet.slice), 0.0),
        smallest_ruled_out=smallest,
        below_floor=below,
        reason=_check_reason(status, bet, policy, smallest, below=below),
    )


def _finite(end: float | None) -> float | None:
    return end if end is not None and math.isfinite(end) else None


def _check_reason(
    status: CheckStatus, bet: _Bet, policy: CanaryPolicy, smallest: float | None, *, below: bool
) -> str:
    if status == "no_data":
        if not bet.measured:
            return "no turn has what it is measured by"
        arm = "canary" if bet.canary.units else "control"
        return f"only the {arm} has units here"
    if status == "harm":
        return (
            f"evidence {evidence_text(bet.evidence)}: an equal canary would reach "
            f"{policy.threshold:g} over all triggers in one rollout of {policy.threshold:.0f}"
        )
    if below or smallest is None:
        floor = number(bet.trigger.floor, "fraction")
        small = f"the canary's rate is below {floor}"
        return small if below else "no harm that is bet on is ruled out yet"
    odds = f"odds {smallest:g} times those of control, or more, are"
    more = f"{percent(smallest)} more than control, or more, is"
    return f"{more if bet.trigger.kind == 'mean' else odds} ruled out"


def _blind(bets: Sequence[_Bet], step: CanaryStep | None) -> Iterator[BlindSlice]:
    """Yield the harms that a slice could still hide, the largest first."""
    if step is None:
        return
    hidden = []
    for bet in bets:
        if bet.slice == OVERALL or bet.mode == "advisory" or bet.below_floor:
            continue
        smallest = smallest_ruled_out(bet.ruling, bet.ratios)
        if smallest is None or smallest > bet.required(step.detectable):
            hidden.append(BlindSlice(slice=bet.slice, trigger=bet.trigger.id, could_hide=smallest))
    yield from sorted(hidden, key=lambda blind: (-(blind.could_hide or math.inf), blind.slice))


def _sample_ratio(look: CanaryLook) -> SampleRatioCheck | None:
    """Return the worst of the split of all units, and of those by each slice column."""
    if not look.steps:
        return None
    by_key = {key: _split(look, key) for key in (OVERALL, *slice_keys(look))}
    evidences = {OVERALL: sample_ratio(by_key[OVERALL])}
    columns: dict[str, list[float]] = {}
    for key, split in by_key.items():
        if key != OVERALL:
            columns.setdefault(columns_of(key)[0], []).append(sample_ratio(split))
    evidences |= {column: sum(values) / len(values) for column, values in columns.items()}
    worst = max(evidences, key=lambda name: (evidences[name], name == OVERALL))
    canary, units, share = by_key[OVERALL][-1]
    return SampleRatioCheck(
        expected=share,
        observed=canary / units if units else None,
        units=units,
        evidence=evidences[worst],
        mismatch=evidences[worst] >= SUSPECT_RATIO,
        slice=None if worst == OVERALL else worst,
    )


def _split(look: CanaryLook, key: str) -> list[tuple[int, int, float]]:
    """Return (canary units, units, share) of each step."""
    split = []
    for i, step in enumerate(look.steps, 1):
        counts = step_counts(look, i, EVERY_UNIT, key)
        canary = counts.arm(canary=True).units
        split.append((canary, canary + counts.arm(canary=False).units, step.share))
    return split


def _judged_limit(limit: CanaryLimit, look: CanaryLook) -> JudgedLimit:
    if limit.budget is not None:
        return _judged_budget(limit, look)
    sums = step_counts(look, len(look.steps), LIMIT + limit.id, OVERALL).arm(canary=True)
    most = limit.max or 0.0
    enough = sums.units >= limit.min_units
    broken = enough and sums.rate is not None and sums.rate > most
    shown = number(sums.rate, "fraction")
    reason = f"{limit.rate} in {shown} of the canary's turns, allowed {number(most, 'fraction')}"
    if not enough:
        reason = f"{counted(sums.units, 'canary unit')}, {limit.min_units} are needed"
    return JudgedLimit(
        id=limit.id,
        what=limit.rate or "",
        value=sums.rate,
        max=most,
        units=sums.units,
        broken=broken,
        reason=reason,
    )


def _judged_budget(limit: CanaryLimit, look: CanaryLook) -> JudgedLimit:
    """Return the stage of a budget that is furthest over its limit, or nearest to it."""
    percentile = int((limit.at or "p95")[1:]) / 100
    units = step_counts(look, len(look.steps), EVERY_UNIT, OVERALL).arm(canary=True).units
    most: dict[str, float] = {}
    for line in BUDGETS[limit.budget or ""]:
        most[line.stage] = max(line.most, most.get(line.stage, 0.0))
    measured = {
        stage: value for stage in most if (value := look.tails.get((stage, percentile))) is not None
    }
    worst = max(measured, key=lambda stage: measured[stage] / most[stage], default=None)
    enough = units >= limit.min_units and worst is not None
    value = None if worst is None else measured[worst]
    allowed = most[worst] if worst is not None else min(most.values())
    what = f"{limit.at or 'p95'} of {worst or 'latency_ms'}"
    reason = f"{what} is {number(value, 'ms')}, the budget {limit.budget} allows {allowed:,.0f} ms"
    if not enough:
        reason = f"{counted(units, 'canary unit')} with times, {limit.min_units} are needed"
    return JudgedLimit(
        id=limit.id,
        what=what,
        value=value,
        max=allowed,
        units=units,
        broken=enough and value is not None and value > allowed,
        reason=reason,
    )


def _judged_step(look: CanaryLook) -> JudgedStep | None:
    if not look.steps:
        return None
    step = look.steps[-1]
    return JudgedStep(
        index=step.index, share=step.share, since=step.since, elapsed_s=look.elapsed_s
    )


def _next_step(policy: CanaryPolicy, look: CanaryLook) -> NextStep | None:
    after = look.steps[-1].index if look.steps else 0
    if after >= len(policy.steps):
        return None
    return NextStep(index=after + 1, share=policy.steps[after].share)


def _needed(look: CanaryLook, step: CanaryStep | None, bets: Sequence[_Bet]) -> NeededData | None:
    """Return the turns and hours until the required triggers can be ruled out; None: not known."""
    if step is None or not look.steps or look.elapsed_s <= 0:
        return None
    share = look.steps[-1].share
    every = step_counts(look, len(look.steps), EVERY_UNIT, OVERALL)
    units = int(every.units.sum())
    turns = int((every.units * every.turns).sum())
    if not units:
        return None
    most = 0.0
    for bet in bets:
        if bet.mode != "required" or bet.slice != OVERALL or bet.done(step.detectable):
            continue
        ratio = bet.required(step.detectable)
        capital = float(bet.ruling[bet.ratios.index(ratio)])
        if bet.trigger.kind == "mean":
            # So far it has lost so much a unit: it goes on like that.
            if capital >= 0:
                return None
            most = max(most, units * (math.log(RULED_OUT) / -capital - 1))
            continue
        needed = [
            units_to_rule_out(bet.now, share, step.detectable, capital=capital),
            units_to_show_floor(bet.now, bet.units, share, bet.trigger.floor),
        ]
        possible = [few for few in needed if few is not None]
        if not possible:
            return None
        most = max(most, min(possible))
    hours = most / units * look.elapsed_s / 3600
    left = max(0.0, step.min_duration_s - look.elapsed_s) / 3600
    return NeededData(turns=math.ceil(most / units * turns), hours=max(hours, left))


def _notes(policy: CanaryPolicy, look: CanaryLook) -> Iterator[str]:
    tails = any(trigger.kind == "tail" for trigger in policy.watched)
    source = look.thresholds
    if tails and source.source == "first_turns":
        yield (
            f"tails are held against the first {source.turns:,} turns of both arms: there was no "
            "reference of control's turns before the canary"
        )
    if tails and source.source == "none":
        yield (
            f"tails wait for {policy.reference.min_turns:,} turns to be held against: give "
            "control's turns before the canary with --reference"
        )
    if look.lost.both_arms:
        yield f"{counted(look.lost.both_arms, 'turn')} of units that both arms served are left out"
    yield from look.warnings


def _reason(report: CanaryReport, look: CanaryLook) -> str:
    """Return the verdict's reason in one sentence."""
    if report.verdict == "roll_back":
        return _harm_sentence(report, look)
    if report.verdict == "advance":
        after = report.next_step
        where = "all traffic" if after is None else f"{percent(after.share)} of the traffic"
        return f"every required harm is ruled out; next: {where}"
    words = [_hold_words(code, report, look) for code in report.reason_codes[:4]]
    more = len(report.reason_codes) - len(words)
    return "; ".join(words) + (f"; and {more} more" if more > 0 else "")


def _harm_sentence(report: CanaryReport, look: CanaryLook) -> str:
    final = ""
    if look.final is not None:
        final = f"it was rolled back at {look.final.at}, which is final for the release; "
    harm = next((check for check in report.checks if check.status == "harm"), None)
    if harm is not None:
        return final + (
            f"{harm.trigger}{on_slice(harm.slice)} {_compared(harm)}; evidence "
            f"{evidence_text(report.evidence)}, needed {report.threshold:g}; an equal canary would "
            f"reach {report.threshold:g} by chance in one rollout of {report.threshold:.0f}"
        )
    broken = "; ".join(limit.reason for limit in report.limits if limit.broken)
    return final + broken if broken else final.removesuffix("; ")


def control_beside(check: CanaryCheck) -> float | None:
    """Return control's value where the canary was: never pooled over steps whose shares differ.

    It is the canary's less the difference, which compares both arms step by step.
    """
    if check.canary.value is None or check.difference is None:
        return check.control.value
    return max(0.0, check.canary.value - check.difference)


def _compared(check: CanaryCheck) -> str:
    """Return what both arms had: ``in 26 of 530 canary turns (4.9 %), control 2.0 %``."""
    if check.unit == "amount":
        value, control = (f"{arm.value or 0:.4g}" for arm in (check.canary, check.control))
        return f"is {value} in the canary ({check.metric}), control {control}"
    rate, control = (
        number(value, "fraction") for value in (check.canary.value, control_beside(check))
    )
    counts = f"{check.canary.events:,} of {check.canary.turns:,}"
    return f"in {counts} canary turns ({rate}), control {control}"


def evidence_text(value: float) -> str:
    """Return evidence in a few characters: what is huge or tiny says no more by its digits."""
    if value >= _HUGE:
        return "> million"
    if value < _TINY:
        return "< 0.01"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004 - digits


_HUGE, _TINY = 1e6, 0.01


def _measured(report: CanaryReport, trigger: str) -> bool:
    return any(check.trigger == trigger and check.control.turns for check in report.checks)


def _hold_words(code: str, report: CanaryReport, look: CanaryLook) -> str:
    name, _, about = code.partition(":")
    ratio = report.sample_ratio
    words = {
        "no_data": f"no turn measures {about}" if about else "no turn of this step was read",
        "one_arm": "only one arm has turns in this step",
        "missing_data": f"{number(look.lost.missing, 'fraction')} of the turns are missing",
        "control_changed": "control changed its release: a new step has to begin",
        "canary_changed": "the canary changed its release: a new rollout has to begin",
        "unit_change": f"{about} changes its unit half-way",
        "constant": f"{about} is the same in every turn: it is not measured",
        "stale": f"the newest turn is {about} old",
        "min_duration": "the step has not lasted long enough",
        "not_ruled_out": f"{about} is not ruled out",
    }
    if name == "sample_ratio" and ratio is not None:
        of = "" if ratio.slice is None else f" by {ratio.slice}"
        return (
            f"the canary has {number(ratio.observed, 'fraction')} of the units{of}, "
            f"{percent(ratio.expected)} was set"
        )
    if name == "not_ruled_out" and report.thresholds == "none" and not _measured(report, about):
        return f"{about} waits for the turns that it is held against"
    if name == "min_duration" and report.step is not None:
        return f"the step has lasted {lasted(report.step.elapsed_s)} only"
    return words.get(name, code)
