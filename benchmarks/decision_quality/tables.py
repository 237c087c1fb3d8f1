"""How counts are printed."""

import math


def percent(count: int, of: int) -> str:
    """Return a share in percent, 10 wide."""
    return f"{100 * count / of:10.1f}"


def with_error(count: int, of: int) -> str:
    """Return a share in percent and its binomial standard error, 10 and 8 wide."""
    share = count / of
    return f"{percent(count, of)}{100 * math.sqrt(share * (1.0 - share) / of):8.2f}"
