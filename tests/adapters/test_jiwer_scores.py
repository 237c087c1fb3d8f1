"""The real jiwer, and the explanation of why its number differs from ours."""

import json
from collections.abc import Callable
from fractions import Fraction

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.adapters.libraries import jiwer_score, whisper_steps
from relkit.core.digests import digest_of
from relkit.core.values import ErrorCounts
from relkit.scoring.formats import Format
from relkit.scoring.normalizers import PURE_STEPS, Pipeline, built_in
from relkit.scoring.peers import explanation_lines
from relkit.scoring.run import ScoreFile, score_document, score_files
from relkit.scoring.types import Explanation, ScoreResult

NONE = built_in("none", {}, digest_of)
ENGLISH = built_in("english", {**PURE_STEPS, **whisper_steps()}, digest_of)


def lines_of(texts: list[str | None]) -> str:
    """Return JSON lines with ids "0", "1" …; None is an error."""
    rows = (
        {"id": str(row), "error": "timeout"} if text is None else {"id": str(row), "text": text}
        for row, text in enumerate(texts)
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


def against_jiwer(
    reference: str, hypothesis: str, *, format_: Format = "jsonl", by: Pipeline = NONE
) -> tuple[ScoreResult, Explanation]:
    """Score two files with the explanation."""
    result = score_files(
        ScoreFile(name="r", data=reference.encode()),
        ScoreFile(name="h", data=hypothesis.encode()),
        format_=format_,
        normalizer=by,
        peer=jiwer_score,
    )
    assert result.explanation is not None
    return result, result.explanation


def check_adds_up(result: ScoreResult, explanation: Explanation) -> None:
    """Hold that the steps lead from jiwer's rate to ours without a gap."""
    assert explanation.start is not None
    effects = sum((step.effect for step in explanation.steps), Fraction(0))
    assert explanation.start + effects == explanation.end
    assert explanation.ours == result.counts
    assert float(explanation.end or 0) == result.wer
    for before, after in zip(explanation.steps, explanation.steps[1:], strict=False):
        assert before.after == after.before


@pytest.mark.parametrize(
    ("reference", "hypothesis", "steps"),
    [
        (["a b"], ["a b"], []),
        (["a b"], ["a c"], []),
        (["a\u00a0b c"], ["a b c"], ["white space"]),
        (["a\tb c"], ["a b c"], ["white space"]),
        (["a\u200bb c"], ["a b c"], ["white space"]),
        (["caf\u00e9 a"], ["cafe\u0301 a"], ["composition"]),
        (["a\u00adb c\u200f"], ["ab c"], ["invisible characters"]),
        (["\u4e00\u4e8c\u4e09"], ["\u4e00\u4e8c"], ["script"]),
        (["a b", "c d"], ["a x", None], ["failures"]),
        (["a b", ""], ["a b", "x"], []),
        (
            ["a\u00a0b", "caf\u00e9", "\u4e00\u4e8c", "d e f"],
            ["a b", "cafe\u0301", "\u4e00", None],
            ["white space", "composition", "script", "failures"],
        ),
    ],
)
def test_each_difference_has_its_step(
    reference: list[str | None], hypothesis: list[str | None], steps: list[str]
) -> None:
    """Only what changes the rate is named, in order, and the steps add up."""
    result, explanation = against_jiwer(lines_of(reference), lines_of(hypothesis))
    assert [step.name for step in explanation.steps] == steps
    check_adds_up(result, explanation)


def test_the_normalizer_is_a_step() -> None:
    """The English normalizer's effect stands beside the others."""
    reference = ["It's twenty five dollars.", "caf\u00e9", "Mr. Smith"]
    hypothesis = ["it is $25", "cafe\u0301", None]
    result, explanation = against_jiwer(lines_of([*reference]), lines_of([*hypothesis]), by=ENGLISH)
    assert [step.name for step in explanation.steps] == ["composition", "failures", "normalizer"]
    assert '"english"' in explanation.steps[-1].sentence
    check_adds_up(result, explanation)


def test_trn_marks_are_a_step() -> None:
    """Braces and case are words for jiwer; what TRN makes of them is one step."""
    result, explanation = against_jiwer(
        "A { b / c } d (s-1)\ne (s-2)\n", "a c d (s-1)\nE (s-2)\n", format_="trn"
    )
    assert result.counts == ErrorCounts(hits=4)
    assert [step.name for step in explanation.steps] == ["format"]
    check_adds_up(result, explanation)


def test_the_start_is_what_jiwer_itself_says() -> None:
    """The first number is the one that people get from jiwer.wer."""
    reference = ["a\u00a0b c", "d e f", ""]
    hypothesis = ["a b c", "d f g", "x"]
    _, explanation = against_jiwer(lines_of([*reference]), lines_of([*hypothesis]))
    assert float(explanation.start or 0) == jiwer.wer(reference, hypothesis)
    assert (explanation.library, explanation.version) == ("jiwer", jiwer_score([], []).version)


def test_the_other_split_of_the_same_errors_is_shown() -> None:
    """Six substitutions for jiwer, where three words were heard right."""
    _, explanation = against_jiwer(lines_of(["a b c d e f"]), lines_of(["d e f x y z"]))
    assert explanation.theirs == ErrorCounts(substitutions=6)
    assert explanation.same_tokens == ErrorCounts(hits=3, deletions=3, insertions=3)
    assert explanation.steps == ()
    assert explanation_lines(explanation)[-1].startswith(
        "the same 6 errors between the same tokens are split into S 0 D 3 I 3 here and "
        "S 6 D 0 I 0 there"
    )


def test_the_lines_name_both_rates_and_every_step() -> None:
    """People read the start, a line a step with its points, and the end."""
    _, explanation = against_jiwer(
        lines_of(["a\u00a0b c", "d e"]), lines_of(["a b c", None]), by=ENGLISH
    )
    lines = explanation_lines(explanation)
    library = f"jiwer {explanation.version}"
    assert lines[0] == f"  100.000 %  {library}, answered utterances, texts as they came"
    assert lines[1].startswith(" -100.000    white space: ")
    assert lines[2].startswith("  +40.000    failures: ")
    assert lines[2].endswith("(1 utterance)")
    assert lines[3] == "   40.000 %  relkit"


@pytest.mark.parametrize(
    ("reference", "hypothesis", "said"),
    [
        ([""], ["x"], "relkit has no WER here: no reference word"),
        (["a"], [None], "jiwer"),
    ],
)
def test_a_rate_that_does_not_exist_is_not_explained_away(
    reference: list[str | None], hypothesis: list[str | None], said: str
) -> None:
    """Without a reference word on the way there are no steps, and the lines say so."""
    _, explanation = against_jiwer(lines_of(reference), lines_of(hypothesis))
    assert explanation.start is None
    assert explanation.steps == ()
    lines = explanation_lines(explanation)
    assert "has no WER here" in lines[0]
    assert any(line.startswith(said) for line in lines)


def test_the_document_carries_the_explanation() -> None:
    """With --json the steps stand under "against"."""
    result, _ = against_jiwer(lines_of(["a\u00a0b c"]), lines_of(["a b c"]))
    against = score_document(result)["against"]
    assert isinstance(against, dict)
    assert (against["wer"], against["relkit_wer"]) == (1.0, 0.0)
    assert [step["name"] for step in against["steps"]] == ["white space"]


TEXTS = st.text("ab \u00a0\t\u200be\u0301\u00e9\u4e00\u4e8cA.", max_size=10)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(TEXTS, TEXTS | st.none()), min_size=1, max_size=4),
    st.sampled_from([lambda: NONE, lambda: ENGLISH]),
)
def test_the_steps_always_add_up(
    pairs: list[tuple[str, str | None]], by: Callable[[], Pipeline]
) -> None:
    """Whatever the texts, the effects are exactly the difference of the two rates."""
    reference, hypothesis = [r for r, _ in pairs], [h for _, h in pairs]
    result, explanation = against_jiwer(lines_of([*reference]), lines_of(hypothesis), by=by())
    if explanation.steps:
        check_adds_up(result, explanation)
    assert explanation.theirs.errors == explanation.same_tokens.errors
    answered = [(r, h) for r, h in pairs if h is not None]
    if explanation.start is not None:
        assert float(explanation.start) == jiwer.wer(
            [r for r, _ in answered], [h for _, h in answered]
        )
