"""The scan for tokens: every encoding is found, and nothing else is."""

import hashlib
import re
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.errors import InvalidInput
from relkit.disclosure.leaks import LeakSearch, LeakToken, leak_token, parse_tokens
from tests.encodings import ENCODINGS

TOKENS = (
    "zq7xk40mlemur",
    "Maria-Lund.77 Oslo",
    "+1 (415) 555-0142",
    "Анна-Петровна-7",
    "渡辺直美の電話番号",
)

_TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
_BYTES = st.one_of(_TEXT.map(str.encode), st.binary(max_size=200))
_RANDOM_TOKENS = st.from_regex(
    r"[a-z]{3}[0-9]{3}[a-z]{3}[-_ ./]?[0-9]{3}[A-Z]{3}kt7", fullmatch=True
)


def _search(*values: str) -> LeakSearch:
    return LeakSearch(leak_token(value, value, where="test") for value in values)


@pytest.mark.parametrize(
    ("token", "encoding"),
    [
        (token, encoding)
        for token in TOKENS
        for encoding in ENCODINGS
        if encoding != "spoken digits" or re.search("[0-9]", token)
    ],
)
def test_a_token_is_found_in_every_encoding(token: str, encoding: str) -> None:
    """In the middle of a text, its place covers what was written."""
    written = ENCODINGS[encoding](token)
    data = b"The caller said: " + written + b" :and hung up.\n"
    places = _search("another-1-token", token).scan(data)
    assert {place.token for place in places} == {token}
    assert all(17 - 4 <= place.start < place.end <= 17 + len(written) + 1 for place in places)


@settings(max_examples=60)
@given(token=_RANDOM_TOKENS, before=_BYTES, after=_BYTES, encoding=st.sampled_from(list(ENCODINGS)))
def test_nothing_around_a_token_hides_it(
    token: str, before: bytes, after: bytes, encoding: str
) -> None:
    """Whatever stands beside it, a token set off by quotes is found."""
    data = b'%b "%b" %b' % (before, ENCODINGS[encoding](token), after)
    assert _search(token).scan(data)


@settings(max_examples=60)
@given(token=_RANDOM_TOKENS, data=_BYTES, encoding=st.sampled_from(list(ENCODINGS)))
def test_text_without_the_token_is_no_leak(token: str, data: bytes, encoding: str) -> None:
    """Neither random text nor another token in the same encoding is a hit."""
    another = ENCODINGS[encoding]("".join(chr((ord(char) + 3) % 26 + 97) for char in token))
    assert not _search(token).scan(data + b' "' + another + b'"')


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        (b"call zq7xk40mlemur", "plain"),
        (b"call ZQ7XK40mLemur", "case"),
        (ENCODINGS["full width"]("zq7xk40mlemur"), "full-width"),
        (b"call zq7-xk-40 m lemur", "split"),
        (b"call &#122;q7xk40mlemur", "html"),
        (b"call zq7xk%34%30mlemur", "url"),
        (b"call zq seven xk four oh mlemur", "spoken digits"),
        (b"rumelm04kx7qz", "reversed"),
        (b"c=\n z=71=37xk40mlem=\nur", "quoted-printable"),
    ],
)
def test_the_encoding_is_named(written: bytes, encoding: str) -> None:
    """A hit says how the token was written, in one word."""
    (place,) = _search("zq7xk40mlemur").scan(written)
    assert place.encoding == encoding


def test_a_short_digest_is_a_hit_and_a_number_is_none() -> None:
    """Seven digits of the hash of a telephone number give it away; seven digits alone do not."""
    number = "4155550142"
    digest = hashlib.sha256(number.encode()).hexdigest()
    (place,) = _search(number).scan(f"user-{digest[:7]} joined".encode())
    assert (place.encoding, place.start) == ("sha256 prefix", 5)
    assert not _search(number).scan(f"user-{digest[:6]} joined {digest[1:9]}".encode())
    # Of decimal digits alone, seven or eight read as a number, which many texts hold.
    decimal, written = next(
        (str(value), digest)
        for value in count(4_155_550_000)
        if (digest := hashlib.sha256(str(value).encode()).hexdigest())[:9].isdigit()
    )
    assert not _search(decimal).scan(f"{written[:8]} turns".encode())
    assert _search(decimal).scan(f"{written[:9]} turns".encode())


def test_a_token_across_parts_is_found_once() -> None:
    """What is read in parts has no seam."""
    token = TOKENS[0]
    for offset in (262_130, 262_140, 262_144, 524_288):
        places = _search(token).scan(b"x" * offset + token.encode() + b"y" * 300_000)
        assert [(place.start, place.end) for place in places] == [(offset, offset + len(token))]


def test_only_the_first_place_of_an_encoding_is_named() -> None:
    """A file that holds a token a thousand times gives one hit."""
    places = _search("zq7xk40mlemur").scan(b"zq7xk40mlemur ZQ7XK40MLEMUR " * 1000)
    assert [(place.encoding, place.start) for place in places] == [("plain", 0), ("case", 14)]


@pytest.mark.parametrize("value", ["", "anna", "1234567", "123456789", "aaaaaaaaaaaa", "a-b-c-d-e"])
def test_a_token_that_chance_would_find_is_refused(value: str) -> None:
    """Under eight letters and digits, ten digits, or four different ones no scan can tell."""
    with pytest.raises(InvalidInput, match="t: too short to be told from chance") as error:
        leak_token(value, "t", where="t")
    assert "10 digits" in str(error.value.hint)


def test_tokens_are_one_a_line_with_or_without_a_label() -> None:
    """A label names a hit; without one the line does, so that no hit repeats the token."""
    text = "# planted\n\nspeaker = Zq7x Kite 40\n4155550142\nZm9vYmFyMTIzNA==\n"
    tokens = parse_tokens(text, source="t.txt")
    assert tokens == (
        LeakToken(value="Zq7x Kite 40", shown="speaker"),
        LeakToken(value="4155550142", shown="line 4"),
        LeakToken(value="Zm9vYmFyMTIzNA==", shown="line 5"),
    )
    assert "Zq7x" not in repr(tokens)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# none\n", "t.txt: holds no token"),
        ("ok=zq7xk40m\nname=anna\n", "t.txt, line 2: too short"),
    ],
)
def test_a_file_of_tokens_that_finds_nothing_is_refused(text: str, message: str) -> None:
    """A scan for nothing would pass."""
    with pytest.raises(InvalidInput, match=message):
        parse_tokens(text, source="t.txt")
