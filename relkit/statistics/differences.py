"""How much worse a candidate is than a baseline, slice by slice, with an interval.

The interval of the difference is jackknifed over clusters on its own scale: d without one cluster,
q = that - mean, se^2 = (C - 1) / C sum q^2, effective degrees of freedom (sum q^2)^2 / sum q^4 and
two-sided 95 % ends d +- t se (docs/method.md, section "Comparing two systems"). The degrees of
freedom are at most those of the clusters' units, (sum n)^2 / sum n^2 - 1: where few speakers say
most, these few can agree by chance.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.metrics import metric_of
from relkit.core.wording import counted
from relkit.statistics.crossed import rate_spread
from relkit.statistics.distributions import TWO_SIDED_95, UNSEEN, t_quantile, unseen, unseen_share
from relkit.statistics.intervals import (
    MIN_CLUSTERS,
    MIN_DF,
    Spread,
    distinct,
    group_sum,
    highest_rate,
    leave_one_out_spread,
    with_prompts,
)
from relkit.statistics.power import MOST_CLUSTERS, POWER, clusters_to_pass, measured_precision
from relkit.statistics.rates import RateMetric
from relkit.statistics.types import ClusterSums, Difference, PairedSums

JACKKNIFE = "jackknife"
NO_DISCORDANT = "no-discordant"
FEW_DISCORDANT = "few-discordant"
UNPAIRED = "unpaired-jackknife"
_BROKEN = "a sum behind it is not a number"


@dataclass(frozen=True, slots=True, kw_only=True)
class _System:
    """One system's metric over all slices (S,), and by row (R,) of a slice's cluster.

    ``left`` is the metric without the row's cluster, ``own`` that of the cluster alone; ``group``
    the slice of a row. ``n`` and ``utterances`` count once whatever the repeats. ``sound``: no sum
    of the slice is NaN, infinite or negative. ``most_df`` are the degrees of freedom that the units
    of the clusters allow.
    """

    value: FloatArray
    left: FloatArray
    own: FloatArray
    group: IntArray
    n: IntArray
    utterances: IntArray
    sound: NDArray[np.bool_]
    most_df: FloatArray


def rate_differences(
    metric: RateMetric, pairs: PairedSums, *, highest: float | None = None
) -> tuple[Difference, ...]:
    """Return the worsening in each of ``pairs.candidate.slices``, in that order.

    - A slice without a unit in either system, or with a sum that is no number, has none.
    - Under 5 clusters, or where leaving one out leaves no unit, there is no interval.
    - Where no cluster differs, the ends are +- the larger of 3.7 / utterances and (1 -
      0.025^(1/C)) times the largest difference of a cluster anywhere in the run: what this much
      data can miss. Measured amounts (latency, MOS) that agree exactly in every cluster agree.
    - Where fewer than 5 clusters differ, the interval holds at least those ends: a few differences
      must not look more certain than none.

    ``highest`` stands for that largest difference where the pairs are only a part of the run.
    """
    slices = pairs.candidate.slices
    used = _used(metric, pairs.candidate) | _used(metric, pairs.baseline)
    candidate = _system(metric, pairs.candidate, used)
    baseline = _system(metric, pairs.baseline, used)
    spread = leave_one_out_spread(candidate.left - baseline.left, candidate.group, len(slices))
    spread = replace(spread, df=np.minimum(spread.df, candidate.most_df))
    spread = with_prompts(spread, rate_spread(metric, (pairs.candidate, pairs.baseline)))
    differs = np.zeros(int(used.sum()))
    for name in metric.columns:
        differs[pairs.candidate.columns[name][used] != pairs.baseline.columns[name][used]] = 1.0
    discordant = group_sum(differs, candidate.group, len(slices))
    worst = highest_difference(metric, pairs) if highest is None else highest
    half = spread.half_width
    differences = []
    for i, name in enumerate(slices):
        difference = replace(
            _point(metric, name, candidate, baseline, i),
            clusters=int(spread.clusters[i]),
            discordant=int(discordant[i]),
        )
        if difference.worsening is not None:
            difference = _paired(metric, difference, _at(spread, i), float(half[i]), worst)
        differences.append(difference)
    return tuple(differences)


def highest_difference(metric: RateMetric, pairs: PairedSums) -> float:
    """Return the largest difference of a cluster anywhere in the run, 0 without any."""
    used = _used(metric, pairs.candidate) | _used(metric, pairs.baseline)
    here, base = (_system(metric, sums, used) for sums in (pairs.candidate, pairs.baseline))
    return highest_rate(np.abs(here.own - base.own), here.group, pairs.candidate.slices)


def unpaired_differences(
    metric: RateMetric, candidate: ClusterSums, baseline: ClusterSums
) -> tuple[Difference, ...]:
    """Return the worsening per slice of two systems that answered different utterances.

    Slices are the candidate's, matched by name. The squared errors of two independent jackknifes
    add up, df by Satterthwaite (1946); ``clusters`` is the smaller number of the two. A system
    without an error, whose jackknife has no spread, brings what it can hide: the larger of 3.7 /
    utterances and (1 - 0.025^(1/C)) times the highest rate of a cluster of its run, by the
    square-and-add rule (Zou and Donner 2008, Statistics in Medicine 27:1693).
    """
    here, base = (_system(metric, sums, _used(metric, sums)) for sums in (candidate, baseline))
    runs = ((here, candidate.slices), (base, baseline.slices))
    spreads = [
        with_prompts(
            leave_one_out_spread(each.left, each.group, len(sums.slices)),
            rate_spread(metric, (sums,)),
        )
        for each, sums in ((here, candidate), (base, baseline))
    ]
    highest = [highest_rate(each.own, each.group, slices) for each, slices in runs]
    place = {name: i for i, name in enumerate(baseline.slices)}
    differences = []
    for i, name in enumerate(candidate.slices):
        k = place.get(name)
        difference = _point(metric, name, here, base if k is not None else None, i, k or 0)
        if difference.worsening is not None and k is not None:
            two = (_at(spreads[0], i), _at(spreads[1], k))
            hidden = (
                _hidden(metric, here.value[i], here.utterances[i], two[0], highest[0]),
                _hidden(metric, base.value[k], base.utterances[k], two[1], highest[1]),
            )
            difference = _unpaired(metric, difference, two, hidden)
        differences.append(difference)
    return tuple(differences)


def clusters_needed(
    difference: Difference, margin: float, *, power: float = POWER, effect: float = 0.0
) -> int | None:
    """Return how many clusters like these would decide non-inferiority at ``margin``.

    That is, with probability ``power`` pass if the true worsening were ``effect`` below the margin,
    and fail if it were above; more than there are now, since these did not. None where a million
    would not do (an effect at the margin), or there is no difference at all. Under 5 clusters the
    answer is 5, the fewest that have an interval.
    """
    if difference.worsening is None or not (math.isfinite(margin) and math.isfinite(effect)):
        return None
    if difference.clusters < MIN_CLUSTERS:
        return MIN_CLUSTERS
    distance = abs(margin - effect)
    if difference.method == NO_DISCORDANT and difference.high is not None:
        if distance * MOST_CLUSTERS < difference.high * difference.clusters:
            return None
        needed: int | None = math.ceil(difference.clusters * difference.high / distance)
    else:
        precision = measured_precision(difference)
        if precision is None:
            return None
        needed = clusters_to_pass(precision, distance, power=power)
    return None if needed is None else max(needed, difference.clusters + 1)


def _used(metric: RateMetric, sums: ClusterSums) -> NDArray[np.bool_]:
    """Return the rows that are a cluster of this metric, those that are no numbers included."""
    return np.asarray(~(sums.columns[metric.n] <= 0), dtype=np.bool_)


def _system(metric: RateMetric, sums: ClusterSums, used: NDArray[np.bool_]) -> _System:
    groups = len(sums.slices)
    group = sums.slice_index[used]
    rows = {name: sums.columns[name][used] for name in metric.needs}
    broken = np.zeros(len(group), dtype=np.bool_)
    for column in rows.values():
        broken |= ~np.isfinite(column) | (column < 0)
    rows = {name: np.where(broken, 0.0, column) for name, column in rows.items()}
    totals = {name: group_sum(column, group, groups) for name, column in rows.items()}
    left_out = {name: totals[name][group] - rows[name] for name in metric.needs}
    return _System(
        value=metric.function(totals),
        left=np.where(left_out[metric.n] > 0, metric.function(left_out), np.nan),
        own=metric.function(rows),
        group=group,
        n=_distinct(totals[metric.n], sums.repeats),
        utterances=_distinct(totals[metric.utterances], sums.repeats),
        sound=np.bincount(group, weights=broken, minlength=groups) == 0,
        most_df=np.maximum(_evenness(rows[metric.n], group, groups) - 1.0, MIN_DF),
    )


def _distinct(totals: FloatArray, repeats: int) -> IntArray:
    return np.array([distinct(total, repeats) for total in totals.tolist()], dtype=np.int64)


def _evenness(units: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Return how many clusters of equal size there would be: (sum n)^2 / sum n^2 (Kish 1965)."""
    squares = group_sum(units**2, group, groups)
    total = group_sum(units, group, groups)
    return np.divide(total**2, squares, out=np.zeros(groups), where=squares > 0)


