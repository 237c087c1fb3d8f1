"""The shipped policy on simulated runs, judged by the engine that decides promotions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.decision_quality.worlds import MEAN_WORDS, NOISES, World
from relkit.core.slices import OVERALL
from relkit.core.values import ErrorCounts, Estimate, Named, SystemId
from relkit.datasets.types import DatasetVersion
from relkit.evaluation.types import EvalReport, Hallucinations, Runaways, SliceResult
from relkit.gate import judge as gate_judging
from relkit.gate.decide import decide, judge_all, worst_of
from relkit.gate.evidence import Compared, Evidence, family_count, joined, rule_slices
from relkit.gate.policies import parse_policy
from relkit.gate.types import GatePolicy, Rule, RuleResult, Verdict
from relkit.statistics.families import test_regressions
from relkit.statistics.intervals import RateEvidence, distinct, estimate_rates, group_sum
from relkit.statistics.power import Assumptions, SliceSize, expected_precision, smallest_margin
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, PairedSums, Pairing

SHIPPED = Path(__file__).resolve().parents[2] / "gates" / "asr-promotion.yaml"
METRICS = ("wer_capped", "runaway_rate", "failure_rate")
OF_PEOPLE = 0.20
"""The ceiling on WER that the shipped policy suggests for recordings of people."""

FLIPS = 2000
_DIGEST = "sha256:" + "0" * 64
_MEASURED, _NOW = "2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"


def default_policy(margin: float) -> GatePolicy:
    """Return the shipped policy: its rules about word errors, runaways and failures.

    Those about entities and latencies, which are not simulated, are left out.
    """
    policy = parse_policy(SHIPPED.read_text(encoding="utf-8"), source=SHIPPED.name)
    return replace(policy, rules=tuple(_rules(policy, margin)))


def _rules(policy: GatePolicy, margin: float) -> Iterator[Rule]:
    for rule in policy.rules:
        if rule.metric not in METRICS:
            continue
        if rule.test == "non_inferiority":
            yield replace(rule, margin=margin)
        elif rule.metric == "wer_capped" and rule.test == "bound":
            yield replace(rule, max=OF_PEOPLE)
        else:
            yield rule


def planned_margin(world: World) -> float:
    """Return the margin of the plan: at it an equal system passes four times in five."""
    utterances = world.utterances * world.speakers * world.slices
    size = SliceSize(
        slice=OVERALL,
        clusters=world.clusters,
        utterances=utterances,
        units=utterances * MEAN_WORDS,
        shared=(1.0 - 1.0 / world.clusters) / world.prompts if world.prompts else 0.0,
    )
    precision = expected_precision(size, Assumptions(rate=world.rate))
    return max(0.002, smallest_margin(precision)) if precision is not None else 1.0


def evidence_of(
    pairs: PairedSums, rules: tuple[Rule, ...], number: int, by_repeat: ClusterSums | None = None
) -> Evidence:
    """Return what a gate is given of two runs; ``number`` makes the flips of each gate its own.

    ``by_repeat`` are the candidate's sums by repeat, of runs that asked more than once.

    The families are joined as :func:`relkit.gate.decide.judge_all` does, for who judges one rule.
    """
    rates = RateEvidence(sums=pairs.candidate, by_repeat=by_repeat)
    own, before = _report(rates, number), _report(RateEvidence(sums=pairs.baseline), None)
    both, names = own.expected, pairs.candidate.slices
    return Evidence(
        candidate=own,
        estimates={item.slice: dict(item.metrics) for item in own.slices},
        utterances={item.slice: item.utterances for item in own.slices},
        specs=frozenset({OVERALL, "accent", "noise"}),
        rates=rates,
        baseline=Compared(
            report=before,
            pairing=Pairing(
                both=both, compared=both, only_candidate=0, only_baseline=0, moved=0, duplicates=0
            ),
            pairs=pairs,
        ),
        families=family_count(rules),
        together=joined(
            (rule, rule_slices(rule.slice, names, own.registered).found) for rule in rules
        ),
    )


def _report(rates: RateEvidence, number: int | None) -> EvalReport:
    """Return the report of a run; None is the baseline, of which only what it counted is used."""
    sums = rates.sums
    found = {} if number is None else _estimates(rates)
    many = group_sum(sums.columns["utterances"], sums.slice_index, len(sums.slices))
    failures = group_sum(sums.columns["failures"], sums.slice_index, len(sums.slices))
    speakers = np.bincount(sums.slice_index, minlength=len(sums.slices))
    slices = tuple(
        SliceResult(
            slice=name,
            utterances=distinct(many[i], sums.repeats),
            clusters=int(speakers[i]),
            failures=int(failures[i]),
            counts=ErrorCounts(),
            metrics={metric: values[i] for metric, values in found.items()},
        )
        for i, name in enumerate(sums.slices)
    )
    return EvalReport(
        run="baseline" if number is None else f"candidate-{number}",
        suite=Named(name="simulated", digest=_DIGEST),
        candidate=SystemId(
            digest=_DIGEST if number is None else f"sha256:{number:064d}", artifact=None
        ),
        dataset=DatasetVersion(
            name="simulated",
            revision=None,
            dirty=None,
            digest=_DIGEST,
            utterances=distinct(many[0], sums.repeats),
        ),
        normalizer=Named(name="english", digest=_DIGEST),
        scorer="simulated",
        tool_version="0",
        created=_MEASURED,
        expected=int(many[0]),
        scored=int(many[0]),
        failures=int(failures[0]),
        unusable=0,
        repeats=sums.repeats,
        load=_DIGEST,
        slices=slices,
        masking=(),
        runaways=Runaways(count=0, loops=0),
        hallucinations=Hallucinations(clips=0, with_words=0, words=0, words_per_minute=None),
        registered={
            "accent": tuple(s.removeprefix("accent=") for s in sums.slices if "accent=" in s),
            "noise": NOISES,
        },
        cluster="speaker",
    )


def _estimates(rates: RateEvidence) -> dict[str, tuple[Estimate, ...]]:
    return {name: estimate_rates(RATE_METRICS[name], rates) for name in METRICS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the engine decided, and each of its results."""

    verdict: Verdict
    results: tuple[RuleResult, ...]

    def of(self, rule: str) -> Verdict:
        """Return the verdict of one rule over all its slices."""
        return worst_of(item.verdict for item in self.results if item.rule == rule)

    def at(self, rule: str, key: str) -> RuleResult:
        """Return the result of a rule in a slice."""
        return next(item for item in self.results if (item.rule, item.slice) == (rule, key))


def judged(
    policy: GatePolicy, pairs: PairedSums, number: int, by_repeat: ClusterSums | None = None
) -> Judged:
    """Return what ``relkit gate`` would say of two runs."""
    results = judge_all(policy, evidence_of(pairs, policy.rules, number, by_repeat), now=_NOW)
    return Judged(verdict=decide(policy, results).verdict, results=results)


@contextmanager
def fewer_flips() -> Iterator[None]:
    """Let the engine use the first 2,000 of its 10,000 flips."""
    few = partial(test_regressions, flips=FLIPS)
    with patch.object(gate_judging, "test_regressions", few):
        yield
