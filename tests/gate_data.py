"""Runs to hold a gate against: two systems over speakers, and every field can be given."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.core.values import Estimate, SystemId
from relkit.evaluation.types import EvalReport, SliceResult
from relkit.gate.evidence import Compared, Evidence
from relkit.gate.types import GatePolicy, Rule
from relkit.statistics.intervals import RateEvidence, estimate_rates
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.sums import SUM_COLUMNS
from relkit.statistics.types import ClusterSums, PairedSums, PairedValues, Pairing, SliceValues
from tests import builders

NOW = "2026-01-31T13:00:00Z"
CREATED = "2026-01-31T12:00:00Z"
EARLIER = "2026-01-30T12:00:00Z"
OTHER = "sha256:" + "1" * 64
VOICES = 12
WORDS = 100.0
UTTERANCES = 20.0

Errors = Mapping[str, Sequence[float]]
"""Slice to word errors per cluster; the clusters of ``overall`` are those of all slices."""


def sums(errors: Errors, *, words: float = WORDS, utterances: float = UTTERANCES) -> ClusterSums:
    """Return sums in which each cluster of each slice has so many words and these errors."""
    slices = tuple(errors)
    counts = np.concatenate([np.asarray(errors[name], dtype=np.float64) for name in slices])
    index = np.concatenate([np.full(len(errors[name]), i) for i, name in enumerate(slices)])
    cluster = np.concatenate([np.arange(len(errors[name])) for name in slices])
    columns: dict[str, FloatArray] = {name: np.zeros(len(counts)) for name in SUM_COLUMNS}
    for name in ("errors", "capped_errors", "raw_errors", "substitutions"):
        columns[name] = counts
    for name in ("words", "raw_words", "aligned"):
        columns[name] = np.full(len(counts), words)
    for name in ("expected", "utterances", "with_words", "with_raw_words", "with_aligned", "timed"):
        columns[name] = np.full(len(counts), utterances)
    columns["latency_ms"] = np.full(len(counts), 300.0 * utterances)
    return ClusterSums(
        slices=slices,
        slice_index=index.astype(np.int64),
        cluster_index=cluster.astype(np.int64),
        columns=columns,
    )


def paired(candidate: Errors, baseline: Errors, **sizes: float) -> PairedSums:
    """Return two systems' errors over the same utterances."""
    ours, theirs = sums(candidate, **sizes), sums(baseline, **sizes)
    return PairedSums(
        candidate=ours, baseline=theirs, clusters=int(ours.cluster_index.max(initial=-1)) + 1
    )


def times(values: Sequence[float], clusters: int = VOICES) -> SliceValues:
    """Return latencies of the overall slice, dealt out to the clusters in turn."""
    found = np.asarray(values, dtype=np.float64)
    order = np.argsort(found, kind="stable")
    return SliceValues(
        slices=("overall",),
        slice_index=np.zeros(len(found), dtype=np.int64),
        cluster_index=(np.arange(len(found)) % clusters)[order].astype(np.int64),
        values=found[order],
    )


def report_of(found: ClusterSums, metrics: Sequence[str], **fields: Any) -> EvalReport:  # noqa: ANN401  # any field
    """Return the report of a run with these sums."""
    by_metric = {
        name: estimate_rates(RATE_METRICS[name], RateEvidence(sums=found)) for name in metrics
    }
    slices = [
        slice_of(found, i, {name: by_metric[name][i] for name in metrics})
        for i in range(len(found.slices))
    ]
    given: dict[str, Any] = {
        "created": CREATED,
        "expected": 240,
        "scored": 240,
        "failures": 0,
        "unusable": 0,
        "cluster": "voice",
        "notes": (),
    }
    return builders.report(*slices, **(given | fields))


def slice_of(found: ClusterSums, i: int, metrics: Mapping[str, Estimate]) -> SliceResult:
    """Return slice ``i`` of a report."""
    rows = found.slice_index == i
    return builders.slice_result(
        found.slices[i],
        metrics,
        utterances=int(found.columns["utterances"][rows].sum()),
        clusters=int(rows.sum()),
    )


METRICS = ("wer", "wer_capped", "runaway_rate", "failure_rate")
EQUAL: Errors = {
    "overall": [8.0 + (i % 3) for i in range(VOICES)],
    "accent=a": [8.0 + (i % 3) for i in range(6)],
    "accent=b": [8.0 + (i % 3) for i in range(6)],
}
"""About 9 % WER; the two accents are the first and the second half of the voices."""

