"""The rows of a finished run for a page; transcripts are read only where they were asked for."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relkit import storage
from relkit.domain.counts import ErrorCounts
from relkit.domain.errors import InvalidInput
from relkit.domain.pages import Row
from relkit.domain.results import Texts
from relkit.records.digests import sha256_bytes
from relkit.rules.result_columns import CORE_COLUMNS

_COUNTS = ("hits", "substitutions", "deletions", "insertions")
_TEXTS = ("reference", "hypothesis", "reference_normalized", "hypothesis_normalized")
_NEEDED = ("id", "repeat", *_COUNTS, "runaway", "loop", "failure", "unusable")


def read_rows(
    folder: Path, outputs: Mapping[str, str], *, with_text: bool, with_audio: bool
) -> tuple[Row, ...]:
    """Return the rows of a run in their order; ``outputs`` are the digests its header names.

    Without ``with_text`` no transcript leaves ``texts.parquet``; without either flag the file is
    not opened at all. Raises InvalidInput where a file was changed or cannot be read.
    """
    table = _table(folder, "results.parquet", outputs)
    missing = [name for name in _NEEDED if name not in table.column_names]
    if missing:
        raise InvalidInput(f"{folder.name}/results.parquet: has no column {missing[0]}")
    slices, measures = _other_columns(table)
    rows = table.to_pylist()
    told: dict[tuple[str, int], dict[str, Any]] = {}
    if with_text or with_audio:
        columns = [
            "id",
            "repeat",
            *(_TEXTS if with_text else ()),
            *(("audio",) if with_audio else ()),
        ]
        texts = _table(folder, "texts.parquet", outputs, columns).to_pylist()
        told = {(row["id"], row["repeat"]): row for row in texts}
        if set(told) != {(row["id"], row["repeat"]) for row in rows}:
            raise InvalidInput(
                f"{folder.name}: results.parquet and texts.parquet hold different utterances"
            )
    return tuple(
        _row(row, told.get((row["id"], row["repeat"]), {}), slices, measures) for row in rows
    )


def _table(
    folder: Path, name: str, outputs: Mapping[str, str], columns: list[str] | None = None
) -> Any:  # noqa: ANN401  # an Arrow table; pyarrow has no types
    import pyarrow as pa
    from pyarrow import ArrowException
    from pyarrow import parquet as pq

    source = f"{folder.name}/{name}"
    data = storage.read_bytes(folder / name, what=source)
    if outputs.get(name) != sha256_bytes(data):
        raise InvalidInput(f"{source}: was changed after the run", hint="run the suite again")
    try:
        return pq.read_table(pa.BufferReader(data), columns=columns)
    except (OSError, ArrowException) as error:
        raise InvalidInput(
            f"{source}: cannot be read as Parquet", hint="run the suite again"
        ) from error


def _other_columns(table: Any) -> tuple[list[str], list[str]]:  # noqa: ANN401  # as above
    """Return the slice columns (text) and the further measurements (numbers) of a table."""
    import pyarrow as pa

    others = [field for field in table.schema if field.name not in CORE_COLUMNS]
    slices = [field.name for field in others if pa.types.is_string(field.type)]
    measures = [
        field.name for field in table.schema if _is_measure(field.name) and _is_float(field.type)
    ]
    return slices, measures


def _is_float(kind: Any) -> bool:  # noqa: ANN401  # an Arrow type
    import pyarrow as pa

    return bool(pa.types.is_floating(kind))


def _is_measure(name: str) -> bool:
    return name not in {"latency_ms", "first_byte_ms", "duration"}


def _row(row: dict[str, Any], told: dict[str, Any], slices: list[str], measures: list[str]) -> Row:
    counts = None
    if row["unusable"] is None:
        counts = ErrorCounts(**{name: row[name] for name in _COUNTS})
    texts = Texts(**{name: told[name] for name in _TEXTS}) if "reference" in told else None
    return Row(
        id=row["id"],
        repeat=row["repeat"],
        slices={name: row[name] for name in slices if row[name] is not None},
        counts=counts,
        runaway=bool(row["runaway"]),
        loop=bool(row["loop"]),
        failure=row["failure"],
        unusable=row["unusable"],
        latency_ms=_finite(row.get("latency_ms")),
        first_byte_ms=_finite(row.get("first_byte_ms")),
        duration=_finite(row.get("duration")),
        measures={name: row[name] for name in measures if _finite(row[name]) is not None},
        texts=texts,
        audio=told.get("audio"),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
