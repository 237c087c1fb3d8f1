"""What fills the runbooks ``rollout`` and ``post-release``: steps, triggers, monitors, bounds."""

import math
from collections.abc import Iterator

from relkit.canary.plan import assumed_units, planned_rollout
from relkit.canary.policies import sliced_triggers
from relkit.canary.types import CanaryPolicy, CanaryStep, PlannedStep, SampledUnits
from relkit.core.values import after, duration_s
from relkit.core.wording import count, duration, number, percent, short_digest
from relkit.documents.monitors_view import last_look, monitor_row, monitors_of
from relkit.documents.runbook_types import OpenPoints, RunbookFacts
from relkit.documents.runbook_view import TURNS_BEFORE, TURNS_NOW, Worded, command, header
from relkit.registry.types import EventKind

_NO_TRAFFIC = 1e-6
"""Turns an hour at which no step waits for its least time: what is left is what it has to see."""


def rollout_values(facts: RunbookFacts, open_points: OpenPoints) -> Worded:
    """Return what fills the runbook ``rollout``: steps with what each has to see, and triggers."""
    policy = canary_policy(facts)
    back = ["rollback", facts.model, "--bad", facts.version]
    values: Worded = {
        **header(facts, "Rollout", open_points),
        "decision": decision_words(facts, open_points),
        "policy": "" if policy is None else policy.name,
        "approvals": list(_approvals(facts, open_points)),
        "rollback_plan": command(*back),
        "rollback_apply": command(*back, "--apply", "--reason", "the canary was rolled back"),
        "target": facts.rollback.target or "none",
        "hold": command(
            *("registry", "promote", facts.model, facts.version),
            *("--hold", "--reason", "wait for a person"),
        ),
        "end": command(
            *("registry", "promote", facts.model, facts.version),
            *("--hold", "--canary", "0%", "--reason", "the canary ends"),
        ),
        "promote": _promotion(facts, open_points),
        "next": command("runbook", "post-release", f"{facts.model}@{facts.version}"),
    }
    if policy is None:
        open_points.stated(None, f"a canary policy of {facts.model} (a file in gates/)")
        open_points.measured(None, "the events that each step has to see")
        return values | {"steps": [], "triggers": [], "limits": [], "slices": "", "rules": {}}
    return values | {
        "steps": list(_steps(facts, policy, open_points)),
        "triggers": list(_triggers(policy)),
        "limits": list(_limits(policy)),
        "slices": ", ".join(watched.column for watched in policy.slices),
        "rules": {
            "evidence": f"{policy.threshold:g}",
            "alpha": percent(policy.alpha),
            "unit": policy.unit,
            "missing": percent(policy.max_missing),
            "shadow": policy.enforcement == "shadow",
            "last": last_look(facts, "canary", policy.name, open_points, about=facts.version),
            "plan": command("canary", policy.name, "--plan", "--reference", TURNS_BEFORE),
            "first": command(
                *("canary", policy.name, "--reference", TURNS_BEFORE),
                *("--telemetry", TURNS_NOW, "--state", f"{policy.name}.state"),
            ),
            "each": command(
                *(
                    "canary",
                    policy.name,
                    "--telemetry",
                    TURNS_NOW,
                    "--state",
                    f"{policy.name}.state",
                )
            ),
        },
    }


def canary_policy(facts: RunbookFacts) -> CanaryPolicy | None:
    """Return the policy that a release is rolled out by: its model's, or one that names it."""
    policies = facts.policies.canaries
    of_model = [policy for policy in policies if policy.model == facts.model]
    naming = [
        policy
        for policy in policies
        if policy.model is None
        and policy.canary is not None
        and policy.canary.release == facts.version
    ]
    return next(iter([*of_model, *naming]), None)


