"""What a recogniser shows while somebody speaks: words taken back, and when the text is right.

Rules for a stream (docs/streaming.md, section "Definitions"):

- Each partial, and the final, holds the whole text so far; the last ``final`` is the final one, and
  any before it is shown like a partial. Events come in any order and are sorted by time.
- An update changes the words that are shown; one that changes nothing is none. The final is one.
- Without a final event the answer's text is the final one, at no known time.
- A piece of text (``delta``, with ``done`` at the end) is added to the text so far.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relkit.conversation.types import ConversationCounts, ConversationTimes
from relkit.datasets.types import Answer, AnswerEvent

ShownWords = tuple[str, ...]
SplitText = Callable[[str], ShownWords]
"""A text, normalized, as words."""


def cached_words(
    normalize: Callable[[str], str], split: Callable[[str], Sequence[str]]
) -> SplitText:
    """Return a function from texts to normalized words that does each text once.

    Equal results are one object, so that an update which changes nothing is seen at once.
    """
    by_text: dict[str, ShownWords] = {}
    by_form: dict[str, ShownWords] = {}

    def words(text: str) -> ShownWords:
        split_text = by_text.get(text)
        if split_text is None:
            form = normalize(text)
            split_text = by_form.get(form)
            if split_text is None:
                split_text = by_form[form] = tuple(split(form))
            by_text[text] = split_text
        return split_text

    return words


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateCounts:
    """How often the shown words changed, how often a word was taken back, and how many were."""

    updates: int = 0
    revisions: int = 0
    taken_back: int = 0


def shared_words(before: ShownWords, after: ShownWords) -> int:
    """Return how many words two texts begin with alike."""
    length = min(len(before), len(after))
    if before[:length] == after[:length]:  # most updates only add words
        return length
    place = 0
    while before[place] == after[place]:
        place += 1
    return place


def count_updates(shown: Iterable[ShownWords]) -> UpdateCounts:
    """Return what the texts of one stream count, in their order, the final last.

    Source: words taken back are those of the previous text beyond the common prefix (Shangguan et
    al. 2020, "Analyzing the Quality and Stability of a Streaming End-to-End On-Device Speech
    Recognizer": unstable partial word ratio).
    """
    updates = revisions = taken_back = 0
    before: ShownWords = ()
    for after in shown:
        if after is before:
            continue
        length = len(before)
        if after[:length] == before:  # the common case, without a loop in Python
            if len(after) == length:
                continue
            updates += 1
        else:
            updates += 1
            revisions += 1
            taken_back += length - shared_words(before, after)
        before = after
    return UpdateCounts(updates=updates, revisions=revisions, taken_back=taken_back)


def words_taken_back(shown: Iterable[ShownWords]) -> Counter[str]:
    """Return how often each word was taken back in one stream; they sum to ``taken_back``."""
    counts: Counter[str] = Counter()
    before: ShownWords = ()
    for after in shown:
        counts.update(before[shared_words(before, after) :])
        before = after
    return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownText:
    """A text that was shown from ``t_ms`` on; None for a final whose time nobody knows."""

    t_ms: float | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStream:
    """The texts of one stream in their order: partials, and the final one last.

    ``finals_ms`` are the times of all finals; ``speculations`` the texts that an answer was begun
    on, those shown at the time where the event holds none.
    """

    partials: tuple[ShownText, ...]
    final: ShownText
    finals_ms: tuple[float, ...] = ()
    speculations: tuple[str, ...] = field(default=())

    @property
    def shown(self) -> tuple[ShownText, ...]:
        """Everything that was shown, the final one last."""
        return (*self.partials, self.final)


SHOWN_KINDS = ("partial", "final", "delta", "done")
"""Kinds of events that hold what is shown."""


def stream_of(answer: Answer) -> TextStream | None:
    """Return an answer's stream, by the rules of this module; None where it shows nothing at all.

    Raises ValueError, with words for people, where events hold no text, or where the final one is
    not the answer's text: one of the two would be scored and the other measured.
    """
    events = sorted(answer.events, key=lambda event: event.t_ms)
    if all(event.kind not in SHOWN_KINDS for event in events):
        return None
    texts: list[ShownText] = []
    finals: list[int] = []
    speculations: list[str] = []
    for event in events:
        so_far = texts[-1].text if texts else ""
        if event.kind == "llm_started":
            speculations.append(so_far if event.text is None else event.text)
        elif event.kind in SHOWN_KINDS:
            if event.kind in {"final", "done"}:
                finals.append(len(texts))
            text = answer.text if event.kind == "done" else _shown_by(event, so_far)
            texts.append(ShownText(t_ms=event.t_ms, text=text))
    if not finals:
        final, partials = ShownText(t_ms=None, text=answer.text), texts
    elif finals[-1] != len(texts) - 1:
        raise ValueError("a partial comes after the last final")
    else:
        final, partials = texts[-1], texts[:-1]
    if final.text.split() != answer.text.split():
        raise ValueError('the last "final" is another text than the answer\'s "text"')
    return TextStream(
        partials=tuple(partials),
        final=final,
        finals_ms=tuple(t_ms for i in finals if (t_ms := texts[i].t_ms) is not None),
        speculations=tuple(speculations),
    )


def _shown_by(event: AnswerEvent, so_far: str) -> str:
    if event.text is None:
        raise ValueError(f'an event "{event.kind}" has no "text"')
    return so_far + event.text if event.kind == "delta" else event.text


StreamBounds = tuple[float, float]
"""The first and the last moment of speech in a clip, in ms."""


def stream_counts(
    stream: TextStream, words: SplitText, bounds_ms: StreamBounds | None
) -> ConversationCounts:
    """Return what a stream adds to the rates; finals count only where the end of speech is known.

    Source: docs/streaming.md, section "Definitions".
    """
    shown = [words(item.text) for item in stream.shown]
    counts = count_updates(shown)
    final = _folded(shown[-1])
    end_ms = None if bounds_ms is None or not stream.finals_ms else bounds_ms[1]
    return ConversationCounts(
        streamed=1,
        unstable=int(counts.revisions > 0),
        updates=counts.updates,
        revisions=counts.revisions,
        final_words=len(shown[-1]),
        taken_back=counts.taken_back,
        finals=int(end_ms is not None),
        false_finals=int(end_ms is not None and min(stream.finals_ms) < end_ms),
        speculations=len(stream.speculations),
        wasted_speculations=sum(_folded(words(text)) != final for text in stream.speculations),
    )


def _folded(words: ShownWords) -> str:
    """Return words without case and punctuation, which no answer depends on."""
    parts = ("".join(filter(str.isalnum, word.casefold())) for word in words)
    return " ".join(filter(None, parts))


def stream_times(
    stream: TextStream, words: SplitText, bounds_ms: StreamBounds | None
) -> ConversationTimes:
    """Return when a stream showed its text, in ms from the true bounds; None without them.

    ``first_partial_ms`` is that of the first partial with a word since speech began: one before
    that is not about it. ``settled_ms`` is None for a final without words. Source:
    docs/streaming.md, section "Definitions".
    """
    if bounds_ms is None:
        return ConversationTimes()
    start_ms, end_ms = bounds_ms
    final = words(stream.final.text)
    first = next(
        (
            item.t_ms - start_ms
            for item in stream.partials
            if item.t_ms is not None and item.t_ms >= start_ms and words(item.text)
        ),
        None,
    )
    settled = stream.final.t_ms
    for item in reversed(stream.partials):
        if words(item.text) != final:
            break
        settled = item.t_ms
    return ConversationTimes(
        first_partial_ms=first,
        settled_ms=None if settled is None or not final else settled - end_ms,
        finalisation_ms=None if stream.final.t_ms is None else stream.final.t_ms - end_ms,
    )


def early_partial(stream: TextStream, words: SplitText, bounds_ms: StreamBounds) -> bool:
    """Tell whether a word was shown before anybody spoke."""
    return any(
        item.t_ms is not None and item.t_ms < bounds_ms[0] and bool(words(item.text))
        for item in stream.partials
    )


def most_taken_back(
    by_slice: Mapping[str, Iterable[Counter[str]]], *, most: int
) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return by slice the words that were taken back most, with how often; ties by the alphabet."""
    totals = {name: sum(counters, Counter[str]()) for name, counters in by_slice.items()}
    return {
        name: tuple(sorted(total.items(), key=lambda item: (-item[1], item[0]))[:most])
        for name, total in totals.items()
    }
