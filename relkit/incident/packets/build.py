"""From what is known of an incident to the packet that tells of it, and of nobody.

Everything about turns comes from :class:`Disclosed`, which was made to be read by anybody; what a
packet says besides are system events, enums, and names that may leave.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from relkit.attestation.types import DigestSet, SummaryPolicy, VerificationSummary, Verifier
from relkit.core.config import Profile
from relkit.core.digests import PREFIX
from relkit.core.errors import InvalidInput
from relkit.core.slices import OVERALL, SliceSpec, slice_parts
from relkit.core.values import moment, to_minute
from relkit.disclosure.audit import POOL_VALUE
from relkit.disclosure.names import SharedNames, checked_name, is_name, is_version_column
from relkit.disclosure.numbers import band_of
from relkit.disclosure.types import (
    Band,
    Disclosed,
    FormAnswers,
    HourSpan,
    Impact,
    IncidentStatus,
    Mitigation,
    Packet,
    PacketCause,
    PacketRollback,
    PacketStage,
    RefusedTarget,
    ServedVersion,
    ShownFinding,
    TimelineEvent,
    TimelineKind,
)
from relkit.gate.types import GateDecision, Verdict
from relkit.incident.packets.types import IssuedPacket, Material, Opening, PacketOptions
from relkit.incident.packets.windows import floor_hour, hours, hours_around
from relkit.incident.types import TriageReport
from relkit.monitoring.types import LiveFinding
from relkit.registry.ledger import Served
from relkit.registry.types import EventKind, ReleaseEvent

NO_PAGE = "0" * 64
"""What stands for the page's digest while the page is rendered."""

_KINDS: Mapping[EventKind, TimelineKind] = {
    EventKind.CANARY: "canary_step",
    EventKind.PROMOTED: "promoted",
    EventKind.HELD: "held",
    EventKind.ROLLED_BACK: "rolled_back",
}
_FIRED = frozenset({"page", "ticket"})
_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketFacts:
    """What a packet is made of, all of it fit to be shown but for the report and the findings.

    ``timeline`` are the system events of the ledger. ``disclosed`` is what may be shown of the
    turns, in the names that ``names`` gives.
    """

    incident: str
    stage: PacketStage
    previous: str | None
    profile: Profile
    unit: str
    k: int
    window: HourSpan
    created: str
    tool_version: str
    options: PacketOptions
    names: SharedNames
    report: TriageReport | None
    disclosed: Disclosed
    served: tuple[ServedVersion, ...] = ()
    timeline: tuple[TimelineEvent, ...] = ()
    findings: tuple[LiveFinding, ...] = ()
    summaries: tuple[Mapping[str, object], ...] = ()
    openings: tuple[Opening, ...] = ()


def packet_of(facts: PacketFacts) -> Packet:
    """Return the packet, with no page yet; raises InvalidInput for a name that may not leave."""
    report, window, shown = facts.report, facts.window, facts.disclosed
    slice_ = failing_cell(report, facts.names, shown)
    cause = _cause(report, slice_)
    ended = None if report is None or report.ended is None else _hour_after(report.ended)
    done = facts.options.mitigations
    findings = [f for f in facts.findings if window.from_ < f.created <= window.to]
    timeline = sorted(
        {*facts.timeline, *_timeline(facts, cause, ended, findings)},
        key=lambda event: (event.at, event.kind, event.component or "", event.version or ""),
    )
    by_kind = {
        kind: tuple(
            _finding(finding, facts.names, shown) for finding in findings if finding.kind == kind
        )
        for kind in ("cost", "drift", "slo")
    }
    onset = cause.onset
    return Packet(
        incident=facts.incident,
        stage=facts.stage,
        previous=facts.previous,
        profile=facts.profile,
        k=facts.k,
        unit="session" if facts.unit == "session" else "user",
        subjects=facts.options.subjects,
        window=window,
        created=facts.created,
        tool_version=facts.tool_version,
        status=facts.options.status or _status(facts.stage, ended, done, timeline),
        severity=facts.options.severity,
        cause=cause,
        mitigations=done,
        impact=_impact(report, slice_, cause, shown, _last(findings, "slo"), ended, window),
        served=facts.served,
        cells=shown.cells,
        percentiles=shown.percentiles,
        pooled=_pooled_columns(shown, facts.names),
        hidden=shown.hidden,
        cost=by_kind["cost"],
        drift=by_kind["drift"],
        burn=by_kind["slo"],
        rollback=_rollback(report),
        timeline=tuple(timeline),
        form=FormAnswers(
            aware=None if facts.options.aware is None else to_minute(facts.options.aware),
            onset=None if onset is None else onset.from_,
            ended=ended,
            affected_groups=() if slice_ is None or slice_ == OVERALL else (slice_,),
            causal_link=_causal_link(cause),
            corrective=tuple(kind for kind in done if kind != "none_yet"),
        ),
        summaries=facts.summaries,
        commitments=tuple(
            sorted(
                {opening.commitment for opening in facts.openings},
                key=lambda commitment: (commitment.kind, commitment.sha256),
            )
        ),
        page=NO_PAGE,
    )


