"""Asking three times is not three times the data: what it never turns into a pass.

Each case is undecided when every utterance is asked one time, because there are too few of them,
and would pass if answers counted as utterances.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from relkit.core.values import Estimate
from relkit.gate.decide import decide, judge_all
from relkit.gate.evidence import Evidence
from relkit.gate.types import GatePolicy, RuleResult, Verdict
from relkit.statistics.intervals import RateEvidence, estimate_rates
from relkit.statistics.percentiles import TimingEvidence, estimate_percentiles
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, PairedSums, PairedValues
from tests import gate_data
from tests.gate_data import NOW, VOICES, policy, rule, sums

ACCENTS = ("accent=a", "accent=b")
METRICS = ("failure_rate", "wer_capped", "wer")
Change = Callable[[Evidence, GatePolicy], Evidence]


def _errors(*counts: float) -> dict[str, list[float]]:
    """Return errors of the first voices, 0 of the others, in the whole and in two accents."""
    whole = [*counts, *[0.0] * (VOICES - len(counts))]
    return {"overall": whole, "accent=a": whole[:6], "accent=b": whole[6:]}


def _systems(
    candidate: Mapping[str, list[float]], baseline: Mapping[str, list[float]], utterances: float
) -> PairedSums:
    """Return two systems whose errors are words, and utterances without an answer."""
    sides = []
    for errors in (candidate, baseline):
        found = sums(errors, words=6.0 * utterances, utterances=utterances)
        sides.append(
            replace(found, columns={**found.columns, "failures": found.columns["capped_errors"]})
        )
    return PairedSums(candidate=sides[0], baseline=sides[1], clusters=VOICES)


def _estimates(rates: RateEvidence) -> dict[str, dict[str, Estimate]]:
    by_metric = {name: estimate_rates(RATE_METRICS[name], rates) for name in METRICS}
    return {
        key: {name: found[i] for name, found in by_metric.items()}
        for i, key in enumerate(rates.sums.slices)
    }


def _evidence(pairs: PairedSums, times: int, *, as_utterances: bool = False) -> Evidence:
    """Return the evidence of two runs that asked so often, and heard the same each time.

    ``as_utterances`` counts every answer as an utterance of its own.
    """

    def asked(found: ClusterSums) -> ClusterSums:
        again = gate_data.repeated(found, times)
        return replace(again, repeats=1) if as_utterances else again

    both = replace(pairs, candidate=asked(pairs.candidate), baseline=asked(pairs.baseline))
    rates = RateEvidence(
        sums=both.candidate,
        by_repeat=None if as_utterances else gate_data.by_repeat(pairs.candidate, times),
    )
    first = gate_data.evidence()
    assert first.baseline is not None
    many = group_sums(pairs.candidate) * (times if as_utterances else 1)
    return replace(
        first,
        estimates=_estimates(rates),
        utterances=dict(zip(pairs.candidate.slices, many.tolist(), strict=True)),
        rates=rates,
        baseline=replace(first.baseline, pairs=both),
    )


def group_sums(found: ClusterSums) -> np.ndarray:
    """Return the utterances of each slice."""
    return np.bincount(found.slice_index, found.columns["utterances"]).astype(np.int64)


def _as_reported(found: Evidence, _asked: GatePolicy) -> Evidence:
    """Return the evidence of a run of which only the report is left."""
    return replace(found, rates=None)


def _unpaired(found: Evidence, asked: GatePolicy) -> Evidence:
    """Return the evidence of two runs that are not paired."""
    compared = found.baseline
    assert compared is not None
    assert compared.pairs is not None
    assert not asked.paired
    both = compared.pairs.candidate, compared.pairs.baseline
    return replace(found, baseline=replace(compared, pairs=None, unpaired=both))


def _timed(found: Evidence, _asked: GatePolicy) -> Evidence:
    """Return the evidence with 36 latencies an asking, of the candidate and beside a baseline."""
    compared = found.baseline
    assert compared is not None
    assert compared.pairs is not None
    times = round(compared.pairs.candidate.columns["utterances"][0] / 3)
    once = gate_data.times([300.0] * (3 * VOICES))
    values = gate_data.repeated_values(once, times)
    values = replace(values, repeats=compared.pairs.candidate.repeats)
    by_repeat = replace(values, cluster_index=np.tile(np.arange(times), 3 * VOICES))
    timing = TimingEvidence(values=values, by_repeat=by_repeat if values.repeats > 1 else None)
    (p95,) = estimate_percentiles(0.95, timing, unit="ms")
    return replace(
        found,
        estimates={**found.estimates, "overall": {"latency_ms.p95": p95}},
        baseline=replace(
            compared, values={"latency_ms": PairedValues(candidate=values, baseline=values)}
        ),
    )


NONE = _errors()
ALL = {name: [3.0] * len(values) for name, values in NONE.items()}
THREE = _errors(1.0, 1.0, 1.0)
P95 = "latency_ms.p95"

Case = tuple[str, GatePolicy, PairedSums, Change | None]

CASES: list[Case] = [
    (
        "bound, a test of the limit, no errors",
        policy(rule(metric="failure_rate", test="bound", max=0.1)),
        _systems(NONE, NONE, 3.0),
        None,
    ),
    (
        "bound, no-errors",
        policy(rule(metric="failure_rate", test="bound", max=0.1)),
        _systems(NONE, NONE, 3.0),
        _as_reported,
    ),
    (
        "bound, only-errors",
        policy(rule(metric="failure_rate", test="bound", min=0.9)),
        _systems(ALL, ALL, 3.0),
        _as_reported,
    ),
    (
        "bound, few-events",
        policy(rule(metric="failure_rate", test="bound", max=0.14)),
        _systems(_errors(1.0), NONE, 3.0),
        _as_reported,
    ),
    (
        "bound, log-jackknife and too few utterances",
        policy(rule(metric="wer", test="bound", max=0.9)),
        _systems({n: [1.0 + i % 2 for i in range(len(v))] for n, v in NONE.items()}, NONE, 2.0),
        _as_reported,
    ),
    (
        "bound, logit-jackknife and too few utterances",
        policy(rule(metric="wer_capped", test="bound", max=0.9)),
        _systems({n: [1.0 + i % 2 for i in range(len(v))] for n, v in NONE.items()}, NONE, 2.0),
        _as_reported,
    ),
    (
        "bound, woodruff",
        policy(rule(metric=P95, test="bound", max=900.0), any_load=True),
        _systems(NONE, NONE, 3.0),
        _timed,
    ),
    (
        "margin, no-discordant",
        policy(rule(metric="failure_rate", margin=0.1)),
        _systems(NONE, NONE, 3.0),
        None,
    ),
    (
        "margin, few-discordant",
        policy(rule(metric="wer_capped", margin=0.1)),
        _systems(_errors(1.0), NONE, 3.0),
        None,
    ),
    (
        "margin, jackknife and too few utterances",
        policy(rule(metric="wer_capped", margin=0.5)),
        _systems({n: [1.0 + i % 2 for i in range(len(v))] for n, v in NONE.items()}, NONE, 2.0),
        None,
    ),
    (
        "margin, unpaired-jackknife",
        policy(rule(metric="failure_rate", margin=0.1), paired=False),
        _systems(NONE, NONE, 3.0),
        _unpaired,
    ),
    (
        "margin, paired-woodruff",
        policy(rule(metric=P95, margin=50.0)),
        _systems(NONE, NONE, 3.0),
        _timed,
    ),
    (
        "family, ratio not excluded",
        policy(rule(metric="failure_rate", test="no_regression", slice="accent=*")),
        _systems(_errors(*[1.0] * VOICES), _errors(*[1.0] * VOICES), 6.0),
        None,
    ),
    (
        "family, too few utterances",
        policy(rule(metric="wer_capped", test="no_regression", slice="accent=*")),
        _systems(
            {n: [9.0] * len(v) for n, v in NONE.items()},
            {n: [9.0] * len(v) for n, v in NONE.items()},
            4.0,
        ),
        None,
    ),
]


def _judged(case: Case, times: int, *, as_utterances: bool = False) -> tuple[RuleResult, ...]:
    _, asked, pairs, change = case
    found = _evidence(pairs, times, as_utterances=as_utterances)
    return tuple(
        result
        for result in judge_all(asked, found if change is None else change(found, asked), now=NOW)
        if result.test != "evidence"
    )


@pytest.mark.parametrize("times", [1, 3, 10])
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_asking_again_never_passes(case: Case, times: int) -> None:
    """The verdict and every number are those of one asking, whatever the method."""
    results, single = _judged(case, times), _judged(case, 1)
    assert decide(case[1], results).verdict is Verdict.INCONCLUSIVE, results
    for ours, theirs in zip(results, single, strict=True):
        assert (ours.verdict, ours.code) == (theirs.verdict, theirs.code)
        assert (ours.n, ours.utterances, ours.clusters) == (
            theirs.n,
            theirs.utterances,
            theirs.clusters,
        )
        for name in ("observed", "low", "high", "excludes", "p_adjusted"):
            again, expected = getattr(ours, name), getattr(theirs, name)
            assert (again is None) == (expected is None), name
            assert again is None or again == pytest.approx(expected, rel=1e-9), name


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_answers_that_count_as_utterances_would_pass(case: Case) -> None:
    """The table is about a real danger: it is the count that blocks each case."""
    results = _judged(case, 10, as_utterances=True)
    assert decide(case[1], results).verdict is Verdict.PASS, [r.reason for r in results]
