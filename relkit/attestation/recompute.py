"""What a gate judged from, made again out of a decision's evidence.

A decision judged again from the sums inside it, with the rules that judged it first.

A signature says who decided; this says that the numbers lead to the verdict. What cannot be known
from the evidence (that the sums are those of the runs, measurements at ranks of a percentile) is
believed, and listed as such.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relkit.attestation.sums import UTTERANCES
from relkit.core.metrics import metric_of
from relkit.core.slices import matches
from relkit.core.values import Estimate, SystemId
from relkit.datasets.types import NO_VALUE, DatasetVersion
from relkit.evaluation.types import EvalReport, Hallucinations, Runaways
from relkit.gate.decide import EVIDENCE, REQUIREMENT, for_new_slices, reason_codes, worst_of
from relkit.gate.evidence import Compared, Evidence, family_count, joined
from relkit.gate.judge import judge_bound, judge_differences, judge_family
from relkit.gate.types import (
    GateDecision,
    GatePolicy,
    JudgedPart,
    JudgedRun,
    OrderStatistics,
    PartEvidence,
    PercentileTable,
    Rule,
    RuleResult,
    SumsTable,
    Verdict,
)
from relkit.statistics.intervals import RateEvidence, estimate_rates, group_sum
from relkit.statistics.percentiles import WOODRUFF, Ranks, order_ranks, paired_ranks, worsening_ends
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.sums import ClusterSums, FloatArray, PairedSums
from relkit.statistics.types import Difference

_MOST = 2**53


def malformed(evidence: PartEvidence) -> str | None:
    """Return in words what makes evidence unusable, None where it is well formed.

    Rows are as long as the table says, sorted by slice and cluster, each pair once; sums are
    finite, and where they count something not negative.
    """
    problems = (problem for table in evidence.sums for problem in _table_problems(table))
    orders = (
        problem
        for table in evidence.percentiles
        for one in table.slices
        for system in (one, one.other)
        if system is not None
        for problem in _order_problems(table, system)
    )
    return next(problems, None) or next(orders, None)


def _table_problems(table: SumsTable) -> Iterator[str]:
    metric = RATE_METRICS.get(table.metric)
    if metric is None or not set(metric.needs) <= set(table.columns):
        yield f"{table.metric}: is no metric of these columns"
        return
    if len(set(table.columns)) != len(table.columns) or len(set(table.slices)) != len(table.slices):
        yield f"{table.metric}: a slice or column stands twice"
    width = 2 + len(table.columns) * (1 if table.against is None else 2)
    if any(len(row) != width for row in table.rows):
        yield f"{table.metric}: a row has not {width} numbers"
        return
    keys = [row[:2] for row in table.rows]
    if any(not _is_number(key[0], len(table.slices)) or not _is_number(key[1]) for key in keys):
        yield f"{table.metric}: a row names no slice or no cluster"
    if any(not earlier < later for earlier, later in itertools.pairwise(keys)):
        yield f"{table.metric}: rows are not sorted, or one stands twice"
    if not all(map(math.isfinite, (value for row in table.rows for value in row))):
        yield f"{table.metric}: a sum is no number"
    if metric.counted and any(value < 0 for row in table.rows for value in row):
        yield f"{table.metric}: a count is negative"


def _order_problems(table: PercentileTable, one: OrderStatistics) -> Iterator[str]:
    counts = [size for size, _ in one.rows]
    sound = all(
        math.isfinite(above) and _is_number(size) and 0 <= above <= size for size, above in one.rows
    )
    if not sound or sum(counts) != one.values:
        yield f"{table.metric}: counts of {one.slice} do not add up"
    for rank, value in ((one.low_rank, one.low), (one.high_rank, one.high)):
        if (rank is None) != (value is None):
            yield f"{table.metric}: an end of {one.slice} has no rank"
    ends = [value for value in (one.low, one.value, one.high) if value is not None]
    if ends != sorted(ends):
        yield f"{table.metric}: the percentile of {one.slice} is outside its interval"


def _is_number(value: float, below: int = _MOST) -> bool:
    return math.isfinite(value) and value == math.floor(value) and 0 <= value < below


def rebuilt(judged: JudgedPart, evidence: PartEvidence, metric: str) -> Evidence:
    """Return what the rules of one metric were judged on; the evidence has to be well formed.

    What the judges ask of a report and the evidence does not hold (loads, masking …) is empty.
    """
    tables = [table for table in evidence.sums if table.metric == metric]
    estimates, utterances = _estimates(evidence, tables, metric)
    runs = {"baseline": judged.baseline, "anchor": judged.anchor}
    compared = {
        against: _compared(judged, run, evidence, metric, against)
        for against, run in runs.items()
        if run is not None
    }
    return Evidence(
        candidate=_report(judged, judged.candidate),
        estimates={key: {metric: estimate} for key, estimate in estimates.items()},
        utterances=utterances,
        specs=frozenset(),
        baseline=compared.get("baseline"),
        anchor=compared.get("anchor"),
        families=family_count(evidence.rules),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known(Compared):
    """A run of whose percentiles only the differences are known."""

    by_slice: Mapping[str, Difference]

    def differences(self, metric: str) -> dict[str, Difference]:  # noqa: ARG002 - there is one
        """Return what is known."""
        return dict(self.by_slice)


def _compared(
    judged: JudgedPart, run: JudgedRun, evidence: PartEvidence, metric: str, against: str
) -> Compared | None:
    """Return the run the candidate was held against; None without evidence of it."""
    report = _report(judged, run)
    for table in evidence.sums:
        if (table.metric, table.against) == (metric, against):
            return Compared(report=report, pairs=_pairs(table))
    for percentiles in evidence.percentiles:
        if (percentiles.metric, percentiles.against) == (metric, against):
            found = {one.slice: _difference(percentiles, one) for one in percentiles.slices}
            return _Known(report=report, by_slice=found)
    return None


def _estimates(
    evidence: PartEvidence, tables: list[SumsTable], metric: str
) -> tuple[dict[str, Estimate], dict[str, int]]:
    own = {table.by: table for table in tables if table.against is None}
    if "cluster" in own:
        return _rates(own["cluster"], own.get("repeat"))
    own_percentiles = (
        table for table in evidence.percentiles if table.metric == metric and table.against is None
    )
    found = next(own_percentiles, None)
    if found is None:
        return {}, {}
    estimates = {one.slice: _percentile(found, one) for one in found.slices}
    return estimates, {one.slice: one.utterances for one in found.slices}


def _rates(
    table: SumsTable, repeats: SumsTable | None
) -> tuple[dict[str, Estimate], dict[str, int]]:
    sums = cluster_sums(table)
    evidence = RateEvidence(sums=sums, by_repeat=None if repeats is None else cluster_sums(repeats))
    found = estimate_rates(RATE_METRICS[table.metric], evidence)
    utterances: dict[str, int] = {}
    if UTTERANCES in sums.columns:
        totals = group_sum(sums.columns[UTTERANCES], sums.slice_index, len(sums.slices))
        counts = [round(total / evidence.repeats) for total in totals.tolist()]
        utterances = dict(zip(table.slices, counts, strict=True))
    return dict(zip(table.slices, found, strict=True)), utterances


def _percentile(table: PercentileTable, one: OrderStatistics) -> Estimate:
    """Return a percentile with the ends that the counts allow; the values themselves are believed.

    An end whose rank is not the one that the counts give is no number.
    """
    low, high = _ends(one, order_ranks(table.share, *_columns(one)))
    return Estimate(
        value=one.value,
        low=low,
        high=high,
        n=one.values,
        clusters=len(one.rows),
        unit=metric_of(table.metric).unit,
        method="none" if low is None and high is None else WOODRUFF,
    )


def _difference(table: PercentileTable, one: OrderStatistics) -> Difference:
    """Return the worsening of a percentile, its ends by the ranks that the counts give."""
    other = one.other
    found = Difference(
        slice=one.slice,
        candidate=one.value,
        baseline=None if other is None else other.value,
        worsening=None,
        n=one.values,
        utterances=one.utterances,
        clusters=len(one.rows),
        unit=metric_of(table.metric).unit,
    )
    if other is None or len(other.rows) != len(one.rows):
        return replace(found, note="nothing to compare with")
    ranks, other_ranks = paired_ranks(table.share, _columns(one), _columns(other))
    low, high = worsening_ends(
        (one.value, *_ends(one, ranks)), (other.value, *_ends(other, other_ranks))
    )
    change = one.value - other.value
    if metric_of(table.metric).better == "up":
        change, low, high = -change, _negative(high), _negative(low)
    return replace(found, worsening=change, low=low, high=high)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _columns(one: OrderStatistics) -> tuple[FloatArray, FloatArray]:
    rows = np.array(one.rows, dtype=np.float64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def _ends(one: OrderStatistics, ranks: Ranks) -> tuple[float | None, float | None]:
    return (
        one.low if ranks[0] == one.low_rank else math.nan,
        one.high if ranks[1] == one.high_rank else math.nan,
    )


def cluster_sums(table: SumsTable, *, other: bool = False) -> ClusterSums:
    """Return the candidate's sums of a table, or those of the other system."""
    width = 2 + len(table.columns) * (1 if table.against is None else 2)
    rows = np.array(table.rows, dtype=np.float64).reshape(-1, width)
    first = 2 + (len(table.columns) if other else 0)
    return ClusterSums(
        slices=table.slices,
        slice_index=rows[:, 0].astype(np.int64),
        cluster_index=rows[:, 1].astype(np.int64),
        columns={
            name: np.ascontiguousarray(rows[:, first + i]) for i, name in enumerate(table.columns)
        },
    )


