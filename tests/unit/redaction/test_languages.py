"""Each language's own sentences: what is personal is found as it stands, and nothing else."""

import re
from pathlib import Path

import pytest

from relkit.redaction.grammar import TABLES, LineWords, Phrases, fold, grammar_of
from relkit.redaction.types import PersonalValue
from relkit.wiring.redaction import languages_of, scanner_of

FOLDER = Path(__file__).parent
MARKED = re.compile(r"\{([A-Z_]+) ([^}]*)\}")


def sentences() -> list[tuple[str, str]]:
    """Return (language, marked sentence) of every language that has a table."""
    return [
        (language, line)
        for language in TABLES
        for line in (FOLDER / f"{language}.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]


def marked(line: str, values: list[PersonalValue]) -> str:
    """Return a line with its values marked as the sentences are."""
    for value in reversed(values):
        mark = f"{{{value.type} {line[value.start : value.end]}}}"
        line = line[: value.start] + mark + line[value.end :]
    return line


@pytest.mark.parametrize(("language", "sentence"), sentences())
def test_sentences_are_read_as_marked(language: str, sentence: str) -> None:
    """Every personal value is found whole, with its type, and a sentence without has none."""
    line = MARKED.sub(r"\2", sentence)
    assert marked(line, scanner_of(languages_of(language)).values(line)) == sentence


@pytest.mark.parametrize("language", TABLES)
def test_every_language_has_positives_of_most_kinds_and_negatives(language: str) -> None:
    """A table without sentences for phone, e-mail, card, code, plate and so on is not done."""
    lines = [line for name, line in sentences() if name == language]
    kinds = {match[1] for line in lines for match in MARKED.finditer(line)}
    assert kinds >= {"PHONE", "EMAIL", "URL", "IP", "CARD", "CODE", "PIN", "PLATE", "POSTCODE"}
    assert kinds >= {"ADDRESS", "DATE_OF_BIRTH", "SPELLED", "ACCOUNT"}
    assert sum("{" not in line for line in lines) >= 30


@pytest.mark.parametrize(
    ("language", "text", "digits"),
    [
        ("en", "one hundred and forty eight", "148"),
        ("en", "twenty two", "22"),
        ("en", "two thousand and twelve", "2012"),
        ("en", "two thousand three hundred five", "2305"),
        ("en", "eighteen hundred", "1800"),
        ("en", "double seven", "77"),
        ("de", "zweiundzwanzig", "22"),
        ("de", "zwei und zwanzig", "22"),
        ("de", "hundertachtundvierzig", "148"),
        ("de", "neunzehnhundertfünfundachtzig", "1985"),
        ("de", "zweitausendfünf", "2005"),
        ("de", "doppel sieben", "77"),
        ("es", "treinta y cinco", "35"),
        ("es", "ciento cuarenta y ocho", "148"),
        ("es", "veintiocho mil trece", "28013"),
        ("es", "mil novecientos ochenta y cinco", "1985"),
        ("fr", "quatre vingt dix-sept", "97"),
        ("fr", "soixante et onze", "71"),
        ("fr", "septante deux", "72"),
        ("fr", "deux cent douze", "212"),
        ("fr", "mille neuf cent quatre vingt cinq", "1985"),
        ("fr", "soixante-quinze mille onze", "75011"),
    ],
)
def test_numbers_in_words(language: str, text: str, digits: str) -> None:
    """Ones, tens, hundreds, thousands and repeats are composed as the language does."""
    grammar = grammar_of(language)
    units = grammar.units(LineWords(text))
    assert "".join(unit.text for unit in units if unit.is_number) == digits


def test_words_are_folded_with_their_places() -> None:
    """Accents in one or two code points make the same word, at the place where it stands."""
    composed, decomposed = LineWords("é Straße"), LineWords("e\u0301 Straße")
    assert composed.keys == decomposed.keys == ["e", "strasse"]
    assert (decomposed.starts, decomposed.ends) == ([0, 3], [2, 9])
    assert fold("ÀÉ") == "ae"


def test_the_longest_phrase_stands() -> None:
    """Of two phrases that begin alike the longer one is found."""
    phrases = Phrases({"code": "CODE", "error code": "", "error code of": "x"})
    assert phrases.at(["error", "code", "of"], 0) == (3, "x")
    assert phrases.at(["error", "code"], 0) == (2, "")
    assert phrases.ending(["an", "error", "code"], 3) == 1
