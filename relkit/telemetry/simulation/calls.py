"""Simulated sessions as Vapi's call records: one JSON object a line, written when a call has ended.

``artifact.performanceMetrics.turnLatencies`` has milliseconds for each turn that was answered,
``artifact.messages`` the texts (made up, with ``PRIVATE`` in them) and when each ended,
``costBreakdown`` what the call took, ``endedReason`` how it ended; ``assistant.metadata`` is what
the application adds (``release``, ``arm``, ``language``, ``device`` …).
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from relkit.telemetry.simulation.traces import PRIVATE, TurnRow, turn_rows
from relkit.telemetry.simulation.types import TurnColumns

_ANSWERED = (
    ("modelLatency", "llm_ttft_ms"),
    ("voiceLatency", "tts_ttfb_ms"),
    ("transcriberLatency", "asr_ms"),
    ("endpointingLatency", "eou_ms"),
    ("turnLatency", "latency_ms"),
)
_ADDED = ("release", "arm", "language", "device", "channel", "region", "tenant_class")


class CallRecords:
    """Collects turns until their calls have ended."""

    def __init__(self) -> None:
        """Start with no call."""
        self._open: dict[str, list[TurnRow]] = {}

    def ended(self, turns: TurnColumns) -> Iterator[str]:
        """Yield the records of the calls that end with these turns."""
        for row in turn_rows(turns):
            rows = self._open.setdefault(row["session"], [])
            rows.append(row)
            if row["_number"] == row["_turns"] - 1:
                del self._open[row["session"]]
                yield json.dumps(_record(rows), separators=(",", ":"))


def _record(rows: Sequence[TurnRow]) -> dict[str, object]:
    last = rows[-1]
    answered = [row for row in rows if row["latency_ms"] is not None]
    total = sum(row["cost"] for row in rows)
    speech = {name: sum(row[name] for row in rows) for name in ("audio_in_s", "tts_chars")}
    tokens = {
        key: int(sum(row[name] for row in rows))
        for key, name in (
            ("llmPromptTokens", "input_tokens"),
            ("llmCompletionTokens", "output_tokens"),
            ("llmCachedPromptTokens", "cache_read_tokens"),
        )
    }
    return {
        "id": f"call-{last['session']}",
        "type": "inboundPhoneCall" if last["channel"] == "phone" else "webCall",
        "status": "ended",
        "startedAt": _time(last["_begin"]),
        "endedAt": _time(last["ts"]),
        "endedReason": _reason(last),
        "customer": {"number": "+49301234567", "name": PRIVATE},
        "assistant": {"name": "assistant", "metadata": {name: last[name] for name in _ADDED}},
        "cost": total,
        "costBreakdown": {
            **tokens,
            "ttsCharacters": int(speech["tts_chars"]),
            "transcriberSeconds": speech["audio_in_s"],
            "total": total,
        },
        "costs": [
            {"type": "model", "model": {"provider": last["provider"], "model": last["model"]}}
        ],
        "analysis": {
            "summary": f"{PRIVATE} asked for an order",
            "successEvaluation": None if last["success"] is None else str(last["success"]).lower(),
        },
        "artifact": {
            "transcript": f"AI: good morning. User: this is {PRIVATE}",
            "messages": list(_messages(rows)),
            "performanceMetrics": {
                "turnLatencies": [
                    {key: row[name] for key, name in _ANSWERED if row[name] is not None}
                    for row in answered
                ],
                "numAssistantInterrupted": sum(row["outcome"] == "interrupted" for row in rows),
            },
        },
    }


def _messages(rows: Sequence[TurnRow]) -> Iterator[dict[str, object]]:
    for row in rows:
        spoken = row["_spoken"] / 1e6
        heard = spoken + row["audio_in_s"] * 1e3
        yield {"role": "user", "message": f"{PRIVATE} here", "time": spoken, "endTime": heard}
        if row["latency_ms"] is not None:
            end = row["ts"] / 1e6
            yield {"role": "bot", "message": f"hello {PRIVATE}", "time": heard, "endTime": end}


def _reason(last: TurnRow) -> str:
    if last["outcome"] == "failed":
        return "pipeline-error-openai-llm-failed"
    if last["outcome"] == "abandoned":
        return "customer-ended-call-before-assistant-spoke"
    return "customer-ended-call"


def _time(nanoseconds: int) -> str:
    at = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
