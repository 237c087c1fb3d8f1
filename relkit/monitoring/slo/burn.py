"""Burn rates, pairs of windows and error budgets: pure functions of counts of events.

Sources: burn rate and pairs of windows: Beyer et al., The Site Reliability Workbook, chapter 5,
"Alerting on SLOs" (recommendation 6); freeze: the same, appendix B, "Example error budget policy".
"""

from collections.abc import Mapping
from fractions import Fraction as Exact
from typing import get_args

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.core.values import duration_s
from relkit.monitoring.counters import overlap_s
from relkit.monitoring.slo.types import (
    DAY_S,
    AlertSeverity,
    BurnAlert,
    BurnWindow,
    EventCounts,
    SloVerdict,
    WindowCounts,
    WindowStatus,
    exact,
)

FREEZE_S = 28 * DAY_S
"""Budget spent over these four weeks: no release but critical and security ones."""

LEAST_BAD = 2
"""Bad events that a short window has to hold: one failure at night pages nobody."""

LEAST_COVERED = 0.9
"""The share of a window in which something has to have been seen."""

MOST_EXCESS = 0.01
"""Bad events beyond the total, minute by minute, that a window's counts may have, as a share."""

_HOUR_S = 3600
_WINDOWS: tuple[tuple[AlertSeverity, str, str], ...] = (
    ("page", "5m", "1h"),
    ("page", "30m", "6h"),
    ("ticket", "2h", "1d"),
    ("ticket", "6h", "3d"),
)
_BUDGETS: Mapping[int, tuple[float, ...]] = {
    30: (0.02, 0.05, 0.10, 0.10),
    28: (0.02, 0.05, 0.10, 0.10),
    7: (0.08, 0.125, 0.20, 0.42),
}
"""Days of a period to the share of its budget that each pair of windows may see spent."""


