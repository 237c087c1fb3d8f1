"""The verb ``slo``: counts in, one report and its record out."""

from relkit.core.codec import encode
from relkit.core.values import Named
from relkit.monitoring.slo.judge import judge_slo
from relkit.monitoring.slo.ports import ServiceLevels
from relkit.monitoring.slo.types import SloPolicy, SloReport, SloVerdict, WindowStatus
from relkit.monitoring.types import GateWord, LiveCheck, LiveFinding

OUTCOME_OF: dict[SloVerdict, GateWord] = {
    "page": "fail",
    "ticket": "fail",
    "no_data": "no_data",
    "none": "pass",
}
"""What each verdict says in the gate's words; the exit code follows it."""

_CHECKED: dict[WindowStatus, GateWord] = {
    "firing": "fail",
    "few_events": "pass",
    "quiet": "pass",
    "no_data": "no_data",
}


def check_slo(policy: SloPolicy, levels: ServiceLevels, at: str) -> tuple[SloReport, LiveFinding]:
    """Return what an objective says at a UTC time, and the record that a gate can require.

    A gate fails on a spent budget, too: it freezes releases that no alert would stop. Raises
    InvalidInput for a policy that the source cannot count by, BackendUnavailable for a server that
    does not answer.
    """
    report = judge_slo(policy, levels.counts(policy, at), at, levels.source)
    checks = [
        LiveCheck(
            name=f"{window.severity} {window.short} & {window.long}",
            verdict=_CHECKED[window.status],
            reason=window.reason,
        )
        for window in report.windows
    ]
    frozen: GateWord = "pass"
    if report.freeze:
        frozen = "no_data" if report.budget_left is None else "fail"
    checks.append(LiveCheck(name="freeze", verdict=frozen, reason=report.freeze_reason))
    outcome = OUTCOME_OF[report.verdict]
    blocked = outcome == "pass" and report.freeze
    finding = LiveFinding(
        kind="slo",
        policy=Named(name=policy.name, digest=policy.digest),
        enforcement=policy.enforcement,
        verdict=report.verdict,
        gate_verdict=frozen if blocked else outcome,
        reason=f"freeze: {report.freeze_reason}" if blocked else report.reason,
        created=at,
        subject=None,
        checks=tuple(checks),
        report=encode(report),
    )
    return report, finding
