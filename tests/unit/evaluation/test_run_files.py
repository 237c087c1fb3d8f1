"""A run's files: answer lines, journal, header and report say what they hold, and nothing else."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.codec import encode
from relkit.core.errors import InvalidInput
from relkit.core.values import Estimate, SystemId
from relkit.datasets.types import (
    Answer,
    AnswerClock,
    AnswerEvent,
    Failure,
    FailureReason,
    Prediction,
    Unusable,
    UnusableReason,
)
from relkit.evaluation.run_files import (
    answer_from,
    parse_answer,
    parse_journal_line,
    parse_report,
    parse_run,
    render_answer,
    render_journal_line,
    render_report,
    render_run,
)
from relkit.evaluation.suites import suite_digest
from relkit.evaluation.types import Hallucinations, Outcome, Runaways, RunHeader, RunStatus
from tests.builders import (
    DIGEST,
    FULL_ANSWER,
    estimate,
    header,
    outcome,
    outcomes,
    report,
    slice_result,
    suite,
    version,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
TIMES = st.floats(min_value=0, max_value=1e9)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
CLOCKS: st.SearchStrategy[AnswerClock] = st.sampled_from(["system", "harness"])
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


def test_a_whole_number_is_the_id_that_it_is_written_as() -> None:
    """1 and "1" are the same id, as in every file of others."""
    (number, _), (text, _) = (
        parse_answer(line, source="a")
        for line in ('{"id": 12, "text": "a"}', '{"id": "12", "text": "a"}')
    )
    assert number == text == "12"


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
        ('{"id": 5.0, "text": "a"}', '"id"'),
        ('{"id": true, "text": "a"}', '"id"'),
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


@settings(max_examples=150, deadline=None)
@given(outcomes())
def test_any_outcome_survives_the_way_through_the_journal(item: Outcome) -> None:
    """Rendering and parsing are inverse, and a line is one line."""
    line = render_journal_line(item)
    assert "\n" not in line
    assert "\r" not in line
    assert parse_journal_line(line, line=1) == item


@pytest.mark.parametrize(
    "item",
    [
        outcome("u1", FULL_ANSWER),
        outcome("u1", Answer(text=""), repeat=3),
        outcome("\u2028ü\x85\n", Answer(text="a\u2028b\x85c\td\x00e\N{GRINNING FACE}")),
        *(outcome("u1", Failure(reason=reason, detail="status 500")) for reason in FailureReason),
        *(outcome("u1", Unusable(reason=reason, detail="9 s")) for reason in UnusableReason),
        Outcome(
            id="recorded",
            repeat=0,
            duration=2.5,
            prediction=Prediction(id="recorded", outcome=Answer(text="hi"), cached=True),
        ),
    ],
)
def test_each_kind_of_outcome_survives(item: Outcome) -> None:
    """Answers with all their parts, every reason, and a length without audio."""
    assert parse_journal_line(render_journal_line(item), line=1) == item


def test_whether_asking_again_may_help_is_not_kept() -> None:
    """By the time it is written nobody asks again: a failure is final."""
    item = outcome("u1", Failure(reason=FailureReason.TIMEOUT, retryable=True))
    assert parse_journal_line(render_journal_line(item), line=1) == outcome(
        "u1", Failure(reason=FailureReason.TIMEOUT)
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_number_that_is_none_gets_into_the_journal(value: float) -> None:
    """A defect elsewhere stops here rather than at the next resume."""
    for item in (
        Outcome(id="u", repeat=0, duration=value, unusable=outcome().unusable),
        outcome("u", Answer(text="", latency_ms=value)),
        outcome("u", Answer(text="", usage={"tokens": value})),
    ):
        with pytest.raises(ValueError, match="not JSON compliant"):
            render_journal_line(item)


LINE = json.loads(render_journal_line(outcome()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: Expecting value"),
        ('{"id":"u","rep', "not JSON: Unterminated string"),
        ("\0\0\0", "not JSON: Expecting value"),
        (json.dumps({"id": "u"}), 'one of "answer", "failure" and "unusable" was expected'),
        (
            json.dumps(LINE | {"failure": {"reason": "timeout"}}),
            'one of "answer", "failure" and "unusable" was expected',
        ),
        (json.dumps(LINE | {"extra": 1}), 'unknown key "extra"'),
        (json.dumps(LINE | {"repeat": "0"}), '"repeat": Input should be a valid integer'),
        (json.dumps(LINE | {"duration": float("nan")}), "NaN is no JSON number"),
        (json.dumps(LINE | {"answer": {"id": "u"}}), 'neither of "text" and "error"'),
        (json.dumps(LINE | {"answer": {"id": "u", "text": 3}}), '"text": Input should be a valid'),
        (json.dumps({"id": "u", "failure": {"reason": "bored"}}), '"failure.reason": Input should'),
        (json.dumps({"id": "u", "unusable": {"reason": "x"}}), '"unusable.reason": Input should'),
        ('{"id":"u","id":"v"}', 'the key "id" stands twice'),
        (json.dumps(LINE | {"schema": "relkit.journal/v2"}), '"schema": Input should be'),
    ],
)
def test_a_damaged_line_is_refused_with_its_number(text: str, message: str) -> None:
    """A run is never resumed from something that is not an outcome."""
    with pytest.raises(InvalidInput) as caught:
        parse_journal_line(text, line=12)
    assert caught.value.message.startswith(f"journal.jsonl, line 12: {message}")


def test_a_line_holds_no_key_without_a_value() -> None:
    """Journals are long: what is absent is left out."""
    failed = outcome("u", Failure(reason=FailureReason.CRASHED))
    assert json.loads(render_journal_line(failed)) == {
        "id": "u",
        "repeat": 0,
        "audio": DIGEST,
        "duration": 1.25,
        "attempts": 2,
        "cached": False,
        "load": DIGEST,
        "failure": {"reason": "crashed", "detail": ""},
    }


OUTPUTS = {"report.json": DIGEST, "results.parquet": DIGEST}


@pytest.mark.parametrize("status", ["running", "finished"])
@pytest.mark.parametrize(
    "item",
    [
        header(),
        header(source="20260101T000000Z-abcdef", repeats=3, versions={}),
        header(dataset=version(revision=None, dirty=None, contract="passed")),
        header(candidate=SystemId(digest=DIGEST, artifact=DIGEST)),
        header(load={}),
        header(load={"one": 1, "whole": 1.0, "yes": True, "word": "ü\u2028", "none": None}),
    ],
)
def test_a_header_survives_the_way_through_its_file(item: RunHeader, status: RunStatus) -> None:
    """Header, status and output digests come back as they were, types included."""
    item = replace(item, status=status, outputs=OUTPUTS)
    found = parse_run(render_run(item), source="r/run.json")
    assert found == item
    for key, value in item.load.items():
        assert type(found.load[key]) is type(value)


def test_the_suite_of_a_run_keeps_its_digest() -> None:
    """The digest in run.json is believed, not made anew by a later relkit."""
    document = json.loads(render_run(header()))
    document["suite_digest"] = "sha256:" + "9" * 64
    found = parse_run(json.dumps(document), source="r/run.json")
    assert found.suite_digest == "sha256:" + "9" * 64
    assert suite_digest(suite()) != found.suite_digest


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_that_is_none_gets_into_a_run(value: float) -> None:
    """A load fingerprint with NaN could never be compared with anything."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_run(header(load={"x": value}))


