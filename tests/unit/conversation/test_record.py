"""Recorded answers as conversations: what is repaired by a rule, and what is refused."""

import math
from typing import Any

import pytest

from relkit.conversation.record import conversation_of, conversation_of_spans
from relkit.conversation.turns import measure_turns
from relkit.conversation.types import SoundSpan, UserSpeech
from relkit.datasets.types import Answer, AnswerEvent, ScriptEntry

SCRIPT = (
    ScriptEntry(turn="u1", audio_filepath="a.flac", text="set a timer"),
    ScriptEntry(turn="u2", audio_filepath="b.flac", label="backchannel"),
)


def answer(*events: tuple[float, str] | tuple[float, str, str], end: float | None = 9e3) -> Answer:
    """Return a recorded answer; an event is a time, a kind, and perhaps a turn."""
    return Answer(
        text="",
        duration_ms=end,
        events=tuple(
            AnswerEvent(t_ms=event[0], kind=event[1], turn=event[2] if len(event) > 2 else None)
            for event in events
        ),
    )


START, STOP = "user_speech_start", "user_speech_stop"
SOUND, SILENCE = "agent_speech_start", "agent_speech_stop"


def test_truth_is_told_from_belief() -> None:
    """User and agent come from truth, in the script's words; what the system said stays apart."""
    conversation = conversation_of(
        answer(
            (4_000, SILENCE),
            (2_600, "user_stopped_speaking"),
            (1_000, START, "u1"),
            (3_000, SOUND),
            (2_000, STOP, "u1"),
            (3_500, START, "u2"),
            (3_700, STOP, "u2"),
        ),
        id="c",
        script=SCRIPT,
    )
    assert conversation.user == (
        UserSpeech(start_ms=1_000, stop_ms=2_000, turn="u1", text="set a timer"),
        UserSpeech(start_ms=3_500, stop_ms=3_700, turn="u2", label="backchannel"),
    )
    assert conversation.agent == (SoundSpan(start_ms=3_000, stop_ms=4_000),)
    assert [event.kind for event in conversation.events] == ["user_stopped_speaking"]
    assert (conversation.duration_ms, conversation.pacing_p99_ms) == (9_000, None)


@pytest.mark.parametrize(
    ("events", "user", "agent"),
    [
        (((1, START, "u1"), (2, START, "u1"), (5, STOP, "u1"), (7, STOP, "u1")), [(1, 7)], []),
        (((1, START, "u1"),), [(1, 9_000)], []),  # cut by the end
        (((10, SOUND), (20, SOUND), (500, SILENCE)), [], [(10, 500)]),
        (((10, SILENCE), (20, SOUND), (500, SILENCE), (600, SILENCE)), [], [(20, 500)]),
        (((10, SOUND), (500, SILENCE), (699, SOUND), (900, SILENCE)), [], [(10, 900)]),
        (((10, SOUND), (500, SILENCE), (700, SOUND)), [], [(10, 500), (700, 9_000)]),
        (((10, SOUND), (10, SILENCE)), [], []),
        ((), [], []),
    ],
)
def test_records_are_repaired_by_rule(
    events: tuple[tuple[float, str], ...],
    user: list[tuple[float, float]],
    agent: list[tuple[float, float]],
) -> None:
    """Doubled and open events have one meaning each."""
    conversation = conversation_of(answer(*events), id="c", script=SCRIPT)
    assert [(item.start_ms, item.stop_ms) for item in conversation.user] == user
    assert [(item.start_ms, item.stop_ms) for item in conversation.agent] == agent


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (answer((5, START, "u1"), (4, STOP, "u1")), 'the turn "u1" stops before it starts'),
        (answer((4, STOP, "u1")), 'the turn "u1" has a stop and no start'),
        (answer((4, START)), "does not name its turn"),
        (answer((4, START, "u9")), 'the script has no entry "u9"'),
        (answer((-1, "final")), '"final" is negative or no number'),
        (answer((math.nan, "final")), '"final" is negative or no number'),
        (answer((math.inf, SOUND)), "negative or no number"),
        (answer(end=None), "has no end"),
        (answer(end=math.nan), "has no end"),
        (answer((1, SOUND), (9_200, SILENCE)), "ends at 9,000 ms, and somebody spoke at 9,200"),
    ],
)
def test_records_that_tell_no_truth_are_refused(record: Answer, message: str) -> None:
    """Each refusal says what is wrong in words."""
    with pytest.raises(ValueError, match=message):
        conversation_of(record, id="c", script=SCRIPT)


def test_belief_may_come_late() -> None:
    """An event that arrived after the recording ended is kept, a frame of rounding allowed."""
    conversation = conversation_of(answer((1, SOUND), (9_020, SILENCE), (9_900, "final")), id="c")
    assert conversation.duration_ms == 9_020
    assert len(conversation.events) == 1


def test_spans_of_the_recording_stand_instead_of_events() -> None:
    """Where the recording was measured its spans are the agent's truth, and its source is named."""
    measured = [SoundSpan(start_ms=50, stop_ms=90)]
    record = answer((10, SOUND), (9_900, SILENCE))
    conversation = conversation_of(record, id="c", agent=measured, source="audio")
    assert (conversation.agent, conversation.source) == (tuple(measured), "audio")
    with pytest.raises(ValueError, match="somebody spoke"):
        conversation_of(record, id="c", agent=[SoundSpan(start_ms=1, stop_ms=9_500)])


def test_a_recording_alone_has_turns_without_names() -> None:
    """Of a recording made elsewhere every stretch of the user is a turn."""
    spans: dict[str, Any] = {
        "user": [SoundSpan(start_ms=400, stop_ms=900), SoundSpan(start_ms=0, stop_ms=100)],
        "agent": [SoundSpan(start_ms=1_000, stop_ms=1_100)],
    }
    conversation = conversation_of_spans(id="c", duration_ms=2_000, **spans)
    assert [item.turn for item in conversation.user] == ["u1", "u2"]
    assert [item.start_ms for item in conversation.user] == [0, 400]
    assert conversation.source == "vad"
    for broken in (SoundSpan(start_ms=5, stop_ms=4), SoundSpan(start_ms=math.nan, stop_ms=4)):
        with pytest.raises(ValueError, match="stops before it starts"):
            conversation_of_spans(id="c", duration_ms=2_000, user=[broken], agent=[])


def test_a_million_events_are_a_conversation() -> None:
    """A flood of belief is sorted, and what became of the turn is found in it."""
    told = ("llm_token", "interrupted", "final", "agent_cut")
    events = [AnswerEvent(t_ms=float(i % 9_000), kind=told[i % 4]) for i in range(999_996)]
    truth = answer((900, SOUND), (1_000, START, "u1"), (1_500, SILENCE), (2_000, STOP, "u1"))
    record = Answer(text="", duration_ms=9e3, events=(*events, *truth.events))
    conversation = conversation_of(record, id="c")
    assert len(conversation.events) == 999_996
    assert [turn.reaction for turn in measure_turns(conversation)] == ["yielded"]
