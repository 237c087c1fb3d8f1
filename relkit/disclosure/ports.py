"""What disclosure control needs from outside: how far linear bounds pin an unknown count."""

from typing import Protocol

from relkit.core.arrays import FloatArray
from relkit.disclosure.types import LinearSystem


class LinearBounds(Protocol):
    """Solves linear programs."""

    def least(self, system: LinearSystem, weights: FloatArray) -> FloatArray | None:
        """Return unknowns (V,) that fit the system and make ``weights @ unknowns`` least.

        None where nothing fits the system.
        """
        ...
