"""``relkit incident packet``, from telemetry on disk to two files that may leave the team."""

import base64
import hashlib
import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relkit.attestation.envelopes import parse_envelope
from relkit.attestation.statements import parse_content
from relkit.disclosure.types import Packet
from relkit.incident.simulation.kinds import incident
from relkit.incident.types import Onset
from relkit.wiring.simulation import simulate_incident
from tests.conftest import Workspace
from tests.packet_turns import REPORT, Responder, turns, written

FIRST = "incident-20261101T03Z"
SECOND = FIRST + "-update-20261101T09Z"


def read(responder: Responder, name: str = FIRST) -> Packet:
    """Return a packet that was written."""
    data = (responder.out / f"{name}.packet.json").read_bytes()
    return parse_content(parse_envelope(data, source=name).payload, Packet, source=name)


def files(responder: Responder) -> dict[str, bytes]:
    """Return everything that went out, by name."""
    return {path.name: path.read_bytes() for path in sorted(responder.out.iterdir())}


@pytest.fixture
def responder(workspace: Workspace) -> Responder:
    """Give a workspace whose owner sends packets."""
    return Responder(workspace)


def test_a_packet_tells_of_the_failing_slice_and_of_nobody(responder: Responder) -> None:
    """Cells, cause and target are in it, signed; ids, tenants, names and reasons are not."""
    answer = responder.packet("--aware", "2026-11-01T08:01:59Z", "--mitigation", "rolled_back")
    assert answer.code == 0, answer.err
    packet = read(responder)
    cells = {cell.slice: cell for cell in packet.cells}
    failed: Any = cells["accent=scottish"].metrics["failed"]
    healthy: Any = cells["accent=american"].metrics["failed"]
    assert failed.low > healthy.high
    assert packet.cause.slice == "accent=scottish"
    assert packet.cause.onset is not None
    assert packet.cause.onset.to == "2026-11-01T04:00:00Z"
    assert (packet.form.aware, packet.form.causal_link) == ("2026-11-01T08:01:00Z", "established")
    assert packet.rollback is not None
    assert [refused.code for refused in packet.rollback.refused] == ["yanked"]
    assert {served.version for served in packet.served} == {"2.3", "2.4"}
    assert (packet.status, packet.k, packet.unit) == ("mitigated", 10, "user")
    out = b"".join(files(responder).values()) + base64.b64decode(
        json.loads(files(responder)[f"{FIRST}.packet.json"])["payload"]
    )
    tokens = (b"acme", b"user ", b"session ", b"turn ", b"british", b"Bob", b"day.parquet")
    assert not [token for token in (*tokens, str(responder.folder).encode()) if token in out]


def test_it_is_signed_and_the_page_belongs_to_it(responder: Responder) -> None:
    """``relkit verify`` believes it by the public key, and its subject is the page's digest."""
    assert responder.packet().code == 0
    file = responder.out / f"{FIRST}.packet.json"
    answer = responder.workspace.relkit("verify", str(file), "--key", str(responder.public))
    assert answer.code == 0, answer
    page = (responder.out / f"{FIRST}.html").read_bytes()
    assert read(responder).page == hashlib.sha256(page).hexdigest()
    changed = file.read_bytes().replace(b'"payload":"e', b'"payload":"f', 1)
    file.write_bytes(changed)
    answer = responder.workspace.relkit("verify", str(file), "--key", str(responder.public))
    assert answer.code == 1


def test_the_same_window_again_is_the_same_bytes(responder: Responder) -> None:
    """Later, too: pseudonyms, openings and the time it was made stay what they were."""
    assert responder.packet("--slice", "accent", "tenant").code == 0
    before = files(responder)
    answer = responder.packet("--slice", "accent", "tenant", now="2026-11-03T00:00:00Z")
    assert answer.code == 0, answer.err
    assert "issued before" in answer.out
    assert files(responder) == before


def test_the_same_window_again_may_have_more_cells(responder: Responder) -> None:
    """Those that are out stay as they are; other statements are refused."""
    assert responder.packet("--slice", "accent").code == 0
    before = read(responder)
    assert responder.packet("--slice", "accent", "region").code == 0
    after = read(responder)
    assert after.cells[: len(before.cells)] == before.cells
    assert {cell.slice for cell in after.cells} >= {"region=eu", "region=us"}
    assert after.created == before.created
    grown = files(responder)
    assert responder.packet("--slice", "accent").code == 0
    assert files(responder) == grown
    answer = responder.packet("--severity", "high")
    assert answer.code == 2
    assert "severity" in answer.err


