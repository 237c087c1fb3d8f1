"""Recorded conversations through the whole command: rows, rates, task, repeats, bad input."""

import base64
import json
import sys
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.conftest import Workspace
from tests.fakes import write_tone

SUITE = """\
schema: relkit.suite/v1
name: talks
dataset: {name: talks}
task: turn
source: events
slices: [scenario]
budget: {response_ms: 600}
metrics: [response_ms, no_response_rate, over_budget_rate, yield_rate, false_yield_rate,
          task_success, pass_all_k, stage_ms, forbidden_tool_rate]
system: {kind: recorded, path: answers.jsonl}
"""
SCRIPT = [
    {"turn": "u1", "audio_filepath": "a.wav", "text": "set a timer"},
    {"turn": "u2", "audio_filepath": "a.wav", "text": "uh-huh", "label": "backchannel"},
    {"turn": "u3", "audio_filepath": "a.wav", "text": "stop"},
]


def event(t_ms: float, kind: str, turn: str | None = None) -> dict[str, Any]:
    """Return an event of an answer."""
    return {"t_ms": t_ms, "kind": kind} | ({} if turn is None else {"turn": turn})


def answer(name: str, *, response_ms: float = 500.0) -> dict[str, Any]:
    """Return a conversation: a turn is answered, a backchannel ignored, an interruption heard."""
    return {
        "id": name,
        "text": "your timer is set",
        "duration_ms": 15_000.0,
        "tool_calls": [{"t_ms": 2000, "name": "set_timer", "arguments": {}}],
        "events": [
            event(600, "user_speech_start", "u1"),
            event(1600, "user_speech_stop", "u1"),
            event(1900, "user_stopped_speaking"),
            event(1600 + response_ms, "agent_speech_start"),
            event(3000, "user_speech_start", "u2"),
            event(3300, "user_speech_stop", "u2"),
            event(6000, "user_speech_start", "u3"),
            event(6300, "interrupted"),
            event(6400, "agent_speech_stop"),
            event(6500, "user_speech_stop", "u3"),
        ],
    }


