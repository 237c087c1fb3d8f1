"""What fills the runbook ``launch-review``: what a launch rests on, what is open, the decision.

The decision is the policy's, from its newest record about this release. It is read, never made.
"""

from collections.abc import Iterator

from relkit.core.metrics import SAFETY_METRICS
from relkit.core.wording import number, percent, short_digest
from relkit.documents.monitors_view import last_look, monitor_row, monitors_of
from relkit.documents.rollout_view import decision_words
from relkit.documents.runbook_types import LaunchDecision, OpenPoints, RunbookFacts
from relkit.documents.runbook_view import (
    TURNS_BEFORE,
    TURNS_NOW,
    Worded,
    command,
    header,
)
from relkit.gate.decide import REQUIREMENT, worst_of
from relkit.gate.types import GateDecision, GatePolicy, RuleResult, Verdict
from relkit.registry.types import EventKind

_KINDS = (("slo", "objectives"), ("cost", "costs"), ("capacity", "capacity"))


def launch_review_values(facts: RunbookFacts, open_points: OpenPoints) -> Worded:
    """Return what fills the runbook ``launch-review``; its last line is the launch decision."""
    policy = launch_policy(facts)
    watched = [monitor_row(one, facts, open_points) for one in monitors_of(facts.policies)]
    for kind, _ in _KINDS:
        if not any(row["kind"] == kind for row in watched):
            open_points.stated(None, f"a {kind} policy (a file in gates/)")
    values: Worded = {
        **header(facts, "Launch review", open_points),
        "gate": decision_words(facts, open_points),
        "capacity": [_capacity(facts, row) for row in watched if row["kind"] == "capacity"],
        "objectives": [_objective(facts, row) for row in watched if row["kind"] == "slo"],
        "costs": [row for row in watched if row["kind"] == "cost"],
        "serving_cost": _serving_cost(facts, open_points),
        "safety": list(_safety(facts, open_points)),
        "canary": _canary(facts, open_points),
        "target": facts.rollback.target or "none",
        "evidence": list(facts.rollback.evidence),
        "refused": [
            {"version": refused.version, "reason": refused.reason}
            for refused in facts.rollback.refused
        ],
        "rollback": command("rollback", facts.model, "--bad", facts.version),
        "approvals": list(_records(facts, policy, open_points)),
        "policy": "" if policy is None else policy.name,
        "decide": "" if policy is None else _decide(facts, policy),
    }
    if policy is None:
        open_points.stated(None, "a policy with requires: that decides a launch (a file in gates/)")
    if facts.launch is None:
        open_points.measured(None, "whether it may launch: no decision of such a policy is here")
    decides = str(values["decides"])
    return values | {
        "questions": [
            {"question": f"{point[:1].upper()}{point[1:]}?", "word": word, "answers": decides}
            for word, points in (
                ("not measured", open_points.not_measured),
                ("not stated", open_points.not_stated),
            )
            for point in points
        ],
        "decision": launch_words(facts),
    }


def launch_policy(facts: RunbookFacts) -> GatePolicy | None:
    """Return the policy that decides a launch: that of the newest decision, else by its name."""
    if facts.launch is not None:
        return facts.launch.policy
    asking = [policy for policy in facts.policies.gates if policy.requires]
    named = [policy for policy in asking if policy.name == "launch-readiness"]
    return next(iter([*named, *asking]), None)


def launch_words(facts: RunbookFacts) -> str:
    """Return the launch decision in one line.

    Its verdict, that of every part with the run it judged, and the reason of every requirement.
    """
    launch = facts.launch
    if launch is None:
        return "not decided"
    decision = launch.decision
    problems = list(_not_ready(facts, launch))
    word = f"not ready ({'; '.join(problems)})" if problems else "ready"
    signed = "signed by " + ", ".join(key[:16] for key in launch.signers)
    reasons = [result.reason for result in decision.results if result.test == REQUIREMENT]
    reasons += [_rule_words(result) for result in decision.results if _blocks(result)]
    parts = list(_part_words(decision))
    return (
        f"{word}; {decision.policy.name}: {decision.verdict}, decided at {decision.created}, valid "
        f"to {decision.expires}, {signed if launch.signers else 'not signed'} "
        f"({short_digest(launch.digest)}); {'; '.join([*parts, *reasons])}"
    )


def _not_ready(facts: RunbookFacts, launch: LaunchDecision) -> Iterator[str]:
    """Yield why a decision lets nothing launch, by what the record itself and its policy say."""
    decision = launch.decision
    if decision.verdict is not Verdict.PASS:
        yield f"the verdict is {decision.verdict}"
    if decision.policy.enforcement != "enforce":
        yield "the policy is in shadow, and decides nothing"
    if launch.refused is not None:
        yield launch.refused
    elif not launch.signers and (launch.policy is None or launch.policy.signature == "required"):
        yield "no trusted key has signed it"
    if decision.expires <= facts.as_of:
        yield f"it expired at {decision.expires}"
    if launch.policy is None:
        yield f"the policy {decision.policy.name} is not in this workspace"
    elif launch.policy_digest != decision.policy.digest:
        yield f"the policy {decision.policy.name} has changed since"
    if facts.state.condemned.get(facts.version) or facts.state.yanked.get(facts.version):
        yield "the release was withdrawn"


def _part_words(decision: GateDecision) -> Iterator[str]:
    """Yield the verdict of each part, of one that was given no run too."""
    judged = {part.name: part for part in decision.parts}
    absent = (result.part for result in decision.results if result.part is not None)
    for name in dict.fromkeys([*judged, *absent]):
        results = [
            result
            for result in decision.results
            if result.part == name and result.mode == "required" and result.test != REQUIREMENT
        ]
        verdict = worst_of(result.verdict for result in results) if results else "nothing required"
        what = "the candidate" if name is None else name
        by = "no run was given"
        if name in judged:
            by = f"by {judged[name].policy.name} of {judged[name].candidate.run}"
        yield f"{what}: {verdict}, {by}"


