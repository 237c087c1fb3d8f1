"""First bad release from a stored metric: which change of level the badness begins with."""

from collections.abc import Iterator, Sequence

from relkit.bisect.types import LevelChange, MetricPoint, Narrowed
from relkit.core.metrics import Better
from relkit.core.wording import number
from relkit.statistics.change_points import MIN_POINTS, change_points

_WIDTH_95 = 2 * 1.959964  # of a normal two-sided 95 % interval, in standard errors


def judge_history(
    points: Sequence[MetricPoint],
    *,
    better: Better,
    good: str | None,
    bad: str,
    unit: str = "ratio",
) -> Narrowed:
    """Return the first bad release by the changes of a metric's level.

    ``points`` are all releases in the order of the ledger, ``bad`` and ``good`` among them. The
    badness begins with the first change for the worse after ``good`` (without it: after the last
    recovery) and not after ``bad``. A recovery between the two bounds is a contradiction. ``unit``
    is that of the metric.
    """
    measured = [point for point in points if point.value is not None]
    if len(measured) < MIN_POINTS:
        reason = f"{len(measured)} releases have the metric; {MIN_POINTS} are the least"
        return Narrowed(status="no_data", reasons=(reason,))
    order = [point.version for point in points]
    changes = tuple(_level_changes(measured, order, better))
    first, last = -1 if good is None else order.index(good), order.index(bad)
    until = [change for change in changes if order.index(change.version) <= last]
    episode = [change for change in until if order.index(change.version) > first]
    if good is None:
        episode = _since_recovery(episode)
    worse = [change for change in episode if change.direction == "worse"]
    if not worse:
        since = "" if good is None else f" after {good}"
        return Narrowed(
            status="no_bad",
            changes=changes,
            reasons=(
                f"no change for the worse{since} up to {bad}",
                *(f"it got {change.direction} at {change.version}" for change in until),
            ),
        )
    begin = worse[0]
    recovered = [
        change for change in episode if change.direction == "better" and _recovers(change, begin)
    ]
    if recovered and order.index(recovered[-1].version) > order.index(begin.version):
        again = recovered[-1].version
        return Narrowed(
            status="contradiction",
            changes=changes,
            bad_before=tuple(
                change.version
                for change in worse
                if order.index(change.version) < order.index(again)
            ),
            good_after=tuple(change.version for change in recovered),
            reasons=(
                f"worse from {begin.version} on, better again from {again} on",
                "say which part is meant with --good or --bad",
            ),
        )
    named_first = f"{begin.named_first} was named when {begin.found_at} was measured"
    if begin.contradicted is not None:
        return Narrowed(
            status="contradiction",
            changes=changes,
            bad_before=(begin.version,),
            reasons=(named_first, f"later releases speak against it: {begin.contradicted}"),
        )
    candidates = tuple(name for name in begin.candidates if first < order.index(name) <= last)
    before, after = number(begin.before, unit), number(begin.after, unit)
    reasons = [f"the level went from {before} to {after}"]
    if len(candidates) > 1:
        reasons.append(f"likeliest is {begin.version}")
    if begin.named_first != begin.version:
        reasons.append(named_first)
    return Narrowed(
        status="found" if len(candidates) == 1 else "set",
        candidates=candidates,
        changes=changes,
        reasons=tuple(reasons),
    )


def _level_changes(
    measured: Sequence[MetricPoint], order: Sequence[str], better: Better
) -> Iterator[LevelChange]:
    """Yield changes by version; releases without a value before a candidate are candidates too."""
    for change in change_points(
        [point.value for point in measured if point.value is not None],
        errors=[
            None
            if point.low is None or point.high is None
            else (point.high - point.low) / _WIDTH_95
            for point in measured
        ],
    ):
        first = order.index(measured[change.low - 1].version) + 1
        last = order.index(measured[change.high].version)
        yield LevelChange(
            version=measured[change.index].version,
            candidates=tuple(order[first : last + 1]),
            direction=change.direction(better),
            before=change.before,
            after=change.after,
            named_first=measured[change.first_index].version,
            found_at=measured[change.found_at - 1].version,
            contradicted=change.contradicted,
        )


def _since_recovery(changes: Sequence[LevelChange]) -> list[LevelChange]:
    """Return the changes after the last one that took the metric back to where it was."""
    start = 0
    for i, change in enumerate(changes):
        if change.direction == "better" and any(
            _recovers(change, worse) for worse in changes[start:i] if worse.direction == "worse"
        ):
            start = i + 1
    return list(changes[start:])


def _recovers(better: LevelChange, worse: LevelChange) -> bool:
    """Tell whether a change for the better goes back at least half of the way."""
    middle = (worse.before + worse.after) / 2
    return (better.after - middle) * (worse.before - middle) >= 0
