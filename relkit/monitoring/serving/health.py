"""Serving health: what the figures of live traffic say by a policy, always with a reason.

Nothing that is missing, stale or contradictory is ``ok``; what is worst is the verdict.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from relkit.core.values import Named, moment, time_text
from relkit.core.wording import counted, duration, limit, number, percent, times
from relkit.monitoring.serving.budgets import (
    WHOLE_TURN,
    budget_findings,
    budget_lines,
    judge_stages,
)
from relkit.monitoring.serving.overload import (
    RECENT,
    TREND_WINDOWS,
    amplification,
    class_evidence,
    hysteresis,
    in_blocks,
    is_growing,
    is_saturated,
    is_slow,
    is_spike,
    queue_burn,
    recently,
    storm_minutes,
    utilisation,
)
from relkit.monitoring.serving.types import (
    ChurnHealth,
    ChurnPolicy,
    DegradationLevel,
    HealthPolicy,
    HealthReport,
    HealthVerdict,
    JudgedStage,
    LanguageChurn,
    LiveFigures,
    Minutes,
    QueueHealth,
    QueuePolicy,
    RetryHealth,
    RetryPolicy,
    TenantHealth,
    TenantPolicy,
    Unexplained,
)
from relkit.telemetry.types import STAGES, Telemetry

MAY_WAIT = 0.05
"""The share of turns that may wait longer than the bound on p95: the queue's error budget."""

DEGRADATION: tuple[DegradationLevel, ...] = (
    "normal",
    "shed_batch",
    "shorter_answers",
    "smaller_model",
    "callback",
)
"""From the mildest on."""

_WORST_FIRST: tuple[HealthVerdict, ...] = ("saturated", "storm", "spike", "fail", "no_data")

_REPLAYED = 60
"""Minutes that the level is worked out from."""

_FEWEST_IN_BUDGET = 20
"""Turns that a p95 needs: among fewer it is the slowest one."""

_CHANGED = frozenset({"unit_change", "type_change"})


@dataclass(slots=True)
class _Findings:
    """What holds and why, as it is collected."""

    states: list[HealthVerdict] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, state: HealthVerdict, reason: str) -> str:
        """Add a state and its reason, and return the reason."""
        self.states.append(state)
        self.reasons.append(reason)
        return reason


def judge_health(
    policy: HealthPolicy,
    figures: LiveFigures | None,
    telemetry: Telemetry | None,
    *,
    now: str,
    replayed: bool = False,
) -> HealthReport:
    """Return what a policy says of live traffic until ``now``.

    ``figures`` are None where there was no turn, ``telemetry`` where it came from no files.
    ``replayed`` says that ``now`` was named, so that later turns are no fault of the clocks.
    """
    findings = _Findings()
    if telemetry is not None:
        stages = {*STAGES} - {"tool_ms"} if policy.budget is not None else set()
        used = {WHOLE_TURN, *stages}  # few turns call a tool
        for reason in telemetry_defects(telemetry, used, policy.max_missing, replayed=replayed):
            findings.add("no_data", reason)
    if figures is None:
        findings.add("no_data", "there is no turn until then")
        return HealthReport(
            policy=Named(name=policy.name, digest=policy.digest),
            enforcement=policy.enforcement,
            created=now,
            until=None,
            verdict="no_data",
            states=("no_data",),
            level="normal",
            queue=None,
            retries=None,
            tenants=None,
            churn=None,
            budget=None,
            unexplained_ms=None,
            reasons=tuple(findings.reasons),
            telemetry=telemetry,
        )
    for reason in _no_data(policy, figures, now):
        findings.add("no_data", reason)
    minutes, unexplained = figures.minutes, figures.unexplained
    queue = None if policy.queue is None else _queue(policy, policy.queue, figures, findings)
    retries = (
        None if policy.retries is None else _retries(policy, policy.retries, figures, findings)
    )
    tenants = (
        None if policy.tenants is None else _tenants(policy, policy.tenants, figures, findings)
    )
    churn = None if policy.churn is None else _churn(policy, policy.churn, figures, findings)
    budget = None if policy.budget is None else _budget(policy, figures, findings)
    states = tuple(state for state in _WORST_FIRST if state in findings.states)
    end = minutes.start + 60 * len(minutes.turns)
    return HealthReport(
        policy=Named(name=policy.name, digest=policy.digest),
        enforcement=policy.enforcement,
        created=now,
        until=time_text(moment("1970-01-01T00:00:00Z") + timedelta(seconds=end)),
        verdict=states[0] if states else "ok",
        states=states or ("ok",),
        level=_level(policy, minutes, states),
        queue=queue,
        retries=retries,
        tenants=tenants,
        churn=churn,
        budget=budget,
        unexplained_ms=None
        if unexplained is None
        else Unexplained(p50=unexplained.p50, p95=unexplained.p95, turns=unexplained.turns),
        reasons=tuple(findings.reasons),
        notes=tuple(findings.notes),
        telemetry=telemetry,
    )


