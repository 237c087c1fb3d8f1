"""Systems that speak, through the whole command: spoken, listened to, scored, killed, resumed."""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from relkit.adapters.audio import SoundfileReader
from relkit.core.digests import PREFIX, sha256_bytes
from relkit.datasets.types import AudioSpan, Clip
from tests.conftest import Workspace
from tests.speech_server import SpeechServer

SUITE = """\
schema: relkit.suite/v1
name: {name}
dataset: {{name: assistant-commands, where: {{voice: [{voices}]}}}}
task: tts
normalizer: english
cluster: id
metrics: [wer, wer_capped, cer, entity_error_rate, failure_rate, first_byte_ms, first_audio_ms,
  leading_silence_ms, latency_ms, rtf, clipping_rate, dropout_rate]
slices: [intent]
system: {system}
recogniser: {recogniser}
"""
WHISPER = "{kind: faster-whisper, model: tiny.en, language: en}"
ESPEAK = "{kind: espeak-ng, voice: en-us}"

MOUTH = """\
import json, os, sys, time, wave
for line in sys.stdin:
    asked = json.loads(line)
    with open("mouth.log", "a") as log:
        log.write(asked["text"] + "\\n")
    time.sleep(float(os.environ.get("MOUTH_S", "0")))
    words = asked["text"].split()
    path = os.path.join(asked["folder"], "said.wav")
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        wave_form = b"\\0\\0" if "timer" in words else b"\\0\\x10\\0\\xf0"
        file.writeframes(wave_form * 400 * len(asked["text"]))
    if "skip" in words:
        print(json.dumps({"id": asked["id"], "error": "out_of_memory"}), flush=True)
        continue
    if "laundry" in words:
        open(path, "w").write("no audio")
    if "sarah" in words:
        path = "nowhere.wav"
    print(json.dumps({"id": asked["id"], "audio": path}), flush=True)
"""
"""Speaks tones whose length tells the text's; fails in four ways at four words."""

EAR = """\
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    with open("ear.log", "a") as log:
        log.write(asked["audio"] + "\\n")
    if "blue" in open("ear.txt").read() and 2.95 < asked["duration"] < 3.05:
        print(json.dumps({"id": asked["id"], "error": "busy"}), flush=True)
        continue
    print(json.dumps({"id": asked["id"], "text": "is the the"}), flush=True)
"""


