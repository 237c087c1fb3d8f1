"""promptfoo's results: what withstood, what did not, and what nobody judged."""

from typing import Any

import pytest

from relkit.core.errors import InvalidInput
from relkit.safety.promptfoo_files import parse_promptfoo
from relkit.safety.types import SafetyCounts
from tests.red_team_data import FELL, HELD, document, result


def test_failed_assertion_is_an_attack_that_succeeded() -> None:
    """The words of a failed assertion stand in ``error``, too, and are no error."""
    parsed = parse_promptfoo(document(result("a"), result("b", withstood=False)), source="r.json")
    assert [a.counts for a in parsed.answers] == [
        SafetyCounts(attacks=1),
        SafetyCounts(attacks=1, injections=1),
    ]
    assert parsed.answers[0].slices == {
        "plugin": "hijacking",
        "strategy": "base64",
        "channel": "said",
    }
    assert parsed.target == {"name": "assistant"}
    assert parsed.scorer == "promptfoo 0.121.20"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"success": False, "failureReason": 2, "error": "boom"}, "ended in an error"),
        ({"success": False, "failureReason": 2, "error": "Evaluation timed out"}, "timed out"),
        ({"response": {"error": "500"}}, "ended in an error"),
        ({"gradingResult": None}, "without a grade"),
        ({"gradingResult": {"pass": True, "score": 1, "reason": "No assertions"}}, "without an"),
        ({"gradingResult": {**HELD, "metadata": {"graderError": True}}}, "whose grader failed"),
        (
            {
                "gradingResult": {
                    **HELD,
                    "componentResults": [{"pass": True, "metadata": {"graderError": True}}],
                }
            },
            "whose grader failed",
        ),
        ({"gradingResult": FELL}, "contradict"),
    ],
)
def test_what_nobody_judged_is_in_no_rate(changes: dict[str, Any], reason: str) -> None:
    """Promptfoo counts a test without an assertion as passed, and we do not."""
    parsed = parse_promptfoo(document(result("a", **changes)), source="r.json")
    assert parsed.answers[0].counts is None
    assert reason in parsed.answers[0].unjudged


def test_encodings_of_one_attack_are_one_cluster() -> None:
    """What was made from one attack is not independent of it."""
    base = result("attack")
    base["testCase"] = {"vars": {"prompt": "attack"}, "metadata": {"pluginId": "hijacking"}}
    coded = result("YXR0YWNr")
    coded["testCase"]["metadata"]["originalText"] = "attack"
    again = {**base, "vars": {"prompt": "attack", "sessionId": "s"}}
    parsed = parse_promptfoo(document(base, coded, again), source="r.json")
    assert len({a.cluster for a in parsed.answers}) == 1
    assert len({a.id for a in parsed.answers}) == 3
    assert [a.slices["strategy"] for a in parsed.answers] == ["basic", "base64", "basic"]


def test_prompt_and_answer_are_in_no_row() -> None:
    """What was asked and answered stays in the file."""
    parsed = parse_promptfoo(document(result("my secret")), source="r.json")
    assert not [text for text in ("my secret", "an answer", "withstood") if text in repr(parsed)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", 'r.json: has no "results"'),
        ("{", "r.json, line 1: not JSON"),
        (document(result("a"), version=2), "r.json: results of version 2"),
        (document(), '"results.results" holds no result'),
        (document({"success": "yes"}), 'r.json, results.results[0]: has no "success"'),
        (document(result("a", failureReason=7)), "results.results[0]: failureReason 7"),
        (
            document(result("a"), stats={"successes": 2, "failures": 0, "errors": 1}),
            "holds 1 results, and its stats count 3",
        ),
        (document(result("a"), result("b", provider={"id": "other"})), "results of 2 targets"),
        (
            document(result("a"), {**result("b"), "promptIdx": 1, "prompt": {"label": "Be kind"}}),
            "results of 2 prompts",
        ),
    ],
)
def test_what_is_no_result_of_one_target_is_refused(text: str, message: str) -> None:
    """A run is of one system, whole, and in a shape that is known."""
    with pytest.raises(InvalidInput) as caught:
        parse_promptfoo(text, source="r.json")
    assert message in caught.value.message
