"""JSON Schemas of tools, compiled once each: Draft 2020-12, with nothing fetched from anywhere."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from relkit.core.yaml_text import KeyPath, shown
from relkit.safety.tool_files import ToolFile

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCES = ("$ref", "$dynamicRef")
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
        """Tell whether arguments are what the schema of a tool asks for; KeyError for no tool."""
        return self._accepts[tool](arguments)


def _compiled(file: ToolFile, name: str, schema: dict[str, Any]) -> Callable[[object], bool]:
    import referencing
    from jsonschema import Draft202012Validator
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
    is_valid: Callable[[object], bool] = Draft202012Validator(schema, registry=registry).is_valid
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


def _keywords(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str, object]]:
    """Yield every ``$`` keyword of a schema: where it stands, its name and its value."""
    for part, item in _inside(value):
        if isinstance(part, str) and part.startswith("$") and not isinstance(item, Mapping):
            yield path, part, item
        yield from _keywords(item, (*path, part))


def _inside(value: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(value, Mapping):
        yield from ((key, item) for key, item in value.items() if key not in {"enum", "const"})
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from enumerate(value)
