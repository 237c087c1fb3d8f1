"""The canonical counts by a plain table, for tests."""

from collections.abc import Sequence


def fewest(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int]:
    """Return the smallest (E, S), cell by cell."""
    row = [(j, 0) for j in range(len(hypothesis) + 1)]
    for i, word in enumerate(reference, start=1):
        before, row = row, [(i, 0)]
        for j, answer in enumerate(hypothesis, start=1):
            miss = int(word != answer)
            pair = (before[j - 1][0] + miss, before[j - 1][1] + miss)
            deleted = (before[j][0] + 1, before[j][1])
            inserted = (row[-1][0] + 1, row[-1][1])
            row.append(min(pair, deleted, inserted))
    return row[-1]
