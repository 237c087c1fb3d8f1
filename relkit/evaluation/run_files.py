"""The files of a run: ``run.json``, ``journal.jsonl``, ``report.json``, and answer lines.

Answer lines are the protocol between relkit and any system (docs/cli.md, section "Answers").
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from relkit.audio.types import SpokenAudio
from relkit.core.codec import encode, parse, parse_json
from relkit.core.digests import PREFIX, JsonValue, sha256_bytes
from relkit.core.errors import InvalidInput
from relkit.core.values import Id
from relkit.core.yaml_text import where
from relkit.datasets.types import Answer, Failure, FailureReason, Prediction, Text, Unusable
from relkit.evaluation.types import EvalReport, Outcome, RunHeader

JOURNAL = "journal.jsonl"
"""What holds the outcomes of a run that is not finished, one a line."""

MAX_LINE = 1 << 20
"""The longest answer line that is read, in bytes."""

_ERROR_CODE = re.compile(r"(?=.{1,40}\Z)[a-z]+(?:_[a-z]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLine(Answer):
    """One answer: ``text`` or ``error``, and what else the task has."""

    id: Id
    text: str | None = None  # type: ignore[assignment]  # a line that has none has an error
    error: Text | None = None


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
    answer = parse(AnswerLine, document, source=source, line=line)
    at = where(source, line)
    if (answer.text is None) == (answer.error is None):
        which = "neither" if answer.text is None else "both"
        raise InvalidInput(f'{at}: {which} of "text" and "error" are given', hint="give one")
    # "\ud800" is JSON and yet no text: it would break every file that it is written to later. A
    # Parquet file can hold NaN and times in places that no type of ours describes.
    try:
        compact_json(document).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{at}: holds half of a surrogate pair, which is no text") from error
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{at}: holds a value that JSON has no word for") from error
    if answer.error is not None:
        detail = answer.error if _ERROR_CODE.fullmatch(answer.error) else ""
        return answer.id, Failure(reason=FailureReason.REPORTED, detail=detail)
    return answer.id, Answer(**{item.name: getattr(answer, item.name) for item in fields(Answer)})


def render_answer(utterance_id: str, answer: Answer) -> str:
    """Return an answer as one line of JSON without its line end.

    Law: ``parse_answer(render_answer(i, a), source=…) == (i, a)`` for every answer.
    """
    return compact_json({"id": utterance_id, "text": answer.text, **encode(answer)})


def compact_json(document: object) -> str:
    """Return JSON without white space, keys in the order given, and no non-finite number."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """One outcome; ``answer`` is a line of the answer protocol.

    ``digest`` is of the line without it, and of the run; see :func:`unseal_line`.
    """

    schema: Literal["relkit.journal/v1"] = "relkit.journal/v1"
    id: str
    repeat: int = 0
    answer: Mapping[str, Any] | None = None
    failure: Failure | None = None
    unusable: Unusable | None = None
    attempts: int = 0
    cached: bool = False
    load: str = ""
    audio: str | None = None
    duration: float | None = None
    speech: SpokenAudio | None = None
    digest: str | None = None


def render_journal_line(outcome: Outcome) -> str:
    """Return one line of JSON without a line end; what is absent is left out."""
    document: dict[str, object] = {"id": outcome.id, "repeat": outcome.repeat}
    for name in ("audio", "duration", "speech", "unusable"):
        if (value := getattr(outcome, name)) is not None:
            document[name] = encode(value)
    if (prediction := outcome.prediction) is not None:
        for name in ("attempts", "cached", "load"):
            document[name] = getattr(prediction, name)
        if isinstance(prediction.outcome, Answer):
            document["answer"] = {"id": outcome.id, **encode(prediction.outcome)}
        else:
            document["failure"] = encode(prediction.outcome)
    return compact_json(document)


def seal_line(text: str, run: str) -> str:
    """Return a line of a journal with a digest that binds it to its run, as the last key."""
    return f'{text[:-1]},"digest":"{_line_digest(text, run)}"}}'


def unseal_line(text: str, run: str, *, line: int, source: str = JOURNAL) -> str | None:
    """Return a line without its digest, None where it has none, as journals before 0.1.0.

    Raises InvalidInput where the line, or its digest, is not what the run wrote.
    """
    seal = _SEAL.search(text, max(0, len(text) - 64))
    if seal is None:
        return None
    body = text[: seal.start()] + "}"
    if _line_digest(body, run) != seal["digest"]:
        raise InvalidInput(
            f"{where(source, line)}: was changed, or is another run's",
            hint="run the suite again; what was answered comes from the cache",
        )
    return body


_SEAL = re.compile(r',"digest":"(?P<digest>[0-9a-f]{32})"\}\Z')


def _line_digest(text: str, run: str) -> str:
    """Return half of a SHA-256: it finds damage and mistakes, and is no signature."""
    return sha256_bytes(f"{run}\n{text}".encode())[len(PREFIX) :][:32]


def parse_journal_line(text: str, *, line: int, source: str = JOURNAL) -> Outcome:
    """Return the outcome of a line; raises InvalidInput where it is damaged."""
    entry = parse(JournalLine, parse_json(text, source=source, line=line), source=source, line=line)
    if entry.digest is not None:
        raise InvalidInput(f"{where(source, line)}: its digest is none, or not at its end")
    if [entry.answer, entry.failure, entry.unusable].count(None) != 2:  # noqa: PLR2004 - all but one
        raise InvalidInput(
            f'{where(source, line)}: one of "answer", "failure" and "unusable" was expected'
        )
    outcome: Answer | Failure | None = entry.failure
    if entry.answer is not None:
        _, outcome = answer_from(entry.answer, source=source, line=line)
    prediction = None
    if outcome is not None:
        prediction = Prediction(
            id=entry.id,
            repeat=entry.repeat,
            outcome=outcome,
            attempts=entry.attempts,
            cached=entry.cached,
            load=entry.load,
        )
    return Outcome(
        id=entry.id,
        repeat=entry.repeat,
        prediction=prediction,
        unusable=entry.unusable,
        audio=entry.audio,
        duration=entry.duration,
        speech=entry.speech,
    )


def render_run(header: RunHeader) -> str:
    """Return ``run.json`` as text; raises ValueError for NaN and infinities."""
    return json.dumps(encode(header), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_run(text: str, *, source: str) -> RunHeader:
    """Return a run's header; raises InvalidInput."""
    return parse(RunHeader, parse_json(text, source=source), source=source)


def render_report(report: EvalReport) -> str:
    """Return ``report.json`` as text; raises ValueError for NaN and infinities."""
    return json.dumps(encode(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_report(text: str, *, source: str) -> EvalReport:
    """Return a report; raises InvalidInput for NaN, duplicate or unknown keys, other types."""
    return parse(EvalReport, parse_json(text, source=source), source=source)
