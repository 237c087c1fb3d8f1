"""Builds what simulated traffic is written with."""

from pathlib import Path

from relkit.core.ports import Progress
from relkit.telemetry.simulation import run as simulation
from relkit.telemetry.simulation.types import Rehearsal, SimulatedTraffic


def simulate_telemetry(folder: Path, rehearsal: Rehearsal, progress: Progress) -> SimulatedTraffic:
    """Write simulated traffic into a new folder; raises UsageError, StorageFailed."""
    from relkit.adapters.simulated import SimulatedFiles

    return simulation.simulate(rehearsal, SimulatedFiles(folder), progress)
