"""Bets on amounts (cost per success, turns per session, predicted MOS) instead of events.

The same game as :mod:`relkit.statistics.bets`: the arm of a unit is guessed at fair odds, here from
how far its amount lies from what both arms together would let one expect. Amounts are held within
five spreads, so that one whale does not decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.statistics.bets import log_odds_paid
from relkit.statistics.types import BoolArray

DELTAS: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Relative changes for the worse, of which each is bet on."""

DELTA_WEIGHTS: tuple[float, ...] = (0.2, 0.2, 0.2, 0.2, 0.2)
"""Which part of a trigger's stake is on each of :data:`DELTAS`."""

FARTHEST = 5.0
"""Spreads beyond which an amount counts as this far."""

_CONSTANT = 1e-9  # of the mean amount: a smaller spread is rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitAmounts:
    """The units of one step, trigger and slice: arm, amount y and base d of each, all (u,).

    The ratio sum y / sum d is what is compared: cost over successes, turns over sessions (d = 1).
    ValueError where the lengths differ, a value is not finite or a base is negative.
    """

    canary: BoolArray
    amounts: FloatArray
    bases: FloatArray

    def __post_init__(self) -> None:
        """Refuse what has no ratio."""
        if len({len(self.canary), len(self.amounts), len(self.bases)}) != 1:
            raise ValueError("arms, amounts and bases have one length")
        if not bool(np.all(np.isfinite(self.amounts) & np.isfinite(self.bases))):
            raise ValueError("an amount that is not finite cannot be compared")
        if bool(np.any(self.bases < 0)):
            raise ValueError("a base counts something and is not negative")

    def __add__(self, other: "UnitAmounts") -> "UnitAmounts":
        """Return the units of both, sorted, so that sums do not depend on the order."""
        canary = np.concatenate((self.canary, other.canary))
        amounts = np.concatenate((self.amounts, other.amounts))
        bases = np.concatenate((self.bases, other.bases))
        order = np.lexsort((canary, bases, amounts))
        return UnitAmounts(canary=canary[order], amounts=amounts[order], bases=bases[order])

    @property
    def both_arms(self) -> bool:
        """Whether there are units of the canary and of control."""
        return bool(np.any(self.canary)) and not bool(np.all(self.canary))

    def ratio(self) -> float | None:
        """Return R = sum y / sum d of both arms together; None where there is no base."""
        bases = float(self.bases.sum())
        return float(self.amounts.sum()) / bases if bases > 0 else None


def log_capitals_of_amounts(
    units: UnitAmounts,
    share: float,
    *,
    lower_is_worse: bool = False,
    deltas: Sequence[float] = DELTAS,
) -> FloatArray:
    """Return the log capital of the bet on each relative change, of the units of one step.

    sum [A x lambda - ln(1 + p (e^(lambda x) - 1))] with x = clip((y - R d) / s, -5, 5), s the root
    of the mean square of y - R d over both arms, and lambda = min(1, delta |R| d_mean / s): the
    tilt of the best bet on a mean that moved by delta (Waudby-Smith and Ramdas 2024, "Estimating
    means of bounded random variables by betting"). Averaged over all ways to draw the arms, each
    capital is 1. Zeros where no unit differs, or there is no base.
    """
    ratio = units.ratio()
    if ratio is None:
        return np.zeros(len(deltas))
    distances = units.amounts - ratio * units.bases
    spread = float(np.sqrt(np.mean(np.square(distances))))
    size = abs(ratio) * float(units.bases.mean())
    if spread <= _CONSTANT * max(size, float(np.abs(units.amounts).max())):
        return np.zeros(len(deltas))
    scores = np.clip(distances / spread, -FARTHEST, FARTHEST) * (-1.0 if lower_is_worse else 1.0)
    tilts = np.minimum(1.0, np.asarray(deltas, dtype=np.float64) * size / spread)
    exponents = scores[:, None] * tilts
    gains = units.canary[:, None] * exponents - log_odds_paid(exponents, share)
    return np.asarray(gains.sum(axis=0), dtype=np.float64)


def step_capitals_of_amounts(
    units: UnitAmounts, share: float, *, lower_is_worse: bool = False
) -> FloatArray:
    """Return :func:`log_capitals_of_amounts`, (5,); zeros where one arm has no unit."""
    if not units.both_arms:
        return np.zeros(len(DELTAS))
    return log_capitals_of_amounts(units, share, lower_is_worse=lower_is_worse)
