"""Decisions about canaries: what is signed is what was decided, and others recompute it."""

import copy
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.attestation import auditor
from relkit.attestation.envelopes import Envelope, render_envelope
from relkit.attestation.statements import parse_content, render_statement
from relkit.attestation.types import TrustedKey
from relkit.attestation.verify import Verification, VerifyOptions, verify
from relkit.attestation.view import verify_document, verify_text
from relkit.canary.judge import judge_canary
from relkit.canary.state_files import (
    amount_entries,
    amounts_of,
    histogram_entries,
    histogram_of,
)
from relkit.canary.types import (
    EVERY_UNIT,
    NO_AMOUNT,
    AmountCounts,
    CanaryDecision,
    CanaryLook,
    CanaryPolicy,
    CanarySubject,
    CellKey,
    FinalRollback,
    JudgedPolicy,
    LostTurns,
    StateName,
    StepTime,
)
from relkit.core.digests import canonical, digest_of
from relkit.core.errors import InvalidInput
from relkit.monitoring.serving.budgets import BUDGETS
from relkit.statistics import bets, measured_bets
from relkit.statistics.bets import no_units
from relkit.statistics.types import UnitCounts
from tests.canary_data import BEGAN, NOW, counts, policy

DIGEST = "sha256:" + "a" * 64
RULES = """\
schema: relkit.canary/v1
name: rollout
control: {release: "1.4.0"}
canary: {release: "1.5.0"}
slices: [device, {column: language, mode: required, detectable: 3}]
steps:
  - {share: 5%, min_duration: 1h, detectable: 5, from: 2026-03-01T10:00:00Z}
  - {share: 25%, min_duration: 4h, detectable: 2, from: 2026-03-01T12:00:00Z}
triggers:
  - {id: failures, rate: failed}
  - {id: silent, rate: no_answer, floor: 1%}
  - {id: hangups, rate: abandoned, per: session, mode: watch}
  - {id: barge, rate: interrupted, mode: advisory}
  - {id: cost, mean: cost, per: success, detectable: 20%}
  - {id: stages, tail: [asr_ms, llm_ttft_ms], at: [p50, p95], mode: watch}
limits:
  - {id: hard, rate: failed, max: 20%}
  - {id: budget, budget: voice-cloud, at: p95}
"""
KEY = TrustedKey(key="k", made=lambda _, __: True)
CODES = ("harm:failures", "limit:hard")
STEPS = (
    StepTime(index=1, share=0.05, since="2026-03-01T10:00:00Z"),
    StepTime(index=2, share=0.25, since=BEGAN),
)
FIRST = counts({(4, 0): 1900, (4, 1): 95}, {(4, 0): 100, (4, 1): 5})
QUIET = counts({(4, 0): 5600, (4, 1): 300, (4, 2): 60}, {(4, 0): 1860, (4, 1): 100, (4, 2): 20})
HARM = counts({(4, 0): 2800, (4, 1): 150, (4, 2): 30}, {(4, 0): 800, (4, 1): 130, (4, 2): 60})


def histogram(units: UnitCounts, rules: CanaryPolicy) -> dict[CellKey, UnitCounts]:
    """Return a histogram in which every rate is the same, overall and on two slices."""
    made = {}
    for step, here in ((1, FIRST), (2, units)):
        for name in [EVERY_UNIT, *(t.id for t in rules.watched if t.kind != "mean")]:
            for key in ("overall",) if name == "barge" else KEYS:
                made[step, name, key] = here
        made[step, "limit.hard", "overall"] = here
    return made


def amounts(*rows: tuple[bool, int, int, int]) -> AmountCounts:
    """Return a histogram of amounts from (canary, base, bin, units)."""
    canary, bases, bins, units = zip(*rows, strict=True)
    return AmountCounts(
        canary=np.array(canary, dtype=np.bool_),
        bases=np.array(bases, dtype=np.int64),
        bins=np.array(bins, dtype=np.int64),
        units=np.array(units, dtype=np.int64),
    )


