"""First bad release from a stored metric: which change of level the badness begins with.

``bisect --metric``: the first bad release by a metric that its evaluations stored.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from relkit.bisect.run import (
    BisectOptions,
    LedgerReader,
    ReleaseReader,
    checked_slice,
    ledger_state,
)
from relkit.bisect.search import (
    Bisection,
    BisectStatus,
    LevelChange,
    MetricPoint,
    Skipped,
    between,
    default_bad,
    unknown_version,
)
from relkit.core.codec import decode
from relkit.core.digests import sha256_bytes
from relkit.core.errors import InvalidInput, NoData, UsageError
from relkit.core.metrics import Better, metric_of
from relkit.core.slices import OVERALL
from relkit.core.wording import number
from relkit.core.yaml_text import shown
from relkit.evaluation.report_files import parse_report
from relkit.registry.types import Release
from relkit.statistics.change_points import MIN_POINTS, ChangePoint, change_points

_WIDTH_95 = 2 * 1.959964  # of a normal two-sided 95 % interval, in standard errors


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """What a metric's history says; ``reasons`` in words, the first one the most important."""

    status: BisectStatus
    candidates: tuple[str, ...]
    changes: tuple[LevelChange, ...]
    bad_before: tuple[str, ...] = ()
    good_after: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def judge_history(
    points: Sequence[MetricPoint],
    *,
    better: Better,
    good: str | None,
    bad: str,
    unit: str = "ratio",
) -> MetricVerdict:
    """Return the first bad release by the changes of a metric's level.

    ``points`` are all releases in the order of the ledger, ``bad`` and ``good`` among them. The
    badness begins with the first change for the worse after ``good`` (without it: after the last
    recovery) and not after ``bad``. A recovery between the two bounds is a contradiction. ``unit``
    is that of the metric.
    """
    measured = [point for point in points if point.value is not None]
    if len(measured) < MIN_POINTS:
        return MetricVerdict(
            status="no_data",
            candidates=(),
            changes=(),
            reasons=(f"{len(measured)} releases have the metric; {MIN_POINTS} are the least",),
        )
    found = change_points(
        [point.value for point in measured if point.value is not None],
        errors=[_error(point) for point in measured],
    )
    changes = tuple(_level_change(one, points, measured, better) for one in found)
    order = [point.version for point in points]
    return _verdict(changes, order, good, bad, unit)


def _error(point: MetricPoint) -> float | None:
    if point.low is None or point.high is None:
        return None
    return (point.high - point.low) / _WIDTH_95


def _level_change(
    one: ChangePoint,
    points: Sequence[MetricPoint],
    measured: Sequence[MetricPoint],
    better: Better,
) -> LevelChange:
    """Name a change's positions; releases without a value before a candidate are candidates too."""
    order = [point.version for point in points]
    first = order.index(measured[one.low - 1].version) + 1
    last = order.index(measured[one.high].version)
    return LevelChange(
        version=measured[one.index].version,
        candidates=tuple(order[first : last + 1]),
        direction=one.direction(better),
        before=one.before,
        after=one.after,
        named_first=measured[one.first_index].version,
        found_at=measured[one.found_at - 1].version,
        contradicted=one.contradicted,
    )


def _verdict(
    changes: tuple[LevelChange, ...], order: Sequence[str], good: str | None, bad: str, unit: str
) -> MetricVerdict:
    last = order.index(bad)
    first = -1 if good is None else order.index(good)
    until = [one for one in changes if order.index(one.version) <= last]
    inside = [one for one in until if order.index(one.version) > first]
    episode = inside if good is not None else _since_recovery(inside)
    worse = [one for one in episode if one.direction == "worse"]
    if not worse:
        return MetricVerdict(
            status="no_bad", candidates=(), changes=changes, reasons=_no_bad(until, good, bad)
        )
    begin = worse[0]
    recovered = [one for one in episode if one.direction == "better" and _recovers(one, begin)]
    if recovered and order.index(recovered[-1].version) > order.index(begin.version):
        return MetricVerdict(
            status="contradiction",
            candidates=(),
            changes=changes,
            bad_before=tuple(one.version for one in worse if _before(one, recovered[-1], order)),
            good_after=tuple(one.version for one in recovered),
            reasons=(
                f"worse from {begin.version} on, better again from {recovered[-1].version} on",
                "say which part is meant with --good or --bad",
            ),
        )
    if begin.contradicted is not None:
        return MetricVerdict(
            status="contradiction",
            candidates=(),
            changes=changes,
            bad_before=(begin.version,),
            reasons=(
                f"{begin.named_first} was named when {begin.found_at} was measured",
                f"later releases speak against it: {begin.contradicted}",
            ),
        )
    candidates = tuple(one for one in begin.candidates if first < order.index(one) <= last)
    return MetricVerdict(
        status="found" if len(candidates) == 1 else "set",
        candidates=candidates,
        changes=changes,
        reasons=_named(begin, candidates, unit),
    )


