"""Whether a token stands in bytes, in any encoding that it could have taken on its way there.

The bytes are brought into few spellings (:mod:`relkit.disclosure.decodings`), each of which is
searched once for all tokens: linear in the bytes, and nearly independent of the number of tokens.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from mmap import mmap
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relkit.core.errors import InvalidInput
from relkit.disclosure.decodings import (
    BASE64,
    HEX,
    SPOKEN,
    Layer,
    Points,
    decoded,
    folded,
    folded_text,
    from_hex,
    readable,
)

LEAST = 8
"""Letters and digits of a token: fewer stand in some text by chance."""

LEAST_DIGITS = 10
"""The same of a token of nothing but digits."""

_LEAST_DIFFERENT = 4
_DEEPEST = 3
"""Encodings around each other that are undone: base64 of a URL of HTML."""

_CHUNK = 1 << 18
_MOST = 64
"""Places of one token in a part, of which the first of each encoding are shown."""

_LONGEST_BYTE = 32
"""Bytes that one byte of a token can become: ``&#x00000041;`` in quoted-printable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakToken:
    """What must not be found; ``shown`` is what a hit calls it, which gives nothing away.

    ``raw`` are the bytes that the value is a spelling of, where it is one: those of a key.
    """

    value: str = field(repr=False)
    shown: str
    raw: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakPlace:
    """A token in bytes, from ``start`` to ``end``; ``encoding`` names the outermost first."""

    token: str
    encoding: str
    start: int
    end: int


def leak_token(value: str, shown: str, *, where: str, raw: bytes = b"") -> LeakToken:
    """Return a token that can be told from chance; raises InvalidInput for a shorter one."""
    letters = folded_text(value)
    text = letters.astype("<u4").tobytes().decode("utf-32-le")
    least = LEAST_DIGITS if text.isdecimal() else LEAST
    if len(text) < least or len(set(text)) < _LEAST_DIFFERENT:
        raise InvalidInput(
            f"{where}: too short to be told from chance",
            hint=f"a token has at least {LEAST} letters and digits, or {LEAST_DIGITS} digits,"
            f" and {_LEAST_DIFFERENT} different ones",
        )
    return LeakToken(value=value, shown=shown, raw=raw)


_LABEL = re.compile(r"([A-Za-z][\w .-]{0,63})=(.*[^=\s].*)", re.DOTALL)


def parse_tokens(text: str, *, source: str) -> tuple[LeakToken, ...]:
    """Return the tokens of a file: one a line, ``label=token`` or the token alone.

    A token without a label is called by its line. Lines that begin with ``#`` and empty ones are
    passed over. Raises InvalidInput for a file without a token, and for one that is too short.
    """
    tokens = []
    for number, line in enumerate(text.split("\n"), 1):
        if not (written := line.strip()) or written.startswith("#"):
            continue
        where = f"{source}, line {number}"
        labelled = _LABEL.fullmatch(written)
        label, value = labelled.groups() if labelled else (f"line {number}", written)
        tokens.append(leak_token(value.strip(), label.strip(), where=where))
    if not tokens:
        raise InvalidInput(f"{source}: holds no token", hint="one a line: label=token")
    return tuple(tokens)


class _Needle(NamedTuple):
    points: Points
    token: int
    kind: str


_ODD = np.array([0x9E3779B97F4A7C15 * (2 * i + 1) & (2**64 - 1) for i in range(LEAST)], np.uint64)


class _Needles:
    """Texts of at least eight characters that are looked for all at once."""

    def __init__(self, needles: Iterable[_Needle]) -> None:
        self._by_hash: dict[int, list[_Needle]] = {}
        self._pairs = np.zeros(1 << 16, dtype=np.bool_)
        for needle in needles:
            beginning = needle.points[np.newaxis, :LEAST]
            self._by_hash.setdefault(int(_hashes(beginning)[0]), []).append(needle)
            self._pairs[_pairs(needle.points[:2])] = True
        self._hashes = np.array(sorted(self._by_hash), dtype=np.uint64)

    def find(self, points: Points) -> Iterator[tuple[int, _Needle]]:
        """Yield where each of them is, up to so many times that more would say nothing new."""
        if len(points) < LEAST or not len(self._hashes):
            return
        starts = np.flatnonzero(self._pairs[_pairs(points[: 2 - LEAST])])
        hashes = _hashes(points[starts[:, np.newaxis] + np.arange(LEAST)])
        nearest = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        equal = self._hashes[nearest] == hashes
        times: Counter[int] = Counter()
        for start, number in zip(starts[equal].tolist(), hashes[equal].tolist(), strict=True):
            times[number] += 1
            for needle in self._by_hash[number] if times[number] <= _MOST else ():
                if np.array_equal(points[start : start + len(needle.points)], needle.points):
                    yield start, needle


