"""Two branches that both append, merged by real git, and what becomes of their events."""

import subprocess
from pathlib import Path

import pytest

from relkit.adapters.ledgers import LedgerFiles
from relkit.core.errors import InvalidInput
from relkit.registry.types import EventKind, ReleaseEvent
from tests.release_data import (
    at,
    event,
    history,
    ledger_in,
    promoted,
    registered,
    write_history,
)


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git as nobody in particular, without anybody's settings."""
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *settings, "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def commit(folder: Path, text: str) -> None:
    """Commit all."""
    assert git(folder, "add", "-A").returncode == 0
    done = git(folder, "commit", "-qm", text)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def repository(tmp_path: Path) -> LedgerFiles:
    """Give a ledger of three events in a repository with one commit."""
    assert git(tmp_path, "init", "-q", "-b", "main").returncode == 0
    (tmp_path / ".gitignore").write_text("locks/\n")
    ledger = write_history(tmp_path, history())
    commit(tmp_path, "three events")
    return ledger


def append(folder: Path, *events: ReleaseEvent) -> None:
    """Append events on the branch that is checked out, and commit."""
    ledger = ledger_in(folder)
    for one in events:
        ledger.append(one, expected=len(ledger.events("asr")))
    commit(folder, "append")


def branch_and_merge(
    folder: Path, ours: list[ReleaseEvent], theirs: list[ReleaseEvent]
) -> subprocess.CompletedProcess[str]:
    """Append on two branches from the same commit and merge one into the other."""
    git(folder, "checkout", "-qb", "other")
    append(folder, *theirs)
    git(folder, "checkout", "-q", "main")
    append(folder, *ours)
    return git(folder, "merge", "-q", "--no-edit", "other")


OURS = [registered("2.0.0", 10), event(EventKind.YANKED, "1.1.0", at=at(30), reason="labels")]
THEIRS = [registered("3.0.0", 20, by="bob"), promoted("3.0.0", 40, by="bob")]


def test_branches_that_commute_keep_every_event(repository: LedgerFiles, tmp_path: Path) -> None:
    """Git's union merge keeps all lines; nothing is read from them until they are chained anew."""
    merge = branch_and_merge(tmp_path, OURS, THEIRS)
    assert merge.returncode == 0, merge.stdout
    with pytest.raises(InvalidInput, match="two branches were merged"):
        repository.events("asr")
    repository.repair("asr")
    events = repository.events("asr")
    assert events[:3] == history()
    assert [(one.kind, one.version, one.by) for one in events[3:]] == [
        (EventKind.REGISTERED, "2.0.0", "ann"),
        (EventKind.REGISTERED, "3.0.0", "bob"),
        (EventKind.YANKED, "1.1.0", "ann"),
        (EventKind.PROMOTED, "3.0.0", "bob"),
    ]
    commit(tmp_path, "chained anew")


def test_both_sides_of_a_merge_get_the_same_ledger(repository: LedgerFiles, tmp_path: Path) -> None:
    """Whoever merges whom, the bytes are the same, so that a second merge has nothing to do."""
    branch_and_merge(tmp_path, OURS, THEIRS)
    repository.repair("asr")
    one = (tmp_path / "events" / "asr.jsonl").read_bytes()
    git(tmp_path, "reset", "-q", "--hard", "HEAD~1")
    git(tmp_path, "checkout", "-q", "other")
    assert git(tmp_path, "merge", "-q", "--no-edit", "main").returncode == 0
    repository.repair("asr")
    assert (tmp_path / "events" / "asr.jsonl").read_bytes() == one


def test_a_third_branch_from_before_the_repair_is_merged_too(
    repository: LedgerFiles, tmp_path: Path
) -> None:
    """It still has the old lines: what they say is there already and is not doubled."""
    git(tmp_path, "checkout", "-qb", "third")
    append(tmp_path, registered("5.0.0", 50))
    git(tmp_path, "checkout", "-q", "main")
    branch_and_merge(tmp_path, OURS, THEIRS)
    git(tmp_path, "checkout", "-q", "other")
    append(tmp_path, registered("4.0.0", 60))
    git(tmp_path, "checkout", "-q", "main")
    repository.repair("asr")
    commit(tmp_path, "chained anew")
    for name in ("other", "third"):
        assert git(tmp_path, "merge", "-q", "--no-edit", name).returncode == 0
        repository.repair("asr")
        commit(tmp_path, "again")
    versions = [one.version for one in repository.events("asr")][3:]
    assert versions == ["2.0.0", "3.0.0", "1.1.0", "3.0.0", "5.0.0", "4.0.0"]


def test_two_promotions_are_refused_and_none_is_lost(
    repository: LedgerFiles, tmp_path: Path
) -> None:
    """Both are named; the lines of both stay in the file for people to decide."""
    ours, theirs = promoted("1.1.0", 10), promoted("1.1.0", 20, by="bob")
    assert branch_and_merge(tmp_path, [ours], [theirs]).returncode == 0
    before = (tmp_path / "events" / "asr.jsonl").read_bytes()
    with pytest.raises(InvalidInput) as caught:
        repository.repair("asr")
    for one in (ours, theirs):
        assert f"(promoted 1.1.0, {one.at}, {one.by})" in caught.value.message
    assert "git checkout --ours" in str(caught.value.hint)
    assert (tmp_path / "events" / "asr.jsonl").read_bytes() == before


def test_marks_of_a_conflict_are_told_in_one_message_and_repaired(
    repository: LedgerFiles, tmp_path: Path
) -> None:
    """Where git is not told the rule it marks a conflict, in the anchor, too."""
    (tmp_path / "events" / ".gitattributes").write_text("*.jsonl text\n")
    commit(tmp_path, "no rule")
    merge = branch_and_merge(tmp_path, OURS, THEIRS)
    assert merge.returncode != 0
    assert "<<<<<<<" in (tmp_path / "events" / "asr.jsonl").read_text()
    with pytest.raises(InvalidInput, match="holds the marks of a git conflict") as caught:
        repository.events("asr")
    assert "--repair" in str(caught.value.hint)
    repository.repair("asr")
    assert len(repository.events("asr")) == 7
    commit(tmp_path, "resolved")
