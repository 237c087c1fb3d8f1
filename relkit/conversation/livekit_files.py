"""Events of LiveKit sessions as recorded conversations: a report, a list, or one event a line.

Names are those of livekit-agents' ``voice/events`` and of ``SessionReport.to_dict``. The states of
user and agent are what the system believes; where the report says when its recording began, that is
the first moment.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from relkit.conversation.logs import (
    ConversationLog,
    LogClock,
    LogLine,
    RecordedConversation,
    tool_result,
)
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import where

LIVEKIT_STATES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("user_state_changed", "speaking"): ("user_started_speaking", "user_stopped_speaking"),
    ("agent_state_changed", "speaking"): ("agent_started_speaking", "agent_stopped_speaking"),
}
"""Type and state to the events of its beginning and its end."""

LIVEKIT_KINDS: Mapping[str, str] = {
    "agent_false_interruption": "interrupted",
    "user_started_speaking": "user_started_speaking",
    "user_stopped_speaking": "user_stopped_speaking",
    "agent_started_speaking": "agent_started_speaking",
    "agent_stopped_speaking": "agent_stopped_speaking",
}
"""Type of an event to the kind that it is by itself; four of them were written before 1.0."""

OTHER_EVENTS = frozenset(
    {
        "conversation_item_added", "speech_created", "metrics_collected", "session_usage_updated",
        "overlapping_speech", "error", "close", "user_state_changed", "agent_state_changed",
    }
)  # fmt: skip
"""Events that relkit does not compute with."""

DELAYS = (
    "e2e_latency", "transcription_delay", "end_of_turn_delay", "end_of_utterance_delay",
    "on_user_turn_completed_delay", "llm_node_ttft", "tts_node_ttfb", "ttft", "ttfb",
)  # fmt: skip
"""Figures in s of a turn or a service, for which 0.0, -1 and stale anchors stand, too."""


def livekit_conversation(
    lines: Iterable[LogLine], *, source: str, name: str
) -> RecordedConversation:
    """Return the conversation of a file; raises InvalidInput naming file and line."""
    clock, log = LogClock(source), ConversationLog("livekit")
    zero: float | None = None
    reports = 0
    for line, document in lines:
        events: Iterable[Any] = (document,)
        if isinstance(document.get("events"), list):
            reports += 1
            if reports > 1:
                raise InvalidInput(
                    f"{where(source, line)}: a second session in one file",
                    hint="write a file for each session: they are called after their files",
                )
            events = document["events"]
            began = document.get("audio_recording_started_at")
            if isinstance(began, int | float) and began > 0:
                zero = LogClock(source).read(line, {"created_at": began})
            elif began is not None:
                log.not_measured["audio_recording_started_at"] += 1
        for event in events:
            _take(log, clock, event, source, line)
    if not log:
        raise InvalidInput(
            f"{source}: holds no event of LiveKit",
            hint="relkit reads SessionReport.to_dict(), a list of events, or one event a line",
        )
    return log.recorded(name, zero=0.0 if clock.key == "t_ms" else zero)


def _take(log: ConversationLog, clock: LogClock, event: object, source: str, line: int) -> None:
    kind = event.get("type") if isinstance(event, Mapping) else None
    if not isinstance(event, Mapping) or not isinstance(kind, str) or not kind:
        log.unknown["no_event"] += 1
        return
    at = clock.read(line, event)
    if kind in LIVEKIT_KINDS:
        log.event(at, LIVEKIT_KINDS[kind])
    elif kind == "user_input_transcribed":
        text = event.get("transcript")
        if not isinstance(text, str):
            raise InvalidInput(f'{where(source, line)}: "{kind}" has no "transcript"')
        log.event(at, "final" if event.get("is_final") is True else "partial", text=text)
    elif kind == "function_tools_executed":
        _take_tools(log, clock, at, event, line)
    else:
        for state, index in (("new_state", 0), ("old_state", 1)):
            kinds = LIVEKIT_STATES.get((kind, str(event.get(state))))
            if kinds is not None and event.get("new_state") != event.get("old_state"):
                log.event(at, kinds[index])
        log.other(at, kind, _content(log, kind, at, event), expected=kind in OTHER_EVENTS)


def _content(log: ConversationLog, kind: str, at: float, event: Mapping[str, Any]) -> object:
    """Return what is kept of an event: states, who said something, and its delays in ms."""
    item = event.get("item", event.get("message") if kind == "conversation_item_added" else None)
    metrics = event.get("metrics")
    content: dict[str, Any] = {
        key: event[key] for key in ("old_state", "new_state", "reason", "source") if event.get(key)
    }
    if isinstance(item, Mapping):
        role, parts = item.get("role"), item.get("content")
        text = " ".join(part for part in _parts(parts) if isinstance(part, str))
        content |= {"role": role, "text": text}
        if role == "assistant":
            log.says(at, text)
            if item.get("interrupted") is True:
                log.event(at, "interrupted")
        metrics = item.get("metrics", metrics)
    if isinstance(metrics, Mapping):
        content |= {
            f"{name}_ms": log.delay_ms(name, metrics[name])
            for name in DELAYS
            if metrics.get(name) is not None
        }
    return content


def _parts(content: object) -> Iterable[object]:
    return content if isinstance(content, list) else (content,)


def _take_tools(
    log: ConversationLog, clock: LogClock, at: float, event: Mapping[str, Any], line: int
) -> None:
    """Take in calls, each at its own time where it has one: the event comes when all are done."""
    outputs = {
        output.get("call_id"): output
        for output in event.get("function_call_outputs") or ()
        if isinstance(output, Mapping)
    }
    for call in event.get("function_calls") or ():
        if not isinstance(call, Mapping):
            log.unknown["no_call"] += 1
            continue
        output = outputs.get(call.get("call_id"))
        made = log.tool(
            _moment(log, clock, call, at, line), call.get("name"), call.get("arguments")
        )
        if output is not None:
            error = "error" if output.get("is_error") is True else None
            if result := tool_result(output.get("output"), error=error):
                made["result"] = result
            log.event(
                _moment(log, clock, output, at, line),
                "tool_stopped",
                data={"name": call.get("name")},
            )


def _moment(
    log: ConversationLog, clock: LogClock, item: Mapping[str, Any], at: float, line: int
) -> float:
    """Return when a call was made, else when the event says that it was done."""
    created = item.get("created_at")
    if clock.key == "created_at" and isinstance(created, int | float):
        if created > 0:
            return clock.read(line, {"created_at": created})
        log.not_measured["tool_time"] += 1
    return at
