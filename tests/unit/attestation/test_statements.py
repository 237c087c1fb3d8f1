"""Decisions as in-toto statements: nothing is lost, and nothing contradicts itself."""

import json
from dataclasses import replace
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.attestation.statements import parse_content, render_statement
from relkit.core.digests import JsonValue, canonical, digest_of
from relkit.core.errors import InvalidInput
from relkit.gate.types import CheckRecord, GateDecision, Overridden, Override, Verdict
from relkit.statistics.types import NullReplay
from tests.decisions import ARTIFACT, LATER, NOW, OTHER, statement

OVERRIDE = Override(
    decision=Overridden(
        digest=OTHER,
        policy="asr-promotion",
        policy_digest=OTHER,
        verdict=Verdict.FAIL,
        runs=("new-run",),
    ),
    subjects=(ARTIFACT,),
    by="A. Lee",
    reason="the regression is in a slice that nobody uses",
    ticket="REL-7",
    created=NOW,
    expires=LATER,
)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 1000),
    worse=st.sampled_from([1.0, 3.0]),
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
)
def test_a_decision_survives_the_way_there_and_back(seed: int, worse: float, text: str) -> None:
    """What is read is what was decided, and writing it again gives the same bytes."""
    content = statement(seed, worse=worse)
    record = CheckRecord(
        name="load-test", verdict=Verdict.PASS, reason=text, by="k6", created=NOW, digest=OTHER
    )
    part = replace(
        content.parts[0],
        null_replay=NullReplay(replays=200, blocked=9, undecided=3, method="halves"),
        baseline_failures=("u1",),
    )
    overrides = (replace(OVERRIDE, key="abc"),)
    content = replace(content, checks=(record,), parts=(part,), overrides=overrides)
    payload = render_statement(content)
    assert parse_content(payload, GateDecision, source="d.json") == content
    assert render_statement(parse_content(payload, GateDecision, source="d.json")) == payload
    assert canonical(json.loads(payload)) == payload


def test_the_subject_is_the_artifact() -> None:
    """Who has the artifact finds the decision about it, and it may promote."""
    document = json.loads(render_statement(statement()))
    assert document["subject"] == [
        {"name": "candidate", "digest": {"sha256": ARTIFACT.removeprefix("sha256:")}}
    ]
    assert (document["predicate"]["promotable"], document["predicate"]["not_promotable"]) == (
        True,
        [],
    )


def test_without_an_artifact_nothing_is_promotable() -> None:
    """The digest of the settings stands in, and the reason is said."""
    content = statement(artifact=None)
    document = json.loads(render_statement(content))
    ((_, digest, artifact),) = content.subjects
    assert not artifact
    assert document["subject"][0]["digest"]["sha256"] == digest.removeprefix("sha256:")
    assert document["predicate"]["promotable"] is False
    assert "no artifact digest" in document["predicate"]["not_promotable"][0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"verdict": Verdict.FAIL}, "the verdict is fail"),
        ({"verdict": Verdict.ERROR}, "the verdict is error"),
        ({"policy": replace(statement().policy, enforcement="shadow")}, "never promotes"),
        ({"parts": ()}, "no candidate"),
    ],
)
def test_every_reason_not_to_promote_is_said(change: dict[str, Any], reason: str) -> None:
    """A decision that is not an enforced pass about something promotes nothing."""
    assert reason in replace(statement(), **change).not_promotable[0]


def test_no_name_of_a_cluster_is_in_the_evidence() -> None:
    """Clusters are numbered from 0 in each table, whatever their numbers were in the run."""
    (part,) = statement(speakers=14).evidence.parts
    for table in part.sums:
        assert {row[1] for row in table.rows} == set(range(14))


def edited(change: Any) -> bytes:  # noqa: ANN401 - a function over any JSON
    """Return a decision's payload after a change to its document."""
    document = json.loads(render_statement(statement()))
    change(document)
    return canonical(document)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda d: d.update(predicateType="urn:other"),
        lambda d: d.update(subject=[]),
        lambda d: d["subject"][0]["digest"].update(sha256="0" * 64),
        lambda d: d["subject"][0]["digest"].update(md5="0" * 32),
        lambda d: d["subject"].append(d["subject"][0]),
        lambda d: d["predicate"].update(promotable=False),
        lambda d: d["predicate"].update(extra=1),
        lambda d: d["predicate"].update(serial=0),
        lambda d: d["predicate"].update(serial=True),
        lambda d: d["predicate"].update(created="2026-01-31 12:00:00"),
        lambda d: d["predicate"].update(expires="2026-02-30T12:00:00Z"),
        lambda d: d["predicate"].pop("previous"),
        lambda d: d["predicate"].update(verdict="passed"),
        lambda d: d["predicate"]["checks"][0].update(n=-1),
        lambda d: d["predicate"]["checks"][0].update(observed="0.1"),
        lambda d: d["predicate"]["evidence"]["parts"][0]["sums"][0]["rows"][0].append("x"),
        lambda d: d["predicate"]["evidence"]["parts"][0]["percentiles"][0]["slices"][0]["rows"][
            0
        ].append(1),
    ],
)
def test_a_contradicting_or_unknown_document_is_refused(change: Any) -> None:  # noqa: ANN401
    """Other versions, unknown keys, other types, and a subject that was not judged."""
    with pytest.raises(InvalidInput):
        parse_content(edited(change), GateDecision, source="d.json")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b'{"_type": NaN}',
        b'{"_type": 1e999}',
        b'{"a": 1, "a": 1}',
        b"[" * 100_000,
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"{} {}",
    ],
)
def test_hostile_json_is_refused(payload: bytes) -> None:
    """NaN, infinities, keys twice, huge nesting and what is no text."""
    with pytest.raises(InvalidInput):
        parse_content(payload, GateDecision, source="d.json")


def test_an_override_survives_the_way_there_and_back() -> None:
    """Author, reason, ticket and the decision it names."""
    payload = render_statement(OVERRIDE)
    assert parse_content(payload, Override, source="o.json") == OVERRIDE


@pytest.mark.parametrize(
    "change",
    [
        {"by": ""},
        {"by": " "},
        {"reason": ""},
        {"ticket": ""},
        {"reason": "x" * 501},
        {"reason": "two\nlines"},
        {"by": "\x1b[31mred"},
        {"decision": replace(OVERRIDE.decision, verdict=Verdict.PASS)},
        {"decision": replace(OVERRIDE.decision, runs=())},
        {"decision": replace(OVERRIDE.decision, digest="sha256:1")},
    ],
)
def test_an_override_says_who_why_and_where(change: dict[str, Any]) -> None:
    """Without author, reason or ticket, or with text that can steer a terminal, it is none."""
    payload = render_statement(replace(OVERRIDE, **change))
    with pytest.raises(InvalidInput):
        parse_content(payload, Override, source="o.json")


DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inside: (
        st.lists(inside, max_size=5)
        | st.lists(st.integers(-9, 9), max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inside, max_size=4)
    ),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_the_canonical_form_is_the_librarys(document: JsonValue) -> None:
    """What is written faster here is byte by byte what RFC 8785's library writes."""
    assert canonical(document) == rfc8785.dumps(document)


@pytest.mark.parametrize("number", [2**53, -(2**53)])
def test_a_number_that_readers_disagree_on_is_refused(number: int) -> None:
    """Beyond 2^53 - 1 a whole number is not the same everywhere."""
    for write in (canonical, digest_of):
        with pytest.raises(InvalidInput, match="beyond 2"):
            write([1, number])