KEYS = ("overall", "language=de", "device=a%3Db")
COSTS = amounts(
    *(
        (canary, 1, bin_, units)
        for canary, units in ((False, 900), (True, 300))
        for bin_ in (-5, 0, 9)
    ),
    (False, 0, NO_AMOUNT, 40),
    (True, 0, 3, 12),
)


def decision(
    units: UnitCounts | Mapping[CellKey, UnitCounts],
    *,
    text: str = RULES,
    subject: CanarySubject | None = None,
    state: StateName | None = None,
    **changes: Any,  # noqa: ANN401 - as CanaryLook has them
) -> CanaryDecision:
    """Return the decision of the real judge on a histogram."""
    rules = policy(text)
    cells = histogram(units, rules) if isinstance(units, UnitCounts) else units
    look = replace(
        CanaryLook(
            steps=STEPS,
            histogram=cells,
            amounts={(2, "cost", key): COSTS for key in KEYS},
            elapsed_s=5.0 * 3600,
            lost=LostTurns(used=1000, late=3),
            tails={("latency_ms", 0.95): 900.0, ("asr_ms", 0.95): 300.0},
        ),
        **changes,
    )
    return CanaryDecision(
        policy=JudgedPolicy(name=rules.name, digest=rules.digest, document=rules.document),
        subject=subject or CanarySubject(model=None, control="1.4.0", canary="1.5.0"),
        created=NOW,
        report=judge_canary(rules, look),
        steps=look.steps,
        histogram=histogram_entries(look.histogram),
        amounts=amount_entries(look.amounts),
        state=state,
        tool_version="1",
    )


def file_of(payload: bytes) -> bytes:
    """Return a payload as a file that is signed by a key which is always right."""
    document = json.loads(render_envelope(Envelope(payload=payload)))
    return json.dumps(document | {"signatures": [{"keyid": "k", "sig": "AAAA"}]}).encode()


def verified(data: bytes, *, now: str = NOW, **options: Any) -> Verification:  # noqa: ANN401 - as VerifyOptions has them
    """Return what relkit says of a file."""
    return verify(data, [KEY], now=now, options=VerifyOptions(**options), source="d.json")


def audited(data: bytes) -> tuple[list[str], auditor.Audit | auditor.CanaryAudit | None]:
    """Return what the auditors' file says of a file."""
    expected = {"now": auditor.moment(NOW), "serial": None, "artifact": None, "policy": None}
    return auditor.audit(data, {"k": _Any()}, expected)


class _Any:
    """A key that takes every signature: these tests are about what is inside."""

    def verify(self, signature: bytes, message: bytes) -> None:
        """Accept."""


def statement(content: CanaryDecision) -> Any:  # noqa: ANN401 - JSON
    """Return the document of a statement."""
    return json.loads(render_statement(content))


ADVANCE = decision(QUIET)
ROLL_BACK = decision(HARM)
HOLD = decision(QUIET, elapsed_s=60.0)


def test_the_examples_are_what_they_are_called() -> None:
    """One of each verdict, with slices, a floor, an advisory trigger and a limit."""
    verdicts = [content.report.verdict for content in (ADVANCE, ROLL_BACK, HOLD)]
    assert verdicts == ["advance", "roll_back", "hold"]
    assert {check.mode for check in ADVANCE.report.checks} == {"required", "watch", "advisory"}


@pytest.mark.parametrize("content", [ADVANCE, ROLL_BACK, HOLD])
def test_what_is_signed_is_what_was_decided(content: CanaryDecision) -> None:
    """Nothing is lost on the way, and the bytes are canonical."""
    payload = render_statement(content)
    again = parse_content(payload, CanaryDecision, source="d.json")
    assert again == content
    assert render_statement(again) == payload == canonical(json.loads(payload))
    with pytest.raises(InvalidInput, match="no override"):
        parse_content(payload, auditor_override(), source="d.json")


def auditor_override() -> Any:  # noqa: ANN401 - a type
    """Return another kind of content."""
    from relkit.gate.types import Override  # noqa: PLC0415 - for one test

    return Override


