"""Columns of Arrow that are made without pandas."""

from collections.abc import Sequence

import pyarrow as pa
import pytest

from relkit.adapters import results


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], "string"),
        ([], "float64"),
        ([None], "bool_"),
        (["", None, "é 🎙", "a\nb"] * 5, "string"),
        ([True, False, None] * 7, "bool_"),
        ([0, None, -1, 2**31 - 1], "int32"),
        ([0, None, -(2**63), 2**63 - 1], "int64"),
        ([0, 1.5, None, float("nan"), float("-inf")], "float64"),
    ],
)
def test_a_column_is_the_one_that_arrow_makes(values: Sequence[object], kind: str) -> None:
    """Readers see no difference: the same values, nulls and type."""
    column = results.column(values, kind)
    column.validate(full=True)
    theirs = pa.array(values, getattr(pa, kind)())
    assert column.type == theirs.type
    assert repr(column.to_pylist()) == repr(theirs.to_pylist())  # NaN is not itself
    assert column.null_count == theirs.null_count


def test_texts_too_long_for_one_array_become_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow's strings hold 2 GiB an array."""
    monkeypatch.setattr(results, "_MOST_BYTES", 3)
    assert results.column(["ab", None, "cd"], "string").to_pylist() == ["ab", None, "cd"]


@pytest.mark.parametrize(
    ("value", "kind"), [(1.5, "int64"), ("1", "float64"), (2**31, "int32"), ("\ud800", "string")]
)
def test_what_a_type_does_not_have_is_no_other_value(value: object, kind: str) -> None:
    """A number is never cut, and half a character never replaced."""
    with pytest.raises((TypeError, OverflowError, UnicodeError)):
        results.column([None, value], kind)
