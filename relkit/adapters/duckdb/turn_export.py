"""Turns written to one Parquet file, with the ids of sessions, units and turns as keyed hashes."""

from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from relkit.adapters.duckdb.session import quoted
from relkit.adapters.duckdb.turns import TURNS, TurnTable
from relkit.core import storage
from relkit.telemetry.types import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 100_000
_KEYS = ("session", "turn_id", "unit", "user")


def write_turns(turns: TurnTable, path: Path, key: bytes) -> None:
    """Write the turns that count, by time; columns that the telemetry lacks are not written.

    Whole or not at all; raises StorageFailed.
    """
    import pyarrow as pa
    from pyarrow import parquet as pq

    own = turns.columns | {"ts", "session", "turn_id"}
    names = [name for name in COLUMNS if name in own]
    further = [name for name in turns.attributes if name not in COLUMNS]
    names += [*further, *turns.events, *turns.measures]
    shown = ", ".join(quoted(name) for name in names)
    sql = f"SELECT {shown} FROM {TURNS} ORDER BY ts, session, turn_id"  # noqa: S608 - quoted names
    with storage.replacing(path) as temporary:
        writer = None
        try:
            for batch in turns.batches(sql, rows=_BATCH):
                table = _keyed(pa.Table.from_batches([batch]), key)
                writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd")
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()


def _keyed(table: "pa.Table", key: bytes) -> "pa.Table":
    """Return turns with keyed hashes for ids, and times that say that they are UTC."""
    import pyarrow as pa

    at = table.column_names.index("ts")
    table = table.set_column(at, "ts", table["ts"].cast(pa.timestamp("us", tz="UTC")))
    for name in _KEYS:
        if name in table.column_names:
            ids = np.asarray(table[name].to_numpy())
            distinct, places = np.unique(ids, return_inverse=True)
            digests = b"".join(
                blake2b(value.tobytes(), digest_size=8, key=key).digest() for value in distinct
            )
            hashed = np.frombuffer(digests, "<u8")[places]
            table = table.set_column(table.column_names.index(name), name, pa.array(hashed))
    return table