def tts(
    workspace: Workspace,
    system: str,
    *,
    recogniser: str = WHISPER,
    name: str = "say",
    voices: str = "flite-slt",
) -> str:
    """Write a suite of eight texts for each voice, and return its name."""
    text = SUITE.format(name=name, system=system, recogniser=recogniser, voices=voices)
    (workspace.folder / "eval" / "suites" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return name


def programs(workspace: Workspace, *, deaf_to: str = "nothing") -> str:
    """Write a program that speaks and one that listens, and return the suite that uses them."""
    (workspace.folder / "mouth.py").write_text(MOUTH, encoding="utf-8")
    (workspace.folder / "ear.py").write_text(EAR, encoding="utf-8")
    (workspace.folder / "ear.txt").write_text(deaf_to, encoding="utf-8")
    return tts(
        workspace,
        '{kind: command, run: "python3 mouth.py"}',
        recogniser='{kind: command, run: "python3 ear.py"}',
        voices="flite-slt, flite-rms",
    )


def needs(engine: str) -> None:
    """Skip the test where an engine is not installed."""
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed")


def rows_of(run: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's results."""
    rows: list[dict[str, Any]] = pq.read_table(run / "results.parquet").to_pylist()
    return rows


@pytest.mark.slow
def test_an_engine_is_spoken_heard_measured_and_reported(workspace: Workspace) -> None:
    """A real engine and a real recogniser: every figure is there, the floor beside it, no text."""
    needs("espeak-ng")
    said = workspace.relkit("eval", tts(workspace, ESPEAK), "--json")
    assert said.code == 0, said.err
    report = said.document
    assert (report["expected"], report["scored"], report["failures"]) == (8, 8, 0)
    metrics = report["slices"][0]["metrics"]
    assert 0 < metrics["wer_capped"]["value"] < 0.8
    assert metrics["wer"]["clusters"] == 8
    assert metrics["entity_error_rate"]["n"] > 4
    times = [metrics[f"{name}.p50"]["value"] for name in ("first_byte_ms", "first_audio_ms")]
    assert 0 < times[0] <= times[1]
    assert metrics["latency_ms.p50"]["n"] == 7
    assert 0 < metrics["rtf"]["value"] < 1
    assert metrics["dropout_rate"]["value"] == metrics["clipping_rate"]["value"] == 0
    speech = report["speech"]
    assert speech["warm_ups"] == 1
    assert speech["warm_up_ms"] > 0
    assert speech["floor"]["recordings"] == 8
    assert 0 < speech["floor"]["metrics"]["wer_capped"]["value"] < 0.8
    assert any(note.startswith("recogniser floor: wer ") for note in report["notes"])
    run = workspace.runs[0]
    rows = rows_of(run)
    assert sum(row["warm_up_ms"] is not None for row in rows) == 1
    for row in rows:
        if row["first_byte_ms"] is not None:
            whole = row["first_byte_ms"] + row["leading_silence_ms"]
            assert row["first_audio_ms"] == pytest.approx(whole)
    clips = sorted((run / "audio").iterdir())
    assert len(clips) == 8
    assert all(sha256_bytes(path.read_bytes()) == f"{PREFIX}{path.stem}" for path in clips)
    texts = pq.read_table(run / "texts.parquet").to_pylist()
    told = {row["id"]: json.loads(row["answer"]) for row in texts}
    for row in rows:
        span = AudioSpan(path=told[row["id"]]["audio"])
        clip = SoundfileReader().read(str(run), span, max_s=60)
        assert isinstance(clip, Clip)
        assert clip.duration_s == pytest.approx(row["duration"])
    words = [item["text"].encode() for item in workspace.manifest() if item["text"]]
    for name in ("report.json", "run.json", "log.jsonl", "results.parquet"):
        data = (run / name).read_bytes()
        assert not any(text in data for text in words if len(text) > 12), name
    shown = workspace.relkit("report", run.name, "--markdown")
    assert shown.code == 0


@pytest.mark.slow
def test_a_server_in_front_of_an_engine_is_as_intelligible_as_the_engine(
    workspace: Workspace,
) -> None:
    """The same samples over HTTP are heard the same, and the floor is not decoded twice."""
    needs("espeak-ng")
    direct = workspace.relkit("eval", tts(workspace, ESPEAK), "--json").document
    with SpeechServer(faults=["503"]) as server:
        system = f'{{kind: openai-http, base_url: "{server.base_url}", model: m, voice: v}}'
        name = tts(workspace, system, name="served")
        served = workspace.relkit("eval", name, "--json").document
    assert served["slices"][0]["counts"] == direct["slices"][0]["counts"]
    assert served["speech"]["floor"] == direct["speech"]["floor"]
    assert served["failures"] == 0
    assert sum(row["attempts"] for row in rows_of(workspace.runs[1])) == 9


def test_every_way_to_fail_is_an_error_by_its_own_name(workspace: Workspace) -> None:
    """The engine's failures and the recogniser's are apart; all of them delete their words."""
    report = workspace.relkit("eval", programs(workspace, deaf_to="blue"), "--json").document
    assert report["failure_reasons"] == {
        "bad_audio": 2,  # a file that is no audio, and none at all
        "no_speech": 2,  # silence, though the recogniser would have heard something in it
        "not_heard": 2,
        "reported": 1,
    }
    assert (report["scored"], report["failures"], report["unusable"]) == (16, 7, 0)
    rows = rows_of(workspace.runs[0])
    for row in rows:
        if row["failure"]:
            assert row["hits"] == row["insertions"] == 0
            assert row["deletions"] > 0
            assert row["latency_ms"] is None
    assert report["slices"][0]["metrics"]["failure_rate"]["value"] == pytest.approx(7 / 16)


def test_a_killed_run_speaks_and_listens_only_to_what_is_missing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL while speaking, then resume: every id once, the same metrics, nothing said twice."""
    name = programs(workspace)
    whole = workspace.relkit("eval", name, "--json").document
    log = workspace.folder / "mouth.log"
    log.unlink()
    monkeypatch.setenv("MOUTH_S", "0.1")
    process = workspace.start("eval", name)
    while not log.exists() or len(log.read_text().splitlines()) < 5:
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    monkeypatch.setenv("MOUTH_S", "0")
    run = workspace.runs[1]
    journal = (run / "journal.jsonl").read_text().splitlines()
    assert 0 < len(journal) < 16
    resumed = workspace.relkit("eval", name, "--resume", run.name, "--json")
    assert resumed.code == 0, resumed.err
    for key in ("failure_reasons", "scored", "expected"):
        assert resumed.document[key] == whole[key]
    assert resumed.document["slices"][0]["counts"] == whole["slices"][0]["counts"]
    ids = [row["id"] for row in rows_of(run)]
    assert len(ids) == len(set(ids)) == 16
    assert len(log.read_text().splitlines()) <= 16 + 1  # at most the one in flight again


def test_a_run_killed_while_listening_does_not_speak_again(workspace: Workspace) -> None:
    """What the journal holds as spoken is only listened to; a clip that is gone is said again."""
    name = programs(workspace)
    workspace.relkit("eval", name)
    first = workspace.runs[0]
    log = workspace.folder / "mouth.log"
    (workspace.folder / "ear.py").write_text("import sys; sys.exit(3)\n", encoding="utf-8")
    for path in (workspace.folder / ".relkit").rglob("predictions*"):
        path.unlink()
    log.unlink()
    broken = workspace.relkit("eval", name)
    assert broken.code == 5, broken.err
    assert len(log.read_text().splitlines()) == 16
    run = next(folder for folder in workspace.runs if folder != first)
    max((run / "audio").iterdir(), key=lambda clip: clip.stat().st_size).unlink()
    programs(workspace)
    log.unlink()
    resumed = workspace.relkit("eval", name, "--resume", run.name, "--json")
    assert resumed.code == 0, resumed.err
    assert len(log.read_text().splitlines()) == 1
    report = json.loads((first / "report.json").read_text())
    assert resumed.document["slices"][0]["counts"] == report["slices"][0]["counts"]


def test_two_processes_have_two_warm_ups(workspace: Workspace) -> None:
    """Each worker's first call is its own start, and none of them is a latency."""
    report = workspace.relkit("eval", programs(workspace), "--json", "--jobs", "2").document
    assert report["speech"]["warm_ups"] == 2
    assert report["speech"]["floor"]["recordings"] == 16


def test_rescoring_keeps_what_was_measured_and_says_what_it_cannot(workspace: Workspace) -> None:
    """Other text rules give other rates from the same clips, without a floor that is not theirs."""
    name = programs(workspace)
    old = workspace.relkit("eval", name, "--json").document
    same = workspace.relkit("rescore", workspace.runs[0].name, "--json").document
    assert same["slices"] == old["slices"]
    assert same["speech"] == old["speech"]
    other = workspace.relkit(
        "rescore", workspace.runs[0].name, "--normalizer", "none", "--json"
    ).document
    assert other["speech"]["floor"] is None
    assert any("another normalizer" in note for note in other["notes"])
    refused = workspace.relkit("rescore", workspace.runs[0].name, "--suite", "demo")
    assert refused.code == 2
    assert "task" in refused.err


def test_other_words_than_were_spoken_are_not_scored(workspace: Workspace) -> None:
    """A changed text is another task for the engine, not a corrected label."""
    name = programs(workspace)
    workspace.relkit("eval", name)
    path = workspace.folder / "datasets" / "assistant-commands" / "manifest.jsonl"
    path.write_text(path.read_text().replace("call sarah", "call susan"), encoding="utf-8")
    refused = workspace.relkit("rescore", workspace.runs[0].name)
    assert refused.code == 2
    assert "spoken" in refused.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("task: tts\n", "task: asr\n"), 'kind "espeak-ng" is no system that listens'),
        (("{kind: espeak-ng, voice: en-us}", WHISPER), "is no system that speaks"),
        (("{kind: espeak-ng, voice: en-us}", "{kind: recorded, path: a}"), "no system that speaks"),
        ((f"recogniser: {WHISPER}\n", ""), 'the task tts needs a "recogniser"'),
        ((WHISPER, "{kind: espeak-ng}"), "is no system that listens"),
        ((WHISPER, "{kind: recorded, path: a}"), "is no system that listens"),
        (("voice: en-us", "voice: -x"), "system.voice"),
        (("voice: en-us", "rate: 3"), "system.rate"),
        (("voice: en-us", "speed: 3"), 'unknown key "system.speed"'),
        (("voice: en-us", "voice: nosuch"), 'espeak-ng has no voice "nosuch"'),
        (("{voice: [flite-slt]}", "{intent: silence}"), "have no text to speak"),
        (("task: tts\n", "task: ttt\n"), '"task"'),
    ],
)
def test_a_suite_that_makes_no_sense_is_refused(
    workspace: Workspace, change: tuple[str, str], message: str
) -> None:
    """Each names what is wrong, before anything is spoken."""
    needs("espeak-ng")
    name = tts(workspace, ESPEAK)
    path = workspace.folder / "eval" / "suites" / f"{name}.yaml"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change), encoding="utf-8")
    said = workspace.relkit("eval", name)
    assert said.code == 2, said.err
    assert message in said.err
    assert not [run for run in workspace.runs if (run / "report.json").exists()]


