"""``relkit drill``: from the first alert to the score, as a responder types it."""

import json
from pathlib import Path
from time import sleep

import pytest

from relkit.core.errors import ExitCode
from relkit.incident.drills.run import ALERTS
from relkit.incident.simulation.kinds import INCIDENT_KINDS
from relkit.wiring.drill import drills
from tests.conftest import Workspace
from tests.serving_data import bare_workspace

HOUR_PER_S = "3600"


@pytest.fixture
def bare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workspace:
    """Give a workspace with nothing in it."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    return bare_workspace(folder, capsys)


def start(workspace: Workspace, name: str, *options: str) -> Path:
    """Begin a drill beside the workspace; return its folder."""
    folder = workspace.folder.parent / "drill"
    said = workspace.relkit("drill", "start", name, "--out", str(folder), *options)
    assert said.code == ExitCode.OK, said.err
    return folder


def test_ten_drills_ship_and_each_can_be_simulated(tmp_path: Path) -> None:
    """Every shipped drill is of a kind that there is, and says nothing of what it is."""
    pack = drills(tmp_path)
    assert len(pack) == 10
    for drill in pack:
        kind = INCIDENT_KINDS[drill.kind]
        assert kind.name not in drill.title


def test_a_drill_goes_on_with_its_clock(bare: Workspace) -> None:
    """Telemetry grows and alerts arrive as time passes, and nothing lies there before its time."""
    folder = start(bare, "slow-voice", "--speed", HOUR_PER_S)
    before = bare.relkit("drill", "status", str(folder), "--json").document
    sleep(1.2)
    now = bare.relkit("drill", "status", str(folder), "--json").document
    assert now["now"] > before["now"]
    assert len(now["alerts"]) == 2
    alerts = [json.loads(line) for line in (folder / ALERTS).read_text().splitlines()]
    assert all(alert["at"] <= now["now"] for alert in alerts)
    checked = bare.relkit(
        "telemetry", "check", str(folder / "telemetry"), "--now", now["now"], "--json"
    ).document
    assert checked["to"] <= now["now"]
    assert checked["dropped"]["future"] == 0
    assert checked["to"] > before["now"]


def test_an_answer_is_scored(bare: Workspace) -> None:
    """The right answer earns its points, and one that blames another release loses more."""
    folder = start(bare, "night-call", "--speed", "1")
    state = json.loads((folder / "drill.json").read_text())
    began = state["began"]
    answer = bare.folder / "answer.yaml"
    text = (
        "cause: release\ncomponent: asr\nfirst_bad: '{bad}'\nslice: accent=scottish\n"
        "target: '2.3'\nactions: [{{at: {at}, kind: detected}}]\n"
    )
    answer.write_text(text.format(bad="2.4", at=began), encoding="utf-8")
    handed_in = bare.relkit("drill", "answer", str(folder), "--file", str(answer))
    assert handed_in.code == ExitCode.OK
    assert "relkit drill score drill --key PUB" in handed_in.out
    score = bare.relkit("drill", "score", str(folder), "--json").document
    assert (score["cause"], score["first_bad"], score["slice"], score["target"]) == (True,) * 4
    assert score["points"] == 80
    assert score["packet_valid"] is None
    answer.write_text(text.format(bad="2.3", at=began), encoding="utf-8")
    bare.relkit("drill", "answer", str(folder), "--file", str(answer))
    said = bare.relkit("drill", "score", str(folder))
    assert said.code == ExitCode.OK
    assert said.out.startswith("-")
    assert "a release was blamed that is innocent: 150 points lost" in said.out


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("cause: gremlins\n", "answer.yaml"),
        ("cause: release\nslices: x\n", "slice"),
        ("cause: none\nactions: [{at: 2026-01-01T00:00:00Z, kind: detected}]\n", "outside"),
    ],
)
def test_an_answer_that_cannot_be_read_is_refused(
    bare: Workspace, answer: str, message: str
) -> None:
    """Unknown causes and keys, and actions before the drill began, have one clear message."""
    folder = start(bare, "pay-day")
    file = bare.folder / "answer.yaml"
    file.write_text(answer, encoding="utf-8")
    said = bare.relkit("drill", "answer", str(folder), "--file", str(file))
    assert said.code == ExitCode.INVALID
    assert message in said.err
    assert bare.relkit("drill", "score", str(folder)).code == ExitCode.INVALID


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("start", "night-cal", "--out", "d"), "night-call"),
        (("status", "."), "holds no drill"),
        (("start", "night-call", "--out", "."), "not empty"),
    ],
)
def test_what_is_no_drill_is_refused(
    bare: Workspace, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    """Unknown names, folders without a drill and folders with files have one clear message."""
    monkeypatch.chdir(bare.folder)
    said = bare.relkit("drill", *arguments)
    assert said.code == ExitCode.INVALID
    assert message in said.err


def test_a_responders_event_stays_in_the_ledger(bare: Workspace) -> None:
    """What is rolled back during a drill is not undone by its next hour."""
    folder = start(bare, "night-call", "--speed", HOUR_PER_S)
    ledger = folder / "registry" / "events" / "asr.jsonl"
    inside = Workspace(folder=folder, capture=bare.capture)
    said = inside.relkit("rollback", "asr", "--bad", "2.4", "--apply", "--reason", "drill")
    assert said.code == ExitCode.OK, said.err
    written = ledger.read_bytes()
    sleep(1.1)
    assert bare.relkit("drill", "status", str(folder)).code == ExitCode.OK
    assert ledger.read_bytes() == written
