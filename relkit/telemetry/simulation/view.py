"""What was simulated, in words."""

from collections.abc import Iterable

from relkit.core import wording
from relkit.telemetry.simulation.types import Scenario, SimulatedTraffic


def scenarios_text(scenarios: Iterable[Scenario]) -> str:
    """Return the scenarios as a table: name, what is wrong, what a right tool says."""
    rows = [("scenario", "what happens; what a right tool says")]
    rows += [
        (scenario.name, f"{scenario.description}; {expected_text(scenario)}")
        for scenario in scenarios
    ]
    return wording.columns(rows, to_left=(0, 1))


def expected_text(scenario: Scenario) -> str:
    """Return the right verdicts: ``canary: hold or roll_back``."""
    return ", ".join(
        f"{command}: {' or '.join(verdicts)}" for command, verdicts in scenario.expected.items()
    )


def traffic_text(traffic: SimulatedTraffic, folder: str) -> str:
    """Return what was written, and how to go on."""
    rehearsal = traffic.rehearsal
    arms = ", ".join(f"{wording.count(count)} {arm}" for arm, count in traffic.arms.items())
    shares = ", ".join(
        f"{wording.percent(step.share)} for {step.hours:g} h" for step in rehearsal.steps
    )
    files, turns = (
        wording.counted(len(traffic.files), "file"),
        wording.counted(traffic.turns, "turn"),
    )
    lines = [
        f"{files} in {folder}: {turns} of {wording.counted(traffic.sessions, 'session')} ({arms})",
        f"scenario {rehearsal.scenario.name}: {rehearsal.scenario.description}",
        f"a right tool says: {expected_text(rehearsal.scenario)}",
        f"canary share: {shares}",
        f"from {rehearsal.start} on; judge it with --now {traffic.now}",
    ]
    return "\n".join(lines)
