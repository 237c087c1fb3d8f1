"""Which version each session gets, and which releases an incident is about.

A session's coin is drawn once for each rollout, so that those that got a version at 5 % get it at
25 %, too.
"""

from collections.abc import Mapping

import numpy as np

from relkit.core.arrays import Codes
from relkit.incident.simulation.kinds import VERSIONS
from relkit.incident.simulation.types import (
    IncidentComponent,
    ReleaseName,
    Rollout,
    SimulatedIncident,
)
from relkit.telemetry.simulation.callers import mixed, uniform
from relkit.telemetry.simulation.types import Floats, Keys


def rollout_share(rollout: Rollout, since: Floats) -> Floats:
    """Return the share that a rollout has so many hours after its first step; 0 before."""
    ends = np.cumsum([step.hours for step in rollout.steps])
    shares = np.array([*(step.share for step in rollout.steps), rollout.final])
    return np.where(since < 0, 0.0, shares[np.searchsorted(ends, since, side="right")])


def served(
    incident: SimulatedIncident, sessions: Keys, hours: Floats, texts: Mapping[str, Codes]
) -> dict[str, Codes]:
    """Return the version of each component that each session gets (``release_asr`` …)."""
    columns = {}
    since = hours - incident.onset_hours
    for component in VERSIONS:
        names = versions_in(incident, component)
        codes = np.zeros(len(sessions), np.int32)
        for number, rollout in enumerate(incident.rollouts):
            if rollout.component != component:
                continue
            salt = 100 + number if rollout.coin is None else rollout.coin
            coin = uniform(mixed(sessions, salt), incident.seed * 4 + 3)
            gets = coin < rollout_share(rollout, since - rollout.at)
            for column, value in rollout.only.items():
                gets &= texts[column].codes == texts[column].names.index(value)
            codes = np.where(gets, np.int32(names.index(rollout.version)), codes)
        columns[f"release_{component}"] = Codes(codes, names)
    return columns


def versions_in(incident: SimulatedIncident, component: IncidentComponent) -> tuple[str, ...]:
    """Return the versions of a component that are served at any time, in their order."""
    rolled = {r.version for r in incident.rollouts if r.component == component}
    first, *later = VERSIONS[component]
    return (first, *(version for version in later if version in rolled))


def innocent(incident: SimulatedIncident) -> tuple[ReleaseName, ...]:
    """Return every release that must not be blamed."""
    guilty = incident.guilty
    return tuple(
        ReleaseName(component=component, version=version)
        for component in VERSIONS
        for version in versions_in(incident, component)
        if guilty is None or (component, version) != (guilty.component, guilty.version)
    )


def target(incident: SimulatedIncident) -> str | None:
    """Return where to go back to: the version before the guilty one, which held all traffic."""
    guilty = incident.guilty
    if guilty is None:
        return None
    versions = versions_in(incident, guilty.component)
    return versions[versions.index(guilty.version) - 1]
