"""Clips as files that every browser plays."""

import io

import numpy as np

from relkit.domain.utterances import Clip

MEDIA_TYPE = "audio/flac"


def flac(clip: Clip) -> bytes:
    """Return a clip as FLAC of 16 bits, without any tag that its own file may have had."""
    import soundfile

    samples = np.frombuffer(clip.samples, dtype="<f4")
    file = io.BytesIO()
    soundfile.write(file, samples, clip.sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()
