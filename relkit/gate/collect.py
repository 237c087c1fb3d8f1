"""What a gate is judged on, collected from finished runs: nothing is decoded or scored."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from relkit.core.metrics import metric_of
from relkit.core.slices import spec_of
from relkit.core.values import Estimate
from relkit.evaluation.comparable import other_measures
from relkit.evaluation.conclude import Aggregators, slice_results
from relkit.evaluation.ports import PairAggregator, RunStore, SliceAggregator
from relkit.evaluation.types import EvalReport
from relkit.gate.evidence import Compared, Evidence, comparing_rules, family_count, slice_specs
from relkit.gate.types import CheckRecord, GatePolicy, Rule
from relkit.statistics.estimates import slice_totals, sums_needed, timings_needed
from relkit.statistics.intervals import RateEvidence
from relkit.statistics.percentiles import TimingEvidence

Pairs = Callable[[Path, Path], PairAggregator]
"""Opens the results of a candidate and of what it is compared with."""


Records = Callable[[Sequence[str], Mapping[str, Path]], Mapping[str, CheckRecord | str]]
"""Finds the records of required checks, in files by name, or says why one cannot be used."""


class Policies(Protocol):
    """The policies of a workspace."""

    def read(self, name: str) -> tuple[GatePolicy, Mapping[str, GatePolicy]]:
        """Return a policy by name or path, and those of its parts; raises UsageError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePorts:
    """What a gate needs from the outside; ``now`` is the UTC time of the decision."""

    policies: Policies
    runs: RunStore
    aggregators: Aggregators
    pairs: Pairs
    records: Records
    now: str


def collect(
    policy: GatePolicy,
    candidate: str,
    *,
    baseline: str | None,
    anchor: str | None,
    ports: GatePorts,
) -> Evidence:
    """Return what a policy is judged on; raises InvalidInput for runs that cannot be read.

    Runs that are known not to measure the same are not compared: the decision says so instead.
    """
    report = ports.runs.read_report(candidate)
    results = ports.runs.results(candidate)
    before = None if baseline is None else Compared(report=ports.runs.read_report(baseline))
    began = None if anchor is None else Compared(report=ports.runs.read_report(anchor))
    with ExitStack() as stack:
        aggregator = None if results is None else stack.enter_context(ports.aggregators(results))
        evidence = replace(
            _own(policy, report, aggregator),
            baseline=before,
            anchor=began,
            families=family_count(policy.rules),
        )
        if aggregator is None or results is None or _incomparable(evidence):
            return evidence

        def filled(
            run: str | None, bare: Compared | None, rules: Sequence[Rule]
        ) -> Compared | None:
            results_path = None if run is None else ports.runs.results(run)
            if bare is None or results_path is None:
                return bare
            return _compare(policy, rules, bare, (results, results_path), aggregator, ports)

        rules = _compared_rules(policy, evidence)
        margins = [rule for rule in rules if rule.test == "non_inferiority"]
        return replace(
            evidence,
            baseline=filled(baseline, before, rules),
            anchor=filled(anchor, began, margins),
        )


def _own(policy: GatePolicy, report: EvalReport, aggregator: SliceAggregator | None) -> Evidence:
    """Return the candidate's own numbers: the report's, and what its results say beyond it."""
    estimates = {item.slice: dict(item.metrics) for item in report.slices}
    utterances = {item.slice: item.utterances for item in report.slices}
    reported = frozenset(spec_of(item.slice).name for item in report.slices)
    if aggregator is None:
        return Evidence(
            candidate=report, estimates=estimates, utterances=utterances, specs=reported
        )
    specs = [spec for spec in slice_specs(policy.rules) if _possible(spec, aggregator)]
    needed = sums_needed(_bound_metrics(policy))
    repeated = report.repeats > 1
    rates = RateEvidence(
        sums=aggregator.sums(specs, needed),
        by_repeat=aggregator.sums(specs, needed, by="repeat") if repeated else None,
    )
    totals = slice_totals(rates.sums)["utterances"].tolist()
    for name, count in zip(rates.sums.slices, totals, strict=True):
        utterances.setdefault(name, round(count / report.repeats))
    for name, metrics in _unreported(policy, estimates, specs, aggregator, report.repeats).items():
        estimates[name] = {**metrics, **estimates.get(name, {})}
    return Evidence(
        candidate=report,
        estimates=estimates,
        utterances=utterances,
        specs=reported | frozenset(specs),
        rates=rates,
        timings={
            column: TimingEvidence(
                values=aggregator.values(specs, column),
                by_repeat=aggregator.values(specs, column, by="repeat") if repeated else None,
            )
            for column in timings_needed(_bound_metrics(policy))
        },
    )


def _possible(spec: str, aggregator: SliceAggregator) -> bool:
    return spec == "overall" or set(spec.split("&")) <= set(aggregator.columns)


def _bound_metrics(policy: GatePolicy) -> tuple[str, ...]:
    return tuple(rule.metric for rule in policy.rules if rule.test == "bound" and _known(rule))


def _known(rule: Rule) -> bool:
    try:
        metric_of(rule.metric)
    except KeyError:
        return False
    return True


def _unreported(
    policy: GatePolicy,
    estimates: Mapping[str, Mapping[str, Estimate]],
    possible: Sequence[str],
    aggregator: SliceAggregator,
    repeats: int,
) -> dict[str, dict[str, Estimate]]:
    """Return the estimates of bounds that the report was not asked for."""
    cut = {spec_of(name).name for name in estimates}
    by_metric: dict[str, dict[str, Estimate]] = {}
    for rule in policy.rules:
        spec = spec_of(rule.slice).name
        reported = spec in cut and rule.metric in estimates.get("overall", {})
        if rule.test != "bound" or reported or spec not in possible or not _known(rule):
            continue
        for item in slice_results(aggregator, (rule.metric,), (spec,), repeats=repeats):
            by_metric.setdefault(item.slice, {}).update(item.metrics)
    return by_metric


def _incomparable(evidence: Evidence) -> bool:
    """Return whether the runs are known not to measure the same, so that nothing is compared."""
    candidate = evidence.candidate
    reports = [side.report for side in (evidence.baseline, evidence.anchor) if side is not None]
    return any(
        report.run == candidate.run or any(other_measures(candidate, report)) for report in reports
    )


def _compared_rules(policy: GatePolicy, evidence: Evidence) -> tuple[Rule, ...]:
    """Return the rules that compare, and whose slices the results can be cut into."""
    return tuple(
        rule
        for rule in comparing_rules(policy)
        if spec_of(rule.slice).name in evidence.specs and _known(rule)
    )


def _compare(
    policy: GatePolicy,
    rules: Sequence[Rule],
    compared: Compared,
    results: tuple[Path, Path],
    aggregator: SliceAggregator,
    ports: GatePorts,
) -> Compared:
    """Return the other run with what the rules compare."""
    specs = slice_specs(rules)
    metrics = tuple(dict.fromkeys(rule.metric for rule in rules))
    needed = sums_needed(metrics)
    if not policy.paired:
        with ports.aggregators(results[1]) as baseline:
            both = aggregator.sums(specs, needed), baseline.sums(specs, needed)
        return replace(compared, unpaired=both)
    with ports.pairs(*results) as pairs:
        pairing = pairs.pairing(specs)
        compared = replace(compared, pairing=pairing)
        if not pairing.whole or not rules:
            return compared
        return replace(
            compared,
            pairs=pairs.sums(specs, needed),
            values={column: pairs.values(specs, column) for column in timings_needed(metrics)},
        )