def test_a_suite_that_listens_has_no_recogniser_and_no_cluster_id(workspace: Workspace) -> None:
    """One's own id as a cluster would hide that speakers differ."""
    name = workspace.suite(WHISPER)
    path = workspace.folder / "eval" / "suites" / f"{name}.yaml"
    text = path.read_text()
    path.write_text(text + f"recogniser: {WHISPER}\n", encoding="utf-8")
    assert "recogniser" in workspace.relkit("eval", name).err
    path.write_text(text + "cluster: id\n", encoding="utf-8")
    said = workspace.relkit("eval", name)
    assert (said.code, 'unknown cluster column "id"' in said.err) == (2, True)


@pytest.mark.slow
def test_the_bundled_suite_speaks_with_another_engine(workspace: Workspace) -> None:
    """`relkit eval speech` works in a fresh workspace, and the engine can be changed by name."""
    needs("flite")
    path = workspace.folder / "eval" / "suites" / "speech.yaml"
    few = path.read_text().replace("channel: wideband", "voice: [flite-slt, flite-rms]")
    path.write_text(few, encoding="utf-8")  # the suite as it is, on a few of its texts
    said = workspace.relkit(
        "eval", "speech", "--system", "kind=flite", "--system", "voice=slt", "--json"
    )
    assert said.code == 0, said.err
    assert said.document["failures"] == 0
    metrics = said.document["slices"][0]["metrics"]
    assert metrics["leading_silence_ms.p50"]["value"] > 50
    assert metrics["wer_capped"]["value"] < 0.5