def _no_data(policy: HealthPolicy, figures: LiveFigures, now: str) -> Iterator[str]:
    """Yield why these figures can make nothing ``ok``."""
    yield from figures.problems
    age = moment(now).timestamp() - figures.newest
    if age > policy.max_age_s:
        yield (
            f"the newest turn is {duration(age)} old, at most {policy.max_age} is allowed: for "
            "telemetry of the past say as of when, --now TIME"
        )
    if figures.turns < policy.min_turns:
        yield (
            f"{counted(figures.turns, 'turn')} in the last five minutes, {policy.min_turns} are "
            "needed"
        )


def telemetry_defects(
    telemetry: Telemetry, columns: Collection[str], max_missing: float, *, replayed: bool
) -> Iterator[str]:
    """Yield what makes telemetry no evidence: rows that had to be left out, values that cannot be.

    Only ``columns`` count where one changes its unit or type, or is missing in most turns while
    there are values that cannot be: a sender's stand-ins for "not measured" are fewer. Future rows
    are those after a ``now`` that was named where ``replayed``, else of a wrong clock.
    """
    dropped, rows = telemetry.dropped, counted(telemetry.rows, "row")
    counts = {
        "have a time without an offset: mapping: {ts: {column: …, zone: UTC}}": dropped.naive,
        "have no time, session or turn_id": dropped.unnamed,
        "are of the future": 0 if replayed else dropped.future,
    }
    for what, count in counts.items():
        if count > max_missing * telemetry.rows:
            yield f"{count:,} of {rows} {what}"
    if dropped.bad_value > max_missing * telemetry.rows:
        for column in telemetry.columns:
            if column.name in columns and column.missing > telemetry.turns / 2:
                yield (
                    f"{column.name}: {column.missing:,} of {counted(telemetry.turns, 'turn')} "
                    "without it, and there are values that cannot be"
                )
    for problem in telemetry.problems:
        changed = problem.code in _CHANGED and problem.where in columns
        if changed or problem.code == "unreadable":
            yield f"{problem.where}: {problem.message}"


def _lacking(policy: HealthPolicy, figures: LiveFigures, column: str) -> str | None:
    """Return what is wrong where a column is missing in too many turns."""
    share = figures.missing.get(column, 1.0)
    if share <= policy.max_missing:
        return None
    if share >= 1.0:
        return f"{column} is missing"
    return f"{column} is missing in {number(share, 'fraction')} of the turns"


def _queue(
    policy: HealthPolicy, queue: QueuePolicy, figures: LiveFigures, findings: _Findings
) -> QueueHealth:
    minutes = figures.minutes
    used = utilisation(minutes, queue.slots, queue.service_s)
    recent = used[-RECENT:]
    p95 = float(minutes.queue_p95_ms[-1])
    growing = is_growing(minutes.queue_p95_ms)
    queued = float(minutes.queued[-RECENT:].sum())
    burn = queue_burn(float(minutes.waited[-RECENT:].sum()), queued, 1.0 - MAY_WAIT)
    unknown = int(np.isnan(recent).sum())
    saturated: bool | None = is_saturated(used, minutes.queue_p95_ms, queue.p95_ms)
    busy = None if unknown == len(recent) else float(np.nanmean(recent))
    bound = limit(queue.p95_ms, "ms")
    if saturated:
        why = (
            f"{number(busy, 'fraction')} of {queue.slots} slots are needed"
            if recently(np.nan_to_num(used) >= 1)
            else f"p95 of waiting is {number(p95, 'ms')} (at most {bound}) and growing"
        )
        reason = findings.add("saturated", f"queue: {why}")
    else:
        lacking = _lacking(policy, figures, "queue_ms")
        if lacking is None and recently([*(recent >= 1), *[True] * unknown]) and unknown:
            lacking = "how long a turn is served is not known: queue: {service_s: …}"
        if lacking is None and not np.isfinite(p95):
            lacking = "no turn of the last minute has a queue_ms"
        if lacking is None and p95 > queue.p95_ms and growing is None:
            lacking = (
                f"p95 of waiting is {number(p95, 'ms')} (at most {bound}), and whether it grows "
                f"takes {TREND_WINDOWS} minutes"
            )
        if lacking is not None:
            saturated = None
            reason = findings.add("no_data", f"queue: {lacking}")
        else:
            reason = f"{number(busy, 'fraction')} of {queue.slots} slots are needed"
            if is_slow(minutes.queue_p95_ms, queue.p95_ms):
                reason = findings.add(
                    "fail",
                    f"queue: p95 of waiting is over {bound} for {TREND_WINDOWS} minutes, "
                    f"{number(p95, 'ms')} in the last one, and does not grow",
                )
            elif p95 > queue.p95_ms:
                findings.notes.append(
                    f"queue: p95 of waiting is {number(p95, 'ms')} (at most {bound}) and does not "
                    "grow"
                )
    return QueueHealth(
        utilisation=busy,
        p95_ms=p95 if np.isfinite(p95) else None,
        growing=growing,
        burn=burn,
        saturated=saturated,
        reason=reason,
    )


