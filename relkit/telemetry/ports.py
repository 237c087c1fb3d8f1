"""What reading telemetry needs from outside."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from relkit.telemetry.types import Telemetry, TelemetryOptions, TelemetryProblem

if TYPE_CHECKING:
    import pyarrow as pa


class TraceReader(Protocol):
    """Reads files of traces, or of call records, to turns."""

    def __call__(
        self, files: Sequence[Path], options: TelemetryOptions, /
    ) -> "tuple[pa.Table, str, tuple[TelemetryProblem, ...]]":
        """Return turns with canonical columns, the dialect, and what is to be looked at.

        Raises InvalidInput, with file and line, for what cannot be read.
        """


class TurnSummary(Protocol):
    """Turns that were opened."""

    trace_counts: Mapping[str, int]
    """What became of the spans: ``spans``, ``unused``, ``unfinished``, ``made_inclusive``."""

    def summary(self) -> Telemetry:
        """Return what was read and what was dropped, and why."""
