"""What reading conversations needs from outside."""

from typing import Protocol


class LogReader(Protocol):
    """Reads files of logs by the paths that the user gave."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a file, unpacked; raises InvalidInput naming the file."""
        ...
