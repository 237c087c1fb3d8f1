"""Alignments reach the canonical counts, always."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.scoring import alignment
from relkit.scoring.alignment import Change, EditKind, changes
from relkit.scoring.words import count_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One step of an alignment: its kind and the 0-based positions of the tokens it joins.

    ``reference`` is None for an insertion, ``hypothesis`` for a deletion.
    """

    kind: EditKind
    reference: int | None
    hypothesis: int | None


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[Edit, ...]:
    """Return all steps from the first to the last token, hits included."""
    steps: list[Edit] = []
    at_reference = at_hypothesis = 0
    for change in changes(reference, hypothesis):
        while at_reference < change.reference:
            steps.append(Edit(kind="hit", reference=at_reference, hypothesis=at_hypothesis))
            at_reference, at_hypothesis = at_reference + 1, at_hypothesis + 1
        inserted, deleted = change.kind == "insertion", change.kind == "deletion"
        steps.append(
            Edit(
                kind=change.kind,
                reference=None if inserted else change.reference,
                hypothesis=None if deleted else change.hypothesis,
            )
        )
        at_reference += not inserted
        at_hypothesis += not deleted
    while at_reference < len(reference):
        steps.append(Edit(kind="hit", reference=at_reference, hypothesis=at_hypothesis))
        at_reference, at_hypothesis = at_reference + 1, at_hypothesis + 1
    return tuple(steps)


WORDS = st.lists(st.sampled_from("abc"), max_size=12)


def assert_canonical(reference: list[str], hypothesis: list[str]) -> None:
    """Check every law of an alignment."""
    steps = align(reference, hypothesis)
    counts, kinds = count_errors(reference, hypothesis), Counter(step.kind for step in steps)
    assert kinds["hit"] == counts.hits
    assert kinds["substitution"] == counts.substitutions
    assert kinds["deletion"] == counts.deletions
    assert kinds["insertion"] == counts.insertions
    left = [step.reference for step in steps if step.reference is not None]
    right = [step.hypothesis for step in steps if step.hypothesis is not None]
    assert left == list(range(len(reference)))
    assert right == list(range(len(hypothesis)))
    for step in steps:
        if step.reference is not None and step.hypothesis is not None:
            same = reference[step.reference] == hypothesis[step.hypothesis]
            assert (step.kind == "hit") == same


@given(WORDS, WORDS)
@settings(max_examples=300, deadline=None)
def test_alignment_reaches_the_canonical_counts(
    reference: list[str], hypothesis: list[str]
) -> None:
    """Every token appears once and in order, hits join equal tokens, the kinds add up."""
    assert_canonical(reference, hypothesis)


def test_own_table_is_used_where_the_library_substitutes_too_much() -> None:
    """The library aligns this pair with two substitutions; a hit is possible."""
    assert [step.kind for step in align(["b", "a"], ["a", "c"])] == [
        "deletion",
        "hit",
        "insertion",
    ]


@pytest.mark.parametrize("cells", [1, 40, 1000])
def test_blocks_do_not_show(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeping fewer rows in memory gives the same steps."""
    chance = np.random.default_rng(7)
    pairs = [
        (chance.choice(list("abc"), n).tolist(), chance.choice(list("abc"), m).tolist())
        for n, m in [(5, 40), (40, 5), (30, 30), (31, 29)] * 10
    ]
    whole = [align(*pair) for pair in pairs]
    monkeypatch.setattr(alignment, "_BLOCK_CELLS", cells)
    assert [align(*pair) for pair in pairs] == whole


def test_long_pair_with_many_errors() -> None:
    """Two thousand words of which every third is wrong."""
    chance = np.random.default_rng(11)
    reference = [f"w{number}" for number in chance.integers(300, size=2000)]
    wrong = chance.random(2000) < 0.3
    other = chance.permutation(reference).tolist()
    hypothesis = [new if miss else w for w, new, miss in zip(reference, other, wrong, strict=True)]
    del hypothesis[100:120]
    hypothesis[900:900] = ["loop"] * 50
    assert_canonical(reference, hypothesis)


def test_positions_of_changes() -> None:
    """Changes name the tokens they touch; an insertion stands before its reference token."""
    assert changes(["a", "b", "c"], ["a", "x", "c"]) == [Change("substitution", 1, 1)]
    assert changes(["a", "b"], ["b"]) == [Change("deletion", 0, 0)]
    assert changes(["a"], ["a", "b"]) == [Change("insertion", 1, 1)]
    assert changes(["a"], ["a"]) == []
    assert align(["a"], ["b", "a"]) == (
        Edit(kind="insertion", reference=None, hypothesis=0),
        Edit(kind="hit", reference=0, hypothesis=1),
    )
