"""``relkit incident packet``: read, disclose, sign, and write two files that belong together.

The key, the names and the openings are safe before anything goes out, and so is what goes out: the
same command again, after a kill too, writes the same bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relkit.attestation.envelopes import Envelope, parse_envelope, render_envelope
from relkit.attestation.run import Signer
from relkit.attestation.statements import parse_content, render_statement
from relkit.core import storage
from relkit.core.codec import decode, encode, nearest, parse, parse_json
from relkit.core.config import Privacy
from relkit.core.digests import PREFIX, sha256_bytes
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import checked_time, moment, time_text
from relkit.core.yaml_text import shown
from relkit.disclosure.disclose import disclose
from relkit.disclosure.leaks import LeakToken
from relkit.disclosure.names import (
    IncidentPseudonyms,
    SharedNames,
    checked_name,
    packet_stem,
    shared_values,
)
from relkit.disclosure.thresholds import fewest_people
from relkit.disclosure.types import Disclosed, HourSpan, Packet, PacketStage
from relkit.gate.types import GateDecision
from relkit.incident.packets.build import (
    NO_PAGE,
    PacketFacts,
    again,
    columns_to_cut,
    ledger_timeline,
    opened,
    packet_of,
    served_in_telemetry,
    served_versions,
    summaries_of,
)
from relkit.incident.packets.ports import (
    DecisionStore,
    Findings,
    Incidents,
    RenderPage,
    WindowTelemetry,
)
from relkit.incident.packets.scan import hidden_names, refuse_leaks, unsaid_of
from relkit.incident.packets.types import (
    PACKET_ENDING,
    BuiltPacket,
    IssuedPacket,
    Material,
    PacketOptions,
)
from relkit.incident.packets.windows import check_chain, parse_window
from relkit.incident.types import TriageReport
from relkit.registry.ledger import state_of
from relkit.registry.ports import ReleaseFolder, ReleaseLedger
from relkit.registry.types import Release

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relkit.disclosure.ports import LinearBounds


_MOST_BYTES = 2**20
"""A packet, and a page, is no larger than 1 MiB."""

_BEFORE_H = 48
"""Hours before the first window whose system events the timeline shows."""

_LONGEST_MODEL = 40
_PERCENTILES = (50, 95)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketPorts:
    """What making a packet needs; ``open`` gives the telemetry, open.

    ``locked`` gives the values of each column that datasets were locked with. ``random`` gives 32
    bytes. ``secrets`` gives what must never be in a file that goes out. ``shown`` spells a path
    without a folder of the machine.
    """

    open: Callable[[PacketOptions], Any]
    incidents: Incidents
    ledger: ReleaseLedger
    releases: ReleaseFolder
    findings: Findings
    decisions: DecisionStore
    locked: "Callable[[], Mapping[str, tuple[str, ...]]]"
    linear: "LinearBounds"
    signer: Signer
    page: RenderPage
    secrets: Callable[[], Sequence[LeakToken]]
    random: Callable[[], bytes]
    shown: Callable[[Path], str]
    privacy: Privacy
    tool_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a packet stands: its incident, the one ``before``, and what is out of its window."""

    window: HourSpan
    incident: str
    stage: PacketStage
    before: IssuedPacket | None
    earlier: IssuedPacket | None


