"""Sums over the counts of many utterances, without an object per utterance."""

from collections.abc import Mapping, Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

from relkit.domain.counts import ErrorCounts
from relkit.rules.word_errors import CountColumns, graphemes

_OTHER_WHITE_SPACE = "\t\n\v\f\r\x1c\x1d\x1e\x1f"  # of ASCII, as str.split sees it


def with_rows(columns: CountColumns, rows: Mapping[int, ErrorCounts]) -> CountColumns:
    """Return columns in which some rows have other counts."""
    if not rows:
        return columns
    at = np.fromiter(rows, np.int64, len(rows))

    def replaced(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        column: np.ndarray[tuple[int], np.dtype[np.int64]] = getattr(columns, name).copy()
        column[at] = [getattr(counts, name) for counts in rows.values()]
        return column

    return CountColumns(
        hits=replaced("hits"),
        substitutions=replaced("substitutions"),
        deletions=replaced("deletions"),
        insertions=replaced("insertions"),
    )


def capped_errors(columns: CountColumns) -> int:
    """Return the sum of errors, those of an utterance held at max(1, N)."""
    errors = columns.substitutions + columns.deletions + columns.insertions
    return int(np.minimum(errors, np.maximum(_lengths(columns), 1)).sum())


def wrong(columns: CountColumns) -> int:
    """Return the number of utterances with an error."""
    return int(((columns.substitutions + columns.deletions + columns.insertions) > 0).sum())


def runaways(columns: CountColumns) -> int:
    """Return the number of utterances with I > max(10, N) (rules.md section 2)."""
    return int((columns.insertions > np.maximum(_lengths(columns), 10)).sum())


def _lengths(columns: CountColumns) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return columns.hits + columns.substitutions + columns.deletions


def count_characters(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[int, int]:
    """Return the character errors and the reference characters of n pairs of texts.

    Characters are grapheme clusters (:func:`relkit.rules.word_errors.graphemes`). Raises
    ValueError where the two sequences are not of the same length.
    """
    if len(references) != len(hypotheses):
        raise ValueError("as many hypotheses as references are needed")
    expected, given = _clusters(references), _clusters(hypotheses)
    return sum(map(Levenshtein.distance, expected, given)), sum(map(len, expected))


def _clusters(texts: Sequence[str]) -> Sequence[Sequence[str]]:
    """Return the characters of each text; ASCII words with single spaces are that already."""
    joined = " ".join(["x", *filter(None, texts), "x"])
    if (
        joined.isascii()
        and "  " not in joined
        and not any(space in joined for space in _OTHER_WHITE_SPACE)
    ):
        return texts
    return [graphemes(text) for text in texts]
