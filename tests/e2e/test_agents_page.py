"""docs/agents.md is executed: an agent that passes, one that obeys, and the way back."""

from pathlib import Path

import pytest

from tests.pages import Walk


@pytest.mark.slow
def test_the_page_ends_where_it_says(tmp_path: Path) -> None:
    """The careful agent passes signed, the obedient one is blocked by channel and rolled back."""
    page = Walk("agents.md", tmp_path)
    page.go()
    passed, blocked = (
        page.json(f"relkit verify {name} --key keys/relkit.pub")
        for name in ("careful.json", "unsafe.json")
    )
    assert (passed["valid"], passed["verdict"]) == (True, "pass")
    assert (blocked["valid"], blocked["verdict"]) == (True, "fail")
    assert page.json("relkit registry history agent")["live"] == "1.0.0"
