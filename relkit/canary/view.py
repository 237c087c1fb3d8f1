"""A canary's verdict for people, on one screen, and as the document of ``--json``."""

from collections.abc import Iterator, Mapping
from typing import Any

from relkit.canary.judge import control_beside, evidence_text
from relkit.canary.types import (
    LOST_KINDS,
    CanaryCheck,
    CanaryPlan,
    CanaryReport,
    JudgedCanary,
    SampleRatioCheck,
)
from relkit.core.codec import encode
from relkit.core.slices import OVERALL
from relkit.core.values import Named
from relkit.core.wording import (
    columns,
    count,
    counted,
    duration,
    lasted,
    number,
    on_slice,
    percent,
    safe,
)
from relkit.monitoring.types import GateWord, LiveCheck, LiveFinding
from relkit.statistics.bets import SUSPECT_RATIO

_WORDS = {"advance": "ADVANCE", "hold": "HOLD", "roll_back": "ROLL BACK"}
_SHOWN = 4
_BLIND = 4
_SOON = 1 / 60


def canary_document(judged: JudgedCanary) -> dict[str, Any]:
    """Return the document of ``--json`` (docs/cli.md, section "What --json prints")."""
    report: dict[str, Any] = encode(judged.report)
    lost = report.pop("lost")
    telemetry = None if judged.telemetry is None else encode(judged.telemetry)
    return report | {
        "policy": {"name": judged.policy.name, "digest": judged.policy.digest},
        "subject": encode(judged.subject),
        "turns": lost,
        "telemetry": telemetry,
        "state": None if judged.state is None else encode(judged.state),
        "decision_file": judged.decision_file,
        "rollback": judged.rollback,
    }


_VERDICTS: Mapping[str, GateWord] = {
    "harm": "fail",
    "ruled_out": "pass",
    "quiet": "inconclusive",
    "no_data": "no_data",
}


def canary_finding(judged: JudgedCanary, now: str) -> LiveFinding:
    """Return the record of a look at a canary; watched and sliced triggers are advisory in it."""
    report = judged.report
    checks = [
        LiveCheck(
            name=check.trigger,
            slice=check.slice,
            verdict=_VERDICTS[check.status],
            reason=check.reason,
            advisory=check.status != "harm"
            and (check.mode != "required" or check.slice != OVERALL),
        )
        for check in report.checks
    ]
    checks += [
        LiveCheck(name=limit.id, verdict="fail" if limit.broken else "pass", reason=limit.reason)
        for limit in report.limits
    ]
    return LiveFinding(
        kind="canary",
        policy=Named(name=judged.policy.name, digest=judged.policy.digest),
        enforcement=report.enforcement,
        verdict=report.verdict,
        gate_verdict=report.gate_verdict.value,
        reason=report.reason,
        created=now,
        subject=judged.subject.canary,
        checks=tuple(checks),
        report=canary_document(judged),
        artifact=judged.subject.artifact,
    )


def canary_text(judged: JudgedCanary) -> str:
    """Return the verdict, what it rests on, and what to do, in at most one screen."""
    return "\n".join(_lines(judged))


def _lines(judged: JudgedCanary) -> Iterator[str]:
    report = judged.report
    shadow = "SHADOW " if report.enforcement == "shadow" else ""
    yield f"{shadow}{_WORDS[report.verdict]}  {judged.policy.name}: {safe(report.reason)}"
    yield from _step(judged)
    yield from _checks(report)
    for limit in report.limits:
        yield f"limit {limit.id}: {'BROKEN, ' if limit.broken else ''}{limit.reason}"
    if report.sample_ratio is not None:
        yield _split(report.sample_ratio)
    if report.missing:
        lost = {name: turns for name in LOST_KINDS if (turns := encode(report.lost)[name])}
        of = ", ".join(f"{name.replace('_', ' ')} {count(turns)}" for name, turns in lost.items())
        yield f"missing: {number(report.missing, 'fraction')} of the turns ({of})"
        late = "missing_data" in report.reason_codes and max(lost, key=lost.__getitem__) == "late"
        if late and judged.state is not None:
            yield "  turns of a file that has grown since it was read count as late, too: give it"
            yield "  once it is complete"
    yield from _blind(report)
    yield from _needed(report)
    for note in report.notes:
        yield f"note: {safe(note)}"
    if judged.rollback is not None:
        yield f"go back: {judged.rollback}"


def _step(judged: JudgedCanary) -> Iterator[str]:
    report, step = judged.report, judged.report.step
    if step is None:
        yield "no step has begun"
        return
    steps = judged.policy.steps
    minimum = duration(steps[step.index - 1].min_duration_s)
    of = f"step {step.index} of {len(steps)}: {percent(step.share)} of the traffic"
    yield f"{of}, for {lasted(step.elapsed_s)} (at least {minimum})"
    needed = f"{report.threshold:g} rolls back, by chance in {percent(report.alpha)} of rollouts"
    yield f"evidence {evidence_text(report.evidence)} ({needed})"


