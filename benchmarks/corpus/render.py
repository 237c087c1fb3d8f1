"""From a planned clip to the samples that are stored."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from benchmarks.corpus import dsp, noise
from benchmarks.corpus.design import Clip
from benchmarks.corpus.engines import synthesise
from benchmarks.corpus.voices import Voice

_TALKERS = 5


@cache
def dry(voice: Voice, rate: str, spoken: str) -> dsp.Samples:
    """Speak at 16 kHz with trimmed ends and the common level, shape (n,)."""
    samples, rate_hz = synthesise(voice, rate, spoken)
    wide = dsp.resample(samples, rate_hz, dsp.WIDEBAND_HZ)
    return dsp.level(dsp.trim(wide), dsp.WIDEBAND_HZ)


def _dry(clip: Clip) -> dsp.Samples:
    """Speak a clip without its noise and channel."""
    return dry(clip.voice, clip.cell.rate, clip.sentence.spoken)


def talkers(clip: Clip, everyone: Sequence[Clip]) -> list[Clip]:
    """Choose the clips whose sum is the babble: five other voices with five other sentences."""
    chosen: list[Clip] = []
    for other in sorted(everyone, key=lambda x: noise.number(f"{clip.id}/{x.id}")):
        voices = {clip.voice.name, *(x.voice.name for x in chosen)}
        sentences = {clip.sentence.text, *(x.sentence.text for x in chosen)}
        if other.voice.name not in voices and other.sentence.text not in sentences:
            chosen.append(other)
    return chosen[:_TALKERS]


def _noise(clip: Clip, everyone: Sequence[Clip], length: int) -> dsp.Samples:
    """Make the noise of a clip at 16 kHz, shape (length,), at any level."""
    if clip.cell.noise == "pink":
        return noise.pink(clip.id, length)
    return noise.babble(clip.id, [_dry(other) for other in talkers(clip, everyone)], length)


def render(clip: Clip, everyone: Sequence[Clip]) -> tuple[dsp.Samples, int]:
    """Return a clip's 16-bit samples, shape (n,), and their rate in Hz.

    Speech and noise each pass the channel's band before they are mixed, so that the stated SNR is
    that of the stored band: pink noise has most of its power under 300 Hz and would otherwise be
    kinder on the telephone.
    """
    telephone = clip.cell.channel == "telephone"
    rate_hz = dsp.TELEPHONE_HZ if telephone else dsp.WIDEBAND_HZ
    speech = _dry(clip)
    length = len(speech)
    if telephone:
        speech = dsp.level(dsp.telephone_band(speech), rate_hz)
    if clip.cell.noise != "clean":
        sound = _noise(clip, everyone, length)
        sound = dsp.telephone_band(sound) if telephone else sound
        speech = dsp.mix(speech, sound, float(clip.cell.snr), rate_hz)
    speech = dsp.under_peak_limit(speech)
    return (dsp.mu_law(speech) if telephone else speech), rate_hz
