"""Columns of Arrow from Python's values, made without the pandas that ``pyarrow.array`` imports.

That import is a third of what scoring a small run again costs, and nothing of it is used.
"""

from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

_TYPECODES = {"int32": "i", "int64": "q", "float64": "d"}
_MOST_BYTES = 2**31 - 1
"""Bytes of text that one array of Arrow's strings can hold."""


def column(values: Sequence[Any], kind: str) -> Any:  # noqa: ANN401  # an Arrow array; pyarrow has no types
    """Return values as an array of Arrow; None is null.

    ``kind`` is ``int32``, ``int64``, ``float64``, ``bool_`` or ``string``. Raises TypeError,
    OverflowError or UnicodeError for a value that the type does not have.
    """
    import pyarrow as pa

    present = np.fromiter((value is not None for value in values), dtype=np.bool_)
    buffers = _text(values) if kind == "string" else [_numbers(values, kind)]
    if buffers is None:  # as several arrays
        return pa.array(values, pa.string())
    masked = None if present.all() else _bits(present)
    return pa.Array.from_buffers(
        getattr(pa, kind)(),
        len(present),
        [None if data is None else pa.py_buffer(data) for data in (masked, *buffers)],
    )


def _bits(flags: Any) -> bytes:  # noqa: ANN401  # an array of booleans
    return np.packbits(flags, bitorder="little").tobytes()


def _numbers(values: Sequence[Any], kind: str) -> bytes:
    if kind == "bool_":
        return _bits(np.fromiter((bool(value) for value in values), dtype=np.bool_))
    # An array of Python's takes no number of another type, as Arrow does not.
    filled = (0 if value is None else value for value in values)
    return array(_TYPECODES[kind], filled).tobytes()


def _text(values: Sequence[str | None]) -> list[bytes] | None:
    """Return offsets and bytes; None where they are too many for one array."""
    texts = [b"" if value is None else value.encode() for value in values]
    offsets = list(accumulate(map(len, texts), initial=0))
    if offsets[-1] > _MOST_BYTES:
        return None
    return [array("i", offsets).tobytes(), b"".join(texts)]