@pytest.fixture
def talks(workspace: Workspace) -> Workspace:
    """Give a workspace with a dataset of three conversations and a suite for them."""
    folder = workspace.folder / "datasets" / "talks"
    folder.mkdir()
    settings = "schema: relkit.dataset/v1\nname: talks\ncluster: conversation\n"
    (folder / "dataset.yaml").write_text(settings, encoding="utf-8")
    rows = [
        {
            "id": name,
            "conversation": name,
            "scenario": "timer",
            "script": SCRIPT,
            "expect": {"says": ["timer is set"], "no_tools": ["make_transfer"]},
        }
        for name in ("t1", "t2", "t3")
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    (workspace.folder / "eval" / "suites" / "talks.yaml").write_text(SUITE, encoding="utf-8")
    return workspace


def record(workspace: Workspace, *answers: dict[str, Any]) -> None:
    """Write recorded answers."""
    text = "".join(json.dumps(item) + "\n" for item in answers)
    (workspace.folder / "answers.jsonl").write_text(text, encoding="utf-8")


def test_recorded_conversations_become_rows_rates_and_a_summary(talks: Workspace) -> None:
    """Turns, interruptions and the task of three conversations, one of which got no answer."""
    record(talks, answer("t1"), answer("t2", response_ms=700), {"id": "t3", "error": "crashed"})
    evaluated = talks.relkit("eval", "talks", "--json")
    assert evaluated.code == 0, evaluated.err
    report = evaluated.document
    metrics = {name: item["value"] for name, item in report["slices"][0]["metrics"].items()}
    assert (report["expected"], report["scored"], report["failures"]) == (3, 3, 1)
    assert metrics["response_ms.p50"] == 600.0
    assert metrics["over_budget_rate"] == 0.5
    assert metrics["no_response_rate"] == 0.5
    assert metrics["yield_rate"] == 1.0
    assert metrics["false_yield_rate"] == 0.0
    assert metrics["forbidden_tool_rate"] == 0.0
    assert metrics["task_success"] == metrics["pass_all_k"] == pytest.approx(2 / 3)
    assert metrics["stage_ms.endpoint.mean"] == 300.0
    held = report["conversations"]
    assert (held["held"], held["unusable"], held["censored_turns"]) == (3, 0, 2)
    rows = pq.read_table(talks.runs[0] / "results.parquet").to_pylist()
    assert [row["id"] for row in rows][:4] == ["t1", "t1#u1", "t1#u2", "t1#u3"]
    assert len(rows) == 12
    again = talks.relkit("rescore", report["run"], "--json").document
    assert again["slices"][0]["metrics"] == report["slices"][0]["metrics"]
    assert talks.relkit("report", report["run"]).code == 0
    assert talks.relkit("compare", again["run"], report["run"]).code == 0


def test_conversations_without_truth_are_unusable(talks: Workspace) -> None:
    """Nobody knows when the user spoke: no rate holds such a conversation."""
    silent = answer("t3") | {"events": [event(2100, "agent_speech_start")]}
    record(talks, answer("t1"), answer("t2") | {"usage": {"pacing_p99_ms": 180}}, silent)
    report = talks.relkit("eval", "talks", "--json").document
    assert report["unusable_reasons"] == {"no_truth": 1, "not_paced": 1}
    assert report["coverage"] == pytest.approx(1 / 3)
    assert report["slices"][0]["metrics"]["task_success"]["value"] == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"duration_ms": None}, "the conversation has no end"),
        ({"events": [event(5, "user_speech_stop", "u1")]}, "has a stop and no start"),
        ({"events": [event(-5, "user_speech_start", "u1")]}, "t_ms"),
    ],
)
def test_bad_records_are_refused_by_their_line(
    talks: Workspace, change: dict[str, Any], words: str
) -> None:
    """One message with file, line and what is wrong, exit 2, and no run."""
    record(talks, answer("t1"), answer("t2") | change)
    refused = talks.relkit("eval", "talks")
    message = " ".join(refused.err.split())
    assert refused.code == 2
    assert "answers.jsonl, line 2" in message
    assert words in message
    assert not talks.runs


def test_words_are_no_metric_of_conversations(talks: Workspace) -> None:
    """And what is to be measured on recordings that are not there has no truth."""
    suite = talks.folder / "eval" / "suites" / "talks.yaml"
    record(talks, answer("t1"))
    suite.write_text(SUITE.replace("[response_ms,", "[wer, response_ms,"), encoding="utf-8")
    refused = talks.relkit("eval", "talks")
    assert refused.code == 2
    assert 'the metric "wer" holds words' in " ".join(refused.err.split())
    suite.write_text(SUITE.replace("source: events", "source: audio"), encoding="utf-8")
    assert talks.relkit("eval", "talks", "--json").document["unusable_reasons"] == {"no_truth": 1}


def test_records_of_another_script_are_refused_before_a_run_begins(talks: Workspace) -> None:
    """An event that names a turn which the dataset does not have is no failure of the agent."""
    foreign = answer("t2")
    foreign["events"] = [*foreign["events"], event(9000, "user_speech_start", "u9")]
    record(talks, answer("t1"), foreign)
    refused = talks.relkit("eval", "talks")
    assert refused.code == 2
    message = 'the record of the conversation "t2": the script has no entry "u9"'
    assert message in " ".join(refused.err.split())
    assert not talks.runs


def test_repeats_of_a_conversation_are_no_further_evidence(talks: Workspace) -> None:
    """Three repeats of a record: the same rates, and three rows of each."""
    record(talks, *(answer(name) for name in ("t1", "t2", "t3")))
    once = talks.relkit("eval", "talks", "--json").document["slices"][0]
    thrice = talks.relkit("eval", "talks", "--repeat", "3", "--json").document["slices"][0]
    assert thrice["clusters"] == once["clusters"] == 3
    for name, metric in once["metrics"].items():
        assert thrice["metrics"][name]["value"] == pytest.approx(metric["value"]), name
        assert thrice["metrics"][name]["n"] == metric["n"], name


