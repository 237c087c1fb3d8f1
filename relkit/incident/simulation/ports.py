"""What a simulated incident needs from outside: a folder for its files."""

from typing import Protocol

from relkit.registry.types import Release, ReleaseEvent
from relkit.telemetry.simulation.ports import TrafficFiles


class IncidentFiles(TrafficFiles, Protocol):
    """A new folder of an incident, which is a workspace, too; files in it are whole or absent."""

    def write_artifact(self, name: str, data: bytes) -> None:
        """Write a file of a release; raises StorageFailed."""

    def write_release(self, release: Release) -> None:
        """Write a release into the registry; raises StorageFailed."""

    def write_ledger(self, model: str, events: tuple[ReleaseEvent, ...]) -> None:
        """Write a model's ledger; raises StorageFailed."""