def _since_recovery(changes: Sequence[LevelChange]) -> list[LevelChange]:
    """Return the changes after the last one that took the metric back to where it was."""
    start = 0
    for i, one in enumerate(changes):
        if one.direction == "better" and any(
            _recovers(one, other) for other in changes[start:i] if other.direction == "worse"
        ):
            start = i + 1
    return list(changes[start:])


def _recovers(better: LevelChange, worse: LevelChange) -> bool:
    """Tell whether a change for the better goes back at least half of the way."""
    middle = (worse.before + worse.after) / 2
    return (better.after - middle) * (worse.before - middle) >= 0


def _before(one: LevelChange, other: LevelChange, order: Sequence[str]) -> bool:
    return order.index(one.version) < order.index(other.version)


def _no_bad(until: Sequence[LevelChange], good: str | None, bad: str) -> tuple[str, ...]:
    since = "" if good is None else f" after {good}"
    told = [f"no change for the worse{since} up to {bad}"]
    told += [f"it got {one.direction} at {one.version}" for one in until]
    return tuple(told)


def _named(begin: LevelChange, candidates: Sequence[str], unit: str) -> tuple[str, ...]:
    told = [f"the level went from {number(begin.before, unit)} to {number(begin.after, unit)}"]
    if len(candidates) > 1:
        told.append(f"likeliest is {begin.version}")
    if begin.named_first != begin.version:
        told.append(f"{begin.named_first} was named when {begin.found_at} was measured")
    return tuple(told)


class EvidenceReader(ReleaseReader, Protocol):
    """Releases with the evidence beside them."""

    def evidence(self, model: str, version: str) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of the evidence beside a release."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPorts:
    """What a search in stored metrics reads.

    ``run_report`` gives the bytes of a run's report, None where the run is not here.
    """

    ledger: LedgerReader
    releases: EvidenceReader
    run_report: Callable[[str], bytes | None]


def bisect_by_metric(options: BisectOptions, ports: MetricPorts) -> Bisection:
    """Return the first bad release by where the level of a stored metric changed for the worse.

    Without a named good release the whole history counts: the badness begins after the last
    recovery. Raises UsageError for unknown names, NoData where no release has the metric,
    InvalidInput where a report is not the one that a release was registered with.
    """
    metric = options.metric
    slice_ = OVERALL if options.slice is None else checked_slice(options.slice)
    try:
        known = metric_of(metric)
    except KeyError as error:
        raise UsageError(
            f'no metric "{shown(metric)}"', hint="for example wer, cer, latency_ms.p95"
        ) from error
    state = ledger_state(options.model, ports.ledger)
    order = tuple(state.registered)
    bad = options.bad or default_bad(state)[0]
    if options.good is not None:
        between(order, options.good, bad)
    elif bad not in order:
        raise unknown_version(bad, order)
    releases = [ports.releases.read(options.model, version) for version in order]
    points = [_point(release, metric, slice_, ports) for release in releases]
    skipped = tuple(
        Skipped(version=point.version, reason=point.reason or "no value")
        for point in points
        if point.value is None
    )
    if len(skipped) == len(points):
        raise NoData(
            f"no release of {options.model} has {metric} of {slice_}: {skipped[0].reason}",
            hint="releases name their report with report and run; see: relkit registry validate",
        )
    verdict = judge_history(
        points, better=known.better, good=options.good, bad=bad, unit=known.unit
    )
    return Bisection(
        model=options.model,
        by="metric",
        status=verdict.status,
        good=options.good,
        bad=bad,
        candidates=verdict.candidates,
        steps=len(points) - len(skipped),
        skipped=skipped,
        bad_before=verdict.bad_before,
        good_after=verdict.good_after,
        changes=verdict.changes,
        reasons=verdict.reasons,
    )


def _point(release: Release, metric: str, slice_: str, ports: MetricPorts) -> MetricPoint:
    """Return a stored metric of a release, or why there is none."""

    def without(reason: str) -> MetricPoint:
        return MetricPoint(version=release.version, value=None, reason=reason)

    if release.report is None:
        return without("the release names no report")
    data = _report(release, ports)
    if data is None:
        return without("its report is not here")
    source = f"the report of {release.version}"
    report = parse_report(decode(data, source=source), source=source)
    part = next((item for item in report.slices if item.slice == slice_), None)
    if part is None:
        return without(f"its report has no slice {slice_}")
    estimate = part.metrics.get(metric)
    if estimate is None or estimate.value is None:
        return without(f"its report has no {metric} of {slice_}")
    return MetricPoint(
        version=release.version, value=estimate.value, low=estimate.low, high=estimate.high
    )


def _report(release: Release, ports: MetricPorts) -> bytes | None:
    """Return the report of the release's digest, beside it or in its run; None where it is not.

    Raises InvalidInput where the run it names has another report now.
    """
    for _, data in ports.releases.evidence(release.model, release.version):
        if sha256_bytes(data) == release.report:
            return data
    data_of_run = None if release.run is None else ports.run_report(release.run)
    if data_of_run is not None and sha256_bytes(data_of_run) != release.report:
        raise InvalidInput(
            f"the report of {release.model} {release.version} is not the one it was "
            "registered with",
            hint=f"bring back the report.json of run {release.run}",
        )
    return data_of_run
