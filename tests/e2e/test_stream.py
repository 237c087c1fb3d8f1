"""Recognisers that give partials through the whole command: recorded, and decoded again here."""

import asyncio
import json
import threading
from typing import Any

import pyarrow.parquet as pq
import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.conftest import Workspace

STREAM = """\
schema: relkit.suite/v1
name: stream
dataset: {{name: assistant-commands, where: {{voice: [flite-slt]}}}}
task: stream
normalizer: english
{keys}
system: {system}
"""


def write_suite(workspace: Workspace, system: str, *keys: str) -> None:
    """Write the suite of a recogniser that gives partials."""
    path = workspace.folder / "eval" / "suites" / "stream.yaml"
    text = STREAM.format(keys="\n".join(keys), system=system).replace("\n\n", "\n")
    path.write_text(text, encoding="utf-8")


def test_recorded_partials_are_measured_beside_the_words(workspace: Workspace) -> None:
    """Churn, revisions and times of recorded events, the final's WER, and a rescored copy."""

    def answer(row: dict[str, Any]) -> dict[str, Any]:
        words = row["text"].split()
        events = [
            {"t_ms": 100.0, "kind": "partial", "text": "wrong"},
            {"t_ms": 9000.0, "kind": "final", "text": row["text"]},
        ]
        return {"text": " ".join(words), "events": events}

    workspace.recorded(answer)
    write_suite(workspace, "{kind: recorded, path: answers.jsonl}")
    report = workspace.relkit("eval", "stream", "--json").document
    metrics = report["slices"][0]["metrics"]
    assert metrics["wer"]["value"] == 0.0
    assert metrics["unstable_rate"]["value"] == 1.0
    assert metrics["revision_rate"]["value"] == 0.5
    assert metrics["false_final_rate"]["value"] == 0.0
    assert metrics["finalisation_ms.p50"]["value"] > 0
    assert any("by the level of the clip" in note for note in report["notes"])
    again = workspace.relkit("rescore", report["run"], "--json").document
    assert again["slices"][0]["metrics"] == metrics
    page = workspace.folder / "page.html"
    workspace.relkit("report", report["run"], "-o", str(page))
    assert "Words taken back" not in page.read_text(encoding="utf-8")
    workspace.relkit("report", report["run"], "--with-text", "-o", str(page))
    assert "Words taken back" in page.read_text(encoding="utf-8")
    rows = pq.read_table(workspace.runs[0] / "results.parquet").to_pylist()
    assert {row["talk_taken_back"] for row in rows} == {1}


def test_a_record_without_partials_is_refused_by_its_line(workspace: Workspace) -> None:
    """An answer that shows nothing is no stable stream."""
    workspace.recorded(lambda row: {"text": row["text"]})
    write_suite(workspace, "{kind: recorded, path: answers.jsonl}")
    refused = workspace.relkit("eval", "stream")
    assert refused.code == 2
    message = 'answers.jsonl, line 1: the answer has no event "partial" or "final"'
    assert message in " ".join(refused.err.split())


def test_audio_goes_to_another_machine_only_where_it_may(workspace: Workspace) -> None:
    """A suite alone cannot send speech away; nothing is decoded before that is known."""
    write_suite(workspace, '{kind: asr-ws, url: "wss://asr.example.com/listen"}')
    refused = workspace.relkit("eval", "stream")
    assert refused.code == 2
    assert "add --allow-remote" in refused.err
    assert "example.com" not in refused.err
    assert not workspace.runs


@pytest.mark.slow
def test_a_model_decoded_again_and_again_gives_partials(workspace: Workspace) -> None:
    """Two rates of updates are two measures: their runs are not compared."""
    system = "{kind: faster-whisper, model: tiny.en, language: en}"
    runs = []
    for every in (500, 1000):
        write_suite(workspace, system, f"update_ms: {every}")
        runs.append(workspace.relkit("eval", "stream", "--limit", "2", "--json").document)
    for report in runs:
        metrics = report["slices"][0]["metrics"]
        assert metrics["partial_churn"]["value"] is not None
        assert metrics["finalisation_ms.p50"]["value"] is not None
        assert metrics["false_final_rate"]["value"] == 0.0
    answers = pq.read_table(workspace.runs[0] / "texts.parquet").to_pylist()
    kinds = [event["kind"] for event in json.loads(answers[0]["answer"])["events"]]
    assert kinds[-1] == "final"
    assert kinds.count("partial") >= 1
    refused = workspace.relkit("compare", runs[1]["run"], runs[0]["run"])
    assert refused.code == 2
    assert "another suite" in " ".join(refused.err.split())


def test_a_recogniser_over_a_socket_is_measured(workspace: Workspace) -> None:
    """It hears clips as they were spoken, and its partials, final and pacing make the run."""
    ready = threading.Event()
    running: dict[str, Any] = {}

    async def recognise(socket: ServerConnection) -> None:
        heard = 0
        async for message in socket:
            if isinstance(message, bytes):
                heard += 1
                if heard in {20, 40}:
                    text = "turn on" if heard == 20 else "turn off"
                    await socket.send(json.dumps({"type": "partial", "text": text}))
            elif json.loads(message)["type"] == "end":
                await socket.send(json.dumps({"type": "final", "text": "turn off the lights"}))
                return

    async def run() -> None:
        stop = running["stop"] = asyncio.Event()
        running["loop"] = asyncio.get_running_loop()
        async with serve(recognise, "127.0.0.1", 0) as server:
            running["port"] = server.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(10)
    try:
        url = f"ws://127.0.0.1:{running['port']}"
        write_suite(workspace, f'{{kind: asr-ws, url: "{url}"}}')
        evaluated = workspace.relkit("eval", "stream", "--limit", "2", "--jobs", "2", "--json")
    finally:
        running["loop"].call_soon_threadsafe(running["stop"].set)
        thread.join(10)
    assert evaluated.code == 0, evaluated.err
    metrics = evaluated.document["slices"][0]["metrics"]
    assert metrics["partial_churn"]["value"] == pytest.approx(1 / 4)  # "on" was taken back
    assert metrics["finalisation_ms.p50"]["value"] > 0.0
    assert evaluated.document["failures"] == 0
