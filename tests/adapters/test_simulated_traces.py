"""Simulated traffic, written as traces and call records, is read back as the turns that it was."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from relkit.adapters.otlp import TraceTurns
from relkit.telemetry.simulation.scenarios import rehearsal
from relkit.telemetry.simulation.traces import PRIVATE
from relkit.telemetry.simulation.types import TrafficFormat
from relkit.wiring.simulation import simulate_telemetry
from tests.trace_data import read, rows

Row = dict[str, Any]

APPLICATION = ("arm", "device", "channel", "region", "tenant_class")
MAPPING: Mapping[TrafficFormat, dict[str, str]] = {
    "pipecat": {name: name for name in (*APPLICATION, "no_answer", "empty")},
    "livekit": {name: name for name in (*APPLICATION, "no_answer")},
    "genai": {name: name for name in (*APPLICATION, "no_answer", "outcome")}
    | {"latency_ms": "app.mouth_to_ear_ms"},
    "vapi": {name: f"assistant.metadata.{name}" for name in (*APPLICATION, "release", "language")},
}
EXTRA = ("environment", "stages_exceed", "session", "turn_id", "unit", "model", "provider")
"""What the traces have and the turn table has not, or not for turns that nobody answered."""


def simulated(folder: Path, form: TrafficFormat, scenario: str = "equal") -> list[Path]:
    """Write an hour of traffic; return its files."""
    plan = rehearsal(scenario, turns=300, hours=1, seed=5, format=form)
    simulate_telemetry(folder, plan, lambda _done, _total: None)
    return sorted(file for file in folder.iterdir() if file.name != "scenario.json")


def truth(folder: Path) -> list[Row]:
    """Return the turns of the same traffic as a table."""
    return [row for file in simulated(folder, "turns") for row in pq.read_table(file).to_pylist()]


def agree(read_value: object, true_value: object) -> bool:
    """Tell whether two values are the same but for the nanoseconds of a span."""
    if isinstance(read_value, float) and isinstance(true_value, int | float):
        return math.isclose(read_value, true_value, rel_tol=1e-5, abs_tol=1e-6)
    return read_value == true_value


@pytest.mark.parametrize("form", ["pipecat", "livekit", "genai"])
def test_traces_are_read_back_as_the_turns_that_they_were(
    tmp_path: Path, form: TrafficFormat
) -> None:
    """Every turn is there once, and what is read of it is what was written."""
    turns = read(*simulated(tmp_path / "traces", form), mapping=MAPPING[form])
    true = truth(tmp_path / "turns")
    assert turns.dialect == form
    assert not turns.problems
    assert turns.table.num_rows == len(true)
    assert len(set(turns.table["session"].to_pylist())) == len({row["session"] for row in true})
    by_end = {row["ts"]: row for row in true}
    compared = 0
    for row in rows(turns):
        written = by_end.get(row["ts"])
        if written is None:  # the user's turn that nobody answered ends where it was decided
            assert (form, row["outcome"]) == ("livekit", "abandoned")
            continue
        compared += 1
        wrong = {
            name: (value, written[name])
            for name, value in row.items()
            if name not in EXTRA and not agree(value, written[name])
        }
        assert not wrong
    assert compared > 0.95 * len(true)


def test_delays_that_older_livekit_did_not_measure_are_missing(tmp_path: Path) -> None:
    """The control's odd delays are no values, each is counted, and the canary lacks none."""
    turns = read(*simulated(tmp_path / "traces", "livekit"))
    heard = {row["ts"] for row in truth(tmp_path / "turns") if row["latency_ms"] is not None}
    missing = {
        arm: sum(
            "latency_ms" not in row
            for row in rows(turns)
            if row["release"] == release and row["ts"] in heard
        )
        for arm, release in (("control", "1.4.0"), ("canary", "1.5.0"))
    }
    assert missing["control"] > 0
    assert missing["canary"] == 0
    assert turns.counts["bad_value"] > missing["control"]


def test_call_records_are_read_back(tmp_path: Path) -> None:
    """Latencies turn by turn, usage and cost call by call, failures with their turn."""
    files = simulated(tmp_path / "calls", "vapi")
    calls = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    turns = rows(read(*files, mapping=MAPPING["vapi"]))
    true = {
        round(row["latency_ms"], 6): row for row in truth(tmp_path / "turns") if row["latency_ms"]
    }
    answered = [row for row in turns if "latency_ms" in row]
    assert len(answered) > 0.9 * len(true)  # calls that go on have no record yet
    for row in answered:
        written = true[round(row["latency_ms"], 6)]
        for name in ("ts", "eou_ms", "asr_ms", "llm_ttft_ms", "tts_ttfb_ms", "arm", "release"):
            assert agree(row.get(name), written[name]), name
    for column, key in (("cost", "total"), ("input_tokens", "llmPromptTokens")):
        written_sum = sum(call["costBreakdown"][key] for call in calls)
        assert sum(row.get(column, 0.0) for row in turns) == pytest.approx(written_sum)
    failed = sum("error" in call["endedReason"] for call in calls)
    assert sum(row.get("outcome") == "failed" for row in turns) == failed


@pytest.mark.parametrize("form", ["pipecat", "livekit", "genai", "vapi"])
def test_files_that_were_delivered_twice_change_no_turn(
    tmp_path: Path, form: TrafficFormat
) -> None:
    """Copies under other names are counted as duplicates."""
    files = simulated(tmp_path / "a", form)
    copies = [file.with_name(f"copy-{file.name}") for file in files]
    for file, copy in zip(files, copies, strict=True):
        copy.write_bytes(file.read_bytes())
    once, twice = read(*files), read(*files, *copies)
    assert twice.table.equals(once.table)
    assert twice.counts["duplicate"] == once.table.num_rows
    assert once.counts["duplicate"] == 0


@pytest.mark.parametrize("form", ["pipecat", "livekit", "genai", "vapi"])
def test_no_made_up_person_comes_out(tmp_path: Path, form: TrafficFormat) -> None:
    """The name that stands in every transcript, prompt and argument is nowhere in the table."""
    files = simulated(tmp_path / "a", form)
    assert all(PRIVATE in file.read_text() for file in files)
    turns: TraceTurns = read(*files, mapping=MAPPING[form])
    out = tmp_path / "out.parquet"
    pq.write_table(turns.table, out, compression="none", use_dictionary=False)
    said = out.read_bytes() + repr(turns).encode()
    for word in (*PRIVATE.split(), "4930", "call-"):
        assert word.encode() not in said
