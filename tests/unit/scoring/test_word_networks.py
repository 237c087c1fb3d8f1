"""Word networks: their readings, and the fewest errors between two of them."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.values import ErrorCounts
from relkit.scoring import networks
from relkit.scoring.networks import (
    Alternation,
    Marked,
    Phrase,
    Token,
    count_networks,
    count_phrases,
    map_text,
    network_of,
    plain_text,
    written_words,
)
from relkit.scoring.words import count_text

WORDS = st.sampled_from(["a", "b", "ab", "ba", "abc"])
MIXED = "ab \u3000\u200b\u0301\u4e00\u4e8c"
RUNS = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
MARKED = st.builds(
    Marked, text=WORDS, optional=st.booleans(), fragment=st.sampled_from(["", "start", "end"])
)


def phrases(*, marked: bool) -> st.SearchStrategy[Phrase]:
    """Return phrases of at most two levels of alternatives."""
    items: st.SearchStrategy[str | Marked | Alternation] = RUNS | MARKED if marked else RUNS
    for _ in range(2):
        inner = st.lists(items, max_size=2).map(tuple)
        items |= st.lists(inner, min_size=1, max_size=2).map(
            lambda branches: Alternation(branches=tuple(branches))
        )
    return st.lists(items, max_size=3).map(tuple)


def readings(phrase: Phrase) -> Iterator[tuple[Token, ...]]:
    """Yield every reading of a phrase, the slow way."""
    choices: list[list[tuple[Token, ...]]] = []
    for element in phrase:
        if isinstance(element, Alternation):
            choices.append([said for branch in element.branches for said in readings(branch)])
        elif isinstance(element, Marked):
            literal = {"": "{}", "start": "{}-", "end": "-{}"}[element.fragment]
            part = element.text if element.fragment else ""
            text = literal.format(element.text)
            choices.append([(Token(text, " ", element.optional, element.fragment, part),)])
        else:
            choices.append([tuple(Token(word) for word in element.split())])
    for parts in product(*choices):
        yield tuple(token for part in parts for token in part)


def same(reference: Token, hypothesis: Token) -> bool:
    """Tell whether two tokens match: the reference's fragment first, then the hypothesis's."""
    if reference.fragment:
        one, other = reference, hypothesis
    elif hypothesis.fragment:
        one, other = hypothesis, reference
    else:
        return reference.text == hypothesis.text
    found = other.text.startswith if one.fragment == "start" else other.text.endswith
    return found(one.part)


def slow_best(reference: Sequence[Token], hypothesis: Sequence[Token]) -> tuple[int, int, int, int]:
    """Return the smallest (E, S, -N, -H) of two readings by plain recursion."""

    @cache
    def best(i: int, j: int) -> tuple[int, int, int, int]:
        ways = [(0, 0, 0, 0)] if (i, j) == (len(reference), len(hypothesis)) else []
        if i < len(reference) and j < len(hypothesis):
            hit = same(reference[i], hypothesis[j])
            ways.append(plus((0, 0, -1, -1) if hit else (1, 1, -1, 0), best(i + 1, j + 1)))
        if i < len(reference):
            step = (0, 0, -1, -1) if reference[i].optional else (1, 0, -1, 0)
            ways.append(plus(step, best(i + 1, j)))
        if j < len(hypothesis):
            step = (0, 0, -1, -1) if hypothesis[j].optional else (1, 0, 0, 0)
            ways.append(plus(step, best(i, j + 1)))
        return min(ways)

    return best(0, 0)


def plus(
    one: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Add two costs."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3]


def key(counts: ErrorCounts) -> tuple[int, int, int, int]:
    """Return counts in the order they are compared by."""
    return counts.errors, counts.substitutions, -counts.reference_length, -counts.hits


@settings(max_examples=150, deadline=None)
@given(phrases(marked=True), phrases(marked=True))
def test_counts_are_the_best_of_all_readings_and_alignments(one: Phrase, two: Phrase) -> None:
    """The network finds what trying every pair of readings and every alignment finds."""
    expected = min(slow_best(r, h) for r in set(readings(one)) for h in set(readings(two)))
    assert key(count_networks(network_of(one), network_of(two)).counts) == expected
    assert key(count_phrases(one, two).counts) == expected


@settings(max_examples=80, deadline=None)
@given(phrases(marked=False), phrases(marked=False))
def test_the_chosen_readings_have_the_counts(one: Phrase, two: Phrase) -> None:
    """Without optional words, counting the returned texts gives the returned counts again."""
    for score in (count_networks(network_of(one), network_of(two)), count_phrases(one, two)):
        assert count_text(score.reference, score.hypothesis) == score.counts
        assert score.reference in {" ".join(t.text for t in said) for said in readings(one)}
        assert score.hypothesis in {" ".join(t.text for t in said) for said in readings(two)}


@settings(max_examples=150, deadline=None)
@given(phrases(marked=True), phrases(marked=True), st.sampled_from([1, 12]))
def test_blocks_do_not_show(one: Phrase, two: Phrase, cells: int) -> None:
    """Rows that are found again on the way back give the same counts and the same readings."""
    networks_of_both = network_of(one), network_of(two)
    score = count_networks(*networks_of_both)
    with mock.patch.object(networks, "_BLOCK_CELLS", cells):
        assert count_networks(*networks_of_both) == score


@settings(max_examples=60, deadline=None)
@given(st.text(MIXED, max_size=12), st.text(MIXED, max_size=12))
def test_plain_text_counts_as_without_a_network(reference: str, hypothesis: str) -> None:
    """A phrase without marks has the counts of its text, in every script."""
    score = count_networks(network_of((reference,)), network_of((hypothesis,)))
    assert score.counts == count_text(reference, hypothesis)
    assert count_text(score.reference, score.hypothesis) == score.counts


@settings(max_examples=40, deadline=None)
@given(phrases(marked=True))
def test_a_phrase_matches_itself(phrase: Phrase) -> None:
    """Against itself no phrase has an error."""
    network = network_of(phrase)
    assert count_networks(network, network).counts.errors == 0


OPTIONAL = Marked(text="uh", optional=True)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        (("a", OPTIONAL, "b"), ("a b",), (3, 0, 0, 0)),
        (("a", OPTIONAL, "b"), ("a uh b",), (3, 0, 0, 0)),
        (("a", OPTIONAL, "b"), ("a um b",), (3, 0, 0, 1)),
        (("a b",), ("a", OPTIONAL, "b"), (3, 0, 0, 0)),
        ((Marked(text="fi", fragment="start"),), ("fish",), (1, 0, 0, 0)),
        ((Marked(text="ish", fragment="end"),), ("fish",), (1, 0, 0, 0)),
        (
            (Marked(text="f", fragment="start"),),
            (Marked(text="fi", fragment="start"),),
            (1, 0, 0, 0),
        ),
        (
            (Marked(text="fi", fragment="start"),),
            (Marked(text="f", fragment="start"),),
            (0, 1, 0, 0),
        ),
        (
            (Marked(text="ab", fragment="end"),),
            (Marked(text="ab", fragment="start"),),
            (0, 1, 0, 0),
        ),
        ((), ("a b",), (0, 0, 0, 2)),
        (("a b",), (), (0, 0, 2, 0)),
        ((), (), (0, 0, 0, 0)),
    ],
)
def test_marked_words(
    reference: Phrase, hypothesis: Phrase, counts: tuple[int, int, int, int]
) -> None:
    """Optional words passed over are hits; a fragment of the reference decides alone."""
    found = count_networks(network_of(reference), network_of(hypothesis)).counts
    assert (found.hits, found.substitutions, found.deletions, found.insertions) == counts


def test_a_fragment_that_counts_as_correct_has_no_character_errors() -> None:
    """The texts of the readings agree wherever the words count as the same."""
    reference: Phrase = ("a", Marked(text="fi", fragment="start"), OPTIONAL)
    score = count_networks(network_of(reference), network_of(("a fish",)))
    assert (score.reference, score.hypothesis) == ("a fi-", "a fi-")


def test_ties_go_to_the_longest_reference() -> None:
    """With equal errors the lowest rate wins: two hits beside one error beat one hit."""
    reference: Phrase = (Alternation(branches=(("a",), ("a b",))),)
    assert count_networks(network_of(reference), network_of(("a b x",))).counts == ErrorCounts(
        hits=2, insertions=1
    )


def test_text_is_changed_run_by_run() -> None:
    """A normalizer sees whole runs and each marked word, and the marks stay."""
    phrase: Phrase = ("a b", OPTIONAL, Alternation(branches=(("c",), ())))
    assert map_text(phrase, str.upper) == (
        "A B",
        Marked(text="UH", optional=True),
        Alternation(branches=(("C",), ())),
    )


def test_a_normalized_fragment_stays_one_at_its_open_end() -> None:
    """Where a normalizer makes several words of a fragment, the open end is the fragment."""
    counts = count_networks(
        network_of((Marked(text="do no", fragment="start"),)), network_of(("do not",))
    ).counts
    assert counts == ErrorCounts(hits=2)


def test_written_words_have_nothing_optional() -> None:
    """For a failure every word of the shortest reading is deleted."""
    phrase: Phrase = ("a", OPTIONAL, Alternation(branches=(("b c",), (OPTIONAL,))))
    counts = count_networks(network_of(written_words(phrase)), network_of(())).counts
    assert counts == ErrorCounts(deletions=3)


@pytest.mark.parametrize(
    ("phrase", "text"), [((), ""), (("a b",), "a b"), (("a", OPTIONAL), None), ((OPTIONAL,), None)]
)
def test_plain_text_is_recognised(phrase: Phrase, text: str | None) -> None:
    """Only a single run, or nothing, is plain."""
    assert plain_text(phrase) == text
