"""Durations as settings files write them: ``90s``, ``30m``, ``24h``, ``7d``."""

import re

DURATION = r"^[0-9]{1,6}(\.[0-9]{1,6})?[smhd]$"
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EXPECTED = "a duration such as 90s, 30m, 24h or 7d was expected"
LONGEST_S = 3650 * 86400.0
"""Ten years: what is valid for longer is not meant."""


def duration_s(text: str) -> float:
    """Return a duration in seconds; raises ValueError for none, for 0 and for over 10 years."""
    if not re.fullmatch(DURATION, text):
        raise ValueError(_EXPECTED)
    seconds = float(text[:-1]) * _SECONDS[text[-1]]
    if not 0 < seconds <= LONGEST_S:
        raise ValueError(f"{_EXPECTED}, longer than 0 and at most 3650d")
    return seconds


def checked_duration(value: object) -> object:
    """Return a duration as it was written; raises ValueError for what is none."""
    if not isinstance(value, str):
        raise ValueError(_EXPECTED)  # noqa: TRY004 - pydantic's protocol
    duration_s(value)
    return value
