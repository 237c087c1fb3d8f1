"""Opens telemetry: tables by DuckDB."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast, get_args

if TYPE_CHECKING:
    from pathlib import Path

    from relkit.adapters.duckdb.turns import TurnTable
    from relkit.core.config import Workspace
    from relkit.telemetry.types import (
        Dialect,
        MappedColumn,
        TelemetryImport,
        TelemetryOptions,
    )


def telemetry_options(
    paths: Iterable[str],
    *,
    mapping: "Iterable[str] | Mapping[str, MappedColumn]" = (),
    dialect: str | None = None,
    now: str | None = None,
) -> "TelemetryOptions":
    """Return what to read, and how; raises UsageError.

    ``mapping`` is that of a policy, or as the command line spells it. ``now`` None is the clock.
    """
    from relkit.core.codec import nearest
    from relkit.core.errors import UsageError
    from relkit.core.yaml_text import shown
    from relkit.telemetry import types
    from relkit.telemetry.columns import parse_mapping

    dialects = get_args(types.Dialect)
    if dialect is not None and dialect not in dialects:
        raise UsageError(f'unknown dialect "{shown(dialect)}"', hint=nearest(dialect, dialects))
    return types.TelemetryOptions(
        paths=tuple(paths),
        mapping=mapping if isinstance(mapping, Mapping) else parse_mapping(mapping),
        dialect=cast("Dialect | None", dialect),
        now=as_of(now),
    )


def as_of(now: str | None) -> str:
    """Return the time of ``--now``, or that of the clock; raises UsageError."""
    from relkit.core.errors import UsageError
    from relkit.core.values import checked_time

    if now is None:
        from relkit.adapters.workspace import SystemClock

        return SystemClock().now()
    try:
        return checked_time(now)
    except ValueError as error:
        raise UsageError(f"--now: {error}", hint="write it in UTC, with Z") from error


def open_turns(options: "TelemetryOptions") -> "TurnTable":
    """Return the turns of telemetry files; close it. Raises UsageError, InvalidInput."""
    from relkit.adapters.duckdb.turns import TurnTable
    from relkit.adapters.otlp import trace_table

    return TurnTable(options, traces=trace_table)


def import_turns(
    workspace: "Workspace", options: "TelemetryOptions", to: "Path", key: "Path | None"
) -> "TelemetryImport":
    """Write turns to a Parquet file; see :func:`relkit.telemetry.run.import_turns`."""
    from functools import partial

    from relkit.adapters.duckdb.turn_export import write_turns
    from relkit.adapters.secret_keys import TELEMETRY_KEY, secret_key
    from relkit.telemetry import run as workflow

    secret = secret_key(key or workspace.state / TELEMETRY_KEY, make=key is None)
    with open_turns(replace(options, key=secret)) as turns:
        write = partial(write_turns, turns, to, secret)
        return workflow.import_turns(turns, workspace.shown(to), write)
