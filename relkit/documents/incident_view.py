"""What fills the runbooks ``handoff`` and ``postmortem``: what is open, and what has happened.

A postmortem leaves the team: of people, turns and slices it says what the packet says, which obeys
docs/privacy.md already, and of everything else names, versions, verdicts and times.
"""

from collections.abc import Iterator
from operator import itemgetter

from relkit.core.values import moment, to_minute
from relkit.core.wording import percent, short_digest
from relkit.disclosure.names import checked_name
from relkit.documents.launch_view import error_budget_left
from relkit.documents.monitors_view import monitor_row, monitors_of
from relkit.documents.rollout_view import canary_policy, decision_words
from relkit.documents.runbook_types import IncidentRecord, OpenPoints, RunbookFacts
from relkit.documents.runbook_view import (
    TURNS_BEFORE,
    TURNS_NOW,
    Worded,
    command,
    component_name,
    header,
    owner_of,
)
from relkit.incident.packets.types import PACKET_ENDING
from relkit.incident.received.view import PacketView
from relkit.incident.received.words import STAGE_WORDS, TIMELINE_WORDS
from relkit.registry.types import EventKind

QUESTIONS: tuple[tuple[str, str], ...] = (
    ("Summary", "What happened, in three sentences, for somebody who was not there?"),
    ("Why it could happen", "What made this release, or this change, possible as it was?"),
    ("Why nobody saw it before", "Which gate, canary step or monitor could have, and did not?"),
    ("What went well", "What kept it from being worse, or made it shorter?"),
    ("What made it longer", "Between which lines of the timeline was time lost, and by what?"),
    ("What is changed", "Which change, who does it, until when, and how is it seen to be done?"),
)
"""Sections of a postmortem that only people can write: heading and question."""

_HAPPENED = {
    EventKind.REGISTERED: "registered",
    EventKind.CANARY: "a canary got a share of traffic",
    EventKind.HELD: "rollout held",
    EventKind.PROMOTED: "promoted to full traffic",
    EventKind.ROLLED_BACK: "rolled back to",
}


def handoff_values(facts: RunbookFacts, open_points: OpenPoints) -> Worded:
    """Return what fills the runbook ``handoff``: to the next shift, from research to serving."""
    watched = [monitor_row(one, facts, open_points) for one in monitors_of(facts.policies)]
    return {
        **header(facts, "Handoff", open_points),
        "canaries": list(_canaries(facts, open_points)),
        "waiting": list(_waiting(facts)),
        "findings": list(_open_findings(facts)),
        "incidents": [_open_incident(record) for record in facts.incidents if _is_open(record)],
        "budgets": [
            {
                "name": slo.name,
                "objective": f"{percent(slo.objective)} over {slo.window}",
                "left": open_points.measured(
                    error_budget_left(facts, slo.name),
                    f"what is left of the error budget of {slo.name}",
                ),
                "command": command("slo", slo.name, "--telemetry", TURNS_NOW),
            }
            for slo in facts.policies.objectives
        ],
        "expiring": list(_expiring(facts)),
        "gate": decision_words(facts, open_points),
        "worse": list(facts.release.worse_slices),
        "needs": [f"{name} {needed}" for name, needed in sorted(facts.release.requires.items())],
        "target": facts.rollback.target or "none",
        "watched": [str(row["name"]) for row in watched],
        "next": list(_next_steps(facts)),
    }


def _canaries(facts: RunbookFacts, open_points: OpenPoints) -> Iterator[Worded]:
    """Yield what is in canary, of any model."""
    policy = canary_policy(facts)
    for served in facts.served:
        if served.candidate is None:
            continue
        named = policy.name if policy is not None and served.model == facts.model else None
        finding = None if named is None else facts.finding("canary", named)
        if finding is not None and finding.subject != served.candidate:
            finding = None
        last = None if finding is None else f"{finding.verdict} at {finding.created}"
        what = f"what the canary {served.model} {served.candidate} did so far"
        yield {
            "model": served.model,
            "version": served.candidate,
            "share": percent(served.share),
            "last": open_points.measured(last, what),
            "decides": owner_of(facts, served.model, open_points),
        }


