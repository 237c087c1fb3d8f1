"""The library whisper-normalizer as steps: what it does, its known traps, and its limits."""

from collections.abc import Callable
from importlib import metadata
from unicodedata import category, normalize

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relkit.adapters.definitions import NormalizerFiles
from relkit.adapters.libraries import whisper_steps
from relkit.core.digests import digest_of
from relkit.scoring.normalizers import PURE_STEPS, Pipeline, built_in
from relkit.scoring.words import count_text

STEPS = {**PURE_STEPS, **whisper_steps()}
WORDS = st.sampled_from(
    ["Six", "OH", "twenty", "one", "DOLLAR", "Mr", "It's", "(x)", "ß", "İ", "ΟΔΟΣ", "é", "1,000"]
)


@pytest.fixture(scope="module")
def library() -> tuple[Callable[[str], str], Callable[[str], str]]:
    """Return the library's own basic and English normalizer."""
    STEPS["whisper_basic"].apply("")  # the step imports it without the warning its source gives
    from whisper_normalizer.basic import BasicTextNormalizer  # noqa: PLC0415 - see above
    from whisper_normalizer.english import EnglishTextNormalizer  # noqa: PLC0415 - see above

    return BasicTextNormalizer(), EnglishTextNormalizer()


def normalizer(name: str) -> Pipeline:
    """Return a built-in normalizer."""
    return built_in(name, STEPS, digest_of)


@given(st.one_of(st.text(max_size=30), st.lists(WORDS, max_size=8).map(" ".join)))
@example("\u03a3 A\u03a3 \u0130 \u1e9e")
@settings(max_examples=200, deadline=None)
def test_lowercasing_first_changes_nothing(
    library: tuple[Callable[[str], str], Callable[[str], str]], text: str
) -> None:
    """The step of its own shows what case hid; the result is the library's."""
    basic, english = library
    assert normalizer("english@1").normalize(text) == english(text)
    assert normalizer("basic@1").normalize(text) == basic(text)


NO_MARK = st.characters(exclude_categories=["M", "Cs"], exclude_characters="\u0130")


@given(st.one_of(st.text(NO_MARK, max_size=30), st.text("ab.,[](<)>'$ ", max_size=20)))
@settings(max_examples=200, deadline=None)
@example(text="(0<)]")
def test_the_basic_form_is_the_librarys_where_there_is_no_mark(
    library: tuple[Callable[[str], str], Callable[[str], str]], text: str
) -> None:
    """Only combining marks are treated otherwise, also those that a symbol is made of."""
    if not any(category(char)[0] == "M" for char in normalize("NFKC", text.lower())):
        assert STEPS["basic_form"].apply(text).split() == library[0](text).split()


@pytest.mark.parametrize("apostrophe", ["\u2019", "\u2018", "\u02bc", "\uff07"])
def test_english_takes_every_apostrophe_for_one(apostrophe: str) -> None:
    """Contractions are resolved in any spelling, and nothing else changes."""
    for text in ("don't stop it's me, we'll go", "y'all can't", "the dogs' bowl", "o'clock"):
        spelled = text.replace("'", apostrophe)
        assert normalizer("english").normalize(spelled) == normalizer("english@1").normalize(text)


def test_steps_are_named_and_versioned() -> None:
    """The digest follows the library's version."""
    assert normalizer("english").steps == ("lowercase", "apostrophes", "whisper_english")
    assert normalizer("basic").steps == ("lowercase", "apostrophes", "basic_form")
    assert normalizer("english@1").steps == ("lowercase", "whisper_english")


def test_a_run_is_read_with_its_own_version() -> None:
    """A digest finds the version that an old run was scored by; an unknown one gets today's."""
    files = NormalizerFiles(None, whisper_steps)
    for name in ("english", "english@1"):
        digest = files.read(name).digest
        assert files.read("english", digest).name == name
    assert files.read("english", "sha256:" + "0" * 64).name == "english"
    assert files.read("none", files.read("none").digest).name == "none"


def test_the_library_has_a_version() -> None:
    """It is part of the digest."""
    assert STEPS["whisper_english"].version == metadata.version("whisper-normalizer")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", "hello world"),
        ("colour", "color"),
        ("six six zero", "660"),
        ("one dollar", " one"),
        ("minus one", "-one"),
        ("say [hello] now", "say now"),
        ("say (hello) now", "say now"),
        ("Mario's castle", "mario is castle"),
        ("the first of five", "the 1st of 5"),
        ("um, yes", "yes"),
        ("call 007", "call 7"),
    ],
)
def test_english_traps(text: str, expected: str) -> None:
    """What Whisper's English normalizer does to text, useful or not.

    See docs/method.md, section "Scoring text".
    """
    assert normalizer("english").normalize(text) == expected


def test_digit_strings_need_the_digits_normalizer() -> None:
    """One wrong digit of five: every word wrong with ``english``, one of five with ``digits``."""
    reference, hypothesis = "six six zero one two", "six, 6, 0, one, three"
    english, digits = normalizer("english"), normalizer("digits")
    merged = count_text(english.normalize(reference), english.normalize(hypothesis))
    single = count_text(digits.normalize(reference), digits.normalize(hypothesis))
    assert merged.rate is not None
    assert merged.rate >= 1
    assert single.rate == pytest.approx(1 / 5)


@pytest.mark.parametrize(
    "text",
    ["1" * 5000, "call " + "7" * 9000 + " now", "nine " * 4290 + "decillion", "1" * 4301 + " %"],
)
def test_endless_numbers_are_normalized_too(
    library: tuple[Callable[[str], str], Callable[[str], str]], text: str
) -> None:
    """A digit loop is longer than any number Python prints; nothing of it is lost."""
    with pytest.raises((AssertionError, ValueError)):
        library[1](text)
    normalized = normalizer("english").normalize(text)
    expected = sum(char.isdigit() for char in text) or text.count("nine")
    assert sum(char.isdigit() for char in normalized) >= expected
    assert normalized.startswith("call ") == text.startswith("call ")
