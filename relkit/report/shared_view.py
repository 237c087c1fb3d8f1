"""What leaves the team of a report, a decision, a look at live traffic (docs/privacy.md).

A document of its own is made, of nothing but what may be in it: verdicts, the policy's own limits,
and numbers of enough people, in bands and on grids. No view of it can show more.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from relkit.core.slices import OVERALL
from relkit.core.wording import NONE, count, interval, limit, margin, number, signed
from relkit.disclosure.thresholds import (
    fewest_people,
)
from relkit.disclosure.types import Subjects
from relkit.evaluation.types import EvalReport
from relkit.gate.types import (
    ORDER,
    GateDecision,
    JudgedPart,
    Override,
    PartEvidence,
    Rule,
    RuleResult,
    Verdict,
)
from relkit.gate.view import NO_METRIC, WORDS, shown_verdict
from relkit.monitoring.types import LiveFinding
from relkit.report.shared_numbers import (
    BEYOND,
    NO_INTERVAL,
    NO_RATE,
    OF_FEW,
    OTHER_RUN,
    Scope,
    Sharing,
    SummedCell,
    change_on_grid,
    missing_rate,
    scope_of_run,
    shared_name,
    shared_percentile,
    shared_rate,
    summed_cell,
    tabled_sums,
)
from relkit.report.types import NOT_SHARED, SharedDocument, SharedNumber, SharedRow
from relkit.statistics.rates import RATE_METRICS, RateMetric
from relkit.statistics.types import ClusterSums

_UNSAID = frozenset({BEYOND, NO_INTERVAL, NO_RATE, OF_FEW})
"""Reasons that stand as "-" in a table: too few events are said."""


def _rate_words(shown: SharedNumber) -> str:
    """Return a rate with its interval as people read it."""
    if shown.value is None:
        return NONE if shown.missing is None or shown.missing in _UNSAID else shown.missing
    ends = interval(shown.low, shown.high, "fraction")
    return f"{number(shown.value, 'fraction')} ({ends})"


def _change_words(shown: SharedNumber) -> str:
    """Return a difference of two rates in points, with its interval."""
    if shown.value is None:
        return NONE
    ends = (signed(end, "fraction") for end in (shown.value, shown.low, shown.high))
    return "{} ({} to {})".format(*ends)


def shared_report(report: EvalReport, sums: ClusterSums | None, sharing: Sharing) -> SharedDocument:
    """Return what may be shown of a report; ``sums`` are those of its metrics by slice and cluster.

    Without them it is not known how many people a number is of, and none is shown.
    """
    scope = scope_of_run(sharing, report.run, report.dataset.subjects, report.cluster)
    rows: list[SharedRow] = []
    hidden = 0
    for item in report.slices:
        where = scope.named(item.slice)
        for name, estimate in item.metrics.items():
            metric = RATE_METRICS.get(name)
            cell = None if metric is None or sums is None else summed_cell(sums, item.slice, metric)
            ends = (estimate.value, estimate.low, estimate.high)
            shown = cell and metric and shared_rate(ends, cell, metric, scope)
            if not shown:
                hidden += 1
                continue
            rows.append(
                SharedRow(
                    name=name,
                    metric=name,
                    slice=where,
                    observed=_rate_words(shown),
                    basis=shown.basis,
                )
            )
    pooled, unnamed = _pooled(rows)
    return SharedDocument(
        title=f"relkit report {shared_name(report.suite.name)}",
        created=report.created,
        verdict=None,
        outcome=None,
        blocks=False,
        subjects=report.dataset.subjects,
        k=scope.k,
        rows=pooled,
        hidden=hidden,
        about=(f"run {shared_name(report.run)} on {shared_name(report.dataset.name)}",),
        remarks=tuple(_remarks(report.dataset.subjects, scope.k, hidden, unnamed)),
    )


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


def _scope_of(part: JudgedPart, sharing: Sharing) -> Scope:
    cluster = "utterance" if part.population is not None else part.cluster
    return scope_of_run(sharing, part.candidate.run, part.dataset.subjects, cluster)


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


def _checked(result: RuleResult, evidence: PartEvidence | None, scope: Scope) -> SharedRow | None:
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
                    values, above = (np.array([row[i] for row in item.rows]) for i in (0, 1))
                    shown = shared_percentile(item.value, values, above, result.unit, scope)
                    value = shown.value if shown and result.quantity == "value" else None
                    observed = number(value, result.unit)
                    return row(observed=observed, basis=shown.basis) if shown else None
        return None
    cell = _evidence_cell(evidence, result, metric)
    ends = (result.observed, result.low, result.high)
    shown = None if cell is None else shared_rate(ends, cell, metric, scope)
    if cell is None or shown is None:
        return None
    if result.quantity == "value":
        observed = _rate_words(shown)
    elif any(missing_rate(cell, metric, scope, side) for side in ("", OTHER_RUN)):
        observed = NONE
    elif result.quantity == "improvement":
        value, low, high = (None if end is None else -end for end in ends)
        observed = _change_words(change_on_grid((value, high, low)))
    else:
        observed = _change_words(change_on_grid(ends))
    return row(observed=observed, basis=shown.basis)


def _evidence_cell(
    evidence: PartEvidence, result: RuleResult, metric: RateMetric
) -> SummedCell | None:
    """Return the sums behind a check by cluster; those of the other run under another name."""
    for table in evidence.sums:
        about = (table.metric, table.against, table.by)
        if about == (result.metric, result.against, "cluster") and result.slice in table.slices:
            return summed_cell(tabled_sums(table), result.slice, metric)
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
