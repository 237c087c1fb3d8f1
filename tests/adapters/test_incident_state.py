"""What a workspace keeps of its incidents."""

import stat
from functools import partial
from pathlib import Path

import pytest

from relkit.adapters.decisions import FindingFiles
from relkit.adapters.incidents import IncidentStateFiles
from relkit.adapters.signing import load_private, make_key
from relkit.attestation.checks import check_of
from relkit.attestation.run import statement_file
from relkit.core.digests import sha256_bytes
from relkit.core.errors import Busy, InvalidInput
from relkit.core.values import Named
from relkit.disclosure.types import HourSpan
from relkit.incident.packets.types import Opening
from relkit.monitoring.types import LiveFinding
from tests.packet_data import packet

OPENING = Opening(
    kind="telemetry",
    name="turns/day.parquet",
    digest="sha256:" + "12" * 32,
    random="34" * 32,
    sha256="56" * 32,
)


def test_an_incident_has_one_key(tmp_path: Path) -> None:
    """Made on first use for its owner alone, another for each; a broken one is refused."""
    incidents = IncidentStateFiles(tmp_path / "incidents")
    key = incidents.key("a")
    assert len(key) == 32
    assert incidents.key("a") == key
    assert incidents.key("b") != key
    path = tmp_path / "incidents/a/key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o640)
    with pytest.raises(InvalidInput, match="others can read it"):
        incidents.key("a")
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(InvalidInput, match="is no key"):
        incidents.key("a")


def test_names_and_openings_come_back(tmp_path: Path) -> None:
    """None before there are any; readable by their owner alone."""
    incidents = IncidentStateFiles(tmp_path)
    assert (incidents.names("a"), incidents.openings("a"), incidents.issued("a")) == ({}, (), ())
    incidents.keep_names("a", {"tenant-3fa2": "tenant=acme"})
    incidents.keep_openings("a", (OPENING,))
    assert incidents.names("a") == {"tenant-3fa2": "tenant=acme"}
    assert incidents.openings("a") == (OPENING,)
    assert incidents.incidents() == ("a",)
    for name in ("names.json", "openings.json"):
        assert stat.S_IMODE((tmp_path / "a" / name).stat().st_mode) == 0o600
    (tmp_path / "a/names.json").write_text('{"names": {"tenant-3fa2": 1}}')
    with pytest.raises(InvalidInput, match=r"names\.json"):
        incidents.names("a")


def test_packets_that_are_out_come_back_in_order(tmp_path: Path) -> None:
    """By their hours, as bytes and as what they say; a broken one is an error, never none."""
    incidents = IncidentStateFiles(tmp_path / "incidents")
    private, _ = make_key(tmp_path, {})
    signer = load_private(private, {})
    later = HourSpan(from_="2026-11-29T18:00:00Z", to="2026-11-29T20:00:00Z")
    for name, content in (("z", packet()), ("a", packet(stage="update", window=later))):
        incidents.keep_issued(
            "i", name, statement_file(content, signer), b"page of " + name.encode()
        )
    issued = incidents.issued("i")
    assert [earlier.name for earlier in issued] == ["z", "a"]
    assert issued[0].packet == packet()
    assert issued[0].data == statement_file(packet(), signer)
    assert incidents.page("i", "a") == b"page of a"
    (tmp_path / "incidents/i/packets/a.packet.json").write_text("{}")
    with pytest.raises(InvalidInput):
        incidents.issued("i")


def test_two_commands_do_not_write_at_once(tmp_path: Path) -> None:
    """The second is told to wait."""
    with (
        IncidentStateFiles(tmp_path).held(),
        pytest.raises(Busy),
        IncidentStateFiles(tmp_path).held(),
    ):
        pass


def test_findings_come_back_as_they_were_recorded(tmp_path: Path) -> None:
    """By name, each with the digest of its file; a broken one is an error, never none."""
    findings = FindingFiles(tmp_path / "findings", tmp_path / "checks")
    looks = [
        LiveFinding(
            kind=kind,
            policy=Named(name="p", digest="sha256:" + "0" * 64),
            enforcement="enforce",
            verdict="drifted",
            gate_verdict="fail",
            reason="r",
            created="2026-11-01T05:00:00Z",
            subject=None,
            checks=(),
            report={"budget_left": 0.5},
        )
        for kind in ("drift", "slo")
    ]
    paths = [findings.write(look, partial(check_of, look, by="relkit")) for look in looks]
    assert [(name, look) for name, _, look in findings.recorded()] == [
        (path.name, look) for path, look in zip(paths, looks, strict=True)
    ]
    assert {digest for _, digest, _ in findings.recorded()} == {
        sha256_bytes(path.read_bytes()) for path in paths
    }
    paths[0].write_text("{}")
    with pytest.raises(InvalidInput, match=paths[0].name):
        list(findings.recorded())
