"""The arrays that numbers of many slices and clusters lie in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Codes:
    """A column of text with few values: their numbers, -1 for none, and the values."""

    codes: NDArray[np.int32]
    names: tuple[str, ...]