def failing_cell(report: TriageReport | None, names: SharedNames, shown: Disclosed) -> str | None:
    """Return the failing slice as it is shown; None where its cell is not.

    To name a slice whose cell is hidden would tell that something happened to those few in it.
    """
    if report is None or report.slice is None:
        return None
    pairs = sorted(
        (names.column(column), names.value(column, value))
        for column, value in slice_parts(report.slice)
    )
    spec = SliceSpec(columns=tuple(column for column, _ in pairs))
    key = spec.key(value for _, value in pairs)
    return key if any(cell.slice == key for cell in shown.cells) else None


def _cause(report: TriageReport | None, slice_: str | None) -> PacketCause:
    if report is None or report.cause is None:
        return PacketCause(
            cause=None,
            evidence=None,
            component=None,
            first_bad=None,
            slice=slice_,
            metric=None,
            onset=None,
        )
    onset = report.onset
    return PacketCause(
        cause=report.cause,
        evidence=report.evidence,
        component=_name(report.component, "a component"),
        first_bad=_name(report.first_bad, "the first bad version"),
        slice=slice_,
        metric=_name(report.metric, "a metric"),
        onset=None if onset is None else hours_around(moment(onset.from_), moment(onset.to)),
    )


def _name(text: str | None, what: str) -> str | None:
    return None if text is None else checked_name(text, what=what)


def _hour_after(time: str) -> str:
    """Return the end of the hour that something about turns was in; a whole hour is its own."""
    at = moment(time)
    return time if floor_hour(at) == at else hours_around(at, at).to


def _timeline(
    facts: PacketFacts, cause: PacketCause, ended: str | None, findings: Iterable[LiveFinding]
) -> Iterator[TimelineEvent]:
    if cause.onset is not None:
        yield TimelineEvent(at=cause.onset.from_, kind="onset", component=cause.component)
    if ended is not None:
        yield TimelineEvent(at=ended, kind="ended")
    if facts.options.aware is not None:
        yield TimelineEvent(at=to_minute(facts.options.aware), kind="aware")
    for finding in findings:
        if finding.gate_verdict == "fail" or finding.verdict in _FIRED:
            subject = finding.subject
            version = subject if subject is not None and is_name(subject) else None
            yield TimelineEvent(at=to_minute(finding.created), kind="alert", version=version)


def ledger_timeline(
    events: Iterable[ReleaseEvent], component: Callable[[str], str], window: HourSpan, since: str
) -> Iterator[TimelineEvent]:
    """Yield what a ledger says happened from ``since`` to the end of a window, to the minute.

    ``component`` gives the component of a version. Who did it and why never leave.
    """
    for event in events:
        kind = _KINDS.get(event.kind)
        if kind is not None and since <= event.at < window.to:
            yield TimelineEvent(
                at=to_minute(event.at),
                kind=kind,
                component=component(event.version),
                version=checked_name(event.version, what="a version in the ledger"),
            )


def served_versions(
    spans: Iterable[Served], component: Callable[[str], str], window: HourSpan
) -> Iterator[ServedVersion]:
    """Yield the versions that a ledger gave traffic to in a window, in the order they got it."""
    by_version: dict[str, list[Served]] = {}
    for span in spans:
        over = span.until is not None and span.until <= window.from_
        if span.share > 0 and span.since < window.to and not over:
            by_version.setdefault(span.version, []).append(span)
    for version, of_version in by_version.items():
        until = of_version[-1].until
        yield ServedVersion(
            component=component(version),
            version=checked_name(version, what="a version in the ledger"),
            from_=to_minute(of_version[0].since),
            to=None if until is None or until >= window.to else to_minute(until),
            share=of_version[-1].share,
        )


def served_in_telemetry(shown: Disclosed, window: HourSpan) -> Iterator[ServedVersion]:
    """Yield the versions that cells are shown of, where no ledger says what was served."""
    for cell in shown.cells:
        parts = slice_parts(cell.slice)
        if len(parts) != 1 or not is_version_column(parts[0][0]) or not is_name(parts[0][1]):
            continue
        column, version = parts[0]
        yield ServedVersion(
            component=column.removeprefix("release_") if column != "release" else "service",
            version=version,
            from_=window.from_,
            to=window.to,
            share=None,
        )


