"""Runaways and hallucinations: what was seen, and what could not be seen."""

from dataclasses import replace
from typing import Any

import pytest

from relkit.core.digests import digest_of
from relkit.core.values import ErrorCounts
from relkit.evaluation.conclude import count_runaways, hallucinations, score_outcomes
from relkit.evaluation.slicing import Cut
from relkit.evaluation.types import Hallucinations, Result, Runaways
from relkit.scoring.normalizers import PURE_STEPS, Pipeline
from tests.builders import counts, outcome, result, scored, suite, utterance


def test_runaways_and_loops_are_counted() -> None:
    """More insertions than max(10, N); with one seen there is nothing hidden to speak of."""
    results = [
        result("a", counts(hits=5, ins=10)),
        result("b", counts(hits=5, ins=11), loop=True),
        result("c", counts(hits=20, ins=20)),
        result("d", counts(hits=20, ins=21)),
        result("e", score=None, unusable="missing"),
    ]
    assert count_runaways(results) == Runaways(count=2, loops=1)
    again = [replace(item, repeat=k) for item in results for k in range(3)]
    assert count_runaways(again) == Runaways(count=2, loops=1)


@pytest.mark.parametrize("repeats", [1, 3])
def test_what_an_unseen_rate_could_cost(repeats: int) -> None:
    """1 - 0.025^(1/n) of utterances, at 200 words each; a repeat is no further utterance."""
    results = [
        result(f"u{i}", counts(hits=8, subs=2), repeat=repeat)
        for i in range(40)
        for repeat in range(repeats)
    ]
    found = count_runaways(results)
    assert (found.count, found.loops, found.loop_words) == (0, 0, 200)
    # 0.025^(1/40) = 0.911933…, and 200 words on 10 words of reference each
    assert found.hidden_rate == pytest.approx(0.0880973, abs=1e-6)
    assert found.hidden_wer == pytest.approx(20 * 0.0880973, abs=1e-4)


def test_the_hidden_rate_is_the_one_that_shows_nothing_once_in_forty() -> None:
    """Clopper and Pearson 1934: P(none in n) = 2.5 % at that rate."""
    found = count_runaways([result(f"u{i}") for i in range(7)])
    assert found.hidden_rate is not None
    assert (1 - found.hidden_rate) ** 7 == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([], Runaways(count=0, loops=0)),
        ([result("a", score=None, unusable="missing")], Runaways(count=0, loops=0)),
        ([result("a", counts())], Runaways(count=0, loops=0, hidden_rate=1 - 0.025)),
    ],
)
def test_without_words_there_is_no_cost(results: list[Result], expected: Runaways) -> None:
    """Nothing scored and nothing said: no rate is invented, and nothing is divided by 0."""
    found = count_runaways(results)
    assert (found.count, found.hidden_wer) == (expected.count, expected.hidden_wer)
    assert found.hidden_rate == pytest.approx(expected.hidden_rate)


def empty(name: str, insertions: int, **fields: Any) -> Result:  # noqa: ANN401  # any field of the type
    """Return the row of a clip without speech."""
    return result(name, ErrorCounts(insertions=insertions), **fields)


def test_words_on_clips_without_speech_are_counted() -> None:
    """Answered clips with an empty reference only, per minute of those with a known length."""
    results = [
        empty("a", 3, duration=30.0),
        empty("b", 0, duration=60.0),
        empty("c", 4, duration=None),
        empty("d", 0, duration=60.0, failure="timeout"),
        result("e", counts(hits=3, ins=2)),
        result("f", score=None, unusable="missing"),
    ]
    assert hallucinations(results) == Hallucinations(
        clips=3, with_words=2, words=7, words_per_minute=2.0
    )
    again = [replace(item, repeat=k) for item in results for k in range(3)]
    assert hallucinations(again) == Hallucinations(
        clips=3, with_words=2, words=21, words_per_minute=2.0
    )


@pytest.mark.parametrize(
    ("results", "clips"),
    [
        ([], 0),
        ([result("a")], 0),
        ([empty("a", 0, duration=None)], 1),
        ([empty("a", 0, duration=0.0)], 1),
    ],
)
def test_no_length_means_no_rate(results: list[Result], clips: int) -> None:
    """Words per minute of nothing are null, not 0."""
    assert hallucinations(results) == Hallucinations(
        clips=clips, with_words=0, words=0, words_per_minute=None
    )


def test_a_failed_clip_is_no_runaway_but_counts_as_an_utterance() -> None:
    """All its words are deletions."""
    failed = result("a", score=scored(counts(dels=5)), failure="timeout")
    assert count_runaways([failed]).hidden_rate == pytest.approx(0.975)


def test_prompts_are_numbered_by_what_was_to_be_read() -> None:
    """The same normalized reference or prompt is one number; no text has none."""
    asked = [
        utterance("a", reference="Yes please"),
        utterance("b", reference="yes please"),
        utterance("c", reference="no"),
        utterance("d", reference="noise", attributes={"prompt": "7"}),
        utterance("e", reference="static", attributes={"prompt": "7"}),
        utterance("f", reference=" "),
    ]
    cut = Cut(columns=(), bins=(), cluster="speaker")
    answers = [outcome(item.id, repeat=repeat) for item in asked for repeat in range(2)]
    pipeline = Pipeline(name="case", steps=[PURE_STEPS["lowercase"]], digest_of=digest_of)
    results = score_outcomes(
        answers,
        {item.id: item for item in asked},
        suite=suite(),
        normalizer=pipeline,
        cut=cut,
    )
    assert [item.prompt_number for item in results] == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, None, None]
