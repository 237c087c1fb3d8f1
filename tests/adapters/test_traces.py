"""Trace files: every dialect, spelling and defect gives the turns that it stands for."""

import base64
import gzip
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relkit.adapters import otlp
from relkit.core.errors import InvalidInput
from tests.trace_data import (
    CANARY,
    attribute,
    document,
    genai_trace,
    livekit_call,
    pipecat_call,
    pipecat_turn,
    read,
    rows,
    span,
    vapi_call,
    write_lines,
)

Json = dict[str, Any]


def test_pipecat_turns_with_stages_usage_and_labels(tmp_path: Path) -> None:
    """Latency is pipecat's own, stages and usage come from the services below a turn."""
    file = write_lines(tmp_path / "t.jsonl", [document(pipecat_call())])
    turns = read(file)
    assert turns.dialect == "pipecat"
    assert len(rows(turns)) == 3
    first = rows(turns)[0]
    del first["ts"], first["session"], first["turn_id"]
    assert first == {
        "release": "1.4.0",
        "ok": True,
        "outcome": "completed",
        "latency_ms": 900.0,
        "asr_ms": 200.0,
        "llm_ttft_ms": 300.0,
        "tts_ttfb_ms": 100.0,
        "model": "gpt-4o-mini",
        "provider": "openai",
        "input_tokens": 500.0,
        "output_tokens": 40.0,
        "cache_read_tokens": 100.0,
        "tts_chars": 120.0,
        "language": "en",
        "stages_exceed": False,
    }


@pytest.mark.parametrize(
    ("attributes", "outcome"),
    [
        ({"turn__was_interrupted": True}, "interrupted"),
        ({"turn__was_interrupted": True, "turn__ended_by_conversation_end": True}, "completed"),
        (
            {"turn__user_bot_latency_seconds": -1, "turn__ended_by_conversation_end": True},
            "abandoned",
        ),
    ],
)
def test_outcomes_of_pipecat(tmp_path: Path, attributes: Json, outcome: str) -> None:
    """Spoken over, answered before the call ended, left before an answer."""
    file = write_lines(tmp_path / "t.jsonl", [document(pipecat_turn(1, **attributes))])
    assert rows(read(file))[0]["outcome"] == outcome


def test_a_model_that_failed_is_a_failed_turn(tmp_path: Path) -> None:
    """The last attempt counts, and a turn of which nothing is known has no outcome."""
    spans = pipecat_turn(1)
    spans[2]["status"] = {"code": "STATUS_CODE_ERROR"}
    silent = span("turn", 50, trace=2, turn__number=1)
    turns = rows(read(write_lines(tmp_path / "t.jsonl", [document([*spans, silent])])))
    assert {(turn.get("outcome"), turn.get("ok")) for turn in turns} == {
        ("failed", False),
        (None, None),
    }


def test_livekit_turns_of_speeches(tmp_path: Path) -> None:
    """A reply with a tool is one turn; its user's turn brings delays; a silent end is abandoned."""
    turns = read(write_lines(tmp_path / "t.jsonl", [document(livekit_call())]))
    assert turns.dialect == "livekit"
    greeting, answer, unanswered, interrupted, left = rows(turns)
    assert "outcome" not in unanswered
    assert greeting["outcome"] == "completed"
    assert "latency_ms" not in greeting
    assert answer["latency_ms"] == 1900.0
    assert answer["asr_ms"] == 250.0
    assert answer["eou_ms"] == pytest.approx(350.0)
    assert answer["llm_ttft_ms"] == 300.0
    assert answer["tool_ms"] == pytest.approx(200.0)
    assert answer["tts_ttfb_ms"] == 150.0
    assert answer["retries"] == 1.0
    assert (answer["input_tokens"], answer["cache_read_tokens"]) == (600.0, 50.0)
    assert (answer["tts_chars"], answer["audio_out_s"]) == (80.0, 4.5)
    assert interrupted["outcome"] == "interrupted"
    assert "latency_ms" not in interrupted
    assert left["outcome"] == "abandoned"


