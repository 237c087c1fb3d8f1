"""Traces as senders write them: OTLP JSON of pipecat, LiveKit and GenAI, and Vapi's records."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from relkit.adapters.otlp import TraceTurns, read_traces
from relkit.telemetry.types import MappedColumn, TelemetryOptions

Json = dict[str, Any]

START = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
KEY = b"k" * 32

CANARY = "CANARY-8f2a please call Ada Lovelace"
"""A text that must not come out of anything."""


def attribute(name: str, value: object) -> Json:
    """Return an attribute as OTLP JSON has it: 64-bit integers are strings."""
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    written = str(value) if type(value) is int else value
    return {"key": name, "value": {kinds[type(value)]: written}}


def span(
    name: str,
    number: int,
    parent: int = 0,
    *,
    trace: int = 1,
    start: float = 0.0,
    end: float = 1.0,
    failed: bool = False,
    **attributes: Any,  # noqa: ANN401 - as JSON
) -> Json:
    """Return a span; ids are numbers, times seconds, ``__`` in names of attributes is a dot."""
    return {
        "traceId": f"{trace:032x}",
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": name,
        "startTimeUnixNano": str(START + round(start * SECOND)),
        "endTimeUnixNano": str(START + round(end * SECOND)),
        "status": {"code": 2} if failed else {},
        "attributes": [
            attribute(key.replace("__", "."), value) for key, value in attributes.items()
        ],
    }


def document(spans: Iterable[Json], **resource: object) -> Json:
    """Return a document of one resource."""
    named = {"service__version": "1.4.0"} | resource
    attributes = [attribute(key.replace("__", "."), value) for key, value in named.items()]
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": attributes},
                "scopeSpans": [{"scope": {"name": "tests"}, "spans": list(spans)}],
            }
        ]
    }


def pipecat_turn(
    number: int,
    *,
    trace: int = 1,
    start: float = 0.0,
    **attributes: Any,  # noqa: ANN401 - as JSON
) -> list[Json]:
    """Return the spans of a turn of pipecat 1.x, with ids from ``number`` on; text is a canary."""
    usage: Json = {
        "gen_ai__usage__input_tokens": 500,
        "gen_ai__usage__output_tokens": 40,
        "gen_ai__usage__cache_read_input_tokens": 100,
    }
    at: Json = {"trace": trace, "start": start}
    own = {"turn__user_bot_latency_seconds": 0.9, "turn__was_interrupted": False} | attributes
    return [
        span("turn", number, 999, trace=trace, start=start, end=start + 3.0, turn__number=1)
        | {"attributes": [attribute(key.replace("__", "."), value) for key, value in own.items()]},
        span(
            "stt",
            number + 1,
            number,
            **at,
            end=start + 0.0005,
            metrics__ttfb=0.2,
            transcript=CANARY,
            user_id=CANARY,
            language="en",
        ),
        span(
            "llm",
            number + 2,
            number,
            **at,
            end=start + 1.0,
            metrics__ttfb=0.3,
            input=CANARY,
            output=CANARY,
            tools=CANARY,
            gen_ai__system_instructions=CANARY,
            gen_ai__provider__name="openai",
            gen_ai__request__model="gpt-4o-mini",
            **usage,
        ),
        span(
            "tts",
            number + 3,
            number,
            **at,
            end=start + 2.0,
            metrics__ttfb=0.1,
            metrics__character_count=120,
            text=CANARY,
        ),
    ]


def pipecat_call(trace: int = 1, turns: int = 3) -> list[Json]:
    """Return the spans of a conversation, the one of the whole last, as they are exported."""
    spans = [
        part for i in range(turns) for part in pipecat_turn(1 + 10 * i, trace=trace, start=10.0 * i)
    ]
    whole = span(
        "conversation",
        999,
        trace=trace,
        end=10.0 * turns,
        conversation__id=f"call-{trace}-{CANARY}",
    )
    return [*spans, whole]


def livekit_call(trace: int = 1) -> list[Json]:
    """Return a session of LiveKit: a greeting, an answer with a tool, an interrupted one."""
    at: Json = {"trace": trace}
    usage: Json = {"gen_ai__usage__input_tokens": 300, "gen_ai__usage__output_tokens": 30}
    cached: Json = {
        "gen_ai__usage__cache_read__input_tokens": 50,
        "gen_ai__usage__input_cached_tokens": 50,
    }
    figures = json.dumps({"characters_count": 80, "audio_duration": 4.5, "label": CANARY})
    model: Json = {"gen_ai__request__model": "gpt-4.1", "gen_ai__provider__name": "openai"}
    return [
        span("agent_session", 1, **at, end=60.0, lk__pii__room_name=CANARY),
        span("agent_turn", 2, 1, **at, start=0.0, end=2.0, lk__speech_id="s1"),
        span("tts_node", 3, 2, **at, start=0.1, end=2.0, lk__response__ttfb=0.1),
        span(
            "user_turn",
            10,
            1,
            **at,
            start=5.0,
            end=8.0,
            lk__pii__user_transcript=CANARY,
            lk__transcription_delay=0.25,
            lk__end_of_turn_delay=0.6,
        ),
        span(
            "agent_turn",
            11,
            1,
            **at,
            start=8.0,
            end=9.0,
            lk__speech_id="s2",
            lk__pii__user_input=CANARY,
        ),
        span("llm_node", 12, 11, **at, start=8.0, end=8.5, lk__response__ttft=0.3),
        span("llm_request", 13, 12, **at, start=8.0, end=8.5, **model, **usage, **cached),
        span(
            "function_tool",
            14,
            11,
            **at,
            start=8.5,
            end=8.7,
            lk__pii__function_tool__arguments=CANARY,
        ),
        span(
            "agent_turn", 15, 1, **at, start=8.7, end=12.0, lk__speech_id="s2", lk__e2e_latency=1.9
        ),
        span("llm_node", 16, 15, **at, start=8.7, end=9.5, lk__response__ttft=-1.0),
        span("llm_request", 17, 16, **at, start=8.7, end=9.5, **model, **usage),
        span("llm_request_run", 18, 17, **at, start=8.7, end=8.8, lk__retry_count=0, failed=True),
        span("llm_request_run", 19, 17, **at, start=8.8, end=9.5, lk__retry_count=1),
        span("tts_node", 20, 15, **at, start=9.0, end=12.0, lk__response__ttfb=0.15),
        span("tts_request", 21, 20, **at, start=9.0, end=12.0, lk__tts_metrics=figures),
        span("user_turn", 30, 1, **at, start=11.0, end=13.0, lk__end_of_turn_delay=0.0),
        span("user_turn", 31, 1, **at, start=14.0, end=15.0, lk__transcription_delay=0.3),
        span(
            "agent_turn",
            32,
            1,
            **at,
            start=15.0,
            end=18.0,
            lk__speech_id="s3",
            lk__e2e_latency=1_790_000_000.0,
            lk__interrupted=True,
        ),
        span("llm_node", 33, 32, **at, start=15.0, end=16.0, lk__response__ttft=0.4),
        span("user_turn", 40, 1, **at, start=50.0, end=52.0, lk__end_of_turn_delay=0.7),
    ]


def genai_trace(trace: int = 1, **attributes: Any) -> list[Json]:  # noqa: ANN401 - as JSON
    """Return an agent's turn with a tool by the GenAI conventions; usage is also on the whole."""
    named: Json = {
        "gen_ai__operation__name": "chat",
        "gen_ai__provider__name": "anthropic",
        "gen_ai__response__model": "claude-sonnet",
        "gen_ai__input__messages": CANARY,
    }
    usage: Json = {"gen_ai__usage__input_tokens": 100, "gen_ai__usage__output_tokens": 20}
    return [
        span(
            "invoke_agent help",
            1,
            trace=trace,
            end=4.0,
            gen_ai__operation__name="invoke_agent",
            gen_ai__conversation__id="conversation-7",
            gen_ai__usage__input_tokens=200,
            gen_ai__usage__output_tokens=40,
            **attributes,
        ),
        span(
            "chat claude-sonnet",
            2,
            1,
            trace=trace,
            start=0.1,
            end=1.0,
            gen_ai__response__time_to_first_chunk=0.4,
            **named,
            **usage,
        ),
        span(
            "execute_tool lookup",
            3,
            1,
            trace=trace,
            start=1.0,
            end=1.5,
            gen_ai__operation__name="execute_tool",
            gen_ai__tool__call__arguments=CANARY,
        ),
        span("chat claude-sonnet", 4, 1, trace=trace, start=1.5, end=4.0, **named, **usage),
    ]


