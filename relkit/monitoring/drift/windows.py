"""Windows of time: their slot in the season, and when drift in them is sustained."""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from relkit.core.arrays import IntArray
from relkit.core.values import time_text
from relkit.monitoring.drift.types import Season, Status, SustainedAlert, SustainedRule

SLOT_S = 3600
"""The length of a slot of a season."""

_DAY_HOURS = 24
_WEEK_HOURS = 168

_FIRST_DAY = 3
"""1970 began on a Thursday, the fourth day of a week."""


def slots_of(starts: IntArray, season: Season) -> IntArray:
    """Return the slot of each window by its start, in seconds since 1970 (UTC)."""
    hours = starts // SLOT_S
    if season == "hour_of_day":
        return hours % _DAY_HOURS
    if season == "hour_of_week":
        return (hours + _FIRST_DAY * _DAY_HOURS) % _WEEK_HOURS
    return hours * 0


def window_time(start: int) -> str:
    """Return the start of a window as it is written."""
    return time_text(datetime.fromtimestamp(start, UTC))


def sustained_alert(
    starts: Sequence[int], statuses: Sequence[Status], rule: SustainedRule
) -> SustainedAlert:
    """Return whether drift was sustained, by the first time that the rule was met.

    Windows in the order of time. One without data neither counts nor resets. ``pending`` counts the
    drifted ones among the last judged windows that the rule still looks at.
    """
    judged: deque[tuple[int, bool]] = deque(maxlen=rule.among)
    for start, status in zip(starts, statuses, strict=True):
        if status == "no_data":
            continue
        judged.append((start, status == "drifted"))
        drifted = [at for at, is_drifted in judged if is_drifted]
        if len(drifted) >= rule.needed:
            return SustainedAlert(
                alert=True,
                first_window=window_time(drifted[0]),
                confirmed_window=window_time(start),
            )
    drifted = [at for at, is_drifted in judged if is_drifted]
    if rule.of is None:  # in a row: only those at the end can be confirmed
        drifted = []
        for at, is_drifted in judged:
            drifted = [*drifted, at] if is_drifted else []
    return SustainedAlert(
        alert=False,
        first_window=window_time(drifted[0]) if drifted else None,
        confirmed_window=None,
        pending=len(drifted),
    )