def test_what_people_read_counts_conversations_and_turns(talks: Workspace) -> None:
    """The head of the report says how many were held, and on what times were measured."""
    record(talks, *(answer(name) for name in ("t1", "t2", "t3")))
    text = talks.relkit("eval", "talks").out
    assert "3 expected, 3 scored: 3 answered, 0 failures, 0 unusable" in text
    assert "3 conversations with 6 turns, 3 without time for an answer\ntimes are those of" in text


def test_budgets_name_times_and_their_stages_fit(talks: Workspace) -> None:
    """A budget of no time is refused by its line, one that cannot be met is remarked."""
    suite = talks.folder / "eval" / "suites" / "talks.yaml"
    record(talks, *(answer(name) for name in ("t1", "t2", "t3")))
    lines = "budget: {response_ms: 600, stage_ms.asr: 400, stage_ms.llm: 300}"
    suite.write_text(SUITE.replace("budget: {response_ms: 600}", lines), encoding="utf-8")
    text = " ".join(talks.relkit("eval", "talks").out.split())
    assert "the budget's stages take 700 ms together, more than its 600 ms" in text
    suite.write_text(SUITE.replace("{response_ms: 600}", "{respons_ms: 600}"), encoding="utf-8")
    refused = talks.relkit("eval", "talks")
    assert refused.code == 2
    assert '"respons_ms" is no time of a conversation' in " ".join(refused.err.split())


def test_runs_of_other_windows_are_not_compared(talks: Workspace) -> None:
    """How long a reaction may take decides the rates."""
    suite = talks.folder / "eval" / "suites" / "talks.yaml"
    record(talks, *(answer(name) for name in ("t1", "t2", "t3")))
    runs = [talks.relkit("eval", "talks", "--json").document["run"]]
    suite.write_text(SUITE + "windows: {answer_ms: 5000}\n", encoding="utf-8")
    runs.append(talks.relkit("eval", "talks", "--json").document["run"])
    refused = talks.relkit("compare", *runs)
    assert refused.code == 2
    assert "another suite" in " ".join(refused.err.split())


PROGRAM = """
import json, sys
for line in sys.stdin:
    question = json.loads(line)
    events = json.load(open("events.json"))
    print(json.dumps({"id": question["id"], "events": events, "duration_ms": 15000,
                      "text": " ".join(entry["text"] for entry in question["script"])}), flush=True)
"""


