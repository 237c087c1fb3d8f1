"""Laws of masking: once is twice, the rest stays, spans are disjoint, time grows with the line."""

import json
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.errors import InvalidInput, Malformed
from relkit.redaction import grammar as grammar_module
from relkit.redaction.grammar import TABLES, LineWords
from relkit.redaction.run import Masking, redact_lines
from relkit.redaction.types import NOT_COVERED, PersonalValue
from relkit.wiring.redaction import languages_of, scanner_of
from tests.unit.redaction.test_languages import MARKED, sentences

PIECES = """call me at my pin is code card number error version chapter one two three five oh double
    hundred twenty and dot at gmail com slash w www a b x alpha bravo street oak live born march
    1985 4242 4242424242424242 202-555-0143 @ . , - / : ? [PHONE_1] [CARD_3] jane@example.org
    192.168.0.1 AB12 is the of i o zip plate spell email turns percent DE89370400440532013000"""
WORDS = PIECES.split()
TEXTS = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=15).map("".join),
    st.text(max_size=60),
    st.sampled_from([MARKED.sub(r"\2", line) for _, line in sentences()]),
)
EVERY = scanner_of(languages_of(",".join(TABLES)))
PLACEHOLDER = re.compile(r"\[[A-Z_]+_\d+\]")


@given(TEXTS)
def test_masking_twice_is_masking_once(text: str) -> None:
    """What is masked holds nothing that would be masked."""
    masked, _ = Masking(EVERY).mask(text)
    assert Masking(EVERY).mask(masked) == (masked, [])


@given(TEXTS)
def test_everything_outside_of_spans_stays(text: str) -> None:
    """Spans are in order and disjoint, each becomes one placeholder, all else is as it was."""
    masked, values = Masking(EVERY).mask(text)
    last = 0
    rest = []
    for value in values:
        assert last <= value.start < value.end <= len(text)
        rest.append(text[last : value.start])
        last = value.end
    rest.append(text[last:])
    before, after = PLACEHOLDER.findall(text), PLACEHOLDER.findall(masked)
    assert len(after) == len(before) + len(values)
    pattern = r"\[[A-Z_]+_\d+\]".join(map(re.escape, rest))
    assert re.fullmatch(pattern, masked, re.DOTALL)


def mask(*lines: str, language: str = "en") -> list[str]:
    """Return lines masked as those of one file."""
    masking = Masking(scanner_of(languages_of(language)))
    return [masking.mask(line)[0] for line in lines]


def test_the_same_value_has_the_same_placeholder() -> None:
    """However it is said or written; another one has the next number."""
    assert mask(
        "call me at two oh two five five five oh one four three",
        "Call 202-555-0143, or +1 202 555 0143, or 202-555-0199.",
        "mail jane dot doe at example dot org or Jane.Doe@example.org",
    ) == [
        "call me at [PHONE_1]",
        "Call [PHONE_1], or [PHONE_1], or [PHONE_2].",
        "mail [EMAIL_1] or [EMAIL_1]",
    ]


def test_a_placeholder_that_stands_there_keeps_its_number() -> None:
    """A new value in a file that was masked before takes a number that is free."""
    assert mask("[PHONE_4] then call 202-555-0143") == ["[PHONE_4] then call [PHONE_5]"]


def test_an_iban_ends_where_its_check_digits_do() -> None:
    """Words after it look like more of it, and stay."""
    assert mask("DE89 3704 0044 0532 0130 00 BIC of the bank") == ["[IBAN_1] BIC of the bank"]


def read(*lines: str, fields: tuple[str, ...] = ()) -> list[tuple[str, list[str]]]:
    """Return JSON lines masked, with the text of each span in the line as it came."""
    masking = Masking(EVERY)
    redacted = redact_lines(masking, lines, source="a.jsonl", jsonl=True, fields=fields)
    return [
        (masked, [line[span.start : span.end] for span in places.spans])
        for line, (masked, places) in zip(lines, redacted, strict=True)
    ]


