"""Whether a value is said in a text: spelled, in digit words, in groups, or as it is written.

Both sides are brought into one form: letters and digits without case, accents and separators, with
single digit words and spelled letters as what they stand for, so that "four two", "4-2" and "42"
agree. A value is said where that form stands between the ends of words and numbers: "42" is said
in "A42", and not in "142". Numbers in words are read up to ninety-nine, in English: "forty two".
"""

import re
import unicodedata
from collections.abc import Collection, Iterator

_DIGITS = {
    **dict.fromkeys(("zero", "oh", "null", "cero", "zéro", "nought"), "0"),
    **dict.fromkeys(("one", "eins", "uno", "un", "une"), "1"),
    **dict.fromkeys(("two", "zwei", "zwo", "dos", "deux"), "2"),
    **dict.fromkeys(("three", "drei", "tres", "trois"), "3"),
    **dict.fromkeys(("four", "vier", "cuatro", "quatre"), "4"),
    **dict.fromkeys(("five", "fünf", "cinco", "cinq"), "5"),
    **dict.fromkeys(("six", "sechs", "seis"), "6"),
    **dict.fromkeys(("seven", "sieben", "siete", "sept"), "7"),
    **dict.fromkeys(("eight", "acht", "ocho", "huit"), "8"),
    **dict.fromkeys(("nine", "neun", "nueve", "neuf"), "9"),
}
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS = {
    **{word: str(10 + i) for i, word in enumerate((*_TEENS, "eighteen", "nineteen"))},
    **{word: str(20 + 10 * i) for i, word in enumerate(_TENS)},
}
_WORD = re.compile(r"[^\W\d_]+|\d+")
_TIMES = {"double": 2, "triple": 3}


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(
        str(unicodedata.decimal(char)) if char.isdecimal() else char
        for char in decomposed
        if not unicodedata.combining(char)
    )


_BY_WORD = {_plain(word): digits for word, digits in (_DIGITS | _NUMBERS).items()}
_TENS_WORDS = frozenset(_TENS)
_UNITS = frozenset("123456789")


def said_words(text: str) -> list[str]:
    """Return the words of a text in the form that values are looked for in."""
    words: list[str] = []
    tens = False
    for word in _WORD.findall(text.lower() if text.isascii() else _plain(text)):
        form = _BY_WORD.get(word, word)
        if tens and form in _UNITS and word in _BY_WORD:
            words[-1] = words[-1][0] + form  # "forty two"
        elif words and words[-1] in _TIMES and len(form) == 1:
            words[-1] = form * _TIMES[words[-1]]  # "double four"
        else:
            words.append(form)
        tens = word in _TENS_WORDS
    return words


def said_form(value: str) -> str:
    """Return the form of a value, empty where nothing of it can be said."""
    return "".join(said_words(value))


def said_of(text: str, forms: Collection[str], lengths: Collection[int]) -> Iterator[str]:
    """Yield the forms of values that a text says; ``lengths`` are those of the forms."""
    words = said_words(text)
    whole = "".join(words)
    ends, at = {0}, 0
    for word in words:
        at += len(word)
        ends.add(at)
    for start in ends:
        for length in lengths:
            if start + length in ends and (form := whole[start : start + length]) in forms:
                yield form


def says(text: str, value: str) -> bool:
    """Tell whether a text says a value; nothing is said where the value has no word."""
    form = said_form(value)
    return bool(form) and any(said_of(text, {form}, {len(form)}))
