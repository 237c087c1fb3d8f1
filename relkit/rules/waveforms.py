"""Samples as other programs take them: 16-bit integers, and a WAV file in memory."""

import struct

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32768.0


def to_pcm16(samples: bytes) -> NDArray[np.int16]:
    """Return float32 little endian samples (-1 to 1) as 16-bit integers, rounded and clipped.

    Audio that was stored in 16 bits comes back bit for bit.
    """
    scaled = np.rint(np.frombuffer(samples, dtype="<f4") * np.float32(FULL_SCALE))
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def wav_bytes(samples: bytes, sample_rate: int) -> bytes:
    """Return mono float32 samples as a 16-bit PCM WAV file (RIFF, format 1)."""
    data = to_pcm16(samples).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    head = (
        b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data))
    )
    return b"RIFF" + struct.pack("<I", len(head) + len(data)) + head + data