def _pairs(table: SumsTable) -> PairedSums:
    candidate = cluster_sums(table)
    clusters = int(candidate.cluster_index.max(initial=-1)) + 1
    return PairedSums(
        candidate=candidate, baseline=cluster_sums(table, other=True), clusters=clusters
    )


def _report(judged: JudgedPart, run: JudgedRun) -> EvalReport:
    """Return what of a run's report a judge looks at: its digests."""
    return EvalReport(
        run=run.run,
        suite=judged.suite,
        candidate=SystemId(digest=run.candidate, artifact=run.artifact),
        dataset=DatasetVersion(
            name=judged.dataset.name,
            revision=judged.dataset.revision,
            dirty=None,
            digest=judged.dataset.digest,
            utterances=judged.coverage.expected,
        ),
        normalizer=judged.normalizer,
        scorer=judged.scorer,
        tool_version="",
        created=run.created,
        expected=judged.coverage.expected,
        scored=judged.coverage.scored,
        failures=0,
        unusable=judged.coverage.unusable,
        repeats=1,
        load="",
        slices=(),
        masking=(),
        runaways=Runaways(count=0, loops=0),
        hallucinations=Hallucinations(clips=0, with_words=0, words=0, words_per_minute=None),
    )


_RELATIVE = 1e-9


