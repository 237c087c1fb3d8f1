"""Channels of recordings through libsndfile, each by itself."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown

LONGEST_RECORDING_S = 4 * 3600
"""How much of a recording is decoded: a longer one is refused."""

CHANNEL_RATES = range(4_000, 192_001)


class SoundfileChannels:
    """Implements RecordingReader."""

    def channels(self, path: str) -> tuple[int, tuple[NDArray[np.float32], ...]]:
        """Return sample rate and channels; raises InvalidInput for what cannot be decoded."""
        name = shown(path.rpartition("/")[2])
        if not Path(path).is_file():
            raise InvalidInput(f"{name}: no such file")
        try:
            with soundfile.SoundFile(path) as file:
                rate = int(file.samplerate)
                if rate not in CHANNEL_RATES:
                    raise InvalidInput(f"{name}: a sample rate of {rate} Hz")
                samples = file.read(LONGEST_RECORDING_S * rate + 1, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError, ValueError) as error:
            raise InvalidInput(
                f"{name}: no audio that can be read", hint="WAV, FLAC, Ogg, Opus or MP3"
            ) from error
        if not len(samples):
            raise InvalidInput(f"{name}: holds no sound")
        if len(samples) > LONGEST_RECORDING_S * rate:
            raise InvalidInput(f"{name}: longer than {LONGEST_RECORDING_S // 3600} hours")
        if not np.isfinite(samples).all():
            raise InvalidInput(f"{name}: holds samples that are no finite numbers")
        return rate, tuple(np.ascontiguousarray(samples.T))
