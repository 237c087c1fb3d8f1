"""``relkit events convert``: logs of voice frameworks to recorded answers."""

import json
from pathlib import Path

import pytest

from relkit.adapters.systems.recorded import RecordedAnswers
from relkit.datasets.types import Answer
from tests.conftest import Workspace

CALL = (
    {"t_ms": 400, "type": "user-started-speaking"},
    {"t_ms": 1400, "type": "user-stopped-speaking"},
    {"t_ms": 2000, "type": "bot-started-speaking"},
    {"t_ms": 2500, "type": "metrics", "data": {"ttfb": [{"processor": "LLM", "value": -1}]}},
)


def write_log(path: Path, *lines: object) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_log_becomes_answers_that_a_recorded_system_reads(workspace: Workspace) -> None:
    """Stdout and --out hold the same lines; what was not measured is said on stderr."""
    log = write_log(workspace.folder / "call-7.jsonl", *CALL)
    shown = workspace.relkit("events", "convert", "rtvi", str(log))
    assert shown.code == 0
    assert "not measured, so null: ttfb 1" in shown.err
    out = workspace.folder / "answers.jsonl"
    written = workspace.relkit("events", "convert", "rtvi", str(log), "--out", str(out), "--json")
    assert written.document["conversations"] == 1
    assert written.document["not_measured"] == {"ttfb": 1}
    assert out.read_text() == shown.out
    answer = RecordedAnswers(out).lookup("call-7")
    assert isinstance(answer, Answer)
    assert [event.t_ms for event in answer.events] == [400, 1400, 2000, 2500]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.jsonl: is empty"),
        ('{"t_ms": 1, "type": "bot-ready"}\n{"t_ms"', "line 2: not JSON"),
        ('{"t_ms": 1, "type": "bot-ready"}\n[1]', "line 2: an object was expected"),
        ('{"t_ms": NaN, "type": "bot-ready"}', "line 1: NaN is no JSON number"),
        ("[1, 2]", "element 1 of the list is no object"),
        ("7", "an object or a list of objects"),
    ],
)
def test_bad_input_writes_nothing(workspace: Workspace, text: str, message: str) -> None:
    """One message with file and line, exit 2, and no half of a file."""
    good = write_log(workspace.folder / "good.jsonl", *CALL)
    bad = workspace.folder / "bad.jsonl"
    bad.write_text(text)
    out = workspace.folder / "answers.jsonl"
    refused = workspace.relkit("events", "convert", "rtvi", str(good), str(bad), "--out", str(out))
    assert refused.code == 2
    assert message in refused.err
    assert not out.exists()


def test_two_conversations_of_one_name_are_refused(workspace: Workspace) -> None:
    """The name of a file is the id of its conversation."""
    first = write_log(workspace.folder / "call.jsonl", *CALL)
    (workspace.folder / "more").mkdir()
    second = write_log(workspace.folder / "more" / "call.json", *CALL)
    refused = workspace.relkit("events", "convert", "rtvi", str(first), str(second))
    assert refused.code == 2
    assert 'the conversation "call" stands already in call.jsonl' in refused.err


def test_json_needs_a_file_and_a_format_its_name(workspace: Workspace) -> None:
    """Answers are lines, and so are no document; a format that is near is named."""
    log = write_log(workspace.folder / "call.jsonl", *CALL)
    assert (
        "--json needs --out"
        in workspace.relkit("events", "convert", "rtvi", str(log), "--json").document["error"][
            "message"
        ]
    )
    assert 'did you mean "rtvi"' in workspace.relkit("events", "convert", "rtv", str(log)).err


def test_a_log_that_is_read_is_not_written_over(workspace: Workspace) -> None:
    """By its own name or by a link; the log stays as it was."""
    log = write_log(workspace.folder / "call-8.jsonl", *CALL)
    link = workspace.folder / "other.jsonl"
    link.symlink_to(log)
    before = log.read_bytes()
    for out in (log, link):
        refused = workspace.relkit("events", "convert", "rtvi", str(log), "--out", str(out))
        assert refused.code == 2
        assert "--out is a file that is read" in refused.err
    assert log.read_bytes() == before
