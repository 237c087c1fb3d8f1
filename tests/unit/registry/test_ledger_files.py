"""A ledger's lines: what is written is read, and every change is named for what it is."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.registry.chain import chain_problems
from relkit.registry.ledger_files import (
    parse_anchors,
    parse_ledger,
    render_anchor,
    render_event,
    render_ledger,
    seal,
)
from relkit.registry.types import EventKind
from tests.release_data import DIGEST, chained, event, history, registered

HISTORY = history(
    event(EventKind.CANARY, "1.1.0", traffic=0.05, from_version="1.0.0"),
    event(EventKind.ROLLED_BACK, "1.0.0", traffic=1.0, bad=("1.1.0",), slice="accent=northern"),
    event(EventKind.YANKED, "1.1.0", reason="schlecht für “alle”", attested="legacy"),
)
DATA = render_ledger(HISTORY)
LINES = DATA.decode().splitlines()
ANCHOR = parse_anchors(render_anchor(HISTORY), source="asr.head")


def codes(data: bytes, *, anchored: bool = True) -> list[str]:
    """Return what is said to have happened to a ledger."""
    lines = parse_ledger(data, source="asr.jsonl").lines
    return [one.code for one in chain_problems("asr", lines, ANCHOR if anchored else ())]


def test_what_is_written_is_read() -> None:
    """Every field of every event comes back, and nothing is wrong."""
    parsed = parse_ledger(DATA, source="asr.jsonl")
    assert tuple(line.event for line in parsed.lines) == HISTORY
    assert codes(DATA) == []


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_canonical_and_has_the_digest_of_its_content(line: str) -> None:
    """Anyone can check it: SHA-256 of the RFC 8785 form without the key ``digest``."""
    document = json.loads(line)
    assert rfc8785.dumps(document).decode() == line
    digest = document.pop("digest")
    assert digest_of(document) == digest


def test_a_text_that_looks_like_the_digest_deceives_nobody() -> None:
    """Quotes inside a text are escaped, so that only the key itself is left out."""
    tricky = event(EventKind.REGISTERED, reason=f'"digest":"{DIGEST}",')
    (line,) = parse_ledger(render_ledger(chained([tricky])), source="x").lines
    assert line.wrong is None


def without(number: int) -> bytes:
    """Return the ledger without one line."""
    return "\n".join([*LINES[: number - 1], *LINES[number:], ""]).encode()


def swapped() -> bytes:
    """Return the ledger with two lines exchanged."""
    return "\n".join([LINES[0], LINES[2], LINES[1], *LINES[3:], ""]).encode()


def forked() -> bytes:
    """Return the ledger as a union merge of two branches makes it."""
    other = seal(registered("2.0.0", 9), sequence=4, previous=HISTORY[2].digest)
    return DATA + render_event(other).encode() + b"\n"


def resealed() -> bytes:
    """Return the ledger with an event changed and given its new digest."""
    changed = seal(replace(HISTORY[1], by="eve"), sequence=2, previous=HISTORY[0].digest)
    return "\n".join([LINES[0], render_event(changed), *LINES[2:], ""]).encode()


def all_resealed() -> bytes:
    """Return a whole other ledger of the same length."""
    other = chained([replace(one, by="eve") for one in HISTORY])
    return render_ledger(other)


HAPPENED: list[tuple[str, Callable[[], bytes], list[str]]] = [
    ("a word changed", lambda: DATA.replace(b"ann", b"eve", 1), ["edited"]),
    ("a line removed in the middle", lambda: without(3), ["removed"]),
    ("the first line removed", lambda: without(1), ["removed"]),
    ("the last line removed", lambda: without(6), ["truncated"]),
    ("nothing left", lambda: b"", ["truncated"]),
    ("two lines exchanged", swapped, ["reordered"]),
    ("a line twice", lambda: DATA + LINES[1].encode() + b"\n", ["duplicated"]),
    ("two branches merged", forked, ["forked"]),
    ("an event changed with its digest", resealed, ["removed"]),
    ("every event changed with its digest", all_resealed, ["rewritten"]),
    ("junk in between", lambda: DATA.replace(b"\n", b"\nhello\n", 1), ["edited"]),
    ("another model's event", lambda: DATA + _foreign(), ["foreign"]),
]


def _foreign() -> bytes:
    return render_ledger(chained([event(EventKind.REGISTERED, model="llm")]))


@pytest.mark.parametrize(("made", "expected"), [one[1:] for one in HAPPENED])
def test_what_happened_is_named(made: Callable[[], bytes], expected: list[str]) -> None:
    """Edited, removed, truncated, reordered, duplicated, forked, rewritten: each by its name."""
    assert codes(made()) == expected


def test_a_ledger_without_its_anchor_cannot_be_known_to_be_whole() -> None:
    """Only a first event may be without: a kill comes between it and its anchor."""
    assert codes(DATA, anchored=False) == ["unanchored"]
    assert codes(render_ledger(HISTORY[:1]), anchored=False) == []


def test_an_anchor_that_lags_behind_is_right() -> None:
    """A kill between an event and its anchor leaves it so."""
    anchor = parse_anchors(render_anchor(HISTORY[:5]), source="asr.head")
    lines = parse_ledger(DATA, source="asr.jsonl").lines
    assert chain_problems("asr", lines, anchor) == ()


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, len(DATA) - 2), bit=st.integers(0, 7))
def test_no_changed_bit_goes_unseen(place: int, bit: int) -> None:
    """One bit anywhere in the file, and the ledger is not believed."""
    changed = bytearray(DATA)
    changed[place] ^= 1 << bit
    parsed = parse_ledger(bytes(changed), source="asr.jsonl")
    assert codes(bytes(changed)) or parsed.markers


@pytest.mark.parametrize("cut", range(1, len(LINES[-1]) + 1, 7))
def test_a_torn_last_line_is_no_event(cut: int) -> None:
    """Every prefix of a line that is not all of it counts for nothing, and is told."""
    whole = render_ledger(HISTORY[:-1])
    parsed = parse_ledger(whole + LINES[-1].encode()[: cut - 1], source="x")
    assert len(parsed.lines) == len(HISTORY) - 1
    assert parsed.torn == cut - 1
    assert not parsed.unended


def test_a_whole_last_line_without_its_line_feed_is_kept() -> None:
    """It is certain: its digest is its own."""
    parsed = parse_ledger(DATA.removesuffix(b"\n"), source="x")
    assert (len(parsed.lines), parsed.torn, parsed.unended) == (len(HISTORY), 0, True)


def test_marks_of_a_git_conflict_are_seen() -> None:
    """They are no events, and their lines are named."""
    marked = b"<<<<<<< HEAD\n" + DATA + b"=======\n>>>>>>> other\n"
    parsed = parse_ledger(marked, source="x")
    assert parsed.markers == (1, 8, 9)
    assert tuple(line.event for line in parsed.lines) == HISTORY


@pytest.mark.parametrize(
    "wrong",
    [{"reason": "two\nlines"}, {"by": ""}, {"traffic": 1.5}, {"at": "now"}, {"version": "a b"}],
)
def test_what_could_not_be_read_again_is_not_written(wrong: dict[str, Any]) -> None:
    """An event is checked before it gets its place."""
    with pytest.raises(InvalidInput, match="event 1 of asr"):
        seal(event(EventKind.REGISTERED, **wrong), sequence=1, previous=None)


def test_a_bad_anchor_is_refused_with_its_line() -> None:
    """Marks of a conflict are passed over, anything else is named."""
    good = f"3 {DIGEST}"
    assert len(parse_anchors(f"<<<<<<< a\n{good}\n=======\n{good}\n>>>>>>> b\n", source="h")) == 2
    with pytest.raises(InvalidInput, match=r"asr\.head, line 2"):
        parse_anchors(f"{good}\nhello\n", source="asr.head")


def test_windows_line_ends_are_read() -> None:
    """An editor that adds carriage returns has not edited an event."""
    assert codes(DATA.replace(b"\n", b"\r\n")) == []
