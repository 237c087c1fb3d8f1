"""Leakage between splits: what counts as the same text, speaker or recording."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from relkit.curation.leakage import MOST_EDITS, elsewhere, near_elsewhere, near_texts, text_key

NEAR = "set a timer for ten minutes please"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Turn ON, the  light!", "turn on the light"),
        ("I'd like", "id like"),
        ("I\u2019d like", "id like"),
        ("twenty-one", "twenty one"),
        ("Cafe\u0301", "caf\u00e9"),
        ("STRASSE", "strasse"),
        ("stra\u00dfe", "strasse"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940"),
        ("... !", ""),
        ("", ""),
    ],
)
def test_a_key_is_what_a_text_says(text: str, key: str) -> None:
    """Case, punctuation, composition and spacing make no other text; vowel signs stay."""
    assert text_key(text) == key


@given(
    st.lists(st.text("ab ", min_size=1, max_size=24), max_size=12),
    st.sampled_from([0.6, 0.7, 0.8, 0.9, 0.95, 1.0]),
)
@settings(max_examples=150, deadline=None)
def test_no_near_pair_is_missed_and_none_is_invented(texts: list[str], alike: float) -> None:
    """The index finds exactly what comparing all pairs finds."""
    unique = sorted(set(texts))
    expected = {}
    for one in unique:
        others = []
        for other in unique:
            allowed = int((1 - alike) * max(len(one), len(other)) + 1e-9)
            if other != one and Levenshtein.distance(one, other) <= min(MOST_EDITS, allowed):
                others.append(other)
        if others:
            expected[one] = tuple(others)
    assert near_texts(texts, alike) == expected


def test_long_texts_differ_by_ten_characters_at_most() -> None:
    """A tenth of a page would be another page."""
    page = "".join(chr(97 + i % 26) for i in range(400))
    assert near_texts([page, "#" * 10 + page[10:]]).keys() == {page, "#" * 10 + page[10:]}
    assert near_texts([page, "#" * 11 + page[11:]]) == {}


@pytest.mark.parametrize(
    ("values", "splits", "counts"),
    [
        (["a", "a", "b"], ["train", "test", "test"], [1, 1, 0]),
        (["a", "a", "a"], ["train", "test", "test"], [2, 1, 1]),
        (["a", "a"], ["train", "train"], [0, 0]),
        (["a", None], ["train", "test"], [0, None]),
        (["a", "a"], ["train", None], [0, None]),
        ([], [], []),
    ],
)
def test_only_other_splits_count(
    values: list[str | None], splits: list[str | None], counts: list[int | None]
) -> None:
    """The same value twice in one split leaks nothing; unknown is not "no leak"."""
    assert elsewhere(values, splits) == counts


def test_near_identical_texts_are_counted_across_splits() -> None:
    """A changed letter does not hide a sentence; texts without a word say nothing twice."""
    texts = [NEAR, NEAR.upper() + "!", NEAR.replace("ten", "tan"), "stop", "", ""]
    splits = ["train", "test", "test", "test", "train", "test"]
    assert near_elsewhere(texts, splits) == [2, 1, 1, 0, None, None]
    assert near_elsewhere(texts, splits, alike=1.0) == [1, 1, 0, 0, None, None]
