"""First bad release by tests of single releases: git's semantics, held against git itself."""

import math
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.bisect.search import between, mark_of, narrow
from relkit.bisect.types import Narrowed, ReleaseMark
from relkit.core.errors import UsageError

GOOD, BAD, SKIP = ReleaseMark.GOOD, ReleaseMark.BAD, ReleaseMark.SKIP


def names(count: int) -> tuple[str, ...]:
    """Return versions 0 to count."""
    return tuple(str(i) for i in range(count + 1))


def search(
    versions: Sequence[str], truth: Mapping[str, ReleaseMark]
) -> tuple[Narrowed, list[str], dict[str, ReleaseMark]]:
    """Search between two believed ends; return the outcome, what was tested, and all marks."""
    marks = {versions[0]: GOOD, versions[-1]: BAD}
    asked: list[str] = []
    while (narrowed := narrow(versions, marks)).next is not None:
        asked.append(narrowed.next)
        marks[narrowed.next] = truth[narrowed.next]
    return narrowed, asked, marks


@pytest.mark.parametrize(
    ("code", "mark"),
    [
        (0, GOOD),
        (1, BAD),
        (2, BAD),
        (124, BAD),
        (125, SKIP),
        (126, BAD),
        (127, BAD),
        (128, None),
        (130, None),
        (255, None),
        (-2, None),
        (-9, None),
    ],
)
def test_exit_codes_mean_what_git_takes_them_for(code: int, mark: ReleaseMark | None) -> None:
    """0 good, 125 skip, else to 127 bad; from 128 on and killed by a signal: abort."""
    assert mark_of(code) is mark


@settings(max_examples=300, deadline=None)
@given(data=st.data(), count=st.integers(1, 70))
def test_the_first_bad_is_among_the_answers_in_the_promised_steps(
    data: st.DataObject, count: int
) -> None:
    """Whatever is skipped, the true one is a candidate, within ceil(log2 n) steps plus skips."""
    versions = names(count)
    first_bad = data.draw(st.integers(1, count))
    skipped = data.draw(st.sets(st.integers(1, max(count - 1, 1)), max_size=count))
    truth = {
        version: SKIP if i in skipped else BAD if i >= first_bad else GOOD
        for i, version in enumerate(versions)
    }
    narrowed, asked, marks = search(versions, truth)
    assert len(asked) == len(set(asked))
    assert str(first_bad) in narrowed.candidates
    skips = sum(truth[version] is SKIP for version in asked)
    assert len(asked) <= math.ceil(math.log2(count)) + skips
    assert narrowed.candidates == possible(versions, marks)
    assert narrowed.status == ("found" if len(narrowed.candidates) == 1 else "set")


def possible(versions: Sequence[str], marks: Mapping[str, ReleaseMark]) -> tuple[str, ...]:
    """Return, by trying all, the turns from good to bad that no mark speaks against."""

    def fits(turn: int) -> bool:
        said = [(i, marks[v]) for i, v in enumerate(versions) if v in marks]
        return all(mark is SKIP or (mark is BAD) == (i >= turn) for i, mark in said)

    return tuple(version for i, version in enumerate(versions) if fits(i))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([GOOD, BAD, SKIP, None]), min_size=1, max_size=9),
)
def test_what_follows_from_marks_is_what_trying_all_turns_leaves(
    given_marks: list[ReleaseMark | None],
) -> None:
    """Candidates are never fewer than possible; a contradiction is where no turn fits."""
    versions = names(len(given_marks) - 1)
    marks = {v: m for v, m in zip(versions, given_marks, strict=True) if m is not None}
    narrowed = narrow(versions, marks)
    kinds = set(marks.values())
    if {GOOD, BAD} <= kinds:
        fitting = possible(versions, marks)
        assert (narrowed.status == "contradiction") == (not fitting)
        assert narrowed.candidates == fitting
    else:
        assert narrowed.status == ("no_good" if BAD in kinds else "no_bad")
        assert narrowed.next is None


def test_a_good_release_after_a_bad_one_is_told_with_its_versions() -> None:
    """Nothing is guessed from a history that turns twice."""
    told = narrow(names(5), {"0": GOOD, "1": BAD, "2": SKIP, "4": GOOD, "5": BAD})
    assert told.status == "contradiction"
    assert told.bad_before == ("1",)
    assert told.good_after == ("4",)
    assert told.candidates == ()
    assert told.next is None


def test_skipped_releases_at_the_boundary_are_a_set() -> None:
    """A release that could not be tested may be the first bad one."""
    told = narrow(names(4), {"0": GOOD, "1": GOOD, "2": SKIP, "3": BAD, "4": BAD})
    assert (told.status, told.candidates) == ("set", ("2", "3"))


def test_a_skip_leads_away_from_its_neighbours_within_the_steps() -> None:
    """What breaks one build breaks the next: the next test keeps its distance."""
    marks = {"0": GOOD, "20": BAD, "10": SKIP}
    chosen = narrow(names(20), marks).next
    assert chosen is not None
    assert abs(int(chosen) - 10) >= 5


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("1", "1", "1 cannot be good and bad"),
        ("3", "1", "the good release 3 comes after the bad one 1 in the ledger"),
        ("9", "1", 'the ledger has no release "9"'),
        ("1", "x\n::", 'the ledger has no release "x?::"'),
    ],
)
def test_bounds_that_cannot_be_are_refused(good: str, bad: str, message: str) -> None:
    """The message names both, and no control character gets through."""
    with pytest.raises(UsageError) as refused:
        between(names(4), good, bad)
    assert refused.value.message == message
    assert refused.value.hint


def test_the_steps_and_the_answer_are_those_of_git(tmp_path: Path) -> None:
    """A real git bisect over a line of commits tests the same versions, and skips to a same set."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    repository = tmp_path / "repository"

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [git, "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            cwd=repository if repository.exists() else tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    run("init", "-q", str(repository))
    versions = names(12)
    for version in versions:
        run("commit", "-q", "--allow-empty", "-m", version)
        run("tag", f"v{version}")
    for last, first_bad, skips in ((12, 7, ()), (11, 1, ()), (3, 3, ()), (6, 4, (3, 4))):
        run("bisect", "start", f"v{last}", "v0")
        asked: list[str] = []
        said = ""
        while "first bad commit" not in said and len(asked) < 12:
            at = run("log", "-1", "--format=%s").strip()
            asked.append(at)
            word = "bad" if int(at) >= first_bad else "good"
            said = run("bisect", "skip" if int(at) in skips else word)
        hashes = {run("rev-parse", f"v{version}").strip(): version for version in versions}
        named = {version for sha, version in hashes.items() if sha in said}
        run("bisect", "reset")
        truth = {
            v: SKIP if int(v) in skips else BAD if int(v) >= first_bad else GOOD for v in versions
        }
        narrowed, ours, _ = search(versions[: last + 1], truth)
        assert set(narrowed.candidates) == named
        if not skips:
            assert ours == asked
