"""Builds what triage, packets and drills need."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace

if TYPE_CHECKING:
    from relkit.adapters.duckdb.window_turns import TurnTableWindow
    from relkit.adapters.html import PacketPages
    from relkit.adapters.incidents import IncidentStateFiles
    from relkit.incident.packets.run import PacketPorts
    from relkit.incident.packets.types import BuiltPacket, PacketOptions
    from relkit.incident.received.run import VerifyPacketOptions
    from relkit.incident.received.verify import VerifiedPacket
    from relkit.incident.triage import TriageOptions
    from relkit.incident.types import OtherEvent, TriageReport


def triage_options(
    paths: Iterable[str],
    *,
    model: str | None = None,
    since: str | None = None,
    until: str | None = None,
    mapping: Iterable[str] = (),
    now: str | None = None,
) -> "TriageOptions":
    """Return what to look at; raises UsageError."""
    from relkit.core.errors import UsageError
    from relkit.core.values import checked_time
    from relkit.incident.triage import TriageOptions
    from relkit.wiring.telemetry import telemetry_options

    for option, time in (("--since", since), ("--until", until)):
        try:
            if time is not None:
                checked_time(time)
        except ValueError as error:
            raise UsageError(f"{option}: {error}", hint="write it in UTC, with Z") from error
    if since is not None and until is not None and since >= until:
        raise UsageError("--since is not before --until", hint="leave one of them out")
    return TriageOptions(
        telemetry=telemetry_options(paths, mapping=mapping, now=now),
        model=model,
        since=since,
        until=until,
    )


def triage(
    workspace: Workspace | None,
    options: "TriageOptions",
    *,
    policy: Path | None = None,
    events: Path | None = None,
    out: Path | None = None,
) -> "TriageReport":
    """Say what broke; see :func:`relkit.incident.triage.triage`.

    Without a workspace the history of releases is that of the telemetry.
    """
    import time

    from relkit.adapters.duckdb.incident import TurnTableIncidents
    from relkit.core import storage
    from relkit.core.codec import decode
    from relkit.incident import triage as workflow
    from relkit.incident.policies import parse_other_events, parse_triage_policy
    from relkit.wiring.rollback import rollback_ports
    from relkit.wiring.telemetry import open_turns

    def text(path: Path) -> str:
        return decode(storage.read_bytes(path, what=path.name), source=path.name)

    if policy is not None:
        options = replace(options, policy=parse_triage_policy(text(policy), source=policy.name))
    other_events: tuple[OtherEvent, ...] = ()
    if events is not None:
        other_events = parse_other_events(text(events), source=events.name)
    ports = workflow.TriagePorts(
        turns=lambda telemetry: TurnTableIncidents(open_turns(telemetry)),
        registry=None if workspace is None else rollback_ports(workspace),
        seconds=time.perf_counter,
        events=other_events,
    )
    report = workflow.triage(options, ports)
    if out is not None:
        write_report(out, report)
    return report


def write_report(path: Path, report: "TriageReport") -> None:
    """Write the report of a triage as JSON; raises StorageFailed."""
    import json

    from relkit.core import storage
    from relkit.core.codec import encode

    storage.write_text(path, json.dumps(encode(report), ensure_ascii=False, indent=2) + "\n")


def build_packet(workspace: Workspace, options: "PacketOptions", sign: Path) -> "BuiltPacket":
    """Write a packet and its page; see :func:`relkit.incident.packets.run.build_packet`."""
    from relkit.incident.packets.run import build_packet as build

    return build(options, packet_ports(workspace, sign))


def packet_of_triage(
    workspace: Workspace,
    report: "TriageReport",
    options: "TriageOptions",
    *,
    mapping: Iterable[str],
    out: Path,
    sign: Path,
) -> "BuiltPacket":
    """Write a packet about what a triage found: its whole hours, up to the last turn.

    The report is kept below ``.relkit/triage``: the packet commits to it. Raises NoData where
    nothing began, or none of its hours is over, and what :func:`build_packet` raises.
    """
    from relkit.core.errors import NoData
    from relkit.incident.packets.types import PacketOptions
    from relkit.incident.packets.windows import window_since, window_text

    if report.onset is None:
        raise NoData("no packet: nothing began that it could tell of")
    now = options.telemetry.now
    telemetry = options.telemetry.paths
    asked = PacketOptions(
        model=options.model,
        telemetry=telemetry,
        window="",
        now=now,
        mapping=tuple(mapping),
        out=out,
    )
    with _open_window(asked) as turns:
        window = window_since(report.onset.from_, options.until or turns.last(), now=now)
    if window is None:
        raise NoData("no packet: the hour in which it began is not over", hint="ask again then")
    path = workspace.state / "triage" / f"{now.replace('-', '').replace(':', '')}.json"
    write_report(path, report)
    asked = replace(asked, window=window_text(window), triage=path)
    return build_packet(workspace, asked, sign)


def packet_ports(workspace: Workspace, sign: Path) -> "PacketPorts":
    """Return what making a packet needs; the private key is read now, before any turn is."""
    import os
    import secrets

    from relkit._version import __version__
    from relkit.adapters.decisions import FindingFiles
    from relkit.adapters.leaks import workspace_secrets
    from relkit.adapters.linear import HighsBounds
    from relkit.adapters.signing import load_private
    from relkit.incident.packets.run import PacketPorts
    from relkit.wiring.stores import decision_files, ledger_files, release_files

    return PacketPorts(
        open=_open_window,
        incidents=incident_state(workspace),
        ledger=ledger_files(workspace),
        releases=release_files(workspace),
        findings=FindingFiles(workspace.state / "findings", workspace.state / "checks"),
        decisions=decision_files(workspace),
        locked=lambda: locked_values(workspace),
        linear=HighsBounds(),
        signer=load_private(sign, environment=os.environ),
        page=lambda packet: packet_pages().html(packet).encode(),
        secrets=lambda: workspace_secrets(workspace).tokens,
        shown=workspace.shown,
        random=lambda: secrets.token_bytes(32),
        privacy=workspace.privacy,
        tool_version=__version__,
    )


@contextmanager
def _open_window(options: "PacketOptions") -> "Iterator[TurnTableWindow]":
    """Give the telemetry that was named, open."""
    from relkit.adapters.duckdb.window_turns import TurnTableWindow
    from relkit.wiring.telemetry import open_turns, telemetry_options

    reading = telemetry_options(options.telemetry, mapping=options.mapping, now=options.now)
    with open_turns(reading) as table:
        yield TurnTableWindow(table, reading)


def locked_values(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """Return the values of each column that the workspace's datasets were locked with."""
    from relkit.adapters.datasets import read_lock

    values: dict[str, tuple[str, ...]] = {}
    if workspace.datasets.is_dir():
        for folder in sorted(workspace.datasets.iterdir()):
            lock = read_lock(folder, folder.name) if folder.is_dir() else None
            for column, named in ({} if lock is None else lock.slices).items():
                values[column] = (*values.get(column, ()), *named)
    return values


def incident_state(workspace: Workspace) -> "IncidentStateFiles":
    """Return what a workspace keeps of the incidents that it made packets of."""
    from relkit.adapters.incidents import IncidentStateFiles

    return IncidentStateFiles(workspace.state / "incidents")


def verify_packet(
    options: "VerifyPacketOptions", keys: Sequence[str]
) -> "tuple[VerifiedPacket, Path | None]":
    """Check a received packet by the keys that were named; no workspace is looked for."""
    from relkit.adapters.signing import load_trusted
    from relkit.incident.received.run import verify_received

    return verify_received(options, load_trusted(keys, relative_to=Path()))


def packet_pages() -> "PacketPages":
    """Return what draws packets."""
    from relkit.adapters.html import PacketPages

    return PacketPages()
