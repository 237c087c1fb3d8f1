"""Strict readers: JSON and YAML that mean one thing only, errors that name file and line."""

import difflib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from relkit.domain.errors import InvalidInput
from relkit.records import yaml_text
from relkit.records.digests import JsonValue
from relkit.records.yaml_text import shown, where

M = TypeVar("M", bound=BaseModel)
Path = tuple[str | int, ...]
Lines = Mapping[Path, int]

MAX_DEPTH = 100
"""How deeply a JSON document may be nested: far less than what writing it again can take."""


class Record(BaseModel):
    """Base of every file model: unknown keys, coerced types and later changes are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def decode(data: bytes, *, source: str) -> str:
    """Return UTF-8 text; raises InvalidInput for another encoding, a BOM or a NUL."""
    if data.startswith(b"\xef\xbb\xbf"):
        raise InvalidInput(
            f"{where(source, 1)}: starts with a byte order mark", hint="save it as plain UTF-8"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            f"{where(source, line)}: not UTF-8 text", hint="save it as plain UTF-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InvalidInput(f"{where(source, line)}: holds a NUL character", hint="remove it")
    return text


def parse_json(text: str, *, source: str, line: int | None = None) -> JsonValue:
    """Return a JSON document; duplicate keys, NaN, infinities and deep nesting are refused.

    ``line`` is the line of the text in its file, for formats with a document a line.
    """

    def refuse_constant(name: str) -> float:
        raise InvalidInput(
            f"{where(source, line)}: {name} is no JSON number", hint="use null for a missing value"
        )

    def finite(number: str) -> float:
        value = float(number)
        if not math.isfinite(value):
            raise InvalidInput(f"{where(source, line)}: the number {shown(number)} is out of range")
        return value

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(pairs)
        if len(document) != len(pairs):
            twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
            raise InvalidInput(
                f'{where(source, line)}: the key "{shown(twice)}" stands twice',
                hint="keep one of them",
            )
        return document

    try:
        document: JsonValue = json.loads(
            text, parse_constant=refuse_constant, parse_float=finite, object_pairs_hook=unique
        )
    except json.JSONDecodeError as error:
        at = error.lineno if line is None else line
        raise InvalidInput(f"{where(source, at)}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise InvalidInput(f"{where(source, line)}: nested too deeply") from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise InvalidInput(f"{where(source, line)}: a number has too many digits") from error
    _refuse_what_cannot_be_written(document, text, where(source, line))
    return document


def _refuse_what_cannot_be_written(document: JsonValue, text: str, at: str) -> None:
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(document) > MAX_DEPTH:
        raise InvalidInput(f"{at}: nested too deeply")
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(document, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidInput(f"{at}: holds half of a surrogate pair, which is no text") from error


def _depth(document: JsonValue) -> int:
    depth, level = 0, [document]
    while level := [value for item in level for value in _inside(item)]:
        depth += 1
    return depth


def _inside(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def parse_yaml(text: str, model: type[M], *, source: str) -> M:
    """Return a YAML 1.2 file as a record; raises InvalidInput naming line and nearest key.

    Aliases, tags, duplicate and unknown keys, several documents and more than 1 MiB are refused.
    """
    document, lines = yaml_text.load(text, source=source)
    if document is None:
        raise InvalidInput(f"{source}: is empty", hint=f"it needs {_required(model)}")
    return check(model, document, source=source, lines=lines)


def check(
    model: type[M],
    document: JsonValue,
    *,
    source: str,
    line: int | None = None,
    lines: Lines | None = None,
    inside: str | None = None,
) -> M:
    """Return a document as a record, or raise InvalidInput for its first defect.

    ``lines`` maps the path of a key to its line; ``line`` serves where there is one line only;
    ``inside`` is the key that the document is the value of.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        # A misspelt key is both unknown and missing, and only the first can be named.
        first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
        path = real_path(document, tuple(first["loc"]), absent=first["type"] == "missing")
        at = where(source, line_of(path, lines or {}) or line)
        message, hint = _explain(model, path, first, document, inside)
        raise InvalidInput(f"{at}: {message}", hint=hint) from error


def real_path(document: JsonValue, path: Path, *, absent: bool) -> Path:
    """Drop the names of union members, which pydantic puts into the path of a value.

    ``absent`` says that the last part names a key which the document lacks.
    """
    real: list[str | int] = []
    for i, part in enumerate(path):
        if isinstance(document, Mapping) and part in document:
            document = document[str(part)]
        elif isinstance(document, list) and isinstance(part, int) and part < len(document):
            document = document[part]
        elif i < len(path) - 1 or not absent:
            continue
        real.append(part)
    return tuple(real)


def line_of(path: Path, lines: Lines) -> int | None:
    """Return the line of a key, or of the nearest key around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _explain(
    model: type[BaseModel],
    path: Path,
    first: ErrorDetails,
    document: JsonValue,
    inside: str | None,
) -> tuple[str, str | None]:
    prefix = () if inside is None else (inside,)
    name = shown(".".join(str(part) for part in (*prefix, *path)))
    kind, text = first["type"], first["msg"]
    if kind == "extra_forbidden":
        known = _keys(model, path[:-1])
        hint = nearest(str(path[-1]), known)
        return f'unknown key "{name}"', hint
    if kind == "missing":
        return f'the key "{name}" is missing', None
    if not path and not isinstance(document, Mapping):
        return "a mapping of keys to values was expected", f"it needs {_required(model)}"
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return f'"{name}": a mapping of keys to values was expected', None
    return f'"{name}": {text.removeprefix("Value error, ")}', None


def _keys(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys a record knows at a path, following nested records."""
    for part in path:
        field = model.model_fields.get(str(part)) if isinstance(part, str) else None
        if field is None:
            continue
        nested = _records_in(field.annotation)
        if nested is None:
            return []
        model = nested
    return [info.alias or name for name, info in model.model_fields.items()]


def _records_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _records_in(argument)) is not None:
            return found
    return None


def _required(model: type[BaseModel]) -> str:
    names = [i.alias or n for n, i in model.model_fields.items() if i.is_required()]
    return "the keys " + ", ".join(names) if names else "a mapping"


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Return a hint with the nearest known name, or the whole short list."""
    if not known:
        return None
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else "known: " + ", ".join(sorted(known))
