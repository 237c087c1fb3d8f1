"""Durations on the command line."""

from relkit.domain.errors import UsageError
from relkit.records.durations import duration_s


def seconds(text: str, option: str) -> float:
    """Return a duration such as ``24h`` in seconds; raises UsageError."""
    try:
        return duration_s(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
