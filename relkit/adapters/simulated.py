"""Simulated traffic as Arrow tables and files, and incidents as workspaces."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from relkit.core import storage
from relkit.core.arrays import Codes
from relkit.core.errors import UsageError
from relkit.registry.ledger_files import render_anchor, render_ledger
from relkit.registry.release_files import render_release
from relkit.registry.types import Release, ReleaseEvent
from relkit.telemetry.simulation.types import TurnColumns
from relkit.telemetry.types import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint16)


class SimulatedFiles:
    """A folder that holds nothing yet; implements TrafficFiles."""

    def __init__(self, folder: Path, *, fresh: bool = True) -> None:
        """Use a folder; raises UsageError for one that is to be ``fresh`` and holds files."""
        if fresh and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                "DIR is not empty: simulated traffic is never mixed with other files",
                hint="name a new folder",
            )
        self._folder = folder

    def write_turns(self, name: str, turns: TurnColumns) -> None:
        """Write turns as a Parquet file; raises StorageFailed."""
        from pyarrow import parquet as pq

        with storage.replacing(self._folder / name) as temporary:
            pq.write_table(arrow_table(turns), temporary, compression="zstd")

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """Write lines of text; raises StorageFailed."""
        with (
            storage.replacing(self._folder / name) as temporary,
            temporary.open("w", encoding="utf-8") as file,
        ):
            file.writelines(line + "\n" for line in lines)


class SimulatedWorkspace(SimulatedFiles):
    """A folder that becomes a workspace with a registry; implements IncidentFiles."""

    def write_artifact(self, name: str, data: bytes) -> None:
        """Write a file of a release; raises StorageFailed."""
        storage.write_bytes(self._folder / name, data)

    def write_release(self, release: Release) -> None:
        """Write a release into the registry; raises StorageFailed."""
        folder = self._folder / "registry" / "releases" / release.model / release.version
        storage.write_text(folder / "release.json", render_release(release))

    def write_ledger(self, model: str, events: tuple[ReleaseEvent, ...]) -> None:
        """Write a model's ledger and its anchor; raises StorageFailed."""
        folder = self._folder / "registry" / "events"
        storage.write_bytes(folder / f"{model}.jsonl", render_ledger(events))
        storage.write_text(folder / f"{model}.head", render_anchor(events))


def arrow_table(turns: TurnColumns) -> "pa.Table":
    """Return turns as an Arrow table with the columns of the turn table.

    Keys are 16 hexadecimal digits, text is a dictionary, times are UTC; they are text where some
    have no offset.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name, values in turns.columns.items():
        if name.startswith("_"):
            continue
        if isinstance(values, Codes):
            columns[name] = pa.DictionaryArray.from_arrays(
                pa.array(values.codes, mask=values.codes < 0), pa.array(values.names, pa.string())
            )
        elif name == "ts":
            columns[name] = _times(turns)
        elif values.dtype == np.uint64:
            columns[name] = _hexadecimal(turns.keys(name))
        elif values.dtype == np.int8:
            columns[name] = pa.array(turns.flags(name) == 1, mask=turns.flags(name) < 0)
        elif COLUMNS.get(name) == "count":
            numbers = turns.numbers(name)
            columns[name] = pa.array(
                np.nan_to_num(numbers).astype(np.int64), mask=np.isnan(numbers)
            )
        else:
            columns[name] = pa.array(values, from_pandas=True)
    return pa.table(columns)


def _times(turns: TurnColumns) -> "pa.Array":
    import pyarrow as pa

    times = pa.array(turns.times("ts"), pa.timestamp("us", tz="UTC"))
    naive = turns.flags("_naive") == 1
    if not naive.any():
        return times
    texts = np.datetime_as_string(turns.times("ts").view("datetime64[us]"), unit="ms")
    return pa.array(np.where(naive, texts, np.char.add(texts, "Z")).tolist(), pa.string())


def _hexadecimal(keys: npt.NDArray[np.uint64]) -> "pa.Array":
    """Return keys as text of 16 digits."""
    import pyarrow as pa

    digits = _HEX[keys.astype(">u8").view(np.uint8)]
    offsets = np.arange(len(keys) + 1, dtype=np.int32) * 16
    return pa.StringArray.from_buffers(
        len(keys), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(digits))
    )
