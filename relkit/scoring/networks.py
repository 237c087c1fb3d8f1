"""The fewest errors between two transcripts with alternatives, over all their readings.

Transcripts with alternatives and marked words, and the networks of words they stand for.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from typing import Literal, NamedTuple

from relkit.core.tokens import Segmenter, composed, tokens
from relkit.core.values import ErrorCounts
from relkit.scoring.words import count_errors, count_unit_errors

Fragment = Literal["", "start", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A word with a mark, written without it.

    ``optional``: may be missing at no cost. ``fragment``: the start (``fi-``) or the end
    (``-icks``) of a word, without its hyphen.
    """

    text: str
    optional: bool = False
    fragment: Fragment = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternation:
    """Phrases of which any one may have been said; an empty one says nothing."""

    branches: tuple["Phrase", ...]


Phrase = tuple[str | Marked | Alternation, ...]
"""What may have been said, in order: plain text, marked words, alternations."""


class Token(NamedTuple):
    """A word on an arc. ``part`` is the fragment without its hyphen; ``lead`` is the space before.

    Equal tokens are alike for every alignment.
    """

    text: str
    lead: str = " "
    optional: bool = False
    fragment: Fragment = ""
    part: str = ""


class Arc(NamedTuple):
    """A way into a node: from which node, saying what (None: nothing)."""

    source: int
    token: Token | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WordNetwork:
    """A directed acyclic graph of words: ``into[n]`` are the arcs into node n.

    Nodes are numbered so that arcs lead upwards; a reading is a path from node 0 to the last one.
    """

    into: tuple[tuple[Arc, ...], ...]


def plain_text(phrase: Phrase) -> str | None:
    """Return the text of a phrase without marks, None where there are any."""
    if not phrase:
        return ""
    return phrase[0] if len(phrase) == 1 and isinstance(phrase[0], str) else None


def written_words(phrase: Phrase) -> Phrase:
    """Return the phrase with optional words as ordinary ones, for an utterance nobody answered."""
    return tuple(
        Alternation(branches=tuple(written_words(branch) for branch in element.branches))
        if isinstance(element, Alternation)
        else Marked(text=element.text, fragment=element.fragment)
        if isinstance(element, Marked)
        else element
        for element in phrase
    )


def map_text(phrase: Phrase, change: Callable[[str], str]) -> Phrase:
    """Return the phrase with every run of plain words and every marked word changed.

    A normalizer sees a run as one text; what stands on the two sides of a mark is never joined.
    """
    changed: list[str | Marked | Alternation] = []
    for element in phrase:
        if isinstance(element, str):
            changed.append(change(element))
        elif isinstance(element, Marked):
            changed.append(
                Marked(
                    text=change(element.text), optional=element.optional, fragment=element.fragment
                )
            )
        else:
            branches = tuple(map_text(branch, change) for branch in element.branches)
            changed.append(Alternation(branches=branches))
    return tuple(changed)


def network_of(phrase: Phrase, segmenter: Segmenter = "auto") -> WordNetwork:
    """Return the network whose readings are those of the phrase, its words cut into tokens."""
    into: list[list[Arc]] = [[]]
    _extend(into, phrase, 0, segmenter)
    return WordNetwork(into=tuple(tuple(arcs) for arcs in into))


def _extend(into: list[list[Arc]], phrase: Phrase, node: int, segmenter: Segmenter) -> int:
    """Add a phrase behind a node; return the node it ends in."""
    for element in phrase:
        if isinstance(element, Alternation):
            ends = [_extend(into, branch, node, segmenter) for branch in element.branches]
            into.append([Arc(end, None) for end in dict.fromkeys(ends)])
            node = len(into) - 1
            continue
        for token in _tokens_of(element, segmenter):
            into.append([Arc(node, token)])
            node = len(into) - 1
    return node


def _tokens_of(element: str | Marked, segmenter: Segmenter) -> list[Token]:
    text = element if isinstance(element, str) else element.text
    branches = [
        Token(token, "" if at else " ")
        for word in composed(text).split()
        for at, token in enumerate(tokens(word, segmenter))
    ]
    if isinstance(element, str) or not branches:
        return branches
    if element.optional:
        branches = [token._replace(optional=True) for token in branches]
    if element.fragment:
        at = -1 if element.fragment == "start" else 0
        part = branches[at].text
        literal = f"{part}-" if element.fragment == "start" else f"-{part}"
        branches[at] = branches[at]._replace(text=literal, fragment=element.fragment, part=part)
    return branches


def count_readings(phrase: Phrase) -> int:
    """Return the number of readings, those that say the same counted apart."""
    total = 1
    for element in phrase:
        if isinstance(element, Alternation):
            total *= sum(map(count_readings, element.branches))
    return total


def has_marked_words(phrase: Phrase) -> bool:
    """Tell whether any word is optional or a fragment."""
    return any(
        any(map(has_marked_words, element.branches))
        if isinstance(element, Alternation)
        else isinstance(element, Marked)
        for element in phrase
    )


