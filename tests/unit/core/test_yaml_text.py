"""YAML 1.2 as settings files need it: scalars by the core schema, and nothing clever."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core import yaml_text
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import MAX_YAML_BYTES, MAX_YAML_DEPTH, load, shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            (word, word)
            for word in ("yes", "no", "on", "off", "y", "n", "YES", "Off", "nan", "inf")
        ),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("null", "Null", "NULL", "~", "")),
        ("tRUE", "tRUE"),
        ("012", 12),
        ("-012", -12),
        ("+3", 3),
        ("0o14", 12),
        ("0xff", 255),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("1e-3", 0.001),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-1.5E+2", -150.0),
        (".", "."),
        ("1e", "1e"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("=", "="),
        ("'012'", "012"),
        ('"true"', "true"),
        ("|\n  012\n", "012\n"),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    """The core schema, not the one of YAML 1.1 that turns "no" into false."""
    document, _ = load(f"key: {text}", source="f")
    assert isinstance(document, dict)
    assert document["key"] == value
    assert type(document["key"]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 'f, line 3: the key "a" stands twice'),
        ("x:\n  a: 1\n  'a': 3\n", 'f, line 3: the key "a" stands twice'),
        ("a: &x 1\nb: *x\n", "f, line 1: anchors and aliases are not allowed"),
        ("a: 1\nb: *x\n", "f, line 2: anchors and aliases are not allowed"),
        ("a:\n- &x {b: 1}\n", "f, line 2: anchors and aliases are not allowed"),
        ("a: !!str 1\n", "f, line 1: tags are not allowed"),
        ("a: 1\nb: !!python/object/apply:os.system [x]\n", "f, line 2: tags are not allowed"),
        ("a: ! 1\n", "f, line 1: tags are not allowed"),
        ("a: 1\n---\nb: 1\n", "f, line 2: a second document begins"),
        ("a: .nan\n", "f, line 1: NaN and infinities are not allowed"),
        ("a: -.inf\n", "f, line 1: NaN and infinities are not allowed"),
        ("a: 1e999\n", "f, line 1: the number 1e999 is out of range"),
        ("a: " + "9" * 41, "f, line 1: the number " + "9" * 41 + " is out of range"),
        ("a: 0x" + "f" * 2000, "f, line 1: the number 0x" + "f" * 77 + "… is out of range"),
        ("1: a\n", "f, line 1: keys must be strings"),
        ("a: 1\ntrue: a\n", "f, line 2: keys must be strings"),
        ("? [a]\n: 1\n", "f, line 1: keys must be strings"),
        ("a: 1\n b: 2\n", "f, line 2: not YAML: mapping values are not allowed here"),
        ("a: 'x\n", "f, line 2: not YAML: found unexpected end of stream"),
        ("a: 1\nb: \x01\n", "f, line 2: not YAML: it holds a forbidden character"),
        ("a: x\udcff\n", "f, line 1: not YAML: it holds a forbidden character"),
        ('a: "\\0"\n', "f, line 1: holds a character that is no text"),
        ('a: 1\nb: "\\ud800"\n', "f, line 2: holds a character that is no text"),
        ('"\\0": 1\n', "f, line 1: holds a character that is no text"),
    ],
)
def test_what_is_more_than_plain_data_is_refused_with_its_line(text: str, message: str) -> None:
    """One clear error for whatever a settings file should not hold."""
    with pytest.raises(InvalidInput) as caught:
        load(text, source="f")
    assert caught.value.message == message


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "{a: " * (MAX_YAML_DEPTH + 1) + "1" + "}" * (MAX_YAML_DEPTH + 1),
        "\n".join(" " * i + f"k{i}:" for i in range(MAX_YAML_DEPTH + 2)),
    ],
)
def test_deep_nesting_is_refused_before_it_costs_anything(text: str) -> None:
    """A bomb of brackets, which PyYAML alone needs minutes for, ends at once."""
    with pytest.raises(InvalidInput, match="nested too deeply"):
        load(text, source="f")


def test_the_deepest_nesting_that_is_allowed_is_read() -> None:
    """The limit itself is still fine."""
    document, _ = load("[" * MAX_YAML_DEPTH + "]" * MAX_YAML_DEPTH, source="f")
    assert document == eval("[" * MAX_YAML_DEPTH + "]" * MAX_YAML_DEPTH)  # noqa: S307  # our own brackets


def test_a_file_of_one_mebibyte_is_the_largest() -> None:
    """The limit counts bytes, and is exact."""
    longest = "# " + "x" * (MAX_YAML_BYTES - 2)
    assert load(longest, source="f") == (None, {})
    for larger in (longest + "x", "# " + "ä" * (MAX_YAML_BYTES // 2)):
        with pytest.raises(InvalidInput, match="larger than 1 MiB") as caught:
            load(larger, source="f")
        assert caught.value.hint


def test_the_line_of_every_key_and_item_is_known() -> None:
    """Later errors can name the line of whatever is wrong."""
    document, lines = load("a: 1\nb:\n  - c: x\n  - d\n", source="f")
    assert document == {"a": 1, "b": [{"c": "x"}, "d"]}
    assert lines[("a",)] == 1
    assert lines[("b",)] == 2
    assert lines[("b", 0, "c")] == 3
    assert lines[("b", 1)] == 4


def test_a_merge_key_is_a_key_like_any_other() -> None:
    """YAML 1.2 has no merging."""
    assert load("<<: {a: 1}\n", source="f")[0] == {"<<": {"a": 1}}


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever a file holds, there is a document or one clear error."""
    try:
        _, lines = load(text, source="f")
    except InvalidInput as error:
        assert error.message.startswith("f")  # noqa: PT017  # both ways out are allowed
    else:
        assert all(line >= 1 for line in lines.values())


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\x1b[0m\n", "a\\x1b[0m\\x0a"),
        ("x" * 81, "x" * 79 + "…"),
        ("ä", "ä"),
        ("\u202e", "\\x202e"),
    ],
)
def test_shown_text_is_short_and_cannot_steer_a_terminal(text: str, safe: str) -> None:
    """Messages hold no control characters and no long lines."""
    assert shown(text) == safe


@pytest.mark.parametrize(
    "text", ["a: b\tc", "{a: b?c}", "a: b\n\ufeffc: d\n", "a: [b", "a: é\n- b"]
)
def test_both_parsers_of_yaml_say_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether PyYAML was built with libyaml changes neither what is taken nor a message."""

    def outcome() -> object:
        try:
            return load(text, source="x")
        except InvalidInput as error:
            return str(error)

    fast = outcome()
    monkeypatch.setattr(yaml_text, "_FAST", yaml.SafeLoader)
    assert fast == outcome()
