"""Times as relkit writes them: UTC to the second, ``2026-01-31T12:00:00Z``."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator

_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_PATTERN = "%Y-%m-%dT%H:%M:%SZ"


def moment(text: str) -> datetime:
    """Return a UTC time; raises ValueError for every other spelling and for no time at all."""
    if not _FORM.fullmatch(text):
        raise ValueError("a UTC time such as 2026-01-31T12:00:00Z was expected")
    try:
        return datetime.strptime(text, _PATTERN).replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError("a UTC time such as 2026-01-31T12:00:00Z was expected") from error


def after(text: str, seconds: float) -> str:
    """Return the time so many seconds later; raises ValueError."""
    return (moment(text) + timedelta(seconds=seconds)).strftime(_PATTERN)


def checked_time(value: str) -> str:
    """Return a time as it is written; raises ValueError for what is none."""
    moment(value)
    return value


Time = Annotated[str, AfterValidator(checked_time)]
