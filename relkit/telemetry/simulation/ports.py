"""What a simulation needs from outside: a folder for its files."""

from collections.abc import Iterable
from typing import Protocol

from relkit.telemetry.simulation.types import TurnColumns


class TrafficFiles(Protocol):
    """A new folder of simulated traffic; files in it are whole or absent."""

    def write_turns(self, name: str, turns: TurnColumns) -> None:
        """Write turns as a Parquet file; raises StorageFailed."""

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """Write lines of text; raises StorageFailed."""