def _retries(
    policy: HealthPolicy, retries: RetryPolicy, figures: LiveFigures, findings: _Findings
) -> RetryHealth:
    minutes = figures.minutes
    ratio = amplification(
        float(minutes.attempts[-RECENT:].sum()), float(minutes.counted[-RECENT:].sum())
    )
    storm: bool | None = recently(storm_minutes(minutes, retries.amplification))
    bound = times(retries.amplification)
    if storm:
        reason = findings.add(
            "storm", f"retries: {times(ratio)} the first attempts, and rising (from {bound})"
        )
    elif (lacking := _lacking(policy, figures, "retries")) is not None or ratio is None:
        storm = None
        reason = findings.add("no_data", f"retries: {lacking or 'no attempt was counted'}")
    elif ratio >= retries.amplification and len(minutes.turns) < TREND_WINDOWS + RECENT:
        storm = None
        reason = findings.add(
            "no_data",
            f"retries: {times(ratio)} the first attempts, and whether they rise takes "
            f"{TREND_WINDOWS} minutes",
        )
    else:
        reason = f"{times(ratio)} the first attempts"
        if ratio >= retries.amplification:
            findings.notes.append(
                f"retries: {reason} (from {bound}), as much as usual and at any load"
            )
    return RetryHealth(
        amplification=ratio,
        first_attempts=int(minutes.turns[-RECENT:].sum()),
        storm=storm,
        reason=reason,
    )


def _tenants(
    policy: HealthPolicy, tenants: TenantPolicy, figures: LiveFigures, findings: _Findings
) -> tuple[TenantHealth, ...]:
    blocks = in_blocks(figures.minutes.calls)
    judged = []
    if (lacking := _lacking(policy, figures, tenants.column)) is not None:
        findings.add("no_data", f"tenants: {lacking}")
    short = False
    for name, calls in zip(figures.minutes.classes, blocks, strict=True):
        latest = float(calls[-1]) if len(calls) else 0.0
        expected, evidence = class_evidence(calls)
        spike = None if evidence is None else is_spike(latest, evidence, tenants.evidence)
        short = short or spike is None
        judged.append(
            TenantHealth(
                class_=name,
                calls=int(latest),
                expected=expected,
                evidence=evidence,
                spike=spike,
            )
        )
        if spike and evidence is not None:
            findings.add(
                "spike",
                f"tenants: {int(latest):,} calls of {name} in five minutes, {expected:,.1f} are "
                f"usual (evidence {_evidence(evidence)}, from {tenants.evidence:,.0f})",
            )
    if short:
        findings.add("no_data", "tenants: under 55 minutes of history: nothing is usual yet")
    return tuple(judged)


def _evidence(evidence: float) -> str:
    """Return evidence as people read it: beyond a million no digit says anything."""
    return f"{evidence:,.0f}" if evidence < 1e6 else "over a million"  # noqa: PLR2004


def _churn(
    policy: HealthPolicy, churn: ChurnPolicy, figures: LiveFigures, findings: _Findings
) -> ChurnHealth:
    value = median = None
    languages = []
    reason = ""
    for figure in figures.churn:
        rate = figure.changes / figure.words if figure.words > 0 else None
        enough = figure.utterances >= policy.min_turns
        if figure.language is None:
            value, median = (rate, figure.median) if enough else (None, None)
        else:
            languages.append(
                LanguageChurn(
                    language=figure.language,
                    value=rate,
                    utterances=figure.utterances,
                    words=int(figure.words),
                    judged=enough and rate is not None,
                )
            )
        if enough and rate is not None and rate > churn.max:
            where = "" if figure.language is None else f" in {figure.language}"
            reason = findings.add(
                "fail",
                f"churn: {number(rate, 'fraction')} of the words shown{where} changed, at most "
                f"{percent(churn.max)} may",
            )
    if value is None:
        reason = findings.add(
            "no_data", f"churn: under {policy.min_turns} utterances with partial_words"
        )
    return ChurnHealth(
        value=value,
        threshold=churn.max,
        median=median,
        languages=tuple(languages),
        reason=reason or f"{number(value, 'fraction')} of the words shown changed",
    )


