"""What a comparison could decide on data of a given size, before anything is decoded.

The spread of a difference d of two rates over C clusters with n units in all is taken as

    se^2 = 2 rate discordance clumping / n + (between_clusters rate)^2 / C

Each system has rate * discordance errors per unit which the other does not have; they come in
clumps, so their counts vary ``clumping`` times as much as Poisson's; and speakers differ in how
much the change of system means to them. All probabilities are for the tests as the rules decide
them: two-sided 95 % ends for a margin, one-sided ones for a ratio of rates.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from relkit.statistics.distributions import TWO_SIDED_95, t_power, t_quantile
from relkit.statistics.exclusion import (
    OWN_SHARE,
    Dispersion,
    Ratios,
    clusters_to_exclude,
    smallest_excluded,
)
from relkit.statistics.intervals import MIN_CLUSTERS, MIN_DF
from relkit.statistics.types import Difference

POWER = 0.8

MOST_CLUSTERS = 1_000_000
"""No more clusters than these are ever asked for: beyond them the answer is None."""

_KURTOSIS = 3.0  # of a normal distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSize:
    """How much data a slice has: ``units`` are those of the metric's denominator (words).

    ``shared`` is the share of pairs of utterances in which two clusters read the same prompt: 1 / P
    where all read P prompts, 0 where that does not count.
    """

    slice: str
    clusters: int
    utterances: int
    units: float
    shared: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What two systems are supposed to be like before they are measured.

    ``rate`` of the baseline; ``discordance`` the share of a system's errors that the other does not
    make; ``clumping`` the variance of such errors over Poisson's; ``between_clusters`` the standard
    deviation between speakers of the difference, as a share of the rate, and ``between_prompts``
    that between prompts.
    """

    rate: float = 0.08
    discordance: float = 0.2
    clumping: float = 1.25
    between_clusters: float = 0.05
    between_prompts: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How precisely a difference is known, or will be: ``se`` with ``df`` over ``clusters``."""

    slice: str
    clusters: int
    se: float
    df: float


def expected_precision(size: SliceSize, assumptions: Assumptions) -> Precision | None:
    """Return the precision a difference will have in a slice; None under 5 clusters or no unit."""
    if size.clusters < MIN_CLUSTERS or size.units <= 0:
        return None
    one_way = (
        _per_unit(assumptions) / size.units
        + (assumptions.between_clusters * assumptions.rate) ** 2 / size.clusters
    )
    added = (assumptions.between_prompts * assumptions.rate) ** 2 * size.shared
    df, share = expected_df(size.clusters), one_way / (one_way + added)
    if added > 0:
        of_prompts = expected_df(max(1, round(1.0 / size.shared)))
        df = min(df, 1.0 / (share**2 / df + (1.0 - share) ** 2 / of_prompts))
    return Precision(slice=size.slice, clusters=size.clusters, se=math.sqrt(one_way + added), df=df)


def measured_precision(difference: Difference) -> Precision | None:
    """Return the precision of a difference that was measured; None where it has no interval."""
    if difference.se is None or difference.df is None:
        return None
    return Precision(
        slice=difference.slice, clusters=difference.clusters, se=difference.se, df=difference.df
    )


def expected_df(clusters: int) -> float:
    """Return the effective degrees of freedom that C normal clusters have: (C + 2) / 3.

    (sum q^2)^2 / sum q^4 tends to C over the kurtosis; the + 2 is the small-sample part (for normal
    q, E sum q^2 squared over E sum q^4 is C (C + 2) / 3 C).
    """
    return min(max((clusters + 2.0) / _KURTOSIS, MIN_DF), max(clusters - 1.0, MIN_DF))


def chance_to_pass(precision: Precision, margin: float, *, worsening: float = 0.0) -> float:
    """Return the probability that ``non_inferiority`` passes at ``margin``.

    The upper end d + t se has to stay at or below the margin when the true worsening is as given: a
    t test whose critical value has ``precision.df`` and whose se varies with C - 1.
    """
    if precision.se == 0.0:
        return float(worsening <= margin)
    critical = float(t_quantile(TWO_SIDED_95, np.array([precision.df]))[0])
    return t_power((margin - worsening) / precision.se, precision.clusters - 1.0, critical)


def smallest_margin(precision: Precision, *, power: float = POWER) -> float:
    """Return the smallest margin at which an equal system passes with probability ``power``."""
    if precision.se == 0.0:
        return 0.0
    unit = replace(precision, se=1.0)
    high = 1.0
    while chance_to_pass(unit, high) < power:
        high *= 2.0
    return precision.se * _bisect(lambda m: chance_to_pass(unit, m) >= power, high)


def clusters_to_pass(
    precision: Precision, margin: float, *, power: float = POWER, worsening: float = 0.0
) -> int | None:
    """Return how many clusters like these let a system pass at ``margin`` with ``power``.

    None where the true worsening is at or above the margin, or over a million clusters are needed.
    The degrees of freedom grow in proportion to the clusters.
    """
    if worsening >= margin or precision.clusters < 1:
        return None

    def enough(clusters: int) -> bool:
        grown = Precision(
            slice=precision.slice,
            clusters=clusters,
            se=precision.se * math.sqrt(precision.clusters / clusters),
            df=max(MIN_DF, min(clusters - 1.0, precision.df * clusters / precision.clusters)),
        )
        return chance_to_pass(grown, margin, worsening=worsening) >= power

    return _fewest(enough)


def excludable_ratio(
    size: SliceSize, assumptions: Assumptions, *, slices: int = 1, clusters: int | None = None
) -> float | None:
    """Return the smallest ratio at which an equal system passes ``no_regression`` in 80 %.

    All of the ``slices`` of its family, taken to be like this one, have to pass; ``clusters`` are
    those of the family in all. None under 5 clusters, without a unit, or where no ratio would do.
    """
    if size.clusters < MIN_CLUSTERS or size.units <= 0 or assumptions.rate <= 0:
        return None
    ratio = float(smallest_excluded(_planned(size, assumptions, clusters), _each(slices))[0])
    return ratio if math.isfinite(ratio) else None


def clusters_to_pass_ratio(
    size: SliceSize,
    assumptions: Assumptions,
    ratio: float,
    *,
    slices: int = 1,
    clusters: int | None = None,
) -> int | None:
    """Return how many clusters as large as these let an equal system pass at ``ratio`` in 80 %.

    At least 5; None over a million, and without a unit to grow from.
    """
    if size.clusters < 1 or size.units <= 0 or assumptions.rate <= 0 or ratio <= 1.0:
        return None
    needed = clusters_to_exclude(
        _planned(size, assumptions, clusters), ratio, power=_each(slices), most=MOST_CLUSTERS
    )[0]
    return int(needed) if math.isfinite(needed) else None


def _each(slices: int) -> float:
    """Return the power that each of so many slices needs for all of them together to have 80 %."""
    return float(POWER ** (1.0 / max(1, slices)))


def _planned(size: SliceSize, assumptions: Assumptions, clusters: int | None) -> Ratios:
    unit = np.ones(1)
    errors = unit * assumptions.rate * size.units
    own, family = (expected_df(count) for count in (size.clusters, clusters or size.clusters))
    parts = OWN_SHARE / math.sqrt(own) + (1.0 - OWN_SHARE) / math.sqrt(max(own, family))
    return Ratios(
        candidate=errors,
        baseline=errors,
        clusters=unit * float(size.clusters),
        squares=unit / size.clusters,
        factor=unit,
        df=unit * parts**-2.0,
        prompts=(assumptions.between_prompts * errors) ** 2 * size.shared,
        dispersion=Dispersion(
            phi=assumptions.discordance * assumptions.clumping,
            between=assumptions.between_clusters**2,
        ),
    )


def _per_unit(assumptions: Assumptions) -> float:
    return 2.0 * assumptions.rate * assumptions.discordance * assumptions.clumping


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """Return the smallest number of clusters from 5 to a million that is enough."""
    high = MIN_CLUSTERS
    while not enough(high):
        if high >= MOST_CLUSTERS:
            return None
        high = min(2 * high, MOST_CLUSTERS)
    low = MIN_CLUSTERS - 1 if high == MIN_CLUSTERS else high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _bisect(enough: Callable[[float], bool], high: float) -> float:
    """Return the smallest value in [0, high] that is enough, to 1e-9 of ``high``."""
    low = 0.0
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
