"""Transcripts with alternatives and marked words, and the networks of words they stand for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

from relkit.domain.suites import Segmenter
from relkit.rules.word_errors import composed, tokens

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
    found = [
        Token(token, "" if at else " ")
        for word in composed(text).split()
        for at, token in enumerate(tokens(word, segmenter))
    ]
    if isinstance(element, str) or not found:
        return found
    if element.optional:
        found = [token._replace(optional=True) for token in found]
    if element.fragment:
        at = -1 if element.fragment == "start" else 0
        part = found[at].text
        literal = f"{part}-" if element.fragment == "start" else f"-{part}"
        found[at] = found[at]._replace(text=literal, fragment=element.fragment, part=part)
    return found


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
