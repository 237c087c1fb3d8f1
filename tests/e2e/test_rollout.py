"""docs/rollout.md is executed: one canary is rolled back, another one reaches all traffic."""

from pathlib import Path

import pytest

from tests.pages import Walk


@pytest.mark.slow
def test_the_rollouts_end_where_the_page_says(tmp_path: Path) -> None:
    """The harm in one language is found at 25 %, and stays final; a better release goes on."""
    page = Walk("rollout.md", tmp_path)
    page.go()
    said = {line: text for line, text in page.printed.items() if line.startswith("relkit canary")}
    looks = [text.split("  ")[0] for line, text in said.items() if "--state" in line]
    assert looks == ["ADVANCE", "ADVANCE", "HOLD", "ROLL BACK", "ROLL BACK", *["ADVANCE"] * 4]
    fourth = next(text for line, text in said.items() if "T19" in line)
    assert "failures on language=de in 39 of 270 canary turns (14.4 %)" in fourth
    assert fourth.splitlines()[:3] == [line for block in _quoted() for line in block.splitlines()]
    assert "final" in next(text for line, text in said.items() if "T20*" in line)
    assert "next: all traffic" in list(said.values())[-1]


def _quoted() -> list[str]:
    text = (Path(__file__).resolve().parents[2] / "docs" / "rollout.md").read_text()
    return [part.split("\n```")[0] for part in text.split("\n```\n")[1:] if "ROLL BACK" in part[:9]]