def test_packets_of_an_incident_are_a_chain(responder: Responder) -> None:
    """Each names the one before by digest and begins where it ended; pseudonyms agree."""
    assert responder.packet("--slice", "tenant").code == 0
    answer = responder.update(FIRST, "2026-11-01T09Z/2026-11-01T12Z", "--slice", "tenant")
    assert answer.code == 0, answer.err
    answer = responder.update(
        SECOND, "2026-11-01T12Z/2026-11-01T15Z", "--slice", "tenant", "--stage", "final"
    )
    assert answer.code == 0, answer.err
    third = FIRST + "-final-20261101T12Z"
    packets = [read(responder, name) for name in (FIRST, SECOND, third)]
    assert [packet.stage for packet in packets] == ["initial", "update", "final"]
    digests = [
        parse_envelope((responder.out / f"{n}.packet.json").read_bytes(), source=n).digest
        for n in (FIRST, SECOND, third)
    ]
    assert [packet.previous for packet in packets] == [None, *digests[:2]]
    assert packets[0].cause.cause == "release"
    assert all(packet.cause == packets[0].cause for packet in packets)
    assert all(packet.rollback == packets[0].rollback for packet in packets)
    named = [{c.slice for c in p.cells if c.slice.startswith("tenant=")} for p in packets]
    assert named[0] == named[1] == named[2]
    assert len(named[0]) == 5
    files_of = [str(responder.out / f"{name}.packet.json") for name in (FIRST, SECOND, third)]
    answer = responder.workspace.relkit(
        "incident", "verify", files_of[2], "--key", str(responder.public),
        "--previous", *files_of[:2],
    )  # fmt: skip
    assert answer.code == 0, answer
    answer = responder.update(third, "2026-11-01T15Z/2026-11-01T16Z")
    assert answer.code == 2
    assert "final" in answer.err


REFUSED_WINDOWS = {
    "2026-11-01T09:30Z/2026-11-01T12Z": "2026-11-01T09Z/2026-11-01T12Z",
    "2026-11-01T08Z/2026-11-01T12Z": "2026-11-01T09Z/2026-11-01T12Z",
    "2026-11-01T10Z/2026-11-01T12Z": "2026-11-01T09Z/2026-11-01T12Z",
    "2026-11-01T09Z/2026-11-02T09Z": "2026-11-01T09Z/2026-11-02T00Z",
    "2026-11-01T09Z": "2026-11-01T03Z/2026-11-01T09Z",
    "2026-11-01T12Z/2026-11-01T09Z": "ends before it begins",
    "2026-11-01T09:00:00/2026-11-01T12Z": "no time in UTC",
}
"""A half hour, an overlap, a gap, the future, one time, backward, naive."""


def test_a_window_that_cannot_be_is_refused(responder: Responder) -> None:
    """With the window that would be right, and nothing is written."""
    assert responder.packet().code == 0
    before = files(responder)
    for window, words in REFUSED_WINDOWS.items():
        answer = responder.update(FIRST, window)
        assert answer.code == 2, window
        assert words in answer.err
        assert files(responder) == before


def test_windows_of_other_incidents_do_not_overlap_either(responder: Responder) -> None:
    """A window that slides would tell what its edges hold, whatever the incident is called."""
    assert responder.packet().code == 0
    answer = responder.packet(window="2026-11-01T04Z/2026-11-01T10Z")
    assert answer.code == 2
    assert "overlaps" in answer.err


def test_a_packet_that_was_changed_is_not_gone_on_from(responder: Responder) -> None:
    """One bit in its signature or payload, or another workspace's, and it is refused."""
    assert responder.packet().code == 0
    file = responder.out / f"{FIRST}.packet.json"
    document = json.loads(file.read_bytes())
    signature = document["signatures"][0]["sig"]
    document["signatures"][0]["sig"] = ("A" if signature[0] != "A" else "B") + signature[1:]
    file.write_text(json.dumps(document))
    answer = responder.update(FIRST, "2026-11-01T09Z/2026-11-01T12Z")
    assert answer.code == 2
    assert "changed since" in answer.err


