"""relkit verify and the auditors' file, over one table of decisions: both are of one opinion."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relkit.attestation import auditor
from relkit.attestation.envelopes import Envelope, render_envelope
from relkit.attestation.statements import render_statement
from relkit.attestation.verify import VerifyOptions, verify
from relkit.core.digests import canonical
from tests.decision_vectors import DISHONEST, FORGED, HALVED, HONEST, Change, honest, of_rule
from tests.decisions import ADVISORY, LATER, NEW_NOISE, before_discoveries, before_scores, statement

Judged = tuple[list[str], int, list[str]]
"""Problems, how many checks agree, and which ones are believed."""


class _AnyKey:
    """Stands for a signature that is good: these tests are about what is inside."""

    def verify(self, signature: bytes, message: bytes) -> None:
        """Accept."""


def by_relkit(payload: bytes) -> Judged:
    """Return what relkit verify says about a payload."""
    data = render_envelope(Envelope(payload=payload))
    judged = verify(data, (), now=LATER, options=VerifyOptions(unsigned=True), source="d.json")
    return list(judged.problems), judged.agreed, list(judged.believed)


def by_auditor(payload: bytes) -> Judged:
    """Return what the auditors' file says about a payload."""
    document = json.loads(render_envelope(Envelope(payload=payload)))
    document["signatures"] = [{"keyid": "k", "sig": "AAAA"}]
    wanted = {"now": auditor.moment(LATER), "serial": None, "artifact": None, "policy": None}
    problems, audit = auditor.audit(json.dumps(document).encode(), {"k": _AnyKey()}, wanted)
    if audit is None:
        return problems, 0, []
    agreed = sum(line[4] == "agrees" for line in audit.lines)
    believed = [one for one in audit.believed if not one.startswith(("load-test", "approval"))]
    return problems, agreed, believed


EARLIER = Path(__file__).resolve().parents[2] / "golden" / "decisions_method_1.jsonl"
"""Decisions as they were written before their evidence had a method: never written again."""

VERIFIERS = pytest.mark.parametrize("verifier", [by_relkit, by_auditor])
Verifier = Callable[[bytes], Judged]


@VERIFIERS
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_decision_is_valid(name: str, verifier: Verifier) -> None:
    """Every check that had numbers is judged again, and comes out the same."""
    decision = honest(name)
    judged = [
        result
        for result in decision.results
        if result.test not in ("evidence", "requirement") and result.code not in auditor.UNKNOWABLE
    ]
    assert judged
    assert verifier(render_statement(decision)) == ([], len(judged), [])


def changed(payload: bytes, change: Change) -> bytes:
    """Return a payload after a change of its predicate, in canonical form again."""
    document: Any = json.loads(payload)
    change(document["predicate"])
    again = canonical(document)
    assert again != payload
    return again


@VERIFIERS
@pytest.mark.parametrize("name", DISHONEST)
def test_a_changed_decision_is_found(name: str, verifier: Verifier) -> None:
    """Whatever is changed, the rest of the decision contradicts it, whoever signed it."""
    payload = render_statement(statement(2, worse=3.0))
    assert json.loads(payload)["predicate"]["verdict"] == "fail"
    assert verifier(changed(payload, DISHONEST[name]))[0]


@VERIFIERS
@pytest.mark.parametrize(
    "arguments", [{"text": ADVISORY}, {"registered": NEW_NOISE}, {"slices": 5, "text": ADVISORY}]
)
def test_advisory_families_agree_however_they_were_corrected(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], verifier: Verifier
) -> None:
    """By their false discovery rate now, as those that block in decisions from before that."""
    decision = statement(3, worse=2.0, **arguments)
    before = before_discoveries(monkeypatch, seed=3, worse=2.0, **arguments)
    assert decision.results != before.results
    for each in (decision, before):
        assert verifier(render_statement(each))[0] == []
    advice = next(
        i
        for i, result in enumerate(decision.results)
        if result.rule == "wer-slices" and result.mode == "advisory"
    )
    payload = render_statement(decision)
    forged = changed(payload, lambda p: p["checks"][advice].update(p_adjusted=0.77))
    assert "p_adjusted" in verifier(forged)[0][0]


Tables = list[dict[str, Any]]


def without_tables(*by: str) -> Callable[[Tables], object]:
    """Return a change that leaves out tables."""
    return lambda tables: tables.__setitem__(slice(None), [t for t in tables if t["by"] not in by])


def of_table(by: str, change: Callable[[list[list[float]]], object]) -> Callable[[Tables], object]:
    """Return a change of the rows of tables."""
    return lambda tables: [change(table["rows"]) for table in tables if table["by"] == by]


