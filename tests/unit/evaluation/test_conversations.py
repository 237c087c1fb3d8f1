"""Rows of conversations: who failed, what was not said, and what repeats add."""

from dataclasses import fields

import pytest

from relkit.conversation.types import ConversationCounts
from relkit.core.errors import InvalidInput
from relkit.datasets.types import (
    Answer,
    AnswerEvent,
    AudioSpan,
    ExpectedOutcome,
    Failure,
    FailureReason,
    Prediction,
    ScriptEntry,
    Utterance,
)
from relkit.evaluation.conversations import conversation_rows, run_conversations
from relkit.evaluation.suites import parse_suite
from relkit.evaluation.types import Outcome, Result
from relkit.scoring.text import TextScorer
from relkit.scoring.types import Texts

SUITE = """\
schema: relkit.suite/v1
name: talks
dataset: {name: talks}
task: turn
source: events
system: {kind: recorded, path: answers.jsonl}
"""
TALK = Utterance(
    id="t1",
    audio=AudioSpan(path=""),
    reference="",
    script=(
        ScriptEntry(turn="u1", audio_filepath="a.wav"),
        ScriptEntry(turn="u2", audio_filepath="a.wav", label="backchannel"),
    ),
    expect=ExpectedOutcome(no_tools=("make_transfer",)),
)
WORDLESS = TextScorer(lambda _text: ()).score("", "", [])
SPOKEN = Answer(
    text="hello",
    duration_ms=20_000.0,
    events=(
        AnswerEvent(t_ms=500, kind="user_speech_start", turn="u1"),
        AnswerEvent(t_ms=900, kind="user_speech_stop", turn="u1"),
        AnswerEvent(t_ms=1500, kind="agent_speech_start"),
        AnswerEvent(t_ms=2500, kind="agent_speech_stop"),
    ),
)


def rows_of(*answers: Answer | Failure) -> list[Result]:
    """Return the rows of repeats of one conversation."""
    suite, utterances = parse_suite(SUITE, source="talks.yaml"), {"t1": TALK}
    outcomes = [
        Outcome(id="t1", repeat=i, prediction=Prediction(id="t1", repeat=i, outcome=answer))
        for i, answer in enumerate(answers)
    ]
    talks = run_conversations(outcomes, utterances, suite)
    texts = Texts(
        reference="", hypothesis=None, reference_normalized="", hypothesis_normalized=None
    )
    results = []
    for outcome in talks.outcomes:
        response = None if outcome.prediction is None else outcome.prediction.outcome
        results.append(
            Result(
                id="t1",
                repeat=outcome.repeat,
                cluster="t1",
                slices={},
                duration=None,
                score=WORDLESS,
                texts=texts,
                failure=response.reason.value if isinstance(response, Failure) else None,
            )
        )
    rows, _, _ = conversation_rows(results, talks, utterances, suite=suite, wordless=WORDLESS)
    return rows


def told(row: Result) -> dict[str, float]:
    """Return the counts of a row that are not 0."""
    counts = row.conversation or ConversationCounts()
    values = {item.name: getattr(counts, item.name) for item in fields(counts)}
    return {name: value for name, value in values.items() if value}


def test_a_failed_agent_leaves_turns_unanswered_and_forbids_itself_nothing() -> None:
    """What an agent that crashed did not do is no merit of it."""
    whole, turn, backchannel = rows_of(Failure(reason=FailureReason.CRASHED))
    assert told(whole) == {"tasks": 1, "pass_scored": 1}
    assert told(turn) == {"turns": 1, "unanswered": 1}
    assert told(backchannel) == {}
    assert [row.unit for row in (whole, turn, backchannel)] == [
        "conversation",
        "turn",
        "interruption",
    ]


def test_an_entry_without_events_is_not_measured_and_the_others_are() -> None:
    """Its row stays, without a score, so that rows of two runs pair."""
    whole, turn, backchannel = rows_of(SPOKEN)
    assert told(whole)["tasks_done"] == 1
    assert turn.times is not None
    assert turn.times.response_ms == 600.0
    assert (backchannel.unusable, backchannel.score) == ("no_truth", None)


def test_repeats_pass_on_each_of_their_rows() -> None:
    """Two of three repeats succeed: chance that all do is 0, that any does is 1, divided by 3."""
    rows = rows_of(SPOKEN, Failure(reason=FailureReason.CLOSED), SPOKEN)
    passed = [row.conversation for row in rows if row.conversation and row.conversation.pass_scored]
    assert [(item.pass_any, item.pass_all) for item in passed] == [(1.0, 0.0)] * 3


@pytest.mark.parametrize("task", ["asr", "stream"])
def test_metrics_of_conversations_stand_in_suites_of_conversations(task: str) -> None:
    """A recogniser has no turns."""
    text = SUITE.replace("task: turn", f"task: {task}").replace("source: events\n", "")
    with pytest.raises(InvalidInput, match='"yield_rate" is about conversations'):
        parse_suite(text + "metrics: [yield_rate]\n", source="talks.yaml")
