"""Turns from the call records of Vapi: the call object of its API, and its end-of-call report.

Latencies are read from ``artifact.performanceMetrics.turnLatencies``, in milliseconds; usage and
cost of a call stand on its last turn, so that sums over a call are right.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from relkit.telemetry.dialects import flag_excess
from relkit.telemetry.spans import (
    AttributeTable,
    AttributeValue,
    TraceTurn,
    read_amount,
    read_delay,
    read_word,
)
from relkit.telemetry.usage import Accounting, UsageSource, add_up

_LATENCIES = {
    "turnLatency": "latency_ms",
    "endpointingLatency": "eou_ms",
    "transcriberLatency": "asr_ms",
    "modelLatency": "llm_ttft_ms",
    "voiceLatency": "tts_ttfb_ms",
}
_COUNTS = {
    "llmPromptTokens": "input",
    "llmCompletionTokens": "output",
    "llmCachedPromptTokens": "cache_read",
}
_FAILED_WORDS = ("error", "fault", "failed", "unavailable", "exception")
_ABANDONED = ("customer-ended-call-before-assistant",)
_CALL_KEYS = frozenset({"endedReason", "costBreakdown", "artifact", "startedAt"})
_SUCCESS = {"true": True, "pass": True, "false": False, "fail": False}

_LAST_MS = 9e12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Record = Mapping[str, Any]


def call_records(document: object) -> Iterator[Record]:
    """Yield the call records of a JSON value: a call, a report, or a page of the API's list."""
    if isinstance(document, list):
        for element in document:
            yield from call_records(element)
    elif isinstance(document, Mapping):
        message = document.get("message")
        if isinstance(message, Mapping) and message.get("type") == "end-of-call-report":
            call = message.get("call")
            yield {**(call if isinstance(call, Mapping) else {}), **message}
        elif isinstance(document.get("results"), list):
            yield from call_records(document["results"])
        elif "id" in document and len(_CALL_KEYS & document.keys()) > 1:
            yield document


def call_key(record: Record) -> tuple[str, str]:
    """Return the id of a call, and when the record was written; the latest record counts."""
    return str(record.get("id", "")), str(record.get("updatedAt") or record.get("endedAt") or "")


def observe_call(record: Record, accounting: Accounting) -> None:
    """Take in what the token counts of a call prove about their source."""
    counts, _ = _usage(record)
    accounting.observe(_source(record), counts)


def turns_of_call(
    record: Record, table: AttributeTable, accounting: Accounting
) -> tuple[list[TraceTurn], int]:
    """Return the turns of a finished call and the number of values that are none.

    Latencies are those of answered turns; the turn in which a call failed, or that its user did
    not wait for, comes after them. A call in which the user spoke and nobody answered is one turn
    without an outcome; one in which nobody spoke has no turn, and one without an end none yet.
    """
    ended = _moment(record.get("endedAt"))
    if ended is None:
        return [], 0
    call, _ = call_key(record)
    reason = str(record.get("endedReason") or "")
    failed = any(word in reason for word in _FAILED_WORDS)
    measured = _inside(record, "artifact", "performanceMetrics", "turnLatencies")
    latencies = (
        [row for row in measured if isinstance(row, Mapping)] if isinstance(measured, list) else []
    )
    labels: dict[str, AttributeValue] = {}
    table.fill(labels, _labels(record, table))
    turns, bad = [], 0
    spoke, answers = _answers(record)
    latencies = latencies or [{}] * len(answers)  # records of before they were published
    timed = len(answers) == len(latencies) and None not in answers
    ends = [end or ended for end in answers] if timed else [ended] * len(latencies)
    for i, (latency, end) in enumerate(zip(latencies, ends, strict=True)):
        values: dict[str, AttributeValue] = {"outcome": "completed", "ok": True}
        for name, column in _LATENCIES.items():
            if name in latency:
                raw = latency[name]
                seconds = read_delay(raw / 1000 if isinstance(raw, int | float) else raw)
                bad += seconds is None
                if seconds is not None:
                    values[column] = 1000.0 * seconds
        turns.append(_turn_of(call, i, end, values | labels))
    if failed:
        values = {"outcome": "failed", "ok": False}
        turns.append(_turn_of(call, len(turns), ended, values | labels))
    elif reason.startswith(_ABANDONED):
        values = {"outcome": "abandoned", "ok": True}
        turns.append(_turn_of(call, len(turns), ended, values | labels))
    elif spoke and not turns:  # and nobody answered
        turns.append(_turn_of(call, 0, ended, labels.copy()))
    if turns:
        bad += _finish(record, turns[-1], accounting)
    return turns, bad