def test_only_the_last_packet_is_gone_on_from(responder: Responder) -> None:
    """A chain does not fork, and an incident that has begun is not begun again."""
    assert responder.packet().code == 0
    assert responder.update(FIRST, "2026-11-01T09Z/2026-11-01T10Z").code == 0
    answer = responder.update(FIRST, "2026-11-01T10Z/2026-11-01T12Z")
    assert answer.code == 2
    assert f"--update {SECOND}.packet.json" in answer.err
    assert responder.packet("--stage", "update").code == 2
    assert responder.update(SECOND, "2026-11-01T10Z/2026-11-01T11Z", "--stage", "initial").code == 2


def test_without_people_to_count_nothing_is_told(workspace: Workspace) -> None:
    """No user column is refused with the way out, which counts sessions, 50 to a cell."""
    responder = Responder(workspace, user=None, caller=turns()["user"])
    answer = responder.packet()
    assert answer.code == 2
    assert "unit: session" in answer.err
    assert not responder.out.exists()
    assert responder.packet("--map", "user=caller").code == 0
    assert (read(responder).unit, read(responder).k) == ("user", 10)
    with (responder.folder / "relkit.yaml").open("a") as file:
        file.write("  unit: session\n")
    answer = responder.packet(window="2026-11-01T09Z/2026-11-01T15Z")
    assert answer.code == 0, answer.err
    packet = read(responder, "incident-20261101T09Z")
    assert (packet.unit, packet.k) == ("session", 50)


