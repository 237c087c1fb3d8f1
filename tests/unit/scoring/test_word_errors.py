"""Tokens, grapheme clusters and canonical counts."""

import unicodedata
from collections.abc import Sequence
from functools import cache

import jiwer
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relkit.core.tokens import Segmenter, graphemes, tokens, visible
from relkit.core.values import ErrorCounts
from relkit.scoring.words import count_errors, count_text, count_texts, count_unit_errors
from tests.slow_table import fewest

WORDS = st.lists(st.sampled_from("abcd"), max_size=7)
LONG = st.lists(st.sampled_from("abcdefgh"), min_size=33, max_size=60)
TEXTS = st.text(alphabet="ab é\u0301日本ก็\t\u00a0\u3000\u200b'", max_size=25)


def triple(counts: ErrorCounts) -> tuple[int, int, int, int]:
    """Return H, S, D, I."""
    return counts.hits, counts.substitutions, counts.deletions, counts.insertions


def oracle(reference: Sequence[str], hypothesis: Sequence[str]) -> set[tuple[int, int, int, int]]:
    """Return (H, S, D, I) of every alignment there is, by plain recursion."""

    @cache
    def reach(i: int, j: int) -> frozenset[tuple[int, int, int, int]]:
        if i == 0 and j == 0:
            return frozenset({(0, 0, 0, 0)})
        found = set[tuple[int, int, int, int]]()
        if i and j:
            hit = reference[i - 1] == hypothesis[j - 1]
            found |= {(h + hit, s + (not hit), d, n) for h, s, d, n in reach(i - 1, j - 1)}
        if i:
            found |= {(h, s, d + 1, n) for h, s, d, n in reach(i - 1, j)}
        if j:
            found |= {(h, s, d, n + 1) for h, s, d, n in reach(i, j - 1)}
        return frozenset(found)

    return set(reach(len(reference), len(hypothesis)))


@given(WORDS, WORDS)
@settings(max_examples=150, deadline=None)
def test_counts_are_the_best_of_all_alignments(reference: list[str], hypothesis: list[str]) -> None:
    """Of all alignments, the fewest errors and then the fewest substitutions leave one triple."""
    everything = oracle(reference, hypothesis)
    least = min((s + d + i, s) for _, s, d, i in everything)
    best = {row for row in everything if (sum(row[1:]), row[1]) == least}
    assert best == {triple(count_errors(reference, hypothesis))}


@given(LONG, LONG)
@settings(max_examples=60, deadline=None)
def test_long_pairs_agree_with_a_plain_table(reference: list[str], hypothesis: list[str]) -> None:
    """The unit-distance shortcut changes nothing; the oracle minimises (E, S) cell by cell."""
    counts = count_errors(reference, hypothesis)
    assert (counts.errors, counts.substitutions) == fewest(reference, hypothesis)
    assert counts.reference_length == len(reference)
    assert counts.hypothesis_length == len(hypothesis)


@given(LONG, st.integers(0, 32), st.sampled_from(["x", "", "x y"]))
@settings(max_examples=60, deadline=None)
def test_one_change_in_a_long_text(words: list[str], at: int, new: str) -> None:
    """Where E - |N - M| is 0 or 1 the shortcut answers, and answers with what was done."""
    changed = words[:at] + new.split() + words[at + 1 :]
    expected = {"x": (1, 0, 0), "": (0, 1, 0), "x y": (1, 0, 1)}[new]
    assert triple(count_errors(words, changed))[1:] == expected


@given(
    st.lists(st.sampled_from(["one", "two", "six"]), min_size=1, max_size=12),
    st.lists(st.sampled_from(["one", "two", "six"]), max_size=12),
)
@example(list("abcdef"), list("defxyz"))
@settings(max_examples=150, deadline=None)
def test_errors_agree_with_jiwer(reference: list[str], hypothesis: list[str]) -> None:
    """Libraries disagree on S, D and I, but never on E."""
    peer = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    ours = count_errors(reference, hypothesis)
    assert ours.errors == peer.substitutions + peer.deletions + peer.insertions
    assert count_unit_errors(reference, hypothesis) == ours.errors


def test_hits_are_found_where_jiwer_finds_none() -> None:
    """Six errors either way: three words are hits, not six substitutions."""
    assert triple(count_text("a b c d e f", "d e f x y z")) == (3, 0, 3, 3)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("", "", (0, 0, 0, 0)),
        ("a b", "", (0, 0, 2, 0)),
        ("", "a b", (0, 0, 0, 2)),
        ("a b", "a b", (2, 0, 0, 0)),
        ("a b", " a  b ", (2, 0, 0, 0)),
        ("A", "a", (0, 1, 0, 0)),
        ("a b c", "a c", (2, 0, 1, 0)),
        ("a c", "a b c", (2, 0, 0, 1)),
        ("a b", "b a", (1, 0, 1, 1)),
        ("caf\u00e9 x", "cafe\u0301 x", (2, 0, 0, 0)),
        ("今日は", "今日わ", (2, 1, 0, 0)),
    ],
)
def test_counts_of_texts(
    reference: str, hypothesis: str, expected: tuple[int, int, int, int]
) -> None:
    """Small cases, empty sides and canonically equal spellings included."""
    assert triple(count_text(reference, hypothesis)) == expected


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=6), st.sampled_from(["auto", "characters"]))
@settings(max_examples=150, deadline=None)
def test_columns_hold_what_single_texts_give(
    pairs: list[tuple[str, str]], segmenter: Segmenter
) -> None:
    """Counting in bulk is the same as counting one by one."""
    columns = count_texts([r for r, _ in pairs], [h for _, h in pairs], segmenter)
    single = [count_text(r, h, segmenter) for r, h in pairs]
    assert [columns[row] for row in range(len(columns))] == single
    assert columns.total() == sum(single, ErrorCounts())


