"""What leaves the team of a report, a decision, a look at live traffic (docs/privacy.md).

A document of its own is made, of nothing but what may be in it: verdicts, the policy's own limits,
and numbers of enough people, in bands and on grids. No view of it can show more.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.core.config import Privacy
from relkit.core.metrics import metric_of
from relkit.core.slices import OVERALL, slice_parts
from relkit.core.wording import NONE, count, interval, limit, margin, number, signed
from relkit.disclosure.counts import Holdings
from relkit.disclosure.names import TENANT, is_name, shared_values
from relkit.disclosure.numbers import band_of, grid_value, shown_rate
from relkit.disclosure.thresholds import (
    MIN_EVENT_PEOPLE,
    MIN_UTTERANCES,
    dominated,
    enough,
    fewest_people,
)
from relkit.disclosure.types import Subjects
from relkit.evaluation.types import EvalReport
from relkit.gate.types import (
    ORDER,
    GateDecision,
    JudgedPart,
    OrderStatistics,
    Override,
    PartEvidence,
    Rule,
    RuleResult,
    Verdict,
)
from relkit.gate.view import NO_METRIC, WORDS, shown_verdict
from relkit.monitoring.types import LiveFinding
from relkit.report.types import NOT_SHARED, SharedDocument, SharedRow
from relkit.statistics.rates import RATE_METRICS, RateMetric
from relkit.statistics.types import ClusterSums

Registered = Mapping[str, tuple[str, ...]]
"""The values that each slice column of a dataset was locked with."""

SummedCell = Mapping[str, FloatArray]
"""The sums of one metric in one slice, by column: a value per cluster."""

_TAIL_VALUES = 10
_TAIL_PEOPLE = 5
_NO_PERSON = frozenset({"utterance", ""})
"""Clusters that are no people: of how many the numbers are, nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What relkit.yaml lets leave the team; ``registered`` maps a run to its locked values."""

    privacy: Privacy
    registered: Mapping[str, Registered] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """By what rules the numbers of one run are shown; ``k`` is 1 where they are of no people."""

    k: int
    people: bool
    names: Mapping[str, frozenset[str]]

    def named(self, key: str) -> str:
        """Return what a slice is called outside: itself, or what its columns may be called."""
        parts = slice_parts(key)
        if all(
            column != TENANT and is_name(column) and is_name(value) and value in self.values(column)
            for column, value in parts
        ):
            return key
        return "&".join(
            f"{column}={NOT_SHARED}" if column in self.names and is_name(column) else NOT_SHARED
            for column, _ in parts
        )

    def values(self, column: str) -> frozenset[str]:
        """Return the values of a column that have a name outside."""
        return self.names.get(column, frozenset())


def _scope(sharing: Sharing, run: str, subjects: Subjects | None, cluster: str | None) -> _Scope:
    """Return the rules for a run; the people of one that does not say what clusters are count 0."""
    privacy = sharing.privacy
    of_people = subjects not in {"public", "synthetic"}
    return _Scope(
        k=fewest_people(privacy.profile, "user") if of_people else 1,
        people=not of_people or (cluster or "") not in _NO_PERSON,
        names=shared_values(privacy.share, sharing.registered.get(run, {})),
    )


def shared_name(name: str) -> str:
    """Return the name of a policy, suite or dataset where its form may be shared."""
    return name if is_name(name) else NOT_SHARED


def _holdings(amounts: FloatArray) -> Holdings:
    """Return what is summed in one cell and who holds it, of a value per person."""
    ordered = np.sort(np.rint(amounts).astype(np.int64))[::-1]
    first, second = (ordered[i : i + 1] if len(ordered) > i else np.zeros(1, int) for i in (0, 1))
    total, people = np.array([ordered.sum()]), np.array([np.count_nonzero(ordered)])
    return Holdings(total=total, people=people, largest=first, second=second)


def _band(amount: int, what: str) -> str:
    if amount < band_of(MIN_UTTERANCES)[0]:
        return f"fewer than {MIN_UTTERANCES} {what}"
    low, high = band_of(amount)
    return f"{count(low)} to {count(high)} {what}"


def _basis(cell: SummedCell, metric: RateMetric, scope: _Scope) -> str | None:
    """Return in bands how much is in a cell; None where it may not be shown."""
    units = _holdings(cell[metric.n])
    utterances = round(float(cell[metric.utterances].sum()))
    if scope.k > 1 and not (
        scope.people and utterances >= MIN_UTTERANCES and bool(enough(units, scope.k)[0])
    ):
        return None
    people = _band(int(units.people[0]), "speakers")
    return f"{people}, {_band(utterances, 'utterances')}"


def _few(events: FloatArray, scope: _Scope) -> bool:
    """Return whether events are so few, or of so few, that they read as fewer than k."""
    of_events = _holdings(events)
    return int(of_events.total[0]) < scope.k or int(of_events.people[0]) < MIN_EVENT_PEOPLE


def _withheld(cell: SummedCell, metric: RateMetric, scope: _Scope, side: str = "") -> str | None:
    """Return what stands for a rate that may not be shown as one; None where it may."""
    if len(metric.columns) != 2 or metric_of(metric.name).unit != "fraction":  # noqa: PLR2004
        return NONE
    if scope.k == 1:
        return None
    events, units = (cell[side + name] for name in metric.columns)
    if _few(events, scope):
        return f"fewer than {scope.k} events"
    if metric.bounded and _few(units - events, scope):
        return f"all but fewer than {scope.k}"
    return NONE if bool(dominated(_holdings(events))[0]) else None


def _rate(value: float | None, low: float | None, high: float | None) -> str:
    """Return a rate on its grid with the ends of its interval; "-" without one."""
    if value is None or low is None or high is None or not 0 <= low <= value <= high <= 1:
        return NONE
    shown = shown_rate(value, low, high)
    return f"{number(shown.value, 'fraction')} ({interval(shown.low, shown.high, 'fraction')})"


def _change(value: float | None, low: float | None, high: float | None) -> str:
    """Return a difference of two rates in points, on the grid of rates from -1 to 1."""
    if value is None or low is None or high is None or not -1 <= low <= value <= high <= 1:
        return NONE
    shown = shown_rate(*((1 + end) / 2 for end in (value, low, high)))
    ends = (signed(2 * end - 1, "fraction") for end in (shown.value, shown.low, shown.high))
    return "{} ({} to {})".format(*ends)


def _percentile(statistics: OrderStatistics, unit: str, scope: _Scope) -> tuple[str, str] | None:
    """Return (observed, basis) of a percentile; None where its tail is of too few."""
    values, above = (np.array([row[i] for row in statistics.rows]) for i in (0, 1))
    units, tail = _holdings(values), _holdings(np.floor(above))
    beyond = int(tail.total[0])
    thick = (
        beyond >= _TAIL_VALUES
        and int(tail.people[0]) >= _TAIL_PEOPLE
        and 2 * int(tail.largest[0]) <= beyond
    )
    if scope.k > 1 and not (scope.people and bool(enough(units, scope.k)[0]) and thick):
        return None
    people = _band(int(units.people[0]), "speakers")
    basis = f"{people}, {_band(statistics.values, 'measurements')}"
    return number(grid_value(statistics.value), unit), basis


def shared_report(report: EvalReport, sums: ClusterSums | None, sharing: Sharing) -> SharedDocument:
    """Return what may be shown of a report; ``sums`` are those of its metrics by slice and cluster.

    Without them it is not known how many people a number is of, and none is shown.
    """
    scope = _scope(sharing, report.run, report.dataset.subjects, report.cluster)
    rows: list[SharedRow] = []
    hidden = 0
    for item in report.slices:
        where = scope.named(item.slice)
        for name, estimate in item.metrics.items():
            metric = RATE_METRICS.get(name)
            cell = None if metric is None or sums is None else _cell(sums, item.slice, metric)
            basis = None if metric is None or cell is None else _basis(cell, metric, scope)
            if metric is None or cell is None or basis is None:
                hidden += 1
                continue
            rate = partial(_rate, estimate.value, estimate.low, estimate.high)
            observed = _withheld(cell, metric, scope) or rate()
            rows.append(
                SharedRow(name=name, metric=name, slice=where, observed=observed, basis=basis)
            )
    shown, unnamed = _pooled(rows)
    return SharedDocument(
        title=f"relkit report {shared_name(report.suite.name)}",
        created=report.created,
        verdict=None,
        outcome=None,
        blocks=False,
        subjects=report.dataset.subjects,
        k=scope.k,
        rows=shown,
        hidden=hidden,
        about=(f"run {shared_name(report.run)} on {shared_name(report.dataset.name)}",),
        remarks=tuple(_remarks(report.dataset.subjects, scope.k, hidden, unnamed)),
    )


def _cell(sums: ClusterSums, key: str, metric: RateMetric) -> SummedCell | None:
    """Return the sums of a metric in a slice; None where they are not there."""
    if key not in sums.slices or not all(name in sums.columns for name in metric.needs):
        return None
    rows = sums.slice_index == sums.slices.index(key)
    return {name: sums.columns[name][rows] for name in metric.needs}


def shared_decision(
    decision: GateDecision, overrides: Sequence[Override], sharing: Sharing, *, marker: str = ""
) -> SharedDocument:
    """Return what may be shown of a decision and of the overrides against it.

    Whether a check is of enough people is told by the sums that the decision itself rests on. A
    check without sums is not shown, and neither is whether it passed.
    """
    parts = {part.name: part for part in decision.parts}
    evidence = {part.part: part for part in decision.evidence.parts}
    rows: list[SharedRow] = []
    hidden = 0
    scopes = [_scope_of(part, sharing) for part in decision.parts]
    for result in sorted(decision.results, key=_order):
        if result.metric == NO_METRIC:
            rows.append(_row(result, OVERALL))
        elif (part := parts.get(result.part)) is not None and (
            shown := _checked(result, evidence.get(result.part), _scope_of(part, sharing))
        ):
            rows.append(shown)
        else:
            hidden += 1
    subjects = _subjects(part.dataset.subjects for part in decision.parts)
    k = max((scope.k for scope in scopes), default=fewest_people(sharing.privacy.profile, "user"))
    records = [
        SharedRow(name=record.name, metric=NO_METRIC, slice=OVERALL, verdict=record.verdict)
        for record in decision.checks
    ]
    shown_rows, unnamed = _pooled(rows)
    verdict = shown_verdict(decision)
    signed = sum(override.key is not None for override in overrides)
    overridden = f"Overrides with a trusted signature: {signed}." if signed else ""
    return SharedDocument(
        title=f"relkit gate {shared_name(decision.policy.name)}",
        created=decision.created,
        verdict=WORDS[verdict],
        outcome=verdict,
        blocks=verdict is not Verdict.PASS and decision.policy.enforcement == "enforce",
        subjects=subjects,
        k=k,
        rows=(*shown_rows, *records),
        hidden=hidden,
        about=tuple(_about(part) for part in decision.parts),
        remarks=tuple(
            remark
            for remark in (
                _stance(decision.policy.enforcement),
                overridden,
                *_remarks(subjects, k, hidden, unnamed),
            )
            if remark
        ),
        marker=marker,
    )


def _scope_of(part: JudgedPart, sharing: Sharing) -> _Scope:
    cluster = "utterance" if part.population is not None else part.cluster
    return _scope(sharing, part.candidate.run, part.dataset.subjects, cluster)


def _about(part: JudgedPart) -> str:
    """Return what was judged: runs and dataset, by the names that may be shared."""
    named = f"{shared_name(part.name)}: " if part.name else ""
    against = f" against {shared_name(part.baseline.run)}" if part.baseline else ", alone"
    candidate = f"candidate {shared_name(part.candidate.run)}{against}"
    return f"{named}{candidate}, on {shared_name(part.dataset.name)}"


def _subjects(said: Iterable[Subjects | None]) -> Subjects:
    """Return whose data several datasets are together: people's where any is, or does not say."""
    each = {subjects or "people" for subjects in said}
    if "people" in each or not each:
        return "people"
    return "public" if "public" in each else "synthetic"


