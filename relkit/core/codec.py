"""One codec for every file: a domain type is the format, read strictly and written in its order.

JSON and YAML mean one thing only here, and errors name file and line.

``parse(T, document)`` gives a value of T or one clear error; ``encode(value)`` gives the document
back. How to put a type in the shape of its file:

- A frozen dataclass has a field for each key, in the order in which the keys are written. What the
  file nests is a type of its own (``suite: Named``), lists are ``tuple[X, ...]``, objects with free
  keys ``Mapping[str, X]``, fixed words a ``Literal`` or a ``StrEnum``, bytes ``Base64``.
- A field without a default is required. One with a default may be left out of the file, and is
  written. ``FILE: ClassVar = Shape(required=True)`` requires every key all the same, and
  ``Shape(omitted=True)`` leaves out of a written file what has its default; the metadata of a field
  (``field(default=None, metadata=OMITTED)``) says it for that field alone.
- A key that is no name in Python ends in an underscore there (``class_``), any other spelling is
  ``field(metadata=named("payloadType"))``.
- What code adds to what it read (a digest, a line) is ``field(default="", metadata=OUTSIDE)``. A
  property that the file has, too, stands in ``Shape(derived={"coverage": "unusable"})``.
- Limits stand in the annotation (``Digest``, ``Count``, ``Annotated[str, Limits(min_length=1)]``),
  other spellings are read by ``Read``, unions of types are told apart by ``Tagged("kind")``: all in
  :mod:`relkit.core.values`, which does not import pydantic.
- Add the type to the table of ``tests/unit/core/test_codec.py``: ``parse(T, encode(x)) == x``.
"""

import base64
import dataclasses
import difflib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails, SchemaValidator, core_schema

from relkit.core import yaml_text
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput, Malformed
from relkit.core.values import Shape
from relkit.core.yaml_text import KeyPath, shown, where

T = TypeVar("T")
Lines = Mapping[KeyPath, int]

MAX_DEPTH = 100
"""How deeply a JSON document may be nested: far less than what writing it again can take."""


