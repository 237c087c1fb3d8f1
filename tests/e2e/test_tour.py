"""docs/tour.md is executed: three releases, one goes bad on a slice, and back."""

from pathlib import Path

import pytest

from tests.pages import Walk


@pytest.mark.slow
def test_the_tour_ends_where_the_page_says(tmp_path: Path) -> None:
    """Bisect names 1.2.0, rollback goes back to 1.1.0, and the registry proves itself."""
    tour = Walk("tour.md", tmp_path)
    tour.go()
    assert "1.2.0" in tour.printed['relkit bisect asr --good 1.0.0 --run "python check.py"']
    kinds = [item["kind"] for item in tour.json("relkit registry history asr")["events"]]
    assert kinds == [
        "registered",
        "promoted",
        "registered",
        "canary",
        "promoted",
        "registered",
        "promoted",
        "rolled_back",
    ]
    history = tour.json("relkit registry history asr")
    assert history["live"] == "1.1.0"
    assert tour.json("relkit registry verify")["valid"]
    assert tour.printed["python alias.py"].strip() == "1.1.0"
    again = tour.json("relkit rollback asr --bad 1.2.0 --to 1.2.0")
    assert again["target"] is None
    blocked = tour.printed["relkit gate slices --candidate CANDIDATE --baseline BASELINE"]
    assert blocked.index("accent=scottish") < blocked.index("wer-overall")
