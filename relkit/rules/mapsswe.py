"""The matched-pairs sentence-segment word error test (MAPSSWE), for people who know it.

Gillick and Cox 1989 as NIST's sc_stats has it: segments are bounded by at least two words that both
systems have right. It takes segments as independent, which those of one speaker are not, so it is
reported and never decides; under 30 segments the normal distribution does not hold, and there is
no decision at all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

BOUNDARY_WORDS = 2
FEWEST_SEGMENTS = 30
_SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One reference word: whether each system has it right, and what it inserted before it."""

    right_a: bool
    right_b: bool
    inserted_a: int = 0
    inserted_b: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapsswe:
    """Segments, mean and standard deviation of errors of a - errors of b, and z.

    ``p`` (two-sided, normal) and ``different`` (p at most 5 %) are None with fewer than 30
    segments, where ``note`` says so; z is None without spread.
    """

    segments: int
    mean: float | None
    sd: float | None
    z: float | None
    p: float | None
    different: bool | None
    note: str | None


def mapsswe(differences: Sequence[float]) -> Mapsswe:
    """Return the test over segments' errors of a - errors of b."""
    count = len(differences)
    mean = math.fsum(differences) / count if count else None
    sd = z = p = None
    if mean is not None and count > 1:
        sd = math.sqrt(math.fsum((one - mean) ** 2 for one in differences) / (count - 1))
        z = mean / (sd / math.sqrt(count)) if sd > 0 else None
    note = None
    if count < FEWEST_SEGMENTS:
        note = f"{count} segments: the test needs {FEWEST_SEGMENTS}"
    elif z is None:
        note = "no spread: all segments differ alike"
    else:
        p = 2.0 * NormalDist().cdf(-abs(z))
    return Mapsswe(
        segments=count,
        mean=mean,
        sd=sd,
        z=z,
        p=p,
        different=None if p is None else p <= _SIGNIFICANT,
        note=note,
    )


def segment_differences(
    words: Sequence[Word], after_a: int = 0, after_b: int = 0, boundary: int = BOUNDARY_WORDS
) -> list[int]:
    """Return errors of a - errors of b of each segment of one utterance with an error.

    A run of ``boundary`` or more words that both have right, with nothing inserted between them,
    ends a segment; a shorter one belongs to it. ``after_a`` and ``after_b`` are what each system
    inserted behind the last word.
    """
    found: list[int] = []
    difference, errors, calm = 0, False, 0
    ends = [Word(right_a=True, right_b=True, inserted_a=after_a, inserted_b=after_b)]
    for word in (*words, *ends):
        inserted = word.inserted_a or word.inserted_b
        wrong = not (word.right_a and word.right_b)
        if (inserted or wrong) and calm >= boundary and errors:
            found.append(difference)
            difference, errors = 0, False
        if inserted or wrong:
            errors, calm = True, 0
        difference += word.inserted_a - word.inserted_b + int(word.right_b) - int(word.right_a)
        calm += not wrong
    if errors:
        found.append(difference)
    return found
