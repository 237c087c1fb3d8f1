"""Health and capacity for people, and as the record that every look at live traffic leaves."""

from collections.abc import Iterable, Iterator

from relkit.core.codec import encode
from relkit.core.slices import OVERALL
from relkit.core.wording import NONE, SHORT, columns, count, counted, number, percent, safe, times
from relkit.monitoring.serving.types import (
    CapacityReport,
    HealthReport,
    HealthVerdict,
    JudgedStage,
    LineStatus,
)
from relkit.monitoring.types import GateWord, LiveCheck, LiveFinding

_WORDS: dict[HealthVerdict, str] = {
    "ok": "is ok",
    "saturated": "has a saturated queue",
    "storm": "is in a retry storm",
    "spike": "has a spike of calls",
    "fail": "is over a limit",
    "no_data": "cannot be judged",
}

_OF_LINE: dict[LineStatus, GateWord] = {
    "ok": "pass",
    "over_target": "pass",
    "over_limit": "fail",
    "no_data": "no_data",
    "no_line": "pass",
    "not_measured": "no_data",
}

_STATUS: dict[LineStatus, str] = {
    "ok": "ok",
    "over_target": "over target",
    "over_limit": "OVER LIMIT",
    "no_data": "no data",
    "no_line": "no line",
    "not_measured": "not measured",
}

_EVERY = 1e6
"""Beyond a million no digit of evidence says anything."""


def health_finding(report: HealthReport) -> LiveFinding:
    """Return the record of a look at health."""
    words: dict[HealthVerdict, GateWord] = {"ok": "pass", "no_data": "no_data"}
    return LiveFinding(
        kind="health",
        policy=report.policy,
        enforcement=report.enforcement,
        verdict=report.verdict,
        gate_verdict=words.get(report.verdict, "fail"),
        reason=_reason(report.reasons, "nothing is over its limit"),
        created=report.created,
        subject=None,
        checks=tuple(_health_checks(report)),
        report=encode(report),
    )


def _reason(reasons: tuple[str, ...], otherwise: str) -> str:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else otherwise


def _word(flag: bool | None) -> GateWord:  # noqa: FBT001 - the one thing it is about
    """Return what a gate makes of something bad that holds, does not hold, or is not known."""
    return "no_data" if flag is None else "fail" if flag else "pass"


def _health_checks(report: HealthReport) -> Iterator[LiveCheck]:
    if report.queue is not None:
        slow = [reason for reason in report.reasons if reason.startswith("queue: ")]
        saturated = report.queue.saturated
        word = _word(None if saturated is None else bool(slow))
        yield LiveCheck(name="queue", verdict=word, reason=report.queue.reason)
    if report.retries is not None:
        word = _word(report.retries.storm)
        yield LiveCheck(name="retries", verdict=word, reason=report.retries.reason)
    for tenant in report.tenants or ():
        yield LiveCheck(
            name="tenants",
            slice=f"tenant_class={tenant.class_}",
            verdict=_word(tenant.spike),
            reason=f"{counted(tenant.calls, 'call')}, {_usual(tenant.expected)} usual",
        )
    if report.churn is not None:
        over = [reason for reason in report.reasons if reason.startswith("churn: ")]
        word = _word(None if report.churn.value is None else bool(over))
        yield LiveCheck(name="churn", verdict=word, reason=report.churn.reason)
    for stage in report.budget or ():
        yield LiveCheck(
            name=f"budget.{stage.stage}",
            slice=OVERALL if stage.of == "all" else f"turn={stage.of}",
            verdict=_OF_LINE[stage.status],
            reason=f"p50 {number(stage.p50, 'ms')}, p95 {number(stage.p95, 'ms')}: "
            f"{_STATUS[stage.status]}",
            advisory=stage.status in ("no_line", "not_measured"),
        )


