"""An alignment that always reaches the canonical counts (docs/method.md, section "Scoring text").

Which words were taken for which: counted over aligned utterances, the widest spread first.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from relkit.core.arrays import IntArray
from relkit.scoring.pieces import pieces
from relkit.scoring.words import count_errors

EditKind = Literal["hit", "substitution", "deletion", "insertion"]

_KINDS: dict[str, EditKind] = {
    "replace": "substitution",
    "delete": "deletion",
    "insert": "insertion",
}

_DIAGONAL, _DELETION, _INSERTION = 0, 1, 2
_UNREACHABLE = 1 << 61
_BLOCK_CELLS = 1 << 26  # directions kept at once: 64 MiB, one byte a cell


class Change(NamedTuple):
    """A step that is no hit; an insertion stands before reference token ``reference``."""

    kind: EditKind
    reference: int
    hypothesis: int


def changes(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Change]:
    """Return the steps that are no hits, in order.

    With the hits between them they are the canonical counts of
    :func:`relkit.scoring.words.count_errors`, and the same tokens always give the same steps. Time
    is O(N E) with E errors.

    rapidfuzz's alignment has the fewest errors but not always the fewest substitutions; where it
    has too many, the canonical one is found by dynamic programming.
    """
    return [
        Change(kind, piece.reference_start + expected, piece.hypothesis_start + answered)
        for piece in pieces(reference, hypothesis)
        for kind, expected, answered in _changes(piece.reference, piece.hypothesis)
    ]


def _changes(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Change]:
    counts = count_errors(reference, hypothesis)
    if not counts.errors:
        return []
    operations = Levenshtein.editops(reference, hypothesis)
    edits = [Change(_KINDS[op.tag], op.src_pos, op.dest_pos) for op in operations]
    if sum(change.kind == "substitution" for change in edits) == counts.substitutions:
        return edits
    return _Band.of(reference, hypothesis, errors=counts.errors).changes()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Band:
    """The part of the alignment table that paths of at most E errors can reach.

    Row i holds the columns j = i - below … i - below + width - 1: no such path has more than
    ``below`` = (E + N - M) / 2 deletions, nor more than (E - N + M) / 2 insertions (Ukkonen 1985).
    Costs are (K, K, K+1) for insertion, deletion and substitution, as in count_errors.
    """

    reference: IntArray
    hypothesis: IntArray  # padded with -1 on both sides, so that every row has ``width`` columns
    columns: int
    below: int
    width: int

    @classmethod
    def of(cls, reference: Sequence[str], hypothesis: Sequence[str], *, errors: int) -> "_Band":
        """Number the tokens and lay out the band."""
        rows, columns = len(reference), len(hypothesis)
        below, above = (errors + rows - columns) // 2, (errors - rows + columns) // 2
        width = below + above + 1
        numbers: dict[str, int] = {}
        padded = np.full(rows + columns + below + width + 1, -1, np.int64)
        padded[below + 1 : below + 1 + columns] = [
            numbers.setdefault(token, len(numbers)) for token in hypothesis
        ]
        return cls(
            reference=np.array(
                [numbers.setdefault(token, len(numbers)) for token in reference], np.int64
            ),
            hypothesis=padded,
            columns=columns,
            below=below,
            width=width,
        )

    @property
    def error_cost(self) -> int:
        """K = N + M + 1, so that no number of substitutions outweighs one error."""
        return len(self.reference) + self.columns + 1

    def changes(self) -> list[Change]:
        """Walk back from the last cell; on a tie a pair of tokens, then a deletion goes first.

        Only the costs of every ``block``-th row are kept on the way forward, and the directions of
        one block at a time are found again on the way back, so that memory stays bounded.
        """
        block = max(1, _BLOCK_CELLS // self.width)
        block_rows = list(self._block_rows(block))
        edits: list[Change] = []
        row, column = len(self.reference), self.columns
        while block_rows:
            costs = block_rows.pop()
            start = len(block_rows) * block
            directions = self._directions(costs, start, row)
            while row > start or (start == 0 and column > 0):
                direction = int(directions[row - start, column - row + self.below])
                if direction == _INSERTION:
                    column -= 1
                    edits.append(Change("insertion", row, column))
                elif direction == _DELETION:
                    row -= 1
                    edits.append(Change("deletion", row, column))
                else:
                    row, column = row - 1, column - 1
                    if self.reference[row] != self.hypothesis[column + self.below + 1]:
                        edits.append(Change("substitution", row, column))
        edits.reverse()
        return edits

    def _block_rows(self, block: int) -> Iterator[IntArray]:
        """Yield the costs of rows 0, block, 2 * block … below the last row."""
        columns = np.arange(self.width, dtype=np.int64) - self.below
        costs = np.where(columns < 0, _UNREACHABLE, columns * self.error_cost)
        yield costs
        for start in range(block, len(self.reference), block):
            for row in range(start - block + 1, start + 1):
                costs = self._next_row(costs, row)[0]
            yield costs

    def _directions(self, costs: IntArray, start: int, end: int) -> NDArray[np.uint8]:
        """Return the directions of rows ``start`` … ``end``, given the costs of row ``start``."""
        directions = np.full((end - start + 1, self.width), _INSERTION, np.uint8)
        for row in range(start + 1, end + 1):
            costs, diagonal, without_insertion = self._next_row(costs, row)
            directions[row - start] = (costs != diagonal).view(np.uint8)
            directions[row - start] += costs != without_insertion
        return directions

    def _next_row(self, above: IntArray, row: int) -> tuple[IntArray, IntArray, IntArray]:
        """Return the costs of a row, by its last step: any, a pair, a pair or a deletion."""
        error = self.error_cost
        hypothesis = self.hypothesis[row : row + self.width]
        diagonal = above + np.where(hypothesis == self.reference[row - 1], 0, error + 1)
        reached = diagonal.copy()
        np.minimum(reached[:-1], above[1:] + error, out=reached[:-1])
        steps = np.arange(self.width, dtype=np.int64) * error
        return np.minimum.accumulate(reached - steps) + steps, diagonal, reached


ConfusionsEdit = tuple[EditKind, int, str | None, str | None]
"""Kind, place in the reference, expected token, given token; None where there is none."""

_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """A kind of error: what was expected, what was given, how often, in how many utterances."""

    expected: str | None
    given: str | None
    count: int
    utterances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusions:
    """The three lists, each cut to its first entries; ``kinds`` counts all entries before that."""

    substitutions: tuple[Confusion, ...]
    deletions: tuple[Confusion, ...]
    insertions: tuple[Confusion, ...]
    kinds: tuple[int, int, int]


def confusions(
    utterances: Iterable[tuple[str, Iterable[ConfusionsEdit]]], *, most: int = _SHOWN
) -> Confusions:
    """Return what was confused, from (utterance id, its edits); an id may come with each repeat.

    Ranked by utterances, then by count: a repetition loop adds one word hundreds of times and
    would otherwise lead every list.
    """
    times: Counter[tuple[EditKind, str | None, str | None]] = Counter()
    where: dict[tuple[EditKind, str | None, str | None], set[str]] = {}
    for name, edits in utterances:
        for kind, _, expected, hypothesis in edits:
            key = kind, expected, hypothesis
            times[key] += 1
            where.setdefault(key, set()).add(name)
    by_kind: dict[EditKind, list[Confusion]] = {"substitution": [], "deletion": [], "insertion": []}
    for (kind, expected, hypothesis), count in times.items():
        spread = len(where[kind, expected, hypothesis])
        by_kind[kind].append(
            Confusion(expected=expected, given=hypothesis, count=count, utterances=spread)
        )
    ranked = {kind: sorted(items, key=_rank) for kind, items in by_kind.items()}
    return Confusions(
        substitutions=tuple(ranked["substitution"][:most]),
        deletions=tuple(ranked["deletion"][:most]),
        insertions=tuple(ranked["insertion"][:most]),
        kinds=(len(ranked["substitution"]), len(ranked["deletion"]), len(ranked["insertion"])),
    )


def _rank(item: Confusion) -> tuple[int, int, str, str]:
    return -item.utterances, -item.count, item.expected or "", item.given or ""
