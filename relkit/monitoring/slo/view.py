"""An objective's report as text that fits one screen."""

from collections.abc import Iterator

from relkit.core.slices import slice_parts
from relkit.core.values import duration_s
from relkit.core.wording import (
    NONE,
    SHORT,
    columns,
    count,
    duration,
    number,
    percent,
    safe,
)
from relkit.monitoring.slo.types import BurnWindow, SloExport, SloReport

_VERDICTS = {"page": "PAGE", "ticket": "TICKET", "none": "NONE", "no_data": "NO DATA"}
_STATUS = {
    "firing": "firing",
    "few_events": "too few events",
    "quiet": "quiet",
    "no_data": "no data",
}
_MOST_SLICES = 3
_MOST_PROBLEMS = 4


def slo_text(report: SloReport) -> str:
    """Return verdict, burn table, budget, who spent it, when it ends, freeze and problems."""
    shadow = "SHADOW " if report.enforcement == "shadow" else ""
    head = f"{shadow}{_VERDICTS[report.verdict]}  {safe(report.slo)}: {safe(report.reason)}"
    goal = f"{percent(report.objective)} good over {duration(duration_s(report.window))}"
    table = [
        ["", "windows", "over", "short", "long", "events", ""],
        *(_row(window) for window in report.windows),
    ]
    lines = [
        head,
        f"  {goal}, judged at {report.at} from {report.source}",
        "",
        columns(table, to_left=(0, 1, 6)),
        "",
        f"budget   {_budget(report)}",
        *_spent(report),
        f"lasts    {_lasts(report)}",
        f"freeze   {'yes' if report.freeze else 'no'}: {safe(report.freeze_reason)}",
        *_problems(report),
    ]
    return "\n".join(lines)


def _row(window: BurnWindow) -> list[str]:
    return [
        window.severity,
        f"{window.short} & {window.long}",
        f"{window.factor:.4g}",
        _burn(window.burn_short),
        _burn(window.burn_long),
        count(round(window.events_short)),
        _STATUS[window.status],
    ]


def _burn(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}" if value >= 0.005 else f"{value:.1g}"  # noqa: PLR2004 - shown as 0.01


def _budget(report: SloReport) -> str:
    budget = report.budget
    if report.budget_left is None:
        return "not known: no event that can be counted"
    remaining = (
        f"{number(report.budget_left, 'fraction')} left"
        if report.budget_left >= 0
        else f"overspent by {number(-report.budget_left, 'fraction')}"
    )
    covered = (
        "" if budget.covered >= 0.995 else f"; data for {number(budget.covered, 'fraction')}"  # noqa: PLR2004 - shown as 100 %
    )
    return (
        f"{remaining}: {count(round(budget.bad))} bad of {count(round(budget.total))},"
        f" {count(round(budget.allowed))} allowed{covered}"
    )


def _spent(report: SloReport) -> Iterator[str]:
    """Yield who spent the budget: a line for each column, the largest share first."""
    spenders: dict[str, list[str]] = {}
    for row in report.spent_by_slice:
        (column, value), *_ = slice_parts(row.slice)
        spenders.setdefault(column, [])
        if row.bad > 0:
            spenders[column].append(f"{safe(value, SHORT)} {number(row.share, 'fraction')}")
    for column, values in spenders.items():
        rest = len(values) - _MOST_SLICES
        more = f", {count(rest)} more" if rest > 0 else ""
        yield f"spent by {safe(column)}: {', '.join(values[:_MOST_SLICES]) or 'nobody'}{more}"


def _lasts(report: SloReport) -> str:
    if report.budget_left is None:
        return "not known"
    if report.exhausted_at is None:
        return "the last day burns no faster than the budget comes back"
    if report.budget_left <= 0:
        return f"spent at {report.exhausted_at}"
    return f"until {report.exhausted_at} at the last day's burn of {_burn(report.burn_day)}"


def _problems(report: SloReport) -> Iterator[str]:
    for problem in report.problems[:_MOST_PROBLEMS]:
        yield f"note     {safe(problem.message)}"
    more = len(report.problems) - _MOST_PROBLEMS
    if more > 0:
        yield f"note     {count(more)} more: --json"


def exported_text(exported: SloExport) -> str:
    """Return what an export wrote, and what it could not."""
    lines = [f"wrote {safe(name)}" for name in exported.files]
    return "\n".join([*lines, *(f"note: {safe(note)}" for note in exported.notes)])
