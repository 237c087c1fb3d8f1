"""Systems under test through the whole command: a server over HTTP, a program, MLflow beside it."""

import json
import sqlite3
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from relkit.adapters.systems.faster_whisper import find_weights
from tests.asr_server import AsrServer, whisper
from tests.conftest import Workspace

ANSWERS = """\
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({
        "id": asked["id"], "text": "play it", "latency_ms": 40.5, "first_byte_ms": 12.25,
        "clock": "system", "usage": {"input_tokens": 7}, "audio": "spoken.wav",
        "events": [{"t_ms": 3.5, "kind": "partial", "text": "pl"}, {"t_ms": 40, "kind": "end"}],
        "tool_calls": [{"name": "play", "arguments": {"what": "it"}}],
    }), flush=True)
"""


@pytest.mark.slow
def test_a_server_over_http_is_scored_like_the_model_behind_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    """The same weights behind an HTTP server give the words they give in this process."""
    weights = find_weights("tiny.en", base=tmp_path, cache=tmp_path, environment={})
    local = workspace.suite(
        "{kind: faster-whisper, model: tiny.en, language: en}", name="local", voices=("flite-slt",)
    )
    direct = workspace.relkit("eval", local, "--json").document
    with AsrServer(recognise=whisper(weights.folder), faults=["429", "500"]) as server:
        name = workspace.suite(
            f'{{kind: openai-http, base_url: "{server.base_url}", model: tiny.en, retries: 2}}',
            name="server",
            voices=("flite-slt",),
        )
        served = workspace.relkit("eval", name, "--json").document
    assert served["failures"] == 0
    assert served["slices"][0]["counts"] == direct["slices"][0]["counts"]
    assert served["slices"][0]["metrics"]["latency_ms.p50"]["value"] > 0
    rows = pq.read_table(workspace.runs[-1] / "results.parquet").to_pylist()
    assert sum(row["attempts"] for row in rows) == len(rows) + 2


def test_the_whole_answer_protocol_is_stored(workspace: Workspace) -> None:
    """Events, usage, tool calls, audio and the system's own clock are kept for later tasks."""
    (workspace.folder / "agent.py").write_text(ANSWERS, encoding="utf-8")
    name = workspace.suite('{kind: command, run: "python3 agent.py"}', voices=("flite-slt",))
    report = workspace.relkit("eval", name, "--json").document
    assert report["slices"][0]["metrics"]["latency_ms.p50"]["value"] == 40.5
    texts = pq.read_table(workspace.runs[0] / "texts.parquet").to_pylist()
    answer = json.loads(texts[0]["answer"])
    assert answer["clock"] == "system"
    assert answer["usage"] == {"input_tokens": 7}
    assert answer["audio"] == "spoken.wav"
    assert [event["kind"] for event in answer["events"]] == ["partial", "end"]
    assert answer["tool_calls"] == [{"name": "play", "arguments": {"what": "it"}}]
    results = pq.read_table(workspace.runs[0] / "results.parquet").to_pylist()
    assert {row["first_byte_ms"] for row in results} == {12.25}


@pytest.mark.slow
def test_a_workspace_that_asks_for_it_is_tracked(workspace: Workspace) -> None:
    """With `mlflow:` in relkit.yaml a run lands in the workspace's own database, without text."""
    path = workspace.folder / "relkit.yaml"
    path.write_text(path.read_text() + "mlflow: {experiment: night}\n", encoding="utf-8")
    name = workspace.recorded(lambda row: {"text": row["text"] + " zyzzyva"})
    said = workspace.relkit("eval", name)
    assert said.code == 0
    assert "warning" not in said.err
    database = workspace.folder / ".relkit" / "mlflow.db"
    with sqlite3.connect(database) as connection:
        metrics = dict(connection.execute("SELECT key, value FROM latest_metrics"))
        tags = dict(connection.execute("SELECT key, value FROM tags"))
        experiments = [row[0] for row in connection.execute("SELECT name FROM experiments")]
    connection.close()
    assert "night" in experiments
    assert tags["relkit.run"] == workspace.runs[0].name
    assert metrics["wer"] > 0
    assert "noise:babble/wer" in metrics
    kept = (workspace.folder / ".relkit").rglob("*")
    holders = [p.name for p in kept if p.is_file() and b"zyzzyva" in p.read_bytes()]
    assert [name for name in holders if name != "texts.parquet"] == []


def test_a_dead_tracker_costs_a_warning_and_never_the_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is finished whether or not anyone was told."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    name = workspace.recorded(lambda row: {"text": row["text"]})
    said = workspace.relkit("eval", name)
    assert said.code == 0
    assert "not tracked" in said.err
    assert "127.0.0.1:9" in said.err
    assert (workspace.runs[0] / "report.json").exists()
