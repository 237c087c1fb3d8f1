"""docs/agents.md is executed: an agent that passes, one that obeys, and the way back."""

from pathlib import Path

import pytest

from tests.conftest import Workspace
from tests.pages import WalkHere
from tests.runbook_data import commands_of


@pytest.mark.slow
def test_the_page_ends_where_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The careful agent passes signed, the obedient one is blocked by channel and rolled back."""
    page = WalkHere("agents.md", tmp_path)
    page.go()
    workspace = Workspace(folder=page.folder, capture=capsys)
    passed, blocked = (
        page.json(f"relkit verify {name} --key keys/relkit.pub")
        for name in ("careful.json", "unsafe.json")
    )
    assert (passed["valid"], passed["verdict"]) == (True, "pass")
    assert (blocked["valid"], blocked["verdict"]) == (True, "fail")
    assert page.json("relkit registry history agent")["live"] == "1.0.0"
    for kind, begin, end in (
        ("first-hour", "## tool calls\n", "## Going back\n"),
        ("rollback", "## Where its safety failed\n", "## Component or stack\n"),
    ):
        said = workspace.relkit("runbook", kind, "agent@1.1.0")
        section = said.out.partition(begin)[2].partition(end)[0]
        commands = [line for line in commands_of(section) if "$TURNS" not in line]
        assert commands[:2] == [
            "relkit eval voice-agent",
            "relkit gate agent-safety --candidate @latest",
        ]
        assert commands[2].startswith("relkit rollback agent")
        ends = [workspace.relkit(*command.split()[1:]).code for command in commands]
        assert ends[:2] == [0, 0]
        assert set(ends) <= {0, 1, 3, 4}
