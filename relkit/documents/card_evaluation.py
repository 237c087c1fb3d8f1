"""What a card says of an evaluation: of how many people each number is, and on which grid.

Nothing is measured here: the numbers are those of the report, and one of too few people is none.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.core.metrics import column_of, help_of, metric_of, split_metric
from relkit.core.slices import OVERALL, columns_of
from relkit.core.values import Estimate, to_minute
from relkit.core.wording import count, interval, number
from relkit.disclosure.names import is_name
from relkit.disclosure.numbers import band_of, grid_value
from relkit.documents.gaps import gap_of, has_gap
from relkit.documents.types import (
    NOT_MEASURED,
    CardEvaluation,
    CardGap,
    CardNumber,
    CardSignature,
    CardText,
)
from relkit.evaluation.types import (
    MIXED_LOAD,
    EvalReport,
    Scalar,
    SliceResult,
    overall_if_any,
    primary_metric,
)
from relkit.gate.types import GateDecision, PartEvidence
from relkit.monitoring.types import LiveFinding
from relkit.redaction.names import personal_type
from relkit.registry.ledger import LedgerState
from relkit.registry.types import Release, ReleaseEvent
from relkit.report.shared_numbers import (
    NO_INTERVAL,
    Scope,
    Sharing,
    basis_of,
    rate_on_grid,
    scope_of_run,
    shared_name,
    shared_percentile,
    shared_rate,
    summed_cell,
    tabled_sums,
)
from relkit.report.types import NOT_SHARED, SharedDocument, SharedNumber
from relkit.rollback.types import RollbackTarget
from relkit.statistics.intervals import distinct, group_sum
from relkit.statistics.rates import RATE_METRICS, RateMetric
from relkit.statistics.types import ClusterSums, SliceValues

Tail = tuple[FloatArray, FloatArray]
"""Measurements by cluster, and those of them beyond a percentile."""

_TIMES = frozenset({"p50", "p95", "p99"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRecords:
    """What a card is made from; None, or empty, where it is not here.

    ``sums`` maps a metric to its sums by slice and cluster, ``tails`` (metric, slice) to what lies
    beyond a percentile: of how many people a number is. ``load`` is the load fingerprint of the
    run. ``shown`` is what may be shown of ``decision``; ``signature`` says who vouches for it.
    ``findings`` are looks at live traffic, about whatever release.
    ``remarks`` are what the reading of the records found out.
    """

    release: Release
    text: CardText
    sharing: Sharing
    events: tuple[ReleaseEvent, ...] = ()
    state: LedgerState | None = None
    report: EvalReport | None = None
    sums: Mapping[str, ClusterSums] = field(default_factory=dict)
    tails: Mapping[tuple[str, str], Tail] = field(default_factory=dict)
    load: Mapping[str, Scalar] = field(default_factory=dict)
    decision: GateDecision | None = None
    decision_digest: str | None = None
    overrides: int = 0
    shown: SharedDocument | None = None
    signature: CardSignature | None = None
    rollback: RollbackTarget | None = None
    findings: tuple[LiveFinding, ...] = ()
    remarks: tuple[str, ...] = ()


def shown_words(shown: SharedNumber) -> str:
    """Return a number with its interval, or why it is not shown."""
    if shown.value is None:
        return shown.missing or NOT_MEASURED
    value = number(shown.value, shown.unit)
    if shown.low is None and shown.high is None:
        return value
    return f"{value} ({interval(shown.low, shown.high, shown.unit)})"


def plain_words(text: str) -> str:
    """Return text of a record where each of its words is one that may be shared, and all of it."""
    words = [word.strip("(),;") for word in text.replace("/", " ").split(" ")]
    shared = all(map(is_name, words)) and personal_type(text) is None
    return text if shared else NOT_SHARED


def evaluation_of(records: CardRecords, report: EvalReport) -> CardEvaluation:
    """Return what a card says of a run: its numbers, gaps between groups, failures and times."""
    subjects = report.dataset.subjects
    sharing = replace(records.sharing, registered={report.run: report.registered or {}})
    scope = scope_of_run(sharing, report.run, subjects, report.cluster)
    first = primary_metric(report)  # what slices are ranked by stands before the others
    rates = [
        (item.slice, name, shown)
        for item in report.slices
        for name, estimate in sorted(item.metrics.items(), key=lambda metric: metric[0] != first)
        if name in RATE_METRICS and metric_of(name).unit != "ms"
        for shown in (_rate_number(records, scope, item, name, estimate),)
    ]
    everything = overall_if_any(report)
    times = () if everything is None else tuple(_latency(records, scope, everything))
    numbers = tuple(
        _card_number(name, key, shown)
        for key, name, shown in rates
        if shown is not None and NOT_SHARED not in scope.named(key)
    )
    failures = distinct(report.failures, report.repeats)
    return CardEvaluation(
        dataset=shared_name(report.dataset.name),
        dataset_digest=report.dataset.digest,
        revision=report.dataset.revision and shared_name(report.dataset.revision),
        subjects=subjects,
        k=scope.k,
        suite=shared_name(report.suite.name),
        suite_digest=report.suite.digest,
        normalizer=shared_name(report.normalizer.name),
        scorer=plain_words(report.scorer),
        created=to_minute(report.created),
        cluster=shared_name(report.cluster),
        coverage=_coverage(report, scope),
        numbers=numbers,
        gaps=tuple(_gaps(records, report, scope, numbers)),
        failures=_share(records, scope, "failure_rate", failures),
        runaways=_share(records, scope, "runaway_rate", report.runaways.count),
        latency=times,
        load=_load(records.load, scope),
        load_digest=report.load if scope.k == 1 or report.load == MIXED_LOAD else "",
        hidden=sum(shown is None for _, _, shown in rates)
        + sum(item.number.value is None for item in times),
        limit=report.limit,
        report=records.release.report if scope.k == 1 else None,
    )


def _load(load: Mapping[str, Scalar], scope: Scope) -> Mapping[str, Scalar]:
    """Return the load, without digests of people's data: of recorded answers it is one of them."""
    return {
        name: "answers of people" if scope.k > 1 and str(value).startswith("sha256:") else value
        for name, value in load.items()
    }


