"""The document of ``relkit gate --json``: the keys of docs/cli.md, strict JSON, and no NaN."""

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.attestation.statements import decision_document
from relkit.core.errors import InvalidInput
from relkit.gate.types import Enforcement, GateDecision, RuleResult, Verdict
from tests.gate_decisions import (
    BASELINE,
    CANDIDATE,
    NASTY,
    blocked,
    decision,
    failing,
    judged,
    open_question,
    override,
    part,
    passing,
    result,
    undecided,
)

CHECK_KEYS = [
    "rule",
    "slice",
    "metric",
    "test",
    "mode",
    "verdict",
    "observed",
    "low",
    "high",
    "baseline",
    "bound",
    "p_adjusted",
    "n",
    "clusters",
    "needed_clusters",
    "reason",
]
"""As docs/cli.md has them."""


def printed(shown: GateDecision, **options: Any) -> dict[str, Any]:  # noqa: ANN401  # as the function
    """Return the document as another program reads it."""
    text = json.dumps(decision_document(shown, **options), allow_nan=False)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("shown", [passing(), blocked(), open_question(), decision()])
def test_it_has_at_least_the_keys_that_are_promised(shown: GateDecision) -> None:
    """Every key of docs/cli.md, and every other field of a result."""
    document = printed(shown, decision_file=".relkit/decisions/asr.json")
    promised = {"verdict", "enforcement", "reason_codes", "decision_file", "checks", "coverage"}
    assert promised <= document.keys()
    assert document["verdict"] == shown.verdict.value
    assert document["decision_file"] == ".relkit/decisions/asr.json"
    assert len(document["checks"]) == len(shown.results)
    for check in document["checks"]:
        assert list(check)[: len(CHECK_KEYS)] == CHECK_KEYS
        names = {field.name for field in fields(RuleResult)}
        assert names - {"method"} <= set(check) <= names
    assert set(document["coverage"]) == {"expected", "scored", "unusable", "failures"}


def test_the_values_are_those_of_the_decision() -> None:
    """Rates stay fractions, none is null, and the parts name their runs by digest."""
    document = printed(blocked(), overrides=[override()])
    (check,) = [item for item in document["checks"] if item["slice"] == "accent=scottish"]
    assert (check["observed"], check["low"], check["needed_clusters"]) == (0.021, 0.004, None)
    assert document["coverage"] == {"expected": 400, "scored": 398, "unusable": 2, "failures": 0}
    (shown,) = document["parts"]
    assert (shown["candidate"]["run"], shown["baseline"]["run"]) == (CANDIDATE, BASELINE)
    assert shown["anchor"] is None
    assert shown["null_replay"]["false_block_rate"] == 0.015
    assert document["overrides"][0]["ticket"] == "REL-12"
    assert document["overrides"][0]["signed"] is True
    assert (document["serial"], document["expires"]) == (7, "2026-02-01T13:00:00Z")
    assert document["decision_file"] is None
    assert printed(passing())["requires"][0]["name"] == "load-test"


def test_coverage_adds_up_over_parts() -> None:
    """A launch of two parts has the counts of both."""
    parts = (part(name="asr"), part(name="tts", candidate=judged("r2"), null_replay=None))
    document = printed(decision(result(), parts=parts))
    assert document["coverage"] == {"expected": 800, "scored": 796, "unusable": 4, "failures": 0}
    assert [item["name"] for item in document["parts"]] == ["asr", "tts"]
    assert document["parts"][1]["null_replay"] is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["observed", "low", "high", "bound", "p_adjusted", "harm"])
def test_a_number_that_is_none_is_null_and_never_passes(field: str, value: float) -> None:
    """A result that says nothing is shown without it; one that passes on it is a defect."""
    broken = {field: value}
    document = printed(decision(failing(**broken), verdict=Verdict.FAIL))
    assert document["checks"][0][field] is None
    with pytest.raises(InvalidInput, match=field):
        decision_document(decision(result(**broken)))


@pytest.mark.parametrize("enforcement", ["enforce", "shadow"])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_an_enforced_pass_promotes(verdict: Verdict, enforcement: Enforcement) -> None:
    """Other programs need not know what a shadow is."""
    shown = decision(undecided(), verdict=verdict, enforcement=enforcement)
    assert printed(shown)["promotes"] == (verdict is Verdict.PASS and enforcement == "enforce")


@settings(max_examples=60, deadline=None)
@given(NASTY.filter(lambda text: "\ud800" not in text), st.floats())
def test_any_text_and_number_is_one_json_document(text: str, number: float) -> None:
    """Strict JSON comes back with the same text, whatever a slice is called."""
    shown = decision(failing(slice=text, reason=text, observed=number), verdict=Verdict.FAIL)
    document = printed(shown, decision_file=text)
    assert document["checks"][0]["slice"] == text
    assert document["checks"][0]["reason"] == text