def test_only_fields_that_are_named_are_masked() -> None:
    """Other strings, names of members, spaces and escapes of JSON stay as they are."""
    line = (
        '{ "id":"202-555-0143" ,"turns":[{"text":"call 202-555-0143 \\u00e9"},'
        '{"text":"x"}],"text":"202-555-0143","n":1.50}\n'
    )
    [(masked, spans)] = read(line, fields=("turns.text",))
    assert masked == line.replace('"call 202-555-0143 \\u00e9"', '"call [PHONE_1] \\u00e9"')
    assert spans == ["202-555-0143"]
    assert read(line)[0][1] == ["202-555-0143"] * 3


@pytest.mark.parametrize("escaped", [r"\ud83d\ude00", r"\n", "é😀", r"\"", r"\\", "\u2028"])
def test_spans_of_json_stand_in_the_line(escaped: str) -> None:
    """A span is placed where its characters stand between the quotes, escapes counted."""
    line = f'{{"a": "{escaped} mail jane@example.org {escaped}"}}'
    [(masked, spans)] = read(line)
    assert spans == ["jane@example.org"]
    assert json.loads(masked)["a"] == json.loads(line)["a"].replace(spans[0], "[EMAIL_1]")


def test_a_field_that_never_was_there_is_no_success() -> None:
    """Fail closed: nothing was masked, and a name that was mistyped says so at the end."""
    with pytest.raises(InvalidInput, match=r"a\.jsonl: no line has text in txt; nothing of it"):
        read('{"text": "call 202-555-0143"}', fields=("txt",))


@pytest.mark.parametrize("line", ["call 202-555-0143", '{"a": ', "[" * 100_000])
def test_what_is_no_json_is_refused_by_its_line(line: str) -> None:
    """The message has the number of the line and nothing of what is in it."""
    with pytest.raises(Malformed, match=r"^a\.jsonl, line 2: is not one JSON value$"):
        read('{"a": "b"}', line)


ADVERSARIAL = {
    "digits": "1",
    "spaced digits": "1 ",
    "number words": "five ",
    "hundreds": "hundred two ",
    "dots": "a.",
    "spoken dots": "a dot ",
    "ats": "a@",
    "spoken ats": "a at b dot com ",
    "dashes": "a-",
    "letters": "a ",
    "cues": "my pin is ",
    "streets": "4 a street ",
    "colons": "a:",
    "slashes": "http://a/ ",
    "spoken slashes": "x dot com slash a ",
    "brackets": "[PHONE_1",
    "births": "born on may ",
    "plus": "+1 ",
    "iban": "DE89 ",
    "quotes": "'",
}


@pytest.mark.parametrize("piece", ADVERSARIAL.values(), ids=ADVERSARIAL)
def test_work_grows_with_the_line_and_no_more(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the line looks phrases up at most about four times as often."""
    looked_up = Counter[int]()
    at = grammar_module.Phrases.at

    def counting(self: grammar_module.Phrases, keys: list[str], index: int) -> object:
        looked_up[size] += 1
        return at(self, keys, index)

    monkeypatch.setattr(grammar_module.Phrases, "at", counting)
    for size in (200, 800):
        EVERY.values(piece * size)
    assert looked_up[800] <= 5 * looked_up[200] + 100


def test_a_long_line_is_read_in_one_pass() -> None:
    """Long adversarial lines end; a pattern that runs away would not within a day."""
    for piece in ADVERSARIAL.values():
        text = piece * (10_000 // len(piece))
        assert len(LineWords(text)) <= len(text)
        values: list[PersonalValue] = EVERY.values(text)
        assert all(value.end <= len(text) for value in values)


def test_names_are_said_not_to_be_covered() -> None:
    """The counts say it with every result."""
    masking = Masking(EVERY)
    list(redact_lines(masking, ["i am jane\n"], source="-"))
    assert masking.counts().not_covered == NOT_COVERED
    assert NOT_COVERED[0] == "names"
