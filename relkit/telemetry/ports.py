"""What reading telemetry needs from outside."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from relkit.telemetry.types import TelemetryOptions, TelemetryProblem

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