def test_a_program_holds_the_conversations_of_a_suite(talks: Workspace) -> None:
    """It gets scripts and answers with records, and they are measured as recorded ones are."""
    folder = talks.folder / "datasets" / "talks"
    write_tone(folder / "a.wav", seconds=1.5)
    (talks.folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    events = json.dumps(answer("t1")["events"])
    (talks.folder / "events.json").write_text(events, encoding="utf-8")
    program = ("--system", "kind=command", "--system", f"run={sys.executable} program.py")
    unlocked = talks.relkit("eval", "talks", *program)
    assert unlocked.code == 2
    assert "nobody knows when" in unlocked.err
    locked = talks.relkit("dataset", "lock", "talks")
    assert locked.code == 0, locked.err
    evaluated = talks.relkit("eval", "talks", *program, "--json")
    assert evaluated.code == 0, evaluated.err
    metrics = evaluated.document["slices"][0]["metrics"]
    assert metrics["response_ms.p50"]["value"] == 500.0
    assert evaluated.document["conversations"]["held"] == 3


TOOLS = """\
schema: relkit.tools/v1
tools:
  set_timer: {arguments: {type: object}}
  make_transfer:
    sensitive: true
    arguments: {type: object, required: [payee], properties: {payee: {type: string}}}
"""


def test_calls_are_confirmed_by_what_was_said(talks: Workspace) -> None:
    """Not by what the agent tells of it; and a call counts once, with its conversation."""
    suites = talks.folder / "eval" / "suites"
    suite = SUITE.replace("task: turn", "task: turn\ntools: talk-tools.yaml").replace(
        "metrics: [", "metrics: [unconfirmed_sensitive_rate, tool_call_validity, "
    )
    (suites / "talks.yaml").write_text(suite, encoding="utf-8")
    (suites / "talk-tools.yaml").write_text(TOOLS, encoding="utf-8")
    manifest = talks.folder / "datasets" / "talks" / "manifest.jsonl"
    text = manifest.read_text(encoding="utf-8").replace('"stop"', '"yes please do"')
    manifest.write_text(text, encoding="utf-8")
    call = {"t_ms": 7_000, "name": "make_transfer", "arguments": {"payee": "Helen"}}
    said = {"t_ms": 2_100, "kind": "tts_started", "text": "Shall I send it to Helen?"}
    told = [
        {"t_ms": 2_100, "kind": "readback", "tool": call["name"], "arguments": call["arguments"]},
        {"t_ms": 6_500, "kind": "confirm", "speaker": "user"},
    ]
    records = []
    for name, events in (("t1", [said]), ("t2", told), ("t3", [])):
        item = answer(name)
        heard = [e for e in item["events"] if e["kind"] != "interrupted"]
        records.append(item | {"events": heard + events, "tool_calls": [call]})
    record(talks, *records)
    evaluated = talks.relkit("eval", "talks", "--json")
    assert evaluated.code == 0, evaluated.err
    metrics = evaluated.document["slices"][0]["metrics"]
    unconfirmed = metrics["unconfirmed_sensitive_rate"]
    assert (unconfirmed["value"], unconfirmed["n"]) == (pytest.approx(2 / 3), 3)
    assert (metrics["tool_call_validity"]["value"], metrics["tool_call_validity"]["n"]) == (1.0, 3)


def test_what_needs_the_tools_says_so(talks: Workspace) -> None:
    """With the line of the metric, and how to name them."""
    suite = SUITE.replace("metrics: [", "metrics: [tool_call_validity, ")
    (talks.folder / "eval" / "suites" / "talks.yaml").write_text(suite, encoding="utf-8")
    refused = talks.relkit("eval", "talks")
    assert refused.code == 2
    assert 'talks.yaml, line 8: the metric "tool_call_validity" is about' in refused.err
    assert 'add "tools: tools.yaml", or remove the metric' in " ".join(refused.err.split())


def media(payload: bytes, t_ms: int | None = None) -> str:
    """Return a message of a Media Stream with 20 ms of sound; the agent's have no time."""
    content: dict[str, Any] = {"payload": base64.b64encode(payload).decode()}
    if t_ms is not None:
        content |= {"track": "inbound", "timestamp": str(t_ms)}
    return json.dumps({"event": "media", "streamSid": "MZ1", "media": content}) + "\n"


def test_calls_of_a_telephone_become_answers_a_run_and_a_report(talks: Workspace) -> None:
    """The log of each call is converted, read as recorded, measured by its turns and drawn."""
    loud, silent = b"\x10\x90\x20\xa0" * 40, b"\xff" * 160
    manifest = talks.folder / "datasets" / "talks" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps({"event": "start", "start": {"streamSid": "MZ1"}}) + "\n"]
    for t_ms in range(0, 15_000, 20):
        speaks = 400 <= t_ms < 1400 or 4000 <= t_ms < 4600
        lines.append(media(loud if speaks else silent, t_ms))
        if t_ms == 2000:
            lines += [media(loud)] * 40
    logs = []
    for row in rows:
        row["script"] = [SCRIPT[0], SCRIPT[2] | {"turn": "u2"}]
        logs.append(talks.folder / f"{row['id']}.jsonl")
        logs[-1].write_text("".join(lines), encoding="utf-8")
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = talks.folder / "answers.jsonl"
    converted = talks.relkit("events", "convert", "twilio", *map(str, logs), "--out", str(out))
    assert converted.code == 0, converted.err
    evaluated = talks.relkit("eval", "talks", "--json")
    assert evaluated.code == 0, evaluated.err
    metrics = evaluated.document["slices"][0]["metrics"]
    assert metrics["response_ms.p50"]["value"] == pytest.approx(620, abs=30)
    assert metrics["no_response_rate"]["value"] == pytest.approx(0.5)
    written = talks.relkit("report", evaluated.document["run"])
    assert written.code == 0, written.err