def build_packet(options: PacketOptions, ports: PacketPorts) -> BuiltPacket:
    """Write a packet and its page, and return what was written.

    One that goes on rests on the last triage of its incident, where none is named.

    Raises UsageError for a window or stage that cannot be, NoData for a window without a turn,
    InvalidInput where nothing can be shown, what was named is not what was made here, or a name may
    not leave; StorageFailed, Busy.
    """
    window = parse_window(options.window, now=options.now)
    if options.aware is not None:
        _check_time(options.aware)
    triage = None
    if options.triage is not None:
        name = options.triage.name
        data = storage.read_bytes(options.triage, what=name, hint="make one: relkit triage --json")
        triage = _parsed_triage(data, name)
    model = _checked_model(options, ports)
    with ports.incidents.held():
        before = None if options.update is None else _packet_before(options.update, ports.incidents)
        stage = _stage(options, before)
        hour = window.from_.replace("-", "").replace(":", "")[:11]
        incident = before.packet.incident if before else f"{model or 'incident'}-{hour}Z"
        issued = ports.incidents.issued(incident)
        others = [
            packet.packet
            for name in ports.incidents.incidents()
            if name != incident
            for packet in ports.incidents.issued(name)
        ]
        earlier = check_chain(window, incident, issued, others)
        _check_next(before, issued, earlier)
        place = _Place(
            window=window, incident=incident, stage=stage, before=before, earlier=earlier
        )
        if triage is not None:
            ports.incidents.keep_triage(incident, window.from_, data)
        elif before is not None and (last := ports.incidents.triage(incident, window.from_)):
            triage = _parsed_triage(last[1], last[0])
        facts = _facts(options, ports, place, triage)
        packet = packet_of(facts)
        if earlier is not None:
            packet = again(earlier, packet, last=earlier is issued[-1])
        unsaid = (
            *hidden_names(ports.incidents.names(incident)),
            *unsaid_of(
                event for name in ports.ledger.models() for event in ports.ledger.events(name)
            ),
        )
        return _write(packet, options, ports, earlier, unsaid)


def _said(packet: Packet) -> Iterator[str]:
    """Yield the names that a packet shows on purpose; each has been checked by itself."""
    yield packet.incident
    yield from (cell.slice for cell in packet.cells)
    yield from (metric for cell in packet.cells for metric in cell.metrics)
    yield from (percentile.metric for percentile in packet.percentiles)
    yield from (
        version for served in packet.served for version in (served.component, served.version)
    )
    yield from (event.version or "" for event in packet.timeline)
    yield from (finding.policy for finding in (*packet.cost, *packet.drift, *packet.burn))


def _check_time(text: str) -> None:
    try:
        checked_time(text)
    except ValueError as error:
        raise UsageError(f"--aware: {error}", hint="write it in UTC, with Z") from error


def _parsed_triage(data: bytes, name: str) -> tuple[TriageReport, str, str]:
    """Return (report, file name, digest); raises InvalidInput for what is no report."""
    document = parse_json(decode(data, source=name), source=name)
    return parse(TriageReport, document, source=name), name, sha256_bytes(data)


def _checked_model(options: PacketOptions, ports: PacketPorts) -> str | None:
    model = options.model
    if model is None:
        return None
    models = ports.ledger.models()
    if model not in models:
        raise UsageError(
            f'no model "{shown(model)}" in the registry',
            hint=nearest(model, models) or "leave it out: the telemetry says what was served",
        )
    if len(model) > _LONGEST_MODEL:
        raise UsageError("the model's name is too long for a packet", hint="leave it out")
    return checked_name(model, what="the model")


def _packet_before(path: Path, incidents: Incidents) -> IssuedPacket:
    """Return the packet that was named; raises InvalidInput unless it is one that went out here."""
    name = path.name
    data = storage.read_bytes(path, what=name, hint="name a packet of this incident")
    digest = parse_envelope(data, source=name).digest
    for incident in incidents.incidents():
        for issued in incidents.issued(incident):
            if issued.digest == digest and issued.data == data:
                return issued
    raise InvalidInput(
        f"{name}: is no packet that went out from here, or was changed since",
        hint="go on where it was made: the names of its incident are there",
    )


def _stage(options: PacketOptions, before: IssuedPacket | None) -> PacketStage:
    stage = options.stage or ("initial" if before is None else "update")
    if before is None and stage != "initial":
        raise UsageError(
            f"--stage {stage}: goes on where a packet ended",
            hint=f"--update PACKET --stage {stage}",
        )
    if before is not None and stage == "initial":
        raise UsageError(
            "--stage initial: is the first of an incident, and --update names an earlier one",
            hint="leave one of them out",
        )
    return stage


def _check_next(
    before: IssuedPacket | None, issued: tuple[IssuedPacket, ...], earlier: IssuedPacket | None
) -> None:
    """Raise InvalidInput where the named packet is not the one that the window follows."""
    place = len(issued) if earlier is None else issued.index(earlier)
    follows = issued[place - 1] if place else None
    if before is not None and follows is not None and before.digest != follows.digest:
        raise InvalidInput(
            "--update: is not the last packet of its incident",
            hint=f"--update {follows.name}{PACKET_ENDING}",
        )
    if before is None and follows is not None:
        raise InvalidInput(
            "the incident has packets already", hint=f"--update {follows.name}{PACKET_ENDING}"
        )
    if before is not None and before.packet.stage == "final":
        raise InvalidInput(
            "--update: the final packet of the incident is out",
            hint="begin another incident: leave --update out",
        )


