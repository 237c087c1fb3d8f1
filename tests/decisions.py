"""Gate decisions with their evidence, made from random sums by the real rules."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from relkit.adapters.signing import SigningKey, load_private, make_key
from relkit.attestation.envelopes import Envelope, render_envelope
from relkit.attestation.statements import render_statement
from relkit.attestation.sums import decision_evidence
from relkit.core import yaml_text
from relkit.core.arrays import FloatArray, IntArray
from relkit.core.values import Estimate, Named, SystemId
from relkit.datasets.types import DatasetVersion
from relkit.evaluation.types import EvalReport, Hallucinations, Runaways
from relkit.gate import judge as gate_judging
from relkit.gate.decide import decide, judge_all, judge_requirements
from relkit.gate.evidence import Compared, Evidence, family_count
from relkit.gate.policies import parse_policy, policy_digest
from relkit.gate.types import (
    METHOD,
    Against,
    CheckRecord,
    Coverage,
    DecisionEvidence,
    GateDecision,
    GatePolicy,
    JudgedDataset,
    JudgedPart,
    JudgedRun,
)
from relkit.statistics.families import Correction
from relkit.statistics.intervals import RateEvidence, distinct, estimate_rates
from relkit.statistics.percentiles import TimingEvidence, estimate_percentiles
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import (
    ClusterSums,
    PairedSums,
    PairedValues,
    Pairing,
    PromptSums,
    SliceValues,
)

Systems = TypeVar("Systems", PairedSums, PairedValues)

NOW = "2026-01-31T12:00:00Z"
LATER = "2026-01-31T18:00:00Z"
ARTIFACT = "sha256:" + "a" * 64
BASELINE = "sha256:" + "b" * 64
DATASET = "sha256:" + "d" * 64
OTHER = "sha256:" + "e" * 64
FAR = "sha256:" + "f" * 64

POLICY = """\
schema: relkit.gate/v1
name: asr-promotion
rules:
  - {id: wer-overall, metric: wer_capped, test: non_inferiority, margin: 0.05}
  - {id: wer-limit, metric: wer_capped, test: bound, max: 0.40}
  - {id: wer-slices, metric: wer_capped, slice: "noise=*", test: no_regression, detectable: 4}
  - {id: runaways, metric: runaway_rate, test: bound, max: 0.05}
  - {id: faster, metric: latency_ms.mean, test: bound, max: 900, mode: advisory}
  - {id: latency-p95, metric: latency_ms.p95, test: bound, max: 900}
  - {id: latency-same, metric: latency_ms.p50, test: non_inferiority, margin: 200}
