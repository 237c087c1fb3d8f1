"""Decisions to show: every field can be given, the rest is sensible; and hostile text."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from relkit.core.values import Named
from relkit.gate.types import (
    CheckRecord,
    Coverage,
    DecidingPolicy,
    Enforcement,
    GateDecision,
    JudgedDataset,
    JudgedPart,
    JudgedRun,
    Overridden,
    Override,
    RuleResult,
    Verdict,
)
from relkit.statistics.types import NullReplay
from tests.builders import DIGEST

CANDIDATE = "20260131T120000Z-0000aa"
BASELINE = "20260130T120000Z-0000bb"

HOSTILE = (
    "::set-output name=verdict::pass",
    "##[error]owned",
    "line\n::error::second",
    "line\r\n| pass | forged |",
    "](javascript:alert(1))",
    "<script>alert(1)</script>",
    "--> <b>out</b>",
    "=cmd()",
    "+1|2",
    "\x1b[31mred\x1b]8;;https://evil.example\x07",
    "`code` ``` fence",
    "@everyone #1 GH-1 https://evil.example www.evil.example",
    "100% %0A::error::x, title=y",
    "]]> &lt;b&gt; &#60;",
    "\u202egpj.exe \u2028 \x85 \x00 \ufffe",
    "{{ 7 * 7 }}{% raw %}",
    "\ud800",
)
"""Text that means something to a runner, a page, a spreadsheet, a terminal or a parser."""

NASTY = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.sampled_from("a:=#[]()<>`|@%,&;\n\r\x1b\u202e\\\"'-!*_~$"), max_size=24),
    st.builds("{}{}{}".format, st.sampled_from(HOSTILE), st.text(), st.sampled_from(HOSTILE)),
)


def result(**fields: Any) -> RuleResult:  # noqa: ANN401  # any field of the type
    """Return a passing, required result of ``wer-slices`` on one accent."""
    given: dict[str, Any] = {
        "rule": "wer-slices",
        "slice": "accent=plain",
        "metric": "wer_capped",
        "test": "non_inferiority",
        "mode": "required",
        "verdict": Verdict.PASS,
        "code": "within_margin",
        "reason": (
            "wer_capped on accent=plain is better: -0.1 points (-0.6 to +0.4); allowed at most +"
            "1.0 points; 12 voices"
        ),
        "quantity": "worsening",
        "observed": -0.001,
        "low": -0.006,
        "high": 0.004,
        "candidate": 0.08,
        "baseline": 0.081,
        "bound": 0.01,
        "p_adjusted": 0.8,
        "n": 1200,
        "clusters": 12,
        "utterances": 240,
    }
    return RuleResult(**(given | fields))


def failing(**fields: Any) -> RuleResult:  # noqa: ANN401  # as above
    """Return a failing result on one slice."""
    where = fields.get("slice", "accent=scottish")
    given: dict[str, Any] = {
        "slice": where,
        "verdict": Verdict.FAIL,
        "code": "regressed",
        "reason": (
            f"wer_capped on {where} is worse: +2.1 points (+0.4 to +3.8); allowed at most +1.0 "
            "points; 8 voices"
        ),
        "observed": 0.021,
        "low": 0.004,
        "high": 0.038,
        "baseline": 0.05,
        "candidate": 0.071,
        "p_adjusted": 0.003,
        "clusters": 8,
        "utterances": 160,
        "harm": 12.4,
    }
    return result(**(given | fields))


def undecided(**fields: Any) -> RuleResult:  # noqa: ANN401  # as above
    """Return an undecided result that knows how many clusters would decide it."""
    where = fields.get("slice", "noise=babble")
    needed = fields.get("needed_clusters", 19)
    decides = (
        "" if needed is None else f"; {needed - 6} more clusters would decide it ({needed} in all)"
    )
    given: dict[str, Any] = {
        "slice": where,
        "verdict": Verdict.INCONCLUSIVE,
        "code": "ratio_not_excluded",
        "reason": (f"wer_capped on {where}: this data excludes only 3.1 times the rate{decides}"),
        "clusters": 6,
        "needed_clusters": 19,
    }
    return result(**(given | fields))


def floor(**fields: Any) -> RuleResult:  # noqa: ANN401  # as above
    """Return an advisory bound that fails."""
    given: dict[str, Any] = {
        "rule": "mos-floor",
        "slice": "channel=telephone",
        "metric": "dnsmos_ovrl.mean",
        "test": "bound",
        "mode": "advisory",
        "verdict": Verdict.FAIL,
        "code": "below_minimum",
        "reason": (
            "dnsmos_ovrl.mean (predicted MOS) on channel=telephone is 2.31 (2.25 to 2.38); "
            "allowed at least 2.50"
        ),
        "quantity": "value",
        "unit": "mos",
        "observed": 2.31,
        "low": 2.25,
        "high": 2.38,
        "bound": 2.5,
    }
    return result(**(given | fields))


def judged(run: str = CANDIDATE, **fields: Any) -> JudgedRun:  # noqa: ANN401  # as above
    """Return a judged run."""
    given: dict[str, Any] = {
        "report": DIGEST,
        "candidate": "sha256:" + "a" * 64,
        "artifact": None,
        "created": "2026-01-31T12:00:00Z",
    }
    return JudgedRun(run=run, **(given | fields))


def part(*, dataset: str = "assistant-commands", **fields: Any) -> JudgedPart:  # noqa: ANN401  # as above
    """Return what one policy was asked about."""
    given: dict[str, Any] = {
        "name": None,
        "policy": Named(name="asr-promotion", digest=DIGEST),
        "candidate": judged(),
        "baseline": judged(BASELINE, candidate="sha256:" + "b" * 64),
        "anchor": None,
        "dataset": JudgedDataset(name=dataset, revision="1" * 40, digest=DIGEST),
        "suite": Named(name="demo", digest=DIGEST),
        "normalizer": Named(name="english", digest=DIGEST),
        "scorer": "1",
        "coverage": Coverage(expected=400, scored=398, unusable=2),
        "baseline_failures": ("u7",),
        "null_replay": NullReplay(
            replays=200, blocked=3, undecided=40, method="signs flipped by cluster"
        ),
    }
    return JudgedPart(**(given | fields))


def decision(
    *results: RuleResult,
    policy: str = "asr-promotion",
    enforcement: Enforcement = "enforce",
    **fields: Any,  # noqa: ANN401  # as above
) -> GateDecision:
    """Return a decision with these results; the verdict is given, or pass."""
    given: dict[str, Any] = {
        "policy": DecidingPolicy(name=policy, digest=DIGEST, enforcement=enforcement),
        "verdict": Verdict.PASS,
        "reason_codes": (),
        "parts": (part(),),
        "created": "2026-01-31T13:00:00Z",
        "expires": "2026-02-01T13:00:00Z",
        "serial": 7,
        "previous": DIGEST,
        "tool_version": "0.1.0",
    }
    return GateDecision(results=results, **(given | fields))


def in_shadow(shown: GateDecision) -> GateDecision:
    """Return a decision whose policy only shows what it would do."""
    return replace(shown, policy=replace(shown.policy, enforcement="shadow"))


def passing() -> GateDecision:
    """Return a decision that passes, with an advisory check that fails and an approval."""
    approval = CheckRecord(
        name="load-test",
        verdict=Verdict.PASS,
        reason="p95 stayed below 300 ms at 50 streams",
        by="ci@example.org",
        created="2026-01-31T11:00:00Z",
        digest=DIGEST,
        key="ed25519:0011",
    )
    return decision(
        result(rule="wer-overall", slice="overall"), result(), floor(), checks=(approval,)
    )


def blocked() -> GateDecision:
    """Return a decision that fails on two slices, is undecided on one, and passes elsewhere."""
    return decision(
        result(rule="wer-overall", slice="overall"),
        undecided(),
        failing(),
        result(slice="accent=welsh"),
        failing(slice="accent=irish", harm=30.0, observed=0.0104, low=0.0102, high=0.0108),
        floor(),
        verdict=Verdict.FAIL,
        reason_codes=("regressed", "ratio_not_excluded"),
    )


def open_question() -> GateDecision:
    """Return a decision that is undecided on two slices; one cannot say what is missing."""
    return decision(
        result(rule="wer-overall", slice="overall"),
        undecided(),
        undecided(slice="noise=music", needed_clusters=None),
        verdict=Verdict.INCONCLUSIVE,
        reason_codes=("ratio_not_excluded",),
    )


def override(**fields: Any) -> Override:  # noqa: ANN401  # as above
    """Return a signed override."""
    given: dict[str, Any] = {
        "decision": Overridden(
            digest=DIGEST,
            policy="asr-promotion",
            policy_digest=DIGEST,
            verdict=Verdict.FAIL,
            runs=(CANDIDATE,),
        ),
        "subjects": (DIGEST,),
        "by": "rita@example.org",
        "reason": "the Scottish recordings are being redone",
        "ticket": "REL-12",
        "created": "2026-01-31T14:00:00Z",
        "expires": "2026-02-02T14:00:00Z",
        "key": "ed25519:0011",
    }
    return Override(**(given | fields))
