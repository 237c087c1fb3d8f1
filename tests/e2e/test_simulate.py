"""``relkit simulate telemetry`` as a user types it."""

import json
from pathlib import Path

import pytest

from relkit.telemetry.simulation.scenarios import SCENARIOS
from relkit.telemetry.simulation.traces import PRIVATE
from tests.conftest import Workspace


def digests(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_same_command_writes_the_same_files(workspace: Workspace) -> None:
    """Byte for byte, a file for each hour, and the record says what was asked for."""
    options = ("--scenario", "slice", "--turns", "1500", "--steps", "0%:1h,50%:2h", "--seed", "7")
    for name in ("a", "b"):
        answer = workspace.relkit("simulate", "telemetry", str(workspace.folder / name), *options)
        assert answer.code == 0, answer
        assert "canary: roll_back" in answer.out
    first, second = (digests(workspace.folder / name) for name in ("a", "b"))
    assert first == second
    assert len(first) == 4
    record = json.loads(first["scenario.json"])
    assert (record["seed"], record["hours"], record["onset_hours"]) == (7, 3, 1.5)
    assert record["scenario"]["changes"][0]["only"] == {"language": "de"}


@pytest.mark.parametrize("form", ["otlp", "pipecat", "livekit", "genai", "vapi"])
def test_traffic_is_written_as_traces_and_calls(workspace: Workspace, form: str) -> None:
    """JSON lines, named after the hour; the same again is the same."""
    options = ("--scenario", "harm", "--hours", "2", "--turns", "300", "--format", form)
    for name in ("a", "b"):
        folder = str(workspace.folder / name)
        answer = workspace.relkit("simulate", "telemetry", folder, *options)
        assert answer.code == 0, answer
        assert PRIVATE not in answer.out + answer.err
    first, second = (digests(workspace.folder / name) for name in ("a", "b"))
    assert first == second
    assert all(name.endswith(".jsonl") for name in first if name != "scenario.json")


@pytest.mark.parametrize("form", ["otlp", "pipecat", "livekit", "genai", "vapi"])
def test_traces_are_checked_by_the_next_command(workspace: Workspace, form: str) -> None:
    """``relkit telemetry check`` finds out what they are; nobody's text is in its answer."""
    folder = str(workspace.folder / "t")
    options = ("--scenario", "harm", "--hours", "2", "--turns", "300", "--format", form)
    assert workspace.relkit("simulate", "telemetry", folder, *options).code == 0
    answer = workspace.relkit("telemetry", "check", folder, "--now", "2026-01-06T00:00:00Z")
    assert answer.code == 0, answer
    assert ("genai" if form == "otlp" else form) in answer.out
    assert PRIVATE not in answer.out + answer.err


def test_json_says_what_was_written(workspace: Workspace) -> None:
    """Files, turns, sessions and arms."""
    folder = str(workspace.folder / "t")
    answer = workspace.relkit(
        *("simulate", "telemetry", folder, "--scenario", "equal", "--hours", "2", "--json")
    )
    document = answer.document
    assert document["turns"] == sum(document["arms"].values())
    assert document["rehearsal"]["scenario"]["name"] == "equal"
    assert len(document["files"]) == 2


def test_the_list_of_scenarios_fits_a_terminal(workspace: Workspace) -> None:
    """Every scenario has its line; as JSON they are what the library has."""
    answer = workspace.relkit("simulate", "telemetry", "--list")
    assert answer.code == 0
    assert max(map(len, answer.out.splitlines())) <= 80
    assert all(f"\n{name} " in answer.out for name in SCENARIOS)
    listed = workspace.relkit("simulate", "telemetry", "--list", "--json").document
    assert [entry["name"] for entry in listed["scenarios"]] == list(SCENARIOS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("t",), "--scenario"),
        (("t", "--scenario", "harms"), 'did you mean "harm"?'),
        (("t", "--scenario", "harm", "--turns", "9", "--turns-per-hour", "9"), "exclude"),
        (("t", "--scenario", "harm", "--steps", "150%"), "share"),
        (("t", "--scenario", "harm", "--start", "2026-01-05"), "UTC time"),
        (("t", "--scenario", "outage", "--hours", "4", "--onset", "4h"), "after the last hour"),
        ((".", "--scenario", "harm"), "not empty"),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """One message says what is wrong, and nothing is written."""
    monkeypatch.chdir(workspace.folder)
    answer = workspace.relkit("simulate", "telemetry", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert not (workspace.folder / "t").exists()