def _stance(enforcement: str) -> str:
    return "" if enforcement == "enforce" else "Shown only: the policy enforces nothing."


def _order(result: RuleResult) -> tuple[bool, int, str, str, str]:
    """Sort as a gate does, but by no number: the order of values would tell of them."""
    verdict = ORDER.index(result.verdict)
    return result.mode != "required", verdict, result.part or "", result.rule, result.slice


def _row(
    result: RuleResult, where: str, *, observed: str = NONE, allowed: str = NONE, basis: str = NONE
) -> SharedRow:
    mode = {"required": "", "advisory": "advisory", "dry_run": "dry run"}[result.mode]
    return SharedRow(
        name=f"{result.part}/{result.rule}" if result.part else result.rule,
        metric=result.metric,
        slice=where,
        verdict=result.verdict,
        mode=mode,
        code=result.code,
        observed=observed,
        allowed=allowed,
        basis=basis,
    )


def _checked(result: RuleResult, evidence: PartEvidence | None, scope: _Scope) -> SharedRow | None:
    """Return a check in words; None where it is of too few people, or nobody knows of how many."""
    if evidence is None:
        return None
    rule = next((rule for rule in evidence.rules if rule.id == result.rule), None)
    row = partial(_row, result, scope.named(result.slice), allowed=_allowed(rule, result.unit))
    metric = RATE_METRICS.get(result.metric)
    if metric is None:
        for table in evidence.percentiles:
            for item in table.slices:
                if (table.metric, table.against, item.slice) == (
                    result.metric,
                    result.against,
                    result.slice,
                ):
                    shown = _percentile(item, result.unit, scope)
                    value = result.quantity == "value"
                    return shown and row(observed=shown[0] if value else NONE, basis=shown[1])
        return None
    cell = _evidence_cell(evidence, result, metric)
    basis = None if cell is None else _basis(cell, metric, scope)
    if cell is None or basis is None:
        return None
    if result.quantity == "value":
        observed = _withheld(cell, metric, scope) or _rate(result.observed, result.low, result.high)
    elif any(_withheld(cell, metric, scope, side) for side in ("", _OTHER)):
        observed = NONE
    elif result.quantity == "improvement":
        observed = _change(*(_negative(x) for x in (result.observed, result.high, result.low)))
    else:
        observed = _change(result.observed, result.low, result.high)
    return row(observed=observed, basis=basis)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


