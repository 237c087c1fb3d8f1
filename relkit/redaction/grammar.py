"""The words of a line, and what of them are digits and letters in one language."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from relkit.redaction.tables.de import GERMAN
from relkit.redaction.tables.en import ENGLISH
from relkit.redaction.tables.es import SPANISH
from relkit.redaction.tables.fr import FRENCH
from relkit.redaction.tables.types import LanguageTable

OPAQUE = "\ue000"
"""Stands for what is masked already: nothing is read through it."""

_WORD = re.compile(r"[^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*|\S")
_MARKS = re.compile(r"[\u0300-\u036f]+")
_APOSTROPHES = frozenset("'`\u2019\u02bc")
_JOINING = frozenset("-\u2010\u2011\u2013\u2014.,/()")
_ABBREVIATIONS = frozenset(
    "no nr num tel geb acct ref ext apt id n nº av avda bd str st ca".split()
)
_LONGEST_MIXED = 24  # a digest is longer
_DIGITS, _HUNDRED, _THOUSAND = 10, 100, 1000


def fold(text: str) -> str:
    """Return text in lower case and without accents, as words are compared."""
    if text.isascii():
        return text.lower()
    return _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold()))


class LineWords:
    """The words and signs of a line, folded, with their places; apostrophes only join."""

    __slots__ = ("ends", "keys", "starts", "text", "tied")

    def __init__(self, text: str) -> None:
        """Read the line once, from left to right."""
        self.text = text
        self.keys: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.tied: set[int] = set()
        """Words that an apostrophe joins to the one before."""
        tie = -1
        for match in _WORD.finditer(text):
            sign = match[0]
            if sign in _APOSTROPHES:
                tie = match.end()
                continue
            if match.start() == tie:
                self.tied.add(len(self.keys))
            self.keys.append(fold(sign))
            self.starts.append(match.start())
            self.ends.append(match.end())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.keys)

    def close(self, index: int) -> bool:
        """Return whether nothing stands between a word and the one before."""
        return index > 0 and self.starts[index] == self.ends[index - 1]

    def within_decimal(self, index: int) -> bool:
        """Return whether written digits go on behind a sign: 2.4, 12,345, 10:30."""
        return self._goes_on(index - 1) or self._goes_on(index + 1)

    def _goes_on(self, sign: int) -> bool:
        if not 0 < sign < len(self.keys) - 1 or self.keys[sign] not in {".", ",", ":"}:
            return False
        tight = self.close(sign) and self.close(sign + 1)
        return tight and self.keys[sign - 1].isdigit() and self.keys[sign + 1].isdigit()

    def barrier(self, index: int) -> bool:
        """Return whether no value and no cue reaches over this word: a mask, an end of sentence."""
        key = self.keys[index]
        if key in {OPAQUE, "?", "!", ";", "<", ">"}:
            return True
        if key != "." or (index + 1 < len(self.keys) and self.close(index + 1)):
            return False
        return not (self.close(index) and self.keys[index - 1] in _ABBREVIATIONS)


@dataclass(frozen=True, slots=True)
class Symbols:
    """Some words that are digits or letters: words ``start`` to ``end``, written as ``text``.

    ``kind`` is ``digit`` (one said for itself), ``pair``, ``cardinal`` (100 and more), ``numeral``
    (written), ``letter``, ``spelled`` (of a spelling alphabet) or ``mixed`` (AB12).
    """

    start: int
    end: int
    text: str
    kind: str

    @property
    def is_number(self) -> bool:
        """Return whether it is said or written in digits."""
        return self.kind in {"digit", "pair", "cardinal", "numeral"}


@dataclass(frozen=True, slots=True)
class Cue:
    """A phrase that says what follows; ``type`` is empty where that is nobody's number."""

    start: int
    end: int
    type: str


def nearby(cues: Sequence[Cue], low: int, high: int) -> Sequence[Cue]:
    """Return the cues that end at word ``low`` or later and begin before word ``high``."""
    return cues[
        bisect_left(cues, low, key=lambda cue: cue.end) : bisect_right(
            cues, high - 1, key=lambda cue: cue.start
        )
    ]


