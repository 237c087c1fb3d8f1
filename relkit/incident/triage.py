"""``relkit triage``: telemetry in, verdict out.

The ledgers say which versions there are and in which order; without them the telemetry does. The
counts say what broke; the rollback plan says where to go back to.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput, NoData, UsageError
from relkit.core.values import after, duration_s, moment
from relkit.core.wording import counted, duration, number
from relkit.core.yaml_text import shown
from relkit.incident.diagnosis import Diagnosis, diagnose, long_lived
from relkit.incident.ports import IncidentTurns
from relkit.incident.served import contradiction_of, read_ledgers, release_columns, with_target
from relkit.incident.signals import (
    ANY_COMPONENT,
    SHIPPED_SIGNALS,
    STANDARD_COMPONENTS,
    triage_columns,
)
from relkit.incident.types import (
    BIN_S,
    IncidentCounts,
    Onset,
    OtherEvent,
    ReleaseColumn,
    Signal,
    TriagePolicy,
    TriageRead,
    TriageReport,
)
from relkit.rollback.run import RollbackPorts
from relkit.telemetry.types import Telemetry, TelemetryOptions

_HEAVY = 0.1
"""Share of the events from which two people are left out to see what remains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageOptions:
    """What was asked for: telemetry up to its ``now``, of a model or of all, in which span."""

    telemetry: TelemetryOptions
    model: str | None = None
    since: str | None = None
    until: str | None = None
    policy: TriagePolicy = field(default_factory=TriagePolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriagePorts:
    """What triage needs: turns, the registry where there is one, and a clock for its own time.

    ``events`` are what changed elsewhere.
    """

    turns: Callable[[TelemetryOptions], AbstractContextManager[IncidentTurns]]
    registry: RollbackPorts | None
    seconds: Callable[[], float]
    events: tuple[OtherEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpan:
    """Seconds since 1970: the first bin, the first that is searched, and the end."""

    start: int
    reference: int
    end: int


def triage(options: TriageOptions, ports: TriagePorts) -> TriageReport:
    """Return what broke, since when, for whom, by what, and where to go back to.

    Raises UsageError for an unknown model or a span that cannot be, InvalidInput for telemetry and
    ledgers that are refused, NoData where there is nothing to compare with.
    """
    began = ports.seconds()
    ledgers = read_ledgers(options.model, ports.registry)
    models = ledgers.models
    other_events = ports.events
    with ports.turns(options.telemetry) as turns:
        span = search_span(
            turns,
            options.policy,
            since=options.since,
            until=options.until,
            now=options.telemetry.now,
        )
        releases = release_columns(turns, ledgers, span.end)
        signals = _signals(turns, options.policy, releases)
        slices = _slices(turns, options.policy)
        counts = turns.counts(
            signals, slices, releases, start=span.start, reference=span.reference, end=span.end
        )
        summary = turns.summary()
        window = round(duration_s(options.policy.window)) // BIN_S
        first, bins = (span.reference - span.start) // BIN_S, (span.end - span.start) // BIN_S
        start = after("1970-01-01T00:00:00Z", span.reference)
        events = [(_bin(event, start), f"{event.kind} {event.name}") for event in other_events]

        def diagnosed(counts: IncidentCounts) -> Diagnosis:
            diagnosis = diagnose(
                counts, signals, first=first, bins=bins, window=window, other_events=events
            )
            if diagnosis.verdict != "nothing":
                return diagnosis
            return long_lived(counts, signals, diagnosis, first=first, bins=bins, window=window)

        diagnosis = _of_many(diagnosed(counts), turns, diagnosed, first)
    contradiction = None
    if diagnosis.verdict == "release":
        contradiction = contradiction_of(
            counts, models, str(diagnosis.component), str(diagnosis.version)
        )
    if contradiction is not None:
        diagnosis = replace(
            diagnosis,
            verdict="undetermined",
            cause=None,
            evidence=None,
            reason=contradiction,
            component=None,
            version=None,
        )
    if summary.unreadable is not None:
        lost = f"a part of the telemetry could not be read ({shown(summary.unreadable, 200)})"
        quiet = diagnosis.verdict == "nothing"
        diagnosis = replace(
            diagnosis,
            verdict="no_data" if quiet else diagnosis.verdict,
            reason=f"{lost}: what was read shows nothing"
            if quiet
            else f"{diagnosis.reason}; {lost}",
        )
    report = _report(diagnosis, start, summary, ports.seconds() - began)
    return with_target(report, counts, models, ports.registry)


def _of_many(
    diagnosis: Diagnosis,
    turns: IncidentTurns,
    diagnosed: Callable[[IncidentCounts], Diagnosis],
    first: int,
) -> Diagnosis:
    """Return a diagnosis that stands without the two people with the most of what is wrong.

    Somebody who asks for what cannot be answered, again and again, makes the release that serves
    them look worse than the other; whoever else it serves would then pay for going back.
    """
    if diagnosis.verdict != "release" or diagnosis.onset is None:
        return diagnosis
    metric, release = str(diagnosis.metric), (str(diagnosis.component), str(diagnosis.version))
    others = turns.without_heaviest(metric, *release, first=first + diagnosis.onset.first)
    if others is None or others[0] < _HEAVY:
        return diagnosis
    again = diagnosed(others[1])
    if again.verdict == "release" and (again.component, again.version) == release:
        return diagnosis
    return replace(
        diagnosis,
        verdict="undetermined",
        cause=None,
        evidence=None,
        reason=f"two people at most have {number(others[0], 'fraction')} of it, and without them"
        f" {' '.join(release)} is not to blame",
        component=None,
        version=None,
    )


def _bin(event: OtherEvent, start: str) -> int:
    return int((moment(event.at) - moment(start)).total_seconds() // BIN_S)


def search_span(
    turns: IncidentTurns, policy: TriagePolicy, *, since: str | None, until: str | None, now: str
) -> SearchSpan:
    """Return what is searched and what it is compared with; raises UsageError, NoData."""
    seconds = turns.span()
    if seconds is None:
        raise _without_turns(turns.summary(), now)
    low, high = seconds
    end = high + 1
    if until is not None:
        last = int(moment(until).timestamp())
        if last <= low:
            raise UsageError(
                "--until is before the first turn",
                hint=f"the telemetry begins at {_time(low)}",
            )
        end = min(end, last)
    first = end - round(duration_s(policy.recent))
    if since is not None:
        first = int(moment(since).timestamp())
        if first >= end:
            raise UsageError(
                "--since is not before the end of what is searched",
                hint=f"the telemetry, or --until, ends at {_time(end)}",
            )
    start = low // 3600 * 3600
    window_s = round(duration_s(policy.window))
    reference = (first + window_s // 2) // window_s * window_s
    bins = -(-(end - start) // BIN_S)
    end = start + bins * BIN_S
    least = round(duration_s(policy.reference))
    if reference - start < least:
        raise NoData(
            f"nothing to compare with: {counted_time(reference - low)} of telemetry before"
            f" {_time(reference)}, and {duration(least)} are needed",
            hint="add the telemetry of the days before, or set reference: in a policy",
        )
    return SearchSpan(start=start, reference=reference, end=end)


def _without_turns(summary: Telemetry, now: str) -> NoData:
    """Return why no turn counts."""
    dropped = summary.dropped
    if dropped.naive:
        return NoData(
            f"no turn counts: the times of {counted(dropped.naive, 'turn')} have no offset",
            hint="where they are in UTC, say so: --map ts=COLUMN:UTC",
        )
    if dropped.future:
        return NoData(
            f"no turn counts: {counted(dropped.future, 'turn')} are after {now}",
            hint="give the time as of which to look: --now TIME",
        )
    return NoData(
        "the telemetry has no turn that counts",
        hint="what was dropped, and why: relkit telemetry check PATH",
    )


def counted_time(seconds: int) -> str:
    """Return a duration, "none" for nothing at all."""
    return "none" if seconds <= 0 else duration(seconds)


def _time(second: int) -> str:
    return after("1970-01-01T00:00:00Z", second)


def _signals(
    turns: IncidentTurns, policy: TriagePolicy, releases: Mapping[str, ReleaseColumn]
) -> tuple[Signal, ...]:
    """Return the signals whose columns there are; raises InvalidInput, NoData."""
    quantities = turns.quantities
    components = sorted({ANY_COMPONENT, *STANDARD_COMPONENTS, *releases})
    for signal in policy.signals:
        if unknown := [name for name in signal.components if name not in components]:
            raise InvalidInput(
                f'signal "{shown(signal.name)}": no component "{shown(unknown[0])}"',
                hint=nearest(unknown[0], components) or f"there are: {', '.join(components)}",
            )
        if signal.column not in quantities:
            raise InvalidInput(
                f'signal "{shown(signal.name)}": the telemetry has no column'
                f' "{shown(signal.column)}" of numbers, or of true and false',
                hint=nearest(signal.column, tuple(quantities)) or "see: relkit telemetry check",
            )
        if signal.above is None and signal.over is None and signal.column not in turns.flags:
            raise InvalidInput(
                f'signal "{shown(signal.name)}": "{shown(signal.column)}" is a number, and nothing'
                " says which are bad",
                hint="above: 0.95 (a quantile of the reference), or over: 0",
            )
    signals = (*SHIPPED_SIGNALS, *policy.signals)
    usable = tuple(signal for signal in signals if signal.column in quantities)
    if not usable:
        raise NoData(
            "the telemetry measures nothing that could go wrong",
            hint="ok, outcome or latency_ms, such as: relkit telemetry check PATH shows",
        )
    return usable


def _slices(turns: IncidentTurns, policy: TriagePolicy) -> tuple[str, ...]:
    """Return the columns to cut by; raises InvalidInput for one that is not there."""
    attributes = triage_columns(turns.attributes)
    if policy.slices is None:
        return attributes
    for name in policy.slices:
        if name not in turns.attributes:
            raise InvalidInput(
                f'slices: the telemetry has no column "{shown(name)}"',
                hint=nearest(name, attributes) or f"there are: {', '.join(attributes) or 'none'}",
            )
    return policy.slices


def _report(diagnosis: Diagnosis, start: str, summary: Telemetry, seconds: float) -> TriageReport:
    onset = None
    if diagnosis.onset is not None:
        onset = Onset(
            from_=after(start, diagnosis.onset.first * BIN_S),
            to=after(start, (diagnosis.onset.last + 1) * BIN_S),
        )
    dropped = summary.dropped
    return TriageReport(
        verdict=diagnosis.verdict,
        reason=diagnosis.reason,
        cause=diagnosis.cause,
        evidence=diagnosis.evidence,
        component=diagnosis.component,
        first_bad=diagnosis.version,
        slice=diagnosis.slice,
        metric=diagnosis.metric,
        onset=onset,
        ended=None if diagnosis.ended is None else after(start, diagnosis.ended * BIN_S),
        effect=diagnosis.effect,
        log_odds=None if diagnosis.log_odds is None else round(diagnosis.log_odds, 2),
        target=None,
        target_verified=False,
        refused=(),
        command=diagnosis.command,
        candidates=diagnosis.candidates,
        ruled_out=diagnosis.ruled_out,
        probe=diagnosis.probe,
        packet=None,
        read=TriageRead(
            turns=summary.turns,
            seconds=round(seconds, 2),
            late=dropped.late,
            future=dropped.future,
            duplicates=dropped.duplicate,
        ),
    )