def decode(data: bytes, *, source: str) -> str:
    """Return UTF-8 text; raises InvalidInput for another encoding, a BOM or a NUL."""
    if data.startswith(b"\xef\xbb\xbf"):
        raise Malformed(
            "starts with a byte order mark", source=source, line=1, hint="save it as plain UTF-8"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Malformed(
            "not UTF-8 text", source=source, line=line, hint="save it as plain UTF-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise Malformed("holds a NUL character", source=source, line=line, hint="remove it")
    return text


def parse_json(text: str, *, source: str, line: int | None = None) -> JsonValue:
    """Return a JSON document; duplicate keys, NaN, infinities and deep nesting are refused.

    ``line`` is the line of the text in its file, for formats with a document a line.
    """
    try:
        document: JsonValue = _DECODER.decode(text)
    except Malformed as error:  # of the decoder, which knows no place
        raise Malformed(error.problem, source=source, line=line, hint=error.hint) from None
    except json.JSONDecodeError as error:
        at = error.lineno if line is None else line
        raise Malformed(f"not JSON: {error.msg}", source=source, line=at) from error
    except RecursionError as error:
        raise Malformed("nested too deeply", source=source, line=line) from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise Malformed("a number has too many digits", source=source, line=line) from error
    _refuse_unwritable(document, text, source, line)
    return document


def _refuse_constant(name: str) -> float:
    hint = "use null for a missing value"
    raise Malformed(f"{name} is no JSON number", source="", hint=hint)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise Malformed(f"the number {shown(number)} is out of range", source="")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        hint = "keep one of them"
        raise Malformed(f'the key "{shown(twice)}" stands twice', source="", hint=hint)
    return document


_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique
)


def _refuse_unwritable(document: JsonValue, text: str, source: str, line: int | None) -> None:
    """Refuse what could not be written again."""
    if text.count("[") + text.count("{") > MAX_DEPTH:
        depth, level = 0, [document]
        while level := [value for item in level for value in _inside(item)]:
            depth += 1
        if depth > MAX_DEPTH:
            raise Malformed("nested too deeply", source=source, line=line)
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(document, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            problem = "holds half of a surrogate pair, which is no text"
            raise Malformed(problem, source=source, line=line) from error


def _inside(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def real_path(document: JsonValue, path: KeyPath, *, absent: bool) -> KeyPath:
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


def line_of(path: KeyPath, lines: Lines) -> int | None:
    """Return the line of a key, or of the nearest key around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return a hint with the nearest of some names, or with all of them; None for no names."""
    if not names:
        return None
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else "known: " + ", ".join(sorted(names))


_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

_CONTAINERS = {"tuple", "list", "set", "frozenset", "enum", "dataclass"}
"""What JSON has another type for: a strict validator would take none of them from a document."""


def parse(
    kind: type[T],
    document: object,
    *,
    source: str,
    line: int | None = None,
    lines: Lines | None = None,
    inside: str | None = None,
) -> T:
    """Return a document as a value of a type, or raise InvalidInput for its first defect.

    ``lines`` maps the path of a key to its line; ``line`` serves where there is one line only;
    ``inside`` is the key that the document is the value of.
    """
    try:
        return cast("T", _validator(kind).validate_python(document))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        # A misspelt key is both unknown and missing, and only the first can be named.
        unknown = (item for item in details if item["type"] == _UNKNOWN_KEY)
        first = next(unknown, None) or _furthest(details, document)
        path, message, hint = _explain(kind, first, document, inside)
        plain = lines.plain.get(path) if isinstance(lines, yaml_text.LinesOfKeys) else None
        if first["type"] == "string_type" and plain:
            hint = f'YAML takes {shown(plain)} for no text: write "{shown(plain)}"'
        line = line_of(path, lines or {}) or line
        raise Malformed(message, source=source, line=line, hint=hint) from error


def _furthest(details: list[ErrorDetails], document: object) -> ErrorDetails:
    """Return the first error; of a union, that of the member which the document fits furthest."""
    where_first = real_path(cast("Any", document), details[0]["loc"], absent=False)
    inside = [item for item in details if item["loc"][: len(where_first)] == where_first]
    return max(inside, key=lambda item: len(item["loc"]), default=details[0])


def parse_yaml(text: str, kind: type[T], *, source: str) -> T:
    """Return a YAML 1.2 file as a value of a type; raises InvalidInput naming line and nearest key.

    Aliases, tags, duplicate and unknown keys, several documents and more than 1 MiB are refused.
    """
    document, lines = yaml_text.load(text, source=source)
    if document is None:
        raise Malformed("is empty", source=source, hint=f"it needs {_required(kind)}")
    return parse(kind, document, source=source, lines=lines)


def defects(kind: type[T], document: object) -> T | list[tuple[KeyPath, str, str | None]]:
    """Return a document as a value of a type, or (path, message, hint) of all its defects."""
    try:
        return cast("T", _validator(kind).validate_python(document))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return [_explain(kind, item, document, None) for item in details]


def encode(value: object) -> Any:  # noqa: ANN401 - the JSON of any type
    """Return a value as the plain document that :func:`parse` reads: dicts, lists and scalars."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is tuple or kind is list:
        items = cast("Iterable[object]", value)
        return list(items) if _SCALARS.issuperset(map(type, items)) else [*map(encode, items)]
    if isinstance(value, Mapping):
        items = value.values()
        plain = _SCALARS.issuperset(map(type, items))
        return dict(zip(map(str, value), items if plain else map(encode, items), strict=True))
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    document = {}
    for name, key, default in _written(cast("Any", kind)):
        item = getattr(value, name)
        if default is _ALWAYS or item != default:
            document[key] = encode(item)
    return document


def as_type(kind: type[T], value: object, **changes: object) -> T:
    """Return a value as a type that has its fields, with changes: a record from its file's type."""
    fields = dataclasses.fields(cast("Any", kind))
    same = {item.name: getattr(value, item.name) for item in fields if hasattr(value, item.name)}
    return kind(**(same | changes))


def schema(kind: type) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file of a type."""
    core = _core(kind)
    shared = {node["schema_ref"] for node in _nodes(core) if node["type"] == "definition-ref"}
    for node in _nodes(core):
        if node["type"] == "enum":  # written out where it stands, and not as a type of its own
            members = [member.value for member in node["members"]]
            node |= {"type": "literal", "expected": members, "metadata": {}}
            if node.get("ref") not in shared:
                node.pop("ref", None)
        elif node["type"] == "default" and node.get("default_factory") in (dict, tuple, list):
            node["default"] = node.pop("default_factory")()
        elif node["type"] == "dataclass-args":
            node["fields"] = [item for item in node["fields"] if item["init"]]
    return _Schemas().generate(core)


class _Schemas(GenerateJsonSchema):
    """Says what the first line of a type says, and allows the keys that it passes over."""

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> dict[str, Any]:
        """Return the schema of a dataclass."""
        described = super().dataclass_schema(schema)
        described["description"] = described["description"].partition("\n")[0]
        return (
            described | {"additionalProperties": True} if _file(schema["cls"]).open else described
        )


_validator: Callable[[Any], SchemaValidator] = cache(lambda kind: SchemaValidator(_core(kind)))


def _core(kind: type) -> Any:  # noqa: ANN401 - a schema of pydantic-core is a dict of dicts
    """Return the schema of a type, strict about scalars and open for the containers of JSON."""
    if dataclasses.is_dataclass(kind):
        setattr(kind, "__pydantic_config__", _CONFIG)  # noqa: B010 - the types know nothing of pydantic
        core: Any = TypeAdapter(kind).core_schema
    else:
        core = TypeAdapter(kind, config=_CONFIG).core_schema
    for node in _nodes(core):
        if node["type"] in _CONTAINERS:
            node["strict"] = False
        if node["type"] == "dataclass":
            _shape(node["cls"], node["schema"])
    return core


def _nodes(node: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - as above
    """Yield every part of a schema, the outer ones first."""
    if isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield node
        for key, item in node.items():
            if key not in ("default", "metadata", "config", "serialization"):
                yield from _nodes(item)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _nodes(item)


def _shape(kind: type, arguments: dict[str, Any]) -> None:
    """Tell the validator how a dataclass stands in its file."""
    by_name = {item.name: item for item in dataclasses.fields(kind)}
    if _file(kind).open:
        arguments["extra_behavior"] = "ignore"
    for node in arguments["fields"]:
        item = by_name[node["name"]]
        node["validation_alias"] = _key(item)
        if item.metadata.get("outside"):
            node["init"] = False
        elif _says(kind, item, "required") and node["schema"]["type"] == "default":
            node["schema"] = node["schema"]["schema"]
    for name in _file(kind).derived:
        returned = get_type_hints(getattr(kind, name).fget)["return"]
        node = {"type": "dataclass-field", "name": name, "init": True, "init_only": True}
        arguments["fields"].append({**node, "schema": TypeAdapter(returned).core_schema})
        arguments["collect_init_only"] = True


def _file(kind: type) -> Shape:
    return getattr(kind, "FILE", Shape())


def _key(item: "dataclasses.Field[Any]") -> str:
    return str(item.metadata.get("key", item.name.removesuffix("_")))


def _says(kind: type, item: "dataclasses.Field[Any]", what: str) -> bool:
    return bool(item.metadata.get(what, getattr(_file(kind), what, False)))


_SCALARS = frozenset({str, int, float, bool, type(None)})
_ALWAYS = object()


@cache
def _written(kind: type) -> tuple[tuple[str, str, object], ...]:
    """Return (attribute, key, value that is not written) of what a type's file has, in order."""
    keys: list[tuple[str, str, object]] = []
    for item in _fields(kind):
        factory = item.default_factory
        default = item.default if factory is dataclasses.MISSING else factory()
        omitted = _says(kind, item, "omitted") and default is not dataclasses.MISSING
        keys.append((item.name, _key(item), default if omitted else _ALWAYS))
        derived = (name for name, after in _file(kind).derived.items() if after == item.name)
        keys.extend((name, name, _ALWAYS) for name in derived)
    return tuple(keys)


_UNKNOWN_KEY = "unexpected_keyword_argument"


def _explain(
    kind: type, item: ErrorDetails, document: object, inside: str | None
) -> tuple[KeyPath, str, str | None]:
    """Return (path, message, hint) of an error of pydantic in the words of users."""
    what, text = item["type"], item["msg"].removeprefix("Value error, ")
    path = real_path(cast("Any", document), tuple(item["loc"]), absent=what == "missing")
    name = shown(".".join(str(part) for part in ((inside, *path) if inside else path)))
    if what == _UNKNOWN_KEY:
        hint = nearest(str(path[-1]), _keys(kind, path[:-1], document))
        return path, f'unknown key "{name}"', hint
    if what == "missing" and not isinstance(path[-1], int):
        return path, f'the key "{name}" is missing', None
    if not path and not isinstance(document, Mapping):
        return path, "a mapping of keys to values was expected", f"it needs {_required(kind)}"
    if what in {"dataclass_type", "dict_type"}:
        return path, f'"{name}": a mapping of keys to values was expected', None
    if what == "union_tag_invalid":
        expected = item["ctx"]["expected_tags"]
        text = f"'{shown(item['ctx']['tag'])}' is none of {expected}"
    elif what in {"tuple_type", "too_short", "too_long"}:
        text = text.replace("valid tuple", "valid list").replace("Tuple should", "List should")
    return path, f'"{name}": {text}', None


def _keys(kind: object, path: KeyPath, document: Any) -> list[str]:  # noqa: ANN401 - JSON
    """Return the keys of the type at a path; of a union, those of the member the document is."""
    types = list(_types_in(kind))
    for part in path:
        nested = [inner for outer in types for inner in _types_in(_values_of(outer).get(str(part)))]
        document = document[part]
        types = [inner for inner in nested if _is_of(inner, document)] or nested or types
    return list(dict.fromkeys(key for outer in types for key in _values_of(outer)))


def _values_of(kind: type) -> dict[str, Any]:
    """Return the keys of a type's file with the types of their values."""
    hints = get_type_hints(kind)
    keys = {_key(item): hints[item.name] for item in _fields(kind)}
    return keys | dict.fromkeys(_file(kind).derived)


def _is_of(kind: type, document: object) -> bool:
    """Return whether every fixed word of a type is one that the document has there."""
    return isinstance(document, Mapping) and all(
        document[key] in get_args(hint)
        for key, hint in _values_of(kind).items()
        if get_origin(hint) is Literal and key in document
    )


def _types_in(annotation: object) -> Iterator[type]:
    """Yield the types with keys that a type is described of."""
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _types_in(argument)


def _required(kind: type) -> str:
    names = [
        _key(item)
        for item in (_fields(kind) if dataclasses.is_dataclass(kind) else ())
        if _says(kind, item, "required")
        or item.default is item.default_factory is dataclasses.MISSING
    ]
    return "the keys " + ", ".join(names) if names else "a mapping"


def _fields(kind: type) -> Iterator["dataclasses.Field[Any]"]:
    """Yield the fields of a dataclass that are keys of its file."""
    for item in dataclasses.fields(kind):
        if not item.metadata.get("outside"):
            yield item


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


def lines_of(text: str, *, source: str) -> Lines:
    """Return the line of each key of a JSON or YAML text; none of JSON that is no YAML."""
    try:
        return yaml_text.load(text, source=source)[1]
    except InvalidInput:  # JSON indented by tabs
        return {}
