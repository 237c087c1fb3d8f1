"""Answer lines, the protocol between relkit and any system (cli.md): JSON to domain and back."""

import json
import re
from typing import Annotated, Literal

from pydantic import Field

from relkit.domain.errors import InvalidInput
from relkit.domain.utterances import Answer, AnswerEvent, Failure, FailureReason
from relkit.records.digests import JsonValue
from relkit.records.strict import Record, check, parse_json
from relkit.records.yaml_text import where

Milliseconds = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]

MAX_LINE = 1 << 20
"""The longest answer line that is read, in bytes."""

_ERROR_CODE = re.compile(r"(?=.{1,40}\Z)[a-z]+(?:_[a-z]+)*")


class EventRecord(Record):
    """Something that happened while the system answered."""

    t_ms: Milliseconds
    kind: Name
    text: str | None = None


class AnswerRecord(Record):
    """One answer: ``text`` or ``error``, and what else the task has."""

    id: Name
    text: str | None = None
    error: Name | None = None
    audio: Name | None = None
    latency_ms: Milliseconds | None = None
    first_byte_ms: Milliseconds | None = None
    clock: Literal["system", "harness"] = "harness"
    events: list[EventRecord] = []
    usage: dict[str, float] = {}
    tool_calls: list[object] = []


def parse_answer(
    text: str, *, source: str, line: int | None = None
) -> tuple[str, Answer | Failure]:
    """Return the id and the outcome that one line of JSON holds; raises InvalidInput."""
    return answer_from(parse_json(text, source=source, line=line), source=source, line=line)


def answer_from(
    document: JsonValue, *, source: str, line: int | None = None
) -> tuple[str, Answer | Failure]:
    """Return the id and the outcome of a decoded answer; raises InvalidInput.

    A reported error becomes the failure ``reported``. Its words stay out of the detail, as they
    may hold anything, unless they are one code such as ``out_of_memory``.
    """
    record = check(AnswerRecord, document, source=source, line=line)
    at = where(source, line)
    if (record.text is None) == (record.error is None):
        which = "neither" if record.text is None else "both"
        raise InvalidInput(f'{at}: {which} of "text" and "error" are given', hint="give one")
    _refuse_beyond_json(document, at)
    if record.error is not None:
        return record.id, Failure(reason=FailureReason.REPORTED, detail=_code_in(record.error))
    return record.id, _to_answer(record)


def render_answer(utterance_id: str, answer: Answer) -> str:
    """Return an answer as one line of JSON without its line end.

    Law: ``parse_answer(render_answer(i, a), source=…) == (i, a)`` for every answer whose tool calls
    are in the spelling of :func:`canonical`.
    """
    document: dict[str, object] = {"id": utterance_id, "text": answer.text}
    for name in ("audio", "latency_ms", "first_byte_ms"):
        if (value := getattr(answer, name)) is not None:
            document[name] = value
    if answer.clock != "harness":
        document["clock"] = answer.clock
    if answer.events:
        document["events"] = [_event_document(event) for event in answer.events]
    if answer.usage:
        document["usage"] = dict(answer.usage)
    if answer.tool_calls:
        document["tool_calls"] = [json.loads(call) for call in answer.tool_calls]
    return canonical(document)


def canonical(document: object) -> str:
    """Return JSON without white space, keys in the order given, and no non-finite number."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _to_answer(record: AnswerRecord) -> Answer:
    return Answer(
        text=record.text or "",
        latency_ms=record.latency_ms,
        first_byte_ms=record.first_byte_ms,
        clock=record.clock,
        events=tuple(AnswerEvent(t_ms=e.t_ms, kind=e.kind, text=e.text) for e in record.events),
        usage=record.usage,
        tool_calls=tuple(canonical(call) for call in record.tool_calls),
        audio=record.audio,
    )


def _event_document(event: AnswerEvent) -> dict[str, object]:
    text = {} if event.text is None else {"text": event.text}
    return {"t_ms": event.t_ms, "kind": event.kind, **text}


def _code_in(error: str) -> str:
    return error if _ERROR_CODE.fullmatch(error) else ""


def _refuse_beyond_json(document: JsonValue, at: str) -> None:
    # "\ud800" is JSON and yet no text: it would break every file that it is written to later. A
    # Parquet file can hold NaN and times in places that no type of ours describes.
    try:
        canonical(document).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{at}: holds half of a surrogate pair, which is no text") from error
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{at}: holds a value that JSON has no word for") from error