def test_users_may_be_missing_in_few_turns_only(workspace: Workspace) -> None:
    """Under 1 % of the turns are left out without a user; with more the packet is refused."""
    responder = Responder(workspace)
    for missing, code in ((20, 0), (200, 2)):
        table = turns()
        users = table["user"]
        table["user"] = [
            None if n % (4800 // missing) == 0 else user for n, user in enumerate(users)
        ]
        written(responder.telemetry, table)
        answer = responder.packet(window=f"2026-11-01T0{3 + code}Z/2026-11-01T0{4 + code}Z")
        assert answer.code == code, answer.err


def test_one_user_is_told_nothing_of(workspace: Workspace) -> None:
    """The whole window is refused, by its slice and without a count."""
    responder = Responder(workspace, user=["only one"] * 4800)
    answer = responder.packet()
    assert answer.code == 2
    assert "overall" in answer.err
    assert not any(digit.isdigit() for digit in answer.err.split("overall")[1])
    assert not responder.out.exists()


def test_a_window_without_a_turn_has_no_packet(responder: Responder) -> None:
    """A packet from nothing would say that nothing happened."""
    answer = responder.packet(window="2026-10-01T03Z/2026-10-01T09Z")
    assert answer.code == 4
    assert not responder.out.exists()


def test_what_there_is_not_is_refused(responder: Responder) -> None:
    """A column, kind, time or model that is not there: one message with the nearest name."""
    cases = {
        ("--slice", "acent"): "accent",
        ("--slice", "turn_text"): "no column",
        ("--mitigation", "rolled_bak"): "rolled_back",
        ("--aware", "yesterday"): "UTC",
        ("--map", "user=nobody"): "nobody",
        ("--triage", "nosuch.json"): "no such file",
        ("--triage", str(responder.public)): "not JSON",
        ("--sign", str(responder.public)): "relkit.pub",
        ("nosuch",): "no model",
    }
    for options, words in cases.items():
        answer = responder.packet(*options)
        assert answer.code == 2, options
        assert words in answer.err
        assert not responder.out.exists()


def test_a_column_of_ids_is_no_slice(workspace: Workspace) -> None:
    """More values than a slice column can have are refused before anything is pooled."""
    responder = Responder(workspace, order=[f"order {n}" for n in range(4800)])
    answer = responder.packet("--slice", "order")
    assert answer.code == 2
    assert "order 1" not in answer.err


INJECTIONS = ("{{7*7}}", "<script>x</script>", "[a](b)|c|", "\x1b[2Jx", "=1+1", "::error::x")
"""Jinja, HTML, Markdown, a terminal, CSV, GitHub's workflow commands."""


def test_text_from_data_steers_nothing(workspace: Workspace) -> None:
    """A slice value gets a pseudonym even where it is shared; a version is refused."""
    privacy = f"privacy:\n  share: {{accent: [american, {json.dumps(INJECTIONS)[1:-1]}]}}\n"
    responder = Responder(workspace, privacy=privacy)
    table = turns()
    table["accent"] = [
        INJECTIONS[n % 6] if accent == "welsh" else accent
        for n, accent in enumerate(table["accent"])
    ]
    written(responder.telemetry, table)
    answer = responder.packet("--slice", "accent")
    assert answer.code == 0, answer.err
    payload = json.loads(files(responder)[f"{FIRST}.packet.json"])["payload"]
    packet, page = base64.b64decode(payload).decode(), (responder.out / f"{FIRST}.html").read_text()
    assert len([c for c in read(responder).cells if c.slice.startswith("accent=")]) > 6
    for text in INJECTIONS:
        assert text not in packet + page + answer.out + answer.err
    versions = table["release_asr"]
    for text in INJECTIONS:
        table["release_asr"] = [text if version == "2.4" else version for version in versions]
        written(responder.telemetry, table)
        answer = responder.packet("--slice", "release_asr", window="2026-11-01T09Z/2026-11-01T12Z")
        assert answer.code == 2
        assert "no packet may hold" in answer.err
        assert text not in answer.err


def test_a_slice_whose_cell_is_hidden_is_not_the_cause(responder: Responder) -> None:
    """To name it would tell that something happened to the few people in it."""
    table = turns()
    table["accent"] = ["rare" if n % 960 == 0 else a for n, a in enumerate(table["accent"])]
    written(responder.telemetry, table)
    responder.say(replace(REPORT, slice="accent=rare"))
    answer = responder.packet()
    assert answer.code == 0, answer.err
    packet = read(responder)
    assert packet.cause.slice is None
    assert packet.form.affected_groups == ()
    assert packet.impact.people is None


def test_a_value_called_as_what_every_packet_says_is_no_leak(responder: Responder) -> None:
    """Not the word of the media type around a packet, nor the name of a metric that it shows."""
    table = turns()
    table["client"] = [("application", "reprompt")[n % 2] for n in range(len(table["ts"]))]
    written(responder.telemetry, table)
    answer = responder.packet("--slice", "client")
    assert answer.code == 0, answer.err
    cells = [cell.slice for cell in read(responder).cells]
    assert len(cells) > 2
    assert not any("application" in key or "reprompt" in key for key in cells)


def test_a_column_of_people_who_release_is_no_column_of_versions(responder: Responder) -> None:
    """What begins with ``release_`` and is of no component is named only where it is shared."""
    table = turns()
    table["release_manager"] = [("marigold", "quicksilver")[n % 2] for n in range(len(table["ts"]))]
    written(responder.telemetry, table)
    answer = responder.packet("--slice", "release_manager", triage=False)
    assert answer.code == 0, answer.err
    packet = read(responder)
    assert len(packet.cells) == 3
    assert packet.served == ()
    assert not any("manager" in cell.slice or "gold" in cell.slice for cell in packet.cells)


def test_what_stays_at_home_is_its_owners_alone(responder: Responder) -> None:
    """Key, names and openings can be read by nobody else, and commitments open."""
    assert responder.packet().code == 0
    folder = responder.folder / ".relkit/incidents" / FIRST
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder.parent / ".gitignore").read_text() == "*\n", "git takes none of it"
    for name in ("key", "names.json", "openings.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    openings = json.loads((folder / "openings.json").read_text())["openings"]
    telemetry = next(opening for opening in openings if opening["kind"] == "telemetry")
    digest = hashlib.sha256(responder.telemetry.read_bytes()).digest()
    assert telemetry["digest"] == "sha256:" + digest.hex()
    committed = hashlib.sha256(bytes.fromhex(telemetry["random"]) + digest).hexdigest()
    assert committed in {commitment.sha256 for commitment in read(responder).commitments}
    (folder / "key").chmod(0o644)
    assert responder.packet(window="2026-11-01T03Z/2026-11-01T09Z").code == 2


def test_no_other_key_is_made_where_packets_are_out(responder: Responder) -> None:
    """With another one a tenant would have two pseudonyms, and nobody would know."""
    assert responder.packet("--slice", "tenant").code == 0
    (responder.folder / ".relkit/incidents" / FIRST / "key").unlink()
    answer = responder.packet(
        "--slice",
        "tenant",
        "--update",
        str(responder.out / f"{FIRST}.packet.json"),
        window="2026-11-01T09Z/2026-11-01T12Z",
    )
    assert answer.code == 2
    assert "the key of the incident: no such file" in answer.err
    assert "backup" in answer.err
    assert f"{SECOND}.packet.json" not in files(responder)


def test_an_option_makes_the_profile_stricter_and_never_less(workspace: Workspace) -> None:
    """Where relkit.yaml says health, no command shows cells of 10 people."""
    responder = Responder(workspace, privacy="privacy: {profile: health}\n")
    answer = responder.packet("--profile", "default", triage=False)
    assert answer.code == 2
    assert "relkit.yaml says health" in answer.err
    assert not responder.out.exists()


def test_telemetry_that_changed_gives_no_second_packet(responder: Responder) -> None:
    """Two packets of one window that differ would tell by what."""
    assert responder.packet("--slice", "accent").code == 0
    written(responder.telemetry, turns(seed=1))
    answer = responder.packet("--slice", "accent")
    assert answer.code == 2
    assert "changed since" in answer.err


def test_a_packet_that_could_not_be_written_is_the_same_later(responder: Responder) -> None:
    """What is about to go out is kept first: a disk that was full changes not a byte of it."""
    responder.out.write_text("a file, where a folder should be")
    assert responder.packet("--slice", "tenant").code == 2
    stored = responder.folder / ".relkit/incidents" / FIRST / "packets" / f"{FIRST}.packet.json"
    before = stored.read_bytes()
    responder.out.unlink()
    answer = responder.packet("--slice", "tenant", now="2026-11-05T00:00:00Z")
    assert answer.code == 0, answer.err
    assert files(responder)[stored.name] == before


def test_json_says_what_was_written(responder: Responder) -> None:
    """Both files, relative to the workspace, the window, and how much is in them."""
    document = responder.packet("--json").document
    assert document["packet"] == f"out/{FIRST}.packet.json"
    assert document["window"] == {"from": "2026-11-01T03:00:00Z", "to": "2026-11-01T09:00:00Z"}
    assert document["cells"] == len(read(responder).cells)
    assert Path(responder.folder / document["page"]).is_file()


def test_a_temporal_cause_is_only_suspected(responder: Responder) -> None:
    """Where the old version did not serve beside it the form says so; it ended in whole hours."""
    onset = Onset(from_="2026-11-01T03:55:00Z", to="2026-11-01T04:05:00Z")
    responder.say(replace(REPORT, evidence="temporal", onset=onset, ended="2026-11-01T07:20:00Z"))
    assert responder.packet("--profile", "health").code == 0
    packet = read(responder)
    assert packet.form.causal_link == "suspected"
    assert packet.form.ended == "2026-11-01T08:00:00Z"
    assert (packet.impact.minutes, packet.k, packet.profile) == (300, 11, "health")
    assert [(event.kind, event.at) for event in packet.timeline] == [
        ("onset", "2026-11-01T03:00:00Z"),
        ("ended", "2026-11-01T08:00:00Z"),
    ]


def test_a_triage_writes_the_packet_of_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the hour of the onset to the last turn; the report names it, and it is signed."""
    simulate_incident(
        tmp_path / "incident",
        incident("accent", seed=1, turns_per_hour=300.0),
        lambda _done, _all: None,
    )
    workspace = Workspace(tmp_path / "incident", capsys)
    with (workspace.folder / "relkit.yaml").open("a", encoding="utf-8") as file:
        file.write("privacy: {share: {accent: [american, scottish]}}\n")
    keys, report = workspace.folder / "keys", tmp_path / "report.json"
    assert workspace.relkit("doctor", "--make-key", str(keys)).code == 0
    command = (
        "triage", "asr", "--telemetry", str(workspace.folder / "telemetry"),
        "--now", "2026-01-15T00:00:00Z", "--packet", str(tmp_path / "out"),
    )  # fmt: skip
    answer = workspace.relkit(
        *command, "--sign", str(keys / "relkit.key"), "--out", str(report), "--json"
    )
    assert answer.code == 1, answer
    assert json.loads(report.read_text()) == answer.document
    file = tmp_path / "out" / answer.document["packet"]
    packet = parse_content(
        parse_envelope(file.read_bytes(), source="p").payload, Packet, source="p"
    )
    assert packet.cause.slice == "accent=scottish"
    assert packet.window.to == "2026-01-15T00:00:00Z"
    assert packet.window.from_ <= answer.document["onset"]["from"]
    assert [served.version for served in packet.served] == ["2.3", "2.4"]
    assert len(packet.summaries) == 2
    assert {c.kind for c in packet.commitments} == {"telemetry", "triage", "decision", "ledger"}
    assert workspace.relkit("verify", str(file), "--key", str(keys / "relkit.pub")).code == 0
    assert workspace.relkit(*command).code == 2
