"""The policies that watch live traffic, as runbooks name them: what, its bound, the command."""

from collections.abc import Iterator
from dataclasses import dataclass

from relkit.core.wording import limit, percent
from relkit.documents.runbook_types import OpenPoints, RunbookFacts, WorkspacePolicies
from relkit.documents.runbook_view import (
    PROMETHEUS_URL,
    TURNS_BEFORE,
    TURNS_NOW,
    Worded,
    command,
)
from relkit.incident.types import AbusePolicy
from relkit.monitoring.cost.types import CostPolicy
from relkit.monitoring.drift.types import DriftPolicy
from relkit.monitoring.serving.types import CapacityPolicy, HealthPolicy
from relkit.monitoring.slo.burn import alerts_of, factor_of
from relkit.monitoring.slo.types import SloPolicy
from relkit.monitoring.types import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """A policy of live traffic: ``parts`` are what it watches, each with its bound, in words.

    ``command`` looks now; ``before`` is what it needs once, empty for nothing. ``span`` is how far
    it looks back (``30d``), empty where it does not say.
    """

    kind: Watch
    name: str
    parts: tuple[tuple[str, str], ...]
    command: str
    before: str = ""
    span: str = ""


def monitors_of(policies: WorkspacePolicies) -> Iterator[Monitor]:
    """Yield the monitors of a workspace: objectives, drift, cost, health, capacity, abuse."""
    yield from map(_objective, policies.objectives)
    yield from map(_drift, policies.drifts)
    yield from map(_cost, policies.costs)
    yield from map(_health, policies.health)
    yield from map(_capacity, policies.capacity)
    yield from (_abuse(policy, file) for file, policy in policies.abuse)


def monitor_row(
    monitor: Monitor, facts: RunbookFacts, open_points: OpenPoints, only: tuple[str, ...] = ()
) -> Worded:
    """Return a monitor in words, with its newest look; ``only`` some of its parts, if any."""
    parts = [part for part in monitor.parts if not only or part[0] in only] or [*monitor.parts]
    return {
        "kind": monitor.kind,
        "name": monitor.name,
        "watches": ", ".join(dict.fromkeys(what for what, _ in parts)),
        "bounds": "; ".join(dict.fromkeys(bound for _, bound in parts)),
        "command": monitor.command,
        "before": monitor.before,
        "span": monitor.span,
        "last": last_look(facts, monitor.kind, monitor.name, open_points),
    }


def last_look(
    facts: RunbookFacts,
    kind: Watch,
    policy: str,
    open_points: OpenPoints,
    *,
    about: str | None = None,
) -> str:
    """Return the newest look by a policy in words; "not measured" where there was none.

    A look at another release than ``about`` is none.
    """
    finding = facts.finding(kind, policy)
    if finding is not None and about is not None and finding.subject != about:
        finding = None
    words = None if finding is None else f"{finding.verdict} at {finding.created}: {finding.reason}"
    return open_points.measured(words, f"what {policy} ({kind}) says of live traffic")


def _objective(policy: SloPolicy) -> Monitor:
    good, events = policy.good, ("--telemetry", TURNS_NOW)
    what = "events that a Prometheus server counts as good"
    if good.rate is not None:
        what = f"turns that are {'' if good.is_ else 'not '}{good.rate}"
    elif good.tail is not None and good.below is not None:
        what = f"turns whose {good.tail} is at most {limit(good.below, 'ms')}"
    else:
        events = ("--prometheus", PROMETHEUS_URL)
    alerts = (
        f"{alert.severity} over a burn of {float(factor_of(alert, policy.window_s)):g} in "
        f"{alert.short} and {alert.long}"
        for alert in alerts_of(policy.window_s, policy.alerts)
    )
    watches = f"{what}: {percent(policy.objective)} of them over {policy.window}"
    return Monitor(
        kind="slo",
        name=policy.name,
        parts=tuple((watches, alert) for alert in alerts),
        command=command("slo", policy.name, *events),
        span=policy.window,
    )


def _drift(policy: DriftPolicy) -> Monitor:
    profile, lasting = f"{policy.name}.profile.json", policy.sustained
    bound = (
        f"PSI {policy.threshold.psi:g} and an alarm, in {lasting.needed} of {lasting.among} "
        f"windows of {policy.window}"
    )
    return Monitor(
        kind="drift",
        name=policy.name,
        parts=tuple((column, bound) for column in policy.judged),
        command=command(*("drift", policy.name, "--reference", profile, "--current", TURNS_NOW)),
        before=command(
            *("drift", "profile", TURNS_BEFORE, "--to", profile, "--policy", policy.name)
        ),
        span=f"{lasting.among * policy.window_s}s",
    )


def _cost(policy: CostPolicy) -> Monitor:
    units = [per.replace("_", " ") for per in policy.per]
    judged = "success" if "success" in units else units[0]
    return Monitor(
        kind="cost",
        name=policy.name,
        parts=((f"cost per {', '.join(units)}", f"per {judged} {percent(policy.margin)} more"),),
        command=command(
            *("cost", policy.name, "--baseline", TURNS_BEFORE, "--candidate", TURNS_NOW)
        ),
    )


def _health(policy: HealthPolicy) -> Monitor:
    parts = []
    if policy.queue is not None:
        wait = limit(policy.queue.p95_ms, "ms")
        parts.append(("queue", f"p95 of waiting {wait}, {policy.queue.slots} slots"))
    if policy.retries is not None:
        attempts = f"{policy.retries.amplification:g} attempts for a first one"
        parts.append(("retries", attempts))
    if policy.tenants is not None:
        evidence = f"evidence of {policy.tenants.evidence:g} for a spike"
        parts.append(("tenant classes", evidence))
    if policy.churn is not None:
        parts.append(("churn of partial text", f"churn {percent(policy.churn.max)}"))
    if policy.budget is not None:
        name = policy.budget if isinstance(policy.budget, str) else "of its own"
        parts.append(("latency by stage", f"the latency budget {name}"))
    return Monitor(
        kind="health",
        name=policy.name,
        parts=tuple(parts),
        command=command("health", policy.name, "--telemetry", TURNS_NOW),
        span=policy.span,
    )


def _capacity(policy: CapacityPolicy) -> Monitor:
    return Monitor(
        kind="capacity",
        name=policy.name,
        parts=(
            ("p95", f"p95 {limit(policy.slo.p95_ms, 'ms')}"),
            ("errors", f"errors {percent(policy.slo.error_rate)}"),
            ("waiting for a slot", f"waiting {percent(policy.waiting)}"),
        ),
        command=command("capacity", policy.name, "--telemetry", TURNS_NOW),
    )


def _abuse(policy: AbusePolicy, file: str) -> Monitor:
    measures = policy.measures or ("turns", "cost", "refusals")
    bound = f"{policy.factor:g} times what these hours had, in {policy.window}"
    return Monitor(
        kind="abuse",
        name=policy.name,
        parts=tuple((f"{measure} by class of tenants", bound) for measure in measures),
        command=command(
            *("safety", "abuse", "--telemetry", TURNS_BEFORE, TURNS_NOW),
            *("--policy", file),
        ),
        span=policy.recent,
    )
