"""Labelled spans of a reference: where they lie, and which of them the system got wrong."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relkit.domain.suites import Segmenter
from relkit.rules.alignment import Change
from relkit.rules.word_errors import tokens

Span = tuple[int, int]
"""The first reference token of a span and the one after its last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keywords:
    """Keywords as tokens, looked up by their first one, so that thousands cost nothing."""

    by_first: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, keywords: Iterable[str], segmenter: Segmenter = "auto") -> "Keywords":
        """Return the index of normalized keywords; empty and repeated ones are left out."""
        by_first: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for words in dict.fromkeys(tuple(tokens(keyword, segmenter)) for keyword in keywords):
            if words:
                by_first[words[0]].append(words)
        return cls(by_first={first: tuple(same) for first, same in by_first.items()})

    def spans(self, reference: Sequence[str]) -> list[Span]:
        """Return every occurrence; those of one keyword do not overlap, different ones may."""
        if not self.by_first:
            return []
        found: list[Span] = []
        free_from: dict[tuple[str, ...], int] = {}
        for start, token in enumerate(reference):
            for words in self.by_first.get(token, ()):
                end = start + len(words)
                if start >= free_from.get(words, 0) and tuple(reference[start:end]) == words:
                    free_from[words] = end
                    found.append((start, end))
        return found


NO_KEYWORDS = Keywords()


def place(spans: Iterable[Sequence[str]], reference: Sequence[str]) -> list[Span | None]:
    """Return where each span's tokens lie in the reference, None where they were not found.

    Spans are taken as written, from left to right: each lies at the first place after the one
    before it, else (nested or unordered labels) at the first place that no equal span has taken.
    """
    found: list[Span | None] = []
    after = 0
    for words in spans:
        free = [span for span in _places(words, reference) if span not in found]
        if not free:
            found.append(None)
            continue
        taken = next((span for span in free if span[0] >= after), free[0])
        found.append(taken)
        after = taken[1]
    return found


def _places(words: Sequence[str], reference: Sequence[str]) -> list[Span]:
    size, wanted = len(words), list(words)
    if not size:
        return []
    return [
        (start, start + size)
        for start, token in enumerate(reference)
        if token == wanted[0] and list(reference[start : start + size]) == wanted
    ]


def count_wrong(spans: Iterable[Span], changes: Sequence[Change]) -> int:
    """Return how many spans hold a substitution, a deletion or, strictly inside, an insertion."""
    return sum(is_wrong(span, changes) for span in spans)


def is_wrong(span: Span, changes: Sequence[Change]) -> bool:
    """Tell whether a span holds a substitution, a deletion or, strictly inside, an insertion."""
    return any(_touches(change, span) for change in changes)


def _touches(change: Change, span: Span) -> bool:
    start, end = span
    first = start + 1 if change.kind == "insertion" else start
    return first <= change.reference < end
