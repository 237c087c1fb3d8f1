"""How much time lies between two times."""

from datetime import datetime


def seconds_between(earlier: str, later: str) -> float | None:
    """Return the seconds from one UTC time to another; None where one is no UTC time."""
    try:
        start, end = (datetime.fromisoformat(text) for text in (earlier, later))
    except ValueError:
        return None
    if start.utcoffset() is None or end.utcoffset() is None:
        return None
    return (end - start).total_seconds()