def _card_number(name: str, key: str, shown: SharedNumber) -> CardNumber:
    metric = metric_of(name)
    return CardNumber(
        metric=name, slice=key, number=shown, better=metric.better, help=help_of(name)
    )


def _rate_number(
    records: CardRecords, scope: Scope, item: SliceResult, name: str, estimate: Estimate
) -> SharedNumber | None:
    """Return a metric of a slice; None where it is of too few people, or nobody knows of whom."""
    metric = RATE_METRICS[name]
    cell = _cell(records, metric, item.slice)
    if cell is None:
        return None
    ends = (estimate.value, estimate.low, estimate.high)
    shown = shared_rate(ends, cell, metric, scope)
    on_grid = shown is not None and (shown.value is not None or shown.missing == NO_INTERVAL)
    if shown is None or scope.k > 1 or on_grid:
        return shown
    return _amount(estimate, metric_of(name).unit, shown.basis)


def _cell(records: CardRecords, metric: RateMetric, key: str) -> Mapping[str, FloatArray] | None:
    sums = records.sums.get(metric.name)
    return None if sums is None else summed_cell(sums, key, metric)


def _amount(estimate: Estimate, unit: str, basis: str) -> SharedNumber:
    """Return a measured amount of nobody's private data to three digits, its ends outward."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or not math.isfinite(value):
        return SharedNumber(unit=unit, basis=basis, missing="no values")
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2) if value else 0.001
    return SharedNumber(
        value=round(round(value / step) * step, 9),
        low=None if low is None else round(math.floor(low / step) * step, 9),
        high=None if high is None else round(math.ceil(high / step) * step, 9),
        unit=unit,
        basis=basis,
    )


def _latency(records: CardRecords, scope: Scope, everything: SliceResult) -> Iterator[CardNumber]:
    """Yield the percentiles of times of everything: of people's data where their tail bears it."""
    for name, estimate in everything.metrics.items():
        metric = metric_of(name)
        if metric.unit != "ms" or name.rpartition(".")[2] not in _TIMES or estimate.value is None:
            continue
        tail = records.tails.get((name, OVERALL))
        shown = (
            None if tail is None else shared_percentile(estimate.value, *tail, metric.unit, scope)
        )
        if shown is None:
            beyond = "" if scope.k == 1 else ", or few lie beyond it"
            missing = f"{_unshown(scope)}{beyond}"
            shown = SharedNumber(unit=metric.unit, missing=missing)
        elif scope.k == 1:
            low = None if estimate.low is None else grid_value(estimate.low, "down")
            high = None if estimate.high is None else grid_value(estimate.high, "up")
            shown = replace(shown, low=low, high=high)
        yield _card_number(name, OVERALL, shown)