def _checks(report: CanaryReport) -> Iterator[str]:
    """Yield the table: every overall trigger, then the slices with the most evidence."""
    overall = [check for check in report.checks if check.slice == OVERALL]
    sliced = [check for check in report.checks if check.slice != OVERALL and check.status == "harm"]
    shown = [*overall, *sliced[:_SHOWN]]
    if not shown:
        return
    rows = [("", "canary", "control", "evidence", "rules out")]
    rows += [
        (
            f"{check.trigger}{on_slice(safe(check.slice))}",
            _rate(check, canary=True),
            _rate(check, canary=False),
            evidence_text(check.evidence),
            _status(check),
        )
        for check in shown
    ]
    yield columns(rows, to_left=(0, -1), indent=2)
    if len(sliced) > _SHOWN:
        yield f"  and {len(sliced) - _SHOWN} more slices"


def _rate(check: CanaryCheck, *, canary: bool) -> str:
    figures = check.canary if canary else check.control
    value = figures.value if canary else control_beside(check)
    if value is None:
        return "no turn"
    shown = f"{value:.4g}" if check.unit == "amount" else number(value, "fraction")
    return f"{shown} of {count(figures.turns)}"


def _status(check: CanaryCheck) -> str:
    if check.status == "harm":
        return "HARM"
    if check.status == "no_data":
        return "no data"
    if check.below_floor:
        return "small enough"
    if check.smallest_ruled_out is None:
        return "nothing yet"
    if check.unit == "amount":
        return f"+{percent(check.smallest_ruled_out)}"
    return f"x {check.smallest_ruled_out:g}"


def _split(ratio: SampleRatioCheck) -> str:
    told = "MISMATCH" if ratio.mismatch else "as it was set"
    of = f", by {ratio.slice}" if ratio.slice is not None and ratio.mismatch else ""
    return (
        f"split: {number(ratio.observed, 'fraction')} of {counted(ratio.units, 'unit')} in the "
        f"canary, {percent(ratio.expected)} set: {told} (evidence "
        f"{evidence_text(ratio.evidence)}{of}, {SUSPECT_RATIO:,.0f} is a mismatch)"
    )


def _blind(report: CanaryReport) -> Iterator[str]:
    """Yield the slices that could hide a harm, those that could hide any first."""
    if not report.blind or report.verdict == "roll_back":
        return
    keys = list(dict.fromkeys(blind.slice for blind in report.blind))
    largest = {
        key: next(blind for blind in report.blind if blind.slice == key) for key in keys[:_BLIND]
    }
    parts = [
        f"{safe(key)} ({'any' if blind.could_hide is None else f'x {blind.could_hide:g}'} in "
        f"{blind.trigger})"
        for key, blind in largest.items()
    ]
    more = f", and {len(keys) - _BLIND} more" if len(keys) > _BLIND else ""
    yield f"blind: {counted(len(keys), 'slice')} could hide a harm: {', '.join(parts)}{more}"


def _needed(report: CanaryReport) -> Iterator[str]:
    """Yield what more traffic would change; of a hold for other reasons nothing."""
    codes = {code.partition(":")[0] for code in report.reason_codes}
    if report.verdict != "hold" or codes.isdisjoint({"not_ruled_out", "min_duration"}):
        return
    if report.needed is not None and not report.needed.turns and report.needed.hours < _SOON:
        return
    if report.needed is None:
        yield "needed: not known yet from this traffic"
        return
    hours = duration(max(60.0, 3600 * report.needed.hours))
    turns = f"about {counted(report.needed.turns, 'turn')} more, " if report.needed.turns else ""
    yield f"needed: {turns}{hours} at today's traffic, if the arms are equal"


def plan_text(plan: CanaryPlan) -> str:
    """Return a plan as a table of steps, with what stays blind."""
    return "\n".join(_plan_lines(plan))


def _plan_lines(plan: CanaryPlan) -> Iterator[str]:
    source = "assumed: 4 turns a session, 2 % events" if plan.assumed else "your traffic"
    yield f"{plan.policy.name} at {plan.turns_per_hour:,.0f} turns an hour ({source})"
    whole = "never" if plan.hours is None else duration(3600 * plan.hours)
    yield f"an equal canary reaches the end after: {whole}"
    rows = [("step", "rules out", "turns", "lasts", "waits for", "finds it after, at the latest")]
    for step in plan.steps:
        known = [find for find in step.finds if find.hours is not None]
        slowest = max(known, key=lambda find: find.hours or 0.0, default=None)
        found = "never" if slowest is None or len(known) < len(step.finds) else ""
        if not found and slowest is not None:
            found = f"{_hours(slowest.hours)} ({slowest.trigger})"
        rows.append(
            (
                percent(step.share),
                f"x {step.detectable:g}",
                "never" if step.turns is None else count(step.turns),
                _hours(step.hours),
                step.waits_for or "its least time",
                found,
            )
        )
    yield columns(rows, to_left=(0, 4, 5), indent=2)
    keys = list(dict.fromkeys(blind.slice for blind in plan.blind))
    if keys:
        more = f", and {len(keys) - _BLIND} more" if len(keys) > _BLIND else ""
        named = ", ".join(map(safe, keys[:_BLIND])) + more
        yield f"blind at the end: {counted(len(keys), 'slice')}: {named}"
    if plan.false_rollback is not None:
        rate = plan.false_rollback
        yield (
            f"an equal canary is rolled back in {number(rate.rate, 'fraction')} of "
            f"{rate.runs:,} rollouts of this traffic (at most {number(rate.high, 'fraction')})"
        )


def _hours(hours: float | None) -> str:
    return "never" if hours is None else duration(max(60.0, 3600 * hours))
