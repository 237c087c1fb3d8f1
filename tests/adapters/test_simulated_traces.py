"""Simulated traces and calls: valid OTLP in every spelling, read back as the turns they are of."""

import base64
import json
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from relkit.adapters.otlp import TraceTurns, read_traces
from relkit.adapters.simulated import SimulatedFiles
from relkit.telemetry.simulation.run import simulate
from relkit.telemetry.simulation.scenarios import rehearsal
from relkit.telemetry.simulation.spans import OTLP_SPELLINGS, SimulatedSpan, Spelling, lines
from relkit.telemetry.simulation.traces import PRIVATE, spans_of
from relkit.telemetry.simulation.traffic import traffic
from relkit.telemetry.simulation.types import TrafficFormat, TurnColumns
from relkit.telemetry.types import MappedColumn, TelemetryOptions

HOURS: Mapping[str, Any] = {"hours": 3, "turns_per_hour": 1500, "onset_hours": 1}
SESSION = ("arm", "device", "channel", "region", "tenant_class", "success", "no_answer")
MAPPINGS: Mapping[str, Mapping[str, str]] = {
    "pipecat": {**dict(zip(SESSION, SESSION, strict=True)), "unit": "user.id"},
    "livekit": {**dict(zip(SESSION, SESSION, strict=True)), "unit": "user.id"},
    "genai": {
        **dict(zip(SESSION, SESSION, strict=True)),
        "latency_ms": "app.mouth_to_ear_ms",
    },
    "vapi": {
        name: f"assistant.metadata.{name}" for name in ("arm", "release", "device", "language")
    },
}
"""What an application adds to its spans, and the column that it is."""


def written(folder: Path, form: TrafficFormat, name: str = "equal") -> list[Path]:
    """Write a rehearsal, and return its files in the order in which they were written."""
    plan = rehearsal(name, format=form, **HOURS)
    report = simulate(plan, SimulatedFiles(folder), lambda _done, _total: None)
    return [folder / name for name in report.files]


def read(files: list[Path], form: str) -> TraceTurns:
    """Return the turns that relkit reads in files."""
    mapping = {name: MappedColumn(column=column) for name, column in MAPPINGS[form].items()}
    options = TelemetryOptions(paths=(), now="2027-01-01T00:00:00Z", mapping=mapping)
    turns = read_traces(files, options)
    assert turns.dialect == form
    assert not turns.problems
    return turns


def total(table: pa.Table, column: str) -> float:
    """Return the sum of a column."""
    return float(np.nansum(np.array(table[column].to_pylist(), float)))


@pytest.fixture(scope="module")
def turns() -> TurnColumns:
    """Give the turns of the rehearsal."""
    return traffic(rehearsal("equal", **HOURS))


def outcomes(turns: TurnColumns) -> Counter[str | None]:
    """Return how often each outcome occurs."""
    text = turns.texts("outcome")
    return Counter((*text.names, None)[code] for code in text.codes.tolist())


READ_BACK = [
    *[("pipecat", name) for name in ("latency_ms", "asr_ms", "eou_ms", "tts_ttfb_ms")],
    *[("pipecat", name) for name in ("audio_in_s", "tts_chars")],
    *[("livekit", name) for name in ("tts_ttfb_ms", "retries", "tts_chars", "audio_out_s")],
    *[("genai", name) for name in ("latency_ms", "tool_ms", "output_tokens")],
]
"""Dialect, and a column whose sum comes back but for the turns that have no outcome."""


@pytest.fixture(scope="module", params=["pipecat", "livekit", "genai", "vapi"])
def traces(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[Path], TraceTurns]:
    """Give a dialect, its files, and what relkit reads in them."""
    files = written(tmp_path_factory.mktemp("traces") / request.param, request.param)
    return request.param, files, read(files, request.param)


