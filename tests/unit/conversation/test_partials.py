"""Words taken back, settling and finals, against tables, a slow oracle and recorded streams."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.conversation.partials import (
    TextStream,
    cached_words,
    count_updates,
    early_partial,
    most_taken_back,
    stream_counts,
    stream_of,
    stream_times,
    words_taken_back,
)
from relkit.conversation.types import ConversationTimes
from relkit.core.tokens import tokens
from relkit.datasets.types import Answer, AnswerEvent
from relkit.scoring.normalizers import PURE_STEPS, Pipeline

RECORDED = Path(__file__).parents[4] / "shared" / "conversations"
WORDS = cached_words(str.casefold, str.split)
TEXTS = st.lists(st.lists(st.sampled_from("abc"), max_size=5).map(tuple), max_size=8)


def at(t_ms: float, kind: str, text: str | None = None) -> AnswerEvent:
    """Return an event of a stream."""
    return AnswerEvent(t_ms=t_ms, kind=kind, text=text)


def read(*events: AnswerEvent, text: str) -> TextStream:
    """Return the stream of an answer that shows something."""
    stream = stream_of(Answer(text=text, events=events))
    assert stream is not None
    return stream


def slow_counts(shown: list[tuple[str, ...]]) -> tuple[int, int, int]:
    """Count updates, revisions and words by the definition, pair by pair."""
    updates = revisions = taken_back = 0
    for before, after in zip([(), *shown], shown, strict=False):
        common = max(
            n for n in range(len(before) + 1) if n <= len(after) and before[:n] == after[:n]
        )
        updates += before != after
        revisions += before != after and len(before) > common
        taken_back += len(before) - common
    return updates, revisions, taken_back


@given(TEXTS)
def test_updates_are_counted_as_by_the_definition(shown: list[tuple[str, ...]]) -> None:
    """The fast count equals the slow one, and the explorer's words sum to it."""
    counts = count_updates(shown)
    assert (counts.updates, counts.revisions, counts.taken_back) == slow_counts(shown)
    assert words_taken_back(shown).total() == counts.taken_back


@given(TEXTS)
def test_a_text_shown_twice_changes_nothing(shown: list[tuple[str, ...]]) -> None:
    """An update that changes no word is none."""
    twice = [text for text in shown for _ in range(2)]
    assert count_updates(twice) == count_updates(shown)


@given(TEXTS, st.floats(0, 1e4))
def test_shifting_everything_changes_no_time(shown: list[tuple[str, ...]], by_ms: float) -> None:
    """Times are from the bounds of speech: where both move, nothing changes."""
    texts = [" ".join(words) for words in shown] or [""]

    def measured(offset: float) -> ConversationTimes:
        events = [at(offset + 100.0 * i, "partial", text) for i, text in enumerate(texts)]
        events.append(at(offset + 100.0 * len(texts), "final", texts[-1]))
        bounds = (offset + 150.0, offset + 400.0)
        return stream_times(read(*events, text=texts[-1]), WORDS, bounds)

    here, there = measured(0.0), measured(round(by_ms))
    assert here == there


@pytest.mark.parametrize(
    ("file", "clips", "churn", "revision_share", "unstable_share"),
    [
        ("partials-sphinx.jsonl", 29, 1.72, 0.61, 1.0),
        ("partials-whisper.jsonl", 16, 0.56, 0.39, 0.88),
    ],
)
def test_recorded_streams_give_the_published_figures(
    file: str, clips: int, churn: float, revision_share: float, unstable_share: float
) -> None:
    """Real recognisers on real speech count as they were counted elsewhere."""
    path = RECORDED / file
    if not path.is_file():
        pytest.skip("the recorded streams are not beside this checkout")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    normalize = Pipeline.of("basic", PURE_STEPS) if False else str.casefold
    words = cached_words(normalize, tokens)
    counts = [
        stream_counts(
            read(
                *(at(t_ms, "partial", text) for t_ms, text in row["partials"]),
                at(row["duration_ms"], "final", row["final"]),
                text=row["final"],
            ),
            words,
            (0.0, row["duration_ms"]),
        )
        for row in rows
    ]
    total = sum(item.taken_back for item in counts) / sum(item.final_words for item in counts)
    revised = sum(item.revisions for item in counts) / sum(item.updates for item in counts)
    assert len(rows) == clips
    assert total == pytest.approx(churn, abs=0.0055)
    assert revised == pytest.approx(revision_share, abs=0.005)
    assert sum(item.unstable for item in counts) / clips == pytest.approx(
        unstable_share, abs=0.0055
    )


