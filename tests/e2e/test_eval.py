"""``relkit eval`` from end to end, on real speech with a real recogniser, and when it is killed."""

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.conftest import Workspace

WHISPER = "{kind: faster-whisper, model: tiny.en, language: en}"
TIMES = {"rtf", "rtfx", "latency_ms.mean", "latency_ms.p50", "latency_ms.p95", "latency_ms.p99"}

SLOW_ECHO = """\
import json, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    time.sleep({pause})
    text = "turn on the light" if asked["duration"] > 2 else "stop"
    print(json.dumps({{"id": asked["id"], "text": text}}), flush=True)
"""


def without_times(document: dict[str, Any]) -> list[Any]:
    """Return the slices of a report without what a clock measured."""
    slices = json.loads(json.dumps(document["slices"]))
    for item in slices:
        item["metrics"] = {k: v for k, v in item["metrics"].items() if k not in TIMES}
    return list(slices)


def slow_echo(workspace: Workspace, pause: float) -> str:
    """Write a program that answers after a pause, and return the suite that runs it."""
    (workspace.folder / "echo.py").write_text(SLOW_ECHO.format(pause=pause), encoding="utf-8")
    return workspace.suite('{kind: command, run: "python3 echo.py", timeout_s: 20}', name="echo")


def kill(process: subprocess.Popen[str]) -> None:
    """End a command and all it started, with SIGKILL."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_for_lines(workspace: Workspace, count: int) -> Path:
    """Return the journal of the one run once it holds so many lines."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for folder in workspace.runs:
            journal = folder / "journal.jsonl"
            if journal.exists() and journal.read_bytes().count(b"\n") >= count:
                return journal
        time.sleep(0.02)
    raise AssertionError("the run wrote no journal")


@pytest.mark.slow
def test_a_real_recogniser_is_scored_slice_by_slice(workspace: Workspace) -> None:
    """A suite with faster-whisper gives every slice a value, an interval or a reason."""
    name = workspace.suite(WHISPER)
    said = workspace.relkit("eval", name, "--json", "--jobs", "2")
    assert said.code == 0, said.err
    report = said.document
    assert (report["expected"], report["scored"], report["failures"]) == (16, 16, 0)
    names = [item["slice"] for item in report["slices"]]
    assert names[0] == "overall"
    assert {"accent=american", "noise=clean", "noise=babble"} <= set(names)
    overall = report["slices"][0]["metrics"]
    assert 0 < overall["wer"]["value"] < 1
    assert overall["wer"]["n"] > 80
    assert overall["wer"]["low"] is None
    assert "cluster" in overall["wer"]["note"]
    assert overall["rtf"]["value"] > 0
    assert said.document == json.loads((workspace.runs[0] / "report.json").read_text())


@pytest.mark.slow
def test_what_was_decoded_once_is_not_decoded_again(workspace: Workspace) -> None:
    """A second run answers from the cache, with the same metrics, times included."""
    name = workspace.suite(WHISPER, voices=("flite-slt",))
    first = workspace.relkit("eval", name, "--json").document
    again = workspace.relkit("eval", name, "--json").document
    assert again["slices"] == first["slices"]
    assert again["run"] != first["run"]
    rows = pq.read_table(workspace.runs[1] / "results.parquet").to_pylist()
    assert all(row["cached"] and row["attempts"] == 0 for row in rows)


@pytest.mark.slow
def test_jobs_do_not_change_the_texts(workspace: Workspace) -> None:
    """Two processes hear what one hears."""
    name = workspace.suite(WHISPER, voices=("flite-slt",))
    one = workspace.relkit("eval", name, "--json").document
    for path in (workspace.folder / ".relkit" / "cache").glob("predictions*"):
        path.unlink()
    two = workspace.relkit("eval", name, "--json", "--jobs", "2").document
    assert without_times(two) == without_times(one)


def test_sigkill_then_resume_gives_every_id_exactly_once(workspace: Workspace) -> None:
    """A run killed in the middle goes on and ends with the metrics of an undisturbed one."""
    name = slow_echo(workspace, 0.0)
    whole = workspace.relkit("eval", name, "--json").document
    for path in (workspace.folder / ".relkit").glob("*/predictions*"):
        path.unlink()
    slow_echo(workspace, 0.1)
    process = workspace.start("eval", name)
    while len(workspace.runs) < 2 and process.poll() is None:
        time.sleep(0.02)
    run = workspace.runs[1]
    journal = run / "journal.jsonl"
    while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
        assert process.poll() is None
        time.sleep(0.02)
    kill(process)
    kept = journal.read_bytes()
    assert 3 <= kept.count(b"\n") < 16
    journal.write_bytes(kept + b'{"id": "torn')
    slow_echo(workspace, 0.0)
    resumed = workspace.relkit("eval", name, "--resume", run.name, "--json")
    assert resumed.code == 0, resumed.err
    assert without_times(resumed.document) == without_times(whole)
    ids = pq.read_table(run / "results.parquet").column("id").to_pylist()
    assert len(ids) == len(set(ids)) == 16
    assert not journal.exists()
    assert [json.loads(line)["event"] for line in (run / "log.jsonl").read_text().splitlines()] == [
        "started",
        "resumed",
        "finished",
    ]


