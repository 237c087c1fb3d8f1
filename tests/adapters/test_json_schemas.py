"""Schemas of tools: what they accept, and which tables of tools are refused, by file and line."""

from typing import Any

import pytest

from relkit.adapters.json_schemas import JsonSchemas
from relkit.core.errors import InvalidInput
from relkit.safety.tool_files import parse_tools

PAY = """\
schema: relkit.tools/v1
tools:
  pay:
    sensitive: true
    arguments:
      type: object
      required: [iban, amount]
      properties:
        iban: {$ref: "#/$defs/iban"}
        amount: {type: number, exclusiveMinimum: 0}
      additionalProperties: false
      $defs: {iban: {type: string, pattern: "^DE[0-9]+$"}}
  lamp: {}
"""


def schemas(text: str) -> JsonSchemas:
    """Return the schemas of a table of tools."""
    return JsonSchemas(parse_tools(text, source="tools.yaml"))


@pytest.mark.parametrize(
    ("arguments", "accepted"),
    [
        ({"iban": "DE12", "amount": 10}, True),
        ({"iban": "DE12", "amount": 0}, False),
        ({"iban": "XX12", "amount": 10}, False),
        ({"iban": "DE12", "amount": "10"}, False),
        ({"iban": "DE12", "amount": True}, False),
        ({"iban": "DE12", "amount": 10, "note": ""}, False),
        ({"iban": "DE12"}, False),
        ([], False),
        (None, False),
    ],
)
def test_arguments_against_a_schema(arguments: Any, accepted: bool) -> None:  # noqa: ANN401, FBT001 - of a table
    """Types, limits, patterns and references inside of the schema hold."""
    assert schemas(PAY).accepts("pay", arguments) is accepted


def test_a_tool_without_a_schema_accepts_everything() -> None:
    """Nothing is asked of its arguments."""
    assert schemas(PAY).accepts("lamp", {"any": 1})


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("type: number", "type: numbre"), 10, "the arguments of pay are no JSON Schema"),
        (("[iban, amount]", "iban"), 7, "the arguments of pay are no JSON Schema"),
        (("^DE[0-9]+$", "^DE[0-9"), 12, "'^DE[0-9' is not a 'regex'"),
        (("#/$defs/iban", "https://example.org/iban"), 9, "point outside"),
        (("#/$defs/iban", "file:///etc/passwd"), 9, "point outside"),
        (("#/$defs/iban", "other.json"), 9, "point outside"),
        (("#/$defs/iban", "#/$defs/bic"), 9, 'refer to "#/$defs/bic", which is not there'),
        (
            ("type: object", '$schema: "http://json-schema.org/draft-07/schema#"'),
            6,
            "another dialect than Draft 2020-12",
        ),
        (("type: object", '$id: "https://example.org/pay"'), 6, "point outside"),
        (("lamp: {}", 'lamp: {arguments: {$ref: "#"}}'), 13, "refer to themselves"),
        (("sensitive: true", "sensitiv: true"), 4, 'unknown key "tools.pay.sensitiv"'),
        (("sensitive: true", "confirm: {by: text}"), 4, '"tools.pay.confirm.by"'),
        (("sensitive: true", "filters: [name]"), 4, 'the filter "name" is no argument of pay'),
        (("relkit.tools/v1", "relkit.tools/v2"), 1, '"schema"'),
        (("  lamp: {}", "  la mp: {}"), 13, '"tools.la mp'),
    ],
)
def test_tables_that_are_refused(change: tuple[str, str], line: int, message: str) -> None:
    """A schema that is none, points outside or never ends; keys that no table has."""
    with pytest.raises(InvalidInput) as caught:
        schemas(PAY.replace(*change))
    assert f"tools.yaml, line {line}: " in caught.value.message
    assert message in caught.value.message


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema whose reference hides in a definition is refused before any request."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a request")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    hidden = PAY.replace("{type: string, pattern", '{$dynamicRef: "http://x.example/", pattern')
    with pytest.raises(InvalidInput, match="point outside"):
        schemas(hidden)