def readings(phrase: Phrase) -> Iterator[str]:
    """Yield the texts of all readings, earlier branches first; marked words as ordinary ones."""
    choices: list[list[str]] = []
    for element in phrase:
        if isinstance(element, Alternation):
            choices.append([text for branch in element.branches for text in readings(branch)])
        else:
            choices.append([element if isinstance(element, str) else element.text])
    for parts in product(*choices):
        yield " ".join(filter(None, parts))


_FEW = 32
"""Pairs of readings that are sooner tried one by one than aligned as networks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkScore:
    """The canonical counts of two networks, and the texts of the readings they belong to.

    Optional words that were passed over are in neither text; a word that counts as correct because
    of a fragment stands in both texts as in the reference.
    """

    counts: ErrorCounts
    reference: str
    hypothesis: str


def count_phrases(
    reference: Phrase, hypothesis: Phrase, segmenter: Segmenter = "auto"
) -> NetworkScore:
    """Return the canonical counts over all pairs of readings and all their alignments.

    The fewest errors, then the fewest substitutions; where several readings have those, the one
    with the longest reference (the lowest rate), then the one with the most hits. Optional words
    that are passed over, on either side, count as hits and in N, as sclite has it. What is still
    undecided is settled by order, so that the same phrases always give the same score.
    """
    few = count_readings(reference) * count_readings(hypothesis) <= _FEW
    if few and not has_marked_words(reference) and not has_marked_words(hypothesis):
        return _try_all(reference, hypothesis, segmenter)
    return count_networks(network_of(reference, segmenter), network_of(hypothesis, segmenter))


def _try_all(reference: Phrase, hypothesis: Phrase, segmenter: Segmenter) -> NetworkScore:
    expected = [(text, tokens(text, segmenter)) for text in dict.fromkeys(readings(reference))]
    answered = [(text, tokens(text, segmenter)) for text in dict.fromkeys(readings(hypothesis))]
    return min(
        (
            NetworkScore(
                counts=count_errors(words, answered_words), reference=text, hypothesis=answer
            )
            for (text, words), (answer, answered_words) in product(expected, answered)
        ),
        key=lambda score: (
            score.counts.errors,
            score.counts.substitutions,
            -score.counts.reference_length,
            -score.counts.hits,
        ),
    )


# A cost holds E, S, N and H of an alignment in one integer, so that the smallest cost has the
# fewest errors, then the fewest substitutions, then the longest reference, then the most hits.
_BITS = 24
_MASK = (1 << _BITS) - 1
_WORD = -(1 << _BITS)
_INSERTION = 1 << 3 * _BITS
_DELETION = _INSERTION + _WORD
_SUBSTITUTION = _INSERTION + (1 << 2 * _BITS) + _WORD
_HIT = _WORD - 1
_UNREACHED = 1 << 4 * _BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The costs of one node of the reference beside nodes ``low`` … of the hypothesis."""

    low: int
    costs: list[int]

    def at(self, node: int) -> int:
        """Return the cost beside a node; unreached outside of the row."""
        place = node - self.low
        return self.costs[place] if 0 <= place < len(self.costs) else _UNREACHED


def count_networks(reference: WordNetwork, hypothesis: WordNetwork) -> NetworkScore:
    """Return the canonical counts of two networks; see :func:`count_phrases`.

    The errors of one pair of readings bound those of the best, and only pairs of nodes are looked
    at through which so few can lead (after Ukkonen 1985). With a plain hypothesis, time and memory
    are O(arcs of the reference x (bound + what the lengths of readings differ by)).
    """
    bound = count_unit_errors(_first_reading(reference), _first_reading(hypothesis))
    rows = _costs(reference, hypothesis, bound)
    return _walk_back(reference, hypothesis, rows)


def _first_reading(network: WordNetwork) -> list[str]:
    """Return a reading; words of the same text match, whatever their marks."""
    words: list[str] = []
    node = len(network.into) - 1
    while node:
        node, token = network.into[node][0]
        if token is not None:
            words.append(token.text)
    return words[::-1]


def _counts_of(cost: int) -> ErrorCounts:
    rest = -cost
    hits, words = rest & _MASK, (rest >> _BITS) & _MASK
    errors, substitutions = divmod(-(rest >> 2 * _BITS), 1 << _BITS)
    deletions = words - hits - substitutions
    return ErrorCounts(
        hits=hits,
        substitutions=substitutions,
        deletions=deletions,
        insertions=errors - substitutions - deletions,
    )


def _costs(reference: WordNetwork, hypothesis: WordNetwork, bound: int) -> list[_Row]:
    """Return the lowest cost of reaching each pair of nodes that can matter."""
    aside = [
        [(arc.source, _alone(arc.token, _INSERTION)) for arc in arcs] for arcs in hypothesis.into
    ]
    bands = _bands(_lengths(reference), _lengths(hypothesis), bound)
    rows: list[_Row] = []
    for arcs, (low, high) in zip(reference.into, bands, strict=True):
        row = _Row(low=low, costs=[_UNREACHED] * (high - low))
        if not arcs:
            row.costs[0] = 0
        for arc in arcs:
            _come_down(row, rows[arc.source], arc.token, hypothesis)
        for node in range(low, high):
            for before, alone in aside[node]:
                if (cost := row.at(before) + alone) < row.costs[node - low]:
                    row.costs[node - low] = cost
        rows.append(row)
    return rows


