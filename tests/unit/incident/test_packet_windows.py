"""Which hours a packet may be about."""

from dataclasses import replace

import pytest

from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import moment
from relkit.disclosure.types import HourSpan
from relkit.incident.packets.types import IssuedPacket
from relkit.incident.packets.windows import (
    check_chain,
    checked_mitigations,
    hours,
    hours_around,
    parse_window,
    window_since,
    window_text,
)
from tests.packet_data import packet

NOW = "2026-11-02T10:20:00Z"


def span(begin: str, end: str) -> HourSpan:
    """Return hours of the second of November."""
    return HourSpan(from_=f"2026-11-02T{begin}:00:00Z", to=f"2026-11-02T{end}:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-02T03Z/2026-11-02T09Z",
        "2026-11-02T03:00Z/2026-11-02T09:00Z",
        "2026-11-02T03:00:00Z/2026-11-02T09:00:00Z",
        " 2026-11-02T03Z / 2026-11-02T09:00Z ",
    ],
)
def test_a_window_may_leave_minutes_out(text: str) -> None:
    """All spellings are the same six hours, and written as briefly as can be."""
    window = parse_window(text, now=NOW)
    assert window == span("03", "09")
    assert hours(window) == 6
    assert window_text(window) == "2026-11-02T03Z/2026-11-02T09Z"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("2026-11-02T03:30Z/2026-11-02T09Z", "2026-11-02T03Z/2026-11-02T09Z"),
        ("2026-11-02T03Z/2026-11-02T09:00:01Z", "2026-11-02T03Z/2026-11-02T10Z"),
        ("2026-11-02T03Z/2026-11-02T11Z", "2026-11-02T03Z/2026-11-02T10Z"),
        ("2026-11-02T10Z/2026-11-02T11Z", "wait"),
        ("2026-11-02T03Z/2026-11-02T03Z", "such as"),
        ("2026-09-02T03Z/2026-11-02T03Z", "such as"),
        ("2026-11-02T03Z", "such as"),
        ("2026-11-02T03Z/2026-11-31T03Z", "such as"),
        ("2026-11-02 03:00/2026-11-02 09:00", "such as"),
        ("2026-11-02T03+01:00/2026-11-02T09Z", "such as"),
        ("", "such as"),
    ],
)
def test_another_window_is_refused_with_the_way_out(text: str, hint: str) -> None:
    """Half hours and hours that are not over name the window that would do."""
    with pytest.raises(UsageError) as refused:
        parse_window(text, now=NOW)
    assert hint in str(refused.value.hint)


def test_times_of_turns_become_whole_hours() -> None:
    """The hours that hold them, one at least."""
    at = moment("2026-11-02T03:20:00Z")
    assert hours_around(at, at) == span("03", "04")
    assert hours_around(at, moment("2026-11-02T05:00:00Z")) == span("03", "05")
    on_the_hour = moment("2026-11-02T03:00:00Z")
    assert hours_around(on_the_hour, on_the_hour) == span("03", "04")


def issued(begin: str, end: str, incident: str = "i") -> IssuedPacket:
    """Return a packet that is out about some hours."""
    content = replace(packet(), window=span(begin, end), incident=incident)
    return IssuedPacket(name=f"{incident}-{begin}", digest=begin, packet=content, data=b"")


@pytest.mark.parametrize(
    ("begin", "end", "again"),
    [("03", "06", 0), ("06", "08", 1), ("08", "09", None), ("08", "10", None)],
)
def test_a_window_is_out_already_or_follows(begin: str, end: str, again: int | None) -> None:
    """The same hours again, or those right after the last."""
    chain = (issued("03", "06"), issued("06", "08"))
    earlier = check_chain(span(begin, end), "i", chain, ())
    assert earlier is (None if again is None else chain[again])


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        ("03", "07", "overlaps"),
        ("04", "05", "overlaps"),
        ("02", "09", "overlaps"),
        ("07", "09", "overlaps"),
        ("09", "10", "does not begin where"),
        ("01", "03", "does not begin where"),
    ],
)
def test_windows_neither_overlap_nor_leave_a_gap(begin: str, end: str, words: str) -> None:
    """Each is refused, and the hint names where the next one begins."""
    with pytest.raises(InvalidInput, match=words) as refused:
        check_chain(span(begin, end), "i", (issued("03", "06"), issued("06", "08")), ())
    assert "--window 2026-11-02T0" in str(refused.value.hint)


def test_windows_of_other_incidents_count_too() -> None:
    """They are of the same traffic; the same hours under another key would be no better."""
    other = issued("03", "06", "other").packet
    for window in (span("05", "07"), span("03", "06")):
        with pytest.raises(InvalidInput, match="of incident other"):
            check_chain(window, "i", (), (other,))
    assert check_chain(span("06", "07"), "i", (), (other,)) is None


def test_what_was_done_is_one_of_few_words() -> None:
    """Each once, in the order it was named; the nearest word for another."""
    assert checked_mitigations(["client_fixed", "rolled_back", "client_fixed"]) == (
        "client_fixed",
        "rolled_back",
    )
    with pytest.raises(UsageError) as refused:
        checked_mitigations(["rolled-back"])
    assert "rolled_back" in str(refused.value.hint)
    with pytest.raises(UsageError, match="stands alone"):
        checked_mitigations(["none_yet", "rolled_back"])


@pytest.mark.parametrize(
    ("onset", "last", "window"),
    [
        ("2026-11-02T03:20:00Z", "2026-11-02T08:10:00Z", span("03", "09")),
        ("2026-11-02T03:20:00Z", "2026-11-02T10:10:00Z", span("03", "10")),
        ("2026-11-02T03:20:00Z", "2026-11-02T03:25:00Z", span("03", "04")),
        ("2026-11-02T10:05:00Z", "2026-11-02T10:10:00Z", None),
    ],
)
def test_a_triage_is_about_the_hours_since_the_onset(
    onset: str, last: str, window: HourSpan | None
) -> None:
    """Up to the last turn, as far as the hours are over."""
    assert window_since(onset, last, now=NOW) == window
