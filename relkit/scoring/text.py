"""Scoring one hypothesis against its reference: all counts of a result row.

See docs/method.md, section "Scoring text". Of labelled spans of the reference it is said which the
system got wrong, by the type of the label.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from relkit.core.tokens import Segmenter, graphemes, tokens, visible
from relkit.scoring.alignment import Change, changes
from relkit.scoring.types import EntityType, ScoredText
from relkit.scoring.words import count_errors, count_text, count_unit_errors

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
        spans: list[Span] = []
        free_from: dict[tuple[str, ...], int] = {}
        for start, token in enumerate(reference):
            for words in self.by_first.get(token, ()):
                end = start + len(words)
                if start >= free_from.get(words, 0) and tuple(reference[start:end]) == words:
                    free_from[words] = end
                    spans.append((start, end))
        return spans


NO_KEYWORDS = Keywords()


def place(spans: Iterable[Sequence[str]], reference: Sequence[str]) -> list[Span | None]:
    """Return where each span's tokens lie in the reference, None where they were not found.

    Spans are taken as written, from left to right: each lies at the first place after the one
    before it, else (nested or unordered labels) at the first place that no equal span has taken.
    """
    places: list[Span | None] = []
    after = 0
    for words in spans:
        free = [span for span in _places(words, reference) if span not in places]
        if not free:
            places.append(None)
            continue
        taken = next((span for span in free if span[0] >= after), free[0])
        places.append(taken)
        after = taken[1]
    return places


def _places(words: Sequence[str], reference: Sequence[str]) -> list[Span]:
    size, phrase = len(words), list(words)
    if not size:
        return []
    return [
        (start, start + size)
        for start, token in enumerate(reference)
        if token == phrase[0] and list(reference[start : start + size]) == phrase
    ]


def count_wrong(spans: Iterable[Span], changes: Sequence[Change]) -> int:
    """Return how many spans hold a substitution, a deletion or, strictly inside, an insertion."""
    return sum(is_wrong(span, changes) for span in spans)


def is_wrong(span: Span, changes: Sequence[Change]) -> bool:
    """Tell whether a span holds a substitution, a deletion or, strictly inside, an insertion."""
    start, end = span
    return any(start + (change.kind == "insertion") <= change.reference < end for change in changes)


Stages = Callable[[str], Sequence[str]]
"""A normalizer's ``stages``: the text after each of its steps, none for no steps."""

_LOOP_REPEATS = 4
_LOOP_TOKENS = 8


class TextScorer:
    """Scores texts with one normalizer, one list of keywords and one segmenter.

    Normalizing is most of the work; give it a ``stages`` that remembers texts
    (:class:`relkit.scoring.normalizers.Pipeline` does).
    """

    def __init__(
        self, stages: Stages, *, keywords: Sequence[str] = (), segmenter: Segmenter = "auto"
    ) -> None:
        """Normalize the keywords as the texts will be."""
        self._stages: Stages = lambda text: stages(visible(text))
        self._segmenter = segmenter
        normalized = (self.normalize(keyword) for keyword in keywords)
        self._keywords = Keywords.of(normalized, segmenter)

    def normalize(self, text: str) -> str:
        """Return the text after the last step of the normalizer."""
        stages = self._stages(text)
        return stages[-1] if stages else text

    def score(
        self, reference: str, hypothesis: str | None, entities: Sequence[str] = ()
    ) -> ScoredText:
        """Return the score of one item; ``entities`` are texts as labelled, not normalized."""
        return score_text(
            reference,
            hypothesis,
            reference_stages=self._stages(reference),
            hypothesis_stages=() if hypothesis is None else self._stages(hypothesis),
            entities=[self.normalize(entity) for entity in entities],
            keywords=self._keywords,
            segmenter=self._segmenter,
        )


def score_text(
    reference: str,
    hypothesis: str | None,
    *,
    reference_stages: Sequence[str] = (),
    hypothesis_stages: Sequence[str] = (),
    entities: Sequence[str] = (),
    keywords: Keywords = NO_KEYWORDS,
    segmenter: Segmenter = "auto",
) -> ScoredText:
    """Return everything that comparing the two texts gives.

    ``reference_stages`` and ``hypothesis_stages`` are the texts after each step of the same
    normalizer, raw text excluded; entities and keywords are normalized already. A hypothesis of
    None is a failure: all tokens count as deleted, all located spans as wrong. Raises ValueError
    where the two texts went through a different number of steps.
    """
    if hypothesis is None:
        hypothesis, hypothesis_stages = "", [""] * len(reference_stages)
    if len(reference_stages) != len(hypothesis_stages):
        raise ValueError("both texts must go through the same steps")
    references, hypotheses = [reference, *reference_stages], [hypothesis, *hypothesis_stages]
    expected, answered = tokens(references[-1], segmenter), tokens(hypotheses[-1], segmenter)
    counts = count_errors(expected, answered)
    raw = count_text(reference, hypothesis, segmenter) if reference_stages else counts
    placed = place([tokens(text, segmenter) for text in entities], expected)
    keyword_spans = keywords.spans(expected)
    wrong = changes(expected, answered) if counts.errors and (any(placed) or keyword_spans) else []
    marks = tuple(None if span is None else is_wrong(span, wrong) for span in placed)
    return ScoredText(
        counts=counts,
        raw=raw,
        characters=count_errors(graphemes(references[-1]), graphemes(hypotheses[-1])),
        entities=len(marks) - marks.count(None),
        entity_errors=marks.count(True),
        keywords=len(keyword_spans),
        keyword_errors=count_wrong(keyword_spans, wrong),
        unlocated=marks.count(None),
        entity_marks=marks,
        loop=has_new_loop(expected, answered),
        stage_errors=(
            raw.errors,
            *_errors_between(references, hypotheses, raw.errors, segmenter),
            *([counts.errors] if reference_stages else []),
        ),
    )


