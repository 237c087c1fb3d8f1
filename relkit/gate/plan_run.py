"""``relkit gate --plan``: what a policy can decide on a dataset, before anything is decoded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from relkit.core.errors import InvalidInput, UsageError
from relkit.core.metrics import column_of, split_metric
from relkit.core.slices import OVERALL, columns_of, spec_of
from relkit.datasets.ports import VersionedDatasets
from relkit.datasets.types import Dataset
from relkit.evaluation.evaluate import Suites
from relkit.evaluation.ports import PairAggregator, RunStore
from relkit.evaluation.types import EvalReport, Suite, check_same_measure
from relkit.gate.assumptions import Measured, sentences
from relkit.gate.evidence import blocks_as_family, correction_of, family_count, joined
from relkit.gate.facts import facts_of, planned_slices
from relkit.gate.lint import lint
from relkit.gate.plan import margins, plan_rules, ratios
from relkit.gate.plan_types import GatePlan, SelectionFacts
from relkit.gate.policies import parse_policy, with_numbers
from relkit.gate.run import Policies
from relkit.gate.types import GatePolicy, Rule
from relkit.statistics.differences import rate_differences
from relkit.statistics.estimates import PERCENTILES, sums_needed, timings_needed
from relkit.statistics.families import test_regressions
from relkit.statistics.percentile_differences import percentile_differences
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import Difference, Regression

_SEED = "relkit-plan/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """The policy to plan, by name, path or itself, and the data and runs to plan it on.

    Without a suite it is that of a named run, else the whole dataset is meant. The measured values
    of the runs replace what would be assumed.
    """

    policy: GatePolicy | str
    dataset: str | None = None
    suite: str | None = None
    baseline: str | None = None
    candidate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPorts:
    """What a plan reads; ``pairs`` opens the results of (candidate, baseline) pair by pair."""

    policies: Policies
    suites: Suites
    datasets: VersionedDatasets
    runs: RunStore
    pairs: Callable[[Path, Path], PairAggregator]


REFERENCE = {"asr-promotion": "demo", "tts-promotion": "speech", "turn-promotion": "talk"}
"""Policies of the reference workspace, and the suites whose data they are set for."""


class PolicyTexts(Protocol):
    """The policies of a workspace as they are written."""

    def text(self, name: str) -> str | None:
        """Return the text of a policy's file, None where there is none."""

    def write(self, name: str, text: str) -> None:
        """Write a policy's file."""


class NamedSuites(Suites, Protocol):
    """Suites that can be listed."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all suites, sorted."""


class NamedDatasets(VersionedDatasets, Protocol):
    """Datasets that can be listed."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all datasets, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginPorts:
    """What setting margins reads and writes."""

    policies: PolicyTexts
    suites: NamedSuites
    datasets: NamedDatasets


def set_margins(
    ports: MarginPorts, reference: Mapping[str, str] = REFERENCE
) -> dict[str, dict[str, float]]:
    """Write margins and ratios that its own data can decide into the policies of a workspace.

    ``reference`` maps policies to the suites whose data they are set for. Returns margins by policy
    and rule. A policy, suite or dataset that is not there is passed over.
    """
    by_policy: dict[str, dict[str, float]] = {}
    for name, suite_name in reference.items():
        text = ports.policies.text(name)
        if text is None or suite_name not in ports.suites.names():
            continue
        source = f"{name}.yaml"
        policy = parse_policy(text, source=source)
        suite = ports.suites.read(suite_name)
        if suite.dataset.name not in ports.datasets.names():
            continue
        dataset = ports.datasets.snapshot(suite.dataset.name, rev=None).dataset
        facts = facts_of(dataset, policy.rules, suite)
        by_policy[name] = margins(policy, facts)
        text = with_numbers(text, "margin", by_policy[name], source=source)
        text = with_numbers(text, "detectable", ratios(policy, facts), source=source)
        ports.policies.write(name, text)
    return by_policy


def plan_gate(options: PlanOptions, ports: PlanPorts) -> GatePlan:
    """Return what each rule can decide; raises InvalidInput, UsageError.

    Without a suite the whole dataset is meant, clustered as its settings say.
    """
    policy = options.policy
    if isinstance(policy, str):
        policy, _ = ports.policies.read(policy)
    suite = _suite(options, ports)
    dataset = _dataset(options.dataset, suite, ports)
    if policy.parts:
        parts = ", ".join(policy.parts.values())
        raise UsageError(
            f'the policy "{policy.name}" is decided over several runs: plan its parts',
            hint=f"its parts are {parts}: relkit gate {next(iter(policy.parts.values()))} --plan",
        )
    facts = facts_of(dataset, policy.rules, suite, population=policy.population)
    reports = _reports(facts, ports, options)
    facts = replace(facts, noise_floors=_noise_floors(reports))
    measured = _measured(policy, facts, ports, reports)
    observed = {
        (key, metric): estimate.value
        for key, metrics in measured.values.items()
        for metric, estimate in metrics.items()
        if estimate.value is not None
    }
    rules = plan_rules(policy, facts, measured)
    overall = facts.slices[OVERALL]
    return GatePlan(
        policy=policy.name,
        policy_digest=policy.digest,
        dataset=facts.dataset,
        revision=facts.revision,
        suite=facts.suite,
        cluster=facts.cluster,
        utterances=overall.utterances,
        clusters=overall.clusters,
        words=overall.units["words"].total,
        turns=overall.units["turns"].total if "turns" in overall.units else 0,
        rules=rules,
        assumptions=(*sentences(rules), *_remarks(facts, reports)),
        findings=lint(policy, facts, rules, observed=observed),
        baseline=reports["baseline"].run if "baseline" in reports else None,
        candidate=reports["candidate"].run if "candidate" in reports else None,
    )


def _suite(options: PlanOptions, ports: PlanPorts) -> Suite | None:
    if options.suite is not None:
        return ports.suites.read(options.suite)
    run = options.baseline or options.candidate
    return None if run is None else ports.runs.read_header(run).suite


def _dataset(name: str | None, suite: Suite | None, ports: PlanPorts) -> Dataset:
    """Return the dataset that was named, else the suite's; raises UsageError."""
    name = name or (None if suite is None else suite.dataset.name)
    if name is None:
        raise UsageError(
            "a plan needs data to look at", hint="add --dataset NAME, and --suite SUITE for a part"
        )
    if suite is not None and suite.dataset.name != name:
        raise UsageError(
            f'the suite "{suite.name}" is about {suite.dataset.name}, not {name}',
            hint=f"use --dataset {suite.dataset.name}, or another suite",
        )
    return ports.datasets.snapshot(name, rev=None if suite is None else suite.dataset.rev).dataset