_SEARCHED = 1e-6  # what is found by bisection, and has no closed form


_NUMBERS = ("observed", "low", "high", "candidate", "baseline", "bound", "p_adjusted")


_EXACT = ("verdict", "code", "quantity", "unit", "against", "n", "clusters", "utterances")


_UNKNOWABLE = frozenset(
    {
        "unknown_metric",
        "not_cut",
        "other_load",
        "no_slice",
        "slice_missing",
        "no_baseline",
        "not_comparable",
        "metric_missing",
        "no_error_rate",
    }
)
"""Codes of results that had no numbers to be judged by; none of them passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """What came of judging again: ``problems`` in words, and how many checks agreed.

    ``believed`` names checks with a verdict that the evidence does not hold the sums of.
    """

    problems: tuple[str, ...]
    agreed: int
    believed: tuple[str, ...]


def recompute(decision: GateDecision, policies: Mapping[str, GatePolicy]) -> Recomputed:
    """Return whether a decision follows from its evidence.

    ``policies`` maps names to the policies that the decision holds, parsed. Every check is judged
    again, and the verdict of all from the checks; a rule, slice or requirement without a result is
    a problem, too.
    """
    problems = list(_whole(decision, policies))
    agreed, believed = 0, []
    known = {evidence.part: evidence for evidence in decision.evidence.parts}
    if len(known) != len(decision.evidence.parts):
        problems.append("the evidence of a part stands twice")
    for part in decision.parts:
        evidence = known.get(part.name) or PartEvidence(part=part.name, rules=())
        policy = policies.get(part.policy.name)
        problems += _rules(part, evidence, policy)
        bad = malformed(evidence)
        if bad is not None:
            problems.append(f"evidence of {_named(part)}{bad}")
            continue
        results = [result for result in decision.results if result.part == part.name]
        problems += _gaps(part, evidence, results)
        for recorded, again in _judged(part, evidence, results):
            if again is None:
                believed.append(_check(recorded))
            elif differences := tuple(_differences(recorded, again)):
                problems.append(f"{_check(recorded)}: {'; '.join(differences)}")
            else:
                agreed += 1
    return Recomputed(problems=tuple(problems), agreed=agreed, believed=tuple(believed))


def _whole(decision: GateDecision, policies: Mapping[str, GatePolicy]) -> Iterator[str]:
    """Yield what is wrong with the verdict, given its own results."""
    required = [result for result in decision.results if result.mode == "required"]
    verdict = worst_of(result.verdict for result in required)
    if verdict is Verdict.PASS and all(result.test == EVIDENCE for result in required):
        verdict = Verdict.ERROR
    if verdict is not decision.verdict:
        yield f"the checks lead to {verdict}, the decision says {decision.verdict}"
    if reason_codes(required) != decision.reason_codes:
        yield "the reason codes are not those of the checks"
    policy = policies.get(decision.policy.name)
    if policy is None:
        yield "the policy's document is not in the decision"
        return
    enforcement = decision.policy.enforcement
    if policy.enforcement != enforcement:
        yield f"the policy's enforcement is {policy.enforcement}, not {enforcement}"
    if set(policy.parts.values()) - {part.policy.name for part in decision.parts}:
        yield "a part of the policy was not judged"
    yield from _requirements(decision, policy)


def _requirements(decision: GateDecision, policy: GatePolicy) -> Iterator[str]:
    records = {record.name: record for record in decision.checks}
    results = {r.rule: r for r in decision.results if r.test == REQUIREMENT and r.part is None}
    for wanted in policy.requires:
        result = results.pop(wanted.name, None)
        record = records.get(wanted.name)
        if result is None or result.mode != "required":
            yield f"{wanted.name}: is required and was not judged"
        elif result.verdict is not Verdict.PASS:
            continue
        elif record is None or record.verdict is not Verdict.PASS:
            yield f"{wanted.name}: passes without a record that passed"
        elif wanted.signed and record.key is None:
            yield f"{wanted.name}: passes without the signature that is asked for"
        elif not record.created <= decision.created < (record.expires or "9"):
            yield f"{wanted.name}: passes with a record that was not valid at that time"
        elif record.candidate is not None and record.candidate not in _digests(decision):
            yield f"{wanted.name}: passes with a record about another candidate"
    for name in results:
        yield f"{name}: is a requirement that the policy does not know"


def _digests(decision: GateDecision) -> set[str | None]:
    return {
        digest
        for part in decision.parts
        for digest in (part.candidate.artifact, part.candidate.candidate)
    }


def _rules(part: JudgedPart, evidence: PartEvidence, policy: GatePolicy | None) -> Iterator[str]:
    if policy is None:
        yield f"the document of the policy {part.policy.name} is not in the decision"
        return
    written = tuple(replace(rule, line=None) for rule in policy.rules)
    if evidence.rules != written:
        yield f"the rules of {_named(part)}the evidence are not those of the policy"
    covered = part.coverage
    if not 0 < covered.scored <= covered.expected or (
        covered.scored < policy.coverage * covered.expected
    ):
        yield from _unfound(part, "coverage is below what the policy asks for")


def _unfound(part: JudgedPart, what: str) -> Iterator[str]:
    yield f"{_named(part)}{what}"


def _gaps(part: JudgedPart, evidence: PartEvidence, results: Sequence[RuleResult]) -> Iterator[str]:
    """Yield rules without a result, slices that were measured and not judged, unknown checks."""
    rules = {rule.id: rule for rule in evidence.rules}
    judged = {(result.rule, result.slice) for result in results}
    for result in results:
        if result.test in (EVIDENCE, REQUIREMENT):
            continue
        rule = rules.get(result.rule)
        if rule is None or (rule.metric, rule.test) != (result.metric, result.test):
            yield f"{_check(result)}: the policy has no such rule"
        elif result.mode != rule.mode and not result.new_slice:
            yield f"{_check(result)}: is {result.mode}, the rule is {rule.mode}"
    whole = {result.rule for result in results if result.code in _UNKNOWABLE}
    for rule in evidence.rules:
        if rule.id not in {name for name, _ in judged}:
            yield f"{_named(part)}rule {rule.id} was not judged"
        elif rule.id not in whole:
            missing = [key for key in _measured(rule, evidence) if (rule.id, key) not in judged]
            if missing:
                yield f"{_named(part)}rule {rule.id}: {missing[0]} was measured and not judged"


def _measured(rule: Rule, evidence: PartEvidence) -> Iterator[str]:
    """Yield the slices of a rule that there are sums of, but for those of missing labels."""
    for table in evidence.sums:
        if table.metric == rule.metric and (table.against is None) == (rule.test == "bound"):
            present = {int(row[0]) for row in table.rows}
            for i, key in enumerate(table.slices):
                if i in present and matches(rule.slice, key) and NO_VALUE not in key:
                    yield key


def _judged(
    part: JudgedPart, evidence: PartEvidence, results: Sequence[RuleResult]
) -> Iterator[tuple[RuleResult, RuleResult | None]]:
    """Yield each result that had numbers, with what it is when judged again (None: no sums)."""
    again: dict[str, Evidence] = {}
    for rule in evidence.rules:
        own = [r for r in results if r.rule == rule.id and r.code not in _UNKNOWABLE]
        own = [r for r in own if r.test == rule.test and r.metric == rule.metric]
        if not own:
            continue
        if rule.metric not in again:
            again[rule.metric] = replace(
                rebuilt(part, evidence, rule.metric), together=_families(evidence.rules, results)
            )
        for fresh in (False, True):
            group = [r for r in own if r.new_slice == fresh]
            asked = for_new_slices(rule) if fresh else rule
            yield from zip(group, _again(asked, group, again[rule.metric]), strict=True)


def _families(rules: Sequence[Rule], results: Sequence[RuleResult]) -> dict[str, tuple[str, ...]]:
    """Return the slices by metric that were tested together."""
    known = [r for r in results if r.code not in _UNKNOWABLE and not r.new_slice]
    return joined((rule, (r.slice for r in known if r.rule == rule.id)) for rule in rules)


def _again(
    rule: Rule, group: Sequence[RuleResult], evidence: Evidence
) -> Iterator[RuleResult | None]:
    """Yield the results of a rule judged again, in order; a family is judged as one."""
    if rule.test == "no_regression":
        yield from _family_again(rule, group, evidence)
        return
    for result in group:
        if rule.test == "bound":
            known = result.slice in evidence.estimates
            yield judge_bound(rule, result.slice, evidence) if known else None
            continue
        anchored = result.against == "anchor"
        other = evidence.anchor if anchored else evidence.baseline
        if other is None:
            yield None
            continue
        margin = rule.anchor_margin if anchored and rule.anchor_margin is not None else rule.margin
        (one,) = judge_differences(replace(rule, margin=margin), (result.slice,), other, evidence)
        yield replace(one, against=result.against)


def _family_again(
    rule: Rule, group: Sequence[RuleResult], evidence: Evidence
) -> Sequence[RuleResult | None]:
    baseline = evidence.baseline
    if baseline is None or not group:
        return [None] * len(group)
    keys = tuple(result.slice for result in group)
    judged = judge_family(rule, keys, baseline, evidence)
    if rule.mode == "advisory" and not _agree(group, judged):
        # Decisions are older than the false discovery rate: then advisory families were corrected
        # as dry runs still are.
        before = judge_family(replace(rule, mode="dry_run"), keys, baseline, evidence)
        if _agree(group, before):
            return before
    return judged


def _agree(recorded: Sequence[RuleResult], again: Sequence[RuleResult]) -> bool:
    return not any(any(_differences(*pair)) for pair in zip(recorded, again, strict=True))


def _differences(recorded: RuleResult, again: RuleResult) -> Iterator[str]:
    """Yield each field in which a recorded result is not what its sums give."""
    if _one_cluster(recorded) and again.verdict is recorded.verdict:
        return
    for name in _EXACT:
        ours, theirs = getattr(again, name), getattr(recorded, name)
        if ours != theirs:
            yield f"{name} is {ours}, not {theirs}"
    for name in _NUMBERS:
        ours, theirs = getattr(again, name), getattr(recorded, name)
        if not _same(ours, theirs, _RELATIVE):
            yield f"{name} is {ours}, not {theirs}"
    if not _same(again.detects, recorded.detects, _SEARCHED):
        yield f"detects is {again.detects}, not {recorded.detects}"


def _one_cluster(result: RuleResult) -> bool:
    """Return whether a result shows an interval within its one cluster: it decides nothing."""
    return result.clusters <= 1 and result.verdict is Verdict.INCONCLUSIVE


def _same(one: float | None, other: float | None, relative: float) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=relative, abs_tol=1e-12)


def _check(result: RuleResult) -> str:
    part = "" if result.part is None else f"{result.part}: "
    against = " (anchor)" if result.against == "anchor" else ""
    return f"{part}{result.rule} on {result.slice}{against}"


def _named(part: JudgedPart) -> str:
    return "" if part.name is None else f"{part.name}: "
