"""Ledgers on disk: compare-and-set, anchors, torn lines, repairs, and processes that compete."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from relkit.adapters.ledgers import ATTRIBUTES, MERGE_RULE, LedgerFiles
from relkit.core.errors import Busy, InvalidInput, UsageError
from relkit.registry.ledger_files import render_event, render_ledger, seal
from relkit.registry.types import EventKind, ReleaseEvent
from tests.release_data import (
    at,
    chained,
    event,
    history,
    ledger_in,
    promoted,
    registered,
    write_history,
)


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerFiles:
    """Give a ledger with three events."""
    return write_history(tmp_path, history())


def file_in(folder: Path) -> Path:
    """Return the ledger's file."""
    return folder / "events" / "asr.jsonl"


def head_in(folder: Path) -> Path:
    """Return the anchor's file."""
    return folder / "events" / "asr.head"


def test_events_are_appended_and_read(ledger: LedgerFiles, tmp_path: Path) -> None:
    """They come back sealed and chained; the anchor names the last, git is told the merge rule."""
    events = ledger.events("asr")
    assert events == history()
    assert head_in(tmp_path).read_text() == f"3 {events[-1].digest}\n"
    assert (tmp_path / "events" / ATTRIBUTES).read_text() == MERGE_RULE
    assert ledger.models() == ("asr",)


def test_appending_changes_no_byte_that_was_there(ledger: LedgerFiles, tmp_path: Path) -> None:
    """Append-only is meant literally."""
    before = file_in(tmp_path).read_bytes()
    ledger.append(registered("2.0.0", 9), expected=3)
    assert file_in(tmp_path).read_bytes().startswith(before)


@pytest.mark.parametrize("expected", [0, 2, 4])
def test_a_plan_from_another_state_is_refused(ledger: LedgerFiles, expected: int) -> None:
    """Compare-and-set on the sequence: what was planned on must still be the end."""
    with pytest.raises(Busy, match="has changed since it was read"):
        ledger.append(registered("2.0.0"), expected=expected)


def test_what_cannot_happen_is_not_appended(ledger: LedgerFiles) -> None:
    """The ledger checks for itself, whoever planned it."""
    with pytest.raises(InvalidInput, match="never registered"):
        ledger.append(promoted("9.9.9"), expected=3)


@pytest.mark.parametrize("name", ["../asr", "", "a/b", ".head"])
def test_a_name_never_leads_out_of_the_folder(ledger: LedgerFiles, name: str) -> None:
    """A model is a plain name."""
    with pytest.raises(UsageError, match="is no name of a model"):
        ledger.events(name)


Change = Callable[[list[bytes]], list[bytes]]
BROKEN: list[tuple[Change, str]] = [
    (lambda x: [x[0].replace(b"ann", b"eve"), *x[1:]], "line 1: was edited"),
    (lambda x: [x[1], x[0], x[2]], "line 1: event 2 stands where event 1 belongs: reordered"),
    (lambda x: x[:2], "truncated: the .head file names event 3"),
    (lambda x: x[:0], "truncated: the .head file names event 3, and the ledger ends with event 0"),
    (lambda x: [*x, x[1]], r"line 4: event 2 \(.*\) stands already in line 2: duplicated"),
    (lambda x: [x[0], x[2]], "line 2: event 3 .* follows an event that is not there"),
    (lambda x: [b"<<<<<<< HEAD\n", *x, b"=======\n"], "line 1: holds the marks of a git conflict"),
]


@pytest.mark.parametrize(("change", "said"), BROKEN)
def test_a_broken_ledger_is_neither_read_nor_written(
    ledger: LedgerFiles, tmp_path: Path, change: Change, said: str
) -> None:
    """The message names file, line and what happened; nothing is appended to it."""
    path = file_in(tmp_path)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    broken = path.read_bytes()
    with pytest.raises(InvalidInput, match=rf"asr\.jsonl.*{said}") as caught:
        ledger.events("asr")
    assert caught.value.hint
    with pytest.raises(InvalidInput, match=said):
        ledger.append(registered("2.0.0"), expected=3)
    assert path.read_bytes() == broken