def health_text(report: HealthReport) -> str:
    """Return a look at health for people: what is wrong first, then every figure."""
    lines = [_headline(report.enforcement, report.verdict == "ok", report.verdict, _health(report))]
    lines += [f"  {safe(reason)}" for reason in report.reasons]
    rows = []
    if report.queue is not None:
        queue = report.queue
        growing = {True: "growing", False: "not growing", None: "trend not known"}[queue.growing]
        burn = NONE if queue.burn is None else f"{queue.burn:.2g}"
        rows.append(("queue", f"{number(queue.utilisation, 'fraction')} utilisation"))
        waiting = f"p95 of waiting {number(queue.p95_ms, 'ms')}, {growing}, burn {burn}"
        rows.append(("", waiting))
    if report.retries is not None:
        first = counted(report.retries.first_attempts, "first attempt")
        rows.append(("retries", f"{times(report.retries.amplification)} the {first}"))
    if report.churn is not None:
        churn = report.churn
        shown = f"{number(churn.value, 'fraction')} of the words shown, at most "
        rows.append(("churn", shown + percent(churn.threshold)))
        rows += [
            (
                "",
                f"{safe(item.language, SHORT)} {number(item.value, 'fraction')}, "
                + counted(item.utterances, "utterance"),
            )
            for item in churn.languages
        ]
    if report.unexplained_ms is not None and report.unexplained_ms.turns:
        rest = report.unexplained_ms
        figures = f"p50 {number(rest.p50, 'ms')}, p95 {number(rest.p95, 'ms')}"
        rows.append(("unexplained", f"{figures} of latency_ms are in no stage"))
    lines += ["", columns(rows, indent=2, to_left=(0, 1))] if rows else []
    if report.budget:
        lines += ["", columns(_budget_rows(report.budget), indent=2)]
    if report.tenants:
        head = ("tenant class", "calls", "usual", "evidence")
        body = [
            (
                safe(tenant.class_, SHORT),
                count(tenant.calls),
                _usual(tenant.expected),
                _evidence(tenant.evidence),
            )
            for tenant in report.tenants
        ]
        lines += ["", columns([head, *body], indent=2)]
    lines += ["", *(f"  note: {safe(note)}" for note in report.notes)] if report.notes else []
    return "\n".join(lines)


def _headline(enforcement: str, passed: bool, verdict: str, what: str) -> str:  # noqa: FBT001 - as its name
    if enforcement == "shadow":
        return f"SHADOW: {what}; this exits 0 and can promote nothing"
    word = "PASS" if passed else "NO DATA" if verdict == "no_data" else "FAIL"
    return f"{word}: {what}"


def _health(report: HealthReport) -> str:
    until = "" if report.until is None else f" until {report.until}"
    level = "" if report.level == "normal" else f", level {report.level}"
    return f"{report.policy.name} {_WORDS[report.verdict]}{level}{until}"


def _budget_rows(budget: Iterable[JudgedStage]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("budget, ms", "turns", "p50", "p95", "target", "limit", "")]
    for stage in budget:
        target = NONE if stage.target is None else "{:,.0f} to {:,.0f}".format(*stage.target)
        limit = NONE if stage.limit is None else f"{stage.limit:,.0f}"
        name = stage.stage if stage.of == "all" else f"{stage.stage}, {stage.of} turns"
        figures = [NONE if ms is None else f"{ms:,.0f}" for ms in (stage.p50, stage.p95)]
        row = (name, count(stage.turns), *figures, target, limit, _STATUS[stage.status])
        rows.append(row)
    return rows


def _usual(expected: float | None) -> str:
    return NONE if expected is None else f"{expected:,.1f}"


def _evidence(evidence: float | None) -> str:
    if evidence is None:
        return NONE
    return f"{evidence:,.2g}" if evidence < _EVERY else "> 1,000,000"


