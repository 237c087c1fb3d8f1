"""The voices of the dataset: which engine, which model of it, at which pitch, in which accent."""

from __future__ import annotations

from dataclasses import dataclass

RATES = ("slow", "normal", "fast")


@dataclass(frozen=True)
class Voice:
    """One voice; `pitch` is espeak-ng's 0 to 99, for flite a mean in Hz, and 0 the voice's own."""

    name: str
    accent: str
    engine: str
    model: str
    pitch: int = 0


def _espeak(accent: str, short: str, language: str, variants: dict[str, int]) -> list[Voice]:
    """Make one voice of an espeak-ng language from each variant and its pitch."""
    return [
        Voice(f"{short}-{variant}", accent, "espeak-ng", f"{language}+{variant}", pitch)
        for variant, pitch in variants.items()
    ]


# `en-gb` silently ignores variants in espeak-ng 1.51; `en` is the same accent and does not.
VOICES: tuple[Voice, ...] = (
    Voice("flite-rms", "american", "flite", "rms"),
    Voice("flite-slt", "american", "flite", "slt"),
    Voice("flite-slt-low", "american", "flite", "slt", 140),
    Voice("festival-kal", "american", "festival", "kal_diphone"),
    Voice("festival-slt", "american", "festival", "cmu_us_slt_arctic_hts"),
    *_espeak("american", "enus", "en-us", {"m5": 46, "m8": 50, "rob": 48, "steph": 52}),
    *_espeak(
        "british", "engb", "en", {"m1": 46, "edward": 50, "victor": 52, "f2": 50, "steph": 48}
    ),
    *_espeak("british", "enrp", "en-gb-x-rp", {"m3": 48, "m5": 50, "m8": 46, "f3": 52}),
    *_espeak("northern", "encl", "en-gb-x-gbclan", {"m3": 48, "m5": 46, "m6": 50, "m7": 52}),
    *_espeak("northern", "encl", "en-gb-x-gbclan", {"m8": 54, "edward": 47, "f3": 50}),
    *_espeak("northern", "encl", "en-gb-x-gbclan", {"f5": 52, "steph": 49}),
    Voice("flite-awb", "scottish", "flite", "awb"),
    Voice("flite-awb-low", "scottish", "flite", "awb", 90),
    Voice("flite-awb-mid", "scottish", "flite", "awb", 110),
    Voice("flite-awb-high", "scottish", "flite", "awb", 155),
    *_espeak("scottish", "ensc", "en-gb-scotland", {"m6": 48, "rob": 50}),
    *_espeak("scottish", "ensc", "en-gb-scotland", {"f3": 50, "f5": 54, "steph": 52}),
)


def accents() -> tuple[str, ...]:
    """Return the accents in the order of the table."""
    return tuple(dict.fromkeys(voice.accent for voice in VOICES))
