"""Where personal data stands in a text, and of which type it is."""

from dataclasses import dataclass
from typing import Literal

from relkit.core.values import Count

Language = Literal["de", "en", "es", "fr"]

NOT_COVERED = (
    "names",
    "places",
    "employers",
    "what makes a person known without a number",
)
"""What no scanner of rules finds in a transcript, as it is said with every result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalSpan:
    """Characters ``start`` to ``end`` (exclusive, in code points) of one line, and their type."""

    start: Count
    end: Count
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSpans:
    """The spans of one line of input, counted from 1; in order, none within another."""

    line: Count
    spans: tuple[PersonalSpan, ...]


@dataclass(frozen=True, slots=True)
class PersonalValue:
    """A span with the normal form of what is said in it; it stays inside of the process."""

    start: int
    end: int
    type: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionCounts:
    """What was masked in how many lines: numbers only, and what was not looked for."""

    lines: Count
    lines_masked: Count
    spans: Count
    by_type: dict[str, int]
    languages: tuple[Language, ...]
    not_covered: tuple[str, ...] = NOT_COVERED
