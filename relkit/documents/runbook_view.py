"""What the templates of runbooks are filled with: facts in words, commands whole and quoted.

A command can be pasted into a shell. ``"$TURNS"`` and ``"$BEFORE"`` stand in it for the turns of
now and of before, which only the reader knows; a runbook begins by setting them.
"""

import shlex
from collections.abc import Iterator

from relkit.core.metrics import SAFETY_METRICS
from relkit.core.wording import percent
from relkit.documents.runbook_types import ModelInService, OpenPoints, RunbookFacts
from relkit.incident.signals import SHIPPED_SIGNALS, TELEMETRY_NAMES
from relkit.rollback.target import SIGN
from relkit.rollback.types import RollbackTarget

TURNS_NOW = '"$TURNS"'
TURNS_BEFORE = '"$BEFORE"'
PROMETHEUS_URL = '"$PROMETHEUS"'

READER_SETS = {
    TURNS_NOW: "export TURNS=turns/",
    TURNS_BEFORE: "export BEFORE=turns-before/",
    PROMETHEUS_URL: "export PROMETHEUS=http://localhost:9090",
}
"""What only the reader knows, and the line that a runbook sets it by."""

Worded = dict[str, object]


def command(*words: str) -> str:
    """Return ``relkit …`` as a shell reads it; every word is one argument, whatever it holds."""
    return " ".join(
        ["relkit", *(word if word in READER_SETS else shlex.quote(word) for word in words)]
    )


def header(facts: RunbookFacts, title: str, open_points: OpenPoints) -> Worded:
    """Return what every runbook begins with: which release it is about, and what is served.

    ``service`` has a row for each model of the registry; ``decides`` says whose release it is.
    """
    release = facts.release
    for name in facts.policies.unread:
        open_points.stated(None, f"what {name} says: runbooks do not read that kind")
    return {
        "title": f"{title}: {facts.model} {facts.version}",
        "model": facts.model,
        "version": facts.version,
        "component": release.component,
        "as_of": facts.as_of,
        "decides": owner_of(facts, facts.model, open_points),
        "yanked": facts.state.yanked.get(facts.version, ""),
        "service": [_service_row(served) for served in facts.served],
        "history": command("registry", "history", facts.model),
    }


def _service_row(served: ModelInService) -> Worded:
    canary = served.candidate
    return {
        "model": served.model,
        "live": served.live or "nothing",
        "since": served.since or ("inside of a stack" if served.live else "never"),
        "previous": before_it(served),
        "canary": "none"
        if canary is None
        else f"{canary} ({percent(served.share)} of the traffic)",
    }


def before_it(served: ModelInService) -> str:
    """Return what had the traffic before what is live, and why it is nothing to go back to."""
    return ", ".join(filter(None, (served.previous or "none", served.unfit)))


def owner_of(facts: RunbookFacts, model: str, open_points: OpenPoints) -> str:
    """Return who decides about a model: the owner of the release that the runbook is about.

    Of another model that of what is live.
    """
    owner = facts.release.owner if model == facts.model else ""
    if model != facts.model:
        owner = next((served.owner for served in facts.served if served.model == model), "")
    return open_points.stated(owner, f"the owner of {model} (owner in its release.json)")


def component_name(served: ModelInService) -> str | None:
    """Return what telemetry calls the component of a model."""
    return TELEMETRY_NAMES.get(served.component or "", served.component)


def step(what: str, run: str, check: str, check_run: str = "") -> Worded:
    """Return a step: what is done by which command, and how one sees that it was.

    ``check_run`` is the command that shows it, empty where the step's own output does.
    """
    return {"what": what, "command": run, "check": check, "check_command": check_run}


def exports_of(values: object) -> tuple[str, ...]:
    """Return the lines that set what the commands among some values leave to the reader."""
    text = str(values)
    return tuple(line for place, line in READER_SETS.items() if place in text)


def safety_gates(facts: RunbookFacts) -> Iterator[Worded]:
    """Yield the gates on what an agent does for others than its user, and how each is asked again.

    ``evaluate`` runs the suite that the release was judged by, where that was for its safety, else
    the one that relkit ships. A policy that asks only whether tasks are done is none of them.
    """
    judged = facts.decision
    suites = [
        part.suite.name
        for part in (() if judged is None else judged.parts)
        if judged is not None and any(result.metric in _SAFETY for result in judged.results)
    ]
    for policy in facts.policies.gates:
        if any(rule.metric in _SAFETY for rule in policy.rules):
            yield {
                "policy": policy.name,
                "evaluate": command("eval", next(iter(suites), "voice-agent")),
                "gate": command("gate", policy.name, "--candidate", "@latest"),
            }


_SAFETY = frozenset(SAFETY_METRICS) - {"utility_under_attack"}

CALLS_TOOLS = frozenset(
    component
    for signal in SHIPPED_SIGNALS
    if signal.name == "bad_tool_args"
    for component in signal.components
)
"""What telemetry calls the components that can call a tool wrongly."""


# --- rollback