def test_what_a_stream_counts() -> None:
    """Case is no change, the final is an update, and each word beyond the prefix is taken back."""
    stream = read(
        at(100, "partial", ""),
        at(200, "partial", "Set a"),
        at(300, "partial", "set a"),
        at(400, "partial", "set the timer"),
        at(500, "partial", "set a timer"),
        at(900, "final", "set a timer now"),
        text="set a timer now",
    )
    counts = stream_counts(stream, WORDS, (50.0, 800.0))
    assert (counts.updates, counts.revisions, counts.taken_back) == (4, 2, 3)
    assert (counts.streamed, counts.unstable, counts.final_words) == (1, 1, 4)
    assert (counts.finals, counts.false_finals) == (1, 0)
    assert stream_times(stream, WORDS, (50.0, 800.0)) == ConversationTimes(
        first_partial_ms=150.0, settled_ms=100.0, finalisation_ms=100.0
    )


def test_a_text_that_is_right_early_settles_before_the_end() -> None:
    """Since 300 ms the shown text is the final one, although it was so once before."""
    stream = read(
        at(100, "partial", "stop"),
        at(200, "partial", "stop it"),
        at(300, "partial", "stop"),
        at(700, "final", "Stop"),
        text="Stop",
    )
    times = stream_times(stream, WORDS, (50.0, 600.0))
    assert (times.settled_ms, times.finalisation_ms) == (-300.0, 100.0)


def test_without_the_bounds_of_speech_there_is_no_time() -> None:
    """Nothing is measured from a guess: no time, and no final is called false or right."""
    stream = read(at(10, "final", "a"), text="a")
    assert stream_times(stream, WORDS, None) == ConversationTimes()
    assert stream_counts(stream, WORDS, None).finals == 0


def test_a_final_before_the_end_is_false_even_if_another_follows() -> None:
    """The first final counts for that, the last one is the text; the first is shown until then."""
    stream = read(at(300, "final", "a b"), at(900, "final", "a c"), text="a c")
    counts = stream_counts(stream, WORDS, (0.0, 800.0))
    assert (counts.finals, counts.false_finals, counts.taken_back) == (1, 1, 1)
    assert stream_times(stream, WORDS, (0.0, 800.0)).finalisation_ms == 100.0


def test_without_a_final_event_the_text_is_final_at_no_known_time() -> None:
    """Churn is measured up to the answer's text; neither settling nor a false final is known."""
    stream = read(at(100, "partial", "a b"), text="a c")
    counts = stream_counts(stream, WORDS, (0.0, 80.0))
    assert (counts.taken_back, counts.finals) == (1, 0)
    assert stream_times(stream, WORDS, (0.0, 80.0)) == ConversationTimes(first_partial_ms=100.0)


def test_pieces_of_text_are_added_up() -> None:
    """Server-sent deltas show the text so far; what is done is the answer's text."""
    stream = read(at(10, "delta", "set"), at(20, "delta", " a"), at(30, "done"), text="set a")
    assert [item.text for item in stream.shown] == ["set", "set a", "set a"]


def test_an_answer_begun_on_another_text_is_wasted() -> None:
    """Case and punctuation aside; an event without a text means what is shown at the time."""
    stream = read(
        at(100, "partial", "set a"),
        at(110, "llm_started"),
        at(120, "llm_started", "Set a timer."),
        at(200, "final", "set a timer"),
        at(210, "llm_started"),
        text="set a timer",
    )
    counts = stream_counts(stream, WORDS, None)
    assert (counts.speculations, counts.wasted_speculations) == (3, 1)


def test_words_before_anybody_spoke_are_no_first_partial() -> None:
    """They are told apart, and the first partial is one since speech began."""
    stream = read(at(10, "partial", "a"), at(90, "partial", "a b"), text="a b")
    assert early_partial(stream, WORDS, (50.0, 80.0))
    assert stream_times(stream, WORDS, (50.0, 80.0)).first_partial_ms == 40.0


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([at(1, "partial")], 'an event "partial" has no "text"'),
        ([at(1, "final", "b")], 'the last "final" is another text'),
        ([at(1, "final", "a"), at(2, "partial", "a")], "a partial comes after the last final"),
    ],
)
def test_a_stream_that_contradicts_itself_is_refused(
    events: list[AnswerEvent], problem: str
) -> None:
    """What was scored and what was measured has to be one text."""
    with pytest.raises(ValueError, match=problem):
        stream_of(Answer(text="a", events=tuple(events)))


def test_an_answer_that_shows_nothing_is_no_stream() -> None:
    """Other events alone do not make a stable recogniser of it."""
    assert stream_of(Answer(text="a", events=(at(1, "end"),))) is None


def test_the_words_taken_back_most_come_first() -> None:
    """By how often, then by the alphabet."""
    counters = [words_taken_back([("b",), ("a", "b"), ("c",)]), words_taken_back([("b",), ()])]
    assert most_taken_back({"all": counters}, most=2) == {"all": (("b", 3), ("a", 1))}