def _pairs(points: Points) -> Points:
    return (points[:-1] * np.uint32(31) + points[1:]) & np.uint32(0xFFFF)


def _hashes(beginnings: Points) -> NDArray[np.uint64]:
    hashes: NDArray[np.uint64] = (beginnings.astype(np.uint64) * _ODD).sum(axis=1, dtype=np.uint64)
    return hashes


_ALGORITHMS = ("md5", "sha1", "sha256")
_SHORT, _SHORT_DECIMAL, _FULL = 7, 9, 16
"""Digits from which the beginning of a digest counts: alone, alone and all decimal, anywhere."""

_SHORT_DIGEST = re.compile(rb"(?<![0-9a-zA-Z])[0-9a-fA-F]{7,15}(?![0-9a-zA-Z])")


class LeakSearch:
    """The tokens, in every form that is searched for."""

    def __init__(self, tokens: Iterable[LeakToken]) -> None:
        """Prepare the search; it can be used for any number of files."""
        self.tokens = tuple(tokens)
        self._digits = any(char.isdecimal() for token in self.tokens for char in token.value)
        longest = max(map(len, map(_bytes, self.tokens)), default=0)
        self._overlap = 4096 + _LONGEST_BYTE * longest
        self._reach = 32 + 4 * longest
        self._texts: list[str] = []
        self._folded = [folded_text(token.value) for token in self.tokens]
        self._short: dict[bytes, list[tuple[bytes, int, str]]] = {}
        text, raw = [], []
        for number, token in enumerate(self.tokens):
            value = token.value
            letters = [index for index, char in enumerate(value) if char.isalnum()]
            self._texts.append(value[letters[0] : letters[-1] + 1])
            text += [
                _Needle(self._folded[number], number, ""),
                _Needle(folded_text(value[::-1]), number, "reversed"),
            ]
            if len(token.raw) >= LEAST:
                raw.append(_Needle(_points(token.raw), number, "bytes"))
            for kind, spelled in _unusual(self._texts[-1]):
                raw.append(_Needle(_points(spelled), number, kind))
            for algorithm, digest, usual in _digests(value):
                text.append(_Needle(_points(digest.hex()[:_FULL].encode()), number, algorithm))
                raw.append(_Needle(_points(digest), number, algorithm))
                if usual:
                    written = digest.hex().encode()
                    beginning = self._short.setdefault(written[:_SHORT], [])
                    beginning.append((written, number, f"{algorithm} prefix"))
        self._text, self._raw = _Needles(text), _Needles(raw)

    def scan(self, data: bytes | mmap) -> tuple[LeakPlace, ...]:
        """Return the first place of every token in every encoding that it has in the data."""
        first: dict[tuple[str, str], LeakPlace] = {}
        for start in range(0, max(len(data), 1), _CHUNK):
            part = bytes(data[start : start + _CHUNK + self._overlap])
            for place in self._places(part, start):
                first.setdefault((place.token, place.encoding), place)
        return tuple(sorted(first.values(), key=lambda place: (place.start, place.token)))

    def _places(self, data: bytes, start: int) -> list[LeakPlace]:
        """Return every token in a part of the data, in its simplest encoding at each place."""
        hits = []
        for number, kinds, begin, end in self._hits(Layer.of(data, start)):
            while end - start < len(data) and data[end - start] & 0xC0 == 0x80:  # noqa: PLR2004 - inside of a UTF-8 character
                end += 1  # noqa: PLW2901 - the end of the same hit
            written = data[begin - start : end - start]
            if self._is_unencoded(number, written):  # beside what was decoded
                kinds = ()  # noqa: PLW2901 - as it is
            encoding = "+".join(kinds) or self._spelling(number, written)
            hits.append((number, begin, len(kinds), encoding, end))
        places: list[LeakPlace] = []
        simplest, until, last = 0, 0, -1
        for number, begin, depth, encoding, end in sorted(hits):
            place = LeakPlace(
                token=self.tokens[number].shown, encoding=encoding, start=begin, end=end
            )
            if number != last or begin >= until:
                places.append(place)
                simplest, until, last = depth, end, number
            elif depth < simplest:  # the same again, read more simply
                places[-1], simplest, until = place, depth, max(until, end)
        return sorted(places, key=lambda place: place.start)

    def _is_unencoded(self, number: int, data: bytes) -> bool:
        return np.array_equal(folded(Layer.of(data))[0], self._folded[number])

    def _spelling(self, number: int, data: bytes) -> str:
        """Return how a text differs from the token that it folds to."""
        text, value = data.decode("utf-8", "replace"), self._texts[number]
        if "\0" in text:
            return "utf-16"
        if text == value:
            return "plain"
        if text.casefold() == value.casefold():
            return "case"
        narrow = unicodedata.normalize("NFKC", text).casefold()
        return "full-width" if narrow == value.casefold() else "split"

    def _hits(self, layer: Layer) -> Iterator[tuple[int, tuple[str, ...], int, int]]:
        """Yield (token, encodings, begin, end) in a layer and in what it can be decoded to."""
        for position, needle in self._raw.find(_points(layer.data)):
            end = int(layer.at[position + len(needle.points) - 1]) + 1
            yield needle.token, (*layer.names, needle.kind), int(layer.at[position]), end
        if layer.names[-1:] in {(BASE64,), (HEX,)}:  # most of it is no text
            layer = readable(layer)
        letters, at = folded(layer)
        for position, needle in self._text.find(letters):
            kinds = (*layer.names, needle.kind) if needle.kind else layer.names
            end = int(at[position + len(needle.points) - 1]) + 1
            yield needle.token, kinds, int(at[position]), end
        for match in _SHORT_DIGEST.finditer(layer.data):
            written = match[0].lower()
            for digest, token, kind in self._short.get(written[:_SHORT], ()):
                # Seven or eight decimal digits are a number that many texts hold.
                is_number = written.isdigit() and len(written) < _SHORT_DECIMAL
                if digest.startswith(written) and not is_number:
                    begin, end = (
                        int(layer.at[index]) for index in (match.start(), match.end() - 1)
                    )
                    yield token, (*layer.names, kind), begin, end + 1
        if len(layer.names) < _DEEPEST and layer.names[-1:] != (SPOKEN,):
            for inner in decoded(layer, digits=self._digits, reach=self._reach):
                yield from self._hits(inner)
            for inner in from_hex(layer, letters, at):
                yield from self._hits(inner)


