"""Tables as bytes that only the telemetry key opens: what a canary keeps between two looks."""

import hashlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from relkit.core.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

_NONCE = 16


def columns_table(columns: Mapping[str, object]) -> "pa.Table":
    """Return columns (masked values are missing) as a table."""
    import pyarrow as pa

    return pa.table(
        {
            name: pa.array(np.ma.getdata(values), mask=np.ma.getmaskarray(values))
            if isinstance(values, np.ma.MaskedArray)
            else values
            for name, values in columns.items()
        }
    )


def sealed_table(table: "pa.Table", key: bytes) -> bytes:
    """Return a table as bytes that only the key opens, the same for the same table.

    The nonce is a keyed digest of the data (BLAKE2b), the stream SHAKE-256 of key and nonce: the
    synthetic initialisation vector of RFC 5297, with these functions.
    """
    import pyarrow as pa

    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    data = sink.getvalue()
    nonce = hashlib.blake2b(data, digest_size=_NONCE, key=key).digest()
    return nonce + _streamed(data, key, nonce)


def unsealed_table(sealed: bytes, key: bytes) -> "pa.Table":
    """Return the table in sealed bytes; raises InvalidInput for another key and for edited ones."""
    import pyarrow as pa

    nonce = sealed[:_NONCE]
    data = _streamed(sealed[_NONCE:], key, nonce)
    if hashlib.blake2b(data, digest_size=_NONCE, key=key).digest() != nonce:
        raise InvalidInput(
            "the state was written with another telemetry key, or edited",
            hint="give the key it was written with: --key FILE",
        )
    with pa.ipc.open_stream(io.BytesIO(data)) as reader:
        return reader.read_all()


def _streamed(data: bytes, key: bytes, nonce: bytes) -> bytes:
    stream = hashlib.shake_256(key + nonce).digest(len(data))
    mixed = np.frombuffer(data, dtype=np.uint8) ^ np.frombuffer(stream, dtype=np.uint8)
    return mixed.tobytes()
