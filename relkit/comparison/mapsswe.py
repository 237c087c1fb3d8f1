"""The matched-pairs sentence-segment word error test (MAPSSWE), for people who know it.

Gillick and Cox 1989 as NIST's sc_stats has it: segments are bounded by at least two words that both
systems have right. It takes segments as independent, which those of one speaker are not, so it is
reported and never decides; under 30 segments the normal distribution does not hold, and there is
no decision at all.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from relkit.comparison.rows import align_row
from relkit.comparison.types import Row, SegmentTest
from relkit.core.codec import as_type
from relkit.core.tokens import Segmenter
from relkit.scoring.alignment import ConfusionsEdit

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
class Mapsswe(SegmentTest):
    """The test with the standard deviation of the differences.

    ``p`` and ``different`` (p at most 5 %) are None with fewer than 30 segments, where ``note``
    says so; z is None without spread.
    """

    sd: float | None
    different: bool | None


def mapsswe(differences: Sequence[float]) -> Mapsswe:
    """Return the test over segments' errors of a - errors of b."""
    count = len(differences)
    mean = math.fsum(differences) / count if count else None
    sd = z = p = None
    if mean is not None and count > 1:
        squares = math.fsum((difference - mean) ** 2 for difference in differences)
        sd = math.sqrt(squares / (count - 1))
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
    counts: list[int] = []
    difference, errors, calm = 0, False, 0
    ends = [Word(right_a=True, right_b=True, inserted_a=after_a, inserted_b=after_b)]
    for word in (*words, *ends):
        inserted = word.inserted_a or word.inserted_b
        wrong = not (word.right_a and word.right_b)
        if (inserted or wrong) and calm >= boundary and errors:
            counts.append(difference)
            difference, errors = 0, False
        if inserted or wrong:
            errors, calm = True, 0
        difference += word.inserted_a - word.inserted_b + int(word.right_b) - int(word.right_a)
        calm += not wrong
    if errors:
        counts.append(difference)
    return counts


def segment_test(
    candidate: Iterable[Row], baseline: Iterable[Row], segmenter: Segmenter
) -> SegmentTest:
    """Return the test of errors of the candidate less those of the baseline, segment by segment.

    Rows carry their transcripts and are paired by id and repeat; those unusable in either run are
    left out. A candidate that failed has every word wrong, a baseline that failed none. Of each
    utterance only the first repeat counts: the test takes segments for independent, and repeats of
    the same speech are not.
    """
    before = {(row.id, row.repeat): row for row in baseline if row.unusable is None}
    segments: list[int] = []
    counted: set[str] = set()
    for row in sorted(candidate, key=lambda row: row.repeat):
        earlier = before.get((row.id, row.repeat))
        if row.id in counted or earlier is None or row.unusable is not None:
            continue
        counted.add(row.id)
        ours, theirs = align_row(row, segmenter), align_row(earlier, segmenter)
        if ours is not None and theirs is not None:
            edits = () if earlier.failure is not None else theirs.edits
            segments += _differences(len(ours.reference), ours.edits, edits)
    return as_type(SegmentTest, mapsswe(segments))


def _differences(
    words: int, ours: Sequence[ConfusionsEdit], theirs: Sequence[ConfusionsEdit]
) -> list[int]:
    (wrong_a, inserted_a), (wrong_b, inserted_b) = _placed(words, ours), _placed(words, theirs)
    sides = [
        Word(
            right_a=i not in wrong_a,
            right_b=i not in wrong_b,
            inserted_a=inserted_a[i],
            inserted_b=inserted_b[i],
        )
        for i in range(words)
    ]
    return segment_differences(sides, after_a=inserted_a[words], after_b=inserted_b[words])


def _placed(words: int, edits: Sequence[ConfusionsEdit]) -> tuple[set[int], list[int]]:
    """Return the places of wrong words, and how many were inserted before each and at the end."""
    inserted = [0] * (words + 1)
    wrong: set[int] = set()
    for kind, place, _, _ in edits:
        if kind == "insertion":
            inserted[place] += 1
        else:
            wrong.add(place)
    return wrong, inserted