class Phrases:
    """Phrases of one and more words, of which the longest that stands at a place is found."""

    __slots__ = ("_by_first",)

    def __init__(self, phrases: Mapping[str, str | int] | Iterable[str]) -> None:
        """Take phrases, with a value each or none."""
        pairs = phrases.items() if isinstance(phrases, Mapping) else ((p, "") for p in phrases)
        by_first: dict[str, list[tuple[list[str], str | int]]] = {}
        for phrase, value in pairs:
            for written in dict.fromkeys((phrase, phrase.replace(" ", "-"))):
                keys = LineWords(written).keys
                by_first.setdefault(keys[0], []).append((keys, value))
        self._by_first = {
            first: sorted(entries, key=lambda entry: -len(entry[0]))
            for first, entries in by_first.items()
        }

    def at(self, keys: list[str], index: int) -> tuple[int, str | int] | None:
        """Return where the phrase at ``index`` ends, and its value; None where there is none."""
        if index >= len(keys) or (entries := self._by_first.get(keys[index])) is None:
            return None
        for words, value in entries:
            size = len(words)
            if size == 1 or keys[index : index + size] == words:
                return index + size, value
        return None

    def ending(self, keys: list[str], end: int) -> int | None:
        """Return where a phrase begins that ends before word ``end``, or None."""
        for size in (3, 2, 1):
            start = end - size
            if start >= 0 and (place := self.at(keys, start)) is not None and place[0] == end:
                return start
        return None


