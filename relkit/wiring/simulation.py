"""Builds what simulated traffic is written with."""

from pathlib import Path

from relkit.core.ports import Progress
from relkit.incident.simulation import run as incident_simulation
from relkit.incident.simulation.types import SimulatedIncident, WrittenIncident
from relkit.telemetry.simulation import run as simulation
from relkit.telemetry.simulation.types import Rehearsal, SimulatedTraffic


def simulate_telemetry(folder: Path, rehearsal: Rehearsal, progress: Progress) -> SimulatedTraffic:
    """Write simulated traffic into a new folder; raises UsageError, StorageFailed."""
    from relkit.adapters.simulated import SimulatedFiles

    return simulation.simulate(rehearsal, SimulatedFiles(folder), progress)


def simulate_incident(
    folder: Path, incident: SimulatedIncident, progress: Progress
) -> WrittenIncident:
    """Write an incident into a new folder; raises UsageError, StorageFailed."""
    from relkit.adapters.simulated import SimulatedWorkspace

    return incident_simulation.write_incident(incident, SimulatedWorkspace(folder), progress)