def _unusual(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield a text that is not ASCII in encodings that decoding does not recognise."""
    for codec in ("utf-16-le", "utf-16-be", "cp1252"):
        data = text.encode(codec, "ignore")
        if not text.isascii() and len(data) >= LEAST and data.decode(codec, "ignore") == text:
            yield codec.removesuffix("-le").removesuffix("-be"), data


def _bytes(token: LeakToken) -> bytes:
    return token.value.encode("utf-8", "surrogatepass")


def _points(data: bytes) -> Points:
    return np.frombuffer(data, dtype=np.uint8).astype(np.uint32)


def _digests(value: str) -> Iterator[tuple[str, bytes, bool]]:
    """Yield the unsalted digests of a token as people make them; the usual ones are marked."""
    digits = "".join(char for char in value if char.isdecimal())
    usual = {value, value.strip().lower(), digits if len(digits) >= LEAST else value}
    letters = "".join(char for char in value.lower() if char.isalnum())
    rare = {value.upper(), letters, *(f"{text}\n" for text in (*usual, letters))} - usual
    for texts, is_usual in ((usual, True), (rare, False)):
        for text in sorted(texts):
            for algorithm in _ALGORITHMS:
                data = text.encode("utf-8", "surrogatepass")
                digest = hashlib.new(algorithm, data, usedforsecurity=False).digest()
                yield algorithm, digest, is_usual