def _finding(finding: LiveFinding, names: SharedNames, shown: Disclosed) -> ShownFinding:
    """Return what a monitor said; of its slices those that the packet shows anyway."""
    failed = [check for check in finding.checks if check.verdict == "fail" and not check.advisory]
    cells = {cell.slice for cell in shown.cells} - {OVERALL}
    if finding.kind == "drift":
        slices = {check.name for check in failed if check.name in names.share}
    else:
        slices = {check.slice for check in failed}
    named = {name for name in slices if name in cells or (name in names.share and is_name(name))}
    return ShownFinding(
        policy=checked_name(finding.policy.name, what=f"a {finding.kind} policy"),
        verdict=checked_name(finding.verdict, what=f"a {finding.kind} verdict"),
        at=to_minute(finding.created),
        slices=tuple(sorted(named)),
    )


def _last(findings: Sequence[LiveFinding], kind: str) -> LiveFinding | None:
    of_kind = [finding for finding in findings if finding.kind == kind]
    return max(of_kind, key=lambda finding: finding.created, default=None)


def _impact(
    report: TriageReport | None,
    slice_: str | None,
    cause: PacketCause,
    shown: Disclosed,
    burn: LiveFinding | None,
    ended: str | None,
    window: HourSpan,
) -> Impact:
    """Return the bands of the failing cell: who was exposed. Nothing is counted anew."""
    key = slice_
    if key is None and report is not None and report.cause is not None and report.slice is None:
        key = OVERALL
    cell = next((cell for cell in shown.cells if cell.slice == key), None)
    minutes = None
    if cause.onset is not None:
        end = window.to if ended is None else min(ended, window.to)
        if end > cause.onset.from_:
            minutes = 60 * hours(HourSpan(from_=cause.onset.from_, to=end))
    return Impact(
        people=None if cell is None else cell.people,
        turns=None if cell is None else cell.utterances,
        minutes=minutes,
        budget_spent=_budget_spent(burn),
    )


def _budget_spent(burn: LiveFinding | None) -> Band | None:
    """Return how much of an error budget is spent, in bands of percent; None under 10 %."""
    left_over = None if burn is None else burn.report.get("budget_left")
    if not isinstance(left_over, int | float):
        return None
    spent = math.floor(round(_PERCENT * (1 - left_over), 6))  # of 0.9 left 10 are spent, not 9
    return band_of(spent) if spent >= 10 else None  # noqa: PLR2004 - no band begins below


def _pooled_columns(shown: Disclosed, names: SharedNames) -> tuple[str, ...]:
    """Return the columns, in shown names, of which values or turns without one are pooled."""
    columns = {column for key in shown.pooled for column, _ in slice_parts(key)}
    pools = {
        column
        for cell in shown.cells
        for column, value in slice_parts(cell.slice)
        if value == POOL_VALUE
    }
    return tuple(sorted({*map(names.column, columns), *pools}))


def _rollback(report: TriageReport | None) -> PacketRollback | None:
    if report is None or report.cause != "release":
        return None
    return PacketRollback(
        target=_name(report.target, "the rollback target"),
        verified=report.target_verified,
        refused=tuple(
            RefusedTarget(
                version=checked_name(refused.version, what="a refused target"),
                code=checked_name(refused.code, what="the code of a refused target"),
            )
            for refused in report.refused
        ),
    )


def _causal_link(
    cause: PacketCause,
) -> Literal["established", "suspected", "not_established"]:
    if cause.cause is None:
        return "not_established"
    return "established" if cause.evidence == "concurrent" else "suspected"


def _status(
    stage: PacketStage,
    ended: str | None,
    done: tuple[Mitigation, ...],
    timeline: Iterable[TimelineEvent],
) -> IncidentStatus:
    if stage == "final" and ended is not None:
        return "resolved"
    acted = any(kind not in {"none_yet", "monitoring_added"} for kind in done)
    return "mitigated" if acted or any(e.kind == "rolled_back" for e in timeline) else "open"


def summaries_of(decision: GateDecision) -> Iterator[VerificationSummary]:
    """Yield a verification summary for each artifact that a decision is about.

    A decision in shadow decides nothing, and has none; what has no digest cannot be named by it.
    """
    if decision.policy.enforcement == "shadow":
        return
    passed = decision.verdict is Verdict.PASS
    for _, digest, is_artifact in decision.subjects:
        if not is_artifact:
            continue
        yield VerificationSummary(
            verifier=Verifier(id="urn:relkit:gate", version={"relkit": decision.tool_version}),
            time_verified=decision.created,
            resource_uri="urn:relkit:artifact:sha256:" + digest.removeprefix(PREFIX),
            policy=SummaryPolicy(
                uri="urn:relkit:policy:" + checked_name(decision.policy.name, what="a policy"),
                digest=DigestSet(sha256=decision.policy.digest.removeprefix(PREFIX)),
            ),
            verification_result="PASSED" if passed else "FAILED",
            verified_levels=("RELKIT_GATE_PASSED",) if passed else ("FAILED",),
        )


