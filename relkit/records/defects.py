"""Every defect of a document at once, each with its line: what ``validate`` commands print."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from relkit.domain.errors import InvalidInput
from relkit.records import yaml_text
from relkit.records.digests import JsonValue
from relkit.records.strict import Lines, line_of, nearest
from relkit.records.yaml_text import shown, where

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """What is wrong with a file, and where; ``line`` is None where it has no one line."""

    source: str
    line: int | None
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        """Return ``file, line 3: what is wrong``."""
        return f"{where(self.source, self.line)}: {self.message}"


def checked(
    model: type[M], document: JsonValue, *, source: str, lines: Callable[[], Lines]
) -> tuple[M | None, tuple[Defect, ...]]:
    """Return the record, or None and all that is wrong; ``lines`` is called only then."""
    try:
        return model.model_validate(document), ()
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    known = lines()
    return None, tuple(_defect(model, item, source, known) for item in found)


def lines_of(text: str, *, source: str) -> Lines:
    """Return the line of each key of a JSON or YAML text; none of JSON that is no YAML."""
    try:
        return yaml_text.load(text, source=source)[1]
    except InvalidInput:  # JSON indented by tabs
        return {}


def _defect(model: type[BaseModel], item: ErrorDetails, source: str, lines: Lines) -> Defect:
    path = tuple(part for part in item["loc"] if part != "[key]")
    name = shown(".".join(str(part) for part in path))
    hint = None
    if item["type"] == "extra_forbidden":
        message = f'unknown key "{name}"'
        if len(path) == 1:
            known = [info.alias or key for key, info in model.model_fields.items()]
            hint = nearest(str(path[0]), known)
    elif item["type"] == "missing":
        message = f'the key "{name}" is missing'
    elif not path:
        message = "a mapping of keys to values was expected"
    else:
        message = f'"{name}": {item["msg"].removeprefix("Value error, ")}'
    return Defect(source=source, line=line_of(path, lines), message=message, hint=hint)
