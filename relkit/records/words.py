"""Texts that people put into signed records: one line of limited length, printed as it is."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

LONGEST_REASON = 500
LONGEST_NAME = 200

VerdictWord = Literal["pass", "inconclusive", "no_data", "error", "fail"]


def one_line(text: str) -> str:
    """Return text that is one line; raises ValueError for none, several, and blanks around it."""
    if not text.strip():
        raise ValueError("is empty")
    if text != text.strip():
        raise ValueError("has blanks around it")
    if not text.isprintable():
        raise ValueError("holds a line break or another control character")
    return text


Line = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(one_line)]
Reason = Annotated[str, Field(max_length=LONGEST_REASON), AfterValidator(one_line)]
