"""Where personal data stands in a text, and of which type it is."""

from dataclasses import dataclass
from typing import Literal

from relkit.core.values import Count

Language = Literal["de", "en", "es", "fr"]


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