def vapi_call(call: str = "call-1", **parts: object) -> Json:
    """Return a finished call of Vapi with two turns."""
    latency = {
        "turnLatency": 1200,
        "endpointingLatency": 300,
        "transcriberLatency": 150,
        "modelLatency": 450,
        "voiceLatency": 200,
    }
    return {
        "id": call,
        "startedAt": "2026-09-21T10:00:00.000Z",
        "endedAt": "2026-09-21T10:02:00.000Z",
        "updatedAt": "2026-09-21T10:03:00.000Z",
        "endedReason": "customer-ended-call",
        "transcript": CANARY,
        "customer": {"number": CANARY, "name": CANARY},
        "analysis": {"summary": CANARY, "successEvaluation": "true"},
        "cost": 0.12,
        "costBreakdown": {"llmPromptTokens": 900, "llmCompletionTokens": 80, "ttsCharacters": 400},
        "costs": [{"type": "model", "model": {"provider": "openai", "model": "gpt-4o"}}],
        "assistant": {"transcriber": {"language": "de"}, "name": CANARY},
        "artifact": {
            "transcript": CANARY,
            "messages": [
                {"role": "user", "message": CANARY, "endTime": 1_789_985_000_000},
                {"role": "bot", "message": CANARY, "endTime": 1_789_985_005_000},
                {"role": "user", "message": CANARY, "endTime": 1_789_985_010_000},
                {"role": "bot", "message": CANARY, "endTime": 1_789_985_016_000},
            ],
            "performanceMetrics": {"turnLatencies": [latency, {**latency, "turnLatency": -1}]},
        },
        **parts,
    }


def write_lines(path: Path, documents: Iterable[object]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in documents), encoding="utf-8")
    return path


def read(*paths: Path, mapping: Mapping[str, str] | None = None, **options: object) -> TraceTurns:
    """Return the turns of files."""
    named: Any = {"now": "2026-12-01T00:00:00Z", "key": KEY, **options}
    columns = {name: MappedColumn(column=column) for name, column in (mapping or {}).items()}
    return read_traces(
        paths, TelemetryOptions(paths=tuple(map(str, paths)), mapping=columns, **named)
    )


def rows(turns: TraceTurns) -> Sequence[Json]:
    """Return turns as rows, without what is missing."""
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in turns.table.to_pylist()
    ]