def _reports(
    facts: SelectionFacts, ports: PlanPorts, options: PlanOptions
) -> dict[str, EvalReport]:
    runs = {"baseline": options.baseline, "candidate": options.candidate}
    reports = {side: ports.runs.read_report(run) for side, run in runs.items() if run is not None}
    for report in reports.values():
        if report.dataset.name != facts.dataset:
            raise UsageError(
                f"{report.run} is a run on {report.dataset.name}, not on {facts.dataset}",
                hint="name a run on the same dataset",
            )
    if len({report.run for report in reports.values()}) < len(reports):
        raise UsageError("the same run is named twice", hint="name two runs, or one")
    return reports


def _measured(
    policy: GatePolicy, facts: SelectionFacts, ports: PlanPorts, reports: Mapping[str, EvalReport]
) -> Measured:
    """Return what the named runs say; the values are the baseline's where it is named."""
    if not reports:
        return Measured()
    first = next(iter(reports.values()))
    measured = Measured(run=first.run, values={item.slice: item.metrics for item in first.slices})
    if len(reports) == 1:
        return measured
    ours, theirs = reports["candidate"], reports["baseline"]
    check_same_measure(ours, theirs)
    rules = [
        rule
        for rule in policy.rules
        if rule.test != "bound" and set(columns_of(rule.slice)) <= set(facts.values)
    ]
    paths = [ports.runs.results(report.run) for report in (ours, theirs)]
    if paths[0] is None or paths[1] is None or not rules:
        return measured
    with ports.pairs(paths[0], paths[1]) as pairs:
        return _with_pairs(measured, rules, facts, pairs)


def _with_pairs(
    measured: Measured, rules: list[Rule], facts: SelectionFacts, pairs: PairAggregator
) -> Measured:
    specs = tuple(dict.fromkeys([OVERALL, *(spec_of(rule.slice).name for rule in rules)]))
    metrics = tuple(dict.fromkeys(rule.metric for rule in rules))
    if not pairs.pairing().both:
        raise InvalidInput(
            "the two runs have no utterance in common", hint="name runs of the same suite"
        )
    sums = pairs.sums(specs, sums_needed(metrics))
    values = {column: pairs.values(specs, column) for column in timings_needed(metrics)}
    differences: dict[tuple[str, str], Difference] = {}
    regressions: dict[tuple[str, str], Regression] = {}
    for metric in metrics:
        base, statistic = split_metric(metric)
        by_slice = (
            rate_differences(RATE_METRICS[metric], sums)
            if metric in RATE_METRICS
            else percentile_differences(PERCENTILES[statistic], values[column_of(base)], unit="ms")
        )
        differences |= {(metric, item.slice): item for item in by_slice}
    slices = {rule.id: planned_slices(rule, facts) for rule in rules}
    families = joined((rule, slices[rule.id]) for rule in rules)
    present = frozenset(sums.candidate.slices)
    for rule in rules:
        if rule.test == "no_regression":
            joint = families.get(rule.metric, ()) if blocks_as_family(rule) else ()
            for item in test_regressions(
                RATE_METRICS[rule.metric],
                sums,
                [key for key in dict.fromkeys((*slices[rule.id], *joint)) if key in present],
                seed=_SEED,
                detectable=rule.detectable,
                correction=correction_of(rule, family_count(rules)),
            ):
                regressions[(rule.id, item.slice)] = item
    return replace(measured, differences=differences, regressions=regressions)


def _noise_floors(reports: Mapping[str, EvalReport]) -> dict[str, float]:
    """Return the largest spread of a repeated quality score that some run saw."""
    floors: dict[str, float] = {}
    for report in reports.values():
        if report.quality is not None:
            for metric, floor in report.quality.noise_floor.items():
                floors[metric] = max(floor.sd, floors.get(metric, 0.0))
    return floors


def _remarks(facts: SelectionFacts, reports: Mapping[str, EvalReport]) -> tuple[str, ...]:
    remarks = ["words are counted as the scorer counts them, before normalizing"]
    if "turns" in facts.slices[OVERALL].units:
        remarks = ["turns, interruptions and backchannels are counted in the scripts"]
    if facts.task == "agent":
        remarks = ["what only a run can count (calls, effects) is taken as one per exchange"]
    remarks += [
        f"{report.run} was measured on another version of {facts.dataset}"
        for report in reports.values()
        if report.dataset.digest != facts.digest
    ]
    remarks += [
        f"{report.run} was measured with the suite {report.suite.name}, not {facts.suite}"
        for report in reports.values()
        if facts.suite is not None and report.suite.name != facts.suite
    ]
    return tuple(remarks)
