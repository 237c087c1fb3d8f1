"""A look for abuse for people, and as the record that a gate reads."""

from relkit.core.codec import encode
from relkit.core.wording import columns, count, number, safe, times
from relkit.incident.types import AbuseReport
from relkit.monitoring.types import GateWord, LiveCheck, LiveFinding

_GATE: dict[str, GateWord] = {"nothing": "pass", "spike": "fail", "no_data": "no_data"}


def abuse_text(report: AbuseReport) -> str:
    """Return what a look found, at most 80 columns wide."""
    lines = [f"abuse: {report.verdict}", safe(report.reason), ""]
    if report.spikes:
        rows = [
            (
                safe(spike.tenant_class),
                spike.measure,
                f"{spike.from_[:16]}Z",
                f"{spike.to[11:16]}Z",
                times(spike.ratio),
                number(spike.score, "ratio"),
            )
            for spike in report.spikes
        ]
        lines += [columns([("class", "of", "from", "to", "its own hours", "score"), *rows]), ""]
    lines += [
        f"not judged: {item.measure}"
        f"{'' if item.tenant_class is None else f' of {safe(item.tenant_class)}'}: "
        f"{safe(item.reason)}"
        for item in report.not_judged
    ]
    turns = count(report.read.turns)
    span = f"{report.searched_from} to {report.searched_to}"
    lines.append(f"{turns} turns of {count(report.classes)} classes; searched {span}")
    return "\n".join(lines)


def abuse_finding(report: AbuseReport, *, created: str) -> LiveFinding:
    """Return the record of a look, with a check for each spike and for what was not judged."""
    spikes = [
        LiveCheck(
            name=spike.measure,
            slice=f"class {spike.tenant_class}",
            verdict="fail",
            reason=f"{times(spike.ratio)} what its own hours had, from {spike.from_}",
        )
        for spike in report.spikes
    ]
    not_judged = [
        LiveCheck(
            name=item.measure,
            slice="overall" if item.tenant_class is None else f"class {item.tenant_class}",
            verdict="no_data",
            reason=item.reason,
        )
        for item in report.not_judged
    ]
    quiet = [
        LiveCheck(name=measure, verdict="pass", reason="as in the days before")
        for measure in report.measures
        if not any(spike.measure == measure for spike in report.spikes)
    ]
    return LiveFinding(
        kind="abuse",
        policy=report.policy,
        enforcement=report.enforcement,
        verdict=report.verdict,
        gate_verdict=_GATE[report.verdict],
        reason=report.reason,
        created=created,
        subject=None,
        checks=(*spikes, *not_judged, *quiet),
        report=encode(report),
    )