def _facts(
    options: PacketOptions,
    ports: PacketPorts,
    place: "_Place",
    triage: tuple[TriageReport, str, str] | None,
) -> PacketFacts:
    """Gather what a packet is made of, and keep what of it stays at home."""
    window, incident, before = place.window, place.incident, place.before
    privacy = ports.privacy
    if options.profile == "default" and privacy.profile == "health":
        raise UsageError(
            "--profile default: relkit.yaml says health, and cells of fewer people are not shown",
            hint="leave it out",
        )
    profile = options.profile or privacy.profile
    report = None if triage is None else triage[0]
    share = shared_values(privacy.share, ports.locked())
    pseudonyms = IncidentPseudonyms(
        ports.incidents.key(incident),
        ports.incidents.names(incident),
        frozenset(value for values in share.values() for value in values),
    )
    names = SharedNames(share, pseudonyms)
    k = fewest_people(profile, privacy.unit)
    source: WindowTelemetry
    with ports.open(options) as source:
        columns, crossing = columns_to_cut(options, report, source.attributes, share)
        turns = source.turns(window, columns, privacy.unit)
        digests = source.digests()
    disclosed = disclose(
        turns,
        slices=(*columns, *(() if crossing is None else (crossing,))),
        k=k,
        linear=ports.linear,
        names=names,
        percentiles=_PERCENTILES,
        earlier=None if place.earlier is None else _shown_before(place.earlier.packet),
    )
    ledger = _Ledgers(ports, options.model)
    since = window.from_
    if before is None:
        since = time_text(moment(window.from_) - timedelta(hours=_BEFORE_H))
    findings = [
        (name, digest, finding)
        for name, digest, finding in ports.findings.recorded()
        if window.from_ < finding.created <= window.to
    ]
    decisions = dict(ledger.decisions(window))
    materials: list[tuple[Material, str, str]] = [
        *(("telemetry", ports.shown(Path(name)), digest) for name, digest in digests.items()),
        *(("triage", name, digest) for _, name, digest in ([] if triage is None else [triage])),
        *(("decision", digest, digest) for digest in decisions),
        *(("finding", name, digest) for name, digest, _ in findings),
        *(("ledger", name, digest) for name, digest in ledger.heads(window)),
    ]
    there = ports.incidents.openings(incident)
    openings = opened(materials, there, ports.random)
    ports.incidents.keep_openings(incident, tuple(dict.fromkeys((*there, *openings))))
    served = tuple(ledger.served(window)) or tuple(served_in_telemetry(disclosed, window))
    facts = PacketFacts(
        incident=incident,
        stage=place.stage,
        previous=None if before is None else before.digest,
        profile=profile,
        unit=privacy.unit,
        k=k,
        window=window,
        created=options.now,
        tool_version=ports.tool_version,
        options=options,
        names=names,
        report=report,
        disclosed=disclosed,
        served=served,
        timeline=tuple(ledger.timeline(window, since)),
        findings=tuple(finding for _, _, finding in findings),
        summaries=tuple(
            _sealed_summary(summary, ports.signer)
            for decision in decisions.values()
            for summary in summaries_of(decision)
        ),
        openings=openings,
    )
    ports.incidents.keep_names(incident, pseudonyms.issued)
    return facts


def _shown_before(packet: Packet) -> Disclosed:
    return Disclosed(cells=packet.cells, percentiles=packet.percentiles, hidden=packet.hidden)


def _sealed_summary(summary: Any, signer: Signer) -> "Mapping[str, object]":  # noqa: ANN401
    envelope = signer.sign(Envelope(payload=render_statement(summary)))
    document: Mapping[str, object] = encode(envelope)
    return document


