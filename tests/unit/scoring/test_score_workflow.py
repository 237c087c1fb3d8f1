"""Scoring files: ids, failures, normalizers, and every number of the result."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.tokens import Segmenter, graphemes
from relkit.core.values import ErrorCounts
from relkit.scoring.formats import Format
from relkit.scoring.normalizers import PURE_STEPS, Pipeline, Step
from relkit.scoring.run import ScoreFile, score_document, score_files, score_texts
from relkit.scoring.text import TextScorer
from relkit.scoring.types import MaskingStep, ScoreResult, TrnOptions
from relkit.scoring.words import SCORER, count_characters, count_errors


def normalizer(*steps: str | Step) -> Pipeline:
    """Return a normalizer of named or given steps."""
    found = [PURE_STEPS[step] if isinstance(step, str) else step for step in steps]
    return Pipeline(name="-".join(step.name for step in found), steps=found, digest_of=digest_of)


NONE = normalizer()


def score(
    reference: str,
    hypothesis: str,
    *,
    format_: Format = "jsonl",
    by: Pipeline = NONE,
    trn: TrnOptions | None = None,
) -> ScoreResult:
    """Score two texts as files called ``r`` and ``h``."""
    return score_files(
        ScoreFile(name="r", data=reference.encode()),
        ScoreFile(name="h", data=hypothesis.encode()),
        format_=format_,
        normalizer=by,
        trn=trn,
    )


def jsonl(**texts: str | None) -> str:
    """Return JSON lines of id and text; None is an error."""
    rows = [
        {"id": name, "error": "timeout"} if text is None else {"id": name, "text": text}
        for name, text in texts.items()
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_the_order_of_the_hypotheses_does_not_matter() -> None:
    """Utterances meet by id and come out in the order of the reference."""
    result = score(jsonl(a="one two", b="three", c=""), jsonl(c="x", b="three", a="one too"))
    assert list(result.ids) == ["a", "b", "c"]
    assert [result.by_utterance[row] for row in range(3)] == [
        ErrorCounts(hits=1, substitutions=1),
        ErrorCounts(hits=1),
        ErrorCounts(insertions=1),
    ]
    assert result.counts == ErrorCounts(hits=2, substitutions=1, insertions=1)
    assert (result.wer, result.ser) == (2 / 3, 2 / 3)
    assert (result.utterances, result.failures) == (3, 0)


@pytest.mark.parametrize("hypotheses", [jsonl(b="three"), jsonl(a=None, b="three")])
def test_no_answer_deletes_all_words(hypotheses: str) -> None:
    """A missing hypothesis and a reported error both count, as failures."""
    result = score(jsonl(a="one two", b="three"), hypotheses)
    assert result.counts == ErrorCounts(hits=1, deletions=2)
    assert (result.failures, result.failed) == (1, (0,))
    assert (result.cer, result.characters) == (7 / 12, 12)


@pytest.mark.parametrize("format_", ["jsonl", "trn"])
def test_an_unknown_id_is_refused(format_: Format) -> None:
    """A hypothesis without reference is an input error with file, line and a safe id."""
    texts = {
        "jsonl": (jsonl(a="x", b="y"), jsonl(b="y", **{"\x1b[2J": "zebra"})),
        "trn": ("x (a)\ny (b)\n", "y (b)\nzebra (\x1b[2J)\n"),
    }[format_]
    with pytest.raises(InvalidInput) as caught:
        score(*texts, format_=format_)
    assert caught.value.message.lower() == 'h, line 2: the id "\\x1b[2j" is not in r'


def test_different_numbers_of_lines_are_refused() -> None:
    """Plain text without as many lines names both counts."""
    with pytest.raises(InvalidInput, match=r"^r has 2 lines, h has 3$"):
        score("a\nb\n", "a\nb\n\n", format_="txt")


def test_lines_meet_by_number() -> None:
    """Line i is scored against line i, blank ones too."""
    result = score("a b\n\nc\n", "a b\nx\n\n", format_="txt")
    assert list(result.ids) == ["1", "2", "3"]
    assert result.counts == ErrorCounts(hits=2, insertions=1, deletions=1)


def test_trn_counts_over_all_readings_and_characters_follow_the_chosen_one() -> None:
    """Alternatives on both sides; CER belongs to the readings that the words chose."""
    result = score(
        "I've { um / uh / @ } as far (s-1)\nplain words (s-2)\n",
        "i've uh as { fare / far } (S-1)\nplain word (S-2)\n",
        format_="trn",
    )
    assert result.by_utterance[0] == ErrorCounts(hits=4)
    assert result.counts == ErrorCounts(hits=5, substitutions=1)
    assert (result.character_errors, result.characters) == (1, len("i've uh as farplain words"))


def test_a_failure_deletes_optional_words_too() -> None:
    """What nobody answered earns nothing for words that may be missing."""
    options = TrnOptions(optional_deletable=True)
    reference = "(uh) a { b c / d } (s-1)\ne (s-2)\n"
    missing = score(reference, "e (s-2)\n", format_="trn", trn=options)
    empty = score(reference, "(s-1)\ne (s-2)\n", format_="trn", trn=options)
    assert missing.counts == ErrorCounts(hits=1, deletions=3)
    assert empty.counts == ErrorCounts(hits=2, deletions=2)
    assert (missing.failures, empty.failures) == (1, 0)


def test_a_normalizer_works_inside_of_alternatives() -> None:
    """Runs, alternatives and marked words are normalized; raw counts stand beside."""
    by = normalizer("strip_punctuation")
    result = score("so, { um. / er } yes! (s-1)\n", "so um yes (s-1)\n", format_="trn", by=by)
    assert result.counts == ErrorCounts(hits=3)
    assert result.raw_counts == ErrorCounts(substitutions=3)
    assert result.masking == (
        MaskingStep(step="strip_punctuation", errors_before=3, errors_after=0),
    )


def test_each_step_says_what_it_hid() -> None:
    """The masking report starts at the raw errors and ends at the normalized ones."""
    result = score(
        jsonl(a="Hello, World", b="two", c="x"),
        jsonl(a="hello world", b="2", c=None),
        by=normalizer("lowercase", "strip_punctuation", "nfkc"),
    )
    assert [(step.errors_before, step.errors_after) for step in result.masking] == [
        (4, 3),
        (3, 2),
        (2, 2),
    ]
    assert (result.raw_counts.errors, result.counts.errors) == (4, 2)
    assert (result.wer_raw, result.wer) == (1.0, 0.5)
    assert result.normalizer == "lowercase-strip_punctuation-nfkc"
    assert result.normalizer_digest.startswith("sha256:")


def test_a_normalizer_cannot_make_words_of_a_failure() -> None:
    """Even a normalizer that turns nothing into a word leaves a failure without words."""
    odd = Step(name="odd", version="1", apply=lambda text: text or "x")
    result = score(jsonl(a="x"), jsonl(a=None), by=normalizer(odd))
    assert result.counts == ErrorCounts(deletions=1)


def test_runaways_are_capped_and_counted() -> None:
    """One loop weighs like one loss in wer_capped, and whole in wer."""
    result = score(jsonl(a="a b", b="c d"), jsonl(a=" ".join(["x"] * 40), b="c d"))
    assert result.wer == 10.0
    assert result.wer_capped == 0.5
    assert (result.runaways, result.runaway_rate) == (1, 0.5)


def test_without_a_reference_word_there_is_no_rate() -> None:
    """N = 0 gives null with the insertions beside it, never 0."""
    document = score_document(score(jsonl(a=""), jsonl(a="x y")))
    assert (document["wer"], document["cer"], document["wil"]) == (None, None, None)
    assert (document["words"], document["insertions"]) == (0, 2)


def test_the_document_has_the_keys_of_the_contract() -> None:
    """The keys of docs/cli.md are there, and the whole is strict JSON."""
    result = score(jsonl(a="one two", b="x"), jsonl(a="one", b=None), by=normalizer("lowercase"))
    document = score_document(result)
    contract = (
        "words hits substitutions deletions insertions wer cer utterances failures by_utterance"
    )
    assert set(contract.split()) <= set(document)
    assert document["by_utterance"] == [
        {"id": "a", "hits": 1, "substitutions": 0, "deletions": 1, "insertions": 0,
         "failure": False},
        {"id": "b", "hits": 0, "substitutions": 0, "deletions": 1, "insertions": 0,
         "failure": True},
    ]  # fmt: skip
    assert document["scorer"] == SCORER
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_nothing_to_score_is_an_error() -> None:
    """From Python as well, no reference is an error and lengths must agree."""
    with pytest.raises(InvalidInput, match="nothing to score"):
        score_texts([], [], normalizer=NONE)
    with pytest.raises(InvalidInput, match="1 references, 2 hypotheses and 1 ids"):
        score_texts(["a"], ["a", "b"], normalizer=NONE)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text("ab \t\x1c\n", max_size=6), st.text("ab ", max_size=6))))
def test_ascii_texts_have_the_characters_of_any_text(pairs: list[tuple[str, str]]) -> None:
    """The short way for ASCII text counts what the grapheme clusters count."""
    references, hypotheses = [r for r, _ in pairs], [h for _, h in pairs]
    alone = [count_errors(graphemes(r), graphemes(h)) for r, h in pairs]
    assert count_characters(references, hypotheses) == (
        sum(counts.errors for counts in alone),
        sum(counts.reference_length for counts in alone),
    )


TEXTS = st.text("ab ,.B\u00a0e\u0301\u00e9\u4e00\u0e01\U0001f600\u200b\t", max_size=14)
SEGMENTERS: st.SearchStrategy[Segmenter] = st.sampled_from(["auto", "words", "characters"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS | st.none()), min_size=1, max_size=4), SEGMENTERS)
def test_files_score_as_single_texts_do(
    pairs: list[tuple[str, str | None]], segmenter: Segmenter
) -> None:
    """All sums are those of scoring every utterance alone, as a run does."""
    by = normalizer("lowercase", "strip_punctuation")
    scorer = TextScorer(by.stages, segmenter=segmenter)
    alone = [scorer.score(reference, said) for reference, said in pairs]
    references, hypotheses = [r for r, _ in pairs], [h for _, h in pairs]
    result = score_texts(references, hypotheses, normalizer=by, segmenter=segmenter)
    assert [result.by_utterance[row] for row in range(len(pairs))] == [s.counts for s in alone]
    assert result.counts == sum((s.counts for s in alone), ErrorCounts())
    assert result.raw_counts == sum((s.raw for s in alone), ErrorCounts())
    characters = sum((s.characters for s in alone), ErrorCounts())
    assert (result.character_errors, result.characters) == (
        characters.errors,
        characters.reference_length,
    )
    assert result.capped_errors == sum(s.counts.capped_errors for s in alone)
    assert result.runaways == sum(s.runaway for s in alone)
    assert result.wrong == sum(s.counts.errors > 0 for s in alone)
    totals = [sum(column) for column in zip(*(s.stage_errors for s in alone), strict=True)]
    assert [result.raw_counts.errors, *(m.errors_after for m in result.masking)] == totals
