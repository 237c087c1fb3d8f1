"""The error explorer's data: rows as compact columns, aligned where transcripts may be shown."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from unicodedata import bidirectional

from relkit.comparison.types import Row
from relkit.core.tokens import Segmenter, tokens
from relkit.scoring.alignment import ConfusionsEdit, EditKind, changes

LONGEST_ROW = 4
"""Equal insertions in a row that are still shown one by one; a loop has hundreds."""

CODES: dict[EditKind, int] = {"substitution": 0, "deletion": 1, "insertion": 2}
"""How the page's data names a kind of edit; a hit is not written down."""

Column = list[object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """A row's reference tokens and what the hypothesis did to them, in order."""

    reference: tuple[str, ...]
    edits: tuple[ConfusionsEdit, ...]

    @property
    def right_to_left(self) -> bool:
        """Whether most letters of the two texts are of scripts that run from right to left."""
        given = (edit[-1] for edit in self.edits if edit[-1] is not None)
        letters = Counter(map(bidirectional, "".join(chain(self.reference, given))))
        return letters["R"] + letters["AL"] > letters["L"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """Two tokens side by side, None where one side has none; ``times`` the same in a row."""

    kind: EditKind
    expected: str | None
    given: str | None
    times: int = 1


def align_row(row: Row, segmenter: Segmenter) -> Aligned | None:
    """Return a row's canonical alignment, None without transcripts or for an unusable item."""
    if row.texts is None or row.counts is None:
        return None
    expected = tokens(row.texts.reference_normalized, segmenter)
    hypothesis = tokens(row.texts.hypothesis_normalized or "", segmenter)
    edits = tuple(
        (
            change.kind,
            change.reference,
            None if change.kind == "insertion" else expected[change.reference],
            None if change.kind == "deletion" else hypothesis[change.hypothesis],
        )
        for change in changes(expected, hypothesis)
    )
    return Aligned(reference=tuple(expected), edits=edits)


def token_pairs(aligned: Aligned) -> tuple[TokenPair, ...]:
    """Return the alignment as pairs in the order of speech, hits included, loops told once."""
    words: list[TokenPair] = []
    at = 0

    def hits(until: int) -> None:
        words.extend(
            TokenPair(kind="hit", expected=token, given=token)
            for token in aligned.reference[at:until]
        )

    for kind, place, expected, hypothesis in aligned.edits:
        hits(place)
        words.append(TokenPair(kind=kind, expected=expected, given=hypothesis))
        at = place + (kind != "insertion")
    hits(len(aligned.reference))
    return tuple(_loops_once(words))


def _loops_once(words: Iterable[TokenPair]) -> Iterator[TokenPair]:
    """Yield pairs with long rows of one inserted token as one pair."""
    for pair, same in groupby(words):
        row = list(same)
        if pair.kind == "insertion" and len(row) > LONGEST_ROW:
            yield replace(pair, times=len(row))
        else:
            yield from row


def most_errors_first(rows: Iterable[Row]) -> list[Row]:
    """Return rows with the most errors first, those that could not be scored last."""
    return sorted(
        rows,
        key=lambda row: (
            row.counts is None,
            -(row.counts.errors if row.counts else 0) - len(row.unsafe),
            row.id,
            row.repeat,
        ),
    )


def explorer_columns(rows: Sequence[Row], aligned: Sequence[Aligned | None]) -> dict[str, object]:
    """Return the columns of the explorer as JSON values, one entry per row in each.

    Slice values and reasons are indices into a list of names. ``ref`` and ``edits`` are there only
    where rows carry transcripts: an edit is ``0, place, given`` (substitution), ``1, place``
    (deletion) or ``2, place, given`` (insertion), one after the other, and ``raw`` holds the two
    texts as they came where normalizing changed one of them, once where both are the same. ``rtl``
    are the rows whose words run from right to left. ``unsafe`` is there for agents only.
    """
    columns: dict[str, object] = {
        "id": [row.id for row in rows],
        "repeat": [row.repeat for row in rows] if any(row.repeat for row in rows) else None,
        "counts": [_counts(row) for row in rows],
        "flags": [row.runaway + 2 * row.loop for row in rows],
        "failure": _indexed([row.failure for row in rows]),
        "unusable": _indexed([row.unusable for row in rows]),
        "latency": [_rounded(row.latency_ms, 1) for row in rows],
        "duration": [_rounded(row.duration, 2) for row in rows],
        "slices": _slices(rows),
        "measures": {
            name: [_rounded(row.measures.get(name), 3) for row in rows]
            for name in dict.fromkeys(name for row in rows for name in row.measures)
        },
    }
    if any(row.unsafe for row in rows):
        columns["unsafe"] = [", ".join(row.unsafe) for row in rows]
    if any(row.texts is not None for row in rows):
        columns |= {
            "ref": [None if item is None else " ".join(item.reference) for item in aligned],
            "edits": [_flat(item) for item in aligned],
            "raw": [_raw(row) for row in rows],
            "rtl": [i for i, item in enumerate(aligned) if item and item.right_to_left],
        }
    return columns


def _counts(row: Row) -> Column | None:
    if row.counts is None:
        return None
    counts = row.counts
    return [counts.hits, counts.substitutions, counts.deletions, counts.insertions]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _indexed(values: Sequence[str | None]) -> dict[str, object]:
    """Return the distinct names and, per row, the index of its name; -1 for none."""
    names = sorted({value for value in values if value is not None})
    place = {name: i for i, name in enumerate(names)}
    return {"names": names, "at": [-1 if value is None else place[value] for value in values]}


def _slices(rows: Sequence[Row]) -> list[dict[str, object]]:
    columns = dict.fromkeys(column for row in rows for column in row.slices)
    return [
        {"column": column, **_indexed([row.slices.get(column) for row in rows])}
        for column in columns
    ]


def _flat(item: Aligned | None) -> Column:
    flat: Column = []
    for kind, place, _, hypothesis in item.edits if item else ():
        flat += [CODES[kind], place] if hypothesis is None else [CODES[kind], place, hypothesis]
    return flat


def _raw(row: Row) -> Column | None:
    texts = row.texts
    if texts is None:
        return None
    normalized = texts.reference_normalized, texts.hypothesis_normalized
    if (texts.reference, texts.hypothesis) == normalized:
        return None
    if texts.reference == texts.hypothesis:
        return [texts.reference]
    return [texts.reference, texts.hypothesis]