def capacity_finding(
    report: CapacityReport, subject: str | None = None, artifact: str | None = None
) -> LiveFinding:
    """Return the record of a look at capacity: ``subject`` is the release that was under load."""
    return LiveFinding(
        kind="capacity",
        policy=report.policy,
        enforcement=report.enforcement,
        verdict=report.verdict,
        gate_verdict=report.verdict,
        reason=_reason(report.reasons, "what is needed is there"),
        created=report.created,
        subject=subject,
        checks=tuple(
            LiveCheck(name=name, verdict=verdict, reason=reason)
            for name, verdict, reason in _capacity_checks(report)
        ),
        report=encode(report),
        artifact=artifact,
    )


def _capacity_checks(report: CapacityReport) -> Iterator[tuple[str, GateWord, str]]:
    if report.steps:
        missing = (report.knee_reason or "").startswith("missing")
        word: GateWord = "no_data" if missing else "fail" if report.safe is None else "pass"
        yield "load_test", word, _knee(report)
    yield "slots", "no_data" if report.slots_needed is None else "pass", _slots(report)
    if report.headroom is not None:
        word = "fail" if report.headroom < 0 else "pass"
        yield "headroom", word, number(report.headroom, "fraction")


def _knee(report: CapacityReport) -> str:
    safe_at = "none is safe" if report.safe is None else f"safe up to {report.safe:g} at once"
    if report.knee is None:
        return f"{safe_at}, no knee was reached"
    return f"{safe_at}, knee at {report.knee:g} ({report.knee_reason})"


def _slots(report: CapacityReport) -> str:
    if report.slots_needed is None:
        return "not known"
    return f"{counted(report.slots_needed, 'slot')} for the offered load"


def capacity_text(report: CapacityReport) -> str:
    """Return a look at capacity for people."""
    verdict = {"pass": "has what it needs", "fail": "falls short", "no_data": "cannot be judged"}
    what = f"{report.policy.name} {verdict[report.verdict]}"
    lines = [_headline(report.enforcement, report.verdict == "pass", report.verdict, what)]
    lines += [f"  {safe(reason)}" for reason in report.reasons]
    if report.steps:
        head = ("at once", "throughput", "p95 ms", "errors", "")
        body = [
            (
                f"{step.concurrency:g}",
                NONE if step.throughput is None else _decimal(step.throughput),
                NONE if step.p95_ms is None else f"{step.p95_ms:,.0f}",
                number(step.error_rate, "fraction"),
                f"knee: {report.knee_reason}"
                if step.concurrency == report.knee
                else "safe"
                if step.concurrency == report.safe
                else "",
            )
            for step in report.steps
        ]
        lines += ["", columns([head, *body], to_left=(4,), indent=2)]
    lines += ["", columns(_capacity_rows(report), indent=2, to_left=(0, 1))]
    lines += ["", *(f"  note: {safe(note)}" for note in report.notes)] if report.notes else []
    return "\n".join(lines)


def _decimal(value: float) -> str:
    """Return a figure that has no unit of its own: three digits that say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def _capacity_rows(report: CapacityReport) -> list[tuple[str, str]]:
    def whole_number(value: int | None) -> str:
        return NONE if value is None else count(value)

    def decimal(value: float | None, unit: str) -> str:
        return NONE if value is None else f"{_decimal(value)} {unit}"

    peak = whole_number(report.peak.observed)
    if report.peak.at is not None:
        peak += f" sessions at once, {report.peak.at}"
    rows = [
        ("arrivals", decimal(report.arrivals_per_hour, "an hour")),
        ("length", decimal(report.mean_call_s, "s")),
        ("observed peak", peak),
        ("streams per replica", whole_number(report.streams_per_replica)),
        ("slots needed", whole_number(report.slots_needed)),
        ("replicas needed", whole_number(report.replicas_needed)),
        ("head-room", number(report.headroom, "fraction")),
        ("ramp", decimal(report.ramp_per_s, "sessions a second")),
        ("warm pool", whole_number(report.warm_pool)),
    ]
    if report.gpu_memory_gb is not None:
        memory = report.gpu_memory_gb
        rows.append(
            (
                "GPU memory",
                f"{memory.total:.1f} GB: weights {memory.weights:.1f}, cache {memory.kv_cache:.2f}",
            )
        )
    return rows