def alerts_of(window_s: float, alerts: tuple[BurnAlert, ...] = ()) -> tuple[BurnAlert, ...]:
    """Return the pairs of windows of a period; those that a policy has replace the usual ones.

    Raises ValueError(what is wrong, what to do) for a period that has none.
    """
    if alerts:
        return alerts
    budgets = _BUDGETS.get(int(window_s // DAY_S)) if window_s % DAY_S == 0 else None
    if budgets is None:
        raise ValueError(
            "is a period without windows of its own",
            "use 7d, 28d or 30d, or give alerts: with a budget, a short and a long window each",
        )
    return tuple(
        BurnAlert(severity=severity, budget=budget, short=short, long=long)
        for (severity, short, long), budget in zip(_WINDOWS, budgets, strict=True)
    )


def factor_of(alert: BurnAlert, window_s: float) -> Exact:
    """Return the burn that spends ``budget`` of a period in one long window, exactly.

    factor = period hours x budget % / 100 / long hours: 14.4 for 2 % of 30 days in 1 hour.
    """
    return exact(window_s) * exact(alert.budget) / exact(duration_s(alert.long))


def burn_of(bad: float | Exact, total: float | Exact, allowed: Exact) -> Exact | None:
    """Return burn = bad / total / (1 - objective) from counts, exactly; None without an event."""
    return exact(bad) / exact(total) / allowed if total > 0 else None


def doubtful(counts: WindowCounts) -> bool:
    """Return whether counts contradict each other: more bad events than events, or than none."""
    return not 0 <= counts.bad <= counts.total or (
        counts.excess >= LEAST_BAD and counts.excess > exact(MOST_EXCESS) * counts.total
    )


def counts_within(counts: EventCounts, start: float, end: float) -> WindowCounts:
    """Return the counts of (start, end]; times in seconds since 1970."""
    low, high = np.searchsorted(counts.at, [start, end], side="right")
    bad, total = counts.bad[low:high], counts.total[low:high]
    over = np.maximum(bad - total, -bad)
    return WindowCounts(
        bad=_sum(bad),
        total=_sum(total),
        covered=1 - overlap_s(counts.gaps, start, end) / (end - start),
        excess=_sum(over[over > 0]),
    )


def _sum(values: FloatArray) -> Exact:
    """Return a sum without rounding, whatever the order of its parts."""
    if not values.size:
        return Exact(0)
    if np.all(values == np.floor(values)):
        return Exact(sum(map(int, values.tolist())))
    return sum(map(Exact, values.tolist()), Exact(0))


def judge_window(
    alert: BurnAlert,
    factor: Exact,
    allowed: Exact,
    min_events: int,
    *,
    short: WindowCounts,
    long: WindowCounts,
) -> BurnWindow:
    """Return what a pair of windows says, always with a reason.

    It fires where both burn strictly faster than ``factor`` and the short one holds ``min_events``
    and two bad ones. Where it does not fire, missing or contradictory counts are no_data.
    """
    burns = burn_of(short.bad, short.total, allowed), burn_of(long.bad, long.total, allowed)
    exceeds = all(burn is not None and burn > factor for burn in burns)
    enough = short.total >= min_events and short.bad >= LEAST_BAD
    status: WindowStatus
    named = ((alert.short, short), (alert.long, long))
    contrary = next((name for name, counts in named if doubtful(counts)), None)
    missing = next((pair for pair in named if pair[1].covered < LEAST_COVERED), None)
    if contrary is not None:
        status = "no_data"
        reason = f"more bad events than events in the last {contrary}"
    elif exceeds and enough:
        status, reason = "firing", f"both windows burn faster than {float(factor):.4g}"
    elif missing is not None:
        status = "no_data"
        share = 100 * max(0.0, missing[1].covered)
        reason = f"data for {share:.0f} % of the last {missing[0]}"
    elif long.total == 0:
        status, reason = "no_data", f"no event in the last {alert.long}"
    elif exceeds:
        status = "few_events"
        reason = f"{float(short.bad):g} bad of {float(short.total):g} events in {alert.short}: "
        reason += f"{min_events} and {LEAST_BAD} bad are needed"
    elif factor * allowed >= 1:
        status = "quiet"
        reason = f"cannot fire: only bad events would burn {float(1 / allowed):.4g}"
    else:
        status, reason = "quiet", "one window or both burn no faster"
    return BurnWindow(
        severity=alert.severity,
        long=alert.long,
        short=alert.short,
        factor=float(factor),
        burn_short=None if contrary or burns[0] is None else float(burns[0]),
        burn_long=None if contrary or burns[1] is None else float(burns[1]),
        events_short=float(short.total),
        bad_short=float(short.bad),
        events_long=float(long.total),
        firing=status == "firing",
        status=status,
        reason=reason,
    )


def verdict_of(windows: tuple[BurnWindow, ...]) -> SloVerdict:
    """Return page, ticket, no_data or none.

    A firing page is a page whatever else is missing. A ticket says nothing while a page cannot be
    ruled out: then it is no_data, as it is where a ticket cannot be ruled out and none fires.
    """
    for severity in get_args(AlertSeverity):
        verdict: AlertSeverity = severity
        of_severity = [window for window in windows if window.severity == verdict]
        if any(window.firing for window in of_severity):
            return verdict
        if any(window.status == "no_data" for window in of_severity):
            return "no_data"
    return "none" if windows else "no_data"


def budget_left(bad: Exact, total: Exact, allowed: Exact) -> Exact | None:
    """Return the share of a period's error budget that is left, 1 - bad / (allowed x total).

    Negative where it is overspent; None without an event.
    """
    return None if total <= 0 else 1 - exact(bad) / (allowed * exact(total))


def exhausted_after_s(remaining: Exact, burn_day: Exact | None, window_s: float) -> float | None:
    """Return in how many seconds the budget ends, linear from the last day's burn.

    A burn of b spends b budgets in a period. None where nothing is spent faster than it comes back
    (burn <= 1), and where it is spent already.
    """
    if burn_day is None or burn_day <= 1 or remaining <= 0:
        return None
    return float(remaining * exact(window_s) / burn_day)


def spent_at(counts: EventCounts, start: float, end: float, allowed: Exact) -> float | None:
    """Return when the bad events of (start, end] reached what the whole period allows.

    Seconds since 1970; None where they did not.
    """
    low, high = np.searchsorted(counts.at, [start, end], side="right")
    total = counts_within(counts, start, end).total
    if low == high or total <= 0:
        return None
    reached = np.flatnonzero(np.cumsum(counts.bad[low:high]) >= float(allowed * total))
    return float(counts.at[low + reached[0]]) if reached.size else None