def rollback_values(facts: RunbookFacts, open_points: OpenPoints) -> Worded:
    """Return what fills the runbook ``rollback``: target, refusals, commands in their order."""
    target = facts.rollback
    return {
        **header(facts, "Rollback", open_points),
        "serves": _serves(facts),
        "target": target.target or "none",
        "evidence": list(target.evidence),
        "refused": _refusals(target),
        "steps": list(_rollback_steps(facts, target)),
        "stuck": [line.partition(". ")[2] for line in target.steps if target.target is None],
        "checklist": list(target.checklist),
        "worse": _worse(facts),
        "stacks": [_stack_rollback(facts, stack) for stack in facts.stacks],
        "is_stack": facts.release.component == "stack",
        "dependents": _dependents(facts),
        "safety": list(safety_gates(facts)) if _may_call_tools(facts) else [],
        "further": ""
        if target.target is None or SIGN in target.target
        else command(*_rollback_words(target), "--bad", target.target),
    }


def _may_call_tools(facts: RunbookFacts) -> bool:
    component = facts.release.component
    return component == "stack" or TELEMETRY_NAMES.get(component, component) in CALLS_TOOLS


def _serves(facts: RunbookFacts) -> str:
    """Return which part of the traffic a release has now, by the ledgers."""
    state, version = facts.state, facts.version
    own = next(served for served in facts.served if served.model == facts.model)
    if version == state.candidate:
        return f"{percent(state.share)} of the traffic, as a canary beside {state.live or 'none'}"
    if version == own.live:
        return "all traffic" if not state.share else f"{percent(1 - state.share)} of the traffic"
    return f"no traffic; {own.live or 'nothing'} is live"


def _refusals(target: RollbackTarget) -> list[Worded]:
    return [
        {"version": refused.version, "code": refused.code, "reason": refused.reason}
        for refused in target.refused
    ]


def _rollback_words(target: RollbackTarget) -> list[str]:
    words = ["rollback", target.model]
    for version in target.bad:
        words += ["--bad", version]
    return words


def _rollback_steps(facts: RunbookFacts, target: RollbackTarget) -> Iterator[Worded]:
    """Yield the steps that go back; without a target only the one that asks again."""
    words, bad = _rollback_words(target), ", ".join(target.bad)
    history = command("registry", "history", target.model)
    if target.target is None:
        yield step(
            f"Ask again whether {target.model} has a release to go back to",
            command(*words),
            "it exits 1 as long as every release is refused, and says why",
        )
        return
    # Releases of components that were never served together have no name to give to --to.
    to = words if SIGN in target.target else [*words, "--to", target.target]
    if target.target == target.live and facts.state.candidate not in target.bad:
        yield step(
            f"See that there is nothing to move: {target.target} is live",
            command(*to),
            f"it exits 0 and says that {target.target} is live already",
            history,
        )
    else:
        yield step(
            f"See the plan: from {bad} to {target.target}; nothing is changed",
            command(*to),
            f"it exits 0 and names {target.target} as the target",
        )
        yield step(
            f"Go back to {target.target}",
            command(*to, "--apply", "--reason", f"{bad} is bad"),
            f"the last event is rolled_back, and {target.target} has all traffic",
            history,
        )
    yield step(
        "Prove that ledger, artifacts and aliases agree",
        command("registry", "verify", *([] if target.revert else [target.model])),
        "it exits 0; 5 is a mirror that did not answer: the event is safe, --repair tells it later",
    )
    yield step(
        "See that what failed is well again, in turns from after the rollback",
        command("triage", target.model, "--telemetry", TURNS_BEFORE, TURNS_NOW),
        f"it exits 0, or says that what began with {bad} has ended",
    )
    for policy in facts.policies.objectives:
        yield step(
            f"See that the error budget of {policy.name} no longer burns",
            command("slo", policy.name, "--telemetry", TURNS_NOW),
            "it exits 0: neither page nor ticket; 4 is too little traffic yet",
        )
    for version in target.bad:
        if version not in facts.state.yanked:
            yield step(
                f"Keep {version} from being promoted or gone back to, once it is known to be bad",
                command("registry", "yank", target.model, version, "--reason", "it was bad"),
                f"{version} reads yanked",
                history,
            )


def _worse(facts: RunbookFacts) -> list[str]:
    """Return what is known of slices on which releases are worse, by record and rollbacks."""
    by_record = facts.release.worse_slices
    lines = [f"{facts.version} on {', '.join(by_record)}, by its record"] if by_record else []
    return lines + [
        f"{', '.join(event.bad)} on {event.slice}, by the rollback at {event.at}"
        for event in facts.events
        if event.slice is not None and event.bad
    ]


def _stack_rollback(facts: RunbookFacts, target: RollbackTarget) -> Worded:
    """Return how a stack that pins the release goes back: whole, or by some of its components."""
    words = _rollback_words(target)
    return {
        "stack": target.model,
        "live": target.live or "nothing",
        "target": target.target or "none",
        "revert": [f"{name} to {version}" for name, version in sorted(target.revert.items())],
        "refused": _refusals(target),
        "plan": command(*words),
        "apply": ""
        if target.target is None
        else command(*words, "--apply", "--reason", f"{facts.model} {facts.version} is bad"),
        "history": command("registry", "history", target.model),
    }


def _dependents(facts: RunbookFacts) -> list[Worded]:
    """Return what a release says it needs of others, which a rollback must not break."""
    return [
        {"model": name, "range": needed} for name, needed in sorted(facts.release.requires.items())
    ]
