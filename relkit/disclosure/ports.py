"""What disclosure control needs from outside: how far linear bounds pin an unknown count."""

from typing import Protocol

from relkit.core.arrays import FloatArray, IntArray
from relkit.disclosure.types import LinearSystem


class LinearBounds(Protocol):
    """Solves linear programs."""

    def bounds(self, system: LinearSystem, targets: IntArray) -> FloatArray | None:
        """Return the least and the most (T, 2) that each target can be; None: nothing fits.

        ``targets`` (T,) number unknowns of the system.
        """
        ...