class _Ledgers:
    """What ledgers say about a window; of one model, with what it pins, or of all."""

    def __init__(self, ports: PacketPorts, model: str | None) -> None:
        """Read the ledgers; raises InvalidInput for a broken one."""
        self._ports = ports
        models = [model] if model is not None else list(ports.ledger.models())
        self._events = {name: ports.ledger.events(name) for name in models}
        for name in models:
            for event in self._events[name]:
                release = self._release(name, event.version)
                for pinned in release.pins if release is not None else ():
                    if pinned not in self._events:
                        self._events[pinned] = ports.ledger.events(pinned)

    def _release(self, model: str, version: str) -> Release | None:
        try:
            return self._ports.releases.read(model, version)
        except (InvalidInput, UsageError):  # its record is gone, and the ledger still says enough
            return None

    def _component(self, model: str) -> Callable[[str], str]:
        def component(version: str) -> str:
            release = self._release(model, version)
            return checked_name(model, what="a model") if release is None else release.component

        return component

    def served(self, window: HourSpan) -> Iterator[Any]:
        """Yield the versions that had traffic in a window."""
        for model, events in self._events.items():
            spans = state_of(model, events).served
            yield from served_versions(spans, self._component(model), window)

    def timeline(self, window: HourSpan, since: str) -> Iterator[Any]:
        """Yield what happened from a time to the end of a window."""
        for model, events in self._events.items():
            yield from ledger_timeline(events, self._component(model), window, since)

    def heads(self, window: HourSpan) -> Iterator[tuple[str, str]]:
        """Yield (model, digest of its last event before the end of a window)."""
        for model, events in self._events.items():
            heads = [event.digest for event in events if event.at < window.to]
            yield from ((model, head) for head in heads[-1:])

    def decisions(self, window: HourSpan) -> Iterator[tuple[str, GateDecision]]:
        """Yield the decisions behind what was served in a window, by digest, as far as here."""
        for model, events in self._events.items():
            state = state_of(model, events)
            in_window = {item.version for item in served_versions(state.served, str, window)}
            for event in events:
                digest = event.decision
                if digest is None or event.version not in in_window or event.at >= window.to:
                    continue
                payload = self._decision(model, event.version, digest)
                if payload is not None:
                    yield digest, parse_content(payload, GateDecision, source="a decision")

    def _decision(self, model: str, version: str, digest: str) -> bytes | None:
        """Return a decision that lies with the others, or with the release that it is about."""
        data = self._ports.decisions.decision(digest)
        files = [("a decision", data)] if data is not None else []
        with suppress(InvalidInput, UsageError):  # the record of the release is gone
            files += self._ports.releases.evidence(model, version)
        for name, content in files:
            try:
                envelope = parse_envelope(content, source=name)
            except InvalidInput:  # other evidence than a decision
                continue
            if envelope.digest == digest:
                return envelope.payload
        return None


def _write(
    packet: Packet,
    options: PacketOptions,
    ports: PacketPorts,
    earlier: IssuedPacket | None,
    unsaid: Iterable[tuple[str, str]],
) -> BuiltPacket:
    """Render, sign, scan and write a packet; what is out already is written as it is."""
    stem = packet_stem(packet.incident, packet.stage, packet.window.from_)
    unchanged = earlier is not None and packet == earlier.packet
    if earlier is not None and unchanged:
        page, data = ports.incidents.page(packet.incident, stem), earlier.data
    else:
        page = ports.page(replace(packet, page=NO_PAGE))
        packet = replace(packet, page=sha256_bytes(page).removeprefix(PREFIX))
        data = render_envelope(ports.signer.sign(Envelope(payload=render_statement(packet))))
    files = {f"{stem}.html": page, f"{stem}{PACKET_ENDING}": data}
    for name, content in files.items():
        if len(content) > _MOST_BYTES:
            raise InvalidInput(
                f"{name}: would be larger than 1 MiB",
                hint="cut by fewer columns (--slice), or name fewer files of telemetry",
            )
    refuse_leaks(files, ports.secrets(), unsaid, _said(packet))
    ports.incidents.keep_issued(packet.incident, stem, data, page)
    for name, content in files.items():
        storage.write_bytes(options.out / name, content)
    return BuiltPacket(
        packet=ports.shown(options.out / f"{stem}{PACKET_ENDING}"),
        page=ports.shown(options.out / f"{stem}.html"),
        incident=packet.incident,
        stage=packet.stage,
        window=packet.window,
        cells=len(packet.cells),
        pooled=packet.pooled,
        hidden=packet.hidden,
        again=unchanged,
    )