def test_genai_adds_calls_and_not_their_sum(tmp_path: Path) -> None:
    """Usage that the whole repeats counts once; the turn is the agent, tools have a time."""
    turns = read(write_lines(tmp_path / "t.jsonl", [document(genai_trace())]))
    (turn,) = rows(turns)
    assert turns.dialect == "genai"
    assert (turn["input_tokens"], turn["output_tokens"]) == (200.0, 40.0)
    assert (turn["llm_ttft_ms"], turn["tool_ms"]) == (400.0, 500.0)
    assert (turn["model"], turn["provider"]) == ("claude-sonnet", "anthropic")
    assert turn["outcome"] == "completed"
    failed = read(write_lines(tmp_path / "u.jsonl", [document(genai_trace(error__type="timeout"))]))
    assert rows(failed)[0]["ok"] is False


def test_old_genai_names_in_a_trace_without_agent(tmp_path: Path) -> None:
    """``prompt_tokens`` and ``completion_tokens`` are input and output; the trace is the turn."""
    chat = span(
        "openai.chat",
        1,
        gen_ai__system="openai",
        gen_ai__request__model="gpt-4o",
        gen_ai__usage__prompt_tokens=70,
        gen_ai__usage__completion_tokens=7,
    )
    (turn,) = rows(read(write_lines(tmp_path / "t.jsonl", [document([chat])])))
    assert (turn["input_tokens"], turn["output_tokens"], turn["model"]) == (70.0, 7.0, "gpt-4o")


def test_vapi_calls(tmp_path: Path) -> None:
    """Each latency of a call is a turn; its usage, cost and success stand on the last one."""
    file = tmp_path / "calls.json"
    file.write_text(json.dumps([vapi_call(), vapi_call("call-2", endedReason="pipeline-error")]))
    turns = read(file, mapping={"language": "assistant.transcriber.language"})
    assert turns.dialect == "vapi"
    assert turns.counts["bad_value"] == 2
    assert len(rows(turns)) == 5
    first = next(turn for turn in rows(turns) if "latency_ms" in turn)
    assert (first["latency_ms"], first["eou_ms"], first["llm_ttft_ms"]) == (1200.0, 300.0, 450.0)
    assert first["language"] == "de"
    last = next(turn for turn in rows(turns) if turn.get("cost") and turn["ok"])
    assert (last["cost"], last["currency"], last["success"]) == (0.12, "USD", True)
    assert (last["input_tokens"], last["tts_chars"], last["model"]) == (900.0, 400.0, "gpt-4o")
    assert sum(not turn["ok"] for turn in rows(turns)) == 1


def test_a_call_that_failed_before_a_turn_is_a_failed_turn(tmp_path: Path) -> None:
    """Failures do not vanish with their latencies; who never spoke has no turn, who did has one."""
    reasons = ("call.start.error-get-transport", "customer-did-not-answer")
    calls = [vapi_call(reason, endedReason=reason, artifact={}) for reason in reasons]
    unanswered = {"messages": [{"role": "bot"}, {"role": "user"}]}
    calls.append(vapi_call("unanswered", artifact=unanswered))
    turns = rows(read(write_lines(tmp_path / "c.jsonl", calls)))
    assert sorted(str(turn.get("outcome")) for turn in turns) == ["None", "failed"]


def test_records_of_before_latencies_were_published_have_their_turns(tmp_path: Path) -> None:
    """Answers are counted by role and time alone, and have no latency."""
    call = vapi_call()
    del call["artifact"]["performanceMetrics"]
    turns = rows(read(write_lines(tmp_path / "c.jsonl", [call])))
    assert [turn["outcome"] for turn in turns] == ["completed"] * 2
    assert not any("latency_ms" in turn for turn in turns)
    assert turns[0]["ts"] < turns[1]["ts"]


def _respell(value: Any, draw: random.Random) -> Any:  # noqa: ANN401 - JSON
    """Return a document in other spellings: keys, ids and integers."""
    if isinstance(value, list):
        return [_respell(element, draw) for element in value]
    if not isinstance(value, dict):
        return value
    written = {}
    snake = draw.random() < 0.5
    for key, inner in value.items():
        again = _respell(inner, draw)
        if key in {"traceId", "spanId", "parentSpanId"} and inner and draw.random() < 0.5:
            again = base64.b64encode(bytes.fromhex(inner)).decode()
        elif key in {"traceId", "spanId", "parentSpanId"} and draw.random() < 0.3:
            again = inner.upper()
        elif key in {"intValue", "startTimeUnixNano", "endTimeUnixNano"} and draw.random() < 0.5:
            again = int(inner)
        spelled = "".join("_" + c.lower() if c.isupper() else c for c in key) if snake else key
        written[spelled] = again
    return written


