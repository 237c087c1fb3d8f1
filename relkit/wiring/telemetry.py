"""Opens telemetry: tables by DuckDB."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relkit.adapters.duckdb.turns import TurnTable
    from relkit.telemetry.types import TelemetryOptions


def open_turns(options: "TelemetryOptions") -> "TurnTable":
    """Return the turns of telemetry files; close it. Raises UsageError, InvalidInput."""
    from relkit.adapters.duckdb.turns import TurnTable

    return TurnTable(options)
