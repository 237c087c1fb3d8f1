"""What a gate judged from, made again out of a decision's evidence."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from relkit.domain.comparisons import Difference
from relkit.domain.datasets import DatasetVersion
from relkit.domain.decisions import (
    OrderStatistics,
    PartEvidence,
    PercentileTable,
    SumsTable,
)
from relkit.domain.estimates import Estimate
from relkit.domain.gates import JudgedPart, JudgedRun
from relkit.domain.metrics import metric_of
from relkit.domain.reports import EvalReport, Hallucinations, Runaways
from relkit.rules.cluster_sums import ClusterSums, FloatArray, PairedSums
from relkit.rules.decision_evidence import UTTERANCES
from relkit.rules.gate_evidence import Compared, Evidence, family_count
from relkit.rules.intervals import RateEvidence, estimate_rates
from relkit.rules.jackknife import group_sum
from relkit.rules.order_ranks import Ranks, order_ranks, paired_ranks, worsening_ends
from relkit.rules.percentiles import WOODRUFF
from relkit.rules.rate_metrics import RATE_METRICS

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
        suite_digest=judged.suite_digest,
        candidate_digest=run.candidate,
        artifact_digest=run.artifact,
        dataset=DatasetVersion(
            name=judged.dataset,
            revision=judged.dataset_revision,
            dirty=None,
            digest=judged.dataset_digest,
            utterances=judged.coverage.expected,
        ),
        normalizer=judged.normalizer,
        normalizer_digest=judged.normalizer_digest,
        scorer=judged.scorer,
        tool_version="",
        created=run.created,
        expected=judged.coverage.expected,
        scored=judged.coverage.scored,
        failures=0,
        unusable=judged.coverage.unusable,
        repeats=1,
        load_digest="",
        slices=(),
        masking=(),
        runaways=Runaways(count=0, loops=0),
        hallucinations=Hallucinations(clips=0, with_words=0, words=0, words_per_minute=None),
    )