def decision_words(facts: RunbookFacts, open_points: OpenPoints) -> str:
    """Return the gate decision behind a release: policy, verdict, times and digest."""
    decision = facts.decision
    if decision is None:
        what = f"the gate decision behind {facts.model} {facts.version}"
        return open_points.stated(None, what)
    digest = facts.state.decisions.get(facts.version) or facts.release.decision or ""
    valid = "expired at" if decision.expires <= facts.as_of else "valid to"
    expires = f", {valid} {decision.expires}" if decision.expires else ""
    verdict = f"{decision.policy.name}: {decision.verdict}"
    return f"{verdict}, decided at {decision.created}{expires} ({short_digest(digest)})"


def _approvals(facts: RunbookFacts, open_points: OpenPoints) -> Iterator[Worded]:
    """Yield the checks and approvals that the policy behind the decision, or any policy, asks."""
    policies = facts.policies.gates
    if facts.decision is not None:
        name = facts.decision.policy.name
        policies = tuple(policy for policy in policies if policy.name == name) or policies
    for policy in policies:
        for needed in policy.requires:
            check = facts.checks.get(needed.name)
            what = f"the check {needed.name}, which {policy.name} requires"
            if check is None or isinstance(check, str):
                words = open_points.stated(check or None, what)
            else:
                words = f"{check.verdict} at {check.created}: {check.reason}"
            yield {
                "name": needed.name,
                "policy": policy.name,
                "signed": "signed" if needed.signed else "signed or not",
                "age": needed.max_age or "any age",
                "state": words,
            }


def _promotion(facts: RunbookFacts, open_points: OpenPoints) -> str:
    """Return the command that gives a release all traffic; empty without a decision to show."""
    if facts.decision_file is None:
        open_points.stated(None, f"the decision file of {facts.model} {facts.version}")
        return ""
    return command(
        *("registry", "promote", facts.model, facts.version, "--decision", facts.decision_file)
    )


def _steps(facts: RunbookFacts, policy: CanaryPolicy, open_points: OpenPoints) -> Iterator[Worded]:
    """Yield each step: what it has to see, since when it goes on, and the command that begins it.

    Turns and events are those of :func:`relkit.canary.plan.planned_rollout` for assumed traffic,
    where no step waits for its least time.
    """
    sample = assumed_units(policy, _NO_TRAFFIC)
    planned = planned_rollout(policy, sample, runs=0)
    open_points.measured(None, f"how long the steps of {policy.name} take at your traffic")
    begun = {
        event.traffic: event.at
        for event in facts.events
        if event.version == facts.version and event.kind is EventKind.CANARY
    }
    for index, (step, needs) in enumerate(zip(policy.steps, planned.steps, strict=True), 1):
        share = f"{100 * step.share:g}%"
        yield {
            "index": index,
            "share": percent(step.share),
            "least": duration(step.min_duration_s),
            "rules_out": f"x {step.detectable:g}",
            **_needs(step, needs, sample, open_points),
            "since": begun.get(step.share) or step.from_ or "not begun",
            "begun": step.share in begun,
            "command": ""
            if facts.decision_file is None or step.share in begun
            else command(
                *("registry", "promote", facts.model, facts.version),
                *("--canary", share, "--decision", facts.decision_file),
            ),
        }


def _needs(
    step: CanaryStep, needs: PlannedStep, sample: SampledUnits, open_points: OpenPoints
) -> Worded:
    """Return the turns and events of both arms that a step needs, and which trigger it is for.

    Where no rate and no tail has to be ruled out nothing tells how many they are.
    """
    slowest, turns = needs.waits_for, needs.turns
    if slowest is None:
        words = open_points.measured(None, "what a step has to see whose triggers are all means")
        return {"turns": words, "canary_turns": words, "events": words, "waits_for": "its means"}
    if turns is None:
        return {"turns": "never", "canary_turns": "never", "events": "never", "waits_for": slowest}
    _, events = sample.counts[slowest, None]
    each = float(events.sum()) / float(sample.turns.sum())
    return {
        "turns": count(turns),
        "canary_turns": count(math.ceil(turns * step.share)),
        "events": count(math.ceil(turns * each)),
        "waits_for": slowest,
    }