RUN = render_run(header(status="finished", finished="2026-01-31T12:01:00Z", outputs=OUTPUTS))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"finished"', '"done"', "\"status\": Input should be 'running' or 'finished'"),
        ('"repeats": 1', '"repeats": "1"', '"repeats": Input should be a valid integer'),
        ('"repeats": 1', '"repaets": 1', 'unknown key "repaets"'),
        ('"share": 0.5', '"share": Infinity', "Infinity is no JSON number"),
        ('"share": 0.5', '"share": [1]', '"load.share": Input should be'),
        (
            '"kind": "recorded"',
            '"kind": "other"',
            "\"suite.system\": 'other' is none of 'faster-whisper'",
        ),
        ('"normalizer": "english"', '"normalizer": 3', '"suite.normalizer": Input should be'),
        ("relkit.run/v1", "relkit.run/v2", '"schema": Input should be'),
        ("}\n}", "}", "not JSON"),
    ],
)
def test_a_damaged_run_file_is_refused_by_name(old: str, new: str, message: str) -> None:
    """Each error names the run's file."""
    text = RUN.replace(old, new, 1)
    assert text != RUN
    with pytest.raises(InvalidInput) as caught:
        parse_run(text, source="r/run.json")
    assert caught.value.message.startswith("r/run.json")
    assert message in caught.value.message