def test_what_a_table_says_is_its_digest() -> None:
    """Comments, order and the name of the file are no part of it; every rule is."""
    digest = parse_tools(PAY, source="tools.yaml").digest
    again = "# the tools\n" + PAY.replace("  lamp: {}\n", "").replace(
        "tools:\n", "tools:\n  lamp: {}\n"
    )
    assert parse_tools(again, source="other.yaml").digest == digest
    changed = PAY.replace("exclusiveMinimum: 0", "exclusiveMinimum: 1")
    assert parse_tools(changed, source="tools.yaml").digest != digest


def arguments_schema(schema: str) -> JsonSchemas:
    """Return the schemas of a table whose one tool ``t`` has this schema."""
    return schemas(f"schema: relkit.tools/v1\ntools:\n  t: {{arguments: {schema}}}\n")


def nested(levels: int) -> dict[str, object]:
    """Return an object of so many levels, each under ``a``."""
    value: dict[str, object] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("schema", "arguments", "accepted"),
    [
        ('{properties: {a: {pattern: "^(a+)+$"}}}', {"a": "a" * 40 + "!"}, False),
        ('{properties: {a: {pattern: "^(a|a)*$"}}}', {"a": "a" * 100_000}, True),
        ('{propertyNames: {pattern: "^(a+)+$"}}', {"a" * 40 + "!": 1}, False),
        ('{patternProperties: {"^(a+)+$": false}}', {"a" * 40 + "!": 1}, True),
        ('{patternProperties: {"^(a+)+$": false}}', {"a" * 40: 1}, False),
        (
            '{patternProperties: {"^(a+)+$": {}}, additionalProperties: false}',
            {"a" * 40 + "!": 1},
            False,
        ),
        ("{additionalProperties: {type: integer}}", {"b": 1}, True),
        ("{additionalProperties: {type: integer}}", {"b": "1"}, False),
        ("{properties: {a: {multipleOf: 0.01}}}", {"a": 10**400}, False),
        ('{properties: {a: {$ref: "#"}}, additionalProperties: false}', nested(90), True),
        ('{properties: {a: {$ref: "#"}}, additionalProperties: false}', nested(9000), False),
        ('{properties: {a: {$ref: "#/properties/a"}}}', {"a": 1}, False),
        ('{properties: {a: {$ref: "#/examples/0"}}, examples: [{$ref: "x"}]}', {"a": 1}, False),
        ('{properties: {a: {$dynamicRef: "#n"}}, $dynamicAnchor: n}', {"a": {}}, True),
        ("{properties: {a: {format: date}}}", {"a": "x"}, True),
        ("{properties: {a: {const: 1}}}", {"a": True}, False),
    ],
)
def test_what_a_model_wrote_is_held_against_a_schema_in_bounded_time(
    schema: str,
    arguments: dict[str, object],
    accepted: bool,  # noqa: FBT001 - of a table
) -> None:
    """Patterns that take exponential time elsewhere, depth, range: an answer, never an error."""
    assert arguments_schema(schema).accepts("t", arguments) is accepted


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ('{properties: {const: {$ref: "http://x.example/"}}}', "point outside"),
        ('{properties: {enum: {items: {$ref: "file:///etc/passwd"}}}}', "point outside"),
        ('{properties: {a: {pattern: "^(?=a)b"}}}', "which relkit does not match"),
        ('{patternProperties: {"(a)\\\\1": {}}}', "which relkit does not match"),
        ("{patternProperties: {a: {}}, unevaluatedProperties: false}", "unevaluatedProperties"),
    ],
)
def test_schemas_that_could_not_be_held(schema: str, message: str) -> None:
    """A reference under an argument that is called like a keyword, and patterns without a bound."""
    with pytest.raises(InvalidInput, match=message) as caught:
        arguments_schema(schema)
    assert caught.value.message.startswith("tools.yaml, line 3: ")


def test_examples_are_no_schemas() -> None:
    """What stands in data refers to nothing."""
    schema = '{examples: [{$ref: "http://x.example/"}], default: {$id: x}}'
    assert arguments_schema(schema).accepts("t", {})
