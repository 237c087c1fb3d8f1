"""``relkit gate``: a policy over finished runs, to a decision; nothing is decoded or scored.

What a policy is judged on is collected from the runs' reports and results, part by part.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from relkit.core.codec import as_type
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.slices import OVERALL, spec_of
from relkit.core.values import Estimate, Named
from relkit.evaluation.conclude import slice_results
from relkit.evaluation.ports import PairAggregator, RunStore, SliceAggregator
from relkit.evaluation.suites import changed_settings, system_name
from relkit.evaluation.types import ChangedSetting, EvalReport, other_measures
from relkit.gate.decide import (
    decide,
    judge_all,
    judge_requirements,
    run_finding,
    these_alone,
    warnings,
)
from relkit.gate.evidence import (
    ClusterOrder,
    Compared,
    Evidence,
    cluster_order,
    comparing_rules,
    family_count,
    replay,
    slice_specs,
)
from relkit.gate.types import (
    CANDIDATE,
    SINGLE_PART,
    CheckRecord,
    Coverage,
    GateDecision,
    GatePolicy,
    JudgedDataset,
    JudgedPart,
    JudgedRun,
    Rule,
    RuleResult,
    Verdict,
)
from relkit.statistics.estimates import slice_totals, sums_needed, timings_needed
from relkit.statistics.intervals import RateEvidence, distinct
from relkit.statistics.percentiles import TimingEvidence


class OpenSlices(Protocol):
    """Opens the results of a run; with ``utterances`` each of them is a cluster.

    ``order`` is what clusters are numbered by.
    """

    def __call__(
        self, results: Path, /, *, utterances: bool = False, order: ClusterOrder | None = None
    ) -> SliceAggregator:
        """Return the aggregator."""


class OpenPairs(Protocol):
    """Opens the results of a candidate and of what it is compared with, in the same way."""

    def __call__(
        self,
        candidate: Path,
        baseline: Path,
        /,
        *,
        utterances: bool = False,
        order: ClusterOrder | None = None,
    ) -> PairAggregator:
        """Return the aggregator."""


Records = Callable[[Sequence[str], Mapping[str, Path]], Mapping[str, CheckRecord | str]]
"""Finds the records of required checks, in files by name, or says why one cannot be used."""

Runs = tuple[str, str | None, str | None]
"""The runs of a part: candidate, baseline and anchor."""


class Policies(Protocol):
    """The policies of a workspace."""

    def read(self, name: str) -> tuple[GatePolicy, Mapping[str, GatePolicy]]:
        """Return a policy by name or path, and those of its parts; raises UsageError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePorts:
    """What a gate needs from the outside; ``now`` is the UTC time of the decision.

    ``key`` is the workspace's secret that the clusters of its decisions are ordered by.
    """

    policies: Policies
    runs: RunStore
    aggregators: OpenSlices
    pairs: OpenPairs
    records: Records
    now: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """The policy by name or path, and the runs: ``RUN``, or ``PART=RUN`` for one with parts.

    ``checks`` are ``NAME=FILE``. The decision goes to ``decision`` (None: below ``.relkit``) and is
    signed with the private key ``sign``.
    """

    policy: str
    candidates: tuple[str, ...]
    baselines: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    decision: Path | None = None
    sign: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRuns:
    """A decision with its policy, and by part the policy and evidence it was made from."""

    policy: GatePolicy
    decision: GateDecision
    policies: Mapping[str, GatePolicy]
    evidence: Mapping[str, Evidence]


def judge_runs(options: GateOptions, ports: GatePorts) -> JudgedRuns:
    """Return the decision of a policy over runs; raises InvalidInput, UsageError.

    What is wrong with the runs is part of the decision; what cannot be read at all is raised.
    """
    policy, parts = ports.policies.read(options.policy)
    policies = dict(parts) or {SINGLE_PART: policy}
    candidates = _by_part(options.candidates, policies, "--candidate")
    baselines = _by_part(options.baselines, policies, "--baseline")
    anchors = _by_part(options.anchors, policies, "--anchor")
    if not candidates:
        raise UsageError("--candidate is missing", hint="name the run to judge: --candidate RUN")
    check_files = _named_files(options.checks)
    results: list[RuleResult] = []
    judged: list[JudgedPart] = []
    evidence: dict[str, Evidence] = {}
    for name, part_policy in policies.items():
        if name not in candidates:
            if part_policy.rules:
                reason = f"no run was given for {name}"
                absent = run_finding("part_missing", Verdict.NO_DATA, reason)
                results.append(replace(absent, part=name))
            continue
        runs = (candidates[name], baselines.get(name), anchors.get(name, part_policy.anchor))
        evidence[name] = collect(part_policy, runs, ports)
        part = _part(part_policy, name, runs, evidence[name], ports)
        judged.append(part)
        of_part = judge_all(part_policy, evidence[name], now=ports.now)
        results += [replace(result, part=part.name) for result in of_part]
    required = [*policy.requires]
    for name, part_policy in parts.items():
        required += [
            replace(need, about=name) if need.about == CANDIDATE else need
            for need in part_policy.requires
        ]
    combined = replace(policy, requires=tuple(dict.fromkeys(required)))
    records = ports.records([need.name for need in combined.requires], check_files)
    digests = {
        part.name or SINGLE_PART: {
            digest for digest in (part.candidate.candidate, part.candidate.artifact) if digest
        }
        for part in judged
    }
    results += judge_requirements(combined, records, candidates=digests, now=ports.now)
    checks = [record for record in records.values() if isinstance(record, CheckRecord)]
    decision = decide(combined, results, parts=judged, checks=checks)
    return JudgedRuns(policy=policy, decision=decision, policies=policies, evidence=evidence)


