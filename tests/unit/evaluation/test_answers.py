"""The answer protocol: what is read, what is refused, and the way there and back."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer, AnswerEvent, Clock, Failure, FailureReason
from relkit.evaluation.run_files import answer_from, parse_answer, render_answer

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
TIMES = st.floats(min_value=0, max_value=1e9)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
CLOCKS: st.SearchStrategy[Clock] = st.sampled_from(["system", "harness"])
EVENTS = st.builds(AnswerEvent, t_ms=TIMES, kind=NAMES, text=st.none() | TEXT)
ANSWERS = st.builds(
    Answer,
    text=TEXT,
    latency_ms=st.none() | TIMES,
    first_byte_ms=st.none() | TIMES,
    clock=CLOCKS,
    events=st.lists(EVENTS, max_size=2).map(tuple),
    usage=st.dictionaries(TEXT, NUMBERS, max_size=2),
    tool_calls=st.lists(JSON, max_size=2).map(tuple),
    audio=st.none() | NAMES,
)


@settings(max_examples=80, deadline=None)
@given(NAMES, ANSWERS)
def test_an_answer_survives_the_way_to_json_and_back(utterance_id: str, answer: Answer) -> None:
    """Rendering and parsing are inverse, for every answer."""
    line = render_answer(utterance_id, answer)
    assert "\n" not in line
    assert parse_answer(line, source="answers.jsonl") == (utterance_id, answer)


def test_every_key_of_the_protocol_arrives_in_its_field() -> None:
    """A full line is read as what it says."""
    line = (
        '{"id": "u1", "text": "hello", "audio": "out.wav", "latency_ms": 12, "clock": "system", '
        '"first_byte_ms": 3.5, "events": [{"t_ms": 1, "kind": "partial", "text": "he"}], '
        '"usage": {"input_tokens": 7}, "tool_calls": [{"name": "call", "arguments": {"a": 1}}]}'
    )
    assert parse_answer(line, source="answers.jsonl") == (
        "u1",
        Answer(
            text="hello",
            audio="out.wav",
            latency_ms=12.0,
            first_byte_ms=3.5,
            clock="system",
            events=(AnswerEvent(t_ms=1.0, kind="partial", text="he"),),
            usage={"input_tokens": 7.0},
            tool_calls=({"name": "call", "arguments": {"a": 1}},),
        ),
    )


@pytest.mark.parametrize("empty", ['""', '" "'])
def test_an_empty_text_is_an_answer(empty: str) -> None:
    """Saying nothing is an answer, not a failure."""
    _, outcome = parse_answer(f'{{"id": "u1", "text": {empty}}}', source="answers.jsonl")
    assert outcome == Answer(text=json.loads(empty))


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        ("out_of_memory", "out_of_memory"),
        ("my card is 4111 1111", ""),
        ("sk-12345", ""),
        ("a" * 41, ""),
        ("code\n", ""),
    ],
)
def test_a_reported_error_is_a_failure_that_repeats_no_words(error: str, detail: str) -> None:
    """Only a code is kept of a reported error, since free text may hold anything."""
    line = json.dumps({"id": "u1", "error": error})
    assert parse_answer(line, source="answers.jsonl") == (
        "u1",
        Failure(reason=FailureReason.REPORTED, detail=detail),
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "u", "text": "a", "text": "b"}', '"text" stands twice'),
        ('{"id": "u", "text": "a", "latency_ms": NaN}', "NaN is no JSON number"),
        ('{"id": "u", "text": "a", "latency_ms": -Infinity}', "Infinity is no JSON number"),
        ('{"id": "u", "text": "a", "latency_ms": 1e999}', "out of range"),
        ('{"id": "u", "text": "a", "latency_ms": -1}', '"latency_ms"'),
        ('{"id": "u", "text": "a", "first_byte_ms": -0.5}', '"first_byte_ms"'),
        ('{"id": "u", "text": "a", "latency_ms": "12"}', '"latency_ms"'),
        ('{"id": "u", "text": "a", "latency_ms": true}', '"latency_ms"'),
        ('{"id": "u", "text": 5}', '"text"'),
        ('{"id": 5, "text": "a"}', '"id"'),
        ('{"id": "", "text": "a"}', '"id"'),
        ('{"text": "a"}', 'the key "id" is missing'),
        ('{"id": "u"}', 'neither of "text" and "error"'),
        ('{"id": "u", "text": null}', 'neither of "text" and "error"'),
        ('{"id": "u", "text": "a", "error": "b"}', 'both of "text" and "error"'),
        ('{"id": "u", "error": ""}', '"error"'),
        ('{"id": "u", "text": "a", "clock": "wall"}', '"clock"'),
        ('{"id": "u", "text": "a", "events": [{"t_ms": -1, "kind": "x"}]}', "t_ms"),
        ('{"id": "u", "text": "a", "events": [{"t_ms": 1}]}', "kind"),
        ('{"id": "u", "text": "a", "usage": {"tokens": "7"}}', "usage.tokens"),
        ('{"id": "u", "text": "a", "usage": {"tokens": true}}', "usage.tokens"),
        ('{"id": "u", "text": "\\ud800"}', "surrogate"),
        ('{"id": "u", "text": "a", "tool_calls": [{"\\udfff": 1}]}', "surrogate"),
        ("[]", "a mapping"),
        ("hello", "not JSON"),
        ("", "not JSON"),
    ],
)
def test_a_line_that_breaks_the_protocol_is_refused_by_file_and_line(
    line: str, message: str
) -> None:
    """Nothing is guessed, and the message says where and what."""
    with pytest.raises(InvalidInput) as caught:
        parse_answer(line, source="answers.jsonl", line=7)
    assert message in caught.value.message
    assert "answers.jsonl" in caught.value.message
    assert "7" in caught.value.message


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    """A misspelled key never loses its value in silence."""
    with pytest.raises(InvalidInput) as caught:
        parse_answer('{"id": "u", "text": "a", "latency": 1}', source="answers.jsonl")
    assert caught.value.hint == 'did you mean "latency_ms"?'


@pytest.mark.parametrize("call", [float("nan"), {1, 2}])
def test_what_json_cannot_say_is_refused(call: object) -> None:
    """A table can hold values that no JSON file could."""
    document = {"id": "u", "text": "a", "tool_calls": [call]}
    with pytest.raises(InvalidInput, match="no word for"):
        answer_from(document, source="answers.parquet", line=2)  # type: ignore[arg-type]  # on purpose