def test_what_is_written_is_read_as_the_turns_it_is_of(
    traces: tuple[str, list[Path], TraceTurns], turns: TurnColumns
) -> None:
    """Outcomes, arms, usage and stages come back; every dialect leaves out what it cannot say."""
    form, _, turns_read = traces
    table = turns_read.table
    expected = outcomes(turns)
    failed = expected["failed"]
    found = Counter(table["outcome"].to_pylist())
    if form in {"pipecat", "livekit"}:
        del expected[None], found[None]
        assert found == expected
    elif form == "genai":
        assert (found["failed"], table.num_rows) == (failed, len(turns))
    else:
        answered = ~np.isnan(turns.numbers("latency_ms"))
        assert table.num_rows == pytest.approx(answered.sum(), rel=0.02)
    assert (turns_read.counts.get("bad_value", 0) > 0) == (form == "livekit")
    if form != "genai":
        assert total(table, "latency_ms") == pytest.approx(
            np.nansum(turns.numbers("latency_ms")), rel=0.04
        )
    canary = turns.is_value("arm", "canary").mean()
    arms = Counter(table["arm"].to_pylist())
    assert arms["canary"] / (arms["canary"] + arms["control"]) == pytest.approx(canary, abs=0.02)
    assert set(table["release"].to_pylist()) == {"1.4.0", "1.5.0"}
    assert total(table, "input_tokens") == pytest.approx(
        turns.numbers("input_tokens").sum(), rel=0.02
    )
    for dialect, column in READ_BACK:
        if dialect == form:
            expected_sum = np.nansum(turns.numbers(column))
            assert total(table, column) == pytest.approx(expected_sum, rel=0.015), column


def test_no_text_of_people_is_read(
    traces: tuple[str, list[Path], TraceTurns],
) -> None:
    """It stands in most spans, and nowhere in what was read."""
    _, files, turns_read = traces
    table = turns_read.table
    assert sum(file.read_text().count(PRIVATE) for file in files) > table.num_rows / 2
    assert PRIVATE not in json.dumps(table.to_pydict(), default=str)


def spans_in(files: list[Path]) -> list[tuple[str, int, str]]:
    """Return file, line and trace (in hex) of every span."""
    found = []
    for file in files:
        for number, line in enumerate(file.read_text().splitlines()):
            document = json.loads(line)
            for part in document.get("resourceSpans") or document["resource_spans"]:
                for scope in part.get("scopeSpans") or part["scope_spans"]:
                    for span in scope["spans"]:
                        trace = span.get("traceId") or span["trace_id"]
                        if len(trace) != 32:
                            trace = base64.b64decode(trace).hex()
                        found.append((file.name, number, trace))
    return found


def test_spans_of_a_session_lie_on_many_lines_and_in_several_files(tmp_path: Path) -> None:
    """A line mixes sessions, and some exports come after the next rotation."""
    spans = spans_in(written(tmp_path / "t", "pipecat"))
    places: dict[str, set[tuple[str, int]]] = {}
    for file, line, trace in spans:
        places.setdefault(trace, set()).add((file, line))
    assert np.mean([len(lines) for lines in places.values()]) > 5
    assert sum(len({file for file, _ in lines}) > 1 for lines in places.values()) > 20
    sessions = Counter((file, line) for file, line, _ in set(spans))
    assert sum(count > 1 for count in sessions.values()) > 50


def test_files_differ_in_their_spelling(tmp_path: Path) -> None:
    """Keys, ids and numbers occur in every spelling, file by file."""
    heads = [file.read_text() for file in written(tmp_path / "t", "genai")]
    assert any('"resource_spans"' in text for text in heads)
    assert any('"intValue":"' in text for text in heads)
    assert any('"intValue":4' in text for text in heads)
    assert any("STATUS_CODE_ERROR" in text for text in heads)


def parsed(text: str, spelling: Spelling) -> TracesData:
    """Return a line as OpenTelemetry's own protobuf reads it; OTLP's ids in hex are its own."""
    document = json.loads(text)

    def with_base64(value: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, list):
            return [with_base64(part) for part in value]
        if not isinstance(value, dict):
            return value
        return {
            key: base64.b64encode(bytes.fromhex(part)).decode()
            if key in {"traceId", "spanId", "parentSpanId"}
            else with_base64(part)
            for key, part in value.items()
        }

    traces = TracesData()
    ParseDict(document if spelling.base64_ids else with_base64(document), traces)
    return traces


