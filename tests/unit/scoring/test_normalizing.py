"""Normalizer steps and pipelines."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.tokens import tokens
from relkit.scoring.normalizers import (
    PURE_STEPS,
    Pipeline,
    Step,
    apostrophes,
    built_in,
    lowercase,
    nfkc,
    parse_normalizer,
    replace,
    split_digits,
    strip_points,
    strip_punctuation,
)
from relkit.scoring.types import Normalizer

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SOURCE = "eval/normalizers/mine.yaml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("six six zero", "6 6 0"),
        ("660", "6 6 0"),
        ("6 60", "6 6 0"),
        ("6-6-0", "6 6 0"),
        ("6,6,0", "6 6 0"),
        ("6, 6, 0.", "6 6 0"),
        ("six-six-oh", "6 6 0"),
        ("double six zero", "6 6 0"),
        ("double five triple nine", "5 5 9 9 9"),
        ("treble 2", "2 2 2"),
        ("double oh seven", "0 0 7"),
        ("the double", "the double"),
        ("double decker", "double decker"),
        ("five oh two", "5 0 2"),
        ("5 o o 2", "5 0 0 2"),
        ("oh seven nine", "0 7 9"),
        ("seven nine oh", "7 9 0"),
        ("oh five minutes", "oh 5 minutes"),
        ("oh well", "oh well"),
        ("b o 5 5", "b o 5 5"),
        ("b52", "b 5 2"),
        ("٦٦٠", "6 6 0"),
        ("twenty ten", "twenty ten"),
        ("five-finger discount", "five-finger discount"),
    ],
)
def test_digits(text: str, expected: str) -> None:
    """Every way to write a digit string gives the same digits; other words stay."""
    assert split_digits(text) == expected


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.data())
@settings(max_examples=100, deadline=None)
def test_digit_strings_have_one_spelling(digits: list[int], data: st.DataObject) -> None:
    """Words, numerals and joined numerals in any mixture come to the same tokens."""
    spelled = ""
    for digit in digits:
        word = data.draw(st.sampled_from([f" {DIGIT_WORDS[digit]} ", f" {digit} ", str(digit)]))
        spelled += word
    assert split_digits(spelled) == " ".join(map(str, digits))


@given(st.text(alphabet="o h59a-,'. double", max_size=20))
@settings(max_examples=150, deadline=None)
def test_digits_are_stable(text: str) -> None:
    """Applying the step to text in which every word is resolved adds nothing."""
    once = split_digits(text)
    if not {"o", "oh", "double"} & set(once.split()):
        assert split_digits(once) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", "Hello world"),
        ("don't don\u2019t don\u02bct", "don't don't don't"),
        ("'quoted' rock 'n' roll", "quoted rock n roll"),
        ("the dogs' bowl", "the dogs bowl"),
        ("well-known a_b c/d", "well known a b c d"),
        ("$5.50 + 3%", "5 50 3"),
        ("naïve—café…", "naïve café"),
        ("\u00ab l\u2019été \u00bb", "l'été"),
        ("今日は。", "今日は"),
        ("नमस्ते", "नमस्ते"),
    ],
)
def test_strip_punctuation(text: str, expected: str) -> None:
    """Punctuation and symbols separate words; apostrophes inside words stay, in one spelling."""
    assert strip_punctuation(text).split() == expected.split()


@given(st.text(alphabet="ab1 '!$_-\u2019\u00e9\u0301\u3002", max_size=15))
@settings(max_examples=200, deadline=None)
def test_strip_punctuation_is_a_rule_per_character(text: str) -> None:
    """Whatever the shortcuts: a character stays, or becomes a space, by its own neighbours."""

    def is_word(char: str) -> bool:
        return unicodedata.category(char)[0] in "LMN"

    expected = ""
    for before, char, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if char in "'\u2019":
            expected += "'" if is_word(before) and is_word(after) else " "
        else:
            expected += " " if unicodedata.category(char)[0] in "PS" else char
    assert strip_punctuation(text) == expected


SCRIPTS = {
    "Devanagari": ("वह की", "वह का"),
    "Devanagari, nukta": ("ज़रा फ़ोन", "जरा फोन"),
    "Bengali": ("আমি যাই র‍্যাম", "আমি যাও র্যাম"),
    "Tamil": ("அவன் வந்தான்", "அவள் வந்தாள்"),
    "Telugu": ("నేను వెళ్ళాను", "నేను వెళ్ళను"),
    "Kannada": ("ನಾನು ಹೋದೆ", "ನಾನು ಹೋದ"),
    "Malayalam": ("അവൻ വന്നു", "അവൻ വന്നോ"),
    "Sinhala": ("ශ්‍රී ලංකාව", "ශ්‍රි ලංකාව"),
    "Gurmukhi": ("ਮੈਂ ਜਾਂਦਾ", "ਮੈ ਜਾਦਾ"),
    "Thai": ("น้ำ ดื่ม", "นำ ดม"),
    "Lao": ("ນ້ຳ ຂ້ອຍ", "ນຳ ຂອຍ"),
    "Khmer": ("ខ្ញុំ ទៅ", "ខ្ញំ ទៅ"),
    "Hebrew, points": ("שָׁלוֹם עוֹלָם", "שָׁלֵם עוֹלָם"),
    "Arabic, points": ("كَتَبَ رَجُل", "كُتِبَ رَجُل"),
    "Persian": (
        "\u0645\u06cc\u200c\u0631\u0648\u0645 \u062e\u0627\u0646\u0647\u200c\u0647\u0627",
        "\u0645\u06cc\u200c\u0631\u0648\u06cc\u0645 \u062e\u0627\u0646\u0647\u200c\u0647\u0627",
    ),
    "Turkish": ("İki", "iku"),
    "Vietnamese, decomposed": ("tie\u0302\u0301ng", "tieng"),
    "Yoruba": ("ọ̀rọ̀", "ọrọ"),
    "Korean": ("안녕 하세요", "안녕 하새요"),
    "Amharic": ("ሰላም ነው", "ሰላም ናት"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_basic_keeps_the_words_of_every_script(script: str) -> None:
    """No word falls apart, and words that differ do not become equal."""
    basic = built_in("basic", PURE_STEPS, digest_of)
    text, other = (tokens(side) for side in SCRIPTS[script])
    normalized = tokens(basic.normalize(SCRIPTS[script][0]))
    assert len(normalized) == len(text)
    equal = [one == two for one, two in zip(text, other, strict=False)]
    others = tokens(basic.normalize(SCRIPTS[script][1]))
    assert [one == two for one, two in zip(normalized, others, strict=False)] == equal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("İSTANBUL'da", "istanbul da"),
        ("say [noise] it (softly) <now>", "say it"),
        ("ok ❤️ 👨‍👩‍👧 1️⃣!", "ok 1"),
        ("\uff28\uff49\u3002", "hi"),
        ("यह है।", "यह है"),
        ("don\u2019t don\u02bct DON'T", "don t don t don t"),
    ],
)
def test_basic(text: str, expected: str) -> None:
    """Lower case, and nothing in brackets, no punctuation, no symbol with what belongs to it."""
    normalized = built_in("basic", PURE_STEPS, digest_of).normalize(text)
    assert tokens(normalized) == expected.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("don\u2019t don\u2018t don\u02bct don\uff07t don`t don\u00b4t don\u2032t", "don't " * 7),
        ("rock \u2019n\u2019 roll", "rock 'n' roll"),
        ("\u2018quoted\u2019 5\u2032 `code", "\u2018quoted' 5\u2032 `code"),
    ],
)
def test_apostrophes(text: str, expected: str) -> None:
    """Every spelling comes to one; what opens a quotation or counts feet stays."""
    assert apostrophes(text) == expected.strip()


def test_points_may_be_left_out() -> None:
    """Pointed and plain spellings meet, letters with a madda or a hamza stay."""
    assert strip_points("שָׁלוֹם كَتَبَ") == "שלום كتب"
    assert strip_points("آ أ مـــع") == "آ أ مع"


def test_earlier_versions_are_there_with_their_digests() -> None:
    """``basic@1`` describes itself as ``basic`` did, so that old runs compare with it."""
    steps = {**PURE_STEPS, "whisper_basic": step("whisper_basic", "0.1.15")}
    old = built_in("basic@1", steps, digest_of)
    assert old.name == "basic@1"
    assert old.digest == (
        pipeline(PURE_STEPS["lowercase"], steps["whisper_basic"], name="basic").digest
    )
    assert old.digest == "sha256:cd5bb118bf838983156e337c097ea3ccb1546745d394aefb7a1a352fbad7d973"


def test_lowercase_keeps_letters() -> None:
    """Lower case is no case folding: sharp s and final sigma stay what they are."""
    assert lowercase("STRASSE Straße ΟΔΟΣ") == "strasse straße οδος"


@given(st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_lowercase_is_idempotent(text: str) -> None:
    """A library that lowers its input again changes nothing."""
    assert lowercase(lowercase(text)) == lowercase(text)


def test_nfkc_flattens_forms() -> None:
    """Full-width letters and ligatures become plain ones."""
    assert nfkc("\uff2f\uff2b \ufb01ne \uff11") == "OK fine 1"


@pytest.mark.parametrize(
    ("mapping", "text", "expected"),
    [
        ({"okay": "ok"}, "okay okay-ish okays", "ok okay-ish okays"),
        ({"wi fi": "wifi", "wi": "why"}, "wi fi wi", "wifi why"),
        ({"a": "b", "b": "c"}, "a b", "b c"),
        ({"um": ""}, "um well um", "well"),
        ({"dr": "doctor who"}, "dr x", "doctor who x"),
    ],
)
def test_replace(mapping: dict[str, str], text: str, expected: str) -> None:
    """Whole tokens, longest phrase first, in one pass."""
    assert replace(mapping).apply(text) == expected


@pytest.mark.parametrize("mapping", [{}, {" ": "x"}, {"a b": "x", "a  b": "y"}])
def test_replace_refuses_what_means_nothing(mapping: dict[str, str]) -> None:
    """Empty and double keys are refused."""
    with pytest.raises(ValueError, match=r"replace|twice"):
        replace(mapping)


def pipeline(*steps: Step, name: str = "mine") -> Pipeline:
    """Return a normalizer of these steps."""
    return Pipeline(name=name, steps=steps, digest_of=digest_of)


def test_stages_are_the_text_after_each_step() -> None:
    """The last stage is the normalized text; no steps, no stages."""
    digits = built_in("digits", PURE_STEPS, digest_of)
    assert digits.stages("Dial: NINE-9") == ("dial: nine-9", "dial  nine 9", "dial 9 9")
    assert digits.normalize("Dial: NINE-9") == "dial 9 9"
    assert digits.steps == ("lowercase", "strip_punctuation", "digits")
    none = built_in("none", PURE_STEPS, digest_of)
    assert (none.steps, none.stages("A"), none.normalize("A")) == ((), (), "A")


def test_pipeline_fits_the_port() -> None:
    """The workflows see a ``Normalizer``."""
    port: Normalizer = built_in("none", PURE_STEPS, digest_of)
    assert port.name == "none"
    assert port.digest.startswith("sha256:")


def test_texts_are_normalized_once_while_remembered() -> None:
    """A text seen before costs nothing until newer ones push it out."""
    seen: list[str] = []

    def apply(text: str) -> str:
        seen.append(text)
        return text

    watched = Pipeline(
        name="watched",
        steps=[Step(name="watch", version="1", apply=apply)],
        digest_of=digest_of,
        remembered=2,
    )
    for text in ("a", "a", "b", "a", "c", "b"):
        watched.stages(text)
    assert seen == ["a", "b", "c", "b"]


def step(name: str, version: str = "1", apply: Callable[[str], str] = str.lower) -> Step:
    """Return a step for digests."""
    return Step(name=name, version=version, apply=apply)


def test_digest_covers_all_that_shapes_the_output() -> None:
    """Name, steps, order, versions and parameters each change the digest; nothing else does."""
    different = [
        pipeline(step("x"), step("y")),
        pipeline(step("y"), step("x")),
        pipeline(step("x")),
        pipeline(step("x", version="2"), step("y")),
        pipeline(step("x"), step("y"), name="other"),
        pipeline(replace({"a": "b"})),
        pipeline(replace({"a": "c"})),
    ]
    assert len({one.digest for one in different}) == len(different)
    assert pipeline(replace({"a": "b", "c": "d"})).digest == (
        pipeline(replace({"c": "d", "a": "b"})).digest
    )


def test_normalizer_file() -> None:
    """A user's file gives a normalizer of named steps and replacements."""
    text = "schema: relkit.normalizer/v1\nname: mine\nsteps:\n  - lowercase\n"
    text += "  - replace: {okay: ok, um: ''}\n"
    mine = parse_normalizer(text, source=SOURCE, available=PURE_STEPS)
    assert (mine.name, mine.steps) == ("mine", ("lowercase", "replace"))
    assert mine.normalize("Um OKAY") == "ok"
    assert (
        mine.digest == pipeline(PURE_STEPS["lowercase"], replace({"okay": "ok", "um": ""})).digest
    )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("name: m\nsteps: [lowercas]", 'step 1: unknown step "lowercas"', "lowercase"),
        ("name: digits\nsteps: [nfkc]", "built-in normalizer", None),
        ("name: ../m\nsteps: [nfkc]", '"name"', None),
        ("name: m\nsteps: []", '"steps"', None),
        ("name: m\nsteps: [1]", '"steps.0"', None),
        ("name: m\nsteps:\n - nfkc\n - replace: {}", "line 4", None),
        ("name: m\nsteps:\n - replace: {a b: x, a  b: y}", "twice", None),
        ("name: m\nsteps:\n - replace: {a: 1}", '"steps.0.replace.a"', None),
        ("name: m\nsteps: [nfkc]\nstep: [nfkc]", "line 3", "steps"),
        ("schema: relkit.suite/v1\nname: m\nsteps: [nfkc]", '"schema"', None),
    ],
)
def test_normalizer_file_refusals(text: str, message: str, hint: str | None) -> None:
    """What is wrong is said with its place, and nothing is guessed."""
    with pytest.raises(InvalidInput) as refused:
        parse_normalizer(text, source=SOURCE, available=PURE_STEPS)
    assert refused.value.message.startswith(SOURCE)
    assert message in refused.value.message
    if hint:
        assert hint in str(refused.value.hint)
