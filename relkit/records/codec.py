"""One codec for every file: a domain type is the format, read strictly and written in its order.

``parse(T, document)`` gives a value of T or one clear error; ``encode(value)`` gives the document
back. How to put a type in the shape of its file:

- A frozen dataclass has a field for each key, in the order in which the keys are written. What the
  file nests is a type of its own (``suite: Named``), lists are ``tuple[X, ...]``, objects with free
  keys ``Mapping[str, X]``, fixed words a ``Literal`` or a ``StrEnum``.
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
  :mod:`relkit.domain.values`, which does not import pydantic.
- Add the type to the table of ``tests/unit/test_codec.py``: ``parse(T, encode(x)) == x``.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails, SchemaValidator

from relkit.domain.errors import InvalidInput
from relkit.domain.values import Shape
from relkit.records import yaml_text
from relkit.records.strict import line_of, nearest, real_path
from relkit.records.yaml_text import shown, where

T = TypeVar("T")
Path = tuple[str | int, ...]
Lines = Mapping[Path, int]

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
        unknown = (item for item in details if item["type"] == "unexpected_keyword_argument")
        path, message, hint = _explain(kind, next(unknown, details[0]), document, inside)
        at = where(source, line_of(path, lines or {}) or line)
        raise InvalidInput(f"{at}: {message}", hint=hint) from error


def parse_yaml(text: str, kind: type[T], *, source: str) -> T:
    """Return a YAML 1.2 file as a value of a type; raises InvalidInput naming line and nearest key.

    Aliases, tags, duplicate and unknown keys, several documents and more than 1 MiB are refused.
    """
    document, lines = yaml_text.load(text, source=source)
    if document is None:
        raise InvalidInput(f"{source}: is empty", hint=f"it needs {_required(kind)}")
    return parse(kind, document, source=source, lines=lines)


def defects(kind: type[T], document: object) -> T | list[tuple[Path, str, str | None]]:
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
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    document = {}
    for name, key, default in _written(cast("Any", kind)):
        item = getattr(value, name)
        if default is _ALWAYS or item != default:
            document[key] = encode(item)
    return document


def schema(kind: type) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file of a type."""
    core = _core(kind)
    for node in _nodes(core):
        if node["type"] == "enum":  # written out where it stands, and not as a type of its own
            members = [member.value for member in node["members"]]
            node |= {"type": "literal", "expected": members, "metadata": {}}
        elif node["type"] == "default" and node.get("default_factory") in (dict, tuple, list):
            node["default"] = node.pop("default_factory")()
        elif node["type"] == "dataclass-args":
            node["fields"] = [item for item in node["fields"] if item["init"]]
    return GenerateJsonSchema().generate(core)


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


_Explained = tuple[Path, str, str | None]


def _explain(kind: type, item: ErrorDetails, document: object, inside: str | None) -> _Explained:
    """Return (path, message, hint) of an error of pydantic in the words of users."""
    what, text = item["type"], item["msg"].removeprefix("Value error, ")
    path = real_path(cast("Any", document), tuple(item["loc"]), absent=what == "missing")
    name = shown(".".join(str(part) for part in ((inside, *path) if inside else path)))
    if what == "unexpected_keyword_argument":
        return (
            path,
            f'unknown key "{name}"',
            nearest(str(path[-1]), _keys(kind, path[:-1], document)),
        )
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


def _keys(kind: object, path: Path, document: Any) -> list[str]:  # noqa: ANN401 - JSON
    """Return the keys of the type at a path; of a union, those of the member the document is."""
    types = list(_dataclasses_in(kind))
    for part in path:
        nested = [
            inner
            for outer in types
            for item in _fields(outer)
            if _key(item) == part
            for inner in _dataclasses_in(get_type_hints(outer)[item.name])
        ]
        document = document[part]
        types = [inner for inner in nested if _is_of(inner, document)] or nested or types
    return list(dict.fromkeys(key for outer in types for _, key, _ in _written(outer)))


def _is_of(kind: type, document: object) -> bool:
    """Return whether every fixed word of a type is one that the document has there."""
    hints = get_type_hints(kind)
    words = {_key(item): hints[item.name] for item in _fields(kind)}
    return isinstance(document, Mapping) and all(
        document[key] in get_args(hint)
        for key, hint in words.items()
        if get_origin(hint) is Literal and key in document
    )


def _dataclasses_in(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _dataclasses_in(argument)


def _required(kind: type) -> str:
    missing = dataclasses.MISSING
    names = [
        _key(item)
        for item in (_fields(kind) if dataclasses.is_dataclass(kind) else ())
        if _says(kind, item, "required") or item.default is item.default_factory is missing
    ]
    return "the keys " + ", ".join(names) if names else "a mapping"


def _fields(kind: type) -> Iterator["dataclasses.Field[Any]"]:
    """Yield the fields of a dataclass that are keys of its file."""
    for item in dataclasses.fields(kind):
        if not item.metadata.get("outside"):
            yield item
