"""Starting, following, answering and scoring a drill."""

import json
from dataclasses import dataclass

import numpy as np

from relkit.core.codec import encode
from relkit.core.errors import UsageError
from relkit.core.ports import Clock
from relkit.core.values import after, duration_s, moment
from relkit.incident.drills.ports import DrillFiles, DrillFolder
from relkit.incident.drills.scoring import score_answer
from relkit.incident.drills.types import (
    Drill,
    DrillAnswer,
    DrillScore,
    DrillState,
    DrillStatus,
    HandedIn,
)
from relkit.incident.simulation.answers import answer
from relkit.incident.simulation.history_files import incident_history
from relkit.incident.simulation.kinds import incident
from relkit.incident.simulation.ports import IncidentFiles
from relkit.incident.simulation.run import (
    EVENTS,
    TELEMETRY,
    days,
    elsewhere_of,
    write_hours,
    write_releases,
)
from relkit.incident.simulation.traffic import turns_in_hour
from relkit.incident.simulation.types import SimulatedIncident
from relkit.registry.ledger_files import render_ledger

ALERTS = "alerts.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillPorts:
    """What a drill needs; ``files`` writes into the same folder, ``clock`` is ours."""

    folder: DrillFolder
    files: IncidentFiles
    clock: Clock


def start_drill(
    name: str, drills: DrillFiles, ports: DrillPorts, *, seed: int, speed: float
) -> DrillStatus:
    """Begin a drill with its first alert; raises UsageError, InvalidInput, StorageFailed."""
    drill = drills.read(name)
    ports.folder.require_new()
    simulated = incident(drill.kind, seed=seed, turns_per_hour=drill.turns_per_hour)
    began = min(after(simulated.onset, duration_s(alert.after)) for alert in drill.alerts)
    for hours in days(_hours(simulated, began)):
        write_hours(simulated, ports.files, hours)
    write_releases(simulated, ports.files)
    state = DrillState(
        drill=drill,
        seed=seed,
        speed=speed,
        started=ports.clock.now(),  # what took time to write is no time of the drill
        began=began,
        ends=min(simulated.until, after(began, duration_s(drill.lasts))),
    )
    ports.folder.begin(state)
    return drill_status(ports)


def drill_status(ports: DrillPorts) -> DrillStatus:
    """Let a drill go on to where its clock is, and say where it stands.

    Raises UsageError where the folder holds no drill, StorageFailed.
    """
    state = ports.folder.state()
    simulated = _simulated(state)
    now = clock_of(state, ports.clock.now())
    _write_recent(simulated, ports, _hours(simulated, state.began), now)
    alerts = sorted(
        (at, alert.name)
        for alert in state.drill.alerts
        if (at := after(simulated.onset, duration_s(alert.after))) <= now
    )
    ports.files.write_lines(ALERTS, [json.dumps({"at": at, "name": name}) for at, name in alerts])
    handed_in = ports.folder.handed_in()
    return DrillStatus(
        name=state.drill.name,
        title=state.drill.title,
        now=now,
        ends=state.ends,
        over=now >= state.ends,
        alerts=tuple(f"{at} {name}" for at, name in alerts),
        telemetry=TELEMETRY,
        events=EVENTS if elsewhere_of(simulated) else None,
        handed_in=None if handed_in is None else handed_in.at,
    )


def answer_drill(handed: DrillAnswer, ports: DrillPorts) -> DrillStatus:
    """Hand an answer in, at the time of the drill's clock; raises UsageError.

    What it says was done cannot lie after that, nor before the first alert. A second answer
    replaces the first, at the time of the second.
    """
    state = ports.folder.state()
    now = clock_of(state, ports.clock.now())
    for action in handed.actions:
        if not state.began <= action.at <= now:
            raise UsageError(
                f"an action at {action.at} is outside of the drill",
                hint=f"it began at {state.began}, and it is {now} there",
            )
    ports.folder.hand_in(HandedIn(at=now, answer=handed))
    return drill_status(ports)


def score_drill(ports: DrillPorts) -> DrillScore:
    """Return what the answer was worth; raises UsageError before there is one."""
    state = ports.folder.state()
    handed_in = ports.folder.handed_in()
    if handed_in is None:
        raise UsageError(
            "no answer was handed in", hint="hand it in: relkit drill answer DIR --file FILE"
        )
    sent = handed_in.answer.packet
    simulated = _simulated(state)
    packet = None
    if sent is not None:
        packet = ports.folder.check_packet(sent, _users(simulated, state))
    return score_answer(state, answer(simulated), handed_in, packet)


def clock_of(state: DrillState, now: str) -> str:
    """Return the time of a drill's clock when ours is ``now``; it stands still at the end."""
    passed = (moment(now) - moment(state.started)).total_seconds()
    return min(state.ends, after(state.began, max(0.0, passed) * state.speed))


def drill_list(drills: DrillFiles) -> tuple[Drill, ...]:
    """Return all drills, by name; raises InvalidInput for a broken one."""
    return tuple(drills.read(name) for name in drills.names())


def _simulated(state: DrillState) -> SimulatedIncident:
    drill = state.drill
    return incident(drill.kind, seed=state.seed, turns_per_hour=drill.turns_per_hour)


def _users(simulated: SimulatedIncident, state: DrillState) -> frozenset[str]:
    """Return who spoke from the onset to the end of the drill, as the telemetry names them."""
    hours = range(_hours(simulated, simulated.onset), _hours(simulated, state.ends) + 1)
    return frozenset(
        f"{user:016x}"
        for hour in hours
        for user in np.unique(turns_in_hour(simulated, hour).keys("user")).tolist()
    )


def _hours(simulated: SimulatedIncident, at: str) -> int:
    """Return how many hours of traffic were over at a time."""
    return int((moment(at) - moment(simulated.start)).total_seconds() // 3600)


def _write_recent(simulated: SimulatedIncident, ports: DrillPorts, first: int, now: str) -> None:
    """Write what was recorded since: a file an hour, what happened to releases, and elsewhere."""
    for hour in range(first, _hours(simulated, now) + 1):
        write_hours(simulated, ports.files, range(hour, hour + 1), until=now)
    for model, events in incident_history(simulated).events.items():
        # A responder who rolls back writes into the ledger, which goes on alone from there.
        if render_ledger(events).startswith(ports.folder.ledger(model)):
            ports.files.write_ledger(model, tuple(event for event in events if event.at <= now))
    elsewhere = [event for event in elsewhere_of(simulated) if event.at <= now]
    if elsewhere:
        ports.files.write_lines(EVENTS, [json.dumps(encode(event)) for event in elsewhere])
