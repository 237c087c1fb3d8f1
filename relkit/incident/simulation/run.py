"""Writes an incident: telemetry by day, registry and ledgers, events elsewhere, the answer last."""

import json
from collections.abc import Iterator
from datetime import timedelta

from relkit.core.codec import encode
from relkit.core.ports import Progress
from relkit.core.values import after, moment
from relkit.incident.simulation.answers import answer
from relkit.incident.simulation.history_files import incident_history
from relkit.incident.simulation.ports import IncidentFiles
from relkit.incident.simulation.traffic import turns_in_hour
from relkit.incident.simulation.types import IncidentHistory, SimulatedIncident, WrittenIncident
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
    written = []
    for hours in days(incident.hours):
        written.append(write_hours(incident, files, hours))
        progress(hours.stop, incident.hours)
    past = write_releases(incident, files)
    for model, events in past.events.items():
        files.write_ledger(model, events)
    elsewhere = elsewhere_of(incident)
    if elsewhere:
        files.write_lines(EVENTS, [json.dumps(encode(event)) for event in elsewhere])
    right = answer(incident)
    files.write_lines(ANSWER, [json.dumps(encode(right), indent=2, ensure_ascii=False)])
    return WrittenIncident(
        answer=right,
        telemetry=tuple(name for name, _ in written),
        turns=sum(turns for _, turns in written),
        releases=len(past.releases),
        elsewhere=elsewhere,
    )


def days(hours: int) -> Iterator[range]:
    """Yield the hours of each day, from the start of the traffic; the last day may be shorter."""
    for first in range(0, hours, _DAY):
        yield range(first, min(first + _DAY, hours))


def write_hours(
    incident: SimulatedIncident, files: IncidentFiles, hours: range, *, until: str | None = None
) -> tuple[str, int]:
    """Write the turns of some hours as one file; return its name and how many they are.

    Those after ``until`` are not written. Raises StorageFailed.
    """
    turns = joined_turns([turns_in_hour(incident, hour) for hour in hours])
    if until is not None:
        turns = turns.take(turns.times("ts") <= int(moment(until).timestamp() * 1e6))
    at = moment(incident.start) + timedelta(hours=hours.start)
    name = f"{TELEMETRY}/turns-{at:%Y-%m-%d}{f'T{at:%H}' if len(hours) == 1 else ''}.parquet"
    files.write_turns(name, turns)
    return name, len(turns)


def write_releases(incident: SimulatedIncident, files: IncidentFiles) -> IncidentHistory:
    """Write the marker of a workspace, and every release with its files; return the history.

    The ledgers are the caller's to write. Raises StorageFailed.
    """
    files.write_lines("relkit.yaml", [f"name: incident-{incident.kind.name}"])
    past = incident_history(incident)
    for name, data in past.artifacts.items():
        files.write_artifact(name, data)
    for release in past.releases:
        files.write_release(release)
    return past


def elsewhere_of(incident: SimulatedIncident) -> tuple[OtherEvent, ...]:
    """Return what changed elsewhere, in the order of time."""
    return tuple(
        OtherEvent(
            at=after(incident.onset, round(event.at * 3600)), kind=event.kind, name=event.name
        )
        for event in sorted(incident.kind.elsewhere, key=lambda event: event.at)
    )