@pytest.mark.parametrize(("content", "believed"), [(ADVANCE, 4), (ROLL_BACK, 0), (HOLD, 1)])
def test_both_verifiers_agree_with_the_judge(content: CanaryDecision, believed: int) -> None:
    """All checks are recomputed; an advance rests on time and lost turns as well, and says so."""
    data = file_of(render_statement(content))
    verification, (problems, checked) = verified(data), audited(data)
    assert verification.problems == tuple(problems) == ()
    assert checked is not None
    assert verification.agreed == len(content.report.checks) == len(checked.lines)
    assert len(verification.believed) == believed == len(checked.believed)
    document, promotes = verify_document(verification), content is ADVANCE
    assert (document["verdict"], document["promotable"]) == (content.report.verdict, promotes)
    text = verify_text(verification, "d.json")
    assert "valid canary decision" in text
    assert ("promotes the canary" in text) is promotes
    assert all(len(line) <= 80 for line in text.splitlines())
    assert f"verdict: {content.report.verdict}\nvalid\n" in auditor.report(problems, checked)


def test_the_judge_says_the_same_of_what_is_in_the_file() -> None:
    """Whoever has relkit can judge the histogram of a decision again, too."""
    content = parse_content(render_statement(ROLL_BACK), CanaryDecision, source="d.json")
    cells = histogram_of(content.histogram, source="d.json")
    look = CanaryLook(
        steps=content.steps,
        histogram=cells,
        amounts=amounts_of(content.amounts),
        elapsed_s=content.report.step.elapsed_s if content.report.step else 0.0,
        lost=content.report.lost,
        tails={("latency_ms", 0.95): 900.0, ("asr_ms", 0.95): 300.0},
    )
    assert judge_canary(policy(RULES), look) == content.report


def test_shadow_never_promotes() -> None:
    """Its verdict is shown and recomputed."""
    content = decision(QUIET, text=RULES + "enforcement: shadow\n")
    verification = verified(file_of(render_statement(content)))
    assert verification.valid
    assert (content.report.verdict, content.promotes) == ("advance", False)
    assert verify_document(verification)["promotable"] is False
    problems, checked = audited(file_of(render_statement(content)))
    assert "shadow: it can never promote" in auditor.report(problems, checked)


def test_the_subject_is_the_release() -> None:
    """By its artifact where the registry knows one, else by its name and the policy's digest."""
    named = statement(ADVANCE)["subject"]
    called = {"policy": ADVANCE.policy.digest, "release": "1.5.0"}
    assert named == [
        {"name": "1.5.0", "digest": {"sha256": digest_of(called).removeprefix("sha256:")}}
    ]
    subject = CanarySubject(model=None, control="1.4.0", canary="1.5.0", artifact=DIGEST)
    content = decision(QUIET, subject=subject)
    assert statement(content)["subject"] == [{"name": "1.5.0", "digest": {"sha256": "a" * 64}}]
    assert verified(file_of(render_statement(content)), artifact=DIGEST).valid
    assert not verified(file_of(render_statement(ADVANCE)), artifact=DIGEST).valid


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"serial": 3}, "no serial"),
        ({"policy": DIGEST}, "another policy"),
        ({"now": "2026-03-01T17:00:00Z"}, "future"),
    ],
)
def test_what_a_verifier_insists_on(options: dict[str, Any], problem: str) -> None:
    """A canary decision has no serial, its policy's digest and its time."""
    (said,) = verified(file_of(render_statement(ADVANCE)), **options).problems
    assert problem in said


def test_an_unsigned_decision_can_be_recomputed() -> None:
    """For local work: nobody vouches for it, and it never promotes."""
    data = render_envelope(Envelope(payload=render_statement(ADVANCE)))
    assert verified(data).problems == ("it is not signed",)
    verification = verified(data, unsigned=True)
    assert verification.valid
    assert verify_document(verification)["promotable"] is False