def test_sigterm_ends_with_143_and_can_be_resumed(workspace: Workspace) -> None:
    """An orderly end says how to go on."""
    name = slow_echo(workspace, 0.2)
    process = workspace.start("eval", name)
    run = wait_for_lines(workspace, 2).parent
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert f"relkit eval {name} --resume {run.name}" in err
    slow_echo(workspace, 0.0)
    assert workspace.relkit("eval", name, "--resume", run.name).code == 0


def test_ctrl_c_names_suite_options_and_run(workspace: Workspace) -> None:
    """What is printed can be pasted: the options of the system belong to it, too."""
    name = slow_echo(workspace, 0.2)
    process = workspace.start("eval", name, "--system", "timeout_s=33", "--json")
    run = wait_for_lines(workspace, 2).parent
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    hint = json.loads(out)["error"]["hint"]
    assert hint == f"go on with: relkit eval {name} --system timeout_s=33 --resume {run.name}"
    slow_echo(workspace, 0.0)
    again = shlex.split(hint.removeprefix("go on with: relkit "))
    assert workspace.relkit(*again).code == 0


@pytest.mark.parametrize(
    ("system", "code"),
    [
        ('{kind: command, run: "no-such-program"}', 2),
        ('{kind: command, run: "false"}', 5),
        ("{kind: openai-http, base_url: 'http://127.0.0.1:9/v1', model: m}", 5),
        ("{kind: recorded, path: nothing.jsonl}", 2),
    ],
)
def test_a_start_that_fails_leaves_no_run(workspace: Workspace, system: str, code: int) -> None:
    """Nothing was answered, so there is nothing to go on with, and nothing says so."""
    said = workspace.relkit("eval", workspace.suite(system))
    assert said.code == code, said.err
    assert workspace.runs == []
    assert "--resume" not in said.err


def test_a_smoke_run_is_marked_and_no_gate_passes_on_it(workspace: Workspace) -> None:
    """``--limit`` takes clips of every voice, and everything that reads the run says so."""
    name = workspace.recorded(lambda row: {"text": row["text"]})
    said = workspace.relkit("eval", name, "--limit", "4")
    assert said.code == 0, said.err
    assert "a smoke run: 4 of 16 utterances (--limit); no gate passes on it" in said.out
    (run,) = workspace.runs
    ids = pq.read_table(run / "results.parquet").column("id").to_pylist()
    voices = {row["id"]: row["voice"] for row in workspace.manifest()}
    assert len(ids) == 4
    assert len({voices[item] for item in ids}) == 2
    assert "(smoke: 4)" in workspace.relkit("runs").out
    again = workspace.relkit("rescore", "@latest", "--json").document
    assert (again["expected"], again["limit"]) == (4, 4)
    policy = workspace.folder / "gates" / "any.yaml"
    rule = "{id: any, metric: failure_rate, test: bound, max: 0.9}"
    text = f"schema: relkit.gate/v1\nname: any\ncoverage: 0.01\nrules: [{rule}]\n"
    policy.write_text(text, encoding="utf-8")
    gated = workspace.relkit("gate", "any", "--candidate", "@latest", "--json")
    assert gated.code == 4
    assert gated.document["reason_codes"][0] == "candidate_smoke_run"
    whole = workspace.relkit("eval", name, "--limit", "16", "--json").document
    assert (whole["expected"], "limit" in whole) == (16, False)
    refused = workspace.relkit("compare", "@latest", again["run"])
    assert "run the whole suite for both" in refused.err


def test_a_smoke_run_goes_on_as_one(workspace: Workspace) -> None:
    """``--resume`` needs no ``--limit``, and takes no other."""
    name = slow_echo(workspace, 0.2)
    process = workspace.start("eval", name, "--limit", "5")
    run = wait_for_lines(workspace, 1).parent
    kill(process)
    slow_echo(workspace, 0.0)
    other = workspace.relkit("eval", name, "--resume", run.name, "--limit", "6")
    assert "started with another limit" in other.err
    done = workspace.relkit("eval", name, "--resume", run.name, "--json")
    assert (done.document["scored"], done.document["limit"]) == (5, 5)