def _errors_between(
    references: Sequence[str], hypotheses: Sequence[str], errors: int, segmenter: Segmenter
) -> Iterator[int]:
    """Yield the word errors after each step but the last; ``errors`` are those before the first.

    A step that changed neither text has the errors of the step before it.
    """
    before = references[0], hypotheses[0]
    for after in zip(references[1:-1], hypotheses[1:-1], strict=True):
        if after != before:
            errors = count_unit_errors(tokens(after[0], segmenter), tokens(after[1], segmenter))
        yield errors
        before = after


def has_new_loop(reference: Sequence[str], hypothesis: Sequence[str]) -> bool:
    """Tell whether the hypothesis repeats an n-gram in a loop that is not the reference's.

    A loop is an n-gram at least 4 times in a row, over 8 tokens or more, and at least twice as
    often in a row as in the reference (docs/method.md, section "Scoring text").
    """
    # The shortest loop (a pair four times) leaves 6 tokens that are no new ones.
    if len(hypothesis) - len(set(hypothesis)) < _LOOP_TOKENS - 2:
        return False
    symbols: dict[str, str] = {}  # a character for each token, so that texts are searched in C
    expected, answered = (
        "".join([symbols.setdefault(token, chr(len(symbols))) for token in side])
        for side in (reference, hypothesis)
    )
    longest: dict[str, int] = {}
    for start, end, lag in _loops(answered):
        unit = answered[start : start + lag]
        longest[unit] = max(longest.get(unit, 0), end - start)
    return any(tokens >= 2 * _longest_run(expected, unit) for unit, tokens in longest.items())


def _loops(text: str) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and period of loops; none whose period is a multiple of another's.

    A loop of period p in [size, 2 size) matches itself p further on over 3 p tokens at least, and
    a block of ``size`` tokens from every ``size``-th place on lies in there. So the blocks' next
    occurrences give all periods, in about n log n steps.
    """
    covered = [0] * len(text)  # where a loop around a token ends that was found before
    size = 1
    while _LOOP_REPEATS * size <= len(text):
        examined: dict[int, int] = {}  # by period, the end of the last run
        for at in range(0, len(text) - 2 * size + 1, size):
            block = text[at : at + size]
            place = text.find(block, at + size, at + 3 * size - 1)
            while place >= 0 and covered[at] < place + size:
                lag = place - at
                if examined.get(lag, 0) <= at:
                    start, end = _run(text, at, lag)
                    examined[lag] = end - lag
                    if end - start >= max(_LOOP_REPEATS * lag, _LOOP_TOKENS):
                        covered[start:end] = [max(end, far) for far in covered[start:end]]
                        yield start, end, lag
                place = text.find(block, place + 1, at + 3 * size - 1)
        size *= 2


def _run(text: str, at: int, lag: int) -> tuple[int, int]:
    """Return start and end of the longest run around a token that repeats itself after ``lag``."""
    start, after = at, at
    while start and text[start - 1] == text[start - 1 + lag]:
        start -= 1
    while after + lag < len(text) and text[after] == text[after + lag]:
        after += 1
    return start, after + lag


def _longest_run(text: str, unit: str) -> int:
    """Return the most tokens over which a text repeats a unit, wherever in the unit it begins."""
    lag, longest, start = len(unit), 0, 0
    for at in range(lag, len(text) + 1):
        if at == len(text) or text[at] != text[at - lag]:
            if at - start > longest and text[start : start + lag] in unit + unit:
                longest = at - start
            start = at - lag + 1
    return longest


def entity_types(
    items: Iterable[tuple[Sequence[str], Sequence[bool | None]]],
) -> tuple[EntityType, ...]:
    """Return entities and errors by type, the worst type first.

    Each item is one result: the types of its labels, and for each whether it is wrong (None where
    it was not found in the reference, and is left out). Raises ValueError where the two differ in
    length.
    """
    counts: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for types, marks in items:
        for name, mark in zip(types, marks, strict=True):
            if mark is not None:
                counts[name] += 1
                wrong[name] += mark
    scored = [EntityType(type=name, entities=counts[name], errors=wrong[name]) for name in counts]
    return tuple(sorted(scored, key=lambda item: (-item.errors / item.entities, item.type)))
