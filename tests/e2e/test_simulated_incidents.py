"""``relkit simulate incident`` as a user types it, and every kind through triage."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from relkit.core.slices import slice_parts
from relkit.incident.simulation.answers import answer, graded
from relkit.incident.simulation.kinds import INCIDENT_KINDS, incident
from relkit.incident.simulation.run import EVENTS, TELEMETRY
from relkit.incident.types import TriagePolicy
from relkit.wiring.incident import triage, triage_options
from relkit.wiring.simulation import simulate_incident
from relkit.wiring.stores import open_workspace
from tests.conftest import Workspace

SMALL = 150.0
"""Turns an hour: a fifth of what triage is made for (benchmarks/triage_quality.py)."""

TOO_THIN = frozenset(
    {
        "accent",
        "language",
        "retry-storm",
        "client-bug",
        "region-outage",
        "region-outage-in-canary",
        "region-outage-after-switch",
        "switch-guilty",
        "switch-then-client-bug",
    }
)
"""Kinds of which so little traffic may not tell; then triage says so, and blames nobody."""


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


@pytest.mark.parametrize("kind", INCIDENT_KINDS)
def test_triage_blames_no_innocent_release(tmp_path: Path, kind: str) -> None:
    """Of any kind, and it is right where a fifth of the usual traffic is enough to tell."""
    folder = tmp_path / "incident"
    plan = incident(kind, seed=11, turns_per_hour=SMALL)
    simulate_incident(folder, plan, lambda _done, _total: None)
    right = answer(plan)
    columns = {column for key in right.slices for column, _ in slice_parts(key)}
    policy = TriagePolicy(slices=tuple(sorted({*columns, "noise", "region", "client", "tenant"})))
    options = replace(triage_options([str(folder / TELEMETRY)], now=right.now), policy=policy)
    events = folder / EVENTS
    report = triage(open_workspace(folder), options, events=events if events.exists() else None)
    grade = graded(right, report)
    assert grade != "blamed", report
    assert grade == "right" or (kind in TOO_THIN and grade == "undetermined"), report
    if report.verdict == "release":
        assert report.target_verified
