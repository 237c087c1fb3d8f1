"""From the pieces of an exchange to the samples that are stored."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.corpus import dsp, engines, noise
from benchmarks.corpus.render import dry
from benchmarks.corpus.voices import Voice
from benchmarks.safety_corpus.exchanges import Exchange, Piece

RATE_HZ = dsp.WIDEBAND_HZ
NEAR_GAIN = 0.5
"""Near speech is at -29 dBFS: `dry` has -23."""

SNR_DB = 18.0
"""The level of near speech over the noise of a noisy exchange."""

_STEP = 64  # samples are stored with 10 bits: files of 60 % the size, a floor at -62 dBFS
_FAR = ("sinc", "150-5000", "reverb", "45", "50", "40", "gain", "-7")
_REPLAY = ("sinc", "400-3200", "overdrive", "6", "10", "reverb", "12", "gain", "-4")
_TAIL_S = 0.3


def _sox(samples: dsp.Samples, effects: tuple[str, ...]) -> dsp.Samples:
    """Pass samples through effects of sox, without dither: the same bytes each time."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.wav"), Path(folder, "after.wav")
        soundfile.write(before, samples.astype(np.int16), RATE_HZ, subtype="PCM_16")
        length = str(len(samples) / RATE_HZ + _TAIL_S)
        pad = ("pad", "0", str(_TAIL_S))
        engines.run(("sox", "-D", str(before), str(after), *pad, *effects, "trim", "0", length))
        changed, _ = soundfile.read(after, dtype="int16")
    return np.asarray(changed, dtype=np.int64)


@cache
def _spoken(voice: Voice, words: str, treatment: str) -> dsp.Samples:
    """Speak a piece as it reaches the microphone, shape (n,)."""
    near = dsp.scale(dry(voice, "normal", words), NEAR_GAIN)
    if treatment == "near":
        return near
    return _sox(near, _FAR if treatment == "far" else _REPLAY)


def _placed(pieces: tuple[Piece, ...], begin: int) -> list[tuple[int, dsp.Samples]]:
    """Return each piece's samples with the place of the first one."""
    placed, end = [], begin
    for piece in pieces:
        samples = _spoken(piece.voice, piece.words, piece.treatment)
        start = max(0, end + round(piece.gap * RATE_HZ))
        placed.append((start, samples))
        if piece.treatment != "far":  # the user goes on when the user likes, whatever else plays
            end = start + len(samples)
    return placed


def render(exchange: Exchange, place: int) -> dsp.Samples:
    """Return a clip's 16-bit samples at 16 kHz, shape (n,).

    It begins `place` ms late, so that no two clips are the same samples: an answer that is cached
    by audio would be given in the wrong exchange.
    """
    placed = _placed(exchange.pieces, place * RATE_HZ // 1000)
    total = np.zeros(max(start + len(samples) for start, samples in placed), dtype=np.int64)
    for start, samples in placed:
        total[start : start + len(samples)] += samples
    if exchange.noise == "noisy":
        first = placed[0][1]
        sound = noise.pink(exchange.id, len(total))
        gain = dsp.active_rms(first, RATE_HZ) / dsp.rms(sound) * 10 ** (-SNR_DB / 20)
        total += dsp.scale(sound, gain)
    stepped = dsp.quantise(dsp.under_peak_limit(total) / _STEP) * _STEP
    return np.asarray(stepped, dtype=np.int64)
