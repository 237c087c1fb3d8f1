"""``relkit simulate incident`` as a user types it, and every kind through triage."""

import json
from pathlib import Path

from relkit.incident.simulation.kinds import INCIDENT_KINDS
from tests.conftest import Workspace


def digests(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_an_incident_is_a_workspace_whose_rollback_is_the_answer(workspace: Workspace) -> None:
    """The same command writes the same files; the registry verifies and names the target."""
    for name in ("a", "b"):
        out = str(workspace.folder / name)
        answer = workspace.relkit(
            *("simulate", "incident", "accent", "--out", out, "--seed", "3"),
            *("--turns-per-hour", "20"),
        )
        assert answer.code == 0, answer
        assert "accent=scottish" in answer.out
    first, second = (digests(workspace.folder / name) for name in ("a", "b"))
    assert first == second
    assert sum(name.startswith("telemetry/") for name in first) == 8
    right = json.loads(first["answer.json"])
    place = Workspace(workspace.folder / "a", workspace.capture)
    assert place.relkit("registry", "validate").code == 0
    rollback = place.relkit("rollback", right["component"], "--bad", right["first_bad"], "--json")
    assert rollback.code == 0, rollback
    assert rollback.document["target"] == right["target"]
    checked = place.relkit(
        "telemetry", "check", str(place.folder / "telemetry"), "--now", right["now"]
    )
    assert checked.code == 0, checked


def test_the_list_of_kinds_fits_a_terminal(workspace: Workspace) -> None:
    """Every kind has its line; as JSON they are what the library has."""
    answer = workspace.relkit("simulate", "incident", "--list")
    assert answer.code == 0
    assert max(map(len, answer.out.splitlines())) <= 80
    assert all(f"\n{name} " in answer.out for name in INCIDENT_KINDS)
    listed = workspace.relkit("simulate", "incident", "--list", "--json").document
    assert [entry["name"] for entry in listed["kinds"]] == list(INCIDENT_KINDS)


def test_what_is_missing_or_unknown_is_named(workspace: Workspace) -> None:
    """No kind, no folder, another kind, a folder that is not empty: each is a usage error."""
    assert workspace.relkit("simulate", "incident").code == 2
    assert workspace.relkit("simulate", "incident", "noise").code == 2
    out = ("--out", str(workspace.folder / "new"))
    unknown = workspace.relkit("simulate", "incident", "nois", *out)
    assert unknown.code == 2
    assert '"noise"' in unknown.err
    full = workspace.relkit("simulate", "incident", "noise", "--out", str(workspace.folder))
    assert full.code == 2
    assert "not empty" in full.err
