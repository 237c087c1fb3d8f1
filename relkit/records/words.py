"""Texts that people put into signed records: one line of limited length, printed as it is."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from relkit.domain.values import one_line

LONGEST_REASON = 500
LONGEST_NAME = 200

VerdictWord = Literal["pass", "inconclusive", "no_data", "error", "fail"]


Line = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(one_line)]
Reason = Annotated[str, Field(max_length=LONGEST_REASON), AfterValidator(one_line)]
