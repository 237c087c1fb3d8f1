"""The fewest errors between two transcripts with alternatives, over all their readings.

Transcripts with alternatives and marked words, and the networks of words they stand for.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, product
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

_BLOCK_CELLS = 1 << 19  # costs kept at once: some 20 MiB


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
    at through which so few can lead (after Ukkonen 1985). With a plain hypothesis, time is
    O(arcs of the reference x (bound + what the lengths of readings differ by)). Of long networks
    only the rows that begin a block are kept, and those of one block at a time are found again on
    the way back, so that memory grows with the length of the texts.
    """
    bound = count_unit_errors(_first_reading(reference), _first_reading(hypothesis))
    bands = _bands(_lengths(reference), _lengths(hypothesis), bound)
    return _walk_back(_Table(reference=reference, hypothesis=hypothesis, bands=bands))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The costs of reaching pairs of nodes, for each node of the reference those in its band."""

    reference: WordNetwork
    hypothesis: WordNetwork
    bands: Sequence[tuple[int, int]]

    def blocks(self) -> Iterator[tuple[int, dict[int, _Row]]]:
        """Yield the first node and the rows of blocks of nodes, the last block first.

        A block begins with the last row of the one before; no arc leads past that.
        """
        starts, row = [], _Row(low=0, costs=[])
        rows: dict[int, _Row] = {}
        nodes = list(self._starts())
        for start, end in pairwise([*nodes, len(self.bands) - 1]):
            starts.append((start, row))
            rows = self._rows(start, end, row)
            row = rows[end]
        end = starts[-1][0]
        yield end, rows
        for start, row in reversed(starts[:-1]):
            yield start, self._rows(start, end, row)
            end = start

    def _starts(self) -> Iterator[int]:
        """Yield the first nodes of the blocks."""
        sources = (min((arc.source for arc in arcs), default=0) for arcs in self.reference.into)
        earliest = list(accumulate(reversed(list(sources)), min))[::-1]  # of arcs into later nodes
        yield 0
        cells = 0
        for node, (low, high) in enumerate(self.bands[:-1]):
            cells += high - low
            if cells > _BLOCK_CELLS and earliest[node + 1] >= node > 0:
                yield node
                cells = high - low

    def _rows(self, start: int, end: int, first: _Row) -> dict[int, _Row]:
        """Return the lowest costs of nodes ``start`` … ``end``, given those of the first."""
        aside = [
            [(arc.source, _alone(arc.token, _INSERTION)) for arc in arcs]
            for arcs in self.hypothesis.into
        ]
        rows = {start: first} if start else {}
        for number in range(start + 1 if start else 0, end + 1):
            low, high = self.bands[number]
            row = _Row(low=low, costs=[_UNREACHED] * (high - low))
            if not number:
                row.costs[0] = 0
            for arc in self.reference.into[number]:
                _come_down(row, rows[arc.source], arc.token, self.hypothesis)
            costs = row.costs
            for place, ways in enumerate(aside[low:high]):
                for before, alone in ways:
                    if before >= low and (cost := costs[before - low] + alone) < costs[place]:
                        costs[place] = cost
            rows[number] = row
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
    first, last = above.low, above.low + len(above.costs)
    for node, arcs in enumerate(hypothesis.into[low : low + len(costs)]):
        for before, word in arcs:
            if (
                word is not None
                and first <= before < last
                and (cost := above.costs[before - first] + _pair(token, word)) < costs[node]
            ):
                costs[node] = cost


class _Lengths(NamedTuple):
    """The fewest words that must, and the most that can be said before a node and after it."""

    least: int
    most: int
    least_after: int
    most_after: int


def _lengths(network: WordNetwork) -> list[_Lengths]:
    """Return how many words are said before and after each node."""
    last = len(network.into) - 1
    before = [(0, 0)]
    after = [(last, 0)] * last + [(0, 0)]
    for arcs in network.into[1:]:
        paths = [(before[arc.source], _words(arc.token)) for arc in arcs]
        before.append((min(p[0] + w[0] for p, w in paths), max(p[1] + w[1] for p, w in paths)))
    for node in range(last, 0, -1):
        for arc in network.into[node]:
            (least, most), (needed, possible) = after[node], _words(arc.token)
            fewest, longest = after[arc.source]
            after[arc.source] = min(fewest, least + needed), max(longest, most + possible)
    return [_Lengths(*ends) for ends in (x + y for x, y in zip(before, after, strict=True))]


def _words(token: Token | None) -> tuple[int, int]:
    """Return how many words an arc must, and can say."""
    return int(token is not None and not token.optional), int(token is not None)


def _bands(
    expected: Sequence[_Lengths], hypothesis: Sequence[_Lengths], bound: int
) -> list[tuple[int, int]]:
    """Return, for each node of the reference, a range of nodes that holds all it can go with.

    Where one side must have said k words more than the other can have, there were k errors, and
    so it is for what is still to be said.
    """
    most = list(accumulate((node.most for node in hypothesis), max))
    least = list(accumulate((node.least for node in reversed(hypothesis)), min))[::-1]
    most_after = list(accumulate((node.most_after for node in reversed(hypothesis)), max))[::-1]
    least_after = list(accumulate((node.least_after for node in hypothesis), min))
    nodes = range(len(hypothesis))

    def band(node: _Lengths) -> tuple[int, int]:
        def too_early(i: int) -> int:
            return -max(0, node.least - most[i]) - max(0, least_after[i] - node.most_after)

        def too_late(i: int) -> int:
            return max(0, least[i] - node.most) + max(0, node.least_after - most_after[i])

        return (
            bisect_left(nodes, -bound, key=too_early),
            bisect_right(nodes, bound, key=too_late),
        )

    return [band(node) for node in expected]


def _alone(token: Token | None, error: int) -> int:
    if token is None:
        return 0
    return _HIT if token.optional else error


def _pair(reference: Token, hypothesis: Token) -> int:
    return _HIT if _matches(reference, hypothesis) else _SUBSTITUTION


def _matches(reference: Token, hypothesis: Token) -> bool:
    """Tell whether two words count as the same; a fragment of the reference decides alone."""
    if not reference.fragment and not hypothesis.fragment:
        return reference.text == hypothesis.text
    for reader, counterpart in ((reference, hypothesis), (hypothesis, reference)):
        if reader.fragment == "start":
            return counterpart.text.startswith(reader.part)
        if reader.fragment == "end":
            return counterpart.text.endswith(reader.part)
    return reference.text == hypothesis.text


def _walk_back(table: _Table) -> NetworkScore:
    """Walk back from the end along arcs that explain the costs, and write down what was said."""
    reference, hypothesis = table.reference, table.hypothesis
    row, column = len(reference.into) - 1, len(hypothesis.into) - 1
    counts = ErrorCounts()
    expected: list[str] = []
    answered: list[str] = []
    for start, rows in table.blocks():
        if row == len(reference.into) - 1:
            counts = _counts_of(rows[row].at(column))
        while row > start or (not start and column):
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
    reference: WordNetwork,
    hypothesis: WordNetwork,
    rows: Mapping[int, _Row],
    row: int,
    column: int,
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
