"""Checks and approvals of a workspace: a file each, by name."""

from collections.abc import Mapping
from pathlib import Path

from relkit import storage


class CheckFiles:
    """The checks below ``.relkit/checks``, and those that were given by path."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which need not be there."""
        self._folder = folder

    def path(self, name: str) -> Path:
        """Return where the check of a name is."""
        return self._folder / f"{name}.json"

    def read(self, name: str, given: Mapping[str, Path]) -> tuple[str, bytes] | None:
        """Return (file name, bytes) of a check; None where there is none.

        One that was given by path has to be there: raises InvalidInput.
        """
        path = given.get(name, self.path(name))
        if name not in given and not path.is_file():
            return None
        return path.name, storage.read_bytes(path, what=path.name)
