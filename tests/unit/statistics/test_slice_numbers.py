"""From coded rows to slice keys."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.slices import SliceSpec
from relkit.statistics.sums import number_slices, sort_by_slice, stack

_LABELS = (("*", "a&b", "c"), ("50%", "x=y"))
_CODES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=20)


@given(rows=_CODES)
def test_keys_and_numbers_agree_with_the_rows(rows: list[tuple[int, int]]) -> None:
    """Every row lies in the slice of its values, escaped, and only those that occur exist."""
    spec = SliceSpec(columns=("a", "b"))
    codes = [np.array([row[k] for row in rows], dtype=np.int64) for k in (0, 1)]
    keys, index = number_slices(spec, codes, _LABELS, len(rows))
    expected = [spec.key((_LABELS[0][i], _LABELS[1][j])) for i, j in rows]
    assert [keys[i] for i in index.tolist()] == expected
    assert list(keys) == [spec.key((_LABELS[0][i], _LABELS[1][j])) for i, j in sorted(set(rows))]


def test_overall_is_one_slice_and_none_where_there_is_no_row() -> None:
    """No columns, one slice."""
    keys, index = number_slices(SliceSpec(), [], [], 3)
    assert (keys, index.tolist()) == (("overall",), [0, 0, 0])
    assert number_slices(SliceSpec(), [], [], 0)[0] == ()


def test_crossings_with_more_combinations_than_memory() -> None:
    """Only what occurs takes room: 10,000 values each in six columns."""
    names = tuple(f"{i:05}" for i in range(10_000))
    rng = np.random.default_rng(3)
    codes = [rng.integers(0, 10_000, 50) for _ in range(6)]
    spec = SliceSpec(columns=tuple("abcdef"))
    keys, index = number_slices(spec, codes, [names] * 6, 50)
    rows = [spec.key(names[int(code[r])] for code in codes) for r in range(50)]
    assert [keys[i] for i in index.tolist()] == rows
    assert list(keys) == sorted(rows)


def test_stacked_parts_are_numbered_on_and_rows_keep_their_order() -> None:
    """Sorting by slice is stable."""
    first = sort_by_slice(("a", "b"), np.array([1, 0, 1]), {"v": np.array([1.0, 2.0, 3.0])})
    second = sort_by_slice(("c",), np.array([0, 0]), {"v": np.array([5.0, 4.0])})
    both = stack([first, second])
    assert both.slices == ("a", "b", "c")
    assert both.index.tolist() == [0, 1, 1, 2, 2]
    assert both.columns["v"].tolist() == [2.0, 1.0, 3.0, 5.0, 4.0]
