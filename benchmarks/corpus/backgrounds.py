"""Clips in which nobody speaks, to measure what a recogniser invents."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.corpus import dsp, noise


@dataclass(frozen=True)
class Background:
    """One clip without speech: its sound, its level in dBFS (RMS) and its length in seconds."""

    number: int
    sound: str
    level_dbfs: float
    channel: str
    seconds: float
    subset: str

    @property
    def voice(self) -> str:
        """Its cluster: each background stands for itself."""
        return f"background-{self.number}"

    @property
    def id(self) -> str:
        """Its id in the manifest."""
        return f"silence-{self.number:03d}-{self.voice}"

    @property
    def noise(self) -> str:
        """The value of the noise column: a quiet floor counts as clean."""
        return "clean" if self.sound == "floor" else "pink"


BACKGROUNDS = (
    Background(1, "floor", -78.0, "wideband", 2.0, "demo"),
    Background(2, "floor", -66.0, "telephone", 2.5, "demo"),
    Background(3, "floor", -72.0, "wideband", 1.5, "full"),
    Background(4, "pink", -40.0, "wideband", 2.5, "demo"),
    Background(5, "pink", -30.0, "telephone", 2.0, "demo"),
    Background(6, "pink", -30.0, "wideband", 3.0, "full"),
    Background(7, "fan", -30.0, "telephone", 2.5, "full"),
    Background(8, "fan", -35.0, "wideband", 2.0, "full"),
)
_SOUNDS = {"floor": noise.white, "pink": noise.pink, "fan": noise.swelling}


def render(background: Background) -> tuple[dsp.Samples, int]:
    """Return its 16-bit samples, shape (n,), and their rate in Hz."""
    length = round(background.seconds * dsp.WIDEBAND_HZ)
    sound = _SOUNDS[background.sound](background.id, length)
    rate_hz = dsp.WIDEBAND_HZ
    if background.channel == "telephone":
        sound, rate_hz = dsp.telephone_band(sound), dsp.TELEPHONE_HZ
    wanted = dsp.FULL_SCALE * 10 ** (background.level_dbfs / 20)
    sound = dsp.scale(sound, wanted / dsp.rms(sound))
    return (dsp.mu_law(sound) if background.channel == "telephone" else sound), rate_hz
