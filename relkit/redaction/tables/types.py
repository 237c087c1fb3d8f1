"""The words of one language from which personal values are said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

AddressOrder = Literal[
    "number name street", "number street name", "street name number", "street number"
]
"""How an address is said: 12 Oak Street, 12 rue de la Paix, calle Mayor 12, Hauptstraße 12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageTable:
    """Words and phrases in lower case; accents are dropped on both sides when compared.

    ``numbers`` holds 0 to 99 as far as they are words of their own, and hundreds that are;
    ``tens_joiner`` stands between ten and one (treinta *y* cinco), ``ones_joiner`` between one and
    ten (fünf *und* zwanzig). ``interjections`` are zeros only beside another digit (oh).
    """

    language: str
    regions: tuple[str, ...]
    numbers: Mapping[str, int]
    interjections: frozenset[str] = frozenset()
    tens_joiner: str = ""
    ones_joiner: str = ""
    twenties: bool = False
    """Whether sixty and eighty take eleven to nineteen (soixante-douze)."""
    hundreds: frozenset[str]
    thousands: frozenset[str]
    number_joiner: str = ""
    repeats: Mapping[str, int]
    alphabet: Mapping[str, str]
    letter_names: Mapping[str, str]
    words_as_letters: frozenset[str]
    """Letters that are words, too (a, i): they begin and end no spelling."""
    as_in: tuple[str, ...]
    at: tuple[str, ...]
    dot: tuple[str, ...]
    dash: tuple[str, ...]
    underscore: tuple[str, ...]
    slash: tuple[str, ...]
    colon: tuple[str, ...]
    plus: tuple[str, ...]
    fillers: tuple[str, ...]
    months: tuple[str, ...]
    ordinals: Mapping[str, int]
    date_joiners: frozenset[str]
    time_words: frozenset[str]
    """What is said before a time of day (at ten thirty)."""
    cues: Mapping[str, tuple[str, ...]]
    """By type of value: what is said before it, or shortly after."""
    other_numbers: tuple[str, ...]
    """What is said before numbers that are nobody's: versions, errors, chapters."""
    units: frozenset[str]
    """What is said after numbers that are nobody's: percent, turns, minutes."""
    stop_words: frozenset[str]
    streets: frozenset[str]
    sure_streets: frozenset[str]
    """Those that make an address of a number beside them without a cue."""
    street_endings: tuple[str, ...] = ()
    address_order: AddressOrder
    name_joiners: frozenset[str] = field(default=frozenset())
    """Words inside of a street's name (de, la)."""
    doors: tuple[str, ...]
    """What follows an address with a number or letter of its own (apartment)."""