class Grammar:
    """One language's table, ready to read lines with."""

    def __init__(self, table: LanguageTable) -> None:
        """Fold every word of the table once."""
        self.table = table
        self.numbers = Phrases(dict(table.numbers))
        self.alphabet = Phrases(dict(table.alphabet))
        self.letter_names = Phrases(dict(table.letter_names))
        self.as_in = Phrases(table.as_in)
        self.fillers = Phrases(table.fillers)
        self.at, self.dot = Phrases((*table.at, "@")), Phrases((*table.dot, "."))
        self.dash, self.underscore = (
            Phrases((*table.dash, "-")),
            Phrases((*table.underscore, "_")),
        )
        self.slash, self.colon = (
            Phrases((*table.slash, "/")),
            Phrases((*table.colon, ":")),
        )
        self.plus = Phrases((*table.plus, "+"))
        self.doors = Phrases(table.doors)
        self.repeats = {fold(word): count for word, count in table.repeats.items()}
        self.interjections = frozenset(map(fold, table.interjections))
        self.hundreds = frozenset(map(fold, table.hundreds))
        self.thousands = frozenset(map(fold, table.thousands))
        self.months = frozenset(map(fold, table.months))
        self.ordinals = {fold(word): value for word, value in table.ordinals.items()}
        self.date_joiners = frozenset(map(fold, table.date_joiners))
        self.time_words = frozenset(map(fold, table.time_words))
        self.stop_words = frozenset(map(fold, table.stop_words))
        self.units_after = frozenset(map(fold, table.units))
        self.streets = frozenset(map(fold, table.streets))
        self.sure_streets = frozenset(map(fold, table.sure_streets))
        self.street_endings = tuple(map(fold, table.street_endings))
        self.name_joiners = frozenset(map(fold, table.name_joiners))
        cues: dict[str, str | int] = {
            phrase: kind for kind, phrases in table.cues.items() for phrase in phrases
        }
        self.cues = Phrases(cues | dict.fromkeys(table.other_numbers, ""))

    def find_cues(self, words: LineWords) -> list[Cue]:
        """Return the cues of a line, in order; none within another."""
        cues: list[Cue] = []
        for index in range(len(words)):
            place = self.cues.at(words.keys, index)
            if place is None:
                continue
            cue = Cue(index, place[0], str(place[1]))
            if not cues or index >= cues[-1].end:
                cues.append(cue)
            elif place[0] > cues[-1].end and place[0] - index > cues[-1].end - cues[-1].start:
                cues[-1] = cue  # of two that overlap the longer one
        return cues

    def units(self, words: LineWords) -> list[Symbols]:
        """Return every word, or some together, that is a digit, a number or a letter."""
        units, index = [], 0
        while index < len(words):
            unit = self._repeated(words, index) or self._unit(words, index)
            if unit is not None:
                units.append(unit)
            index = index + 1 if unit is None else unit.end
        return units

    def runs(
        self, units: Sequence[Symbols], words: LineWords, cues: Sequence[Cue]
    ) -> list[list[Symbols]]:
        """Return units that are said as one: nothing but pauses and fillers between them.

        What is part of a cue (i p, PIN) is none of them.
        """
        runs: list[list[Symbols]] = []
        taken = {
            index
            for cue in cues
            if cue.end - cue.start > 1 or len(words.keys[cue.start]) > 1
            for index in range(cue.start, cue.end)
        }
        for unit in units:
            if taken.issuperset(range(unit.start, unit.end)):
                continue
            if runs and self._joined(words, runs[-1][-1], unit):
                runs[-1].append(unit)
            else:
                runs.append([unit])
        return [trimmed for run in runs if (trimmed := self._trimmed(run, words))]

    def _joined(self, words: LineWords, left: Symbols, right: Symbols) -> bool:
        index = left.end
        while index < right.start:
            key = words.keys[index]
            if key in _JOINING and key:
                written = left.kind in {"digit", "numeral"} and right.kind == "numeral"
                if key == "," and written:
                    return False
                if key == "." and not (left.is_number and right.is_number):
                    return False
                tight = words.close(index) and words.close(index + 1)
                if key == "." and tight and "numeral" in {left.kind, right.kind}:
                    return False
                index += 1
                continue
            place = self.fillers.at(words.keys, index)
            if place is None:
                return False
            index = place[0]
        return index == right.start and right.start - left.end <= 4

    def _trimmed(self, run: list[Symbols], words: LineWords) -> list[Symbols]:
        """Leave out words at the ends that are letters only by chance, and read ``o``."""
        letters = {"letter", "spelled"}
        run = self._zeros(self._zeros(run, words, 1), words, -1)
        chance = self.table.words_as_letters | self.interjections
        first, last = 0, len(run)
        spelled = [i for i, unit in enumerate(run) if unit.kind in letters]
        if len(spelled) == 1 and last > 1 and run[spelled[0]].kind == "spelled":
            # a hotel, Berlin: a word beside a number, and no letter of it
            first += spelled[0] == 0
            last -= spelled[0] == last - 1
        while first < last and words.keys[run[first].start] in chance:
            after = run[first + 1] if first + 1 < last else None
            tight = after is not None and after.start == run[first].end
            alike = {"digit", "pair"} if run[first].kind == "digit" else letters
            if tight and after is not None and after.kind in alike:
                break
            first += 1
        while first < last and run[last - 1].kind == "letter":
            if words.keys[run[last - 1].start] not in chance:
                break
            if last - first > 1 and run[last - 2].kind in letters:
                break
            last -= 1
        return run[first:last]

    def _zeros(self, run: list[Symbols], words: LineWords, step: int) -> list[Symbols]:
        """Return a run in which an interjection is a zero beside a number, in one direction."""
        read: list[Symbols] = []
        for unit in run[::step]:
            if (
                read
                and read[-1].is_number
                and unit.kind == "letter"
                and words.keys[unit.start] in self.interjections
            ):
                read.append(Symbols(unit.start, unit.end, "0", "digit"))
            else:
                read.append(unit)
        return read[::step]

    def _repeated(self, words: LineWords, index: int) -> Symbols | None:
        count = self.repeats.get(words.keys[index])
        if count is None or index + 1 >= len(words):
            return None
        unit = self._unit(words, index + 1)
        if unit is None or len(unit.text) != 1:
            return None
        return Symbols(index, unit.end, unit.text * count, unit.kind)

    def _unit(self, words: LineWords, index: int) -> Symbols | None:
        key = words.keys[index]
        if key.isdigit() and key.isascii():
            if words.within_decimal(index):
                return None
            return Symbols(index, index + 1, key, "digit" if len(key) == 1 else "numeral")
        if key in self.interjections:
            return Symbols(index, index + 1, key if len(key) == 1 else "0", "letter")
        return self._number(words.keys, index) or self._letter(words, index)

    def _letter(self, words: LineWords, index: int) -> Symbols | None:
        """Return a letter that is said or spelled, or a word of letters and digits."""
        key = words.keys[index]
        if (phrase := self.alphabet.at(words.keys, index)) is not None:
            return Symbols(index, phrase[0], str(phrase[1]), "spelled")
        if len(key) == 1 and key.isalpha():
            if index in words.tied or index + 1 in words.tied:
                return None
            example = self.as_in.at(words.keys, index + 1)
            if example and "".join(words.keys[example[0] : example[0] + 1]).startswith(key):
                return Symbols(index, example[0] + 1, key, "spelled")
            return Symbols(index, index + 1, key, "letter")
        if (name := self.letter_names.at(words.keys, index)) is not None:
            return Symbols(index, name[0], str(name[1]), "letter")
        original = words.text[words.starts[index] : words.ends[index]]
        letters_and_digits = (
            len(key) <= _LONGEST_MIXED and key.isascii() and key.isalnum() and not key.isalpha()
        )
        if letters_and_digits or (1 < len(key) <= 3 and original.isupper()):
            return Symbols(index, index + 1, key, "mixed")
        return None

    def _below_hundred(self, keys: list[str], index: int) -> tuple[int, int] | None:
        """Return (end, value) of a number of one word, or of ten and one."""
        place = self.numbers.at(keys, index)
        if place is None:
            return None
        end, value = place[0], int(place[1])
        table, after_one = self.table, _over_hyphen(keys, end)
        if value < _DIGITS and table.ones_joiner and keys[end : end + 1] == [table.ones_joiner]:
            tens = self.numbers.at(keys, end + 1)
            if tens is not None and 20 <= int(tens[1]) < _HUNDRED and int(tens[1]) % 10 == 0:
                return tens[0], int(tens[1]) + value
        if 20 <= value < _HUNDRED and value % 10 == 0:
            joined = keys[after_one : after_one + 1] == [table.tens_joiner]
            after = self.numbers.at(keys, _over_hyphen(keys, after_one + joined))
            most = 19 if table.twenties and value in {60, 80} else 9
            allowed = joined or not table.tens_joiner or table.twenties
            if allowed and after is not None and 1 <= int(after[1]) <= most:
                return after[0], value + int(after[1])
        return end, value

    def number(self, keys: list[str], index: int) -> tuple[int, int] | None:
        """Return (end, value) of the number that begins at a word, or None."""
        unit = self._number(keys, index)
        return None if unit is None else (unit.end, int(unit.text))

    def _number(self, keys: list[str], index: int) -> Symbols | None:
        first = self._below_hundred(keys, index)
        if first is None:
            return None
        end, value = first
        kind = "digit" if value < _DIGITS else "pair" if value < _HUNDRED else "cardinal"
        for scale, factor in ((self.hundreds, _HUNDRED), (self.thousands, _THOUSAND)):
            at = _over_hyphen(keys, end)
            if at < len(keys) and keys[at] in scale and 0 < value < _THOUSAND:
                value, end, kind = value * factor, at + 1, "cardinal"
        if kind == "cardinal":
            end, value = self._rest(keys, end, value)
        return Symbols(index, end, str(value), kind)

    def _rest(self, keys: list[str], end: int, value: int) -> tuple[int, int]:
        """Return (end, value) with what follows a hundred or a thousand, where it belongs to it."""
        at = _over_hyphen(keys, end)
        joined = keys[at : at + 1] == [self.table.number_joiner]
        rest = self._below_hundred(keys, _over_hyphen(keys, at + joined))
        if rest is None or rest[1] == 0:
            return end, value
        after, low = rest
        if value % _THOUSAND == 0 and after < len(keys) and keys[after] in self.hundreds:
            return self._rest(keys, after + 1, value + low * _HUNDRED)
        room = _THOUSAND if value % _THOUSAND == 0 else _HUNDRED
        if room == _HUNDRED and after < len(keys) and keys[after] in self.hundreds:
            return end, value
        follows = self.numbers.at(keys, after) is not None
        if low >= room or (follows and not joined and low < _DIGITS):
            return end, value
        if value % _THOUSAND == 0 and low >= _HUNDRED:
            return self._rest(keys, after, value + low)
        return after, value + low


def _over_hyphen(keys: list[str], index: int) -> int:
    """Return the place after a hyphen, which may join the words of a number."""
    return index + (keys[index : index + 1] == ["-"])


TABLES = {table.language: table for table in (ENGLISH, GERMAN, SPANISH, FRENCH)}
"""The languages there are, by their codes."""


@lru_cache(maxsize=16)
def grammar_of(language: str) -> Grammar:
    """Return the grammar of a language that has a table; raises KeyError for another."""
    return Grammar(TABLES[language])
