"""Tokens, characters and the one canonical count of errors between them (rules.md section 2)."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from relkit.domain.counts import ErrorCounts
from relkit.domain.suites import Segmenter
from relkit.rules.cluster_sums import IntArray

_FIRST_UNSPACED = "\u0e00"  # no script written without spaces lies below Thai
_FIRST_JOINING = "\u0300"  # below it, every character but CR LF is a cluster of its own

# Invisible separators that Unicode does not call white space: the zero width space that marks
# word ends in Khmer, Lao, Myanmar and Thai text, and the byte order mark of a file's first line.
ZERO_WIDTH = {0x200B: " ", 0xFEFF: " "}

# One error weighs 2^32 and a substitution one more, so that E and S are the high and the low half
# of the distance; the same as K = N + M + 1 of rules.md for all texts under 2^32 tokens.
_SHIFT = 32
_ERROR = 1 << _SHIFT
_WEIGHTS = (_ERROR, _ERROR, _ERROR + 1)
_SUBSTITUTIONS = _ERROR - 1

_LONG = 1024  # N * M from which the bit-parallel unit distance is worth a first look


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountColumns:
    """Error counts of n utterances as int64 columns (n,), in the order they were given."""

    hits: IntArray
    substitutions: IntArray
    deletions: IntArray
    insertions: IntArray

    def __len__(self) -> int:
        """Return n."""
        return len(self.hits)

    def __getitem__(self, row: int) -> ErrorCounts:
        """Return the counts of one utterance; IndexError outside of the n rows."""
        return ErrorCounts(
            hits=int(self.hits[row]),
            substitutions=int(self.substitutions[row]),
            deletions=int(self.deletions[row]),
            insertions=int(self.insertions[row]),
        )

    def total(self) -> ErrorCounts:
        """Return the counts of all utterances together."""
        return ErrorCounts(
            hits=int(self.hits.sum()),
            substitutions=int(self.substitutions.sum()),
            deletions=int(self.deletions.sum()),
            insertions=int(self.insertions.sum()),
        )


def tokens(text: str, segmenter: Segmenter = "auto") -> list[str]:
    """Return the tokens that are counted: NFC, split on any Unicode white space.

    Zero width spaces and byte order marks separate as well. With ``auto``, text in scripts
    written without spaces (Han, kana, Thai, Lao, Khmer, Myanmar …) gives one token per grapheme
    cluster, and other words beside it stay whole.
    """
    if segmenter == "characters":
        return [cluster for cluster in graphemes(text) if cluster != " "]
    if text.isascii():
        return text.split()
    text = composed(text)
    if segmenter == "words" or max(text) < _FIRST_UNSPACED:
        return text.split()
    from relkit.rules.unicode_text import auto_tokens  # noqa: PLC0415  # 50 ms to load

    return auto_tokens(text)


def graphemes(text: str) -> Sequence[str]:
    r"""Return the grapheme clusters that CER counts (UAX #29 ``\X`` after NFC).

    A run of white space counts as one space, and white space at either end as nothing. Where
    every character is a cluster the text itself is returned, which is much faster to compare.
    """
    text = " ".join((text if text.isascii() else composed(text)).split())
    if text.isascii() or max(text) < _FIRST_JOINING:
        return text
    from relkit.rules.unicode_text import clusters  # noqa: PLC0415  # 50 ms to load

    found = clusters(text)
    return text if len(found) == len(text) else found


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Return the canonical counts: the fewest errors, then the fewest substitutions.

    With N and M tokens and weights (K, K, K+1) of insertion, deletion and substitution,
    ``E, S = divmod(distance, K)``, ``D = (E - S + N - M) / 2`` and ``I = E - S - D``
    (rules.md section 2). Tokens are compared by their 64-bit hash.
    """
    length = len(reference)
    distance = _distance(reference, hypothesis)
    errors, substitutions = distance >> _SHIFT, distance & _SUBSTITUTIONS
    deletions = (errors - substitutions + length - len(hypothesis)) // 2
    return ErrorCounts(
        hits=length - substitutions - deletions,
        substitutions=substitutions,
        deletions=deletions,
        insertions=errors - substitutions - deletions,
    )


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
        given = hypothesis.split() if plain else tokens(hypothesis, segmenter)
        answered.append(len(given))
        if length * len(given) < _LONG:
            distances.append(Levenshtein.distance(expected, given, weights=_WEIGHTS))
        else:
            distances.append(_distance(expected, given))
    return _columns(lengths, answered, distances)


def count_unit_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return E alone, the Levenshtein distance in tokens; the fastest count there is."""
    return Levenshtein.distance(reference, hypothesis)


def _distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return E * 2^32 + S of the canonical alignment.

    E = S + abs(N - M) + 2 min(D, I); so where E - abs(N - M) is 0 or 1 it can only be S, and the
    bit-parallel unit distance (Myers 1999), N * M / 64 steps, has already said everything.
    """
    length, answered = len(reference), len(hypothesis)
    if length * answered >= _LONG:
        errors = Levenshtein.distance(reference, hypothesis)
        substitutions = errors - abs(length - answered)
        if substitutions <= 1:
            return (errors << _SHIFT) + substitutions
    return Levenshtein.distance(reference, hypothesis, weights=_WEIGHTS)


def _columns(lengths: list[int], answered: list[int], distances: list[int]) -> CountColumns:
    reference, hypothesis = np.array(lengths, np.int64), np.array(answered, np.int64)
    distance = np.array(distances, np.int64)
    errors, substitutions = distance >> _SHIFT, distance & _SUBSTITUTIONS
    deletions = (errors - substitutions + reference - hypothesis) // 2
    return CountColumns(
        hits=reference - substitutions - deletions,
        substitutions=substitutions,
        deletions=deletions,
        insertions=errors - substitutions - deletions,
    )


def composed(text: str) -> str:
    """Return the text in NFC with zero width separators as spaces: what is cut into tokens."""
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    if "\u200b" in text or "\ufeff" in text:
        text = text.translate(ZERO_WIDTH)
    return text
