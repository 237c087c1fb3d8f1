"""Digit strings digit by digit, however they were written: the ``digits`` normalizer step.

Whisper's normalizer joins spoken digits ("six six zero" to "660"), so that one wrong digit counts
as one wrong word of one, or as several; here every digit is a token (rules.md section 2).
"""

import re
import unicodedata
from itertools import groupby

_DIGITS = {
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
}
_NUMERALS = frozenset(_DIGITS.values())
_TIMES = {"double": 2, "triple": 3, "treble": 3}
_ZEROS = frozenset({"oh", "o"})
_SEPARATORS = re.compile(r"[-\u2010\u2011\u2013,]+")
# Numbers lose what separates their groups; letters beside a digit ("b52") become a token.
_PIECES = re.compile(r"\d|[^\d,.\-\u2010\u2011\u2013]+")
_CERTAIN = 2  # so many digits beside a first or last "oh" make it a zero


def split_digits(text: str) -> str:
    """Return the text with one token ``0`` … ``9`` per spoken or written digit.

    Digit words, digits of any script, "double five" and "triple nine" count, with hyphens and
    commas between them or not. "oh" and "o" are zeros between digits and after "double"; "oh" also
    at the edge of two digits or more ("oh seven nine"). Other numbers ("ten", "twenty") stay words.
    """
    units = [unit for token in text.split() for unit in _units(token)]
    return " ".join(_with_zeros(_with_repeats(units)))


def _units(token: str) -> list[str]:
    """Return the digits and words of one token: ``660``, ``b52`` and ``five-oh`` are split."""
    if any(map(str.isdecimal, token)):
        return [_digit(piece) for piece in _PIECES.findall(token)]
    parts = [part for part in _SEPARATORS.split(token) if part]
    if len(parts) > 1 and all(_kind(_digit(part)) != "word" for part in parts):
        return [_digit(part) for part in parts]
    return [_digit(token)]


def _digit(piece: str) -> str:
    if len(piece) == 1 and piece.isdecimal():
        return str(unicodedata.decimal(piece))
    return _DIGITS.get(piece, piece)


def _with_repeats(units: list[str]) -> list[str]:
    """Resolve "double five" and "double oh" to repeated digits."""
    result: list[str] = []
    at = 0
    while at < len(units):
        after = units[at + 1] if at + 1 < len(units) else ""
        if units[at] in _TIMES and _kind(after) != "word":
            result.extend(["0" if after in _ZEROS else after] * _TIMES[units[at]])
            at += 2
        else:
            result.append(units[at])
            at += 1
    return result


def _with_zeros(units: list[str]) -> list[str]:
    """Resolve "oh" and "o" to zeros where digits stand beside them."""
    runs = [(key, list(run)) for key, run in groupby(units, key=_kind)]
    result: list[str] = []
    for i, (kind, run) in enumerate(runs):
        before = len(runs[i - 1][1]) if i and runs[i - 1][0] == "digit" else 0
        after = len(runs[i + 1][1]) if i + 1 < len(runs) and runs[i + 1][0] == "digit" else 0
        between = bool(before and after)
        beside = max(before, after) >= _CERTAIN and "o" not in run
        result.extend(["0"] * len(run) if kind == "zero" and (between or beside) else run)
    return result


def _kind(unit: str) -> str:
    if unit in _ZEROS:
        return "zero"
    return "digit" if unit in _NUMERALS else "word"