def test_evidence_of_any_size_survives() -> None:
    """Beyond 2^53 the canonical form of a double is a whole number, and no count."""
    worse = counts({(4, 0): 2800, (4, 1): 150}, {(4, 0): 780, (4, 1): 130, (4, 2): 80})
    values = []
    for less in range(0, 60, 2):
        cells = counts({(4, 0): 2800, (4, 1): 150}, {(4, 0): 780 + less, (4, 1): 210 - less})
        content = decision(cells if less else worse)
        values.append(content.report.evidence)
        payload = render_statement(content)
        assert parse_content(payload, CanaryDecision, source="d.json") == content
        assert verified(file_of(payload)).problems == ()
    assert any(2**53 < value < 1e21 for value in values)


def test_an_earlier_rollback_has_to_be_believed() -> None:
    """Only where something remembers it: a state, or the ledger of a model."""
    final = FinalRollback(at=BEGAN, evidence=30.0, reason_codes=("harm:failures",))
    state = StateName(path="s.state", digest=DIGEST, previous=None)
    content = decision(QUIET, final=final, state=state)
    assert content.report.verdict == "roll_back"
    verification = verified(file_of(render_statement(content)))
    assert verification.valid
    assert verification.believed == ("an earlier rollback of this canary is final",)
    assert not verified(file_of(render_statement(replace(content, state=None)))).valid


def test_a_budget_that_is_broken_rests_on_a_percentile() -> None:
    """The limit is the shipped one, what was measured has to be believed."""
    content = decision(QUIET, tails={("latency_ms", 0.95): 1200.0})
    assert content.report.reason_codes == ("limit:budget",)
    verification = verified(file_of(render_statement(content)))
    assert verification.problems == ()
    assert verification.believed == ("limit budget: p95 of latency_ms is 1200 ms",)


def test_its_budgets_are_the_shipped_ones() -> None:
    """Those of the auditor are written apart from relkit's."""
    ours: dict[str, dict[str, float]] = {}
    for name, lines in BUDGETS.items():
        for line in lines:
            stages = ours.setdefault(name, {})
            stages[line.stage] = max(line.most, stages.get(line.stage, 0.0))
    assert ours == auditor.LIMITS_MS


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": (), "histogram": {}, "amounts": {}, "elapsed_s": 0.0},
        {"steps": STEPS[:1], "histogram": {}, "amounts": {}, "elapsed_s": 60.0},
        {"suspect": ("constant:asr_ms", "stale:3 h"), "elapsed_s": 60.0},
        {"lost": LostTurns(used=10, late=90)},
    ],
)
def test_looks_that_hold(changes: dict[str, Any]) -> None:
    """Nothing begun, nothing seen, suspect and lost data: each is recomputed, or believed."""
    text = RULES
    begun = changes.get("steps", STEPS)
    for step in STEPS[len(begun) :]:
        text = text.replace(f", from: {step.since}", "")
    if not begun:
        text = text.replace('canary: {release: "1.5.0"}', 'canary: {release: "1.5.0"}\nmodel: m')
    subject = CanarySubject(model="m" if not begun else None, control="1.4.0", canary="1.5.0")
    content = decision(QUIET, text=text, subject=subject, **changes)
    assert content.report.verdict == "hold"
    assert verified(file_of(render_statement(content))).problems == ()


def _set(*path: Any, to: Any) -> Callable[[Any], None]:  # noqa: ANN401 - JSON
    def change(document: Any) -> None:  # noqa: ANN401 - JSON
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = to

    return change


def _new_policy(**changes: Any) -> Callable[[Any], None]:  # noqa: ANN401 - JSON
    """Change the policy, and its digest and the subject with it, as who has the key could."""

    def change(predicate: Any) -> None:  # noqa: ANN401 - JSON
        predicate["policy"]["document"] |= changes
        predicate["policy"]["digest"] = digest_of(predicate["policy"]["document"])

    return change


def _cell(document: Any) -> None:  # noqa: ANN401 - JSON
    entry = next(e for e in document["histogram"] if e["trigger"] == "failures")
    entry["canary"][0][2] -= 1


def _check(name: str, to: Any) -> Callable[[Any], None]:  # noqa: ANN401 - JSON
    def change(predicate: Any) -> None:  # noqa: ANN401 - JSON
        predicate["report"]["checks"][2][name] = to

    return change


