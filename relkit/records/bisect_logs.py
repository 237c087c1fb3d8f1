"""The log of a search by a command: a line for what is searched, then one for each answer."""

import json
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from relkit.domain.bisections import Answer, Mark
from relkit.domain.errors import InvalidInput
from relkit.records.strict import Record, check, parse_json
from relkit.records.yaml_text import where


class BisectHeadRecord(Record):
    """What the answers of a log are answers to."""

    schema_: Literal["relkit.bisect/v1"] = Field("relkit.bisect/v1", alias="schema")
    model: str
    command: str
    on_timeout: Literal["abort", "skip", "bad"]


class BisectAnswerRecord(Record):
    """One answer."""

    version: str
    release: str
    mark: Literal["good", "bad", "skip"]
    exit_code: int | None


def render_head(model: str, command: str, on_timeout: str) -> str:
    """Return the first line of a log."""
    head = {
        "schema": "relkit.bisect/v1",
        "model": model,
        "command": command,
        "on_timeout": on_timeout,
    }
    return json.dumps(head, ensure_ascii=False)


def render_answer(answer: Answer) -> str:
    """Return the line of an answer."""
    document = {
        "version": answer.version,
        "release": answer.release,
        "mark": answer.mark.value,
        "exit_code": answer.exit_code,
    }
    return json.dumps(document, ensure_ascii=False)


def parse_log(lines: Sequence[str], *, head: str, source: str) -> tuple[Answer, ...]:
    """Return the answers of a log that begins with ``head``.

    Raises InvalidInput for lines that are none and for the log of another search.
    """
    if not lines:
        return ()
    first = parse_json(lines[0], source=source, line=1)
    check(BisectHeadRecord, first, source=source, line=1)
    if first != parse_json(head, source="head"):
        raise InvalidInput(
            f"{where(source, 1)}: the log of another search (model, command or --on-timeout)",
            hint="give another file with --log, or remove this one",
        )
    return tuple(
        _answer(line, source=source, number=number)
        for number, line in enumerate(lines[1:], start=2)
    )


def _answer(line: str, *, source: str, number: int) -> Answer:
    document = parse_json(line, source=source, line=number)
    record = check(BisectAnswerRecord, document, source=source, line=number)
    return Answer(
        version=record.version,
        release=record.release,
        mark=Mark(record.mark),
        exit_code=record.exit_code,
    )
