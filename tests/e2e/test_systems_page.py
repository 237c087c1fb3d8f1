"""docs/systems.md is executed: a program, a server and a table of answers, each from nothing."""

from pathlib import Path

import pytest

from tests.mlflow_proxy import free_port
from tests.pages import Walk


@pytest.mark.slow
def test_each_protocol_is_shown_whole(tmp_path: Path) -> None:
    """The files of the page are all that is needed, and no answer is missing."""
    walk = Walk("systems.md", tmp_path, _8765_=str(free_port()))
    walk.go()
    runs = walk.json("relkit runs")["runs"]
    assert [(run["suite"], run["limit"]) for run in runs] == [
        ("decoded", None),
        ("served", None),
        ("served", 5),
        ("listen", None),
        ("listen", 5),
    ]
    for run in runs:
        report = walk.json(f"relkit report {run['run']}")
        assert report["failures"] == report["unusable"] == 0
        latency = report["slices"][0]["metrics"]["latency_ms.p50"]["value"]
        assert latency is not None
    assert runs[0]["system"].startswith("recorded answers.csv")
    assert 0 < runs[0]["headline"]["value"] < 0.1