def _at(spread: Spread, i: int) -> Spread:
    """Return the spread of one slice."""
    row = slice(i, i + 1)
    return Spread(se=spread.se[row], df=spread.df[row], clusters=spread.clusters[row])


def _point(
    metric: RateMetric, name: str, here: _System, base: _System | None, i: int, k: int | None = None
) -> Difference:
    """Return the difference without an interval: slice ``i`` here, ``k`` (or ``i``) there."""
    definition = metric_of(metric.name)
    empty = Difference(
        slice=name, candidate=None, baseline=None, worsening=None, unit=definition.unit
    )
    if base is None:
        return replace(empty, note="the baseline has no such slice")
    k = i if k is None else k
    if not (here.sound[i] and base.sound[k]):
        return replace(empty, note=_BROKEN)
    values = [float(here.value[i]), float(base.value[k])]
    candidate, baseline = (value if math.isfinite(value) else None for value in values)
    difference = replace(
        empty,
        candidate=candidate,
        baseline=baseline,
        n=int(here.n[i]),
        utterances=int(here.utterances[i]),
        note=metric.nothing,
    )
    if candidate is None or baseline is None:
        return difference
    change = candidate - baseline if definition.better == "down" else baseline - candidate
    return replace(difference, worsening=change, note=None)


def _paired(
    metric: RateMetric, difference: Difference, spread: Spread, half: float, highest: float
) -> Difference:
    """Return the difference with its interval: ``half`` is half its width by the jackknife."""
    count, worsening = difference.clusters, difference.worsening
    if worsening is None or count < MIN_CLUSTERS:
        return replace(difference, note=_too_few(count))
    if difference.discordant == 0:
        return _all_alike(metric, difference, highest)
    if not math.isfinite(half):
        return replace(difference, note="no interval: one cluster has all of it")
    estimated = replace(
        difference,
        low=worsening - half,
        high=worsening + half,
        se=float(spread.se[0]),
        df=float(spread.df[0]),
        method=JACKKNIFE,
        note="no spread: all clusters differ alike" if half == 0.0 else None,
    )
    if not metric.counted or difference.discordant >= MIN_CLUSTERS:
        return estimated
    hidden = _missed(difference.utterances, count, highest)
    return replace(
        estimated,
        low=min(worsening - half, -hidden),
        high=max(worsening + half, hidden),
        method=FEW_DISCORDANT,
        note=f"only {difference.discordant} of {count} clusters differ: "
        "the interval holds at least what no difference could hide",
    )


