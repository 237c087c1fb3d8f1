"""``relkit telemetry import``: traces and tables to the turn table."""

import json
import stat
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import Said, Workspace
from tests.trace_data import (
    CANARY,
    document,
    livekit_call,
    pipecat_call,
    span,
    vapi_call,
    write_lines,
)

NOW = ("--now", "2026-12-01T00:00:00Z")


def run(workspace: Workspace, *arguments: str) -> Said:
    """Run the command in the workspace, and write ``out.parquet`` there."""
    to = str(workspace.folder / "out.parquet")
    return workspace.relkit("telemetry", "import", *arguments, "--to", to, *NOW)


def test_traces_become_a_turn_table_without_text(workspace: Workspace) -> None:
    """What was read and dropped is said; no text, name or id of the traces is in the file."""
    folder = workspace.folder / "traces"
    folder.mkdir()
    write_lines(folder / "a.jsonl", [document(pipecat_call())])
    write_lines(folder / "b-2026-09-21T10-00-00.000.jsonl", [document(livekit_call(trace=2))])
    (folder / "c.json").write_text(json.dumps([vapi_call(CANARY)]))
    said = run(workspace, str(folder))
    assert said.code == 0
    assert "wrote 10 turns of 3 sessions" in said.out
    assert "livekit+pipecat+vapi" in said.out
    out = workspace.folder / "out.parquet"
    assert b"CANARY" not in out.read_bytes() + said.out.encode() + said.err.encode()
    checked = workspace.relkit("telemetry", "check", str(out), "--json", *NOW).document
    imported = run(workspace, str(folder), "--json").document
    for key in ("turns", "sessions", "units", "from", "to", "releases"):
        assert imported[key] == checked[key], key
    assert imported["dropped"]["bad_value"] == 4
    assert imported["spans"] == len(pipecat_call()) + len(livekit_call())


def test_ids_depend_on_the_key_alone(workspace: Workspace, tmp_path: Path) -> None:
    """The workspace's key is made once, for its owner; with another key the ids are others."""
    file = str(write_lines(workspace.folder / "t.jsonl", [document(pipecat_call())]))
    out = workspace.folder / "out.parquet"
    run(workspace, file)
    key = workspace.folder / ".relkit" / "telemetry.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    first = pq.read_table(out)
    run(workspace, file)
    assert pq.read_table(out).equals(first)
    other = tmp_path / "other.key"
    other.write_text("ab" * 32 + "\n")
    other.chmod(0o600)
    run(workspace, file, "--key", str(other))
    assert not pq.read_table(out)["session"].equals(first["session"])
    assert key.read_text().strip() not in out.read_bytes().hex()


def test_check_says_which_attributes_were_read(workspace: Workspace) -> None:
    """The mapping that is used is shown: what was asked for, and what is read by itself."""
    file = str(write_lines(workspace.folder / "t.jsonl", [document(pipecat_call(), app__box="b1")]))
    said = workspace.relkit(
        "telemetry", "check", file, "--map", "device=app.box", "--json", *NOW
    ).document
    assert said["mapping"] == {"release": "service.version", "device": "app.box"}
    assert said["dialect"] == "pipecat"
    sources = {column["name"]: column["source"] for column in said["columns"]}
    assert (sources["release"], sources["language"]) == ("service.version", "language")


def test_a_table_is_imported_too(workspace: Workspace) -> None:
    """JSON lines with other names become the same table, ids hashed, columns of people left out."""
    row = {"ts": "2026-02-01T10:00:00Z", "call": "c-77", "turn_id": "t", "e2e": 0.8, "ok": True}
    rows = [{**row, "turn_id": f"t{n}", "caller_name": "Ada", "language": "en"} for n in range(3)]
    file = str(write_lines(workspace.folder / "t.jsonl", [*rows, rows[0]]))
    said = run(workspace, file, "--map", "session=call", "--map", "latency_ms=e2e:s", "--json")
    assert said.document["dropped"]["duplicate"] == 1
    table = pq.read_table(workspace.folder / "out.parquet")
    assert table["latency_ms"].to_pylist() == [800.0] * 3
    assert len(set(table["turn_id"].to_pylist())) == 3
    assert table["language"].to_pylist() == ["en"] * 3
    data = (workspace.folder / "out.parquet").read_bytes()
    assert not any(word in data for word in (b"Ada", b"c-77", b"caller_name"))


def test_a_turn_sent_twice_and_one_of_the_future_do_not_count(workspace: Workspace) -> None:
    """Both are left out of the file and counted."""
    lines = [document(pipecat_call())]
    folder = workspace.folder / "traces"
    folder.mkdir()
    write_lines(folder / "a.jsonl", lines)
    write_lines(folder / "b.jsonl", lines)
    late = span("turn", 7, trace=9, start=2e8, end=2e8 + 1, turn__number=1)
    write_lines(folder / "c.jsonl", [document([late])])
    document_ = run(workspace, str(folder), "--json").document
    assert (document_["turns"], document_["dropped"]["duplicate"]) == (3, 3)
    assert document_["dropped"]["future"] == 1
    assert pq.read_table(workspace.folder / "out.parquet").num_rows == 3


@pytest.mark.parametrize(
    ("name", "data", "code", "words"),
    [
        ("t.json", b"\x0a\x8e\x05\x0a\x20\x0a\x1e\x00\xff", 2, "format: json"),
        ("t.jsonl", b"", 4, "no turn to import"),
        ("t.json", b'{"resourceSpans": [', 2, "t.json"),
        ("t.jsonl", json.dumps(document([span("GET /", 1)])).encode(), 4, "no turn in 1 span"),
    ],
)
def test_what_cannot_be_imported_is_told(
    workspace: Workspace, name: str, data: bytes, code: int, words: str
) -> None:
    """One message says what and where; an older file stays as it was."""
    out = workspace.folder / "out.parquet"
    out.write_bytes(b"older")
    (workspace.folder / name).write_bytes(data)
    said = run(workspace, str(workspace.folder / name))
    assert said.code == code
    assert words in said.err
    assert out.read_bytes() == b"older"


def test_half_a_line_is_told_and_the_rest_imported(workspace: Workspace) -> None:
    """The exporter was killed while it wrote: file and line are named."""
    good = json.dumps(document(pipecat_call()))
    (workspace.folder / "t.jsonl").write_text(good + "\n" + good[:500])
    said = run(workspace, str(workspace.folder / "t.jsonl"))
    assert said.code == 0
    assert "t.jsonl, line 2: the last line is cut off" in said.out


def test_the_file_must_be_parquet(workspace: Workspace) -> None:
    """Another ending is a mistake, and says so."""
    said = workspace.relkit("telemetry", "import", "x", "--to", "out.csv")
    assert said.code == 2
    assert ".parquet" in said.err