def _budget(
    policy: HealthPolicy, figures: LiveFigures, findings: _Findings
) -> tuple[JudgedStage, ...]:
    lines = budget_lines(policy.budget or {})
    by_name = isinstance(policy.budget, str)
    unmeasured = figures.unmeasured if by_name else frozenset[str]()
    judged = judge_stages(lines, figures.stages, _FEWEST_IN_BUDGET, unmeasured)
    if (lacking := _lacking(policy, figures, "latency_ms")) is not None:
        findings.add("no_data", f"budget: {lacking}")
    for stage in judged:
        of = "" if stage.of == "all" else f" of {stage.of} turns"
        if stage.status == "over_limit" and stage.limit is not None:
            unanswered = "more than 5 % of the turns were not answered"
            slow = (
                f"p95 is {number(stage.p95, 'ms')}, at most {limit(stage.limit, 'ms')} is allowed"
            )
            why = unanswered if stage.p95 is None else slow
            findings.add("fail", f"budget: {stage.stage}{of}: {why}")
        elif stage.status == "no_data":
            findings.add(
                "no_data", f"budget: {counted(stage.turns, 'turn')}{of} with {stage.stage}"
            )
        elif stage.status == "over_target" and stage.target is not None:
            findings.notes.append(
                f"budget: the median of {stage.stage}{of} is {number(stage.p50, 'ms')}, its target "
                f"ends at {limit(stage.target[1], 'ms')}"
            )
        elif stage.status == "not_measured":
            findings.notes.append(
                f"budget: {stage.stage} is not measured by this telemetry; its time is in "
                f"{WHOLE_TURN}"
            )
    measured = tuple(line for line in lines if line.stage not in unmeasured)
    findings.notes += [f"budget: {finding}" for finding in budget_findings(measured, unmeasured)]
    return judged


def _level(
    policy: HealthPolicy, minutes: Minutes, states: tuple[HealthVerdict, ...]
) -> DegradationLevel:
    """Return the level that holds in the last minute, after the hysteresis of the hour before it.

    Churn and budget are of the whole span, so that they count in the last minute alone.
    """
    if not policy.degrade:
        return "normal"
    last = len(minutes.turns)
    targets: list[int | None] = []
    queue = policy.queue
    used = None if queue is None else utilisation(minutes, queue.slots, queue.service_s)
    looked_at = _REPLAYED + RECENT
    storms = (
        None
        if policy.retries is None
        else storm_minutes(minutes, policy.retries.amplification, looked_at)
    )
    for end in range(max(1, last - _REPLAYED + 1), last):
        holds = set[str]()
        if queue is not None and used is not None:
            p95_ms = minutes.queue_p95_ms[:end]
            holds |= {"saturated"} if is_saturated(used[:end], p95_ms, queue.p95_ms) else set()
        if storms is not None and recently(storms[: len(storms) - last + end]):
            holds.add("storm")
        if policy.tenants is not None and _spikes(minutes, end, policy.tenants.evidence):
            holds.add("spike")
        known = float(minutes.turns[max(0, end - RECENT) : end].sum()) >= policy.min_turns
        targets.append(_asked(policy, holds) if known or holds else None)
    present = set(states)
    at_last = _asked(policy, present)
    targets.append(None if "no_data" in present and not at_last else at_last)
    return DEGRADATION[hysteresis(targets)[-1]]


def _spikes(minutes: Minutes, end: int, needed: float) -> bool:
    blocks = in_blocks(minutes.calls[:, :end])
    if blocks.shape[1] == 0:
        return False
    looks = ((float(calls[-1]), class_evidence(calls)[1]) for calls in blocks)
    return any(is_spike(calls, evidence or 0.0, needed) for calls, evidence in looks)


def _asked(policy: HealthPolicy, holds: set[str] | set[HealthVerdict]) -> int:
    """Return the highest level that one of the states asks for."""
    return max(
        (DEGRADATION.index(step.level) for step in policy.degrade if step.when in holds), default=0
    )