_OTHER = "other "


def _evidence_cell(
    evidence: PartEvidence, result: RuleResult, metric: RateMetric
) -> dict[str, FloatArray] | None:
    """Return the sums behind a check by cluster; those of the other run under another name."""
    for table in evidence.sums:
        if (table.metric, table.against, table.by) != (result.metric, result.against, "cluster"):
            continue
        if result.slice not in table.slices:
            continue
        place = table.slices.index(result.slice)
        rows = np.array([row[2:] for row in table.rows if row[0] == place], dtype=np.float64)
        names = list(table.columns)
        if table.against is not None:
            names += [_OTHER + name for name in table.columns]
        cell = dict(zip(names, rows.reshape(len(rows), len(names)).T, strict=True))
        return cell if all(name in cell for name in metric.needs) else None
    return None


def _allowed(rule: Rule | None, unit: str) -> str:
    """Return what a rule asks for: the policy's own numbers, and nothing of the data."""
    if rule is None:
        return NONE
    if rule.test == "no_regression":
        return "no worsening"
    asked = [
        *((f"at most {limit(rule.max, unit)}",) if rule.max is not None else ()),
        *((f"at least {limit(rule.min, unit)}",) if rule.min is not None else ()),
        *((f"at most {margin(rule.margin, unit)} worse",) if rule.margin is not None else ()),
        *(
            (f"at least {margin(rule.min_change, unit)} better",)
            if rule.min_change is not None
            else ()
        ),
        *(
            (f"better by {limit(rule.min_relative_change, 'fraction')} of it",)
            if rule.min_relative_change is not None
            else ()
        ),
    ]
    return ", ".join(asked) or NONE