def _shuffled(draw: random.Random, folder: Path, spans: list[Json]) -> list[Path]:
    """Write spans in any order over lines and files, some twice, in any spelling."""
    spans = spans.copy()
    draw.shuffle(spans)
    files: list[list[Json]] = [[] for _ in range(draw.randint(1, 4))]
    while spans:
        size = draw.randint(1, 6)
        draw.choice(files).append(_respell(document(spans[:size]), draw))
        spans = spans[size:]
    return [
        write_lines(folder / f"{draw.random()}.{i}.jsonl", lines)
        for i, lines in enumerate(files)
        if lines
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), most=st.sampled_from([3, 40, 10**6]))
def test_turns_are_the_same_in_any_order_spelling_and_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, most: int
) -> None:
    """Order, lines, files, key case, id and number spelling, and memory change no turn."""
    spans = [
        *pipecat_call(trace=1),
        *pipecat_call(trace=2),
        *livekit_call(trace=3),
        *genai_trace(trace=4),
    ]
    expected = read(write_lines(tmp_path / "plain.jsonl", [document(spans)]))
    monkeypatch.setattr(otlp, "MOST_SPANS", most)
    draw = random.Random(seed)  # noqa: S311 - no secret
    turns = read(*_shuffled(draw, tmp_path, spans))
    monkeypatch.undo()
    assert turns.table.equals(expected.table)
    assert turns.counts == expected.counts


def test_a_file_read_twice_counts_once(tmp_path: Path) -> None:
    """A rotated copy changes the count of duplicates and nothing else."""
    file = write_lines(tmp_path / "a.jsonl", [document(pipecat_call())])
    copy = write_lines(tmp_path / "b.jsonl", [document(pipecat_call())])
    once, twice = read(file), read(file, copy)
    assert twice.table.equals(once.table)
    assert twice.counts["duplicate_spans"] == len(pipecat_call())
    assert twice.counts["duplicate"] == 3


def _framed(lines: list[bytes], *, compress: bool) -> bytes:
    packed = [_zstd(line) if compress else line for line in lines]
    return b"".join(len(line).to_bytes(4, "big") + line for line in packed)


