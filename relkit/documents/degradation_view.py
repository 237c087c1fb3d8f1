"""What fills the runbook ``degradation``: what is switched off in which order, and what remains."""

from collections.abc import Iterator

from relkit.core.wording import limit, percent
from relkit.documents.monitors_view import last_look
from relkit.documents.runbook_types import DegradationPlan, OpenPoints, RunbookFacts
from relkit.documents.runbook_view import (
    TURNS_NOW,
    Worded,
    before_it,
    command,
    header,
    owner_of,
)
from relkit.monitoring.serving.budgets import BUDGETS, WHOLE_TURN
from relkit.monitoring.serving.types import BudgetLine, HealthPolicy
from relkit.telemetry.types import STAGES

_WHEN = {
    "saturated": "the queue is full and growing",
    "storm": "retries feed on themselves",
    "spike": "a class of tenants asks far more than it does",
    "fail": "any other part is out of its bounds",
}


def degradation_values(facts: RunbookFacts, open_points: OpenPoints) -> Worded:
    """Return what fills the runbook ``degradation``, from policies, pins and what people wrote."""
    plan = facts.degradation or DegradationPlan()
    health = facts.policies.health
    if not plan.steps:
        open_points.stated(None, "what is switched off in which order (runbooks/degradation.yaml)")
    if not any(policy.degrade for policy in health):
        open_points.stated(None, "the levels of degradation (degrade: in a health policy)")
    return {
        **header(facts, "Degradation", open_points),
        "steps": [
            {
                "at": step.at,
                "off": step.switch_off,
                "keeps": open_points.stated(
                    step.keeps, f"what still works without {step.switch_off}"
                ),
                "command": step.command or "",
            }
            for step in plan.steps
        ],
        "levels": [row for policy in health for row in _levels(facts, policy, open_points)],
        "timeouts": list(_timeouts(health, plan, open_points)),
        "bounds": list(_bounds(facts, open_points)),
        "fallbacks": list(_fallbacks(facts, plan, open_points)),
        "looks": [command("health", policy.name, "--telemetry", TURNS_NOW) for policy in health],
        "first_hour": command("runbook", "first-hour", f"{facts.model}@{facts.version}"),
    }


def _levels(facts: RunbookFacts, policy: HealthPolicy, open_points: OpenPoints) -> Iterator[Worded]:
    """Yield the levels that a policy has, in its order."""
    last = last_look(facts, "health", policy.name, open_points)
    for step in policy.degrade:
        when = str(step.when)
        yield {
            "level": step.level.replace("_", " "),
            "when": _WHEN.get(when, when.replace("_", " ")),
            "policy": policy.name,
            "last": last,
        }


def _timeouts(
    policies: tuple[HealthPolicy, ...], plan: DegradationPlan, open_points: OpenPoints
) -> Iterator[Worded]:
    """Yield for each stage what is aimed at, the most of its p95, and when it is given up."""
    lines: dict[str, BudgetLine] = {}
    given: dict[str, float] = {str(stage): ms for stage, ms in plan.timeouts_ms.items()}
    for policy in policies:
        lines = {budget.stage: budget for budget in _budget(policy)} | lines
    for stage in (*STAGES, WHOLE_TURN):
        line, given_up = lines.get(stage), given.get(stage)
        if line is None and given_up is None and stage != WHOLE_TURN:
            continue
        aimed = None
        if line is not None:
            aimed = f"{limit(line.target[0], 'ms')} to {limit(line.target[1], 'ms')}"
        yield {
            "stage": "the whole turn" if stage == WHOLE_TURN else stage,
            "aimed": open_points.stated(aimed, f"the latency budget of {stage}"),
            "most": open_points.stated(
                None if line is None else limit(line.most, "ms"), f"the latency budget of {stage}"
            ),
            "timeout": open_points.stated(
                None if given_up is None else limit(given_up, "ms"),
                f"the time-out of {stage} (timeouts_ms in runbooks/degradation.yaml)",
            ),
        }


def _budget(policy: HealthPolicy) -> tuple[BudgetLine, ...]:
    """Return the lines of a policy's latency budget."""
    if policy.budget is None:
        return ()
    if isinstance(policy.budget, str):
        return BUDGETS.get(policy.budget, ())
    return tuple(
        BudgetLine(stage=stage, target=line.target, limit=line.limit)
        for stage, line in policy.budget.items()
    )


def _bounds(facts: RunbookFacts, open_points: OpenPoints) -> Iterator[Worded]:
    """Yield what has to hold all the time: service levels, and what the load test showed."""
    for slo in facts.policies.objectives:
        yield {
            "what": f"{slo.name} (slo)",
            "bound": f"{percent(slo.objective)} over {slo.window}",
            "last": last_look(facts, "slo", slo.name, open_points),
        }
    for policy in facts.policies.capacity:
        bound = f"p95 {limit(policy.slo.p95_ms, 'ms')}, errors {percent(policy.slo.error_rate)}"
        yield {
            "what": f"{policy.name} (capacity)",
            "bound": bound,
            "last": last_look(facts, "capacity", policy.name, open_points),
        }
    if not facts.policies.objectives:
        open_points.stated(None, "a slo policy (a file in gates/)")


def _fallbacks(
    facts: RunbookFacts, plan: DegradationPlan, open_points: OpenPoints
) -> Iterator[Worded]:
    """Yield by model what answers instead, and the plan to go back to the release before."""
    pinned = {
        model: f"{version} in {stack.model} {stack.live}"
        for stack in facts.served
        for model, version in stack.pins.items()
    }
    for served in facts.served:
        what = f"what answers instead of {served.model} (fallbacks in runbooks/degradation.yaml)"
        yield {
            "model": served.model,
            "live": served.live or "nothing",
            "instead": open_points.stated(plan.fallbacks.get(served.model), what),
            "before": before_it(served),
            "pinned": pinned.get(served.model, "by no stack"),
            "decides": owner_of(facts, served.model, open_points),
            "command": "" if served.live is None else command("rollback", served.model),
        }