def _drop(*path: Any) -> Callable[[Any], None]:  # noqa: ANN401 - keys
    def change(document: Any) -> None:  # noqa: ANN401 - JSON
        for key in path:
            document = document[key]
        del document[0]

    return change


MUTATIONS: dict[str, tuple[CanaryDecision, Callable[[Any], None]]] = {
    "a unit less": (ADVANCE, _cell),
    "an amount": (ADVANCE, _set("amounts", 0, "canary", 0, 1, to=30)),
    "an amount's base": (ADVANCE, _set("amounts", 0, "canary", 0, 0, to=-1)),
    "a cell gone": (ADVANCE, _drop("histogram", 0, "canary")),
    "an entry gone": (ADVANCE, _drop("histogram")),
    "a slice that nobody asked for": (ADVANCE, _set("histogram", 0, "slice", to="color=red")),
    "a trigger that nobody asked for": (ADVANCE, _set("histogram", 0, "trigger", to="other")),
    "a step that has not begun": (ADVANCE, _set("histogram", 0, "step", to=3)),
    "more events than turns": (ADVANCE, _set("histogram", 0, "canary", 0, 1, to=9)),
    "a negative count": (ADVANCE, _set("histogram", 0, "canary", 0, 2, to=-5)),
    "a verdict to advance": (HOLD, _set("report", "verdict", to="advance")),
    "a verdict to advance on harm": (ROLL_BACK, _set("report", "verdict", to="advance")),
    "a verdict to roll back": (ADVANCE, _set("report", "verdict", to="roll_back")),
    "a verdict to hold": (ADVANCE, _set("report", "verdict", to="hold")),
    "the gate's verdict": (HOLD, _set("report", "gate_verdict", to="pass")),
    "a reason gone": (ROLL_BACK, _set("report", "reason_codes", to=[])),
    "a reason made up": (ROLL_BACK, _set("report", "reason_codes", to=[*CODES, "final"])),
    "a hold for nothing": (HOLD, _set("report", "reason_codes", to=["min_duration", "one_arm"])),
    "the evidence": (ROLL_BACK, _set("report", "evidence", to=19.0)),
    "evidence by a billionth": (
        ROLL_BACK,
        _set("report", "evidence", to=ROLL_BACK.report.evidence * (1 + 1e-8)),
    ),
    "the threshold": (ROLL_BACK, _set("report", "threshold", to=1e9)),
    "alpha": (ROLL_BACK, _set("report", "alpha", to=0.001)),
    "the policy's alpha": (ROLL_BACK, _new_policy(alpha=0.001)),
    "another detectable": (
        HOLD,
        _new_policy(triggers=[{"id": "failures", "rate": "failed", "mode": "watch"}]),
    ),
    "the policy's digest": (ADVANCE, _set("policy", "digest", to=DIGEST)),
    "the policy's document": (ADVANCE, _set("policy", "document", "max_missing", to=0.5)),
    "the policy's name": (ADVANCE, _set("policy", "name", to="other")),
    "the enforcement": (ADVANCE, _set("report", "enforcement", to="shadow")),
    "the share of a step": (ADVANCE, _set("steps", 1, "share", to=0.5)),
    "when a step began": (ADVANCE, _set("steps", 1, "since", to="2026-03-01T11:00:00Z")),
    "a step gone": (ADVANCE, _drop("steps")),
    "another step": (ADVANCE, _set("steps", 1, "index", to=1)),
    "a step that there is not": (ADVANCE, _set("steps", 1, "index", to=7)),
    "the judged step": (ADVANCE, _set("report", "step", "share", to=0.5)),
    "the next step": (ADVANCE, _set("report", "next_step", to={"index": 2, "share": 0.25})),
    "a longer step": (ADVANCE, _set("report", "step", "elapsed_s", to=1e6)),
    "a shorter step": (ADVANCE, _set("report", "step", "elapsed_s", to=60.0)),
    "turns that were not lost": (ADVANCE, _set("report", "lost", "late", to=0)),
    "turns that were lost": (ADVANCE, _set("report", "lost", "late", to=500)),
    "a check's evidence": (ADVANCE, _check("evidence", 1.0)),
    "a check's status": (ADVANCE, _check("status", "harm")),
    "a check's mode": (ADVANCE, _check("mode", "advisory")),
    "a check's share": (ADVANCE, _check("share_of_evidence", 0.5)),
    "a check's ruled out": (ADVANCE, _check("smallest_ruled_out", 1.25)),
    "a check's floor": (ADVANCE, _check("below_floor", "yes")),
    "a check's figures": (
        ADVANCE,
        _check("canary", {"units": 1, "turns": 1, "events": 0, "value": 0.0}),
    ),
    "a check gone": (ADVANCE, _drop("report", "checks")),
    "a limit": (ADVANCE, _set("report", "limits", 0, "value", to=0.3)),
    "a broken limit": (ADVANCE, _set("report", "limits", 0, "broken", to=True)),
    "a budget": (ADVANCE, _set("report", "limits", 1, "value", to=1200.0)),
    "a budget's limit": (ADVANCE, _set("report", "limits", 1, "max", to=5000.0)),
    "a limit gone": (ADVANCE, _drop("report", "limits")),
    "the split": (ADVANCE, _set("report", "sample_ratio", "observed", to=0.2)),
    "the split's evidence": (ADVANCE, _set("report", "sample_ratio", "evidence", to=2.0)),
    "what could hide": (ROLL_BACK, _set("report", "blind", to=[])),
    "another canary": (ADVANCE, _set("subject", "canary", to="1.6.0")),
    "a model": (ADVANCE, _set("subject", "model", to="m")),
    "a later time": (ADVANCE, _set("created", to="2027-03-01T18:00:00Z")),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_whatever_is_edited_is_not_valid(name: str) -> None:
    """Even by one who has the key: both verifiers refuse it, in words."""
    content, change = MUTATIONS[name]
    document = statement(content)
    before = copy.deepcopy(document)
    change(document["predicate"])
    assert document != before
    data = file_of(canonical(document))
    problems, checked = audited(data)
    assert problems
    assert not any("malformed" in problem for problem in problems)
    assert auditor.report(problems, checked).endswith("NOT VALID\n")
    assert not verified(data).valid


def _places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    inside = document.items() if isinstance(document, dict) else enumerate(document)
    places = []
    for key, value in inside:
        places.append((*path, key))
        if isinstance(value, dict | list):
            places += _places(value, (*path, key))
    return places


PLACES = _places(statement(ROLL_BACK))


@settings(max_examples=100, deadline=None)
@given(
    path=st.sampled_from(PLACES),
    value=st.sampled_from(
        [None, True, -1, 0, 1.5, 10**15, 1e308, "", "x", [], [None], {}, {"a": 1}]
    ),
)
def test_what_is_malformed_gives_a_message(path: tuple[Any, ...], value: Any) -> None:  # noqa: ANN401 - JSON
    """Whatever stands anywhere, there is an answer and never a traceback."""
    document = statement(ROLL_BACK)
    _set(*path, to=value)(document)
    data = file_of(canonical(document))
    problems, checked = audited(data)
    assert all(isinstance(problem, str) for problem in problems)
    assert auditor.report(problems, checked)
    assert isinstance(verified(data).problems, tuple)


CELLS = st.dictionaries(
    st.tuples(st.integers(1, 63), st.integers(0, 63)).map(lambda cell: (cell[0], min(cell))),
    st.integers(1, 400),
    max_size=6,
)


@st.composite
def units(draw: st.DrawFn) -> UnitCounts:
    """Draw the units of both arms; the canary's are few."""
    made: UnitCounts = counts(draw(CELLS), draw(CELLS))
    return made


@settings(max_examples=80, deadline=None)
@given(
    here=units(),
    share=st.sampled_from([0.01, 0.25, 0.5, 0.95]),
    toward=st.none() | st.floats(0.0, 1.0),
)
def test_its_bets_are_those_of_relkit(here: UnitCounts, share: float, toward: float | None) -> None:
    """Capitals, evidence, what is ruled out and floors, from plain Python and from arrays."""
    arrays = (here.canary, here.turns, here.events, here.units)
    cells = list(zip(*(column.tolist() for column in arrays), strict=True))
    ours = bets.step_capitals(here, share, toward=toward)
    theirs, exact = auditor.event_capitals(cells, share, toward)
    assert theirs == pytest.approx(ours, rel=1e-9, abs=1e-9)
    likelihoods = bets.step_likelihoods(here, share, toward=toward)
    assert exact == pytest.approx(likelihoods, rel=1e-9, abs=1e-9)
    assert math.log(max(auditor.mixed(theirs, auditor.STAKES), 1e-300)) == pytest.approx(
        math.log(max(bets.evidence(ours), 1e-300)), rel=1e-9, abs=1e-9
    )
    assert auditor.excluded(theirs, auditor.RATIOS) == bets.smallest_ruled_out(ours)
    if here.both_arms:
        shown = bets.floor_evidence(here, 0.05) >= bets.RULED_OUT
        assert auditor.rarer(cells, 0.05) is shown
    canary = here.arm(canary=True).units
    split = [(canary, canary + here.arm(canary=False).units, share)]
    assert auditor.uneven(split) == pytest.approx(bets.sample_ratio(split), rel=1e-6)


AMOUNTS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 3), st.integers(-20, 20), st.integers(1, 50)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(drawn=AMOUNTS, share=st.sampled_from([0.01, 0.5, 0.95]))
def test_its_bets_on_means_are_those_of_relkit(
    drawn: list[tuple[bool, int, int, int]], share: float
) -> None:
    """From bins with counts, and from units one by one."""
    cells = amounts(*drawn)
    each = measured_bets.UnitAmounts(
        canary=np.repeat(cells.canary, cells.units),
        amounts=np.repeat(cells.amounts, cells.units),
        bases=np.repeat(cells.bases.astype(np.float64), cells.units),
    )
    ours = measured_bets.step_capitals_of_amounts(each, share)
    assert auditor.amount_capitals(drawn, share) == pytest.approx(ours, rel=1e-9, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    drawn=st.lists(units(), min_size=6, max_size=6),
    costs=AMOUNTS,
    elapsed=st.floats(0, 6 * 3600),
    late=st.integers(0, 40),
)
def test_any_look_is_recomputed(
    drawn: list[UnitCounts], costs: list[tuple[bool, int, int, int]], elapsed: float, late: int
) -> None:
    """Whatever the histogram: what the judge says of it, the auditor says."""
    rules = policy(RULES)
    names = [*(trigger.id for trigger in rules.watched if trigger.kind != "mean"), "limit.hard"]
    every = reduce(add, [*drawn, no_units()])
    cells: dict[CellKey, UnitCounts] = {}
    for step in (1, 2):
        for i, key in enumerate(("overall", "language=de", "language=en", "device=a")):
            cells[step, EVERY_UNIT, key] = every
            if key == "overall":
                cells[step, EVERY_UNIT, key] = every + every + every
            for k, name in enumerate(names):
                cells[step, name, key] = drawn[(i + k * step) % len(drawn)]
                if key == "overall":
                    cells[step, name, key] = every
    few = {(2, "cost", "overall"): amounts(*costs)} if _fewer(costs, every) else {}
    content = decision(cells, amounts=few, elapsed_s=elapsed, lost=LostTurns(used=1000, late=late))
    problems, checked = audited(file_of(render_statement(content)))
    assert problems == []
    assert checked is not None
    assert {line[4] for line in checked.lines} == {"agrees"}


def _fewer(costs: list[tuple[bool, int, int, int]], every: UnitCounts) -> bool:
    """Return whether a mean has no more units in an arm than there are."""
    return all(
        sum(row[3] for row in costs if row[0] is arm) <= 3 * every.arm(canary=arm).units
        for arm in (False, True)
    )
