"""Scenarios and the commands that judge them: each fault gets the verdict it is said to get."""

from pathlib import Path

import pytest

from relkit.telemetry.simulation.scenarios import SCENARIOS
from tests.conftest import Workspace

POLICIES = {
    "canary": """\
schema: relkit.canary/v1
name: canary
control: {arm: control}
canary: {arm: canary}
slices: [language]
steps: [{share: 50%, min_duration: 1h, detectable: 3, from: 2026-01-05T00:00:00Z}]
triggers:
  - {id: failures, rate: failed}
  - {id: hangups, rate: abandoned, per: session}
  - {id: latency, tail: latency_ms, at: [p95]}
""",
    "drift": """\
schema: relkit.drift/v1
name: drift
cluster: speaker
window: 1h
min_rows: 200
alarm: 0.01
sustained: {windows: 3}
columns: [snr_db, language, device, confidence, dnsmos_ovrl]
threshold: {psi: 0.1}
""",
    "health": """\
schema: relkit.health/v1
name: health
queue: {p95_ms: 200, slots: 40}
retries: {amplification: 1.5}
tenants: {column: tenant_class, evidence: 1000}
churn: {max: 0.35}
""",
    "slo": """\
schema: relkit.slo/v1
name: slo
objective: 99.5%
window: 30d
good: {rate: failed, is: false}
min_events: 50
""",
}
JUDGED = [
    *[("canary", name) for name in ("equal", "harm", "fast-timeouts", "hang-ups")],
    *[("canary", name) for name in ("lost-logs", "sample-ratio", "clock-skew", "both-arms")],
    *[("canary", name) for name in ("control-release", "unit-change", "hostile-caller")],
    *[("drift", name) for name in ("equal", "drift-device", "missing-column")],
    *[("health", name) for name in ("retry-storm", "queue-collapse", "tenant-spike")],
    *[("slo", name) for name in ("outage", "slow-burn", "three-calls-at-night")],
]


@pytest.fixture
def judging(workspace: Workspace) -> Workspace:
    """Give a workspace with a policy for each command."""
    for command, text in POLICIES.items():
        (workspace.folder / "gates" / f"{command}.yaml").write_text(text, encoding="utf-8")
    return workspace


def traffic(workspace: Workspace, name: str, folder: str, *options: str) -> tuple[str, str]:
    """Write a scenario, and return its folder and when to judge it."""
    path = str(workspace.folder / folder)
    arguments = ("--scenario", name, "--turns-per-hour", "1000", *options, "--json")
    return path, workspace.relkit("simulate", "telemetry", path, *arguments).document["now"]


@pytest.mark.parametrize(("command", "name"), JUDGED)
def test_a_fault_gets_the_verdict_that_it_is_said_to_get(
    judging: Workspace, command: str, name: str
) -> None:
    """With the policy of a beginner, on a day of traffic."""
    folder, now = traffic(judging, name, "t")
    asked: tuple[str, ...] = ("--telemetry", folder)
    if command == "drift":
        reference, end = traffic(judging, "equal", "reference", "--seed", "1")
        profile = str(judging.folder / "p.json")
        arguments = ("--to", profile, "--policy", "drift", "--now", end)
        assert judging.relkit("drift", "profile", reference, *arguments).code == 0
        asked = ("--reference", profile, "--current", folder)
    verdict = judging.relkit(command, command, *asked, "--now", now, "--json").document["verdict"]
    assert verdict in SCENARIOS[name].expected[command]


def test_late_rows_hold_a_canary_that_is_looked_at_every_hour(judging: Workspace) -> None:
    """What comes an hour late belongs to sessions that are closed."""
    folder, _ = traffic(judging, "late-rows", "t", "--hours", "3")
    state = str(judging.folder / "late.state")
    for hour, file in enumerate(sorted(Path(folder).glob("*.parquet")), start=1):
        arguments = ("--telemetry", str(file), "--state", state)
        now = f"2026-01-05T{hour:02}:00:00Z"
        document = judging.relkit("canary", "canary", *arguments, "--now", now, "--json").document
    assert document["verdict"] in SCENARIOS["late-rows"].expected["canary --state"]
    assert "missing_data" in document["reason_codes"]
