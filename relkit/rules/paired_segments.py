"""The words of two systems side by side, for the test that NIST's tools report (MAPSSWE)."""

from collections.abc import Iterable, Sequence

from relkit.domain.compare_reports import SegmentTest
from relkit.domain.pages import Row
from relkit.domain.suites import Segmenter
from relkit.rules.confusions import Edit
from relkit.rules.explorer import align_row
from relkit.rules.mapsswe import Word, mapsswe, segment_differences


def segment_test(
    candidate: Iterable[Row], baseline: Iterable[Row], segmenter: Segmenter
) -> SegmentTest:
    """Return the test of errors of the candidate less those of the baseline, segment by segment.

    Rows carry their transcripts and are paired by id and repeat; those unusable in either run are
    left out. A candidate that failed has every word wrong, a baseline that failed none.
    """
    before = {(row.id, row.repeat): row for row in baseline if row.unusable is None}
    found: list[int] = []
    for row in candidate:
        other = before.get((row.id, row.repeat))
        if other is None or row.unusable is not None:
            continue
        ours, theirs = align_row(row, segmenter), align_row(other, segmenter)
        if ours is not None and theirs is not None:
            edits = () if other.failure is not None else theirs.edits
            found += _differences(len(ours.reference), ours.edits, edits)
    result = mapsswe(found)
    return SegmentTest(
        segments=result.segments, mean=result.mean, z=result.z, p=result.p, note=result.note
    )


def _differences(words: int, ours: Sequence[Edit], theirs: Sequence[Edit]) -> list[int]:
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


def _placed(words: int, edits: Sequence[Edit]) -> tuple[set[int], list[int]]:
    """Return the places of wrong words, and how many were inserted before each and at the end."""
    inserted = [0] * (words + 1)
    wrong: set[int] = set()
    for kind, place, _, _ in edits:
        if kind == "insertion":
            inserted[place] += 1
        else:
            wrong.add(place)
    return wrong, inserted
