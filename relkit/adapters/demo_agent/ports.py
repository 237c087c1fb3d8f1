"""What the demo agent hears and speaks with; each is made by somebody else."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]
"""Mono samples, nominal range -1 to 1."""

HEARING_RATE = 16_000
"""The sample rate in Hz that voice activity and recogniser take."""


class ChunkActivity(Protocol):
    """One stream of sound that is asked chunk by chunk."""

    def probability(self, chunk: Sound) -> float:
        """Return how likely the next 512 samples at 16 kHz are speech."""


class RateChange(Protocol):
    """One stream of sound that changes its sample rate."""

    def more(self, samples: Sound, *, last: bool = False) -> Sound:
        """Return what can be said of the sound so far, after what was returned before."""


NewActivity = Callable[[], ChunkActivity]
NewRateChange = Callable[[int, int], RateChange]
Hear = Callable[[Sound], str]
"""Returns the words of a turn at 16 kHz."""

Speak = Callable[[str], bytes]
"""Returns a sentence as a WAV file."""
