"""``journal.jsonl``: one line per finished item of a run that is under way.

``run.json``: what a run was asked to do, and the digests of what it wrote.

Answer lines, the protocol between relkit and any system (docs/cli.md, section "Answers"): JSON to
domain and back.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from relkit.audio.types import AudioFacts, SpokenAudio
from relkit.core.codec import Record, encode, parse, parse_json
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.values import Named, SystemId
from relkit.core.yaml_text import where
from relkit.datasets.types import (
    Answer,
    AnswerEvent,
    DatasetVersion,
    Failure,
    FailureReason,
    Prediction,
    Unusable,
    UnusableReason,
)
from relkit.evaluation.suites import suite_document, suite_from_document
from relkit.evaluation.types import Outcome, RunHeader, RunStatus

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
    record = parse(AnswerRecord, document, source=source, line=line)
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


class FailureRecord(Record):
    """Why the system gave no answer."""

    reason: Annotated[FailureReason, Field(strict=False)]
    detail: str = ""


class UnusableRecord(Record):
    """Why an item could not be given to the system."""

    reason: Annotated[UnusableReason, Field(strict=False)]
    detail: str = ""


class SpeechRecord(Record):
    """What was measured on a spoken clip."""

    leading_silence_ms: float
    trailing_silence_ms: float
    clipped: int
    dropouts: int
    first_audio_ms: float | None = None
    warm_up_ms: float | None = None


class JournalLine(Record):
    """One outcome."""

    schema_: Literal["relkit.journal/v1"] = Field(default="relkit.journal/v1", alias="schema")
    id: str
    repeat: int = 0
    answer: dict[str, Any] | None = None
    failure: FailureRecord | None = None
    unusable: UnusableRecord | None = None
    attempts: int = 0
    cached: bool = False
    load: str = ""
    audio: str | None = None
    duration: float | None = None
    speech: SpeechRecord | None = None


def render_line(outcome: Outcome) -> str:
    """Return one line of JSON without a line end."""
    document: dict[str, object] = {"id": outcome.id, "repeat": outcome.repeat}
    if outcome.audio is not None:
        document["audio"] = outcome.audio
    if outcome.duration is not None:  # also without audio: recorded answers have a length only
        document["duration"] = outcome.duration
    if (speech := outcome.speech) is not None:
        times = {"first_audio_ms": speech.first_audio_ms, "warm_up_ms": speech.warm_up_ms}
        known = {name: value for name, value in times.items() if value is not None}
        document["speech"] = {**asdict(speech.facts), **known}
    if outcome.unusable is not None:
        unusable = outcome.unusable
        document["unusable"] = {"reason": unusable.reason.value, "detail": unusable.detail}
    if (prediction := outcome.prediction) is not None:
        document |= {
            "attempts": prediction.attempts,
            "cached": prediction.cached,
            "load": prediction.load,
        }
        if isinstance(prediction.outcome, Answer):
            document["answer"] = json.loads(render_answer(outcome.id, prediction.outcome))
        else:
            failure = prediction.outcome
            document["failure"] = {"reason": failure.reason.value, "detail": failure.detail}
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def parse_line(text: str, *, line: int, source: str = "journal.jsonl") -> Outcome:
    """Return the outcome of a line; raises InvalidInput where it is damaged."""
    record = parse(
        JournalLine, parse_json(text, source=source, line=line), source=source, line=line
    )
    if sum(told is not None for told in (record.answer, record.failure, record.unusable)) != 1:
        raise InvalidInput(
            f'{where(source, line)}: one of "answer", "failure" and "unusable" was expected'
        )
    return Outcome(
        id=record.id,
        repeat=record.repeat,
        prediction=_prediction(record, source, line),
        unusable=Unusable(reason=record.unusable.reason, detail=record.unusable.detail)
        if record.unusable
        else None,
        audio=record.audio,
        duration=record.duration,
        speech=None if record.speech is None else _speech(record.speech),
    )


def _speech(record: SpeechRecord) -> SpokenAudio:
    return SpokenAudio(
        facts=AudioFacts(**record.model_dump(exclude={"first_audio_ms", "warm_up_ms"})),
        first_audio_ms=record.first_audio_ms,
        warm_up_ms=record.warm_up_ms,
    )


def _prediction(record: JournalLine, source: str, line: int) -> Prediction | None:
    outcome: Answer | Failure
    if record.answer is not None:
        _, outcome = answer_from(record.answer, source=source, line=line)
    elif record.failure is not None:
        outcome = Failure(reason=record.failure.reason, detail=record.failure.detail)
    else:
        return None
    return Prediction(
        id=record.id,
        repeat=record.repeat,
        outcome=outcome,
        attempts=record.attempts,
        cached=record.cached,
        load=record.load,
    )


SCHEMA: Literal["relkit.run/v1"] = "relkit.run/v1"


class RunRecord(Record):
    """The whole of ``run.json``."""

    schema_: Literal["relkit.run/v1"] = Field(alias="schema")
    run: str
    status: RunStatus
    created: str
    finished: str | None
    source: str | None
    suite_digest: str
    suite: dict[str, Any]
    dataset: dict[str, Any]
    candidate: dict[str, Any]
    normalizer: dict[str, Any]
    repeats: int
    load: dict[str, str | int | float | bool | None]
    load_digest: str
    versions: dict[str, str]
    outputs: dict[str, str]


def render_run(
    header: RunHeader, *, status: RunStatus, finished: str | None, outputs: Mapping[str, str]
) -> str:
    """Return ``run.json`` as text; ``outputs`` maps a file name to its digest."""
    document: dict[str, JsonValue] = {
        "schema": SCHEMA,
        "run": header.run,
        "status": status,
        "created": header.created,
        "finished": finished,
        "source": header.source,
        "suite_digest": header.suite.digest,
        "suite": suite_document(header.suite),
        "dataset": encode(header.dataset),
        "candidate": encode(header.candidate),
        "normalizer": encode(header.normalizer),
        "repeats": header.repeats,
        "load": dict(header.load),
        "load_digest": header.load_digest,
        "versions": dict(header.versions),
        "outputs": dict(outputs),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_run(text: str, *, source: str) -> tuple[RunHeader, RunStatus, Mapping[str, str]]:
    """Return a run's header, its status and its output digests; raises InvalidInput."""
    record = parse(RunRecord, parse_json(text, source=source), source=source)
    header = RunHeader(
        run=record.run,
        created=record.created,
        suite=suite_from_document(record.suite, digest=record.suite_digest, source=source),
        dataset=parse(DatasetVersion, record.dataset, source=source, inside="dataset"),
        candidate=parse(SystemId, record.candidate, source=source, inside="candidate"),
        normalizer=parse(Named, record.normalizer, source=source, inside="normalizer"),
        repeats=record.repeats,
        load=record.load,
        load_digest=record.load_digest,
        versions=record.versions,
        source=record.source,
    )
    return header, record.status, record.outputs
