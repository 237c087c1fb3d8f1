"""Journal lines: what is written is what is read, and nothing damaged is believed."""

import json

import pytest
from hypothesis import given, settings

from relkit.core.errors import InvalidInput
from relkit.datasets.types import (
    Answer,
    Failure,
    FailureReason,
    Prediction,
    Unusable,
    UnusableReason,
)
from relkit.evaluation.run_files import parse_line, render_line
from relkit.evaluation.types import Outcome
from tests.builders import DIGEST, FULL_ANSWER, outcome, outcomes


@settings(max_examples=150, deadline=None)
@given(outcomes())
def test_any_outcome_survives_the_way_through_the_journal(item: Outcome) -> None:
    """Rendering and parsing are inverse, and a line is one line."""
    line = render_line(item)
    assert "\n" not in line
    assert "\r" not in line
    assert parse_line(line, line=1) == item


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
    assert parse_line(render_line(item), line=1) == item


def test_whether_asking_again_may_help_is_not_kept() -> None:
    """By the time it is written nobody asks again: a failure is final."""
    item = outcome("u1", Failure(reason=FailureReason.TIMEOUT, retryable=True))
    assert parse_line(render_line(item), line=1) == outcome(
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
            render_line(item)


WHOLE = json.loads(render_line(outcome()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: Expecting value"),
        ('{"id":"u","rep', "not JSON: Unterminated string"),
        ("\0\0\0", "not JSON: Expecting value"),
        (json.dumps({"id": "u"}), 'one of "answer", "failure" and "unusable" was expected'),
        (
            json.dumps(WHOLE | {"failure": {"reason": "timeout"}}),
            'one of "answer", "failure" and "unusable" was expected',
        ),
        (json.dumps(WHOLE | {"extra": 1}), 'unknown key "extra"'),
        (json.dumps(WHOLE | {"repeat": "0"}), '"repeat": Input should be a valid integer'),
        (json.dumps(WHOLE | {"duration": float("nan")}), "NaN is no JSON number"),
        (json.dumps(WHOLE | {"answer": {"id": "u"}}), 'neither of "text" and "error"'),
        (json.dumps(WHOLE | {"answer": {"id": "u", "text": 3}}), '"text": Input should be a valid'),
        (json.dumps({"id": "u", "failure": {"reason": "bored"}}), '"failure.reason": Input should'),
        (json.dumps({"id": "u", "unusable": {"reason": "x"}}), '"unusable.reason": Input should'),
        ('{"id":"u","id":"v"}', 'the key "id" stands twice'),
        (json.dumps(WHOLE | {"schema": "relkit.journal/v2"}), '"schema": Input should be'),
    ],
)
def test_a_damaged_line_is_refused_with_its_number(text: str, message: str) -> None:
    """A run is never resumed from something that is not an outcome."""
    with pytest.raises(InvalidInput) as caught:
        parse_line(text, line=12)
    assert caught.value.message.startswith(f"journal.jsonl, line 12: {message}")


def test_a_line_holds_no_key_without_a_value() -> None:
    """Journals are long: what is absent is left out."""
    failed = outcome("u", Failure(reason=FailureReason.CRASHED))
    assert json.loads(render_line(failed)) == {
        "id": "u",
        "repeat": 0,
        "audio": DIGEST,
        "duration": 1.25,
        "attempts": 2,
        "cached": False,
        "load": DIGEST,
        "failure": {"reason": "crashed", "detail": ""},
    }
