"""How figures are printed."""

from collections.abc import Sequence

import numpy as np


def share_of(hits: Sequence[bool]) -> str:
    """Return a share in percent and its binomial standard error, 14 wide."""
    share = float(np.mean(hits))
    return f"{100 * share:7.1f} +-{100 * (share * (1 - share) / len(hits)) ** 0.5:4.1f}"


def median(values: Sequence[float | None]) -> str:
    """Return the median, 10 wide; - where most of the values do not exist."""
    middle = float(np.median([np.inf if value is None else value for value in values]))
    return f"{middle:10,.0f}" if np.isfinite(middle) else f"{'-':>10}"
