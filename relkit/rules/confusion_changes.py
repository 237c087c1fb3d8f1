"""Which confusions became more or less frequent between two runs over the same utterances."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from relkit.domain.compare_reports import ConfusionChange
from relkit.domain.pages import Row
from relkit.domain.suites import Segmenter
from relkit.rules.explorer import align_row

Pair = tuple[str | None, str | None]
"""Expected and given word, None where there is none."""


def confusion_changes(
    candidate: Iterable[Row], baseline: Iterable[Row], segmenter: Segmenter, *, most: int
) -> tuple[ConfusionChange, ...]:
    """Return the confusions whose number changed, in the most utterances first, at most ``most``.

    Rows carry their transcripts. Only utterances that both runs answered count: an answer that
    failed confused no words. Ranked by utterances, since a repetition loop adds one word hundreds
    of times.
    """
    before = {(row.id, row.repeat): row for row in baseline if _answered(row)}
    totals: tuple[Counter[Pair], Counter[Pair]] = Counter(), Counter()
    where: defaultdict[Pair, int] = defaultdict(int)
    for row in candidate:
        other = before.get((row.id, row.repeat))
        if other is None or not _answered(row):
            continue
        ours, theirs = _confused(row, segmenter), _confused(other, segmenter)
        totals[0].update(ours)
        totals[1].update(theirs)
        for pair in ours.keys() | theirs.keys():
            where[pair] += ours[pair] != theirs[pair]
    found = [
        ConfusionChange(
            expected=expected,
            given=given,
            candidate=totals[0][expected, given],
            baseline=totals[1][expected, given],
            utterances=utterances,
        )
        for (expected, given), utterances in where.items()
    ]
    changed = sorted((item for item in found if item.change), key=_rank)
    return tuple(changed[:most])


def _answered(row: Row) -> bool:
    return row.texts is not None and row.failure is None and row.unusable is None


def _confused(row: Row, segmenter: Segmenter) -> Counter[Pair]:
    if row.counts is None or row.counts.errors == 0:
        return Counter()
    aligned = align_row(row, segmenter)
    if aligned is None:
        return Counter()
    return Counter((expected, given) for _, _, expected, given in aligned.edits)


def _rank(item: ConfusionChange) -> tuple[int, int, str, str]:
    return -item.utterances, -abs(item.change), item.expected or "", item.given or ""
