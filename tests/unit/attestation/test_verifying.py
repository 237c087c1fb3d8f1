"""A decision is judged again from its evidence: what was changed is found, whoever signed it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from relkit.attestation.checks import new_check, parse_check, read_check
from relkit.attestation.envelopes import Envelope, render_envelope
from relkit.attestation.statements import render_statement
from relkit.attestation.verify import Verification, VerifyOptions, verify
from relkit.core.codec import as_type, encode
from relkit.core.digests import JsonValue, canonical
from relkit.gate.types import (
    CheckRecord,
    GateDecision,
    PartEvidence,
    RuleResult,
    SumsTable,
    Verdict,
    WrittenCheck,
)
from tests.decisions import (
    ADVISORY,
    ARTIFACT,
    LATER,
    NEW_NOISE,
    NOW,
    POLICY,
    before_discoveries,
    signed,
    statement,
)

Change = Callable[[GateDecision], GateDecision]


def judged(content: GateDecision) -> Verification:
    """Return a verification of an unsigned decision: only what is in it counts."""
    return verify(
        signed(content), (), now=LATER, options=VerifyOptions(unsigned=True), source="d.json"
    )


def of_result(rule: str, **change: object) -> Change:
    """Return a change of one rule's results."""

    def changed(content: GateDecision) -> GateDecision:
        results = tuple(
            replace(one, **change) if one.rule == rule else one  # type: ignore[arg-type]  # any field
            for one in content.results
        )
        return replace(content, results=results)

    return changed


def of_decision(**change: object) -> Change:
    """Return a change of the decision itself."""
    return lambda content: replace(content, **change)  # type: ignore[arg-type]  # any field


def of_policy(**change: object) -> Change:
    """Return a change of the policy that a decision names."""
    return lambda content: replace(
        content,
        policy=replace(content.policy, **change),  # type: ignore[arg-type]  # any field
    )


def of_evidence(change: Callable[[PartEvidence], PartEvidence]) -> Change:
    """Return a change of the evidence."""
    return lambda content: replace(
        content,
        evidence=replace(content.evidence, parts=tuple(map(change, content.evidence.parts))),
    )


def of_table(metric: str, change: Callable[[SumsTable], SumsTable]) -> Change:
    """Return a change of one metric's tables."""
    return of_evidence(
        lambda part: replace(
            part,
            sums=tuple(change(one) if one.metric == metric else one for one in part.sums),
        )
    )


def bumped(table: SumsTable) -> SumsTable:
    """Return a table in which one cluster has one error less."""
    row = list(table.rows[0])
    row[2] -= 1
    return replace(table, rows=(tuple(row), *table.rows[1:]))


def dropped(results: tuple[RuleResult, ...], rule: str) -> tuple[RuleResult, ...]:
    """Return the results without those of a rule."""
    return tuple(one for one in results if one.rule != rule)


def without(rule: str) -> Change:
    """Return a change that leaves a rule's results out."""
    return lambda content: of_decision(results=dropped(content.results, rule))(content)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("worse", [1.0, 3.0])
def test_an_honest_decision_agrees(seed: int, worse: float) -> None:
    """Passes, failures and undecided ones, few and many clusters."""
    content = statement(seed, worse=worse, speakers=6 + 3 * seed, slices=2 + seed % 3)
    found = judged(content)
    assert found.problems == ()
    assert found.agreed == len(content.results)
    assert found.believed == ()


@pytest.mark.parametrize(
    "arguments", [{"text": ADVISORY}, {"registered": NEW_NOISE}, {"slices": 5, "text": ADVISORY}]
)
def test_advisory_families_agree_however_they_were_corrected(
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
) -> None:
    """By their false discovery rate now, as those that block in decisions from before that."""
    content = statement(3, worse=2.0, **arguments)
    before = before_discoveries(monkeypatch, seed=3, worse=2.0, **arguments)
    assert content.results != before.results
    for each in (content, before):
        assert judged(each).problems == ()
    shown = [one for one in content.results if one.rule == "wer-slices"]
    advisory = next(i for i, one in enumerate(shown) if one.mode == "advisory")
    changed = replace(shown[advisory], p_adjusted=0.77)
    results = tuple(changed if one == shown[advisory] else one for one in content.results)
    assert "p_adjusted" in judged(of_decision(results=results)(content)).problems[0]