def _pooled(rows: Iterable[SharedRow]) -> tuple[tuple[SharedRow, ...], int]:
    """Return rows with those of values without a name put together, and how many those are.

    They have no number then: what stands for several slices is not summed again.
    """
    named: list[SharedRow] = []
    without: dict[tuple[str | None, ...], list[SharedRow]] = defaultdict(list)
    for row in rows:
        if NOT_SHARED in row.slice:
            without[row.name, row.slice, row.verdict, row.mode].append(row)
        else:
            named.append(row)
    pools = [
        replace(group[0], observed=NONE, basis=NONE, code="", slices=len(group))
        for group in without.values()
    ]
    return (*named, *pools), sum(len(group) for group in without.values())


def _remarks(subjects: Subjects, k: int, hidden: int, unnamed: int) -> Iterator[str]:
    """Yield what every shared document says of itself."""
    if k > 1:
        yield (
            f"Numbers are of at least {k} speakers, in bands and on grids (privacy.ci: shared); "
            "the decision and the report at home have all of them."
        )
    else:
        yield f"Subjects: {subjects}. The numbers are of no private person, in bands and on grids."
    if hidden:
        yield (
            f"Not shown: {count(hidden)} of fewer than {k} speakers, of few who make most of it, "
            "or of nobody knows how many."
        )
    if unnamed:
        yield (
            f"Values that relkit.yaml does not share are one row: {count(unnamed)} in all "
            "(privacy.share)."
        )


_NOT_KNOWN = (
    "not shown (privacy.ci: shared): of how many people they are is not known here. The record at "
    "home has them."
)


def shared_finding(finding: LiveFinding, sharing: Sharing) -> SharedDocument:
    """Return what may be shown of a look at live traffic: its verdict.

    Of how many people its checks are, the record does not say, so that none is shown.
    """
    k = fewest_people(sharing.privacy.profile, sharing.privacy.unit)
    return SharedDocument(
        title=f"relkit {finding.kind} {shared_name(finding.policy.name)}",
        created=finding.created,
        verdict=finding.verdict.replace("_", " "),
        outcome=Verdict(finding.gate_verdict),
        blocks=finding.gate_verdict != "pass" and finding.enforcement == "enforce",
        subjects="people",
        k=k,
        rows=(),
        hidden=len(finding.checks),
        remarks=tuple(
            remark
            for remark in (
                _stance(finding.enforcement),
                f"Checks: {count(len(finding.checks))}, {_NOT_KNOWN}",
            )
            if remark
        ),
    )
