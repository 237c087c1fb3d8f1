"""What fills the runbook ``first-hour``: symptoms, what confirms or excludes each, who decides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relkit.core.wording import percent
from relkit.documents.monitors_view import Monitor, monitor_row, monitors_of
from relkit.documents.runbook_types import ModelInService, OpenPoints, RunbookFacts
from relkit.documents.runbook_view import (
    CALLS_TOOLS,
    TURNS_BEFORE,
    TURNS_NOW,
    Worded,
    command,
    component_name,
    header,
    owner_of,
    safety_gates,
)
from relkit.incident.signals import ANY_COMPONENT, SHIPPED_SIGNALS, TELEMETRY_NAMES
from relkit.monitoring.types import Watch
from relkit.registry.types import EventKind
from relkit.telemetry.types import COLUMNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """What people notice, the signals of triage that measure it, and who else watches it.

    ``signals`` are names of :data:`relkit.incident.signals.SHIPPED_SIGNALS`. ``watches`` says by
    kind of policy what one has to look at to count: columns of a drift policy, parts of a health
    policy; empty: any of that kind.
    """

    name: str
    notice: str
    signals: tuple[str, ...]
    watches: tuple[tuple[Watch, tuple[str, ...]], ...] = ()


_SOUND = ("accent", "noise", "snr_db", "device", "language", "confidence", "empty", "duration_s")

SYMPTOMS: tuple[Symptom, ...] = (
    Symptom(
        name="churn",
        notice="words that were shown are taken back before the final text",
        signals=("partial_churn",),
        watches=(("health", ("churn of partial text",)),),
    ),
    Symptom(
        name="TTS latency",
        notice="the voice begins late, or not at all",
        signals=("slow_tts", "slow", "slow_queue"),
        watches=(("health", ("latency by stage", "queue")),),
    ),
    Symptom(
        name="grounding",
        notice="answers are not in the sources they name",
        signals=("not_grounded",),
    ),
    Symptom(
        name="accent or noise",
        notice="some people are asked again, or are not understood",
        signals=("reprompt", "slow_asr"),
        watches=(("drift", _SOUND),),
    ),
    Symptom(
        name="barge-in",
        notice="it stops when nobody spoke, or goes on when somebody does",
        signals=("false_interrupt", "barge_in", "slow_eou"),
    ),
    Symptom(
        name="drift",
        notice="traffic is not what it was: other devices, languages, lengths",
        signals=(),
        watches=(("drift", ()),),
    ),
    Symptom(
        name="cost",
        notice="a call, or a success, costs more than before",
        signals=("costly", "many_tokens", "retried"),
        watches=(("cost", ()),),
    ),
    Symptom(
        name="tool calls",
        notice="tools are called with wrong arguments, for somebody who is not the user, or late",
        signals=("bad_tool_args", "slow_tool"),
    ),
)
"""The symptoms of a voice assistant that a first hour begins with."""

_SAYS = {
    "slo": "Confirmed: exit 1, page or ticket; excluded: exit 0",
    "drift": "Confirmed: exit 1, drift was sustained; excluded: exit 0",
    "cost": "Confirmed: exit 1, the bound is passed; excluded: exit 0",
    "health": "Confirmed: exit 1, and the part it names; excluded: exit 0",
    "capacity": "Confirmed: exit 1, it falls short; excluded: exit 0",
}

_CHANGES = 6
"""Changes of what is served that are shown, the newest first."""


def first_hour_values(facts: RunbookFacts, open_points: OpenPoints) -> Worded:
    """Return what fills the runbook ``first-hour``: what changed last, then symptom by symptom."""
    watched = list(monitors_of(facts.policies))
    if not watched:
        open_points.stated(None, "a policy of live traffic (slo, drift, cost, health) in gates/")
    return {
        **header(facts, "First hour", open_points),
        "triage": command("triage", "--telemetry", TURNS_BEFORE, TURNS_NOW),
        "check": command("telemetry", "check", TURNS_NOW),
        "alarms": [
            monitor_row(monitor, facts, open_points) for monitor in watched if monitor.kind == "slo"
        ],
        "changes": list(_changes(facts)),
        "symptoms": [
            _symptom(symptom, facts, watched, open_points)
            | {"safety": _safety(symptom, facts, open_points)}
            for symptom in SYMPTOMS
        ],
        "rollback": command("runbook", "rollback", f"{facts.model}@{facts.version}"),
        "plan": command("rollback", facts.model, "--bad", facts.version),
        "target": facts.rollback.target or "none",
    }


def _changes(facts: RunbookFacts) -> Iterator[Worded]:
    """Yield what was served last, of any model, the newest first."""
    spans = [
        (served.since, served.model, served.live, "all traffic")
        for served in facts.served
        if served.since is not None and served.live is not None
    ]
    spans += [
        (event.at, facts.model, event.version, _what(event.kind, event.traffic))
        for event in facts.events
        if event.kind in {EventKind.CANARY, EventKind.HELD, EventKind.ROLLED_BACK}
    ]
    for at, model, version, what in sorted(spans, reverse=True)[:_CHANGES]:
        yield {"at": at, "model": model, "version": version, "what": what}


def _what(kind: EventKind, traffic: float | None) -> str:
    share = "" if traffic is None else f", {percent(traffic)} of the traffic"
    return f"{kind.value.replace('_', ' ')}{share}"


def _symptom(
    symptom: Symptom,
    facts: RunbookFacts,
    watched: Sequence[Monitor],
    open_points: OpenPoints,
) -> Worded:
    signals = [signal for signal in SHIPPED_SIGNALS if signal.name in symptom.signals]
    suspects = [served for served in facts.served if _can(symptom, served)]
    confirms: list[Worded] = []
    for kind, parts in symptom.watches:
        looking = [monitor for monitor in watched if _watches(monitor, kind, parts)]
        if not looking:
            open_points.stated(None, f"a {kind} policy that watches {symptom.name} (gates/)")
        confirms += [
            monitor_row(monitor, facts, open_points, only=parts)
            | {"says": _SAYS.get(monitor.kind, _SAYS["slo"])}
            for monitor in looking
        ]
    triage = command("triage", "--telemetry", TURNS_BEFORE, TURNS_NOW)
    names = ", ".join(signal.name for signal in signals)
    if signals:
        confirms.append(
            {
                "before": "",
                "command": triage,
                "says": f"Confirmed: it names {names}; excluded: exit 0, or another signal",
                "bounds": "the hours and days before",
                "last": "",
            }
        )
    deciders = {served.model: owner_of(facts, served.model, open_points) for served in suspects}
    return {
        "name": symptom.name,
        "notice": symptom.notice,
        "signals": names or "none",
        "columns": ", ".join(_columns(signal.column) for signal in signals) or "none",
        "confirms": confirms,
        "suspects": [
            {
                "model": served.model,
                "live": served.live or "nothing",
                "since": served.since or "not by itself",
                "decides": deciders[served.model],
                "rollback": command("rollback", served.model),
            }
            for served in suspects
            if served.live is not None
        ],
    }


def _safety(symptom: Symptom, facts: RunbookFacts, open_points: OpenPoints) -> list[Worded]:
    """Return the gates that say whether an agent obeys others, where one is served at all."""
    if "bad_tool_args" not in symptom.signals:
        return []
    gates = list(safety_gates(facts))
    calling = any(component_name(served) in CALLS_TOOLS for served in facts.served)
    if calling and not gates:
        open_points.stated(None, "a gate policy on the safety of an agent (gates/)")
    return gates if calling else []


def _columns(column: str) -> str:
    """Return the columns of telemetry that a signal's column is made of."""
    made = {
        "failed": "ok or outcome",
        "interrupted": "outcome",
        "churn": "partial_changes and partial_words",
        "retried": "retries or attempt",
        "tokens": "input_tokens and output_tokens",
    }
    return column if column in COLUMNS else made.get(column, column)


def _can(symptom: Symptom, served: ModelInService) -> bool:
    """Return whether a release of a model can be behind a symptom."""
    component = component_name(served)
    if component == "stack":
        return False
    signals = [signal for signal in SHIPPED_SIGNALS if signal.name in symptom.signals]
    named = {name for signal in signals for name in signal.components} - {ANY_COMPONENT}
    return component in (named or set(TELEMETRY_NAMES.values()) | {"asr", "llm", "tts"})


def _watches(monitor: Monitor, kind: Watch, parts: tuple[str, ...]) -> bool:
    """Return whether a monitor is of a kind and looks at one of some parts, or at any."""
    return monitor.kind == kind and (not parts or any(what in parts for what, _ in monitor.parts))
