"""JSON Schemas of tools, compiled once each: Draft 2020-12, with nothing fetched from anywhere.

What is validated was written by a model, or by whoever speaks to it: patterns are matched by an
engine whose time is linear in the text, and what no schema can be held against is not accepted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from relkit.core.yaml_text import KeyPath, shown
from relkit.safety.tool_files import ToolFile

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCES = ("$ref", "$dynamicRef")
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords that hold schemas by names of the author's own, which are no keywords."""

_DATA = frozenset({"enum", "const", "default", "examples"})
_HINT = "write the schema in this file: what it shares goes below $defs"


class JsonSchemas:
    """The schemas of a table's tools; ``accepts`` serves :class:`AgentTools`."""

    def __init__(self, file: ToolFile) -> None:
        """Compile every tool's schema.

        Raises InvalidInput with file and line for a schema that is none, refers to anything
        outside of itself, or asks for another dialect.
        """
        self._accepts = {
            name: _compiled(file, name, dict(tool.arguments))
            for name, tool in file.table.tools.items()
        }

    def accepts(self, tool: str, arguments: object) -> bool:
        """Tell whether arguments are what the schema of a tool asks for; KeyError for no tool.

        Arguments that are nested or out of range beyond what can be validated are not.
        """
        from pydantic_core import SchemaError
        from referencing.exceptions import Unresolvable

        try:
            return self._accepts[tool](arguments)
        except (RecursionError, OverflowError, SchemaError, Unresolvable):
            return False


def _compiled(file: ToolFile, name: str, schema: dict[str, Any]) -> Callable[[object], bool]:
    import referencing
    from jsonschema import Draft202012Validator, validators
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    root: KeyPath = ("tools", name, "arguments")
    what = f"the arguments of {name}"
    _check_inside(file, root, what, schema)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        at = (*root, *error.absolute_path)
        problem = f"{what} are no JSON Schema: {shown(error.message, 120)}"
        raise file.refused(at, problem, "write it as Draft 2020-12 asks for") from error
    registry: referencing.Registry[Any] = referencing.Registry()
    resource = referencing.Resource.from_contents(schema, default_specification=_specification())
    resolver = registry.with_resource("", resource).resolver()
    for path, key, value in _keywords(schema, ()):
        if key in _REFERENCES:
            try:
                resolver.lookup(str(value))
            except Unresolvable as error:
                problem = f'{what} refer to "{shown(str(value))}", which is not there'
                raise file.refused((*root, *path, key), problem, _HINT) from error
    _check_patterns(file, root, what, schema)
    linear = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    extend: Callable[..., Any] = validators.extend
    validator = extend(Draft202012Validator, linear)
    is_valid: Callable[[object], bool] = validator(schema, registry=registry).is_valid
    try:
        is_valid({})
    except RecursionError as error:
        raise file.refused(root, f"{what} refer to themselves without an end", _HINT) from error
    return is_valid


def _check_inside(file: ToolFile, root: KeyPath, what: str, schema: dict[str, Any]) -> None:
    """Refuse a schema that points outside of itself, or is written in another dialect."""
    for path, key, value in _keywords(schema, ()):
        at = (*root, *path, key)
        if key in {"$schema", "$vocabulary"} and value != _DIALECT:
            problem = f"{what} ask for another dialect than Draft 2020-12"
            raise file.refused(at, problem, f'remove "{key}"')
        if key == "$id" or (key in _REFERENCES and not str(value).startswith("#")):
            raise file.refused(at, f'{what} point outside: "{shown(str(value))}"', _HINT)


def _specification() -> Any:  # noqa: ANN401 - a type of the library alone
    from referencing.jsonschema import DRAFT202012

    return DRAFT202012


def _keywords(schema: object, path: KeyPath) -> Iterator[tuple[KeyPath, str, object]]:
    """Yield every ``$`` keyword of a schema: where it stands, its name and its value."""
    for at, part in _schemas(schema, path):
        for key, item in part.items():
            if key.startswith("$") and not isinstance(item, Mapping):
                yield at, key, item


def _schemas(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Yield a schema and all inside of it, with where they stand."""
    if isinstance(value, Mapping):
        yield path, value
        for key, item in value.items():
            if key in _NAMED and isinstance(item, Mapping):
                for name, schema in item.items():
                    yield from _schemas(schema, (*path, key, name))
            elif key not in _DATA:
                yield from _schemas(item, (*path, key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for i, item in enumerate(value):
            yield from _schemas(item, (*path, i))


def _check_patterns(file: ToolFile, root: KeyPath, what: str, schema: dict[str, Any]) -> None:
    """Refuse patterns that cannot be matched in linear time."""
    from pydantic_core import SchemaError

    for path, part in _schemas(schema, ()):
        named = part.get("patternProperties")
        if isinstance(named, Mapping) and "unevaluatedProperties" in part:
            problem = f"{what} have unevaluatedProperties beside patternProperties"
            at = (*root, *path, "unevaluatedProperties")
            raise file.refused(at, problem, "write additionalProperties")
        patterns = [((*path, "patternProperties", key), key) for key in named or ()]
        if isinstance(text := part.get("pattern"), str):
            patterns.append(((*path, "pattern"), text))
        for place, pattern in patterns:
            try:
                _search(pattern)
            except SchemaError as error:
                problem = f'{what} have the pattern "{shown(pattern)}", which relkit does not match'
                hint = "write it without look-around, back references and large repetitions"
                raise file.refused((*root, *place), problem, hint) from error


@lru_cache(maxsize=1024)
def _search(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a text holds a match, in time linear in the text."""
    from pydantic_core import SchemaValidator, core_schema

    schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
    return SchemaValidator(schema).isinstance_python


def _pattern(_: object, pattern: str, instance: object, __: object) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and not _search(pattern)(instance):
        yield ValidationError("does not match")


def _pattern_properties(
    validator: Any,  # noqa: ANN401 - a class that the library makes
    patterns: Mapping[str, Any],
    instance: object,
    _: object,
) -> Iterator[Any]:
    if isinstance(instance, Mapping):
        for pattern, schema in patterns.items():
            for name, value in instance.items():
                if _search(pattern)(name):
                    yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any,  # noqa: ANN401 - a class that the library makes
    additional: object,
    instance: object,
    schema: Mapping[str, Any],
) -> Iterator[Any]:
    if not isinstance(instance, Mapping):
        return
    patterns = [_search(pattern) for pattern in schema.get("patternProperties", ())]
    for name, value in instance.items():
        if name not in schema.get("properties", ()) and not any(fits(name) for fits in patterns):
            yield from validator.descend(value, additional, path=name)
