"""Logs of RTVI messages (pipecat) as recorded conversations: one file is one conversation.

A line is a message with its time beside ``type``, or around it: ``{"timestamp", "message"}``.
Names of messages are those of pipecat's ``processors/frameworks/rtvi/models`` (protocol 2.2, and
those of 1.x).
"""

import json
from collections import Counter
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

RTVI_KINDS: Mapping[str, str] = {
    "user-started-speaking": "user_started_speaking",
    "user-stopped-speaking": "user_stopped_speaking",
    "vad-user-started-speaking": "vad_user_started_speaking",
    "vad-user-stopped-speaking": "vad_user_stopped_speaking",
    "bot-llm-started": "llm_started",
    "bot-llm-stopped": "llm_stopped",
    "bot-tts-started": "tts_started",
    "bot-started-speaking": "agent_started_speaking",
    "bot-stopped-speaking": "agent_stopped_speaking",
    "bot-interrupted": "interrupted",
}
"""Type of a message to the kind of event that it is by itself."""

TRANSCRIPTS = ("stt-raw-text", "user-transcription", "user-input")
"""Types that hold what the user said; they repeat each other, and the first one there counts."""

TOKENS = ("llm-raw-text", "bot-llm-text")
"""Types that hold what the model wrote, likewise."""

SPOKEN = ("bot-transcription", "tts-raw-text", "bot-tts-text")
"""Types that hold what the agent said, likewise; where there is none, the model's words count."""

OTHER_TYPES = frozenset(
    {
        "bot-ready", "client-ready", "bot-output", "bot-llm-marker", "bot-tts-stopped",
        "bot-tts-audio", "user-llm-text", "user-mute-started", "user-mute-stopped",
        "server-message",
        "server-response", "client-message", "error", "error-response", "user-audio-level",
        "bot-audio-level", "system-log", "send-text", "send-file", "dtmf", "disconnect-bot",
        "llm-function-call-started", "ui-event", "ui-command", "ui-snapshot", "ui-job-group",
        "ui-cancel-job-group",
    }
)  # fmt: skip
"""Messages of the protocol that relkit does not compute with."""

_DELAYS = ("ttfb", "processing")


def rtvi_conversation(lines: Iterable[LogLine], *, source: str, name: str) -> RecordedConversation:
    """Return the conversation of a log; raises InvalidInput naming file and line.

    A line that is no message (another logger's) is counted as ``no_message``. Where times are no
    ``t_ms``, the first message is the first moment.
    """
    reading = _Reading(source)
    for line, document in lines:
        reading.take(line, document)
    return reading.conversation(name)


class _Reading:
    def __init__(self, source: str) -> None:
        self._source = source
        self._clock = LogClock(source)
        self._log = ConversationLog("rtvi")
        self._texts: dict[str, list[tuple[float, str, Mapping[str, Any]]]] = {}
        self._calls: dict[str, dict[str, Any]] = {}
        self._stopped: list[tuple[float, Mapping[str, Any]]] = []
        self._types: Counter[str] = Counter()

    def take(self, line: int, document: Mapping[str, Any]) -> None:
        message = _message(document)
        if message is None:
            self._log.unknown["no_message"] += 1
            return
        at = self._clock.read(line, document if _has_time(document) else message)
        kind: str = message["type"]
        content = message.get("data")
        data: Mapping[str, Any] = content if isinstance(content, Mapping) else {}
        self._types[kind] += 1
        if kind in RTVI_KINDS:
            self._log.event(at, RTVI_KINDS[kind])
        elif kind in TRANSCRIPTS or kind in TOKENS or kind in SPOKEN:
            text = data.get("text")
            if not isinstance(text, str):
                raise InvalidInput(
                    f'{where(self._source, line)}: the message "{kind}" has no "data.text"'
                )
            self._texts.setdefault(kind, []).append((at, text, data))
        elif kind in {"llm-function-call-in-progress", "llm-function-call"}:
            self._started(at, data)
        elif kind == "llm-function-call-stopped":
            self._stopped.append((at, data))
        elif kind == "metrics":
            self._metrics(at, data)
        else:
            self._log.other(at, kind, data, expected=kind in OTHER_TYPES)

    def _started(self, at: float, data: Mapping[str, Any]) -> None:
        """Take in a call; the old and the new message of one call are one call."""
        identity = str(data.get("tool_call_id", ""))
        if identity and identity in self._calls:
            return
        arguments = data.get("arguments", data.get("args"))
        call = self._log.tool(at, data.get("function_name"), arguments)
        if identity:
            self._calls[identity] = call

    def _metrics(self, at: float, data: Mapping[str, Any]) -> None:
        """Keep the delays of services; those that were not measured are null."""
        delays: dict[str, dict[str, float | None]] = {}
        for name in _DELAYS:
            for item in data.get(name) or ():
                if isinstance(item, Mapping):
                    service = str(item.get("processor", ""))
                    delay = self._log.delay_ms(name, item.get("value"))
                    delays.setdefault(f"{name}_ms", {})[service] = delay
        self._log.event(at, "rtvi.metrics", data=delays)

    def conversation(self, name: str) -> RecordedConversation:
        log = self._log
        for at, text, data in self._first(TRANSCRIPTS):
            if data.get("input_type") not in {"chat", "backchannel"}:
                log.event(at, "final" if data.get("final") is True else "partial", text=text)
            else:
                log.other(at, "user-input", data)
        for at, text, _ in self._first(TOKENS):
            log.event(at, "llm_token", text=text)
        spoken = self._first(SPOKEN)
        for at, text, _ in spoken:
            log.says(at, text)
        if not spoken and (tokens := self._first(TOKENS)):
            log.says(tokens[0][0], "".join(text for _, text, _ in sorted(tokens, key=_time)))
        for at, data in self._stopped:
            cancelled = data.get("cancelled") is True
            call = self._calls.get(str(data.get("tool_call_id", "")))
            if call is not None:
                result = tool_result(data.get("result"), error="cancelled" if cancelled else None)
                if result:
                    call["result"] = result
            names = {"name": data.get("function_name") or (call or {}).get("name")}
            log.event(
                at,
                "tool_stopped",
                data={key: value for key, value in names.items() if value}
                | ({"cancelled": True} if cancelled else {}),
            )
        if not self._types:
            raise InvalidInput(
                f"{self._source}: holds no RTVI message",
                hint='a line is {"t_ms": 1250, "type": "bot-started-speaking"}, or has such an '
                'object as "message"',
            )
        return log.recorded(name, zero=0.0 if self._clock.key == "t_ms" else None)

    def _first(self, types: Iterable[str]) -> list[tuple[float, str, Mapping[str, Any]]]:
        return next((self._texts[kind] for kind in types if kind in self._texts), [])


def _time(item: tuple[float, str, Mapping[str, Any]]) -> float:
    return item[0]


def _has_time(document: Mapping[str, Any]) -> bool:
    return "message" in document or "msg" in document or "payload" in document


def _message(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the RTVI message of a line: the line, or what it has inside, also as JSON text."""
    for key in ("message", "msg", "payload"):
        inner = document.get(key)
        if isinstance(inner, str) and inner.startswith("{"):
            try:
                inner = json.loads(inner)
            except (ValueError, RecursionError):
                return None
        if isinstance(inner, Mapping):
            return inner if isinstance(inner.get("type"), str) and inner["type"] else None
    return document if isinstance(document.get("type"), str) and document["type"] else None