"""
ADVISORY = POLICY.replace("detectable: 4}", "detectable: 4, mode: advisory}")
NEW_NOISE = {"noise": ("0", "1")}
"""Registered slices without the last ones."""


def judged_run(run: str, candidate: str, *, artifact: str | None = None) -> JudgedRun:
    """Return a run by digests."""
    return JudgedRun(
        run=run,
        report=OTHER,
        candidate=candidate,
        artifact=artifact,
        created="2026-01-31T11:00:00Z",
    )


def part(*, artifact: str | None = ARTIFACT) -> JudgedPart:
    """Return what was judged."""
    return JudgedPart(
        name=None,
        policy=Named(name="asr-promotion", digest=policy().digest),
        candidate=judged_run("new-run", "sha256:" + "c" * 64, artifact=artifact),
        baseline=judged_run("old-run", BASELINE),
        anchor=None,
        dataset=JudgedDataset(name="words", revision=None, digest=DATASET),
        suite=Named(name="demo", digest=OTHER),
        normalizer=Named(name="english", digest=OTHER),
        scorer="relkit-score/1",
        coverage=Coverage(expected=1000, scored=1000, unusable=0),
    )


def policy(text: str = POLICY) -> GatePolicy:
    """Return a policy from its YAML."""
    return parse_policy(text, source="asr-promotion.yaml")


def report(run: JudgedRun) -> EvalReport:
    """Return the report of a run, as much of it as a gate looks at."""
    return EvalReport(
        run=run.run,
        suite=Named(name="demo", digest=OTHER),
        candidate=SystemId(digest=run.candidate, artifact=run.artifact),
        dataset=DatasetVersion(
            name="words", revision=None, dirty=None, digest=DATASET, utterances=1000
        ),
        normalizer=Named(name="english", digest=OTHER),
        scorer="relkit-score/1",
        tool_version="0",
        created=run.created,
        expected=1000,
        scored=1000,
        failures=0,
        unusable=0,
        repeats=1,
        load=OTHER,
        slices=(),
        masking=(),
        runaways=Runaways(count=0, loops=0),
        hallucinations=Hallucinations(clips=0, with_words=0, words=0, words_per_minute=None),
        cluster="voice",
    )


def random_pairs(
    seed: int = 0, *, speakers: int = 14, slices: int = 3, worse: float = 1.0
) -> tuple[PairedSums, PairedValues]:
    """Return sums and latencies of two systems; ``worse`` multiplies the errors in the last slice.

    Slices are ``overall`` and ``noise=0`` …; clusters have gaps in their numbers, as real ones do.
    """
    draw = np.random.default_rng(seed)
    names = ("overall", *(f"noise={i}" for i in range(slices)))
    words = draw.integers(60, 120, (slices, speakers)).astype(np.float64)
    rate = 0.12 * draw.lognormal(0, 0.3, speakers)
    both = draw.poisson(words * rate * 0.5).astype(np.float64)
    systems = []
    for factor in (worse, 1.0):
        scale = np.ones((slices, 1))
        scale[-1] = factor
        own = draw.poisson(words * rate * (0.5 * scale + (scale - 1) * 0.5)).astype(np.float64)
        systems.append(np.minimum(both + own, words))
    sums = [_sums(names, words, errors, draw) for errors in systems]
    values = [_values(speakers, draw) for _ in range(2)]
    return (
        PairedSums(candidate=sums[0], baseline=sums[1], clusters=3 * speakers),
        PairedValues(candidate=values[0], baseline=values[1]),
    )


def _sums(
    names: tuple[str, ...], words: FloatArray, errors: FloatArray, draw: np.random.Generator
) -> ClusterSums:
    slices, speakers = words.shape
    utterances = np.full_like(words, 10.0)
    columns = {
        "capped_errors": errors,
        "excused_capped_errors": np.where(np.arange(speakers) == 2, np.minimum(errors, 3.0), 0.0),
        "words": words,
        "with_words": utterances,
        "utterances": utterances,
        "runaways": np.zeros_like(words),
        "keyword_errors": np.zeros_like(words),
        "keywords": np.zeros_like(words),
        "with_keywords": np.zeros_like(words),
        "latency_ms": utterances * 400.0 + draw.normal(0, 1, words.shape),
        "timed": utterances,
    }
    return ClusterSums(
        slices=names,
        slice_index=np.repeat(np.arange(slices + 1), speakers),
        cluster_index=np.tile(np.arange(speakers) * 3 + 1, slices + 1),
        columns={
            name: np.concatenate([column.sum(axis=0), column.ravel()])
            for name, column in columns.items()
        },
    )


def with_prompts(pairs: PairedSums, prompts: int, seed: int) -> PairedSums:
    """Return the pairs with their sums by prompt: all clusters read all, and some are hard."""
    draw = np.random.default_rng(seed)
    sums = pairs.candidate
    rows = np.flatnonzero(sums.slice_index > 0)
    group, cluster = sums.slice_index[rows], sums.cluster_index[rows]
    keys, place = np.unique(cluster, return_inverse=True)
    even = np.full(prompts, 1.0 / prompts)
    systems = []
    for side in (pairs.candidate, pairs.baseline):
        hard = draw.dirichlet(np.full(prompts, 2.0))
        columns = {}
        for name, column in side.columns.items():
            split = column[rows, None] * even
            if name.endswith("_errors"):
                split = draw.multinomial(column[rows].astype(int), hard).astype(float)
            overall = np.zeros((len(keys), prompts))
            np.add.at(overall, place, split)
            columns[name] = np.concatenate([overall.ravel(), split.ravel()])
        cells = PromptSums(
            slice_index=np.repeat(np.concatenate([np.zeros(len(keys), dtype=int), group]), prompts),
            cluster_index=np.repeat(np.concatenate([keys, cluster]), prompts),
            prompt_index=np.tile(np.arange(prompts) * 2, len(keys) + len(rows)),
            columns=columns,
        )
        systems.append(replace(side, by_prompt=cells))
    return replace(pairs, candidate=systems[0], baseline=systems[1])


def _values(speakers: int, draw: np.random.Generator) -> SliceValues:
    values = draw.lognormal(6.0, 0.3, speakers * 30)
    clusters: IntArray = np.repeat(np.arange(speakers) * 3 + 1, 30)
    order = np.argsort(values, kind="stable")
    return SliceValues(
        slices=("overall",),
        slice_index=np.zeros(len(values), dtype=np.int64),
        cluster_index=clusters[order],
        values=values[order],
    )


def statement(  # noqa: PLR0913 - a builder: every field can be given
    seed: int = 0,
    *,
    worse: float = 1.0,
    speakers: int = 14,
    slices: int = 3,
    text: str = POLICY,
    artifact: str | None = ARTIFACT,
    alike: bool = False,
    errors: bool = True,
    registered: Mapping[str, tuple[str, ...]] | None = None,
    repeats: int = 1,
    anchor: bool = False,
    prompts: int = 0,
    checks: Sequence[CheckRecord] = (),
) -> GateDecision:
    """Return a decision about random data, judged by the real rules, with its evidence.

    ``alike`` makes both systems give the same, without ``errors`` none at all; ``registered`` are
    the slices that were there when the dataset was locked; ``repeats`` is how often each utterance
    was asked; with an ``anchor`` the candidate is held against a third system, too; so many
    ``prompts`` are read by all; ``checks`` are the records that the policy requires.
    """
    rules = policy(text)
    pairs, values = random_pairs(seed, worse=worse, speakers=speakers, slices=slices)
    if alike:
        same = pairs.baseline
        none = {**same.columns, "capped_errors": np.zeros(len(same.slice_index))}
        same = same if errors else replace(same, columns=none)
        pairs = replace(pairs, candidate=same, baseline=same)
    if prompts:
        pairs = with_prompts(pairs, prompts, seed)
    pairs, values = asked(pairs, repeats), asked(values, repeats)
    judged = replace(
        part(artifact=artifact), policy=Named(name="asr-promotion", digest=rules.digest)
    )
    assert judged.baseline is not None
    baseline = _compared(judged.baseline, pairs, values)
    rates = RateEvidence(
        sums=pairs.candidate,
        within=_by_utterance(pairs.candidate) if speakers == 1 else None,
        by_repeat=_by_repeat(pairs.candidate, repeats) if repeats > 1 else None,
    )
    # What a percentile of its own rests on is not in the evidence of a run that asked again.
    timings = {"latency_ms": TimingEvidence(values=replace(values.candidate, repeats=1))}
    evidence = Evidence(
        candidate=replace(report(judged.candidate), registered=registered),
        estimates=_estimates(rates, timings),
        utterances={
            name: distinct(10 * speakers * (slices if name == "overall" else 1), repeats)
            for name in pairs.candidate.slices
        },
        specs=frozenset({"overall", "noise"}),
        rates=rates,
        baseline=baseline,
        families=family_count(rules.rules),
    )
    compared: dict[Against, Compared] = {"baseline": baseline}
    if anchor:
        run = judged_run("far-run", FAR)
        others, far_values = random_pairs(seed + 100, speakers=speakers, slices=slices)
        pairs = replace(pairs, baseline=others.baseline)
        values = replace(values, baseline=far_values.baseline)
        pairs, values = asked(pairs, repeats), asked(values, repeats)
        judged = replace(judged, anchor=run)
        compared["anchor"] = _compared(run, pairs, values)
        evidence = replace(evidence, anchor=compared["anchor"])
    results = [
        *judge_all(rules, evidence, now=NOW),
        *judge_requirements(
            rules,
            {check.name: check for check in checks},
            candidates={"": {judged.candidate.artifact or judged.candidate.candidate}},
            now=NOW,
        ),
    ]
    decision = decide(rules, results, parts=(judged,), checks=checks)
    document, _ = yaml_text.load(text, source="asr-promotion.yaml")
    assert isinstance(document, Mapping)
    return replace(
        decision,
        policy=replace(decision.policy, documents={rules.name: document}),
        created=NOW,
        expires="2026-02-01T12:00:00Z",
        serial=7,
        tool_version="0.1.0",
        evidence=DecisionEvidence(
            parts=(
                decision_evidence(
                    rules.rules,
                    rates=rates,
                    timings=timings,
                    utterances=evidence.utterances,
                    compared=compared,
                ),
            ),
            method=METHOD,
        ),
    )


LAUNCH = """\
schema: relkit.gate/v1
name: launch
parts: {asr: asr-promotion, tts: asr-promotion}
requires: [load-test]
"""


def launch(
    first: GateDecision, second: GateDecision, *, checks: Sequence[CheckRecord] = ()
) -> GateDecision:
    """Return the decision of a launch over two parts that were judged by one policy."""
    rules = policy(LAUNCH)
    documents = {**first.policy.documents, "launch": dict(rules.document)}
    parts = {"asr": first, "tts": second}
    own = {name: policy() for name in parts}
    judged = [replace(d.parts[0], name=name) for name, d in parts.items()]
    results = [replace(r, part=name) for name, d in parts.items() for r in d.results]
    results += judge_requirements(
        rules,
        {check.name: check for check in checks},
        candidates={
            part.name or "": {part.candidate.artifact or part.candidate.candidate}
            for part in judged
        },
        now=NOW,
    )
    decision = decide(rules, results, parts=judged, checks=checks)
    return replace(
        first,
        policy=replace(decision.policy, digest=policy_digest(rules, own), documents=documents),
        verdict=decision.verdict,
        reason_codes=decision.reason_codes,
        results=decision.results,
        checks=decision.checks,
        parts=decision.parts,
        evidence=DecisionEvidence(
            parts=tuple(replace(d.evidence.parts[0], part=name) for name, d in parts.items()),
            method=METHOD,
        ),
    )


def asked(systems: Systems, repeats: int) -> Systems:
    """Return sums or measurements of two runs as those of all repeats together."""
    return replace(
        systems,
        candidate=replace(systems.candidate, repeats=repeats),
        baseline=replace(systems.baseline, repeats=repeats),
    )


def _compared(run: JudgedRun, pairs: PairedSums, values: PairedValues) -> Compared:
    return Compared(
        report=report(run),
        pairing=Pairing(
            both=1, compared=1, only_candidate=0, only_baseline=0, moved=0, duplicates=0
        ),
        pairs=pairs,
        values={"latency_ms": values},
    )


def _by_utterance(sums: ClusterSums) -> ClusterSums:
    """Return the sums by slice and utterance, ten of each cluster, unlike each other."""
    share = np.tile(np.linspace(0.05, 0.15, 10), len(sums.slice_index))
    return replace(
        sums,
        slice_index=np.repeat(sums.slice_index, 10),
        cluster_index=np.arange(10 * len(sums.slice_index)),
        columns={name: np.repeat(column, 10) * share for name, column in sums.columns.items()},
    )


def _by_repeat(sums: ClusterSums, repeats: int) -> ClusterSums:
    """Return the sums by slice and repeat, clusters shared out as they come."""
    slices = len(sums.slices)
    place = sums.slice_index * repeats + sums.cluster_index % repeats
    return replace(
        sums,
        slice_index=np.repeat(np.arange(slices), repeats),
        cluster_index=np.tile(np.arange(repeats), slices),
        columns={
            name: np.bincount(place, weights=column, minlength=slices * repeats).astype(np.float64)
            for name, column in sums.columns.items()
        },
    )


def _estimates(
    rates: RateEvidence, timings: Mapping[str, TimingEvidence]
) -> dict[str, dict[str, Estimate]]:
    names = rates.sums.slices
    found: dict[str, dict[str, Estimate]] = {name: {} for name in names}
    for metric in ("wer_capped", "runaway_rate", "keyword_error_rate", "latency_ms.mean"):
        for name, estimate in zip(names, estimate_rates(RATE_METRICS[metric], rates), strict=True):
            found[name][metric] = estimate
    (p95,) = estimate_percentiles(0.95, timings["latency_ms"], unit="ms")
    found["overall"]["latency_ms.p95"] = p95
    return found


def new_key(folder: Path) -> SigningKey:
    """Return a fresh key, written to a folder and read from it."""
    private, _ = make_key(folder, {})
    return load_private(private, {})


def signed(content: GateDecision, *keys: SigningKey) -> bytes:
    """Return a decision as a file, signed by some keys."""
    envelope = Envelope(payload=render_statement(content))
    for key in keys:
        envelope = key.sign(envelope)
    return render_envelope(envelope)


def before_discoveries(
    monkeypatch: pytest.MonkeyPatch,
    **arguments: Any,  # noqa: ANN401 - those of statement()
) -> GateDecision:
    """Return a decision whose advisory families were corrected as those that block."""
    with monkeypatch.context() as patch:
        patch.setattr(
            gate_judging, "correction_of", lambda _, families: Correction(alpha=0.05 / families)
        )
        return statement(**arguments)


def before_scores(
    monkeypatch: pytest.MonkeyPatch,
    **arguments: Any,  # noqa: ANN401 - those of statement()
) -> GateDecision:
    """Return a decision whose limits were held against intervals on the log scale."""
    capped = replace(RATE_METRICS["wer_capped"], bounded=False)
    with monkeypatch.context() as patch:
        patch.setattr(gate_judging, "is_tested", lambda _: False)
        patch.setattr(gate_judging, "_method", lambda *_: None)
        patch.setattr(sys.modules[__name__], "RATE_METRICS", {**RATE_METRICS, "wer_capped": capped})
        return statement(**arguments)