def _by_part(
    runs: Sequence[str], policies: Mapping[str, GatePolicy], option: str
) -> dict[str, str]:
    """Return runs by part; raises UsageError where one is named twice or names no part."""
    by_part: dict[str, str] = {}
    hint = f"for example {option} {next(iter(policies))}=RUN"
    for text in runs:
        name, sign, run = text.partition("=")
        if SINGLE_PART in policies:
            name, run = SINGLE_PART, text
        elif not sign or not run:
            raise UsageError(f"{option} needs PART=RUN: the policy has parts", hint=hint)
        if name in by_part:
            raise UsageError(f"{option} names {name or 'a run'} twice", hint="name one run")
        if name not in policies:
            names = ", ".join(policies)
            raise UsageError(f"{option} needs one of the policy's parts: {names}", hint=hint)
        by_part[name] = run
    return by_part


def _named_files(checks: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for text in checks:
        name, _, path = text.partition("=")
        if not name or not path or name in files:
            hint = "for example --check load-test=load-test.json"
            raise UsageError("--check takes NAME=FILE, each name once", hint=hint)
        files[name] = Path(path)
    return files


def _part(
    policy: GatePolicy, name: str, runs: Runs, evidence: Evidence, ports: GatePorts
) -> JudgedPart:
    report, baseline = evidence.candidate, evidence.baseline
    candidate_run, baseline_run, anchor_run = runs
    pairing = None if baseline is None else baseline.pairing
    return JudgedPart(
        name=name or None,
        policy=Named(name=policy.name, digest=policy.digest),
        candidate=_judged_run(candidate_run, report, ports),
        baseline=_other_run(baseline_run, baseline, ports),
        anchor=_other_run(anchor_run, evidence.anchor, ports),
        dataset=as_type(JudgedDataset, report.dataset),
        suite=report.suite,
        normalizer=report.normalizer,
        scorer=report.scorer,
        coverage=as_type(Coverage, report),
        baseline_failures=() if pairing is None else pairing.baseline_failures,
        null_replay=replay(policy, evidence),
        cluster=report.cluster,
        crossed=report.crossed,
        shared_prompts=report.shared_prompts,
        settings=_changed(candidate_run, baseline_run, ports),
        warnings=warnings(evidence),
        population=None if evidence.alone is None else "these_clusters",
    )


def _other_run(run: str | None, compared: Compared | None, ports: GatePorts) -> JudgedRun | None:
    return None if run is None or compared is None else _judged_run(run, compared.report, ports)


def _judged_run(run: str, report: EvalReport, ports: GatePorts) -> JudgedRun:
    header = ports.runs.read_header(run)
    digest = header.outputs.get("report.json")
    if digest is None:
        raise InvalidInput(f"{report.run}: does not say what its report was")
    return JudgedRun(
        run=report.run,
        report=digest,
        candidate=report.candidate.digest,
        artifact=report.candidate.artifact,
        created=report.created,
        system=system_name(header.suite.system),
    )


def _changed(run: str, baseline: str | None, ports: GatePorts) -> tuple[ChangedSetting, ...]:
    if baseline is None:
        return ()
    return changed_settings(ports.runs.read_header(run), ports.runs.read_header(baseline))


def collect(policy: GatePolicy, runs: Runs, ports: GatePorts) -> Evidence:
    """Return what a policy is judged on; raises InvalidInput for runs that cannot be read.

    Runs that are known not to measure the same are not compared: the decision says so instead.
    Clusters are numbered in the order of this decision's inputs under the workspace's key.
    """
    candidate, baseline_run, anchor_run = runs
    reports = [ports.runs.read_header(run).outputs.get("report.json", run) for run in runs if run]
    order = cluster_order(ports.key, (policy.digest, *reports))
    ports = replace(
        ports,
        aggregators=partial(ports.aggregators, order=order),
        pairs=partial(ports.pairs, order=order),
    )
    report, results = ports.runs.read_report(candidate), ports.runs.results(candidate)
    baseline, anchor = (
        None if run is None else Compared(report=ports.runs.read_report(run))
        for run in (baseline_run, anchor_run)
    )
    with ExitStack() as stack:
        closed = policy.population == "these_clusters"
        opened = None if results is None else ports.aggregators(results, utterances=closed)
        aggregator = None if opened is None else stack.enter_context(opened)
        evidence = replace(
            _of_candidate(policy, report, aggregator),
            baseline=baseline,
            anchor=anchor,
            families=family_count(policy.rules),
            any_load=policy.any_load,
        )
        sides = [side.report for side in (baseline, anchor) if side is not None]
        incomparable = any(
            side.run == report.run or any(other_measures(report, side)) for side in sides
        )
        if aggregator is None or results is None or incomparable:
            return evidence

        def compared(
            run: str | None, side: Compared | None, rules: Sequence[Rule]
        ) -> Compared | None:
            results_path = None if run is None else ports.runs.results(run)
            if side is None or results_path is None:
                return side
            return _compare(policy, rules, side, (results, results_path), aggregator, ports)

        rules = [r for r in comparing_rules(policy) if spec_of(r.slice).name in evidence.specs]
        margins = [rule for rule in rules if rule.test == "non_inferiority"]
        return replace(
            evidence,
            baseline=compared(baseline_run, baseline, rules),
            anchor=compared(anchor_run, anchor, margins),
        )


def _of_candidate(
    policy: GatePolicy, report: EvalReport, aggregator: SliceAggregator | None
) -> Evidence:
    """Return the candidate's numbers: the report's, and what its results say beyond it.

    Of a closed set of clusters the report says nothing: its intervals are about others like them.
    """
    closed = policy.population == "these_clusters"
    estimates = {item.slice: {} if closed else dict(item.metrics) for item in report.slices}
    utterances = {item.slice: item.utterances for item in report.slices}
    reported = frozenset(spec_of(item.slice).name for item in report.slices)
    evidence = Evidence(
        candidate=replace(report, cluster="utterance") if closed else report,
        estimates=estimates,
        utterances=utterances,
        specs=reported,
        alone=these_alone(report) if closed else None,
    )
    if aggregator is None:
        return evidence
    columns = set(aggregator.columns)
    specs = [
        spec
        for spec in slice_specs(policy.rules)
        if spec == OVERALL or set(spec.split("&")) <= columns
    ]
    bounds = [rule for rule in policy.rules if rule.test == "bound"]
    metrics = tuple(rule.metric for rule in bounds)
    needed = sums_needed(metrics)
    repeated = report.repeats > 1
    rates = RateEvidence(
        sums=aggregator.sums(specs, needed),
        by_repeat=aggregator.sums(specs, needed, by="repeat") if repeated else None,
    )
    totals = slice_totals(rates.sums)["utterances"].tolist()
    for name, count in zip(rates.sums.slices, totals, strict=True):
        utterances.setdefault(name, distinct(count, report.repeats))
    # Bounds that the report was not asked for; where it was, its own number counts.
    unreported: dict[str, dict[str, Estimate]] = {}
    overall = estimates.get(OVERALL, {})
    for rule in bounds:
        spec = spec_of(rule.slice).name
        if spec in specs and not (spec in reported and rule.metric in overall):
            for item in slice_results(aggregator, (rule.metric,), (spec,), repeats=report.repeats):
                unreported.setdefault(item.slice, {}).update(item.metrics)
    for name, measured in unreported.items():
        estimates[name] = {**measured, **estimates.get(name, {})}
    return replace(
        evidence,
        specs=reported | frozenset(specs),
        rates=rates,
        timings={
            column: TimingEvidence(
                values=aggregator.values(specs, column),
                by_repeat=aggregator.values(specs, column, by="repeat") if repeated else None,
            )
            for column in timings_needed(metrics)
        },
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
    closed = policy.population == "these_clusters"
    specs = slice_specs(rules)
    metrics = tuple(dict.fromkeys(rule.metric for rule in rules))
    needed = sums_needed(metrics)
    if not policy.paired:
        with ports.aggregators(results[1], utterances=closed) as baseline:
            both = aggregator.sums(specs, needed), baseline.sums(specs, needed)
        return replace(compared, unpaired=both)
    with ports.pairs(*results, utterances=closed) as pairs:
        pairing = pairs.pairing(specs)
        compared = replace(compared, pairing=pairing)
        if not pairing.whole or not rules:
            return compared
        return replace(
            compared,
            pairs=pairs.sums(specs, needed),
            values={column: pairs.values(specs, column) for column in timings_needed(metrics)},
        )