BETTER: Errors = {
    name: [value - 1.0 - (i % 2) for i, value in enumerate(v)] for name, v in EQUAL.items()
}
WORSE: Errors = {
    name: [value + 9.0 + (i % 3) for i, value in enumerate(v)] for name, v in EQUAL.items()
}


def evidence(
    candidate: Errors = BETTER,
    baseline: Errors = EQUAL,
    *,
    registered: Mapping[str, tuple[str, ...]] | None = None,
    pairing: Mapping[str, Any] | None = None,
    ours: Mapping[str, Any] | None = None,
    theirs: Mapping[str, Any] | None = None,
    anchor: Errors | None = None,
    **sizes: float,
) -> Evidence:
    """Return what a gate is given; ``ours`` and ``theirs`` are fields of the two reports."""
    pairs = paired(candidate, baseline, **sizes)
    fields = {
        "registered": registered,
        "candidate": SystemId(digest=OTHER, artifact=None),
        "run": "run-b",
    } | dict(ours or {})
    own = report_of(pairs.candidate, METRICS, **fields)
    before = report_of(
        pairs.baseline, METRICS, **({"created": EARLIER, "run": "run-a"} | dict(theirs or {}))
    )
    match: dict[str, Any] = {
        "both": 240,
        "compared": 240,
        "only_candidate": 0,
        "only_baseline": 0,
        "moved": 0,
        "duplicates": 0,
    }
    far = None
    if anchor is not None:
        far = Compared(
            report=replace(before, run="run-0"),
            pairing=Pairing(**match),
            pairs=paired(candidate, anchor, **sizes),
        )
    return Evidence(
        candidate=own,
        estimates={item.slice: dict(item.metrics) for item in own.slices},
        utterances={item.slice: item.utterances for item in own.slices},
        specs=frozenset({"overall", "accent"}),
        rates=RateEvidence(sums=pairs.candidate),
        baseline=Compared(
            report=before, pairing=Pairing(**(match | dict(pairing or {}))), pairs=pairs
        ),
        anchor=far,
    )


def repeated(found: ClusterSums, times: int) -> ClusterSums:
    """Return the sums of a run that asked so often and heard the same each time."""
    columns = {name: column * times for name, column in found.columns.items()}
    return replace(found, columns=columns, repeats=times)


def by_repeat(found: ClusterSums, times: int) -> ClusterSums | None:
    """Return the sums by slice and repeat of such a run; None where it asked one time."""
    if times == 1:
        return None
    count = len(found.slices)
    columns = {
        name: np.repeat(np.bincount(found.slice_index, column, count), times).astype(np.float64)
        for name, column in found.columns.items()
    }
    return replace(
        found,
        slice_index=np.repeat(np.arange(count), times),
        cluster_index=np.tile(np.arange(times), count),
        columns=columns,
        repeats=times,
    )


def repeated_values(found: SliceValues, times: int) -> SliceValues:
    """Return the measurements of such a run; the second argument is how often it asked."""
    return replace(
        found,
        slice_index=np.repeat(found.slice_index, times),
        cluster_index=np.repeat(found.cluster_index, times),
        values=np.repeat(found.values, times),
        repeats=times,
    )


def with_latencies(given: Evidence, ours: Sequence[float], theirs: Sequence[float]) -> Evidence:
    """Return the evidence with latencies of both runs."""
    if given.baseline is None:
        raise AssertionError("latencies are compared with a baseline")
    values = PairedValues(candidate=times(ours), baseline=times(theirs))
    return replace(given, baseline=replace(given.baseline, values={"latency_ms": values}))


def rule(**fields: Any) -> Rule:  # noqa: ANN401  # any field of the type
    """Return a rule about the overall WER, not more than 2 points worse unless said otherwise."""
    given: dict[str, Any] = {"id": "wer", "metric": "wer_capped", "test": "non_inferiority"}
    if fields.get("test", "non_inferiority") == "non_inferiority":
        given["margin"] = 0.02
    return Rule(**(given | fields))


def policy(*rules: Rule, **fields: Any) -> GatePolicy:  # noqa: ANN401  # any field of the type
    """Return a policy of these rules; without any, of :func:`rule`."""
    given: dict[str, Any] = {
        "name": "promotion",
        "digest": builders.DIGEST,
        "rules": rules or (rule(),),
    }
    return GatePolicy(**(given | fields))
