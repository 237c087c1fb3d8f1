"""Opens telemetry: tables by DuckDB."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from relkit.adapters.duckdb.turns import TurnTable
    from relkit.core.config import Workspace
    from relkit.telemetry.types import TelemetryOptions


def open_turns(options: "TelemetryOptions") -> "TurnTable":
    """Return the turns of telemetry files; close it. Raises UsageError, InvalidInput."""
    from relkit.adapters.duckdb.turns import TurnTable

    return TurnTable(options)


def key_of(workspace: "Workspace", path: "Path | None") -> bytes:
    """Return the key that ids are hashed with: of a file, or the workspace's, made on first use."""
    from relkit.adapters.telemetry_key import TELEMETRY_KEY, telemetry_key

    return telemetry_key(path or workspace.state / TELEMETRY_KEY, make=path is None)
