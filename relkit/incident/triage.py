"""``relkit triage``: telemetry in, verdict out.

The ledgers say which versions there are and in which order; without them the telemetry does. The
counts say what broke; the rollback plan says where to go back to.
"""

import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput, NoData, RelkitError, UsageError
from relkit.core.slices import OVERALL
from relkit.core.values import after, duration_s, moment
from relkit.core.wording import duration
from relkit.core.yaml_text import shown
from relkit.incident.blame import holders
from relkit.incident.diagnosis import Diagnosis, diagnose, long_lived
from relkit.incident.ports import IncidentTurns
from relkit.incident.signals import SHIPPED_SIGNALS, STACK, TELEMETRY_NAMES, triage_columns
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
from relkit.registry.types import Release, ReleaseEvent
from relkit.rollback.run import RollbackOptions, RollbackPorts, plan_rollback
from relkit.rollback.types import Refused
from relkit.telemetry.types import Telemetry, TelemetryOptions

_RELEASE = "release_"
_SOONEST_CONTRADICTION_S = 1800.0
_MOST_UNKNOWN = 0.02


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
class LedgerModel:
    """A model of the registry that is a component, with its ledger."""

    model: str
    component: str
    events: tuple[ReleaseEvent, ...]

    @property
    def order(self) -> tuple[str, ...]:
        """The versions, in the order in which they first had traffic, then as registered."""
        served = [e.version for e in self.events if e.traffic or e.kind.value == "promoted"]
        return tuple(dict.fromkeys([*served, *(event.version for event in self.events)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
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
    models = _models(options.model, ports.registry)
    other_events = ports.events
    with ports.turns(options.telemetry) as turns:
        span = _span(options, turns)
        releases = _releases(turns, models, span)
        signals = _signals(turns, options.policy)
        slices = _slices(turns, options.policy)
        counts = turns.counts(
            signals, slices, releases, start=span.start, reference=span.reference, end=span.end
        )
        summary = turns.summary()
    window = round(duration_s(options.policy.window)) // BIN_S
    first, bins = (span.reference - span.start) // BIN_S, (span.end - span.start) // BIN_S
    start = after("1970-01-01T00:00:00Z", span.reference)
    diagnosis = diagnose(
        counts,
        signals,
        first=first,
        bins=bins,
        window=window,
        other_events=[(_bin(event, start), f"{event.kind} {event.name}") for event in other_events],
    )
    if diagnosis.verdict == "nothing":
        diagnosis = long_lived(counts, signals, diagnosis, first=first, window=window)
    if contradiction := _contradiction(counts, models, diagnosis):
        diagnosis = replace(
            diagnosis,
            verdict="undetermined",
            cause=None,
            evidence=None,
            reason=contradiction,
            component=None,
            version=None,
        )
    report = _report(diagnosis, start, summary, ports.seconds() - began)
    return _with_target(report, counts, models, ports.registry)


def _bin(event: OtherEvent, start: str) -> int:
    return int((moment(event.at) - moment(start)).total_seconds() // BIN_S)


def _models(name: str | None, registry: RollbackPorts | None) -> tuple[LedgerModel, ...]:
    """Return the models to look at: those that are no stack, or what a stack pins."""
    if registry is None:
        if name is not None:
            raise UsageError(
                f'no model "{shown(name)}": there is no workspace here',
                hint="leave MODEL out, or name the workspace: --workspace DIR",
            )
        return ()
    known_models = registry.ledger.models()
    if name is not None and name not in known_models:
        raise UsageError(
            f'no model "{shown(name)}" in the registry',
            hint=nearest(name, known_models) or "leave MODEL out: every model is looked at",
        )
    models = []
    for model in known_models if name is None else (name,):
        models += _component_models(model, registry, alone=name is not None)
    unique = {component.model: component for component in models}
    return tuple(unique.values())


def _component_models(model: str, registry: RollbackPorts, *, alone: bool) -> list[LedgerModel]:
    events = registry.ledger.events(model)
    release = _newest(model, events, registry)
    if release is None:
        return []
    if release.component == "stack":
        pins = release.pins if alone else {}
        return [part for pin in pins for part in _component_models(pin, registry, alone=False)]
    component = TELEMETRY_NAMES.get(release.component, release.component)
    return [LedgerModel(model=model, component=component, events=events)]


def _newest(model: str, events: Sequence[ReleaseEvent], registry: RollbackPorts) -> Release | None:
    for event in reversed(events):
        try:
            return registry.releases.read(model, event.version)
        except RelkitError:
            continue
    return None


def _span(options: TriageOptions, turns: IncidentTurns) -> _Span:
    """Return what is searched and what it is compared with; raises UsageError, NoData."""
    policy = options.policy
    seconds = turns.span()
    if seconds is None:
        raise NoData(
            "the telemetry has no turn that counts",
            hint="what was dropped, and why: relkit telemetry check PATH",
        )
    low, high = seconds
    end = high + 1
    if options.until is not None:
        until = int(moment(options.until).timestamp())
        if until <= low:
            raise UsageError(
                "--until is before the first turn",
                hint=f"the telemetry begins at {_time(low)}",
            )
        end = min(end, until)
    since = end - round(duration_s(policy.recent))
    if options.since is not None:
        since = int(moment(options.since).timestamp())
        if since >= end:
            raise UsageError(
                "--since is not before the end of what is searched",
                hint=f"the telemetry, or --until, ends at {_time(end)}",
            )
    start = low // 3600 * 3600
    window_s = round(duration_s(policy.window))
    reference = (since + window_s // 2) // window_s * window_s
    bins = -(-(end - start) // BIN_S)
    end = start + bins * BIN_S
    least = round(duration_s(policy.reference))
    if reference - low < least:
        raise NoData(
            f"nothing to compare with: {counted_time(reference - low)} of telemetry before"
            f" {_time(reference)}, and {duration(least)} are needed",
            hint="add the telemetry of the days before, or set reference: in a policy",
        )
    return _Span(start=start, reference=reference, end=end)


def counted_time(seconds: int) -> str:
    """Return a duration, "none" for nothing at all."""
    return "none" if seconds <= 0 else duration(seconds)


def _time(second: int) -> str:
    return after("1970-01-01T00:00:00Z", second)


def _releases(
    turns: IncidentTurns, models: Sequence[LedgerModel], span: _Span
) -> dict[str, ReleaseColumn]:
    """Return where the versions of each component stand, in the order of the ledger.

    Versions that no ledger knows come where they first appear.
    """
    columns = {
        name.removeprefix(_RELEASE): name for name in turns.attributes if name.startswith(_RELEASE)
    }
    if not columns and "release" in turns.attributes:
        component = models[0].component if len(models) == 1 else STACK
        columns = {component: "release"}
    by_component: dict[str, ReleaseColumn] = {}
    for component, column in sorted(columns.items()):
        seen = turns.versions(column, before=span.end)
        order = next((m.order for m in models if m.component == component), ())
        by_component[component] = ReleaseColumn(column=column, order=_merged(order, seen))
    return by_component


def _merged(order: Sequence[str], seen: Sequence[str]) -> tuple[str, ...]:
    """Return the versions that were seen: in ledger order, unknown ones after their predecessor."""
    merged = [version for version in order if version in seen]
    for i, version in enumerate(seen):
        if version not in merged:
            before = seen[i - 1] if i else None
            merged.insert(merged.index(before) + 1 if before in merged else 0, version)
    return tuple(merged)


def _signals(turns: IncidentTurns, policy: TriagePolicy) -> tuple[Signal, ...]:
    """Return the signals whose columns there are; raises InvalidInput."""
    quantities = turns.quantities
    for signal in policy.signals:
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


def _contradiction(
    counts: IncidentCounts,
    models: Sequence[LedgerModel],
    diagnosis: Diagnosis,
) -> str | None:
    """Return how a ledger contradicts the telemetry about the release to blame."""
    if diagnosis.verdict != "release" or diagnosis.component is None:
        return None
    model = next((m for m in models if m.component == diagnosis.component), None)
    if model is None:
        return None
    column = counts.releases[diagnosis.component]
    version = str(diagnosis.version)
    place = column.names.index(version)
    first = int(counts.bins[column.codes == place].min())
    at = after(counts.start, (first + 1) * BIN_S)
    what = f"the ledger of {model.model} contradicts the telemetry"
    if version not in {event.version for event in model.events}:
        return f"{what}: it does not know {version}, which had traffic"
    served = [
        event.at for event in model.events if event.version == version and _has_traffic(event)
    ]
    if not served:
        return f"{what}: by it {version} never had traffic"
    early = (moment(min(served)) - moment(at)).total_seconds()
    if early > _SOONEST_CONTRADICTION_S:
        return f"{what}: {version} had traffic {duration(early)} before the ledger gave it any"
    return None


def _has_traffic(event: ReleaseEvent) -> bool:
    if event.kind.value in {"promoted", "rolled_back"}:
        return True
    return event.kind.value == "canary" and bool(event.traffic)


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


def _with_target(
    report: TriageReport,
    counts: IncidentCounts,
    models: Sequence[LedgerModel],
    registry: RollbackPorts | None,
) -> TriageReport:
    """Return a report with where to go back to; without blame there is no target."""
    component, version = report.component, report.first_bad
    if report.verdict != "release" or component is None or version is None:
        return report
    model = next((m for m in models if m.component == component), None)
    if model is None or registry is None:
        names = counts.releases[component].names
        held = holders(counts, component)
        earlier = [name for name in names[: names.index(version)] if name in held]
        return replace(report, target=earlier[-1] if earlier else None)
    cell = None if report.slice == OVERALL else report.slice
    options = RollbackOptions(model=model.model, bad=(version,), slice=cell)
    command = f"relkit rollback {model.model} --bad {version}"
    if cell is not None:
        command += f" --slice {shlex.quote(cell)}"
    try:
        planned = plan_rollback(options, registry)
    except RelkitError as error:
        refused = Refused(version=version, code="plan", reason=error.message)
        return replace(report, refused=(refused,), command=command)
    target = planned.target
    return replace(
        report,
        target=target.target,
        target_verified=target.target is not None,
        refused=target.refused,
        command=f"{command} --apply" if target.target is not None else command,
    )