def _blocks(result: RuleResult) -> bool:
    return (
        result.test != REQUIREMENT
        and result.mode == "required"
        and result.verdict is not Verdict.PASS
    )


def _rule_words(result: RuleResult) -> str:
    part = "" if result.part is None else f"{result.part}: "
    return f"{part}{result.rule} on {result.slice}: {result.verdict}: {result.reason}"


def _decide(facts: RunbookFacts, policy: GatePolicy) -> str:
    """Return the command that decides; ``@latest`` stands where no record names the run."""
    run = "@latest"
    judged_by = ""
    if facts.decision is not None and facts.decision.parts:
        run = facts.decision.parts[0].candidate.run
        judged_by = facts.decision.policy.name
    if not policy.parts:
        return command("gate", policy.name, "--candidate", run)
    words = ["gate", policy.name]
    for part, name in policy.parts.items():
        words += ["--candidate", f"{part}={run if name == judged_by else '@latest'}"]
    return command(*words)


def _capacity(facts: RunbookFacts, row: Worded) -> Worded:
    """Return what a look at capacity found, and the command that says it about this release."""
    finding = facts.finding("capacity", str(row["name"]))
    report = {} if finding is None else finding.report
    about = f"{facts.model}@{facts.version}"
    return row | {
        "figures": [
            {"name": name, "value": _figure(report.get(key), unit)}
            for name, key, unit in (
                ("safe streams at once in the load test", "safe", "count"),
                ("slots needed", "slots_needed", "count"),
                ("replicas needed", "replicas_needed", "count"),
                ("warm pool", "warm_pool", "count"),
                ("room left at the peak", "headroom", "fraction"),
            )
        ],
        "about": "no release is named" if finding is None else finding.subject or "no release",
        "command": command(
            "capacity", str(row["name"]), *("--telemetry", TURNS_NOW, "--about", about)
        ),
    }


def _figure(value: object, unit: str) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return f"{value:g}" if unit == "count" else number(float(value), unit)


def _objective(facts: RunbookFacts, row: Worded) -> Worded:
    return row | {"left": error_budget_left(facts, str(row["name"]))}


def error_budget_left(facts: RunbookFacts, policy: str) -> str | None:
    """Return what the newest look left of an error budget, None where none was measured."""
    finding = facts.finding("slo", policy)
    left = None if finding is None else finding.report.get("budget_left")
    if isinstance(left, bool) or not isinstance(left, int | float):
        return None
    return percent(float(left))


def _serving_cost(facts: RunbookFacts, open_points: OpenPoints) -> str:
    cost = facts.release.serving_cost
    words = None if cost is None else f"{cost.amount:g} {cost.currency} per {cost.per}"
    return open_points.stated(words, f"what serving {facts.model} {facts.version} costs")


def _safety(facts: RunbookFacts, open_points: OpenPoints) -> Iterator[Worded]:
    """Yield what was judged of what an agent does, in the launch decision or the gate's."""
    decisions = [] if facts.launch is None else [facts.launch.decision]
    decisions += [] if facts.decision is None else [facts.decision]
    judged = {
        (result.metric, result.slice, result.rule): result
        for decision in reversed(decisions)
        for result in decision.results
        if result.metric in SAFETY_METRICS
    }
    if not judged:
        open_points.measured(None, "the safety of what it does (a part with rules on tool calls)")
    for result in judged.values():
        yield {
            "metric": result.metric,
            "slice": result.slice,
            "verdict": result.verdict.value,
            "reason": result.reason,
        }


def _canary(facts: RunbookFacts, open_points: OpenPoints) -> list[Worded]:
    """Return what each canary policy of the model says, with the command of the next look."""
    shares = [event.at for event in facts.events if event.kind is EventKind.CANARY]
    policies = [
        policy
        for policy in facts.policies.canaries
        if policy.model == facts.model
        or (policy.canary is not None and policy.canary.release == facts.version)
    ]
    if not policies:
        open_points.stated(None, f"a canary policy of {facts.model} (a file in gates/)")
    return [
        {
            "name": policy.name,
            "since": max(shares, default="no share of the traffic yet"),
            "last": last_look(facts, "canary", policy.name, open_points, about=facts.version),
            "command": command("canary", policy.name, "--plan", "--reference", TURNS_BEFORE),
        }
        for policy in policies
    ]


def _records(
    facts: RunbookFacts, policy: GatePolicy | None, open_points: OpenPoints
) -> Iterator[Worded]:
    """Yield what the launch policy requires, and what record there is of it now."""
    for need in () if policy is None else policy.requires:
        record = facts.checks.get(need.name)
        asked = [
            "signed" if need.signed else "signed or not",
            f"about {need.about}" if need.about else "about anything",
            f"at most {need.max_age} old" if need.max_age else "of any age",
        ]
        words = record if isinstance(record, str) else None
        if record is not None and not isinstance(record, str):
            key = "not signed" if record.key is None else f"signed by {record.key[:16]}"
            about = facts.release.artifact_digest
            subject = "names no release" if record.candidate is None else "about another release"
            subject = "about this release" if about and record.candidate == about else subject
            words = f"{record.verdict} at {record.created}, {key}, {subject}"
        what = f"the record {need.name}, which {policy.name if policy else ''} requires"
        yield {
            "name": need.name,
            "asked": ", ".join(asked),
            "state": open_points.stated(words, what),
        }
