"""A measured value with the uncertainty that can honestly be claimed for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its two-sided 95 % interval; None where there is none, never 0 or NaN.

    ``n`` counts the units of the denominator (words, utterances, clips), ``clusters`` the speakers
    or conversations behind them. ``method`` names how the interval was made and ``note`` says in
    words why there is none, or what it leaves out.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    clusters: int = 0
    unit: str = "fraction"
    method: str = "none"
    note: str | None = None