def test_metrics_and_slices_keep_their_order() -> None:
    """People read a report from the top."""
    metrics = {name: estimate() for name in ("wer", "cer", "rtf", "latency_ms.p95")}
    item = report(slice_result("overall", metrics), slice_result("z=1"), slice_result("a=1"))
    again = parse_report(render_report(item), source="report.json")
    assert list(again.slices[0].metrics) == list(metrics)
    assert [found.slice for found in again.slices] == ["overall", "z=1", "a=1"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", ["value", "low", "high"])
def test_no_number_that_is_none_gets_into_a_report(place: str, value: float) -> None:
    """A report with NaN cannot be written at all."""
    wrong = estimate(0.25, **{place: value}) if place != "value" else Estimate(value=value)
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_report(report(slice_result("overall", {"wer": wrong})))


def test_no_rate_of_a_hallucination_or_runaway_is_nan() -> None:
    """The extremes are checked as the estimates are."""
    for change in (
        {"runaways": Runaways(count=0, loops=0, hidden_rate=float("nan"))},
        {
            "hallucinations": Hallucinations(
                clips=0, with_words=0, words=0, words_per_minute=float("inf")
            )
        },
    ):
        with pytest.raises(ValueError, match="not JSON compliant"):
            render_report(report(**change))


TEXT_OF_REPORT = render_report(report())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"value": 0.25', '"value": NaN', "report.json: NaN is no JSON number"),
        ('"value": 0.25', '"value": 1e999', "report.json: the number 1e999 is out of range"),
        ('"value": 0.25', '"value": "0.25"', '"slices.0.metrics.wer.value": Input should be a'),
        ('"value": 0.25', '"valeu": 0.25', 'report.json: unknown key "slices.0.metrics.wer.valeu"'),
        ('"scored": 2', '"scored": 2.5', '"scored": Input should be a valid integer'),
        ('"scored": 2', '"scored": true', '"scored": Input should be a valid integer'),
        ('"scored": 2', '"scored": 2, "scored": 3', 'the key "scored" stands twice'),
        ('"scored": 2,', "", 'report.json: the key "scored" is missing'),
        ("relkit.report/v1", "relkit.report/v2", '"schema": Input should be'),
        ('"dirty": false', '"dirty": 0', '"dataset.dirty": Input should be a valid boolean'),
        ("{\n", "{\n,", "report.json, line 2: not JSON"),
    ],
)
def test_a_wrong_report_is_refused(old: str, new: str, message: str) -> None:
    """Types are exact, keys are known and stand once, numbers are numbers."""
    text = TEXT_OF_REPORT.replace(old, new, 1)
    assert text != TEXT_OF_REPORT
    with pytest.raises(InvalidInput) as caught:
        parse_report(text, source="report.json")
    assert message in caught.value.message
    assert caught.value.message.startswith("report.json")


def test_the_document_has_the_keys_that_users_rely_on() -> None:
    """docs/cli.md, ``eval --json``: report.json is the same document."""
    document: dict[str, Any] = json.loads(json.dumps(encode(report())))
    assert document["path"] == f".relkit/runs/{document['run']}"
    assert {"run", "path", "expected", "scored", "failures", "unusable", "slices"} <= set(document)
    first = document["slices"][0]
    assert {"slice", "utterances", "clusters", "metrics"} <= set(first)
    assert first["metrics"]["wer"] == {
        "value": 0.25,
        "low": 0.125,
        "high": 0.5,
        "n": 8,
        "clusters": 5,
        "unit": "fraction",
        "method": "jackknife",
        "note": None,
    }
    assert document["coverage"] == 2 / 3
    assert document["masking"][0]["hidden"] == 1


def test_a_report_on_nothing_has_no_coverage() -> None:
    """Nothing expected is null, not 1 and not 0."""
    assert encode(report(expected=0))["coverage"] is None
