"""Tokens, characters and the one canonical count of errors between them.

See docs/method.md, section "Scoring text". The counts of many utterances are columns, without an
object per utterance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from relkit.core.tokens import Segmenter, graphemes, tokens
from relkit.core.values import ErrorCounts
from relkit.scoring.pieces import FEW_ERRORS, pieces

SCORER = "relkit-text/2"
"""Name and version of these rules; it changes whenever the same texts would score differently."""

# One error weighs 2^32 and a substitution one more, so that E and S are the high and the low half
# of the distance; as K = N + M + 1 in docs/method.md, section "Scoring text", for all texts under
# 2^32 tokens.
_SHIFT = 32
_ERROR = 1 << _SHIFT
_WEIGHTS = (_ERROR, _ERROR, _ERROR + 1)
_SUBSTITUTIONS = _ERROR - 1
_LONG = 1024  # N * M from which the bit-parallel unit distance is worth a first look
_LONG_TEXT = 1024  # N from which it is sooner known within a band


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountColumns:
    """Error counts of n utterances as columns, in the order they were given.

    ``lengths`` are the N, ``answered`` the M, and ``distances`` E * 2^32 + S. Lists, because numpy
    takes longer to import than a hundred thousand of them to add.
    """

    lengths: list[int]
    answered: list[int]
    distances: list[int]

    def __len__(self) -> int:
        """Return n."""
        return len(self.lengths)

    def __getitem__(self, row: int) -> ErrorCounts:
        """Return the counts of one utterance; IndexError outside of the n rows."""
        return _counts(self.lengths[row], self.answered[row], self.distances[row])

    def total(self) -> ErrorCounts:
        """Return the counts of all utterances together."""
        return _counts(sum(self.lengths), sum(self.answered), sum(self.distances))


def _counts(length: int, answered: int, distance: int) -> ErrorCounts:
    """Return the counts that N, M, E and S say; sums of them say the sums."""
    errors, substitutions = distance >> _SHIFT, distance & _SUBSTITUTIONS
    deletions = (errors - substitutions + length - answered) // 2
    return ErrorCounts(
        hits=length - substitutions - deletions,
        substitutions=substitutions,
        deletions=deletions,
        insertions=errors - substitutions - deletions,
    )


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Return the canonical counts: the fewest errors, then the fewest substitutions.

    With N and M tokens and weights (K, K, K+1) of insertion, deletion and substitution,
    ``E, S = divmod(distance, K)``, ``D = (E - S + N - M) / 2`` and ``I = E - S - D``
    (docs/method.md, section "Scoring text"). Tokens are compared by their 64-bit hash.
    """
    return _counts(len(reference), len(hypothesis), _distance(reference, hypothesis))


def count_text(reference: str, hypothesis: str, segmenter: Segmenter = "auto") -> ErrorCounts:
    """Return the canonical counts of two texts; see :func:`tokens` and :func:`count_errors`."""
    expected = tokens(reference, segmenter)
    if reference == hypothesis:
        return ErrorCounts(hits=len(expected))
    return count_errors(expected, tokens(hypothesis, segmenter))


def count_texts(
    references: Sequence[str], hypotheses: Sequence[str], segmenter: Segmenter = "auto"
) -> CountColumns:
    """Return the canonical counts of n pairs of texts without an object per utterance.

    Raises ValueError where the two sequences are not of the same length.
    """
    lengths: list[int] = []
    answered: list[int] = []
    distances: list[int] = []
    split_all = segmenter == "characters"
    # tokens() and _distance() are spelled out for the common case, which saves a tenth of the time.
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        plain = reference.isascii() and not split_all
        expected = reference.split() if plain else tokens(reference, segmenter)
        length = len(expected)
        lengths.append(length)
        if reference == hypothesis:
            answered.append(length)
            distances.append(0)
            continue
        plain = hypothesis.isascii() and not split_all
        hypothesis_words = hypothesis.split() if plain else tokens(hypothesis, segmenter)
        answered.append(len(hypothesis_words))
        if length * len(hypothesis_words) < _LONG:
            distances.append(Levenshtein.distance(expected, hypothesis_words, weights=_WEIGHTS))
        else:
            distances.append(_distance(expected, hypothesis_words))
    return CountColumns(lengths=lengths, answered=answered, distances=distances)


def count_unit_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return E alone, the Levenshtein distance in tokens; the fastest count there is.

    In long texts a band of 31 errors is looked at first, and as long as there are more, one twice
    as wide (Ukkonen 1985).
    """
    if len(reference) < _LONG_TEXT:
        return Levenshtein.distance(reference, hypothesis)
    return Levenshtein.distance(reference, hypothesis, score_hint=FEW_ERRORS)


def _distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return E * 2^32 + S of the canonical alignment.

    E = S + abs(N - M) + 2 min(D, I); so where E - abs(N - M) is 0 or 1 it can only be S, and the
    bit-parallel unit distance (Myers 1999), N * M / 64 steps, has already said everything.
    """
    distance = 0
    for piece in pieces(reference, hypothesis):
        length, answered = len(piece.reference), len(piece.hypothesis)
        if length * answered >= _LONG:
            errors = count_unit_errors(piece.reference, piece.hypothesis)
            substitutions = errors - abs(length - answered)
            if substitutions <= 1:
                distance += (errors << _SHIFT) + substitutions
                continue
        distance += Levenshtein.distance(piece.reference, piece.hypothesis, weights=_WEIGHTS)
    return distance


_OTHER_WHITE_SPACE = "\t\n\v\f\r\x1c\x1d\x1e\x1f"  # of ASCII, as str.split sees it


def with_rows(columns: CountColumns, rows: Mapping[int, ErrorCounts]) -> CountColumns:
    """Return columns in which some rows have other counts."""
    if not rows:
        return columns
    lengths, answered, distances = [*columns.lengths], [*columns.answered], [*columns.distances]
    for row, counts in rows.items():
        lengths[row] = counts.reference_length
        answered[row] = counts.hits + counts.substitutions + counts.insertions
        distances[row] = (counts.errors << _SHIFT) + counts.substitutions
    return CountColumns(lengths=lengths, answered=answered, distances=distances)


def capped_errors(columns: CountColumns) -> int:
    """Return the sum of errors, those of an utterance held at max(1, N)."""
    return sum(
        min(distance >> _SHIFT, length or 1)
        for distance, length in zip(columns.distances, columns.lengths, strict=True)
        if distance
    )


def wrong(columns: CountColumns) -> int:
    """Return the number of utterances with an error."""
    return len(columns) - columns.distances.count(0)


def runaways(columns: CountColumns) -> int:
    """Return the number of utterances with I > max(10, N).

    See docs/method.md, section "Scoring text".
    """
    enough = 11 << _SHIFT  # fewer errors are never that many insertions
    return sum(
        columns[row].insertions > max(10, columns.lengths[row])
        for row, distance in enumerate(columns.distances)
        if distance >= enough
    )


def count_characters(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[int, int]:
    """Return the character errors and the reference characters of n pairs of texts.

    Characters are grapheme clusters (:func:`relkit.scoring.words.graphemes`). Raises
    ValueError where the two sequences are not of the same length.
    """
    if len(references) != len(hypotheses):
        raise ValueError("as many hypotheses as references are needed")
    expected, answered = _clusters(references), _clusters(hypotheses)
    long = max(map(len, expected), default=0) >= _LONG_TEXT
    distance = count_unit_errors if long else Levenshtein.distance  # which saves time for many
    return sum(map(distance, expected, answered)), sum(map(len, expected))


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
