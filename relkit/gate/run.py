"""``relkit gate``: a policy over finished runs, to a decision; nothing is decoded or scored.

What a policy is judged on is collected from the runs' reports and results, part by part.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from relkit.core.errors import InvalidInput, UsageError
from relkit.core.metrics import metric_of
from relkit.core.slices import spec_of
from relkit.core.values import Estimate, Named
from relkit.evaluation.comparable import other_measures
from relkit.evaluation.conclude import Aggregators, slice_results
from relkit.evaluation.ports import PairAggregator, RunStore, SliceAggregator
from relkit.evaluation.types import EvalReport
from relkit.gate.decide import decide, judge_all, judge_requirements, run_finding
from relkit.gate.evidence import (
    Compared,
    Evidence,
    comparing_rules,
    family_count,
    replay,
    slice_specs,
)
from relkit.gate.types import (
    SINGLE_PART,
    CheckRecord,
    Coverage,
    GateDecision,
    GatePolicy,
    GateRequest,
    JudgedDataset,
    JudgedPart,
    JudgedRun,
    Rule,
    RuleResult,
    Verdict,
)
from relkit.statistics.estimates import slice_totals, sums_needed, timings_needed
from relkit.statistics.intervals import RateEvidence
from relkit.statistics.percentiles import TimingEvidence
from relkit.statistics.types import NullReplay

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
    request = _request(options, parts)
    check_files = _named_files(options.checks)
    _check_request(policies, request)
    results: list[RuleResult] = []
    judged: list[JudgedPart] = []
    evidence: dict[str, Evidence] = {}
    for name, part_policy in policies.items():
        if name not in request.candidates:
            if part_policy.rules:
                absent = run_finding(
                    "part_missing", Verdict.NO_DATA, f"no run was given for {name}"
                )
                results.append(replace(absent, part=name))
            continue
        collected = collect(
            part_policy,
            request.candidates[name],
            baseline=request.baselines.get(name),
            anchor=request.anchors.get(name, part_policy.anchor),
            ports=ports,
        )
        evidence[name] = collected
        label = name or None
        results += [
            replace(r, part=label) for r in judge_all(part_policy, collected, now=ports.now)
        ]
        judged.append(_part(part_policy, label, collected, request, ports))
    required = [
        *policy.requires,
        *(need for part_policy in parts.values() for need in part_policy.requires),
    ]
    combined = replace(policy, requires=tuple(dict.fromkeys(required)))
    records = ports.records([need.name for need in combined.requires], check_files)
    digests = {digest for part in judged for digest in _digests(part.candidate)}
    results += judge_requirements(combined, records, candidates=digests, now=ports.now)
    decision = decide(
        combined,
        results,
        parts=judged,
        checks=[record for record in records.values() if isinstance(record, CheckRecord)],
    )
    return JudgedRuns(policy=policy, decision=decision, policies=policies, evidence=evidence)


def _request(options: GateOptions, parts: Mapping[str, GatePolicy]) -> GateRequest:
    request = GateRequest(
        candidates=_by_part(options.candidates, parts, "--candidate"),
        baselines=_by_part(options.baselines, parts, "--baseline"),
        anchors=_by_part(options.anchors, parts, "--anchor"),
    )
    if not request.candidates:
        raise UsageError("--candidate is missing", hint="name the run to judge: --candidate RUN")
    return request


def _by_part(runs: Sequence[str], parts: Mapping[str, GatePolicy], option: str) -> dict[str, str]:
    """Return runs by part; raises UsageError where one is named twice or names no part."""
    by_part: dict[str, str] = {}
    for text in runs:
        name, sign, run = text.partition("=")
        if not parts:
            name, run = SINGLE_PART, text
        elif not sign or not run:
            hint = f"for example {option} {next(iter(parts))}=RUN"
            raise UsageError(f"{option} needs PART=RUN: the policy has parts", hint=hint)
        if name in by_part:
            raise UsageError(f"{option} names {name or 'a run'} twice", hint="name one run")
        by_part[name] = run
    return by_part


def _named_files(checks: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for text in checks:
        name, sign, path = text.partition("=")
        if not sign or not name or not path or name in files:
            hint = "for example --check load-test=load-test.json"
            raise UsageError("--check takes NAME=FILE, each name once", hint=hint)
        files[name] = Path(path)
    return files


def _check_request(policies: Mapping[str, GatePolicy], request: GateRequest) -> None:
    for option, runs in (
        ("--candidate", request.candidates),
        ("--baseline", request.baselines),
        ("--anchor", request.anchors),
    ):
        unknown = [name for name in runs if name not in policies]
        if unknown and SINGLE_PART in policies:
            raise UsageError(
                f"{option} names the part {unknown[0]}, and the policy has no parts",
                hint=f"for example {option} RUN",
            )
        if unknown:
            names = ", ".join(policies)
            raise UsageError(
                f"{option} needs one of the policy's parts: {names}",
                hint=f"for example {option} {next(iter(policies))}=RUN",
            )


def _digests(run: JudgedRun) -> tuple[str, ...]:
    return (run.candidate,) if run.artifact is None else (run.candidate, run.artifact)


def _part(
    policy: GatePolicy, name: str | None, evidence: Evidence, request: GateRequest, ports: GatePorts
) -> JudgedPart:
    report = evidence.candidate
    part = name or SINGLE_PART
    baseline = evidence.baseline
    return JudgedPart(
        name=name,
        policy=Named(name=policy.name, digest=policy.digest),
        candidate=_judged_run(request.candidates[part], report, ports),
        baseline=_other_run(request.baselines.get(part), baseline, ports),
        anchor=_other_run(request.anchors.get(part, policy.anchor), evidence.anchor, ports),
        dataset=JudgedDataset(
            name=report.dataset.name,
            revision=report.dataset.revision,
            digest=report.dataset.digest,
        ),
        suite=report.suite,
        normalizer=report.normalizer,
        scorer=report.scorer,
        coverage=Coverage(expected=report.expected, scored=report.scored, unusable=report.unusable),
        baseline_failures=()
        if baseline is None or baseline.pairing is None
        else baseline.pairing.baseline_failures,
        null_replay=_replayed(policy, evidence),
    )


def _replayed(policy: GatePolicy, evidence: Evidence) -> NullReplay | None:
    return None if evidence.baseline is None else replay(policy, evidence)


def _other_run(run: str | None, compared: Compared | None, ports: GatePorts) -> JudgedRun | None:
    return None if run is None or compared is None else _judged_run(run, compared.report, ports)


def _judged_run(run: str, report: EvalReport, ports: GatePorts) -> JudgedRun:
    digest = ports.runs.read_header(run).outputs.get("report.json")
    if digest is None:
        raise InvalidInput(f"{report.run}: does not say what its report was")
    return JudgedRun(
        run=report.run,
        report=digest,
        candidate=report.candidate.digest,
        artifact=report.candidate.artifact,
        created=report.created,
    )
