"""``journal.jsonl``: one line per finished item of a run that is under way."""

import json
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from relkit.domain.errors import InvalidInput
from relkit.domain.results import Outcome
from relkit.domain.speech import AudioFacts, SpokenAudio
from relkit.domain.utterances import (
    Answer,
    Failure,
    FailureReason,
    Prediction,
    Unusable,
    UnusableReason,
)
from relkit.records.answers import answer_from, render_answer
from relkit.records.strict import Record, check, parse_json
from relkit.records.yaml_text import where


class FailureRecord(Record):
    """Why the system gave no answer."""

    reason: Annotated[FailureReason, Field(strict=False)]
    detail: str = ""


class UnusableRecord(Record):
    """Why an item could not be given to the system."""

    reason: Annotated[UnusableReason, Field(strict=False)]
    detail: str = ""


class SpeechRecord(Record):
    """What was measured on a spoken clip; see :class:`relkit.domain.speech.SpokenAudio`."""

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
    record = check(
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