@VERIFIERS
@pytest.mark.parametrize(
    "change",
    [
        without_tables("prompt"),
        without_tables("cell"),
        without_tables("prompt", "cell"),
        of_table("cell", lambda rows: rows.pop()),
        of_table("cell", lambda rows: [row.__setitem__(2, 0) for row in rows]),
        of_table("prompt", lambda rows: rows.pop(0)),
        of_table("prompt", lambda rows: rows[0].__setitem__(2, 9e3)),
    ],
)
def test_sums_by_prompt_cannot_be_left_out_or_changed(
    change: Callable[[Tables], object], verifier: Verifier
) -> None:
    """Intervals and the test of a family rest on them, and say so."""
    payload = render_statement(statement(3, worse=2.0, prompts=12))
    assert verifier(payload)[0] == []
    without = changed(payload, lambda p: change(p["evidence"]["parts"][0]["sums"]))
    assert verifier(without)[0]


@VERIFIERS
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"worse": 3.0},
        {"alike": True},
        {"alike": True, "errors": False},
        {"worse": 2.0, "prompts": 12},
        {"anchor": True, "text": ADVISORY},
    ],
)
def test_repeats_count_an_utterance_once(arguments: dict[str, Any], verifier: Verifier) -> None:
    """A verifier comes to the counts and ends of the engine, and to no other number of repeats."""
    payload = render_statement(statement(4, repeats=3, **arguments))
    assert b'"repeats":3' in payload
    assert verifier(payload)[0] == []

    def another(predicate: dict[str, Any]) -> None:
        for table in predicate["evidence"]["parts"][0]["sums"]:
            if table["against"] is not None:
                table["repeats"] = 1

    assert verifier(changed(payload, another))[0]
    for bad in (0, -3, 1.5, "3", True, None):
        document = json.loads(payload)
        document["predicate"]["evidence"]["parts"][0]["sums"][0]["repeats"] = bad
        assert verifier(canonical(document))[0], bad


@VERIFIERS
@pytest.mark.parametrize("arguments", [{}, {"repeats": 3}, {"speakers": 5}])
def test_decisions_from_before_limits_were_tested_agree(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], verifier: Verifier
) -> None:
    """A limit was held against the interval then, which no check named."""
    before = before_scores(monkeypatch, seed=3, alike=True, **arguments)
    payload = render_statement(before)
    assert b'"method":"score"' not in payload
    assert b'"method":"score"' in render_statement(statement(seed=3, alike=True, **arguments))
    assert verifier(payload)[0] == []
    renamed = changed(payload, of_rule("wer-limit", method="score"))
    assert "low is" in verifier(renamed)[0][0]


@VERIFIERS
def test_earlier_decisions_are_judged_by_the_formulas_that_made_them(verifier: Verifier) -> None:
    """Those whose slices passed by what would have been seen stay valid, and stay guarded."""
    codes = set()
    for line in EARLIER.read_text(encoding="utf-8").splitlines():
        document = json.loads(line)
        payload = canonical(document)
        assert verifier(payload)[0] == []
        codes |= {check["code"] for check in document["predicate"]["checks"]}
        for change in (lambda p: p["evidence"].update(method=2), of_rule("wer-slices", detects=9)):
            assert verifier(changed(payload, change))[0]
    assert {"no_regression_seen", "too_weak_to_see", "regressed"} <= codes


@VERIFIERS
def test_a_method_that_a_verifier_does_not_know_is_refused(verifier: Verifier) -> None:
    """Neither an older method than was used, nor one that comes later."""
    payload = render_statement(statement())
    for method in (1, 3):
        document = json.loads(payload)
        document["predicate"]["evidence"]["method"] = method
        assert verifier(canonical(document))[0]


@VERIFIERS
def test_a_check_without_sums_is_believed_and_named(verifier: Verifier) -> None:
    """Nobody takes silence for agreement."""
    payload = render_statement(statement())
    silent = changed(payload, lambda p: p["evidence"]["parts"][0]["percentiles"].clear())
    problems, _, believed = verifier(silent)
    assert problems == []
    assert believed == ["latency-p95 on overall", "latency-same on overall"]


@VERIFIERS
@pytest.mark.parametrize("name", FORGED)
def test_a_required_check_passes_by_its_record_only(name: str, verifier: Verifier) -> None:
    """A record that is there, good, signed, about the candidate and valid at that time."""
    payload = render_statement(honest("records that are there"))
    assert verifier(changed(payload, FORGED[name]))[0]


@VERIFIERS
@pytest.mark.parametrize("name", HALVED)
def test_a_launch_is_verified_as_one(name: str, verifier: Verifier) -> None:
    """All parts, their policies, and what is required of them together."""
    payload = render_statement(honest("a launch"))
    assert verifier(changed(payload, HALVED[name]))[0]