def _waiting(facts: RunbookFacts) -> Iterator[Worded]:
    """Yield releases of the model that were registered after what is live, and have no traffic."""
    state = facts.state
    order = list(state.registered)
    begin = order.index(state.live) + 1 if state.live in order else 0
    for version in order[begin:]:
        if version in state.yanked or version in state.condemned or version == state.candidate:
            continue
        yield {
            "version": version,
            "review": command("runbook", "launch-review", f"{facts.model}@{version}"),
        }


def _open_findings(facts: RunbookFacts) -> Iterator[Worded]:
    """Yield the newest look of every policy that did not say that all is well."""
    for finding in facts.findings:
        if finding.gate_verdict != "pass":
            yield {
                "name": finding.policy.name,
                "kind": finding.kind,
                "verdict": finding.verdict.replace("_", " "),
                "at": finding.created,
                "reason": finding.reason,
            }


def _is_open(record: IncidentRecord) -> bool:
    return record.last.status != "resolved"


def _open_incident(record: IncidentRecord) -> Worded:
    name, digest, packet = record.packets[-1]
    path = f".relkit/incidents/{record.name}/packets/{name}{PACKET_ENDING}"
    return {
        "name": record.name,
        "status": packet.status,
        "stage": STAGE_WORDS[packet.stage],
        "what": PacketView(packet).headline,
        "until": packet.window.to,
        "digest": short_digest(digest),
        "command": command("incident", "show", path),
    }


def _expiring(facts: RunbookFacts) -> Iterator[Worded]:
    """Yield decisions and records that end by themselves, the first to end first."""
    ends: dict[tuple[str, str], None] = {}
    if facts.decision is not None and facts.decision.expires:
        name = f"the decision of {facts.decision.policy.name}"
        ends[facts.decision.expires, name] = None
    if facts.launch is not None and facts.launch.decision.expires:
        name = f"the decision of {facts.launch.decision.policy.name}"
        ends[facts.launch.decision.expires, name] = None
    for name, check in facts.checks.items():
        if not isinstance(check, str) and check.expires is not None:
            ends[check.expires, f"the record {name}"] = None
    for at, what in sorted(ends):
        state = "over" if moment(at) <= moment(facts.as_of) else "valid"
        yield {"at": at, "what": what, "state": state}


def _next_steps(facts: RunbookFacts) -> Iterator[Worded]:
    """Yield what to do next, by what the records say, each with its command."""
    subject = f"{facts.model}@{facts.version}"
    policy = canary_policy(facts)
    yield {
        "what": "See that the turns are whole before anything is read from them",
        "command": command("telemetry", "check", TURNS_NOW),
    }
    if facts.state.candidate is not None and policy is not None:
        yield {
            "what": f"Look at the canary {facts.model} {facts.state.candidate}",
            "command": command(
                *("canary", policy.name, "--reference", TURNS_BEFORE, "--telemetry", TURNS_NOW)
            ),
        }
    yield {
        "what": "Where something is wrong: what broke, and whether a release did it",
        "command": command("triage", "--telemetry", TURNS_BEFORE, TURNS_NOW),
    }
    for kind, what in (
        ("first-hour", "By symptom, with who decides"),
        ("rollback", "The way back, before it is needed"),
    ):
        yield {"what": what, "command": command("runbook", kind, subject)}
    next_release = facts.state.candidate or facts.version
    yield {
        "what": f"What a launch of {facts.model} {next_release} rests on, and what is open",
        "command": command("runbook", "launch-review", f"{facts.model}@{next_release}"),
    }