def _come_down(row: _Row, above: _Row, token: Token | None, hypothesis: WordNetwork) -> None:
    """Lower the costs of a row to those of coming from another with a word of the reference."""
    low, costs = row.low, row.costs
    alone = _alone(token, _DELETION)
    for node in range(max(low, above.low), min(low + len(costs), above.low + len(above.costs))):
        if (cost := above.costs[node - above.low] + alone) < costs[node - low]:
            costs[node - low] = cost
    if token is None:
        return
    for node, arcs in enumerate(hypothesis.into[low : low + len(costs)]):
        for before, word in arcs:
            if word is not None and (cost := above.at(before) + _pair(token, word)) < costs[node]:
                costs[node] = cost


def _lengths(network: WordNetwork) -> list[tuple[int, int]]:
    """Return the fewest words that must, and the most that can be said before each node."""
    lengths = [(0, 0)]
    for arcs in network.into[1:]:
        needed = [arc.token is not None and not arc.token.optional for arc in arcs]
        possible = [arc.token is not None for arc in arcs]
        lengths.append(
            (
                min(lengths[arc.source][0] + n for arc, n in zip(arcs, needed, strict=True)),
                max(lengths[arc.source][1] + n for arc, n in zip(arcs, possible, strict=True)),
            )
        )
    return lengths


def _bands(
    expected: list[tuple[int, int]], hypothesis: list[tuple[int, int]], bound: int
) -> list[tuple[int, int]]:
    """Return, for each node of the reference, a range of nodes that holds all it can go with.

    Where one side must have said k words more than the other can have, there were k errors.
    """
    most = list(accumulate((longest for _, longest in hypothesis), max))
    least = list(accumulate((shortest for shortest, _ in reversed(hypothesis)), min))[::-1]
    return [
        (bisect_left(most, shortest - bound), bisect_right(least, longest + bound))
        for shortest, longest in expected
    ]


def _alone(token: Token | None, error: int) -> int:
    if token is None:
        return 0
    return _HIT if token.optional else error


def _pair(reference: Token, hypothesis: Token) -> int:
    return _HIT if _matches(reference, hypothesis) else _SUBSTITUTION


def _matches(reference: Token, hypothesis: Token) -> bool:
    """Tell whether two words count as the same; a fragment of the reference decides alone."""
    for reader, counterpart in ((reference, hypothesis), (hypothesis, reference)):
        if reader.fragment == "start":
            return counterpart.text.startswith(reader.part)
        if reader.fragment == "end":
            return counterpart.text.endswith(reader.part)
    return reference.text == hypothesis.text


def _walk_back(
    reference: WordNetwork, hypothesis: WordNetwork, rows: Sequence[_Row]
) -> NetworkScore:
    """Walk back from the end along arcs that explain the costs, and write down what was said."""
    row, column = len(reference.into) - 1, len(hypothesis.into) - 1
    counts = _counts_of(rows[row].at(column))
    expected: list[str] = []
    answered: list[str] = []
    while row or column:
        row, column, word, answer = _step_back(reference, hypothesis, rows, row, column)
        if word is not None and (answer is not None or not word.optional):
            expected.append(word.lead + word.text)
        if answer is not None and (word is not None or not answer.optional):
            hit = word is not None and _matches(word, answer)
            answered.append(answer.lead + (word.text if hit and word else answer.text))
    return NetworkScore(
        counts=counts,
        reference="".join(reversed(expected)).strip(),
        hypothesis="".join(reversed(answered)).strip(),
    )


def _step_back(
    reference: WordNetwork, hypothesis: WordNetwork, rows: Sequence[_Row], row: int, column: int
) -> tuple[int, int, Token | None, Token | None]:
    """Return the nodes before, and what was said on the way; a pair of words goes first."""
    cost = rows[row].at(column)
    for reference_arc in reference.into[row]:
        for hypothesis_arc in hypothesis.into[column]:
            if reference_arc.token is not None and hypothesis_arc.token is not None:
                before = rows[reference_arc.source].at(hypothesis_arc.source)
                if before + _pair(reference_arc.token, hypothesis_arc.token) == cost:
                    return (
                        reference_arc.source,
                        hypothesis_arc.source,
                        reference_arc.token,
                        hypothesis_arc.token,
                    )
    for reference_arc in reference.into[row]:
        if rows[reference_arc.source].at(column) + _alone(reference_arc.token, _DELETION) == cost:
            return reference_arc.source, column, reference_arc.token, None
    hypothesis_arc = next(
        arc
        for arc in hypothesis.into[column]
        if rows[row].at(arc.source) + _alone(arc.token, _INSERTION) == cost
    )
    return row, hypothesis_arc.source, None, hypothesis_arc.token
