"""What reading conversations needs from outside."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from relkit.conversation.types import SoundSpan

SideSamples = NDArray[np.float32]
"""Samples (n,) of one channel."""


class LogReader(Protocol):
    """Reads files of logs by the paths that the user gave."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a file, unpacked; raises InvalidInput naming the file."""
        ...


class RecordingReader(Protocol):
    """Decodes recordings of two sides."""

    def channels(self, path: str) -> tuple[int, tuple[SideSamples, ...]]:
        """Return sample rate in Hz and each channel's samples; raises InvalidInput."""
        ...


class SpeechDetector(Protocol):
    """Finds speech in one channel."""

    def speech(self, samples: SideSamples, sample_rate: int) -> tuple[SoundSpan, ...]:
        """Return the stretches of speech, in ms from the first sample."""
        ...