def test_a_suite_goes_by_the_name_of_its_file(workspace: Workspace) -> None:
    """Another name inside would name two things in every report and hint."""
    name = workspace.recorded(lambda row: {"text": row["text"]})
    suites = workspace.folder / "eval" / "suites"
    (suites / f"{name}.yaml").rename(suites / "other.yaml")
    for argument in ("other", str(suites / "other.yaml")):
        said = workspace.relkit("eval", argument)
        assert said.code == 2
        assert f'other.yaml: is called "{name}"' in said.err
        assert 'write "name: other", or rename the file' in said.err


def test_a_second_process_on_the_same_run_is_refused(workspace: Workspace) -> None:
    """Two processes never write one run."""
    name = slow_echo(workspace, 0.2)
    process = workspace.start("eval", name)
    run = wait_for_lines(workspace, 1).parent
    said = workspace.relkit("eval", name, "--resume", run.name, "--json")
    assert said.code == 2
    assert said.document["error"]["code"] == "busy"
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (run / "report.json").exists()


def test_resume_refuses_another_evaluation(workspace: Workspace) -> None:
    """What decides the numbers cannot change within a run."""
    name = slow_echo(workspace, 0.2)
    process = workspace.start("eval", name)
    run = wait_for_lines(workspace, 1).parent
    kill(process)
    said = workspace.relkit("eval", name, "--resume", run.name, "--system", "timeout_s=21")
    assert said.code == 2
    assert "started with another system" in said.err
    said = workspace.relkit("eval", name, "--resume", run.name, "--repeat", "2")
    assert "started with another number of repeats" in said.err


def test_failures_count_as_deletions_and_unusable_items_lower_coverage(
    workspace: Workspace,
) -> None:
    """Whose fault it was is kept apart: the system's, or the data's."""
    name = slow_echo(workspace, 0.0)
    audio = workspace.folder / "datasets" / "assistant-commands" / "audio"
    mine = [row for row in workspace.manifest() if row["voice"] in ("flite-slt", "flite-rms")]
    (audio.parent / mine[0]["audio_filepath"]).unlink()
    (audio.parent / mine[1]["audio_filepath"]).write_bytes(b"")
    (audio.parent / mine[2]["audio_filepath"]).write_bytes(b"no audio at all")
    report = workspace.relkit("eval", name, "--json").document
    assert (report["expected"], report["scored"], report["unusable"]) == (16, 13, 3)
    assert report["unusable_reasons"] == {"empty": 1, "missing": 1, "unreadable": 1}
    assert report["coverage"] == pytest.approx(13 / 16)

    def answer(row: dict[str, Any]) -> dict[str, Any]:
        return {"error": "out_of_memory"} if row["id"] == mine[0]["id"] else {"text": row["text"]}

    report = workspace.relkit("eval", workspace.recorded(answer), "--json").document
    texts = pq.read_table(workspace.runs[1] / "texts.parquet").to_pylist()
    failed = next(row for row in texts if row["id"] == mine[0]["id"])
    words = len(failed["reference_normalized"].split())
    assert failed["hypothesis"] is None
    assert report["failures"] == 1
    assert report["failure_reasons"] == {"reported": 1}
    overall = report["slices"][0]
    assert overall["counts"]["deletions"] == words
    assert overall["metrics"]["wer"]["value"] > 0


def test_nothing_scored_is_exit_4_and_no_number(workspace: Workspace) -> None:
    """An eval without a single usable item has no WER, not a WER of 0."""
    name = slow_echo(workspace, 0.0)
    for path in (workspace.folder / "datasets" / "assistant-commands" / "audio").iterdir():
        path.unlink()
    said = workspace.relkit("eval", name, "--json")
    assert said.code == 4
    assert said.document["slices"][0]["metrics"]["wer"]["value"] is None
    assert said.document["scored"] == 0


def test_repeats_widen_the_interval_and_not_the_evidence(workspace: Workspace) -> None:
    """Asking three times gives no more words and no more voices."""
    program = (
        "import json, random, sys\n"
        "for line in sys.stdin:\n"
        "    words = ['turn', 'on', 'the', 'light', 'please'][: random.randint(1, 5)]\n"
        "    asked = json.loads(line)['id']\n"
        "    print(json.dumps({'id': asked, 'text': ' '.join(words)}), flush=True)\n"
    )
    (workspace.folder / "talker.py").write_text(program, encoding="utf-8")
    spoken = {row["voice"] for row in workspace.manifest() if row["text"]}
    voices = tuple(sorted(spoken)[:12])
    name = workspace.suite('{kind: command, run: "python3 talker.py"}', voices=voices)
    once = workspace.relkit("eval", name, "--json").document["slices"][0]
    thrice = workspace.relkit("eval", name, "--json", "--repeat", "3").document["slices"][0]
    assert thrice["utterances"] == once["utterances"]
    assert thrice["metrics"]["wer"]["n"] == once["metrics"]["wer"]["n"]
    assert thrice["metrics"]["wer"]["clusters"] == once["metrics"]["wer"]["clusters"]
    assert "repeats" in thrice["metrics"]["wer"]["method"]