TAMPERED: dict[str, Change] = {
    "a verdict": of_decision(verdict=Verdict.PASS, reason_codes=()),
    "a check's verdict": of_result("wer-slices", verdict=Verdict.PASS, code="no_regression_seen"),
    "an estimate": of_result("wer-limit", observed=0.05),
    "an interval": of_result("wer-overall", high=0.001),
    "a p-value": of_result("wer-slices", p_adjusted=0.9),
    "a bound": of_result("wer-limit", bound=0.9),
    "clusters": of_result("wer-limit", clusters=400),
    "a mode": of_result("wer-slices", mode="advisory"),
    "a missing rule": without("wer-slices"),
    "a sum": of_table("wer_capped", bumped),
    "a missing row": of_table("wer_capped", lambda t: replace(t, rows=t.rows[1:])),
    "a row twice": of_table("wer_capped", lambda t: replace(t, rows=(t.rows[0], *t.rows))),
    "a negative sum": of_table(
        "wer_capped", lambda t: replace(t, rows=((*t.rows[0][:2], -1, *t.rows[0][3:]), *t.rows[1:]))
    ),
    "a rule in the evidence": of_evidence(
        lambda part: replace(part, rules=tuple(replace(r, margin=0.5) for r in part.rules))
    ),
    "the policy's document": lambda content: of_policy(
        documents={"asr-promotion": {**content.policy.documents["asr-promotion"], "coverage": 0.5}}
    )(content),
    "no policy": of_policy(documents={}),
    "the policy's digest": of_policy(digest="sha256:" + "9" * 64),
    "the enforcement": of_policy(enforcement="shadow"),
    "a percentile's counts": of_evidence(
        lambda part: replace(
            part,
            percentiles=tuple(
                replace(
                    table,
                    slices=tuple(
                        replace(one, rows=((one.rows[0][0], 0), *one.rows[1:]))
                        for one in table.slices
                    ),
                )
                for table in part.percentiles
            ),
        )
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_changed_decision_is_found(name: str) -> None:
    """Whatever is changed, the rest of the decision contradicts it."""
    content = statement(2, worse=3.0)
    assert content.verdict is Verdict.FAIL
    changed = TAMPERED[name](content)
    assert changed != content
    assert judged(changed).problems


def test_a_shadow_decision_says_what_it_cannot_do() -> None:
    """It is valid, and promotes nothing."""
    text = POLICY.replace("name: asr-promotion\n", "name: asr-promotion\nenforcement: shadow\n")
    found = judged(statement(text=text))
    assert found.problems == ()
    assert "shadow: it shows a verdict and can never promote" in found.notes


def test_a_check_without_sums_is_believed_and_named() -> None:
    """Nobody takes silence for agreement."""
    content = of_evidence(lambda part: replace(part, percentiles=()))(statement())
    found = judged(content)
    assert found.problems == ()
    assert found.believed == ("latency-p95 on overall", "latency-same on overall")
    assert "are believed" in found.notes[-1]


def test_a_payload_in_another_spelling_is_refused() -> None:
    """One decision has one digest."""
    payload = b" " + signed_payload()
    data = render_envelope(Envelope(payload=payload))
    found = verify(data, (), now=LATER, options=VerifyOptions(unsigned=True), source="d.json")
    assert found.problems == ("it is not written in the one canonical form",)


def signed_payload() -> bytes:
    """Return the payload of a check."""
    return render_statement(approval())


def approval(**change: object) -> CheckRecord:
    """Return a check."""
    record = new_check(
        "load-test", verdict="pass", by="k6", reason="p95 612 ms", created=NOW, candidate=ARTIFACT
    )
    return replace(record, **change)  # type: ignore[arg-type]  # any field


def written(record: CheckRecord) -> dict[str, JsonValue]:
    """Return a check as a file holds it."""
    document: dict[str, JsonValue] = encode(as_type(WrittenCheck, record))
    return document


def test_a_plain_check_of_another_tool_is_read() -> None:
    """Its digest is that of the file, and nobody has signed it."""
    data = canonical(written(approval()))
    record = parse_check(data, source="c.json")
    assert (record.name, record.verdict, record.key) == ("load-test", Verdict.PASS, None)
    assert read_check("load-test", data, (), source="c.json") == record


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"schema":"relkit.check/v2","name":"a"}',
        canonical(written(approval()) | {"verdict": "ok"}),
        canonical(written(approval()) | {"by": "two\nlines"}),
        canonical(written(approval()) | {"candidate": "abc"}),
        canonical(written(approval()) | {"created": "yesterday"}),
        canonical(written(approval()) | {"name": "../x"}),
        canonical(written(approval()) | {"name": "other"}),
        render_envelope(Envelope(payload=b"{}")),
    ],
)
def test_a_check_that_cannot_be_used_says_why(data: bytes) -> None:
    """A reason in words, and never a record."""
    found = read_check("load-test", data, (), source="c.json")
    assert isinstance(found, str)
    assert found


def test_an_expired_check_is_refused() -> None:
    """Also where it has no serial and no policy."""
    data = render_envelope(Envelope(payload=render_statement(approval(expires=LATER))))
    found = verify(data, (), now=LATER, options=VerifyOptions(unsigned=True), source="c.json")
    assert (found.kind, found.problems) == ("check", (f"it expired at {LATER}",))
