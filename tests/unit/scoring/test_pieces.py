"""Long pairs are cut only where every alignment with the fewest errors passes."""

from collections import Counter
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from relkit.scoring import pieces as cutting
from relkit.scoring.alignment import changes
from relkit.scoring.pieces import pieces
from relkit.scoring.words import count_errors, count_unit_errors
from tests.slow_table import fewest


def heard(seed: int, letters: int) -> tuple[list[str], list[str]]:
    """Return up to 60 words, perhaps the same few again and again, and what was heard."""
    chance = np.random.default_rng(seed)
    words = list("abcdefghijklmnop"[:letters])
    reference: list[str] = chance.choice(words, chance.integers(2, 60)).tolist()
    if chance.random() < 0.3:
        reference = (reference[: chance.integers(1, 6)] * 60)[: len(reference)]
    rate = chance.choice([0.02, 0.1, 0.3, 0.6])
    hypothesis: list[str] = []
    for word, dice in zip(reference, chance.random(len(reference)) / rate, strict=True):
        if dice >= 1 / 3:
            hypothesis.append(word if dice >= 2 / 3 else chance.choice(words))
        if 2 / 3 <= dice < 1:
            hypothesis += [chance.choice(words)] * chance.choice([1, 1, 4])
    return reference, hypothesis


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 2, 3, 8]),
    st.sampled_from([1, 2, 5]),
    st.sampled_from([4, 64]),
)
@settings(max_examples=1000, deadline=None)
def test_a_pair_that_is_cut_has_the_counts_of_the_whole_table(
    seed: int, letters: int, least: int, parts: int
) -> None:
    """Ties, repeated words, loops and bursts: (E, S) are those of a weighted distance."""
    pair = heard(seed, letters)
    with mock.patch.multiple(cutting, _LONG_PAIR=4, _LEAST=least, _PARTS=parts):
        counts, steps = count_errors(*pair), Counter(step.kind for step in changes(*pair))
        parted = list(pieces(*pair))
    distance = Levenshtein.distance(*pair, weights=(1000, 1000, 1001))
    assert (counts.errors, counts.substitutions) == divmod(distance, 1000)
    assert steps["substitution"] == counts.substitutions
    assert steps["deletion"] == counts.deletions
    assert steps["insertion"] == counts.insertions
    assert sum(count_unit_errors(p.reference, p.hypothesis) for p in parted) == counts.errors


def test_what_lies_between_pieces_is_equal() -> None:
    """Two words wrong in two thousand: small pieces around them, and the same words elsewhere."""
    chance = np.random.default_rng(3)
    reference = [f"w{number}" for number in chance.integers(400, size=2000)]
    hypothesis = list(reference)
    hypothesis[500], hypothesis[1500] = "wrong", "also"
    del hypothesis[1000]
    parted = list(pieces(reference, hypothesis))
    start = answered = 0
    for piece in parted:
        assert (
            reference[start : piece.reference_start]
            == hypothesis[answered : piece.hypothesis_start]
        )
        start = piece.reference_start + len(piece.reference)
        answered = piece.hypothesis_start + len(piece.hypothesis)
    assert reference[start:] == hypothesis[answered:]
    assert sum(len(piece.reference) for piece in parted) < len(reference) / 5
    assert [step.reference for step in changes(reference, hypothesis)] == [500, 1000, 1500]


def test_a_tie_is_not_cut() -> None:
    """Of two equal runs either may be hit with one error: no cut in one says where the other is."""
    run = ["a", "b", "c", "d", "e", "f"]
    with mock.patch.multiple(cutting, _LONG_PAIR=4, _LEAST=1):
        parted = list(pieces([*run, *run], run))
    assert len(parted) == 1


@pytest.mark.parametrize("words", [2, 10, 3000])
def test_long_pairs_of_few_and_many_different_words(words: int) -> None:
    """Two thousand words with every kind of error: the counts of a table over the whole pair."""
    chance = np.random.default_rng(words)
    reference = [f"w{number}" for number in chance.integers(words, size=1200)]
    hypothesis: list[str] = []
    for word, dice in zip(reference, chance.random(1200), strict=True):
        if dice > 0.03:
            hypothesis.append(word if dice > 0.1 else f"w{chance.integers(words)}")
    del hypothesis[300:340]
    hypothesis[700:700] = ["loop", "loop"] * 20
    counts = count_errors(reference, hypothesis)
    assert len(list(pieces(reference, hypothesis))) > 1
    assert (counts.errors, counts.substitutions) == fewest(reference, hypothesis)


def test_unrelated_texts_stay_one_piece() -> None:
    """Where nothing is the same there is nothing to cut at, and all words are wrong."""
    reference, hypothesis = [f"a{i}" for i in range(200)], [f"b{i}" for i in range(150)]
    counts = count_errors(reference, hypothesis)
    assert len(list(pieces(reference, hypothesis))) == 1
    assert (counts.substitutions, counts.deletions, counts.insertions) == (150, 50, 0)
