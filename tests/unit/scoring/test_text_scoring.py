"""Scored items: counts, masking, spans, loops and failures."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.digests import digest_of
from relkit.core.tokens import Segmenter
from relkit.core.values import ErrorCounts
from relkit.scoring.alignment import changes
from relkit.scoring.normalizers import PURE_STEPS, built_in, masking_steps
from relkit.scoring.text import Keywords, TextScorer, count_wrong, has_new_loop, place, score_text
from relkit.scoring.types import MaskingStep
from relkit.scoring.words import count_text

SENTENCES = st.lists(st.sampled_from(["A", "a", "b,", "b", "c"]), max_size=8).map(" ".join)


def lower_then_bare(text: str) -> tuple[str, ...]:
    """Return two stages: lower case, then no commas."""
    return text.lower(), text.lower().replace(",", " ")


def no_steps(_text: str) -> tuple[str, ...]:
    """Return what a normalizer without steps returns."""
    return ()


SCORER = TextScorer(lower_then_bare)


def test_raw_and_normalized_counts_stand_beside_each_other() -> None:
    """The raw text has three errors, case hides one and commas another."""
    score = SCORER.score("Turn left, now", "turn left then")
    assert score.raw == ErrorCounts(substitutions=3)
    assert score.counts == ErrorCounts(hits=2, substitutions=1)
    assert score.stage_errors == (3, 2, 1)


def test_without_steps_raw_is_the_result() -> None:
    """The normalizer ``none`` has one stage, the raw one."""
    score = TextScorer(no_steps).score("a b", "a c")
    assert score.counts == score.raw == ErrorCounts(hits=1, substitutions=1)
    assert score.stage_errors == (1,)


def test_characters_are_counted_on_the_normalized_text() -> None:
    """CER sees neither case nor comma, and white space as one space."""
    score = SCORER.score("Cafe\u0301,  now", "caf\u00e9 no")
    assert score.characters == ErrorCounts(hits=7, deletions=1)


@pytest.mark.parametrize("reference", ["", "a", "Anna, call Anna now"])
def test_a_failure_deletes_everything(reference: str) -> None:
    """No answer: each word and character deleted, each located span wrong, no loop."""
    score = TextScorer(lower_then_bare, keywords=["Call"]).score(reference, None, ["Anna", "Bob"])
    words = len(reference.replace(",", "").split())
    assert score.counts == score.raw == ErrorCounts(deletions=words)
    assert score.characters == ErrorCounts(deletions=len(reference.replace(",", "")))
    assert score.stage_errors == (words, words, words)
    assert score.entities == score.entity_errors == reference.count("Anna, ")
    assert score.keywords == score.keyword_errors == reference.count("call")
    assert not score.loop
    assert not score.runaway


@given(SENTENCES, SENTENCES, st.sampled_from(["auto", "words", "characters"]))
@settings(max_examples=150, deadline=None)
def test_stage_errors_are_those_of_each_stage(
    reference: str, hypothesis: str, segmenter: Segmenter
) -> None:
    """Skipping unchanged stages changes no number; ends agree with the counts."""

    def stages(text: str) -> tuple[str, ...]:
        lower = text.lower()
        return text, lower, lower, text, lower.replace(",", " ")

    score = TextScorer(stages, segmenter=segmenter).score(reference, hypothesis)
    pairs = zip((reference, *stages(reference)), (hypothesis, *stages(hypothesis)), strict=True)
    assert score.stage_errors == tuple(count_text(r, h, segmenter).errors for r, h in pairs)
    assert score.stage_errors[0] == score.raw.errors
    assert score.stage_errors[-1] == score.counts.errors


def test_different_numbers_of_stages_are_refused() -> None:
    """Both texts must have gone through the same normalizer."""
    with pytest.raises(ValueError, match="same steps"):
        score_text("a", "a", reference_stages=("a",), hypothesis_stages=())


@pytest.mark.parametrize(
    ("before", "after", "words"), [(5, 3, "2 hidden"), (3, 4, "1 added"), (2, 2, "0 hidden")]
)
def test_a_step_that_adds_errors_is_shown_as_that(before: int, after: int, words: str) -> None:
    """Nobody has to read a minus before "hidden"."""
    step = MaskingStep(step="x", errors_before=before, errors_after=after)
    assert step.effect == words
    assert step.sentence.endswith(f" after ({words})")


def test_invisible_characters_are_gone_before_the_normalizer() -> None:
    """A step that looks words up sees the word alone."""
    digits = built_in("digits", PURE_STEPS, digest_of)
    score = TextScorer(digits.stages, keywords=["si\u00adx"]).score("six", "\u202bsi\u2060x\u202c")
    assert score.counts == ErrorCounts(hits=1)
    assert (score.keywords, score.keyword_errors) == (1, 0)


def test_masking_report_sums_over_utterances() -> None:
    """A step may hide errors or make some."""
    assert masking_steps(("lowercase", "digits"), [(3, 1, 2), (0, 0, 0), (2, 2, 3)]) == (
        MaskingStep(step="lowercase", errors_before=5, errors_after=3),
        MaskingStep(step="digits", errors_before=3, errors_after=5),
    )
    assert masking_steps((), [(1,), (2,)]) == ()
    with pytest.raises(ValueError, match="argument"):
        masking_steps(("lowercase",), [(1, 2), (1,)])


@pytest.mark.parametrize(
    ("reference", "hypothesis", "entities", "expected"),
    [
        ("call anna smith now", "call anna smith now", ["Anna Smith"], (1, 0, 0)),
        ("call anna smith now", "call anna smyth now", ["Anna Smith"], (1, 1, 0)),
        ("call anna smith now", "call anna now", ["Anna Smith"], (1, 1, 0)),
        ("call anna smith now", "call anna maria smith now", ["Anna Smith"], (1, 1, 0)),
        ("call anna smith now", "call the anna smith now", ["Anna Smith"], (1, 0, 0)),
        ("call anna smith now", "call anna smith right now", ["Anna Smith"], (1, 0, 0)),
        ("call anna smith now", "please anna smith now", ["Anna Smith"], (1, 0, 0)),
        ("call anna", "call anna", ["Bob"], (0, 0, 1)),
        ("call anna", "call anna", [",", ""], (0, 0, 2)),
        ("from rome to rome", "from rome to milan", ["Rome", "Rome"], (2, 1, 0)),
        ("from rome to rome", "from rome to milan", ["Rome", "Rome", "Rome"], (2, 1, 1)),
        ("new york times", "new york post", ["New York Times", "New York"], (2, 1, 0)),
        ("anna and bob", "hanna and bob", ["Bob", "Anna"], (2, 1, 0)),
        ("", "", [], (0, 0, 0)),
    ],
)
def test_entities(
    reference: str, hypothesis: str, entities: Sequence[str], expected: tuple[int, int, int]
) -> None:
    """A span is wrong with a change inside; labels are normalized and located left to right."""
    score = SCORER.score(reference, hypothesis, entities)
    assert (score.entities, score.entity_errors, score.unlocated) == expected


def test_entities_take_places_from_left_to_right() -> None:
    """A word that occurs before the previous entity is the one behind it."""
    assert place([["b"], ["a"]], ["a", "b", "a"]) == [(1, 2), (2, 3)]


def test_keywords_are_found_wherever_they_stand() -> None:
    """Every occurrence counts; one keyword does not overlap itself; absent ones do not count."""
    keywords = Keywords.of(["play", "play next", "ha ha", "stop", "play", " "])
    spans = keywords.spans(["play", "next", "ha", "ha", "ha", "play"])
    assert sorted(spans) == [(0, 1), (0, 2), (2, 4), (5, 6)]
    scorer = TextScorer(lower_then_bare, keywords=["Play", "Stop"])
    score = scorer.score("Play it and play", "lay it and play")
    assert (score.keywords, score.keyword_errors, score.unlocated) == (2, 1, 0)


@pytest.mark.parametrize(
    ("span", "wrong"), [((0, 2), 0), ((1, 3), 1), ((2, 3), 0), ((1, 2), 0), ((0, 4), 1)]
)
def test_an_insertion_counts_only_strictly_inside(span: tuple[int, int], wrong: int) -> None:
    """A word inserted at the edge of a span leaves the span right."""
    changed = changes(["a", "b", "c", "d"], ["a", "b", "x", "c", "d"])
    assert count_wrong([span], changed) == wrong


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("", "go go go go go go go go", True),
        ("", "go go go go go go go", False),
        ("", "a b a b a b a b", True),
        ("", "a b a b a b a", False),
        ("", "x a b c a b c a b c a b c y", True),
        ("", "x a b c a b c a b c a b y", False),
        ("", " ".join("abcdefgh" * 4), True),
        ("", " ".join("abcdefghi" * 4), True),
        ("", " ".join("abcdefghi" * 3 + "abcdefgh"), False),
        ("", "so " + "we will see each other at the next meeting in spring " * 5, True),
        ("", " ".join("ご視聴ありがとうございました。" * 5), True),
        ("la di da " * 3, "la di da " * 4, False),
        ("la di da " * 2, "la di da " * 4, True),
        ("x " + "a b c d e f g h i " * 3, "c d e f g h i a b " * 5, False),
        ("go go go go go go go go", "go go go go go go go go go go", False),
        ("go go go go go go go go", "go " * 16, True),
        ("a b a b a b a b", "b a b a b a b a b", False),
        ("a b a b a b a b", "c c c c c c c c", True),
        ("a a a a a a a a a a", "a a a a a a a a a a a", False),
        ("the cat and the dog and the bird", "the cat and the dog and the bird", False),
    ],
)
def test_loops(reference: str, hypothesis: str, *, expected: bool) -> None:
    """Four times in a row over eight words is a loop, unless the reference has half as many."""
    assert has_new_loop(reference.split(), hypothesis.split()) is expected


@given(st.lists(st.tuples(st.text("abc", max_size=6), st.integers(1, 6)), max_size=4))
@settings(max_examples=300, deadline=None)
def test_every_loop_is_found(parts: list[tuple[str, int]]) -> None:
    """The search by blocks finds what trying each period at each place finds."""
    words = list("".join(unit * times for unit, times in parts))
    tried = any(
        words[start : start + size - lag] == words[start + lag : start + size]
        for lag in range(1, len(words) // 4 + 1)
        for size in [max(4 * lag, 8)]
        for start in range(len(words) - size + 1)
    )
    assert has_new_loop([], words) == tried


def test_runaway_and_loop_are_said_of_a_repetition() -> None:
    """A loop of two hundred words is a runaway whose capped errors are those of one utterance."""
    score = SCORER.score("turn it off", "turn it " + "off " * 200)
    assert score.loop
    assert score.runaway
    assert score.counts.errors == 199
    assert score.counts.capped_errors == 3


@given(SENTENCES, st.one_of(SENTENCES, st.none()))
@settings(max_examples=150, deadline=None)
def test_laws_of_a_scored_item(reference: str, hypothesis: str | None) -> None:
    """Errors of spans never exceed spans, and equal texts have no errors anywhere."""
    entities = reference.split()[:2]
    score = TextScorer(lower_then_bare, keywords=["a", "c"]).score(reference, hypothesis, entities)
    assert 0 <= score.entity_errors <= score.entities
    assert score.entities + score.unlocated == len(entities)
    assert 0 <= score.keyword_errors <= score.keywords
    if hypothesis == reference:
        assert score.counts.errors == score.raw.errors == score.characters.errors == 0
        assert score.entity_errors == score.keyword_errors == 0
    if hypothesis is None:
        assert score.entity_errors == score.entities
        assert score.keyword_errors == score.keywords
