"""What the workflows need from the outside, as narrow Protocols."""

from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """The time, injected so that tests own it."""

    def now(self) -> str:
        """Return the UTC time as ``2026-01-31T12:00:00Z``."""


Progress = Callable[[int, int], None]
"""Called with (done, total)."""