def test_rescore_changes_the_normalizer_and_decodes_nothing(workspace: Workspace) -> None:
    """A new run from stored predictions: other scores, the same answers and times."""

    def answer(row: dict[str, Any]) -> dict[str, Any]:
        return {"text": row["text"].upper() + "!", "latency_ms": 120.0, "clock": "system"}

    name = workspace.recorded(answer)
    first = workspace.relkit("eval", name, "--json").document
    (workspace.folder / "answers.jsonl").unlink()
    said = workspace.relkit("rescore", first["run"], "--normalizer", "none", "--json")
    assert said.code == 0, said.err
    wer = said.document["slices"][0]["metrics"]["wer"]["value"]
    assert first["slices"][0]["metrics"]["wer"]["value"] == 0
    assert wer == 1
    assert said.document["candidate"] == first["candidate"]
    run = json.loads((workspace.runs[1] / "run.json").read_text())
    assert run["source"] == first["run"]


def test_rescore_uses_corrected_labels_but_never_other_audio(workspace: Workspace) -> None:
    """A corrected reference counts; a replaced recording is refused."""
    name = slow_echo(workspace, 0.0)
    first = workspace.relkit("eval", name, "--json").document
    manifest = workspace.folder / "datasets" / "assistant-commands" / "manifest.jsonl"
    rows = workspace.manifest()
    mine = [row for row in rows if row["voice"] == "flite-slt"]
    mine[0]["text"] = "turn on the light" if mine[0]["duration"] > 2 else "stop"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    second = workspace.relkit("rescore", first["run"], "--json")
    assert second.code == 0, second.err
    assert second.document["dataset"]["digest"] != first["dataset"]["digest"]
    hits = second.document["slices"][0]["counts"]["hits"]
    assert hits > first["slices"][0]["counts"]["hits"]
    audio = manifest.parent
    other = (audio / mine[1]["audio_filepath"]).read_bytes()
    (audio / mine[0]["audio_filepath"]).write_bytes(other)
    refused = workspace.relkit("rescore", first["run"])
    assert refused.code == 2
    assert "manifest.jsonl, line" in refused.err


def test_no_text_leaves_the_two_files_that_may_hold_it(workspace: Workspace) -> None:
    """Neither logs nor reports nor results nor terminal output hold a planted word."""
    planted = "zyzzyva"
    manifest = workspace.folder / "datasets" / "assistant-commands" / "manifest.jsonl"
    rows = workspace.manifest()
    for row in rows:
        row["text"] = f"{row['text']} {planted}"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    name = workspace.recorded(lambda row: {"text": f"{planted} {row['id'][:3]}"})
    said = workspace.relkit("eval", name)
    assert said.code == 0
    page = workspace.relkit("report", workspace.runs[0].name, "--markdown")
    assert planted not in said.out + said.err + page.out + page.err
    holders = {
        path.name
        for path in workspace.runs[0].iterdir()
        if path.is_file() and planted in _content(path)
    }
    assert holders == {"texts.parquet"}


def _content(path: Path) -> str:
    if path.suffix == ".parquet":
        return json.dumps(pq.read_table(path).to_pylist(), default=str)
    return path.read_text(encoding="utf-8")


def test_recorded_answers_to_unknown_utterances_are_refused(workspace: Workspace) -> None:
    """An answer file of another dataset is an input error, not a pass."""
    name = workspace.recorded(lambda row: {"text": row["text"]})
    path = workspace.folder / "answers.jsonl"
    path.write_text(path.read_text() + '{"id": "nobody", "text": "hello"}\n', encoding="utf-8")
    said = workspace.relkit("eval", name)
    assert said.code == 2
    assert "nobody" in said.err
    assert workspace.runs == []


def test_an_unreachable_endpoint_is_exit_5_and_no_run(workspace: Workspace) -> None:
    """A server that is down says nothing about a candidate."""
    name = workspace.suite(
        '{kind: openai-http, base_url: "http://127.0.0.1:9", model: none, timeout_s: 2, retries: 0}'
    )
    said = workspace.relkit("eval", name, "--json")
    assert said.code == 5
    assert said.document["error"]["code"] == "backend_unavailable"
    assert workspace.runs == []
