"""docs/incidents.md is executed: from telemetry to a blamed release, and three packets."""

from pathlib import Path

import pytest

from tests.pages import Walk


@pytest.mark.slow
def test_the_incident_goes_as_the_page_says(tmp_path: Path) -> None:
    """Triage prints what the page quotes, and the last packet follows the one before it."""
    page = Walk("incidents.md", tmp_path)
    quoted = [text for kind, _, text in page.blocks if kind == "text"]
    page.blocks = [block for block in page.blocks if block[0] != "text"]
    page.go()
    first = next(text for line, text in page.printed.items() if line.startswith("relkit triage"))
    assert first.startswith(quoted[0])
    valid = [text for line, text in page.printed.items() if line.startswith("relkit incident ver")]
    assert [text.splitlines()[0].rpartition(": ")[2] for text in valid] == ["valid", "valid"]
    assert "  follows sha256:" in valid[1]
    shown = next(text for line, text in page.printed.items() if "incident show" in line)
    assert shown.startswith("Release asr 2.4 made it worse on accent=scottish")
