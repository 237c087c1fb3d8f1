"""Simulated turns as spans of pipecat, of livekit-agents and by OpenTelemetry's GenAI conventions.

**pipecat**: a trace for each session. Root ``conversation`` with ``conversation.id`` and what the
application adds (``arm``, ``user.id``, ``device``, ``channel``, ``region``, ``tenant_class``,
``success``); it ends last, so it comes last. Below it ``turn`` (``turn.number``,
``turn.user_bot_latency_seconds``, ``turn.user_turn_seconds``, ``turn.was_interrupted``,
``turn.ended_by_conversation_end``, ``no_answer``, ``empty``), and below that ``stt``, ``llm``,
``tts`` with ``metrics.ttfb`` in seconds, usage, ``metrics.character_count``. A span ``stt`` lasts
under 1 ms: it is opened when the transcript is there. The last turn of a call often says
``turn.was_interrupted`` although nobody spoke over it. A turn without an outcome has no ``turn``.

**livekit**: a trace for each session. Root ``agent_session`` with the same words. Below it, side by
side, ``user_turn`` (``lk.transcription_delay``, ``lk.end_of_turn_delay``, which counts from the end
of speech with the transcript inside) and ``agent_turn`` (``lk.speech_id``, ``lk.e2e_latency``,
``lk.interrupted``) with ``llm_node`` (``lk.response.ttft``) → ``llm_request`` →
``llm_request_run`` for each attempt (``lk.retry_count``), ``function_tool``, ``tts_node``
(``lk.response.ttfb``) → ``tts_request`` (``lk.tts_metrics``, a JSON text). The control's version
writes what older ones wrote for "not measured": -1 for a first token that never came, 0.0 where the
end of speech was missed, Unix times and delays of minutes; and texts under ``lk.user_transcript``
instead of ``lk.pii.user_transcript``. A user who left has a ``user_turn`` alone.

**genai**: a trace for each turn. Root ``invoke_agent assistant`` (``gen_ai.conversation.id``, the
application's words, ``app.mouth_to_ear_ms``), below it ``chat gpt-4o-mini``
(``gen_ai.response.time_to_first_chunk``, usage) and ``execute_tool``. The control uses the names of
older conventions (``gen_ai.system``, ``prompt_tokens``), the canary those of today.

Spans hold transcripts, prompts, arguments and a name, all made up and all with ``PRIVATE`` in them:
nothing that reads telemetry may ever show it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from relkit.core.arrays import Codes
from relkit.telemetry.simulation.spans import SimulatedSpan, SpanValue
from relkit.telemetry.simulation.types import TrafficFormat, TurnColumns

PRIVATE = "Erika Mustermann"
"""A made-up person whose name stands in every text that must not be read."""

TurnRow = dict[str, Any]
"""A turn by column, None for what it has not."""

_SPOKEN = f"this is {PRIVATE}, my number is +49 30 1234567"
_PROMPT = json.dumps([{"role": "user", "content": _SPOKEN}])
_ANSWER = f"good morning {PRIVATE}, I have found your order"
_FAILED = f"ReadTimeout: no answer for {PRIVATE}"

_WORDS = ("arm", "device", "channel", "region", "tenant_class")
_PODS = 4
_MS = 1_000_000
_ODD_DELAYS = 25
"""One in so many turns of the older version has a delay that nobody measured."""


def turn_rows(turns: TurnColumns) -> Iterator[TurnRow]:
    """Yield turns as rows of plain values; keys are hexadecimal, times nanoseconds."""
    columns: dict[str, list[Any]] = {}
    for name, values in turns.columns.items():
        if isinstance(values, Codes):
            names = (*values.names, None)
            columns[name] = [names[code] for code in values.codes.tolist()]
        elif values.dtype == np.uint64:
            columns[name] = [f"{key:016x}" for key in values.tolist()]
        elif name in {"ts", "_begin", "_spoken"}:
            columns[name] = [1000 * at for at in values.tolist()]
        elif values.dtype == np.int8:
            columns[name] = [None if flag < 0 else flag == 1 for flag in values.tolist()]
        else:
            columns[name] = [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 - NaN
    for row in zip(*columns.values(), strict=True):
        yield dict(zip(columns, row, strict=True))


def spans_of(form: TrafficFormat, turns: TurnColumns) -> list[SimulatedSpan]:
    """Return the spans that end with turns; raises KeyError for what is no form of traces."""
    write = _WRITERS[form]
    return [span for row in turn_rows(turns) for span in write(row)]


class _Trace:
    """Makes the spans of one turn, with ids that follow from its own."""

    def __init__(self, row: TurnRow, scope: str, *, of_session: bool) -> None:
        self.row = row
        self.scope = scope
        key = row["session"] if of_session else row["turn_id"]
        self.id = f"{key}{row['turn_id'] if not of_session else key}"
        self.root = f"{int(key, 16) ^ 0xA5A5A5A5A5A5A5A5:016x}"
        self.resource: Mapping[str, SpanValue] = {
            "service.name": "voice-assistant",
            "service.version": row["release"],
            "service.instance.id": f"pod-{int(row['session'], 16) % _PODS}",
            "deployment.environment.name": "production",
            "telemetry.sdk.language": "python",
        }
        self._next = int(row["turn_id"], 16)

    def span_id(self) -> str:
        """Return another id of this turn."""
        self._next = (self._next * 6364136223846793005 + 1442695040888963407) % 2**64
        return f"{self._next:016x}"

    def span(
        self,
        name: str,
        start: float,
        end: float,
        attributes: Mapping[str, SpanValue | None],
        *,
        own_id: str | None = None,
        parent: str = "",
        error: str = "",
    ) -> SimulatedSpan:
        """Return a span; attributes that are None are left out, and times are whole."""
        return SimulatedSpan(
            trace=self.id,
            id=own_id or self.span_id(),
            parent=parent,
            name=name,
            start=int(start),
            end=max(int(end), int(start)),
            scope=self.scope,
            resource=self.resource,
            attributes={key: value for key, value in attributes.items() if value is not None},
            error=error,
        )

    def application(self) -> dict[str, SpanValue | None]:
        """Return what the application says of a session."""
        row = self.row
        unit = row["speaker"] if row["unit"] == row["session"] else row["unit"]
        return {"user.id": unit, "user.full_name": PRIVATE, **{name: row[name] for name in _WORDS}}


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000.0


def _sum_ms(row: TurnRow, *names: str) -> float:
    return float(sum(row[name] or 0.0 for name in names))


def _is_last(row: TurnRow) -> bool:
    return bool(row["_number"] == row["_turns"] - 1)


def _failed(row: TurnRow) -> bool:
    return bool(row["outcome"] == "failed")


def _usage(row: TurnRow, *, old: bool = False) -> dict[str, SpanValue | None]:
    """Return usage under the names of today, or of before OpenTelemetry 1.27."""
    prefix = "gen_ai.usage."
    counts = {
        "prompt_tokens" if old else "input_tokens": int(row["input_tokens"]),
        "completion_tokens" if old else "output_tokens": int(row["output_tokens"]),
        "cache_read_input_tokens" if old else "cache_read.input_tokens": int(
            row["cache_read_tokens"]
        ),
        "reasoning_tokens" if old else "reasoning.output_tokens": int(row["reasoning_tokens"]),
    }
    return {prefix + name: count for name, count in counts.items()}


def _model(row: TurnRow, *, old: bool = False) -> dict[str, SpanValue | None]:
    return {
        "gen_ai.system" if old else "gen_ai.provider.name": row["provider"],
        "gen_ai.request.model": row["model"],
        "gen_ai.operation.name": "chat",
    }


def _pipecat(row: TurnRow) -> Iterator[SimulatedSpan]:
    trace = _Trace(row, "pipecat", of_session=True)
    turn, answered = trace.span_id(), row["latency_ms"] is not None
    heard = row["_spoken"] + row["audio_in_s"] * 1e9
    transcript = heard + (row["asr_ms"] or 0.0) * _MS
    decided = heard + _sum_ms(row, "eou_ms", "asr_ms") * _MS
    token = decided + _sum_ms(row, "queue_ms", "llm_ttft_ms", "tool_ms") * _MS
    yield trace.span(
        "stt",
        transcript,
        transcript + 0.4 * _MS,
        {
            "gen_ai.provider.name": "deepgram",
            "gen_ai.request.model": "nova-3",
            "gen_ai.operation.name": "stt",
            "vad_enabled": True,
            "transcript": _SPOKEN,
            "is_final": True,
            "language": row["language"],
            "metrics.ttfb": _seconds(row["asr_ms"]),
            "metrics.audio_seconds": row["audio_in_s"],
        },
        parent=turn,
    )
    if row["outcome"] != "abandoned":
        failed = _failed(row)
        yield trace.span(
            "llm",
            decided,
            token + 300 * _MS,
            {
                **_model(row),
                **_usage(row),
                "gen_ai.output.type": "text",
                "stream": True,
                "input": _PROMPT,
                "output": None if failed else _ANSWER,
                "gen_ai.system_instructions": f"be kind to {PRIVATE}",
                "metrics.ttfb": _seconds(row["llm_ttft_ms"]),
            },
            parent=turn,
            error=_FAILED if failed else "",
        )
    if row["tool_ms"] is not None:
        yield trace.span(
            "function_call",
            decided,
            decided + row["tool_ms"] * _MS,
            {"tool.function_name": "find_order", "tool.arguments": json.dumps({"who": PRIVATE})},
            parent=turn,
        )
    if answered:
        yield trace.span(
            "tts",
            token,
            token + 400 * _MS,
            {
                "gen_ai.provider.name": "cartesia",
                "gen_ai.request.model": "sonic-2",
                "gen_ai.operation.name": "tts",
                "gen_ai.output.type": "speech",
                "voice_id": "a-voice",
                "text": _ANSWER,
                "metrics.character_count": int(row["tts_chars"]),
                "metrics.ttfb": _seconds(row["tts_ttfb_ms"]),
            },
            parent=turn,
        )
    left = row["outcome"] == "abandoned"
    # The end of a call ends its last turn, whoever was speaking.
    cut = left or (_is_last(row) and row["outcome"] == "completed" and int(turn, 16) % 2 == 0)
    if row["outcome"] is not None:
        yield trace.span(
            "turn",
            row["_spoken"],
            row["ts"],
            {
                "turn.number": int(row["_number"]) + 1,
                "turn.type": "conversation",
                "conversation.id": f"call-{row['session']}",
                "turn.duration_seconds": None if cut else (row["ts"] - row["_spoken"]) / 1e9,
                "turn.was_interrupted": cut or row["outcome"] == "interrupted",
                "turn.ended_by_conversation_end": True if cut else None,
                "turn.user_bot_latency_seconds": _seconds(row["latency_ms"]),
                "turn.user_turn_seconds": _seconds(_sum_ms(row, "eou_ms", "asr_ms")),
                "no_answer": row["no_answer"],
                "empty": row["empty"],
            },
            own_id=turn,
            parent=trace.root,
        )
    if _is_last(row):
        yield trace.span(
            "conversation",
            row["_begin"],
            row["ts"] + 50 * _MS,
            {
                "conversation.id": f"call-{row['session']}",
                "conversation.type": "voice",
                **trace.application(),
                "success": row["success"],
            },
            own_id=trace.root,
        )


def _odd_delay(row: TurnRow, value: float | None, salt: int) -> float | None:
    """Return a delay, or what an older version writes where it did not measure one."""
    number = (int(row["turn_id"], 16) >> salt) % (3 * _ODD_DELAYS)
    if row["arm"] != "control" or value is None or number > 2:  # noqa: PLR2004 - three kinds
        return value
    return (0.0, row["_spoken"] / 1e9, 75.0 + number)[number]


def _livekit(row: TurnRow) -> Iterator[SimulatedSpan]:
    trace = _Trace(row, "livekit-agents", of_session=True)
    pii = "lk." if row["arm"] == "control" else "lk.pii."
    user, agent, node, voice = (trace.span_id() for _ in range(4))
    heard = row["_spoken"] + row["audio_in_s"] * 1e9
    decided = heard + _sum_ms(row, "eou_ms", "asr_ms") * _MS
    token = decided + _sum_ms(row, "queue_ms", "llm_ttft_ms", "tool_ms") * _MS
    delay = _seconds(_sum_ms(row, "eou_ms", "asr_ms"))
    yield trace.span(
        "user_turn",
        row["_spoken"],
        decided,
        {
            f"{pii}user_transcript": _SPOKEN,
            "lk.transcript_confidence": row.get("confidence"),
            "lk.transcription_delay": _odd_delay(row, _seconds(row["asr_ms"]), 3),
            "lk.end_of_turn_delay": _odd_delay(row, delay, 13),
            "lk.eou.language": row["language"],
        },
        own_id=user,
        parent=trace.root,
    )
    answering = row["outcome"] not in {None, "abandoned"}
    if answering:
        failed = _failed(row)
        request = trace.span_id()
        attempts = int(row["retries"]) + 1
        for attempt in range(attempts):
            lost = failed or attempt < attempts - 1
            yield trace.span(
                "llm_request_run",
                decided + attempt * _MS,
                token,
                {"lk.retry_count": attempt},
                parent=request,
                error=_FAILED if lost else "",
            )
        ttft = _seconds(row["llm_ttft_ms"])
        yield trace.span(
            "llm_request",
            decided,
            token + 250 * _MS,
            {
                **_model(row),
                **_usage(row),
                "gen_ai.usage.input_cached_tokens": int(row["cache_read_tokens"]),
                "lk.llm_metrics": json.dumps({"ttft": -1.0 if ttft is None else ttft}),
            },
            own_id=request,
            parent=node,
        )
        yield trace.span(
            "llm_node",
            decided,
            token + 300 * _MS,
            {
                f"{pii}chat_ctx": _PROMPT,
                f"{pii}response.text": _ANSWER,
                "lk.response.ttft": -1.0 if ttft is None else _odd_delay(row, ttft, 23),
            },
            own_id=node,
            parent=agent,
            error=_FAILED if failed else "",
        )
        if row["tool_ms"] is not None:
            yield trace.span(
                "function_tool",
                decided,
                decided + row["tool_ms"] * _MS,
                {
                    "lk.function_tool.name": "find_order",
                    f"{pii}function_tool.arguments": json.dumps({"who": PRIVATE}),
                    "lk.function_tool.is_error": False,
                },
                parent=agent,
            )
        if row["latency_ms"] is not None:
            figures = {
                "characters_count": int(row["tts_chars"]),
                "audio_duration": row["audio_out_s"],
                "ttfb": _seconds(row["tts_ttfb_ms"]),
            }
            yield trace.span(
                "tts_request",
                token,
                token + 350 * _MS,
                {"lk.tts_metrics": json.dumps(figures)},
                parent=voice,
            )
            yield trace.span(
                "tts_node",
                token,
                token + 400 * _MS,
                {
                    f"{pii}input_text": _ANSWER,
                    "lk.response.ttfb": _seconds(row["tts_ttfb_ms"]),
                },
                own_id=voice,
                parent=agent,
            )
        yield trace.span(
            "agent_turn",
            decided,
            row["ts"],
            {
                "lk.speech_id": f"speech_{row['turn_id']}",
                "lk.generation_id": f"speech_{row['turn_id']}_1",
                f"{pii}user_input": _SPOKEN,
                "lk.interrupted": row["outcome"] == "interrupted",
                "lk.e2e_latency": _odd_delay(row, _seconds(row["latency_ms"]), 33),
                "no_answer": row["no_answer"],
            },
            own_id=agent,
            parent=trace.root,
        )
    if _is_last(row):
        yield trace.span(
            "agent_session",
            row["_begin"],
            row["ts"] + 50 * _MS,
            {
                "lk.job_id": f"AJ_{row['session']}",
                "lk.agent_name": "assistant",
                f"{pii}room_name": f"room of {PRIVATE}",
                **trace.application(),
                "success": row["success"],
            },
            own_id=trace.root,
        )


def _genai(row: TurnRow) -> Iterator[SimulatedSpan]:
    trace = _Trace(row, "assistant", of_session=False)
    old, failed = row["arm"] == "control", _failed(row)
    heard = row["_spoken"] + row["audio_in_s"] * 1e9
    decided = heard + _sum_ms(row, "eou_ms", "asr_ms") * _MS
    token = decided + _sum_ms(row, "queue_ms", "llm_ttft_ms", "tool_ms") * _MS
    if row["outcome"] != "abandoned":
        yield trace.span(
            f"chat {row['model']}",
            decided,
            token + 250 * _MS,
            {
                **_model(row, old=old),
                **_usage(row, old=old),
                "gen_ai.response.model": row["model"],
                "gen_ai.prompt.0.content" if old else "gen_ai.input.messages": _PROMPT,
                "gen_ai.completion.0.content" if old else "gen_ai.output.messages": _ANSWER,
                "gen_ai.response.time_to_first_chunk": _seconds(row["llm_ttft_ms"]),
                "error.type": "timeout" if failed else None,
            },
            parent=trace.root,
            error=_FAILED if failed else "",
        )
    if row["tool_ms"] is not None:
        yield trace.span(
            "execute_tool find_order",
            decided,
            decided + row["tool_ms"] * _MS,
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "find_order",
                "gen_ai.tool.call.arguments": json.dumps({"who": PRIVATE}),
            },
            parent=trace.root,
        )
    yield trace.span(
        "invoke_agent assistant",
        decided,
        row["ts"],
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "assistant",
            "gen_ai.conversation.id": f"call-{row['session']}",
            **trace.application(),
            "language": row["language"],
            "outcome": row["outcome"],
            "success": row["success"],
            "no_answer": row["no_answer"],
            "app.mouth_to_ear_ms": row["latency_ms"],
        },
        own_id=trace.root,
        error=_FAILED if failed else "",
    )


_WRITERS: Mapping[TrafficFormat, Callable[[TurnRow], Iterator[SimulatedSpan]]] = {
    "pipecat": _pipecat,
    "livekit": _livekit,
    "genai": _genai,
    "otlp": _genai,
}