def _zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def test_compressed_framed_and_whole_documents(tmp_path: Path) -> None:
    """Gzip, zstd, the exporter's frames, an array and a pretty-printed document read the same."""
    documents = [document(pipecat_call(trace=i)) for i in range(3)]
    lines = [json.dumps(line).encode() for line in documents]
    text = b"".join(line + b"\n" for line in lines)
    forms = {
        "plain.jsonl": text,
        "windows.jsonl": b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"),
        "a.json.gz": gzip.compress(text[: len(text) // 2]) + gzip.compress(text[len(text) // 2 :]),
        "a.json.zst": _zstd(text),
        "frames.zst": _framed(lines, compress=True),
        "frames.json": _framed(lines, compress=False),
        "array.json": b"[" + b",".join(lines) + b"]",
        "pretty.json": json.dumps(documents, indent=2).encode(),
    }
    tables = []
    for name, data in forms.items():
        (tmp_path / name).write_bytes(data)
        turns = read(tmp_path / name)
        assert not turns.problems, name
        assert otlp.holds_traces(tmp_path / name), name
        tables.append(turns.table)
    assert all(table.equals(tables[0]) for table in tables)


def test_what_cannot_be_read_is_said_with_its_line(tmp_path: Path) -> None:
    """Half a line, a broken one, metrics, spans without ids: a problem each; the rest counts."""
    good = json.dumps(document(pipecat_call()))
    lost = span("turn", 1)
    del lost["traceId"]
    metrics = json.dumps({"resourceMetrics": []})
    lines = [good, '{"resourceSpans": oops}', metrics, json.dumps(document([lost])), good[:200]]
    file = tmp_path / "t.jsonl"
    file.write_text("\n".join(lines))
    turns = read(file)
    assert len(rows(turns)) == 3
    said = [f"{problem.where}: {problem.message}" for problem in turns.problems]
    assert "t.jsonl: 1 line of metrics, not of traces: not read" in said
    assert any(text.startswith("t.jsonl, line 2: not JSON") for text in said)
    assert "t.jsonl, line 5: the last line is cut off: half a JSON document" in said
    assert any("1 span without a trace and span id" in text for text in said)


@pytest.mark.parametrize("form", ["gzip", "zstd", "frames"])
def test_a_cut_file_gives_what_was_whole_and_a_problem(tmp_path: Path, form: str) -> None:
    """The documents before the cut count, and the cut is said."""
    rng = random.Random(1)  # noqa: S311 - no secret
    lines = [
        json.dumps(
            document([*pipecat_call(trace=i), span("x", 5, noise=rng.randbytes(3000).hex())])
        )
        for i in range(1, 60)
    ]
    text = "".join(line + "\n" for line in lines).encode()
    packed = {
        "gzip": lambda: gzip.compress(text),
        "zstd": lambda: _zstd(text),
        "frames": lambda: _framed([line.encode() for line in lines], compress=True),
    }[form]()
    file = tmp_path / f"t.{form}"
    file.write_bytes(packed[: len(packed) * 3 // 4])
    turns = read(file)
    assert 0 < len(rows(turns)) < 59 * 3
    assert any("cut off" in problem.message for problem in turns.problems)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\x0a\x8e\x05\x0a\x20\x0a\x1e\x00\xff", "protobuf"),
        ((120).to_bytes(4, "big") + b"\x0a\x76\x0a\x20" + b"\x00" * 116, "protobuf"),
        (b'{"resourceSpans": [\n', "line 1"),
        (b"hello\n", "line 1: not JSON"),
        (b'{"resourceSpans": "text"}\n', "line 1"),
        (b"[" * 3000, "line 1"),
        (
            b'{"resourceSpans": [{"resource": {"attributes": [{"key": "x", "value": NaN}]}}]}',
            "line 1",
        ),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    """A file in which nothing can be read is refused by name and line, protobuf with a hint."""
    file = tmp_path / "t.json"
    file.write_bytes(data)
    with pytest.raises(InvalidInput, match=message) as refused:
        read(file)
    assert "t.json" in refused.value.message


def test_spans_of_nobody_are_said_to_be_no_turns(tmp_path: Path) -> None:
    """HTTP spans make no turn, and that is a problem, never silence."""
    turns = read(write_lines(tmp_path / "t.jsonl", [document([span("GET /", 1)])]))
    assert turns.table.num_rows == 0
    assert "no turn in 1 span" in turns.problems[0].message


def test_sentinels_are_no_values_and_are_counted(tmp_path: Path) -> None:
    """-1, 0.0, over a minute, Unix times and texts are missing, and each is counted."""
    bad = [-1, 0.0, 61.0, 1.79e9, "soon"]
    spans = [
        part
        for i, value in enumerate(bad)
        for part in pipecat_turn(10 * i + 1, trace=i + 1, turn__user_bot_latency_seconds=value)
    ]
    turns = read(write_lines(tmp_path / "t.jsonl", [document(spans)]))
    assert turns.counts["bad_value"] == len(bad)
    assert not any("latency_ms" in turn for turn in rows(turns))


def test_stages_beyond_the_whole_are_flagged(tmp_path: Path) -> None:
    """A latency shorter than its stages is flagged on the turn and said once."""
    spans = pipecat_turn(1, turn__user_bot_latency_seconds=0.4)
    turns = read(write_lines(tmp_path / "t.jsonl", [document(spans)]))
    assert rows(turns)[0]["stages_exceed"] is True
    assert [problem.code for problem in turns.problems] == ["stages_exceed"]


def test_a_source_that_reports_net_input_is_made_inclusive(tmp_path: Path) -> None:
    """One call with more cache than input proves it for all calls of the model, and it is said."""

    def chat(trace: int, cached: int) -> Json:
        return span(
            "chat",
            1,
            trace=trace,
            gen_ai__operation__name="chat",
            gen_ai__request__model="claude",
            gen_ai__usage__input_tokens=100,
            gen_ai__usage__output_tokens=10,
            gen_ai__usage__cache_creation__input_tokens=cached,
        )

    file = write_lines(tmp_path / "t.jsonl", [document([chat(1, 900), chat(2, 50)])])
    turns = read(file)
    assert sorted(turn["input_tokens"] for turn in rows(turns)) == [150.0, 1000.0]
    assert turns.counts["made_inclusive"] == 2
    assert [problem.code for problem in turns.problems] == ["net_tokens"]


def test_mapping_reads_from_span_conversation_and_resource(tmp_path: Path) -> None:
    """What a mapping names becomes its column: text, flag, number, unit; nothing else is read."""
    spans = pipecat_call()
    spans[-1]["attributes"] += [attribute("app.arm", "canary"), attribute("app.vip", value=True)]
    spans[0]["attributes"] += [attribute("app.snr", 12), attribute("user.id", "ada")]
    file = write_lines(tmp_path / "t.jsonl", [document(spans, app__build=7, host__name="h")])
    names = {"arm": "app.arm", "vip": "app.vip", "snr_db": "app.snr", "unit": "user.id"}
    turns = read(file, mapping={**names, "release": "app.build"})
    first = rows(turns)[0]
    assert (first["arm"], first["vip"], first["snr_db"]) == ("canary", True, 12.0)
    assert first["release"] == "7"
    assert isinstance(first["unit"], int)
    assert "host.name" not in turns.table.column_names


def test_what_a_mapping_names_and_no_turn_has_is_said(tmp_path: Path) -> None:
    """A misspelt attribute is a problem of its column; one that is there is none."""
    file = write_lines(tmp_path / "t.jsonl", [document(pipecat_call(), app__build=7)])
    turns = read(file, mapping={"arm": "app.amr", "release": "app.build"})
    said = [(problem.where, problem.message) for problem in turns.problems]
    assert said == [("arm", "no turn has app.amr, which the mapping names")]


def test_nothing_that_people_said_or_are_called_comes_out(tmp_path: Path) -> None:
    """A canary in every text, name and id of the traces is nowhere in the written bytes."""
    files = [
        write_lines(tmp_path / "p.jsonl", [document(pipecat_call(), host__user=CANARY)]),
        write_lines(tmp_path / "l.jsonl", [document(livekit_call(trace=2))]),
        write_lines(tmp_path / "g.jsonl", [document(genai_trace(trace=3))]),
        write_lines(tmp_path / "v.jsonl", [vapi_call(CANARY)]),
    ]
    turns = read(*files)
    out = tmp_path / "out.parquet"
    pq.write_table(turns.table, out, compression="none", use_dictionary=False)
    said = out.read_bytes() + repr(turns).encode()
    assert b"CANARY" not in said
    assert b"Lovelace" not in said
    assert b"call-1" not in said
    assert len(rows(turns)) == 3 + 5 + 1 + 2


def test_ids_are_hashed_with_the_key(tmp_path: Path) -> None:
    """The same key gives the same ids, another one others; the shape of a call stays."""
    file = write_lines(tmp_path / "t.jsonl", [document(pipecat_call())])
    same, again = read(file), read(file)
    other = read(file, key=b"o" * 32)
    assert same.table["session"].equals(again.table["session"])
    assert not same.table["session"].equals(other.table["session"])
    assert len(set(other.table["session"].to_pylist())) == 1


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def _places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the way to every value inside a JSON document."""
    inside: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    return [path, *(place for key, inner in inside for place in _places(inner, (*path, key)))]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_stands_in_a_trace_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Any value in any place of a trace or call gives turns or one clear error, no traceback."""
    kinds = (
        document(pipecat_call()),
        document(livekit_call()),
        document(genai_trace()),
        vapi_call(),
    )
    odd: Any = json.loads(json.dumps(data.draw(st.sampled_from(kinds))))
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(_places(odd)[1:]))
        holder = odd
        for key in way:
            holder = holder[key]
        holder[last] = data.draw(JSON_VALUES)
    file = tmp_path / "odd.jsonl"
    write_lines(file, [odd, document(pipecat_call(trace=8))])
    turns = read(file)
    assert turns.table.num_rows >= 3
    file.write_text(json.dumps(odd))
    with suppress(InvalidInput):
        read(file)