@pytest.mark.parametrize("number", [0, 2, 3, 5])
def test_what_is_missing_or_edited_is_never_repaired(
    ledger: LedgerFiles, tmp_path: Path, number: int
) -> None:
    """Repair makes nothing up: it refuses, changes no byte and says where the truth is."""
    path = file_in(tmp_path)
    change, _ = BROKEN[number]
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    broken = path.read_bytes()
    with pytest.raises(InvalidInput) as caught:
        ledger.repair("asr")
    assert "git" in str(caught.value.hint)
    assert path.read_bytes() == broken


@pytest.mark.parametrize("number", [1, 4, 6])
def test_what_is_all_there_is_repaired(ledger: LedgerFiles, tmp_path: Path, number: int) -> None:
    """Order, duplicates and marks of a conflict: the digests say how it was."""
    path = file_in(tmp_path)
    good = path.read_bytes()
    change, _ = BROKEN[number]
    path.write_bytes(b"".join(change(good.splitlines(keepends=True))))
    assert ledger.repair("asr")
    assert path.read_bytes() == good
    assert ledger.repair("asr") == ()


def test_every_flipped_bit_of_the_anchor_is_noticed(ledger: LedgerFiles, tmp_path: Path) -> None:
    """Also in its number, which the ledger knows from the digest, and in its line end."""
    good = head_in(tmp_path).read_bytes()
    for bit in range(8 * len(good)):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        head_in(tmp_path).write_bytes(changed)
        assert ledger.read("asr").problems, changed
        with pytest.raises(InvalidInput):
            ledger.events("asr")


@pytest.mark.parametrize("head", [b"2 ", b"\xff", b"3", b""])
def test_a_broken_anchor_is_mended_from_the_ledger(
    ledger: LedgerFiles, tmp_path: Path, head: bytes
) -> None:
    """The events are all there, each with its digest: repair writes the anchor anew."""
    good = head_in(tmp_path).read_bytes()
    head_in(tmp_path).write_bytes(head + good[2:] if head == b"2 " else head)
    assert ledger.repair("asr")
    assert head_in(tmp_path).read_bytes() == good


def next_line(event_: ReleaseEvent) -> bytes:
    """Return the line of a fourth event."""
    return render_event(seal(event_, sequence=4, previous=history()[-1].digest)).encode()


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_torn_line_is_reported_and_cut_off_by_the_next_append(
    ledger: LedgerFiles, tmp_path: Path, kept: int
) -> None:
    """It was never acknowledged; what is certain stays."""
    with file_in(tmp_path).open("ab") as file:
        file.write(next_line(registered("2.0.0"))[:kept])
    (problem,) = ledger.read("asr").problems
    assert problem.code == "torn"
    assert problem.line == 4
    assert ledger.events("asr") == history()
    ledger.append(registered("3.0.0", 9), expected=3)
    assert [one.version for one in ledger.events("asr")][3:] == ["3.0.0"]
    assert ledger.read("asr").problems == ()


@pytest.mark.parametrize("through_repair", [True, False])
def test_a_whole_line_without_its_line_feed_is_kept(
    ledger: LedgerFiles, tmp_path: Path, *, through_repair: bool
) -> None:
    """Its digest proves it; repair and append give it its end."""
    with file_in(tmp_path).open("ab") as file:
        file.write(next_line(registered("2.0.0", 9)))
    assert len(ledger.events("asr")) == 4
    if through_repair:
        assert "had no line feed" in " ".join(ledger.repair("asr"))
    else:
        ledger.append(registered("3.0.0", 10), expected=4)
    assert file_in(tmp_path).read_bytes().endswith(b"}\n")
    assert ledger.read("asr").problems == ()
    assert ledger.events("asr")[3].version == "2.0.0"


def test_an_anchor_that_lags_behind_is_brought_up(ledger: LedgerFiles, tmp_path: Path) -> None:
    """A kill between the event and its anchor leaves nothing wrong."""
    old = head_in(tmp_path).read_text()
    ledger.append(registered("2.0.0", 9), expected=3)
    head_in(tmp_path).write_text(old)
    assert ledger.read("asr").problems == ()
    assert ledger.repair("asr") == ("asr.head: brought up to event 4",)


def test_a_missing_anchor_is_a_problem_and_made_again(ledger: LedgerFiles, tmp_path: Path) -> None:
    """Without it nobody knows whether the end was cut off, so it is not passed over."""
    head_in(tmp_path).unlink()
    with pytest.raises(InvalidInput, match=r"\.head file is missing"):
        ledger.events("asr")
    assert ledger.repair("asr")
    assert ledger.events("asr") == history()


