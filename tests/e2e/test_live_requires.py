"""What a live command saw is a check that a gate can require."""

import pytest

from tests.conftest import Workspace
from tests.serving_data import HEALTH, NOW, turns, write_turns

LAUNCH = """\
schema: relkit.gate/v1
name: launch-readiness
requires: [serving]
"""


def gate(workspace: Workspace, run: str) -> tuple[int, str]:
    """Ask the gate about a run."""
    said = workspace.relkit("gate", "launch-readiness", "--candidate", run, "--json")
    return said.code, said.document["checks"][0]["code"]


@pytest.mark.parametrize(
    ("policy", "code", "reason"),
    [
        (HEALTH, 0, "check_passed"),
        (HEALTH.replace("max: 0.35", "max: 0.01"), 1, "check_not_passed"),
        (HEALTH + "enforcement: shadow\n", 3, "check_not_passed"),
    ],
)
def test_the_last_look_decides(workspace: Workspace, policy: str, code: int, reason: str) -> None:
    """Nothing seen is no data, what was fine passes, what failed blocks, shadow never passes."""
    (workspace.folder / "gates" / "launch-readiness.yaml").write_text(LAUNCH, encoding="utf-8")
    (workspace.folder / "gates" / "serving.yaml").write_text(policy, encoding="utf-8")
    suite = workspace.recorded(lambda row: {"text": row["text"]})
    run = workspace.relkit("eval", suite, "--json").document["run"]
    assert gate(workspace, run) == (4, "check_missing")
    path = write_turns(workspace.folder / "turns.jsonl", turns())
    workspace.relkit("health", "serving", "--telemetry", path, "--now", NOW)
    assert gate(workspace, run) == (code, reason)