def _triggers(policy: CanaryPolicy) -> Iterator[Worded]:
    sliced = {trigger.id for trigger in sliced_triggers(policy)} if policy.slices else set()
    means = {
        "required": "rolls back; has to be ruled out to advance",
        "watch": "rolls back; does not stop an advance",
        "advisory": "shown, decides nothing",
    }
    for trigger in policy.watched:
        yield {
            "id": trigger.id,
            "metric": trigger.metric,
            "does": means[trigger.mode],
            "slices": "overall and in slices" if trigger.id in sliced else "overall",
            "floor": percent(trigger.floor) if trigger.kind != "mean" else "none",
        }


def _limits(policy: CanaryPolicy) -> Iterator[Worded]:
    for limit in policy.limits:
        if limit.budget is not None:
            what = f"the latency budget {limit.budget} at {limit.at or 'p95'}"
            bound = "its limits"
        else:
            what = f"{limit.rate} of the canary, from {limit.min_units} {policy.unit}s on"
            bound = "none" if limit.max is None else percent(limit.max)
        yield {"id": limit.id, "what": what, "bound": bound}


# --- post-release


def post_release_values(facts: RunbookFacts, open_points: OpenPoints) -> Worded:
    """Return what fills the runbook ``post-release``: what is watched, against what, until when."""
    since = _since(facts)
    served = open_points.measured(since, f"since when {facts.model} {facts.version} has traffic")
    rows = [monitor_row(one, facts, open_points) for one in monitors_of(facts.policies)]
    if not rows:
        open_points.stated(None, "a policy of live traffic (slo, drift, cost, health) in gates/")
    ends = [_alone_from(row, since) for row in rows]
    return {
        **header(facts, "After the release", open_points),
        "since": served,
        "decision": decision_words(facts, open_points),
        "rows": [
            row | {"alone": alone or "does not say"} for row, alone in zip(rows, ends, strict=True)
        ],
        "until": open_points.stated(
            max(filter(None, ends), default=None), "until when it is watched more closely"
        ),
        "worse": list(facts.release.worse_slices),
        "gated": list(_gated(facts, open_points)),
        "target": facts.rollback.target or "none",
        "triage": command("triage", facts.model, "--telemetry", TURNS_BEFORE, TURNS_NOW),
        "rollback": command("runbook", "rollback", f"{facts.model}@{facts.version}"),
        "first_hour": command("runbook", "first-hour", f"{facts.model}@{facts.version}"),
        "verify": command("registry", "verify", facts.model),
    }


def _since(facts: RunbookFacts) -> str | None:
    """Return since when a release has all traffic, or a share of it; None: it has none."""
    own = next(served for served in facts.served if served.model == facts.model)
    if own.live == facts.version and own.since is not None:
        return own.since
    spans = (span for span in facts.state.served if span.version == facts.version)
    return next((span.since for span in spans if span.until is None), None)


def _alone_from(row: Worded, since: str | None) -> str | None:
    """Return from when a policy looks at nothing before this release; None: it does not say."""
    span = str(row["span"])
    return after(since, duration_s(span)) if since and span else None


def _gated(facts: RunbookFacts, open_points: OpenPoints) -> Iterator[Worded]:
    """Yield what the gate saw before the release: what live traffic has to bear out."""
    if facts.decision is None:
        open_points.measured(None, "what the gate saw: its decision does not lie beside the record")
        return
    for result in facts.decision.results:
        if result.candidate is None and result.observed is None:
            open_points.measured(None, f"{result.metric} on {result.slice} ({result.rule})")
        value = result.candidate if result.candidate is not None else result.observed
        yield {
            "rule": result.rule,
            "metric": result.metric,
            "slice": result.slice,
            "value": "not measured" if value is None else number(value, result.unit),
            "verdict": str(result.verdict),
        }