def test_a_ledger_that_is_gone_is_missed(ledger: LedgerFiles, tmp_path: Path) -> None:
    """The anchor stays behind and says so; the model is still among those with a ledger."""
    file_in(tmp_path).unlink()
    assert ledger.models() == ("asr",)
    with pytest.raises(InvalidInput, match="truncated"):
        ledger.events("asr")


def test_merged_branches_are_chained_anew(ledger: LedgerFiles, tmp_path: Path) -> None:
    """Lines of two branches, as git's union merge leaves them, become one chain."""
    ours = chained([*history(), registered("2.0.0", 20)])[3:]
    theirs = chained([*history(), registered("3.0.0", 10), registered("4.0.0", 30)])[3:]
    with file_in(tmp_path).open("ab") as file:
        file.write(render_ledger((*ours, *theirs)))
    head_in(tmp_path).write_text(f"4 {ours[-1].digest}\n5 {theirs[-1].digest}\n")
    with pytest.raises(InvalidInput, match="two branches were merged") as caught:
        ledger.events("asr")
    assert "registry verify asr --repair" in str(caught.value.hint)
    assert ledger.repair("asr")
    assert [one.version for one in ledger.events("asr")][3:] == ["3.0.0", "2.0.0", "4.0.0"]
    assert len(head_in(tmp_path).read_text().splitlines()) == 1


def test_branches_that_both_promote_are_refused(ledger: LedgerFiles, tmp_path: Path) -> None:
    """Both events are named, and the file is left as it is."""
    sides = [
        chained([*history(), promoted("1.1.0", minute, by=by)])[3:]
        for minute, by in ((10, "ann"), (11, "bob"))
    ]
    with file_in(tmp_path).open("ab") as file:
        file.write(render_ledger((*sides[0], *sides[1])))
    before = file_in(tmp_path).read_bytes()
    both = rf"{at(10)}, ann\) and event 4 \(promoted 1.1.0, {at(11)}, bob\)"
    with pytest.raises(InvalidInput, match=both):
        ledger.repair("asr")
    assert file_in(tmp_path).read_bytes() == before


def test_a_senseless_history_is_found(tmp_path: Path) -> None:
    """A chain that is whole can tell what cannot have happened."""
    events = chained([registered("1.0.0"), event(EventKind.RESTORED, "1.0.0")])
    file_in(tmp_path).parent.mkdir()
    file_in(tmp_path).write_bytes(render_ledger(events))
    head_in(tmp_path).write_text(f"2 {events[-1].digest}\n")
    with pytest.raises(InvalidInput, match="cannot have happened: it is not yanked"):
        ledger_in(tmp_path).events("asr")


def compete(folder: str, number: int, start: "multiprocessing.synchronize.Event") -> None:
    """Append the fourth event with others; exit 0 where this one won."""
    start.wait()
    try:
        ledger_in(Path(folder)).append(registered(f"2.0.{number}", number), expected=3)
    except Busy:
        raise SystemExit(7) from None


def test_of_processes_that_append_at_once_exactly_one_wins(
    ledger: LedgerFiles, tmp_path: Path
) -> None:
    """The others learn that the ledger has gone on; nothing is doubled or mixed."""
    context = multiprocessing.get_context("fork")
    start = context.Event()
    many = [
        context.Process(target=compete, args=(str(tmp_path), number, start)) for number in range(8)
    ]
    for one in many:
        one.start()
    start.set()
    for one in many:
        one.join()
    assert sorted(one.exitcode or 0 for one in many) == [0, *[7] * 7]
    assert len(ledger.events("asr")) == 4


def write_many(folder: str, count: int) -> None:
    """Append events one after the other."""
    ledger = ledger_in(Path(folder))
    for number in range(count):
        ledger.append(registered(f"2.0.{number}", number), expected=3 + number)


def test_who_reads_while_another_process_writes_sees_no_damage(
    ledger: LedgerFiles, tmp_path: Path
) -> None:
    """Neither a line that is being written nor an anchor that is newer is taken for tampering."""
    writer = multiprocessing.get_context("fork").Process(
        target=write_many, args=(str(tmp_path), 25)
    )
    writer.start()
    longest = 0
    while longest < 28:
        events = ledger.events("asr")
        assert len(events) >= longest
        longest = len(events)
    writer.join()
    assert writer.exitcode == 0
