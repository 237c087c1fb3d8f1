"""Decisions behind made-up releases: as a gate writes them, of made-up runs, unsigned."""

from relkit.attestation.envelopes import Envelope
from relkit.attestation.statements import render_statement
from relkit.core.digests import digest_of
from relkit.core.values import Named, after
from relkit.gate.types import (
    Coverage,
    DecidingPolicy,
    GateDecision,
    JudgedDataset,
    JudgedPart,
    JudgedRun,
    RuleResult,
    Verdict,
)

_NAME = "made-up"
_DIGEST = digest_of(_NAME)
_RATE, _LOW, _HIGH, _BOUND = 0.08, 0.07, 0.09, 0.1
_CLUSTERS, _UTTERANCES = 24, 480
_VALID_S = 86_400


def passed_gate(artifact: str, created: str) -> Envelope:
    """Return a decision that lets an artifact be served, in its envelope.

    ``artifact`` is its digest, ``created`` when it was decided; the data is synthetic, and one rule
    was judged.
    """
    run = JudgedRun(
        run=f"{created.replace('-', '').replace(':', '')}-000000",
        report=digest_of([artifact, "report"]),
        candidate=digest_of([artifact, "candidate"]),
        artifact=artifact,
        created=created,
    )
    result = RuleResult(
        rule="errors",
        slice="overall",
        metric="wer_capped",
        test="bound",
        mode="required",
        verdict=Verdict.PASS,
        code="within_maximum",
        reason="made up: 8.0 % (7.0 to 9.0 %); allowed at most 10.0 %",
        observed=_RATE,
        low=_LOW,
        high=_HIGH,
        bound=_BOUND,
        candidate=_RATE,
        n=_UTTERANCES * 5,
        clusters=_CLUSTERS,
        utterances=_UTTERANCES,
    )
    part = JudgedPart(
        name=None,
        policy=Named(name=_NAME, digest=_DIGEST),
        candidate=run,
        baseline=None,
        anchor=None,
        dataset=JudgedDataset(name=_NAME, revision=None, digest=_DIGEST, subjects="synthetic"),
        suite=Named(name=_NAME, digest=_DIGEST),
        normalizer=Named(name=_NAME, digest=_DIGEST),
        scorer="1",
        coverage=Coverage(expected=_UTTERANCES, scored=_UTTERANCES, unusable=0),
    )
    decision = GateDecision(
        verdict=Verdict.PASS,
        reason_codes=(),
        policy=DecidingPolicy(name=_NAME, digest=_DIGEST, enforcement="enforce"),
        parts=(part,),
        results=(result,),
        serial=1,
        created=created,
        expires=after(created, _VALID_S),
        tool_version="0.1.0",
    )
    return Envelope(payload=render_statement(decision))