def _all_alike(metric: RateMetric, difference: Difference, highest: float) -> Difference:
    """Return the interval where no cluster differs: what could still be hidden."""
    count = difference.clusters
    hidden, note = 0.0, f"all {count} clusters agree exactly"
    if metric.counted:
        hidden = _missed(difference.utterances, count, highest)
        by_utterances = hidden <= unseen(difference.utterances)
        note = f"no cluster differs in {difference.utterances} {metric.items}: " + (
            f"upper end {UNSEEN} / {metric.items}"
            if by_utterances
            else f"upper end as if the share of clusters that {count} can miss differed like the "
            "most different of the run"
        )
    return replace(
        difference, low=-hidden, high=hidden, method=NO_DISCORDANT, note=note,
        se=0.0, df=max(1.0, count - 1.0),
    )  # fmt: skip


def _missed(utterances: float, clusters: int, highest: float) -> float:
    """Return the difference (or rate) that this much data can miss with 2.5 % chance."""
    return max(unseen(utterances), unseen_share(clusters) * highest)


def _hidden(
    metric: RateMetric, value: float, utterances: float, spread: Spread, highest: float
) -> float:
    """Return what a single system without an error can hide, 0 where it has some."""
    clusters = int(spread.clusters[0])
    if not metric.counted or value > 0 or clusters == 0:
        return 0.0
    return _missed(float(utterances), clusters, highest)


def _unpaired(
    metric: RateMetric,
    difference: Difference,
    two: tuple[Spread, Spread],
    hidden: tuple[float, float],
) -> Difference:
    """Return the difference of two independent systems with its interval."""
    count = min(int(spread.clusters[0]) for spread in two)
    difference = replace(difference, clusters=count, discordant=count)
    worsening = difference.worsening
    if worsening is None or count < MIN_CLUSTERS:
        return replace(difference, note=_too_few(count))
    squares = [float(spread.se[0]) ** 2 for spread in two]
    total = sum(squares)
    if not math.isfinite(total):
        return replace(difference, note="no interval: one cluster has all of it")
    shares = [square / total if total > 0 else 0.5 for square in squares]
    parts = [share**2 / float(spread.df[0]) for share, spread in zip(shares, two, strict=True)]
    df = 1.0 / sum(parts)
    half = float(t_quantile(TWO_SIDED_95, np.array([df]))[0]) * math.sqrt(total)
    up, down = hidden if metric_of(metric.name).better == "down" else hidden[::-1]
    return replace(
        difference,
        low=worsening - math.hypot(half, down),
        high=worsening + math.hypot(half, up),
        se=math.sqrt(total),
        df=df,
        method=UNPAIRED,
        note="a system without an error brings what it can hide" if max(hidden) > 0 else None,
    )


def _too_few(count: int) -> str:
    return f"{counted(count, 'cluster')}: an interval needs {MIN_CLUSTERS}"