@pytest.mark.parametrize("form", ["pipecat", "livekit", "genai"])
def test_every_spelling_is_the_same_valid_otlp(form: TrafficFormat, turns: TurnColumns) -> None:
    """OpenTelemetry's protobuf takes all fields, and they are equal."""
    exports = [spans_of(form, turns.take(np.arange(40)))]
    first, *others = [
        [parsed(text, spelling) for text in lines(exports, spelling)] for spelling in OTLP_SPELLINGS
    ]
    assert sum(len(scope.spans) for scope in first[0].resource_spans[0].scope_spans) > 0
    assert all(other == first for other in others)


def test_children_lie_inside_the_trace_of_their_turn(turns: TurnColumns) -> None:
    """Every parent exists, ids occur once, and no span ends before it begins."""
    spans = spans_of("livekit", turns.take(turns.times("_number") >= 0))
    by_id: dict[str, SimulatedSpan] = {span.id: span for span in spans}
    assert len(by_id) == len(spans)
    assert all(span.end >= span.start > 0 for span in spans)
    ended = {span.trace for span in spans if not span.parent}
    orphans = [span for span in spans if span.parent and span.parent not in by_id]
    unanswered = [span for span in orphans if span.trace in ended]
    assert not unanswered


def test_pipecat_has_its_known_defects(turns: TurnColumns) -> None:
    """Spans of speech recognition last under 1 ms, and a call's end interrupts its last turn."""
    spans = spans_of("pipecat", turns)
    assert max(span.end - span.start for span in spans if span.name == "stt") < 1_000_000
    cut = [
        span
        for span in spans
        if span.attributes.get("turn.ended_by_conversation_end")
        and "turn.user_bot_latency_seconds" in span.attributes
    ]
    assert len(cut) > 10
    assert all(span.attributes["turn.was_interrupted"] for span in cut)


def test_livekit_has_the_values_of_older_versions(turns: TurnColumns) -> None:
    """-1, 0.0, minutes and Unix times stand in delays of the control, and only there."""
    spans = spans_of("livekit", turns)
    odd = {
        (span.resource["service.version"], name, kind)
        for span in spans
        for name in ("lk.response.ttft", "lk.e2e_latency", "lk.end_of_turn_delay")
        if isinstance(delay := span.attributes.get(name), float)
        for kind, is_odd in (
            ("minus", delay == -1.0),
            ("zero", delay == 0.0),
            ("minutes", 60 < delay < 1e6),
            ("unix", delay > 1e9),
        )
        if is_odd
    }
    assert {kind for _, _, kind in odd} == {"minus", "zero", "minutes", "unix"}
    assert {release for release, _, kind in odd if kind != "minus"} == {"1.4.0"}


def test_a_duplicated_file_adds_no_turn(tmp_path: Path) -> None:
    """The copy has another name and the same spans."""
    plan = rehearsal("duplicate-files", format="pipecat", hours=7, turns_per_hour=400)
    report = simulate(plan, SimulatedFiles(tmp_path / "t"), lambda _done, _total: None)
    copies = [name for name in report.files if ".again." in name]
    assert copies
    files = [tmp_path / "t" / name for name in report.files]
    without = [file for file in files if file.name not in copies]
    doubled = read(files, "pipecat")
    assert doubled.counts["duplicate_spans"] > 100
    assert doubled.table.num_rows == read(without, "pipecat").table.num_rows


def test_call_records_are_written_when_the_call_has_ended(tmp_path: Path) -> None:
    """A call stands in the file of the hour in which it ended, once, with all its turns."""
    files = written(tmp_path / "t", "vapi")
    ids = []
    for file, (begin, end) in zip(files, pairwise(range(4)), strict=True):
        for line in file.read_text().splitlines():
            call = json.loads(line)
            ids.append(call["id"])
            assert begin <= int(call["endedAt"][11:13]) < end
            messages = [message["role"] for message in call["artifact"]["messages"]]
            latencies = call["artifact"]["performanceMetrics"]["turnLatencies"]
            assert messages.count("bot") == len(latencies)
    assert len(ids) == len(set(ids)) > 150