@given(st.lists(st.tuples(LONG, LONG), min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_columns_hold_long_texts_too(pairs: list[tuple[list[str], list[str]]]) -> None:
    """Long pairs take another way to the same counts."""
    columns = count_texts([" ".join(r) for r, _ in pairs], [" ".join(h) for _, h in pairs])
    assert [columns[row] for row in range(len(pairs))] == [count_errors(*pair) for pair in pairs]


def test_columns_refuse_a_missing_hypothesis() -> None:
    """Two lists of different length cannot be paired."""
    with pytest.raises(ValueError, match="shorter"):
        count_texts(["a", "b"], ["a"])


@pytest.mark.parametrize(
    "invisible", ["\u00ad", "\u034f", "\u061c", "\u200e", "\u202e", "\u2060", "\u2069", "\ufe0f"]
)
@pytest.mark.parametrize("segmenter", ["auto", "words", "characters"])
def test_what_nobody_sees_is_no_part_of_a_word(invisible: str, segmenter: Segmenter) -> None:
    """Beside, inside and in place of a word it changes nothing; letters meet as if it was not."""
    for text in ("caf{}e\u0301 b", "{}a b{}", "a {} b", "{}", "\u4e00{}\u4e8c"):
        shown = text.replace("{}", invisible)
        assert tokens(shown, segmenter) == tokens(text.replace("{}", ""), segmenter)
        assert [*graphemes(shown)] == [*graphemes(text.replace("{}", ""))]


def test_all_ignorable_characters_are_invisible_but_those_of_orthography() -> None:
    """Unicode's own list, without the zero width space, the byte order mark, ZWNJ and ZWJ."""
    ignorable = regex.compile(r"\p{Default_Ignorable_Code_Point}")
    kept = {code for code in range(0x110000) if visible(chr(code))}
    assert {code for code in kept if ignorable.match(chr(code))} == {0x200B, 0x200C, 0x200D, 0xFEFF}
    assert all(ignorable.match(chr(code)) for code in set(range(0x110000)) - kept)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u0645\u06cc\u200c\u0631\u0648\u0645", ["\u0645\u06cc\u200c\u0631\u0648\u0645"]),
        ("\u0d28\u0d4d\u200d a", ["\u0d28\u0d4d\u200d", "a"]),
        ("a \u200d b\u3000\u200c\u200d", ["a", "b"]),
    ],
)
def test_joiners_are_orthography_unless_they_stand_alone(text: str, expected: list[str]) -> None:
    """A joiner is part of its word in Persian and Malayalam; alone it is no word."""
    assert tokens(text) == expected


@pytest.mark.parametrize(
    "space", [" ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2009", "\u0085", "\u200b", "\ufeff"]
)
def test_any_white_space_separates(space: str) -> None:
    """No-break, ideographic, thin and zero width spaces end a word like any other."""
    assert tokens(f"{space}one{space}{space}two{space}") == ["one", "two"]
    assert "".join(graphemes(f"{space}one{space}{space}two{space}")) == "one two"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今日は", ["今", "日", "は"]),
        ("コーヒー、OK\uff01です", ["コ", "ー", "ヒ", "ー", "、", "OK\uff01", "で", "す"]),
        ("iPhoneを 3月 に", ["iPhone", "を", "3", "月", "に"]),
        ("か\u3099く", ["が", "く"]),
        ("ก็ดี ok", ["ก็", "ดี", "ok"]),
        ("안녕 세상", ["안녕", "세상"]),
        ("col·lecció d\u2019hivern", ["col·lecció", "d\u2019hivern"]),
        ("Привет, мир", ["Привет,", "мир"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
    ],
)
def test_scripts_without_spaces_are_split_by_cluster(text: str, expected: list[str]) -> None:
    """Han, kana and Thai fall apart into clusters; every other script keeps its words."""
    assert tokens(text) == expected


def test_segmenters() -> None:
    """``words`` never looks into a word, ``characters`` always does."""
    assert tokens("今日は ok", "words") == ["今日は", "ok"]
    assert tokens("今日 ok", "characters") == ["今", "日", "o", "k"]
    assert tokens("a\u0301 b", "characters") == ["á", "b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("a\r\n b", ["a", " ", "b"]),
        ("cafe\u0301", ["c", "a", "f", "é"]),
        ("👩‍👩‍👧 x", ["👩‍👩‍👧", " ", "x"]),
        ("ก็ดี", ["ก็", "ดี"]),
        ("日本", ["日", "本"]),
    ],
)
def test_graphemes_are_what_a_reader_sees(text: str, expected: list[str]) -> None:
    """CER counts clusters, with runs of white space as one."""
    assert list(graphemes(text)) == expected


def test_clusters_compare_with_plain_text() -> None:
    """One side may be a list of clusters and the other a text; equal characters still match."""
    assert triple(count_errors(graphemes("ab👩‍👧"), graphemes("abc"))) == (2, 1, 0, 0)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_equal_up_to_composition_means_no_error(text: str) -> None:
    """A text has no errors against itself in NFD, in words or characters."""
    other = unicodedata.normalize("NFD", text)
    assert count_text(text, other).errors == 0
    assert count_errors(graphemes(text), graphemes(other)).errors == 0
