"""Bytes as whoever reads them could read them: escapes, base64, hex, UTF-16, digits in words.

Each decoding is a :class:`Layer`: new bytes, and for each of them where it came from. Decodings
apply to layers again, so that base64 of an escaped text is read, too; all take linear time.
"""

import binascii
import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import IntArray

Points = NDArray[np.uint32]
"""Unicode code points, one per character."""

BASE64, HEX, SPOKEN = "base64", "hex", "spoken digits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Bytes, the offset of each in the original, and the decodings that led to them."""

    data: bytes
    at: IntArray
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: bytes, start: int = 0) -> "Layer":
        """Return bytes as they are; the first has the offset ``start``."""
        return cls(data=data, at=np.arange(start, start + len(data), dtype=np.int64))

    def into(self, name: str, data: bytes, index: IntArray) -> "Layer":
        """Return a layer made of this one; ``index`` says of which of its bytes."""
        return Layer(data=data, at=self.at[index], names=(*self.names, name))


# --- One spelling for all: letters and digits only, no case, no width, no accents ---


class _Folding:
    """What every character counts as, filled in as characters are seen."""

    def __init__(self) -> None:
        self.length = np.full(0x110000, -1, dtype=np.int8)  # -1: not seen yet
        self.start = np.zeros(0x110000, dtype=np.int32)
        self.pool = np.zeros(0, dtype=np.uint32)

    def of(self, points: Points) -> tuple[Points, IntArray]:
        """Return the folded characters, and the index of the character behind each."""
        self._fill(points[self.length[points] < 0])
        lengths = self.length[points].astype(np.int64)
        index = np.repeat(np.arange(len(points), dtype=np.int64), lengths)
        first = np.repeat(np.cumsum(lengths) - lengths, lengths)
        within = np.arange(len(index), dtype=np.int64) - first
        return self.pool[self.start[points[index]] + within], index

    def _fill(self, points: Points) -> None:
        fresh: list[int] = []
        size = len(self.pool)
        for point in np.unique(points).tolist():
            text = _folded_character(chr(point))
            self.length[point], self.start[point] = len(text), size + len(fresh)
            fresh += map(ord, text)
        self.pool = np.concatenate([self.pool, np.array(fresh, dtype=np.uint32)])


