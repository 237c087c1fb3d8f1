"""The answer that is right for an incident, and what a report of triage is worth against it."""

from relkit.core.slices import OVERALL
from relkit.incident.simulation.rollouts import innocent, target
from relkit.incident.simulation.types import Grade, IncidentAnswer, RightVerdict, SimulatedIncident
from relkit.incident.types import TriageReport


def answer(incident: SimulatedIncident) -> IncidentAnswer:
    """Return what is right to say of an incident."""
    kind, guilty = incident.kind, incident.guilty
    return IncidentAnswer(
        kind=kind.name,
        description=kind.description,
        seed=incident.seed,
        turns_per_hour=incident.turns_per_hour,
        now=incident.until,
        onset=None if kind.right.verdict == "nothing" else incident.onset,
        verdict=kind.right.verdict,
        cause=kind.right.cause,
        component=None if guilty is None else guilty.component,
        first_bad=None if guilty is None else guilty.version,
        slices=kind.slices,
        target=target(incident),
        also=kind.also,
        innocent=innocent(incident),
    )


def graded(right: IncidentAnswer, report: TriageReport) -> Grade:
    """Return what a report is worth.

    Right are verdict, cause, slice, and of a release its component, version and target. It is
    ``blamed`` where any other release is named as the one to blame, whatever else the report says.
    """
    named = (report.component, report.first_bad)
    if report.verdict == "release":
        if named != (right.component, right.first_bad) or right.verdict != "release":
            return "blamed"
        fits = report.target == right.target and _in_slice(right, report)
        return "right" if fits else "wrong"
    verdict = RightVerdict(verdict=report.verdict, cause=report.cause)
    if verdict in (RightVerdict(verdict=right.verdict, cause=right.cause), *right.also):
        located = report.verdict == "not_release"
        return "right" if not located or _in_slice(right, report) else "wrong"
    return "undetermined" if report.verdict == "undetermined" else "wrong"


def _in_slice(right: IncidentAnswer, report: TriageReport) -> bool:
    return not right.slices or (report.slice or OVERALL) in right.slices