def opened(
    materials: Iterable[tuple[Material, str, str]],
    openings: Sequence[Opening],
    random: Callable[[], bytes],
) -> tuple[Opening, ...]:
    """Return an opening for each (kind, name, digest), one that is there already where it is.

    A commitment is SHA-256(32 random bytes ‖ the 32 bytes of the digest): a plain digest of few
    possible tables would give them away to who tries them all.
    """
    there = {(opening.kind, opening.digest): opening for opening in openings}
    made: dict[tuple[Material, str], Opening] = {}
    for kind, name, digest in materials:
        place = (kind, digest)
        if place in there or place in made:
            made[place] = there.get(place) or made[place]
            continue
        salt = random()
        sha256 = hashlib.sha256(salt + bytes.fromhex(digest.removeprefix(PREFIX))).hexdigest()
        made[place] = Opening(
            kind=kind,
            name=name,
            digest=digest,
            random=salt.hex(),
            sha256=sha256,
        )
    return tuple(made.values())


def again(issued: IssuedPacket, packet: Packet, *, last: bool) -> Packet:
    """Return the packet of a window that is out already: as it was, or with more cells.

    ``last`` says that no later packet names it. Raises InvalidInput where the telemetry gives other
    cells now, where other things were asked to be said, and for more cells of one that is not last.
    """
    earlier = issued.packet
    stated = ("stage", "profile", "unit", "k", "subjects", "severity", "cause", "mitigations")
    changed = [name for name in stated if getattr(packet, name) != getattr(earlier, name)]
    if changed or packet.form != earlier.form:
        what = changed[0] if changed else "form"
        raise InvalidInput(
            f"the packet of this window is out and says something else about: {what}",
            hint=f"say it in the next one: --update {issued.name}.packet.json",
        )
    cells = {cell.slice: cell for cell in packet.cells}
    for cell in earlier.cells:
        if cells.get(cell.slice) != cell:
            raise InvalidInput(
                f"{cell.slice}: the packet of this window is out, and its cell would be another"
                " one now: the telemetry has changed since",
                hint="use the telemetry that it was made from",
            )
    percentiles = {(p.slice, p.metric, p.percentile) for p in earlier.percentiles}
    more_cells = [cell for cell in packet.cells if cell not in earlier.cells]
    more_percentiles = [
        p for p in packet.percentiles if (p.slice, p.metric, p.percentile) not in percentiles
    ]
    if not more_cells and not more_percentiles:
        return earlier
    if not last:
        raise InvalidInput(
            "a later packet follows the one of this window: no cell can be added to it",
            hint="add the columns to the next packet: --slice",
        )
    return replace(
        earlier,
        cells=(*earlier.cells, *more_cells),
        percentiles=(*earlier.percentiles, *more_percentiles),
        pooled=tuple(sorted({*earlier.pooled, *packet.pooled})),
        hidden=packet.hidden,
        page=NO_PAGE,
    )


def columns_to_cut(
    options: PacketOptions,
    report: TriageReport | None,
    attributes: Sequence[str],
    shared: Iterable[str],
) -> tuple[tuple[str, ...], str | None]:
    """Return (columns, the crossing): those of the failing slice, and all that are shared.

    Columns that were asked for stand in place of the shared ones. The crossing is the failing
    slice's two columns, or its one column with the versions of the component that is to blame.
    """
    failing = () if report is None or report.slice is None else slice_parts(report.slice)
    columns = [column for column, _ in failing]
    releases = []
    if report is not None and report.component is not None:
        named = f"release_{report.component}"
        releases = [name for name in (named, "release") if name in attributes][:1]
    crossing = None
    if len(columns) == 2:  # noqa: PLR2004 - a crossing has two columns
        crossing = "&".join(sorted(columns))
    elif len(columns) == 1 and releases and report is not None and report.cause == "release":
        crossing = "&".join(sorted((columns[0], releases[0])))
    if options.columns is None:
        wide = [column for column in shared if column in attributes]
        if report is None:
            wide += sorted(filter(is_version_column, attributes), key="release".__eq__)
    else:
        wide = list(options.columns)
    return tuple(dict.fromkeys([*columns, *releases, *wide])), crossing
