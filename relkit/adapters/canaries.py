"""Canary states on disk; the workspace remembers which one of each was the newest."""

import json
from contextlib import AbstractContextManager
from pathlib import Path

from relkit.core import storage
from relkit.core.codec import decode, parse_json
from relkit.core.digests import sha256_bytes
from relkit.core.errors import InvalidInput

_NAME = 24


class CanaryStateFiles:
    """Implements :class:`relkit.canary.ports.StateFiles`.

    A state is written first and remembered after, each whole: a kill between the two leaves a
    state that is newer than what is remembered, which is no harm.
    """

    def __init__(self, folder: Path) -> None:
        """Remember below ``folder``."""
        self._folder = folder

    def read(self, path: Path) -> bytes | None:
        """Return the bytes of a state, None where there is none; raises InvalidInput."""
        return storage.read_bytes(path, what=path.name) if path.exists() else None

    def write(self, path: Path, data: bytes, *, sequence: int, digest: str) -> None:
        """Write a state whole, and remember that it is the newest; raises StorageFailed."""
        storage.write_bytes(path, data)
        storage.write_text(
            self._anchor(path, ".json"), json.dumps({"sequence": sequence, "digest": digest})
        )

    def newest(self, path: Path) -> tuple[int, str] | None:
        """Return (sequence, digest) of the newest state that was written there."""
        anchor = self._anchor(path, ".json")
        if not anchor.exists():
            return None
        data = storage.read_bytes(anchor, what=anchor.name)
        remembered = parse_json(decode(data, source=anchor.name), source=anchor.name)
        if not isinstance(remembered, dict) or not isinstance(remembered.get("sequence"), int):
            raise InvalidInput(
                f"{anchor.name}: does not say which state was the newest",
                hint="restore it, or give the state another name",
            )
        return int(remembered["sequence"]), str(remembered.get("digest"))

    def hold(self, path: Path) -> AbstractContextManager[None]:
        """Keep other processes off a state; raises Busy."""
        return storage.lock_file(self._anchor(path, ".lock"), what=path.name)

    def _anchor(self, path: Path, ending: str) -> Path:
        name = sha256_bytes(str(path.resolve()).encode()).partition(":")[2][:_NAME]
        return self._folder / f"{name}{ending}"