def report_tails(
    report: EvalReport, timings: Mapping[str, SliceValues]
) -> dict[tuple[str, str], Tail]:
    """Return the measurements by cluster, and those beyond each percentile of everything.

    ``timings`` maps a column (``latency_ms``) to its values by slice.
    """
    everything = overall_if_any(report)
    tails: dict[tuple[str, str], Tail] = {}
    for name, estimate in {} if everything is None else everything.metrics.items():
        values = timings.get(column_of(split_metric(name)[0]))
        if values is None or estimate.value is None or OVERALL not in values.slices:
            continue
        rows = values.slice_index == values.slices.index(OVERALL)
        clusters = values.cluster_index[rows]
        above = (values.values[rows] > estimate.value).astype(np.float64)
        size = int(clusters.max(initial=-1)) + 1
        counted = group_sum(np.ones(len(clusters)), clusters, size)
        tails[name, OVERALL] = (counted, group_sum(above, clusters, size))
    return tails


def evidence_of(
    parts: Iterable[PartEvidence],
) -> tuple[dict[str, ClusterSums], dict[tuple[str, str], Tail]]:
    """Return the sums and tails that a decision itself rests on, for where a run's are gone."""
    sums: dict[str, ClusterSums] = {}
    tails: dict[tuple[str, str], Tail] = {}
    for part in parts:
        for table in part.sums:
            if table.by == "cluster":
                sums.setdefault(table.metric, tabled_sums(table))
        for percentiles in part.percentiles:
            for item in percentiles.slices:
                values, above = (np.array([row[i] for row in item.rows]) for i in (0, 1))
                tails.setdefault((percentiles.metric, item.slice), (values, above))
    return sums, tails


def _coverage(report: EvalReport, scope: Scope) -> SharedNumber:
    """Return the share that could be scored; of people's data in steps of 5 points, downward."""
    if report.coverage is None:
        return SharedNumber(missing="nothing was asked for")
    if scope.k == 1:
        return SharedNumber(value=round(report.coverage, 4))
    if report.unusable < scope.k:
        return SharedNumber(missing=f"all but fewer than {scope.k}")
    return SharedNumber(value=round(math.floor(report.coverage * 20 + 1e-9) / 20, 2))


def _unshown(scope: Scope) -> str:
    if scope.k == 1:
        return "not shown: of how many speakers it is, is not known here"
    return f"not shown: of fewer than {scope.k} speakers, or nobody knows of how many"


def _share(records: CardRecords, scope: Scope, name: str, events: int) -> SharedNumber:
    """Return the share of utterances that failed or ran away.

    By its interval where the suite asked for the metric; else the count alone says it: of people's
    data as fewer than k, or in a band. ``events`` count an utterance once, as the cell does.
    """
    report, metric = records.report, RATE_METRICS[name]
    everything = None if report is None else overall_if_any(report)
    cell = _cell(records, metric, OVERALL)
    basis = None if cell is None else basis_of(cell, metric, scope)
    if report is None or everything is None or cell is None or basis is None:
        return SharedNumber(missing=_unshown(scope))
    if name in everything.metrics:
        estimate = everything.metrics[name]
        ends = (estimate.value, estimate.low, estimate.high)
        return shared_rate(ends, cell, metric, scope) or SharedNumber(basis=basis)
    utterances = float(cell[metric.n].sum())
    if not events and name == "runaway_rate" and scope.k == 1:
        return rate_on_grid((0.0, 0.0, report.runaways.hidden_rate), basis)
    if scope.k == 1:
        return SharedNumber(
            value=round(events / utterances, 3) if utterances else None, basis=basis
        )
    low, high = band_of(max(events, scope.k))
    few = f"fewer than {scope.k} utterances"
    words = few if events < scope.k else f"{count(low)} to {count(high)} utterances"
    return SharedNumber(basis=basis, missing=words)


def _gaps(
    records: CardRecords, report: EvalReport, scope: Scope, numbers: tuple[CardNumber, ...]
) -> Iterator[CardGap]:
    """Yield the gap of the primary metric in each column of slices that has a name outside."""
    name = primary_metric(report)
    if name is None or name not in RATE_METRICS or not has_gap(name):
        return
    families: dict[str, list[str]] = {}
    for item in report.slices:
        columns = columns_of(item.slice)
        if len(columns) == 1:
            families.setdefault(columns[0], []).append(item.slice)
    shown = {
        item.slice for item in numbers if item.metric == name and item.number.value is not None
    }
    for column, slices in families.items():
        if column not in scope.names or not is_name(column):
            continue
        groups = [key for key in slices if key in shown]
        yield gap_of(
            RATE_METRICS[name],
            column,
            groups,
            records.sums.get(name),
            left_out=len(groups) < len(slices),
            fairness=records.text.fairness,
        )
