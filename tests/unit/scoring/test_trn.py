"""NIST's TRN format: what is read, and what is refused with file and line."""

import pytest

from relkit.core.errors import InvalidInput
from relkit.scoring.networks import Alternation, Marked, Phrase
from relkit.scoring.trn import parse_trn
from relkit.scoring.types import TrnOptions

PLAIN = TrnOptions()
ALL = TrnOptions(optional_deletable=True, fragments=True)


def read(line: str, options: TrnOptions = PLAIN) -> Phrase | str | None:
    """Return the phrase of one line, or its text where it is plain."""
    file = parse_trn(f"{line} (u-1)\n", source="a.trn", options=options)
    return file.phrases.get(0, file.texts[0])


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("She HAD your", "she had your"),
        ("a @ b", "a b"),
        ("@", ""),
        ("word* **", "word *"),
        ("b;tag1;tag2 c", "b c"),
        (r"aa\;a b", "aa;a b"),
        ("a ;; b", "a ;; b"),
        ("a ; b", "a ; b"),
        ("( ) - / < > _ a", "( ) - / < > _ a"),
        ("(uh) fi-", "(uh) fi-"),
    ],
)
def test_plain_lines(line: str, text: str) -> None:
    """Lower case, null words, tags, escapes and the mark behind a word, as in sclite."""
    assert read(line) == text


@pytest.mark.parametrize(
    ("line", "phrase"),
    [
        ("a { b / c d / @ } e", ("a", Alternation(branches=(("b",), ("c d",), ())), "e")),
        ("{the/this}is", (Alternation(branches=(("the",), ("this",))), "is")),
        ("{ b }", (Alternation(branches=(("b",),)),)),
        (
            "{ a / { b / @ } c }",
            (Alternation(branches=(("a",), (Alternation(branches=(("b",), ())), "c"))),),
        ),
        ("(uh) b", (Marked(text="uh", optional=True), "b")),
        ("fi- -icks", (Marked(text="fi", fragment="start"), Marked(text="icks", fragment="end"))),
        ("(c-)", (Marked(text="c", optional=True, fragment="start"),)),
        ("() - a-b", "() - a-b"),
    ],
)
def test_marks(line: str, phrase: Phrase | str) -> None:
    """Alternatives nest and need no spaces; optional words and fragments where asked for."""
    assert read(line, ALL) == phrase


def test_marks_mean_nothing_unless_asked_for() -> None:
    """Without the options parentheses and hyphens belong to the word."""
    assert read("{ (uh) / fi- } x") == (Alternation(branches=(("(uh)",), ("fi-",))), "x")


def test_ids_are_the_last_parentheses_and_follow_the_case() -> None:
    """Ids are compared in lower case unless case counts; lines and written texts are kept."""
    text = ";; head\n\nA (B) c (Spk-1)\r\n(spk-2)\n"
    file = parse_trn(text, source="a.trn", options=PLAIN)
    assert (file.ids, file.lines) == (["spk-1", "spk-2"], [3, 4])
    assert file.texts == ["a (b) c", ""]
    assert file.as_written() == ["A (B) c", ""]
    sensitive = parse_trn(text, source="a.trn", options=TrnOptions(case_sensitive=True))
    assert sensitive.ids == ["Spk-1", "spk-2"]
    assert sensitive.texts == ["A (B) c", ""]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a b", "does not end with an id"),
        ("a b (u-1", "does not end with an id"),
        ("a b u-1)", "does not end with an id"),
        ("a b ()", "does not end with an id"),
        ("a (u-1) b", "does not end with an id"),
        ("a { b / c (u-1)", "a { is never closed"),
        ("a { b / { c } (u-1)", "a { is never closed"),
        ("a b } c (u-1)", "a } closes nothing"),
        ("a { b / } (u-1)", "an alternative is empty"),
        ("a { / b } (u-1)", "an alternative is empty"),
        ("a {} (u-1)", "an alternative is empty"),
        ("{ " * 65 + "a" + " }" * 65 + " (u-1)", "nested too deeply"),
        ("b (U-0)", 'the id "u-0" stands already in line 1'),
    ],
)
def test_bad_lines_are_named(line: str, message: str) -> None:
    """Every defect is refused with file and line, and without the words of the line."""
    with pytest.raises(InvalidInput) as caught:
        parse_trn(f"zebra (u-0)\n{line}\n", source="a.trn", options=PLAIN)
    assert caught.value.message.startswith("a.trn, line 2: ")
    assert message in caught.value.message
    assert "zebra" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("text", ["", " \n\n", ";; only a comment\n"])
def test_a_file_without_utterances_is_refused(text: str) -> None:
    """Nothing to score is an error, not a score of nothing."""
    with pytest.raises(InvalidInput, match=r"^a\.trn: (is empty|holds no utterance)$"):
        parse_trn(text, source="a.trn", options=PLAIN)
