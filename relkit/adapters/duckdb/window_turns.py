"""The turns of one window as what disclosure control takes: numbered people, codes, flags."""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from relkit.adapters.duckdb.session import quoted
from relkit.adapters.duckdb.turn_files import telemetry_files
from relkit.adapters.duckdb.turns import TURNS, TurnTable
from relkit.core import storage
from relkit.core.arrays import Codes, FloatArray
from relkit.core.digests import PREFIX
from relkit.core.errors import InvalidInput, NoData
from relkit.core.values import moment
from relkit.core.yaml_text import shown
from relkit.disclosure.types import HourSpan, WindowTurns
from relkit.telemetry.types import STAGES, TelemetryOptions

if TYPE_CHECKING:
    import pyarrow as pa

EVENTS = ("reprompt", "grounded", "tool_args_ok", "false_interrupt")
"""Events of turns that a packet shows by name; those that a team names itself stay at home."""

MOST_SLICE_VALUES = 200
"""Values of a column that is cut by; more are ids, or free text."""

_MOST_MISSING = 0.01
"""The share of turns that may be without the one whose turn it was."""

_BATCH = 1 << 20


class TurnTableWindow:
    """Implements WindowTelemetry over an open turn table."""

    def __init__(self, table: TurnTable, options: TelemetryOptions) -> None:
        """Read ``table``, which was opened with ``options``."""
        self._table = table
        self._options = options

    @property
    def attributes(self) -> tuple[str, ...]:
        """The columns that turns can be cut by."""
        return self._table.attributes

    def last(self) -> str:
        """Return the time of the last turn, to the second; raises NoData where there is none."""
        rows = self._table.fetch(
            f"SELECT strftime(max(ts), '%Y-%m-%dT%H:%M:%SZ') AS last, count(*) AS n FROM {TURNS}"
        )
        if not rows["n"][0]:
            raise NoData("the telemetry has no turn", hint="relkit telemetry check PATH")
        return str(rows["last"][0])

    def digests(self) -> Mapping[str, str]:
        """Return the digest of each file of the telemetry by its path; raises InvalidInput."""
        import hashlib

        digests = {}
        try:
            for path in telemetry_files(self._options.paths):
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                digests[str(path)] = PREFIX + digest
        except OSError as error:
            raise storage.unreadable(error, among="the telemetry") from error
        return digests

    def turns(
        self, window: HourSpan, columns: Sequence[str], unit: Literal["user", "session"]
    ) -> WindowTurns:
        """Return the turns of a window, in an order that depends on the turns alone.

        Raises NoData where there is none, InvalidInput for a column that is not there or holds ids,
        and where people cannot be counted: without ``user``, or with more than 1 % of turns that
        nobody is named for. Fewer such turns are left out.
        """
        if unit == "user" and "user" not in self._table.columns:
            raise InvalidInput(
                'the telemetry has no column "user": people cannot be counted without it',
                hint="say which column it is: --map user=COLUMN; or count sessions, 50 to a cell:"
                " privacy: {unit: session} in relkit.yaml",
            )
        selected = {"who": f"CAST({unit} AS UBIGINT)", "turn": "turn"}
        selected |= {
            f"c {name}": f"nullif({self._table.require(name, self.attributes)}, '')"
            for name in columns
        }
        selected |= {f"f {name}": expression for name, expression in self._flags().items()}
        selected |= {f"q {name}": f"CAST({name} AS DOUBLE)" for name in self._quantities()}
        expressions = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in selected.items())
        rows = self._read(
            f"SELECT {expressions} FROM {TURNS} WHERE ts >= {_timestamp(window.from_)}"
            f" AND ts < {_timestamp(window.to)}"
        )
        if not rows.num_rows:
            raise NoData(
                "the telemetry has no turn in the window", hint="relkit telemetry check PATH"
            )
        missing = rows["who"].null_count
        if missing > _MOST_MISSING * rows.num_rows:
            raise InvalidInput(
                f'more than 1 % of the turns of the window have no "{unit}"',
                hint="see how many: relkit telemetry check PATH",
            )
        if missing:
            rows = rows.filter(rows["who"].is_valid())
        order = np.argsort(np.asarray(rows["turn"]), kind="stable")
        _, persons = np.unique(np.asarray(rows["who"])[order], return_inverse=True)
        return WindowTurns(
            persons=persons.astype(np.int64),
            columns={name: _codes(rows[f"c {name}"], name, order) for name in columns},
            flags={
                name[2:]: np.asarray(rows[name], dtype=np.int8)[order]
                for name in rows.column_names
                if name.startswith("f ")
            },
            quantities={
                name[2:]: _numbers(rows[name])[order]
                for name in rows.column_names
                if name.startswith("q ")
            },
        )

    def _flags(self) -> dict[str, str]:
        """Return each metric's expression: 1 for an event, 0 for none, -1 for not measured."""
        flags = {"failed": "CAST(failed AS TINYINT)"}
        if "outcome" in self._table.columns:
            flags |= {
                outcome: f"CAST(coalesce(outcome = '{outcome}', FALSE) AS TINYINT)"
                for outcome in ("interrupted", "abandoned")
            }
        if "retries" in self._table.columns:
            flags["retried"] = "coalesce(CAST(retries > 0 AS TINYINT), -1)"
        elif "attempt" in self._table.measures:
            flags["retried"] = "coalesce(CAST(attempt > 1 AS TINYINT), -1)"
        flags |= {
            name: f"coalesce(CAST({quoted(name)} AS TINYINT), -1)"
            for name in EVENTS
            if name in self._table.events
        }
        return flags

    def _quantities(self) -> tuple[str, ...]:
        """Return the times to take percentiles of, less those whose unit changes half-way."""
        changed = {problem.where for problem in self._table.unit_changes()}
        names = ("latency_ms", *STAGES)
        return tuple(n for n in names if n in self._table.columns and n not in changed)

    def _read(self, sql: str) -> "pa.Table":
        import pyarrow as pa

        batches = list(self._table.batches(sql, rows=_BATCH))
        return pa.Table.from_batches(batches) if batches else pa.table({})


def _timestamp(time: str) -> str:
    return f"TIMESTAMP '{moment(time):%Y-%m-%d %H:%M:%S}'"


def _numbers(column: "pa.ChunkedArray") -> FloatArray:
    """Return quantities, NaN for none."""
    return np.asarray(column.fill_null(float("nan")), dtype=np.float64)


def _codes(column: "pa.ChunkedArray", name: str, order: npt.NDArray[np.int64]) -> Codes:
    """Return a column of text as codes of its values by name; raises InvalidInput for ids."""
    encoded = column.combine_chunks().dictionary_encode()
    if hasattr(encoded, "chunks"):  # a ChunkedArray of one chunk, in some versions of pyarrow
        encoded = encoded.combine_chunks()
    values: list[str] = encoded.dictionary.to_pylist()
    if len(values) > MOST_SLICE_VALUES:
        raise InvalidInput(
            f'the column "{shown(name)}" has more than {MOST_SLICE_VALUES} values in the window',
            hint="it holds ids or text; name the columns to cut by: --slice COL",
        )
    by_name = sorted(range(len(values)), key=values.__getitem__)
    place = np.empty(len(values) + 1, dtype=np.int32)
    place[by_name] = np.arange(len(values), dtype=np.int32)
    place[-1] = -1
    codes = np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)
    return Codes(place[codes][order], tuple(values[i] for i in by_name))
