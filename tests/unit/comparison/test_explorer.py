"""The explorer's columns: compact, aligned by the canonical counts, without text unless asked."""

import json
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.comparison.rows import (
    Aligned,
    TokenPair,
    align_row,
    explorer_columns,
    most_errors_first,
    token_pairs,
)
from relkit.comparison.types import Row
from relkit.core.tokens import tokens
from relkit.scoring.types import Texts
from relkit.scoring.words import count_errors
from tests.builders import counts

WORDS = st.lists(st.sampled_from(["a", "b", "c", "ü", "好", "😀"]), max_size=8)


def row(name: str, expected: str, given_: str | None, **fields: Any) -> Row:  # noqa: ANN401  # any field of the type
    """Return a scored row with its texts."""
    texts = Texts(
        reference=expected,
        hypothesis=given_,
        reference_normalized=expected,
        hypothesis_normalized=given_,
    )
    found = count_errors(tokens(expected), tokens(given_ or ""))
    given_fields: dict[str, Any] = {"id": name, "counts": found, "texts": texts}
    return Row(**(given_fields | fields))


def kept(item: Row) -> Aligned:
    """Return the alignment of a row that has one."""
    aligned = align_row(item, "auto")
    assert aligned is not None
    return aligned


@given(WORDS, WORDS)
def test_the_alignment_reaches_the_counts_and_gives_back_both_texts(
    expected: list[str], given_: list[str]
) -> None:
    """Pairs hold every token of both sides in order, and as many errors as were counted."""
    item = row("u", " ".join(expected), " ".join(given_))
    shown = token_pairs(kept(item))
    assert [p.expected for p in shown if p.expected is not None] == tokens(" ".join(expected))
    heard = [p.given for p in shown for _ in range(p.times) if p.given is not None]
    assert heard == tokens(" ".join(given_))
    assert item.counts is not None
    assert sum(p.times for p in shown if p.kind != "hit") == item.counts.errors


@given(WORDS, WORDS)
def test_the_page_can_rebuild_the_alignment_from_the_columns(
    expected: list[str], given_: list[str]
) -> None:
    """Reference and flat edits are all the script needs; they survive JSON."""
    item = row("u", " ".join(expected), " ".join(given_))
    aligned = kept(item)
    columns = json.loads(json.dumps(explorer_columns([item], [aligned])))
    reference = columns["ref"][0].split(" ") if columns["ref"][0] else []
    heard: list[str] = []
    at, flat = 0, columns["edits"][0]
    while flat:
        kind, place = flat[:2]
        heard += reference[at:place]
        heard += [] if kind == 1 else [flat[2]]
        at = place + (kind != 2)
        flat = flat[2 if kind == 1 else 3 :]
    assert heard + reference[at:] == tokens(" ".join(given_))


@pytest.mark.parametrize(
    ("expected", "given_", "right_to_left"),
    [
        ("שלום עולם", "שלום עולה", True),
        ("السلام عليكم", "", True),
        ("iphone שלי לא עובד", "אייפון שלי לא עובד", True),
        ("", "שלום", True),
        ("send it to השרון please", "send it to joseph please", False),
        ("12 34", "12", False),
        ("你好", "你好", False),
        ("", "", False),
    ],
)
def test_the_direction_is_that_of_most_letters(
    expected: str, given_: str, *, right_to_left: bool
) -> None:
    """A foreign word at the start turns no sentence around; digits have no direction."""
    item = row("u", expected, given_)
    assert kept(item).right_to_left is right_to_left
    assert explorer_columns([item], [kept(item)])["rtl"] == [0] * right_to_left


def test_a_loop_is_told_once() -> None:
    """Hundreds of one inserted word are one pair; four or fewer stay as they are."""
    shown = token_pairs(kept(row("u", "stop", "stop" + " no" * 200)))
    assert shown[-1] == TokenPair(kind="insertion", expected=None, given="no", times=200)
    assert len(token_pairs(kept(row("u", "stop", "stop no no no no")))) == 5


def test_failures_are_all_deleted_and_unusable_items_have_no_alignment() -> None:
    """No answer is aligned as silence; what was not scored is not aligned."""
    shown = token_pairs(kept(row("u", "turn on", None, failure="timeout")))
    assert [pair.kind for pair in shown] == ["deletion", "deletion"]
    assert align_row(row("u", "turn on", None, counts=None, unusable="empty"), "auto") is None
    assert align_row(Row(id="u", counts=counts(1)), "auto") is None


def test_without_transcripts_the_columns_have_none() -> None:
    """Ids, counts, reasons, slices and times only; indices name each value once."""
    rows = [
        Row(id="a", counts=counts(1, 2, 0, 3), slices={"accent": "x"}, latency_ms=12.34),
        Row(id="b", unusable="empty", slices={"accent": "y"}, duration=1.234),
        Row(id="c", counts=counts(), runaway=True, loop=True, failure="timeout", repeat=1),
    ]
    columns = explorer_columns(rows, [None] * 3)
    assert columns == {
        "id": ["a", "b", "c"],
        "repeat": [0, 0, 1],
        "counts": [[1, 2, 0, 3], None, [0, 0, 0, 0]],
        "flags": [0, 0, 3],
        "failure": {"names": ["timeout"], "at": [-1, -1, 0]},
        "unusable": {"names": ["empty"], "at": [-1, 0, -1]},
        "latency": [12.3, None, None],
        "duration": [None, 1.23, None],
        "slices": [{"column": "accent", "names": ["x", "y"], "at": [0, 1, -1]}],
        "measures": {},
    }


def test_raw_texts_travel_only_where_normalizing_changed_them() -> None:
    """The same text is not written twice."""
    same = row("a", "stop", "stop")
    other = row("b", "stop", "stop")
    assert same.texts is not None
    other = Row(
        id="b",
        counts=counts(1),
        texts=Texts(
            reference="Stop!",
            hypothesis="stop",
            reference_normalized="stop",
            hypothesis_normalized="stop",
        ),
    )
    assert other.texts is not None
    alike = replace(other, texts=replace(other.texts, hypothesis="Stop!"))
    failed = replace(other, texts=replace(other.texts, hypothesis=None))
    shown = [same, other, alike, failed]
    columns = explorer_columns(shown, [kept(item) for item in shown])
    raw = cast("list[object]", columns["raw"])
    assert raw == [None, ["Stop!", "stop"], ["Stop!"], ["Stop!", None]]
    assert columns["repeat"] is None


def test_further_measurements_are_columns_of_their_own() -> None:
    """Predicted MOS of an utterance is there where it was measured."""
    rows = [Row(id="a", measures={"dnsmos_ovrl": 3.14159}), Row(id="b")]
    assert explorer_columns(rows, [None, None])["measures"] == {"dnsmos_ovrl": [3.142, None]}


def test_most_errors_come_first_and_unscored_last() -> None:
    """Ties are ordered by id and repeat."""
    rows = [
        Row(id="z", unusable="empty"),
        Row(id="b", counts=counts(1, 1)),
        Row(id="a", counts=counts(1, 1), repeat=1),
        Row(id="a", counts=counts(1, 1)),
        Row(id="c", counts=counts(0, 0, 0, 9)),
    ]
    ranked = [(item.id, item.repeat) for item in most_errors_first(rows)]
    assert ranked == [("c", 0), ("a", 0), ("a", 1), ("b", 0), ("z", 0)]
