"""``relkit telemetry check`` on files of turns."""

import json

import pytest

from tests.conftest import Said, Workspace

NOW = ("--now", "2026-03-01T00:00:00Z")


def rows(number: int, **columns: object) -> str:
    """Return JSON lines of turns."""
    turns = (
        {
            "ts": f"2026-02-01T10:{n // 60:02}:{n % 60:02}Z",
            "session": f"s{n // 4}",
            "turn_id": n,
            "ok": n != 3,
            **columns,
        }
        for n in range(number)
    )
    return "".join(json.dumps(turn) + "\n" for turn in turns)


def check(workspace: Workspace, *arguments: str) -> Said:
    """Run the command on files of the workspace."""
    first, *others = arguments
    now = () if "--now" in others else NOW
    return workspace.relkit("telemetry", "check", str(workspace.folder / first), *others, *now)


def test_it_says_what_is_there(workspace: Workspace) -> None:
    """Turns, sessions, columns and problems, as text and as the documented document."""
    (workspace.folder / "a.jsonl").write_text(rows(10, latency_ms=-1, caller_name="Ann"))
    said = check(workspace, "a.jsonl")
    assert said.code == 0
    assert "10 turns of 3 sessions, dialect turns" in said.out
    assert "from 2026-02-01T10:00:00Z to 2026-02-01T10:00:09Z" in said.out
    assert "10 values that cannot be: counted as missing" in said.out
    assert "Ann" not in said.out
    document = check(workspace, "a.jsonl", "--json").document
    assert document["dropped"]["bad_value"] == 10
    assert [problem["where"] for problem in document["problems"]] == ["caller_name"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nothing",), 2, "no telemetry at nothing"),
        (("empty.jsonl",), 4, "0 turns"),
        (("a.jsonl", "--map", "x"), 2, "--map takes NAME=COLUMN"),
        (("a.jsonl", "--map", "asr_ms=nope:ms"), 2, "nope"),
        (("a.jsonl", "--dialect", "pipcat"), 2, "pipecat"),
        (("a.jsonl", "--now", "noon"), 2, "--now: a UTC time"),
    ],
)
def test_what_is_wrong_is_told(
    workspace: Workspace, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """A mistake has one message that says what to do; nothing is never fine."""
    (workspace.folder / "a.jsonl").write_text(rows(3))
    (workspace.folder / "empty.jsonl").touch()
    said = check(workspace, *arguments)
    assert said.code == code
    assert words in said.out + said.err


def test_a_folder_is_read_with_all_that_is_below_it(workspace: Workspace) -> None:
    """A folder of telemetry is named, however deep its files are."""
    folder = workspace.folder / "traffic" / "2026"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text(rows(3))
    (folder / "b.jsonl").write_text(rows(3))
    said = check(workspace, "traffic")
    assert "3 turns sent twice: counted once" in said.out
