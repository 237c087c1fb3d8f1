"""Slice keys: one spelling for each part of a dataset, which can be read back."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.slices import OVERALL, SliceSpec, escape_value
from tests.builders import TEXT


@pytest.mark.parametrize(
    ("text", "columns", "name"),
    [
        ("overall", (), "overall"),
        ("accent", ("accent",), "accent"),
        ("noise&channel", ("channel", "noise"), "channel&noise"),
        ("channel & noise", ("channel", "noise"), "channel&noise"),
        ("noise&noise", ("noise",), "noise"),
        ("c&a&b", ("a", "b", "c"), "a&b&c"),
    ],
)
def test_a_specification_has_one_spelling(text: str, columns: tuple[str, ...], name: str) -> None:
    """Columns are sorted and stand once."""
    spec = SliceSpec.parse(text)
    assert spec.columns == columns
    assert spec.name == name
    assert SliceSpec.parse(spec.name) == spec


@pytest.mark.parametrize(
    ("text", "values", "key"),
    [
        ("overall", (), OVERALL),
        ("accent", ("plain",), "accent=plain"),
        ("accent", ("",), "accent="),
        ("accent", ("(none)",), "accent=(none)"),
        ("length", ("[1,2)",), "length=[1,2)"),
        ("b&a", ("1", "2"), "a=1&b=2"),
        ("a", ("x&b=2",), "a=x%26b%3D2"),
        ("a", ("*",), "a=%2A"),
        ("a", ("100%",), "a=100%25"),
        ("a", ("%26",), "a=%2526"),
    ],
)
def test_keys_of_known_values(text: str, values: tuple[str, ...], key: str) -> None:
    """What has a meaning in a key is escaped in a value."""
    assert SliceSpec.parse(text).key(values) == key


@given(TEXT)
def test_an_escaped_value_can_be_read_back(value: str) -> None:
    """Percent-decoding gives the value, and nothing in it can be taken for a key's own signs."""
    escaped = escape_value(value)
    assert not set("&=*") & set(escaped)
    assert unquote(escaped, errors="surrogateescape") == value


@given(st.lists(TEXT, min_size=2, max_size=2), st.lists(TEXT, min_size=2, max_size=2))
def test_two_slices_never_share_a_key(first: list[str], second: list[str]) -> None:
    """Keys are equal only for equal values."""
    spec = SliceSpec.parse("a&b")
    assert (spec.key(first) == spec.key(second)) == (first == second)


@pytest.mark.parametrize("values", [(), ("1",), ("1", "2", "3")])
def test_a_key_needs_a_value_for_each_column(values: tuple[str, ...]) -> None:
    """A missing value is a defect, not a shorter key."""
    with pytest.raises(ValueError, match="zip"):
        SliceSpec.parse("a&b").key(values)
