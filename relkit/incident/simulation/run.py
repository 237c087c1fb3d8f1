"""Writes an incident: telemetry by day, registry and ledgers, events elsewhere, the answer last."""

import json
from datetime import timedelta

from relkit.core.codec import encode
from relkit.core.ports import Progress
from relkit.core.values import after, moment
from relkit.incident.simulation.answers import answer
from relkit.incident.simulation.history_files import incident_history
from relkit.incident.simulation.ports import IncidentFiles
from relkit.incident.simulation.traffic import turns_in_hour
from relkit.incident.simulation.types import SimulatedIncident, WrittenIncident
from relkit.incident.types import OtherEvent
from relkit.telemetry.simulation.defects import joined_turns

ANSWER, EVENTS, TELEMETRY = "answer.json", "events.jsonl", "telemetry"
_DAY = 24


def write_incident(
    incident: SimulatedIncident, files: IncidentFiles, progress: Progress
) -> WrittenIncident:
    """Write the files of an incident, and its answer last; raises StorageFailed.

    ``relkit.yaml`` makes the folder a workspace, in which triage and rollback find the ledgers.
    """
    files.write_lines("relkit.yaml", [f"name: incident-{incident.kind.name}"])
    names: list[str] = []
    turns = 0
    for first in range(0, incident.hours, _DAY):
        hours = range(first, min(first + _DAY, incident.hours))
        day = joined_turns([turns_in_hour(incident, hour) for hour in hours])
        at = moment(incident.start) + timedelta(hours=first)
        names.append(f"{TELEMETRY}/turns-{at:%Y-%m-%d}.parquet")
        files.write_turns(names[-1], day)
        turns += len(day)
        progress(hours.stop, incident.hours)
    past = incident_history(incident)
    for name, data in past.artifacts.items():
        files.write_artifact(name, data)
    for release in past.releases:
        files.write_release(release)
    for model, events in past.events.items():
        files.write_ledger(model, events)
    elsewhere = elsewhere_of(incident)
    if elsewhere:
        files.write_lines(EVENTS, [json.dumps(encode(event)) for event in elsewhere])
    right = answer(incident)
    files.write_lines(ANSWER, [json.dumps(encode(right), indent=2, ensure_ascii=False)])
    return WrittenIncident(
        answer=right,
        telemetry=tuple(names),
        turns=turns,
        releases=len(past.releases),
        elsewhere=elsewhere,
    )


def elsewhere_of(incident: SimulatedIncident) -> tuple[OtherEvent, ...]:
    """Return what changed elsewhere, in the order of time."""
    return tuple(
        OtherEvent(
            at=after(incident.onset, round(event.at * 3600)), kind=event.kind, name=event.name
        )
        for event in sorted(incident.kind.elsewhere, key=lambda event: event.at)
    )
