"""JUnit XML: the shape that Jenkins and Surefire read, parsed back, whatever a slice is called."""

from collections import Counter
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings

from relkit.gate.types import GateDecision, Verdict
from relkit.report.junit_view import decision_junit, report_junit
from tests.builders import estimate, report, slice_result
from tests.gate_decisions import (
    HOSTILE,
    NASTY,
    blocked,
    decision,
    failing,
    floor,
    in_shadow,
    open_question,
    override,
    passing,
    result,
)

ATTRIBUTES = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set()),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time"},
        {"timestamp", "hostname", "id", "package", "disabled"},
    ),
    "properties": (set(), set()),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname", "time"}, {"assertions", "status", "group"}),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"message"}, set()),
    "system-out": (set(), set()),
}
"""Element to the attributes it must have and those it may: what jenkins-junit.xsd and
surefire-test-report.xsd have in common."""

CHILDREN: dict[str, list[str]] = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase"],
    "properties": ["property"],
    "testcase": ["skipped", "error", "failure", "system-out"],
}
"""Element to what may stand in it, in this order."""

OUTCOMES = ("failure", "error", "skipped")


def parsed(data: bytes) -> ET.Element:
    """Return the document after holding it to the schema."""
    assert data.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    root = ET.fromstring(data)  # noqa: S314 - our own output
    assert root.tag == "testsuites"
    for element in root.iter():
        must, may = ATTRIBUTES[element.tag]
        assert must <= set(element.attrib) <= must | may, element.tag
        allowed = CHILDREN.get(element.tag, [])
        places = [allowed.index(child.tag) for child in element]
        assert places == sorted(places)
        assert not allowed or not (element.text or "").strip()
    for suite in root.iter("testsuite"):
        cases = suite.findall("testcase")
        counted = Counter(child.tag for case in cases for child in case if child.tag in OUTCOMES)
        assert int(suite.attrib["tests"]) == len(cases)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[name]) == counted[tag]
        for case in cases:
            assert sum(child.tag in OUTCOMES for child in case) <= 1
    return root


def outcomes(shown: GateDecision) -> dict[tuple[str, str], str]:
    """Return (class, name) of every test case to how it ended."""
    found = {}
    for case in parsed(decision_junit(shown)).iter("testcase"):
        ends = [child for child in case if child.tag in OUTCOMES]
        said = f"{ends[0].tag} {ends[0].get('type') or ''}".strip() if ends else "passed"
        found[case.attrib["classname"], case.attrib["name"]] = said
    return found


def test_each_check_is_a_test_case() -> None:
    """Fail is a failure, undecided an error, advisory is skipped; the verdict stands first."""
    found = outcomes(blocked())
    assert next(iter(found)) == ("gate", "verdict")
    assert found == {
        ("gate", "verdict"): "failure fail",
        ("wer-slices", "accent=irish wer_capped"): "failure fail: regressed",
        ("wer-slices", "accent=scottish wer_capped"): "failure fail: regressed",
        ("wer-slices", "noise=babble wer_capped"): "error inconclusive: ratio_not_excluded",
        ("wer-overall", "overall wer_capped"): "passed",
        ("wer-slices", "accent=welsh wer_capped"): "passed",
        ("mos-floor", "channel=telephone dnsmos_ovrl.mean"): "skipped",
    }
    assert outcomes(open_question())["gate", "verdict"] == "error inconclusive"
    assert set(outcomes(passing()).values()) == {"passed", "skipped"}


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_verdict_that_is_no_pass_is_red_even_without_a_check_that_says_why(
    verdict: Verdict,
) -> None:
    """A reader of the XML alone is never told more than the verdict."""
    for shown in (decision(verdict=verdict), decision(floor(), verdict=verdict)):
        assert outcomes(shown)["gate", "verdict"].startswith(("failure", "error"))
    mixed = outcomes(decision(result(), verdict=verdict))["gate", "verdict"]
    assert (mixed == "passed") == (verdict is Verdict.PASS)


def test_a_shadow_turns_nothing_red() -> None:
    """Where a policy only shows what it would do, every blocking check is skipped, with words."""
    shown = in_shadow(blocked())
    assert set(outcomes(shown).values()) == {"skipped"}
    said = [item.attrib["message"] for item in parsed(decision_junit(shown)).iter("skipped")]
    assert said[0].startswith("SHADOW: would be blocked: 2 of 5 required checks fail")
    assert any("shadow: FAIL: wer_capped on accent=irish" in text for text in said)


def test_the_properties_say_what_else_is_known() -> None:
    """Verdict, policy digest, overrides, coverage and A/A."""
    root = parsed(decision_junit(blocked(), [override()]))
    properties = [(p.attrib["name"], p.attrib["value"]) for p in root.iter("property")]
    assert ("verdict", "fail") in properties
    assert any(name == "remark" and "OVERRIDDEN by rita" in value for name, value in properties)
    assert any(value.startswith("A/A: 3 of 200") for _, value in properties)
    suite = root.find("testsuite")
    assert suite is not None
    assert suite.attrib["timestamp"] == "2026-01-31T13:00:00"


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_data_stays_text(text: str) -> None:
    """What XML allows comes back to the letter; a character it has no room for is replaced."""
    shown = decision(failing(slice=text, reason=f"<{text}>"), verdict=Verdict.FAIL)
    root = parsed(decision_junit(shown))
    _, case = root.iter("testcase")
    expected = "".join(
        c if c in "\t\n" or _allowed(c) else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    assert case.attrib["name"] == f"{expected} wer_capped"
    (failure,) = case.iter("failure")
    assert failure.attrib["message"] == f"<{expected}>"


def _allowed(char: str) -> bool:
    return (
        char in "\t\n"
        or " " <= char <= "\ud7ff"
        or "\ue000" <= char <= "\ufffd"
        or char >= "\U00010000"
    )


@settings(max_examples=100, deadline=None)
@given(NASTY, NASTY)
def test_any_name_gives_one_well_formed_document(one: str, two: str) -> None:
    """The number of test cases never depends on what things are called."""
    shown = decision(
        failing(slice=one, rule=two, reason=two, code=one),
        verdict=Verdict.FAIL,
        policy=two,
        created=one,
    )
    assert len(list(parsed(decision_junit(shown)).iter("testcase"))) == 2


def test_a_report_has_numbers_and_no_verdict() -> None:
    """Nothing judged it, so nothing passes; where nothing was scored there is an error."""
    measured = slice_result("overall", {"wer": estimate(0.125), "cer": estimate(0.05)})
    root = parsed(report_junit(report(measured)))
    said = [item.attrib["message"] for item in root.iter("skipped")]
    assert len(said) == len(list(root.iter("testcase"))) == 3
    assert said[0].startswith("12.5 %")
    assert all("judged by no gate" in text for text in said)
    nothing = parsed(report_junit(report(measured, scored=0, unusable=2)))
    (case,) = nothing.iter("testcase")
    assert [child.tag for child in case] == ["error"]