def _turn_of(call: str, number: int, end: int, values: dict[str, AttributeValue]) -> TraceTurn:
    flag_excess(values)
    session = str(values.pop("session", call))
    return TraceTurn(session=session, turn=f"{call}:{number}", end=end, values=values)


def _finish(record: Record, turn: TraceTurn, accounting: Accounting) -> int:
    """Write usage, cost and success of a call on its last turn."""
    counts, bad = _usage(record)
    source = _source(record)
    inclusive, changed = accounting.inclusive(source, counts)
    turn.made_inclusive = int(changed)
    turn.values.update(add_up([inclusive]))
    if source.model:
        turn.values["model"] = source.model
    if source.provider:
        turn.values["provider"] = source.provider
    for column, raw in (
        ("tts_chars", _inside(record, "costBreakdown", "ttsCharacters")),
        ("cost", record.get("cost", _inside(record, "costBreakdown", "total"))),
    ):
        amount = read_amount(raw)
        if amount is not None:
            turn.values[column] = amount
    if "cost" in turn.values:
        turn.values["currency"] = "USD"
    evaluation = _inside(record, "analysis", "successEvaluation")
    success = _SUCCESS.get(str(evaluation).lower())
    if success is not None:
        turn.values["success"] = success
    return bad


def _usage(record: Record) -> tuple[dict[str, float], int]:
    counts: dict[str, float] = {}
    bad = 0
    for name, field in _COUNTS.items():
        raw = _inside(record, "costBreakdown", name)
        if raw is not None:
            amount = read_amount(raw)
            bad += amount is None
            if amount is not None:
                counts[field] = float(amount)
    return counts, bad


def _source(record: Record) -> UsageSource:
    """Return provider and model of the language model, from the list of costs."""
    costs = record.get("costs")
    for cost in costs if isinstance(costs, list) else ():
        if isinstance(cost, Mapping) and cost.get("type") == "model":
            words = [read_word(_inside(cost, "model", key)) for key in ("provider", "model")]
            return UsageSource(*(str(word) if word else "" for word in words))
    return UsageSource("", "")


def _labels(record: Record, table: AttributeTable) -> dict[str, AttributeValue]:
    """Return what the mapping names in the record, by path: ``assistant.transcriber.language``."""
    labels: dict[str, AttributeValue] = {}
    for name, entry in table.entries.items():
        raw = _inside(record, *name.split(".")) if entry.label else None
        value = entry.label(raw) if entry.label and raw is not None else None
        if value is not None:
            labels[name] = value
    return labels


def _answers(record: Record) -> tuple[bool, list[int | None]]:
    """Return whether the user spoke, and when the agent's answers ended, None where not timed.

    Only ``role`` and ``endTime`` (ms since 1970) of the messages are looked at.
    """
    messages = _inside(record, "artifact", "messages") or record.get("messages")
    spoke = asked = False
    ends: list[int | None] = []
    for message in messages if isinstance(messages, list) else ():
        role = message.get("role") if isinstance(message, Mapping) else None
        if role == "user":
            spoke = asked = True
        elif asked and role in ("bot", "assistant"):
            end = read_amount(message.get("endTime"))
            # To the microsecond: a float of nanoseconds since 1970 is not exact.
            ends.append(1000 * round(1e3 * end) if end and end < _LAST_MS else None)
            asked = False
    return spoke, ends


def _moment(text: object) -> int | None:
    """Return a time with an offset in ns since 1970, None for what is none."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if at is None or at.utcoffset() is None:
        return None
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def _inside(document: object, *path: str) -> Any:  # noqa: ANN401  # JSON
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document