def postmortem_values(facts: RunbookFacts, open_points: OpenPoints) -> Worded:
    """Return what fills the runbook ``postmortem``: records filled in, prose left to people.

    Raises InvalidInput where a model, a version or a policy has a name that may not leave the team.
    """
    checked_name(facts.model, what="the model")
    checked_name(facts.version, what="the release")
    record = incident_of(facts)
    packet = None if record is None else record.last
    view = None if packet is None else PacketView(packet)
    if view is None:
        open_points.measured(None, "the impact: no packet of an incident of this release is out")
    for heading, _ in QUESTIONS:
        open_points.stated(None, heading)
    component = facts.release.component
    return {
        "title": f"Postmortem: {facts.model} {facts.version}",
        "model": facts.model,
        "version": facts.version,
        "component": component,
        "as_of": to_minute(facts.as_of),
        "incident": "" if record is None else record.name,
        "headline": "" if view is None else view.headline,
        "facts": [] if view is None else [{"name": n, "words": w} for n, w in view.facts],
        "impact": [] if view is None else [{"name": n, "words": w} for n, w in view.impact],
        "whose": "" if packet is None else _whose(packet.subjects, packet.unit, packet.k),
        "timeline": [
            {"at": at, "what": what, "of": of or "no release"}
            for at, what, of in sorted(_timeline(facts, record), key=itemgetter(0))
        ],
        "looks": [] if view is None else _looks(view),
        "served": []
        if view is None
        else [
            {"component": c, "version": v, "since": since, "to": to, "share": share}
            for c, v, since, to, share in view.served
        ],
        "refused": []
        if view is None
        else [{"version": version, "why": why} for version, why in view.refused],
        "packets": []
        if record is None
        else [
            {
                "name": name,
                "stage": STAGE_WORDS[out.stage],
                "window": f"{out.window.from_} to {out.window.to}",
                "digest": digest,
                "commitments": len(out.commitments),
            }
            for name, digest, out in record.packets
        ],
        "shows": [] if record is None else [_open_incident(record)["command"]],
        "history": command("registry", "history", facts.model),
        "verify": command("registry", "verify", facts.model),
        "triage": command("triage", facts.model, "--telemetry", TURNS_BEFORE, TURNS_NOW),
        "questions": [{"heading": heading, "question": asked} for heading, asked in QUESTIONS],
    }


def incident_of(facts: RunbookFacts) -> IncidentRecord | None:
    """Return the newest incident that blames the release, else one in which it had traffic."""
    own = next(served for served in facts.served if served.model == facts.model)
    names = {facts.model, facts.release.component, component_name(own)}
    newest = sorted(facts.incidents, key=lambda record: record.last.window.to, reverse=True)
    blamed = [
        record
        for record in newest
        if record.last.cause.component in names and record.last.cause.first_bad == facts.version
    ]
    served = [
        record
        for record in newest
        if any(
            item.component in names and item.version == facts.version for item in record.last.served
        )
    ]
    return next(iter([*blamed, *served]), None)


def _whose(subjects: str, unit: str, k: int) -> str:
    noun = "people" if unit == "user" else "sessions, not people"
    return f"of {noun}, whose data is {subjects}; nothing is told of fewer than {k}"


def _looks(view: PacketView) -> list[Worded]:
    return [
        {"what": what, "policy": policy, "verdict": verdict, "at": at}
        for what, policy, verdict, at, _ in view.findings
    ]


def _timeline(facts: RunbookFacts, record: IncidentRecord | None) -> Iterator[tuple[str, str, str]]:
    """Yield (minute, what, of which release): ledger, looks at it, packets, each once."""
    seen: set[tuple[str, str, str]] = set()
    name = facts.release.component

    def line(at: str, what: str, of: str) -> Iterator[tuple[str, str, str]]:
        entry = (_minute(at), what, of)
        if entry not in seen:
            seen.add(entry)
            yield entry

    for _, _, packet in () if record is None else record.packets:
        for told in packet.timeline:
            of = " ".join(filter(None, (told.component, told.version)))
            going_back = " to" if told.kind == "rolled_back" else ""
            yield from line(told.at, f"{TIMELINE_WORDS[told.kind]}{going_back}", of)
        yield from line(packet.created, f"packet sent: {STAGE_WORDS[packet.stage].lower()}", "")
    for event in facts.events:
        what = _HAPPENED.get(event.kind)
        if what is not None and _concerns(facts, event.version, event.bad):
            version = checked_name(event.version, what="a version in the ledger")
            yield from line(event.at, what, f"{name} {version}")
    for finding in facts.findings:
        if finding.subject in {facts.version, f"{facts.model}@{facts.version}"}:
            verdict = finding.verdict.replace("_", " ")
            policy = checked_name(finding.policy.name, what=f"a {finding.kind} policy")
            yield from line(finding.created, f"{policy} said {verdict}", name)


def _concerns(facts: RunbookFacts, version: str, bad: tuple[str, ...]) -> bool:
    return version == facts.version or facts.version in bad


def _minute(at: str) -> str:
    """Return a time to the minute."""
    return f"{at[:16]}Z"