def _folded_character(char: str) -> str:
    """Return the letters and digits of a character: NFKD, case folded, digits of any script."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    return "".join(
        str(unicodedata.digit(part)) if part.isdecimal() else part
        for part in text
        if part.isalnum()
    )


@cache
def _folding() -> _Folding:
    return _Folding()


def characters(data: bytes) -> tuple[Points, IntArray]:
    """Return the characters of UTF-8 bytes, and where each begins; broken ones are left out."""
    plain = np.frombuffer(data, dtype=np.uint8).astype(np.uint32)
    if data.isascii():
        return plain, np.arange(len(data), dtype=np.int64)
    first, *rest = (np.append(plain, [0, 0, 0])[shift : shift + len(plain)] for shift in range(4))
    inner = [part & 0xC0 == 0x80 for part in rest]  # noqa: PLR2004 - UTF-8, as all of these
    length = np.zeros(len(plain), dtype=np.int64)
    length[first < 0x80] = 1  # noqa: PLR2004
    length[(first >= 0xC2) & (first < 0xE0) & inner[0]] = 2  # noqa: PLR2004
    length[(first >= 0xE0) & (first < 0xF0) & inner[0] & inner[1]] = 3  # noqa: PLR2004
    length[(first >= 0xF0) & (first < 0xF5) & inner[0] & inner[1] & inner[2]] = 4  # noqa: PLR2004
    begins = np.flatnonzero(length)
    length = length[begins]
    points = first[begins] & np.array([0, 0x7F, 0x1F, 0x0F, 0x07], dtype=np.uint32)[length]
    for number, part in enumerate(rest, 2):
        points = np.where(length >= number, points << 6 | part[begins] & 0x3F, points)
    return np.minimum(points, 0x10FFFF), begins


_READABLE = re.compile(rb"(?:[\x00-\x7e]|[\xc2-\xf4][\x80-\xbf]{1,3}){8,}")


def readable(layer: Layer) -> Layer:
    """Return what could be text of a layer whose bytes may be anything."""
    data, index = _joined(layer.data, _READABLE)
    return Layer(data=data, at=layer.at[index], names=layer.names)


def folded(layer: Layer) -> tuple[Points, IntArray]:
    """Return a layer's letters and digits in one spelling, with their offsets in the original.

    White space, punctuation, zero-width characters and accents are gone, so that what was split
    by them is together again.
    """
    points, begins = characters(layer.data)
    letters, index = _folding().of(points)
    return letters, layer.at[begins[index]]


def folded_text(text: str) -> Points:
    """Return the same of a text."""
    return folded(Layer.of(text.encode("utf-8", "surrogatepass")))[0]


# --- Substitutions: escapes, and digits in words ---


def _substituted(
    layer: Layer,
    name: str,
    pattern: re.Pattern[bytes],
    replaced: Callable[[re.Match[bytes]], bytes],
    reach: int,
) -> Layer | None:
    """Return a layer with every match replaced, and nothing else but ``reach`` bytes around them.

    None where there is no match.
    """
    data = layer.data
    pieces: list[bytes] = []
    begins: list[int] = []
    steps: list[int] = []

    def copy(begin: int, end: int) -> None:
        pieces.append(data[begin:end])
        begins.append(begin)
        steps.append(1)

    end: int | None = None
    for match in pattern.finditer(data):
        if (piece := replaced(match)) == match[0]:
            continue
        begin = match.start()
        if end is not None and begin - end > 2 * reach:
            copy(end, end + reach)
            end = None
        copy(max(0, begin - reach) if end is None else end, begin)
        pieces.append(piece)
        begins.append(begin)
        steps.append(0)
        end = match.end()
    if end is None:
        return None
    copy(end, min(end + reach, len(data)))
    lengths = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
    starts = np.repeat(np.array(begins, dtype=np.int64), lengths)
    moving = np.repeat(np.array(steps, dtype=np.int64), lengths)
    within = np.arange(len(starts)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return layer.into(name, b"".join(pieces), starts + moving * within)


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))


def _quoted(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),)) if match[1] else b""  # a soft line break


def _entity(match: re.Match[bytes]) -> bytes:
    return html.unescape(match[0].decode("ascii")).encode("utf-8", "replace")


_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _escape(match: re.Match[bytes]) -> bytes:
    text = match[0]
    if text[1:2] in b"uU":
        digits = re.findall(rb"[0-9a-fA-F]{4,8}", text)
        units = [int(part, 16) for part in digits]
        if len(units) > 1:  # a pair of surrogates
            pair = b"".join(unit.to_bytes(2, "little") for unit in units)
            return pair.decode("utf-16-le", "replace").encode("utf-8", "replace")
        point = units[0] if units else int(text[3:-1], base=16)
        return chr(min(point, 0x10FFFF)).encode("utf-8", "replace")
    if text[1:2] in b"xX":
        return bytes.fromhex(text[2:].decode("ascii"))
    if text[1:2].isdigit():
        return bytes((int(text[1:4], 8) & 0xFF,))
    return _LETTERS.get(text[1:2], text[1:2])


_ESCAPES: Mapping[str, tuple[re.Pattern[bytes], Callable[[re.Match[bytes]], bytes]]] = {
    "url": (re.compile(rb"%([0-9a-fA-F]{2})"), _byte),
    "html": (
        re.compile(rb"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?"),
        _entity,
    ),
    "escapes": (
        re.compile(
            rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}"
            rb"|u\{[0-9a-fA-F]{1,6}\}|U[0-9a-fA-F]{8}|[xX][0-9a-fA-F]{2}|[0-3][0-7]{2}"
            rb"|[bfnrt\"\\/'])"
        ),
        _escape,
    ),
    "bytes": (re.compile(rb"0x([0-9a-fA-F]{2})(?![0-9a-fA-F])(?:[,;]?\s*(?=0x))?"), _byte),
    "quoted-printable": (re.compile(rb"=(?:([0-9a-fA-F]{2})|[ \t]*\r?\n)"), _quoted),
}

_DIGITS = (
    "zero oh o null cero zéro",
    "one eins ein uno un une",
    "two zwei zwo dos deux",
    "three drei tres trois",
    "four vier cuatro quatre",
    "five fünf fuenf cinco cinq",
    "six sechs seis",
    "seven sieben siete sept",
    "eight acht ocho huit",
    "nine neun nueve neuf",
)
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_TIMES = {"double": 2, "doppel": 2, "doble": 2, "triple": 3, "treble": 3, "dreifach": 3}

_WORDS = {word: str(digit) for digit, words in enumerate(_DIGITS) for word in words.split()}
_NUMBERS = _WORDS | {word: str(number) for number, word in enumerate(_TEENS.split(), 10)}
_WHOLE_TENS = {word: str(number) for number, word in enumerate(_TENS.split(), 2)}


def _any_of(words: Mapping[str, object]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_FIRST_LETTERS = "".join(sorted({word[0] for word in (*_TIMES, *_NUMBERS, *_WHOLE_TENS)}))
_DIGIT_WORDS = re.compile(
    (
        rf"(?<![a-z])(?=[{_FIRST_LETTERS}])(?:({_any_of(_TIMES)})[\s-]+)?(?:({_any_of(_NUMBERS)})"
        rf"|({_any_of(_WHOLE_TENS)})(?:[\s-]+({_any_of(_WORDS)}))?)(?![a-z])"
    ).encode()
)
"""In lower case; the letters that such a word begins with are asked for first, for speed."""


def _spoken(match: re.Match[bytes]) -> bytes:
    times, number, tens, unit = ((part or b"").decode() for part in match.groups())
    digits = _NUMBERS[number] if number else _WHOLE_TENS[tens] + _WORDS.get(unit, "0")
    return digits.encode() * _TIMES.get(times, 1)


# --- Streams: what lies in base64 or hex, put together and decoded at every alignment ---

_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{10,}(?:={0,2}[ \t]*\r?\n[ \t]*[A-Za-z0-9+/_-]+)*")
_NOT_BASE64 = bytes(set(range(256)) - set(b"+/-_") - {c for c in range(128) if chr(c).isalnum()})
_STANDARD = bytes.maketrans(b"-_", b"+/")
_HEX_RUN = re.compile(rb"[0-9a-f]{16,}")


def _joined(data: bytes, pattern: re.Pattern[bytes]) -> tuple[bytes, IntArray]:
    """Return all matches in one piece, and the index of each byte."""
    return _taken(data, [match.span() for match in pattern.finditer(data)])


def _taken(data: bytes, spans: Sequence[tuple[int, int]]) -> tuple[bytes, IntArray]:
    """Return these spans in one piece, and the index of each byte."""
    if not spans:
        return b"", np.zeros(0, dtype=np.int64)
    begins, ends = np.array(spans, dtype=np.int64).T
    lengths = ends - begins
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    index = np.repeat(begins, lengths) + within
    return np.frombuffer(data, dtype=np.uint8)[index].tobytes(), index


def _from_base64(layer: Layer) -> Iterator[Layer]:
    """Yield what the base64 of a layer holds, at each of the four alignments.

    Runs follow each other in one stream: one of the alignments is right for each of them.
    """
    stream, index = _joined(layer.data, _BASE64_RUN)
    if not stream:
        return
    inside = np.isin(np.frombuffer(stream, dtype=np.uint8), list(_NOT_BASE64), invert=True)
    index = index[inside]
    text = stream.translate(_STANDARD, _NOT_BASE64)
    index = np.concatenate([index, np.repeat(index[-1:], 8)])
    for shift in range(4):
        part = text[shift:] + b"AAAA"
        data = binascii.a2b_base64(part[: len(part) // 4 * 4])
        of = np.arange(len(data))
        yield layer.into(BASE64, data, index[shift + of // 3 * 4 + of % 3])


def from_hex(layer: Layer, letters: Points, at: IntArray) -> Iterator[Layer]:
    """Yield what the hexadecimal digits of a folded layer hold, at both alignments."""
    narrow = np.where(letters < 0x80, letters, 0).astype(np.uint8).tobytes()  # noqa: PLR2004 - ASCII
    stream, index = _joined(narrow, _HEX_RUN)
    for shift in range(2 if stream else 0):
        digits = stream[shift:]
        data = bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
        places = at[index[shift + 2 * np.arange(len(data))]]
        yield Layer(data=data, at=places, names=(*layer.names, HEX))


# --- UTF-16 ---

_UTF16 = re.compile(
    rb"(?s)[^\x00]([\x00-\x1f\xff])(?:[^\x00]\1){5,}|([\x00-\x1f\xff])[^\x00](?:\2[^\x00]){5,}"
)
"""Six characters of one script or more; Han and Hangul lie apart: looked for as they are."""


def _from_utf16(layer: Layer, reach: int) -> Iterator[Layer]:
    """Yield the text of UTF-16 in both orders and alignments, where it looks like any."""
    spans: list[tuple[int, int]] = []
    for match in _UTF16.finditer(layer.data):
        begin, end = max(0, match.start() - reach), min(match.end() + reach, len(layer.data))
        if spans and begin <= spans[-1][1]:
            begin = spans.pop()[0]
        spans.append((begin, end))
    data, places = _taken(layer.data, spans)
    for order in ("le", "be") if spans else ():
        for shift in range(2):
            part = data[shift:]
            text = part[: len(part) // 2 * 2].decode(f"utf-16-{order}", "replace")
            points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
            units = np.where(points >= 0x10000, 4, 2)  # noqa: PLR2004 - UTF-16
            begins = shift + np.cumsum(units) - units
            widths = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)  # noqa: PLR2004 - UTF-8
            index = np.minimum(np.repeat(begins, widths), len(data) - 1)
            yield layer.into("utf-16", text.encode("utf-8"), places[index])


def decoded(layer: Layer, *, digits: bool, reach: int) -> Iterator[Layer]:
    """Yield what a layer reads as by every decoding but hex, which starts from folded text.

    ``digits``: also with the digits that are words as digits (English, German, Spanish, French).
    ``reach``: bytes around an escape, or a word, that can belong to what is looked for.
    """
    for name, (pattern, replaced) in _ESCAPES.items():
        if (changed := _substituted(layer, name, pattern, replaced, reach)) is not None:
            yield changed
    if digits:
        lower = replace(layer, data=layer.data.lower())
        changed = _substituted(lower, SPOKEN, _DIGIT_WORDS, _spoken, reach)
        if changed is not None:
            yield changed
    yield from _from_utf16(layer, reach)
    yield from _from_base64(layer)
