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
