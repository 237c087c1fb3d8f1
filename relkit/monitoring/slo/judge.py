"""An objective held against counts of events: verdict, budget, who spent it, until when it lasts.

Everything is a pure function of the counts and of one time.
"""

from datetime import UTC, datetime, timedelta
from fractions import Fraction as Exact
from typing import Literal

from relkit.core.values import duration_s, moment, time_text
from relkit.monitoring.slo.burn import (
    FREEZE_S,
    LEAST_COVERED,
    alerts_of,
    budget_left,
    burn_of,
    counts_within,
    doubtful,
    exhausted_after_s,
    factor_of,
    judge_window,
    spent_at,
    verdict_of,
)
from relkit.monitoring.slo.types import (
    DAY_S,
    BurnWindow,
    ErrorBudget,
    EventCounts,
    SloPolicy,
    SloReport,
    SloVerdict,
    SpentBySlice,
    WindowCounts,
)

MINUTE_S = 60


def last_minute(at: str) -> int:
    """Return the end of the last whole minute at a UTC time, in seconds since 1970."""
    return int(moment(at).replace(tzinfo=UTC).timestamp()) // MINUTE_S * MINUTE_S


def longest_window_s(policy: SloPolicy) -> float:
    """Return the longest window that an alert of a policy looks at, in seconds."""
    return max(duration_s(alert.long) for alert in alerts_of(policy.window_s, policy.alerts))


def history_s(policy: SloPolicy) -> float:
    """Return how much of the past a policy needs, in seconds."""
    return max(policy.window_s, FREEZE_S, longest_window_s(policy), DAY_S)


def judge_slo(
    policy: SloPolicy,
    counts: EventCounts,
    at: str,
    source: Literal["telemetry", "prometheus"],
) -> SloReport:
    """Return the report of an objective at a UTC time, from the events before it.

    Windows end with the last whole minute. What is missing or contradictory is ``no_data``, never
    ``none``; so is a quiet verdict over counts that may be a part.
    """
    end = last_minute(at)
    allowed = policy.allowed
    windows = tuple(
        judge_window(
            alert,
            factor_of(alert, policy.window_s),
            allowed,
            policy.min_events,
            short=counts_within(counts, end - duration_s(alert.short), end),
            long=counts_within(counts, end - duration_s(alert.long), end),
        )
        for alert in alerts_of(policy.window_s, policy.alerts)
    )
    verdict = verdict_of(windows)
    reason = _reason(verdict, windows)
    partial = counts.partial
    if policy.since is not None and last_minute(policy.since) >= end:
        partial = f"since: {policy.since} is not over at {at}"
    if verdict in {"none", "no_data"} and partial is not None:
        verdict, reason = "no_data", partial
    period = counts_within(counts, end - policy.window_s, end)
    remaining = None if doubtful(period) else budget_left(period.bad, period.total, allowed)
    day = counts_within(counts, end - DAY_S, end)
    burn_day = None if doubtful(day) else burn_of(day.bad, day.total, allowed)
    freeze, freeze_reason = _freeze(counts_within(counts, end - FREEZE_S, end), allowed)
    return SloReport(
        slo=policy.name,
        policy=policy.digest,
        at=at,
        source=source,
        enforcement=policy.enforcement,
        verdict=verdict,
        reason=reason,
        objective=policy.objective,
        window=policy.window,
        windows=windows,
        budget_left=None if remaining is None else float(remaining),
        budget=ErrorBudget(
            allowed=float(allowed * period.total),
            bad=float(period.bad),
            total=float(period.total),
            covered=max(0.0, period.covered),
        ),
        spent_by_slice=_spent(counts, period, allowed),
        burn_day=None if burn_day is None else float(burn_day),
        exhausted_at=_exhausted_at(policy, counts, end, remaining, burn_day),
        freeze=freeze,
        freeze_reason=freeze_reason,
        problems=counts.problems,
    )


def _reason(verdict: SloVerdict, windows: tuple[BurnWindow, ...]) -> str:
    if verdict == "none":
        few = next((window for window in windows if window.status == "few_events"), None)
        return "no pair of windows burns too fast" if few is None else f"too few: {few.reason}"
    status = "no_data" if verdict == "no_data" else "firing"
    deciding = next(
        window
        for window in windows
        if window.status == status and verdict in {"no_data", window.severity}
    )
    if verdict == "no_data" or deciding.burn_long is None or deciding.burn_short is None:
        return deciding.reason
    slower = min(deciding.burn_long, deciding.burn_short)
    return (
        f"{deciding.short} and {deciding.long} both burn {slower:.3g} times too fast or more,"
        f" over {deciding.factor:.4g}"
    )


def _spent(counts: EventCounts, period: WindowCounts, allowed: Exact) -> tuple[SpentBySlice, ...]:
    """Return who spent the budget of the period, the largest share first."""
    rows = []
    for key, (bad, total) in counts.by_slice.items():
        burn = burn_of(bad, total, allowed) if bad <= total else None
        rows.append(
            SpentBySlice(
                slice=key,
                bad=bad,
                total=total,
                share=min(1.0, bad / float(period.bad)) if period.bad else 0.0,
                burn=None if burn is None else float(burn),
            )
        )
    return tuple(sorted(rows, key=lambda row: (-row.bad, row.slice)))


def _freeze(weeks: WindowCounts, allowed: Exact) -> tuple[bool, str]:
    remaining = budget_left(weeks.bad, weeks.total, allowed)
    if remaining is None or doubtful(weeks):
        return True, "the budget of the last four weeks is not known"
    if remaining <= 0:
        return True, "the budget of the last four weeks is spent: critical and security fixes only"
    if weeks.covered < LEAST_COVERED:
        days = max(0.0, weeks.covered) * FREEZE_S / DAY_S
        return False, f"budget is left over the {days:.3g} of 28 days that have data"
    return False, "budget is left over the last four weeks"


def _exhausted_at(
    policy: SloPolicy,
    counts: EventCounts,
    end: int,
    remaining: Exact | None,
    burn_day: Exact | None,
) -> str | None:
    """Return when the budget ends at the last day's burn, or ended; None where it does not."""
    if remaining is None:
        return None
    if remaining <= 0:
        ended = spent_at(counts, end - policy.window_s, end, policy.allowed)
        return None if ended is None else time_text(utc_of(ended))
    seconds = exhausted_after_s(remaining, burn_day, policy.window_s)
    return None if seconds is None else time_text(utc_of(end) + timedelta(seconds=seconds))


def utc_of(seconds: float) -> datetime:
    """Return seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
