"""Long pairs of texts, cut where every alignment with the fewest errors passes.

The canonical counts of the pieces add up to those of the pair. So a long pair takes the time of
the bit-parallel unit distance (Myers 1999; Hyyrö 2003), O(N E / 64) for E errors, where a weighted
distance of the whole takes O(N M).

Why a cut is sure. An alignment with the fewest errors, E, pairs a run of L reference tokens with
equal ones. Replace the run by 2 L - 1 tokens that are found nowhere: one for each of its tokens,
and one in each gap between two of them. *Any* alignment with E errors, carried over, has 2 L - 1
errors more, less one for each token of the run that it does not hit (an error before and after),
less one for each gap in which it inserts (the new token takes what was inserted). So where the
distance rises by 2 L - 1, all of them hit the run, and without a gap; and where what they can reach
(Ukkonen 1985) holds the run only once, all of them hit it there. Many runs are tried at once: what
is lost at several adds up.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from rapidfuzz.distance import Editops, Levenshtein, MatchingBlock, Postfix, Prefix

FEW_ERRORS = 31
"""rapidfuzz looks for an alignment with so few errors first, and then with twice as many."""

_LONG_PAIR = 1 << 13  # N * M from which a pair is cut: about 90 tokens on either side
_PARTS = 64  # into so many parts at once, long pairs again and again …
_LEAST = 16  # … until they have so many tokens
_ROUNDS = 8  # after so many, a pair whose cuts are not all sure is left as it is
_NOWHERE = chr(sys.maxunicode)  # a token that no text has


class Piece(NamedTuple):
    """Tokens of both sides that belong together, and the places of the first of them."""

    reference_start: int
    hypothesis_start: int
    reference: Sequence[str]
    hypothesis: Sequence[str]


class _Run(NamedTuple):
    """Equal tokens, from ``reference`` and ``hypothesis`` on."""

    reference: int
    hypothesis: int
    length: int


def pieces(reference: Sequence[str], hypothesis: Sequence[str]) -> Iterator[Piece]:
    """Yield the pieces of a pair that hold all of its errors, in order; a short pair is a piece.

    An alignment of the pair with the fewest errors is one such of every piece. In pieces of a long
    pair each different token is a character.
    """
    length, answered = len(reference), len(hypothesis)
    if length * answered < _LONG_PAIR or length + answered >= sys.maxunicode:
        yield Piece(0, 0, reference, hypothesis)
        return
    start = Prefix.similarity(reference, hypothesis)
    rest = reference[start:], hypothesis[start:]
    end = Postfix.similarity(*rest)
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    texts = ("".join(map(chr, map(numbers.__getitem__, text[: len(text) - end]))) for text in rest)
    yield from _cut(start, start, *texts)


def _cut(
    reference_start: int, hypothesis_start: int, reference: str, hypothesis: str
) -> Iterator[Piece]:
    length, answered = len(reference), len(hypothesis)
    runs = _sure_runs(reference, hypothesis) if length * answered >= _LONG_PAIR else []
    if not runs:
        yield Piece(reference_start, hypothesis_start, reference, hypothesis)
        return
    for start, end in pairwise([_Run(0, 0, 0), *runs, _Run(length, answered, 0)]):
        expected = reference[start.reference : end.reference]
        words = hypothesis[start.hypothesis : end.hypothesis]
        if expected != words:
            yield from _cut(
                reference_start + start.reference,
                hypothesis_start + start.hypothesis,
                expected,
                words,
            )


def _sure_runs(reference: str, hypothesis: str) -> list[_Run]:
    """Return runs that every alignment with the fewest errors has; none of them starts the pair."""
    edits = Levenshtein.editops(reference, hypothesis, score_hint=FEW_ERRORS)
    errors = len(edits)
    runs = _likely_runs(reference, hypothesis, edits)
    for _ in range(_ROUNDS):
        broken, more = _broken(reference, runs), sum(2 * run.length - 1 for run in runs)
        distance = Levenshtein.distance(broken, hypothesis, score_hint=errors + more)
        if distance == errors + more:
            return runs
        runs = _hit_again(runs, Levenshtein.editops(broken, hypothesis, score_hint=distance))
    return []


def _likely_runs(reference: str, hypothesis: str, edits: Editops) -> list[_Run]:
    """Return, from each part of an alignment, a run in the middle of its longest row of hits.

    The run is as short as it can be and yet the only one of its tokens that an alignment with so
    few errors can reach: it has no more than ``below`` deletions and ``above`` insertions.
    """
    surplus = len(reference) - len(hypothesis)
    below, above = (len(edits) + surplus) // 2, (len(edits) - surplus) // 2
    size = max(_LEAST, len(reference) // _PARTS)
    longest: dict[int, MatchingBlock] = {}
    for hits in edits.as_matching_blocks():
        part = (hits.a + hits.size // 2) // size
        if part not in longest or hits.size > longest[part].size:
            longest[part] = hits
    runs = []
    for hits in longest.values():
        run = 1
        while run + 2 <= hits.size:
            margin = (hits.size - run) // 2
            start, place = hits.a + margin, hits.b + margin
            tokens = reference[start : start + run]
            first = hypothesis.find(tokens, max(0, start - below))
            if first == place and hypothesis.find(tokens, place + 1, start + above + run) < 0:
                runs.append(_Run(start, place, run))
                break
            run *= 2
    return runs


def _broken(reference: str, runs: Sequence[_Run]) -> str:
    """Return the reference with new tokens for those of the runs, and in the gaps between them."""
    parts, end = [], 0
    for run in runs:
        parts += [reference[end : run.reference], _NOWHERE * (2 * run.length - 1)]
        end = run.reference + run.length
    return "".join([*parts, reference[end:]])


def _hit_again(runs: Sequence[_Run], edits: Editops) -> list[_Run]:
    """Return the runs whose new tokens an alignment pairs with the very places that were hit.

    Where it has fewer errors than there would have to be, that is not so for all of them.
    """
    paired = {edit.src_pos: edit.dest_pos for edit in edits if edit.tag == "replace"}
    again, shift = [], 0
    for run in runs:
        start = run.reference + shift
        shift += run.length - 1
        places = [paired[at] for at in range(start, start + 2 * run.length - 1) if at in paired]
        if places == [*range(run.hypothesis, run.hypothesis + run.length)]:
            again.append(run)
    return again
