"""Intervals of rates: jackknifed over clusters on the log or logit scale, for all slices at once.

The question is about a population of speakers (or conversations), of which the data is a sample, so
the cluster is what is left out (docs/method.md, section "Intervals").

The spread behind every interval is how far an estimate moves when one cluster is left out: rows are
such estimates on a scale where they add (log, logit), grouped by slice. What differs between
repeats of a run is added for systems that do not answer the same way twice.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.metrics import metric_of
from relkit.core.slices import OVERALL
from relkit.core.values import WITHIN, Estimate
from relkit.core.wording import counted
from relkit.statistics.crossed import PromptSpread, rate_spread, two_way
from relkit.statistics.distributions import (
    TWO_SIDED_95,
    UNSEEN,
    exact_ends,
    t_quantile,
    unseen,
    unseen_share,
)
from relkit.statistics.rates import RateMetric
from relkit.statistics.types import ClusterSums, SliceValues

MIN_DF = 1.5
_EQUAL = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Standard error and degrees of freedom per group (G,), ``clusters`` the rows behind them.

    ``se`` is NaN where some leave-one-out estimate was not finite, or there was no row.
    """

    se: FloatArray
    df: FloatArray
    clusters: IntArray

    @property
    def half_width(self) -> FloatArray:
        """Half of the two-sided 95 % interval on the scale of the estimates (G,)."""
        return np.asarray(t_quantile(TWO_SIDED_95, self.df) * self.se, dtype=np.float64)


def with_prompts(spread: Spread, prompts: PromptSpread | None) -> Spread:
    """Return the spread with that of the prompts that clusters share beside it."""
    if prompts is None:
        return spread
    se, df = two_way(spread.se, spread.df, prompts)
    return Spread(se=se, df=df, clusters=spread.clusters)


def group_sum(values: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Return the sum of ``values`` (R,) per ``group`` (R,) as (G,), 0 for a group without rows."""
    return np.asarray(np.bincount(group, weights=values, minlength=groups), dtype=np.float64)


def leave_one_out_spread(estimates: FloatArray, group: IntArray, groups: int) -> Spread:
    """Return the jackknife spread of leave-one-out estimates (R,), each row one cluster.

    q = estimate - mean of the group, se^2 = (C - 1) / C sum q^2, df = (sum q^2)^2 / sum q^4 within
    [1.5, C - 1] (docs/method.md, section "Intervals"); all q equal gives se = 0 and df = C - 1. q^2
    is scaled by its maximum first, so that the fourth powers of small spreads do not vanish.
    """
    clusters = np.bincount(group, minlength=groups)
    count = np.maximum(clusters, 1).astype(np.float64)
    finite = np.isfinite(estimates)
    complete = np.bincount(group, weights=~finite, minlength=groups) == 0
    safe = np.where(finite, estimates, 0.0)
    q = safe - (group_sum(safe, group, groups) / count)[group]
    q[np.abs(q) <= _EQUAL * (1.0 + np.abs(safe))] = 0.0
    largest = np.zeros(groups)
    np.maximum.at(largest, group, np.abs(q))
    scale = np.where(largest > 0, largest, 1.0)
    squares = (q / scale[group]) ** 2
    second = group_sum(squares, group, groups)
    fourth = group_sum(squares * squares, group, groups)
    most = np.maximum(count - 1.0, MIN_DF)
    df = np.full(groups, np.inf)
    np.divide(second * second, fourth, out=df, where=fourth > 0)
    se = np.sqrt((count - 1.0) / count * second) * scale
    return Spread(
        se=np.where(complete & (clusters > 0), se, np.nan),
        df=np.clip(df, MIN_DF, most),
        clusters=clusters,
    )


def with_repeats(spread: Spread, variance: FloatArray, repeats: FloatArray) -> Spread:
    """Return the spread with the ``variance`` (G,) between ``repeats`` (G,) of the run added.

    se^2 = se_clusters^2 + variance / repeats; df by Satterthwaite (1946): each part's share of the
    total squared, by its own degrees of freedom, which are repeats - 1 for the repeats. A group
    with less than two repeats stays as it is; a NaN variance gives a NaN se.
    """
    repeated = repeats > 1
    of_clusters = spread.se**2
    total = of_clusters + np.where(repeated, variance, 0.0) / np.maximum(repeats, 1.0)
    # Shares rather than fourth powers of se: those vanish for small spreads.
    share = np.ones_like(total)
    np.divide(of_clusters, total, out=share, where=total > 0)
    df = 1.0 / (share**2 / spread.df + (1.0 - share) ** 2 / np.maximum(repeats - 1.0, 1.0))
    se = np.where(repeated, np.sqrt(total), spread.se)
    return Spread(se=se, df=np.maximum(df, 1.0), clusters=spread.clusters)


def on_scale(rates: FloatArray, *, bounded: bool) -> FloatArray:
    """Return log(rate), or logit(rate) of ``bounded`` ones; NaN where that does not exist."""
    inside = (rates > 0) & (rates < 1) if bounded else rates > 0
    safe = np.where(inside, rates, 0.5)
    scaled = np.log(safe / (1.0 - safe)) if bounded else np.log(safe)
    return np.where(inside, scaled, np.nan)


def between_repeats(
    metric: RateMetric, slices: tuple[str, ...], value: FloatArray, by_repeat: ClusterSums
) -> tuple[FloatArray, FloatArray]:
    """Return the variance between repeats on the metric's scale, and how many there are (S,).

    ``by_repeat`` holds sums by slice and repeat (``cluster_index`` is the repeat), its slices in
    any order; ``value`` (S,) is the metric over all repeats. Where some repeat has no error at all
    (or nothing else) it has no place on the scale: there the variance of the metric stands for it,
    over its squared value v, or over (v (1 - v))^2 on the logit scale (the delta method). A slice
    that is not in ``by_repeat`` has 0 repeats.
    """
    groups = len(by_repeat.slices)
    used = by_repeat.columns[metric.n] > 0
    group = by_repeat.slice_index[used]
    rates = metric.function({name: by_repeat.columns[name][used] for name in metric.columns})
    scaled = on_scale(rates, bounded=metric.bounded)
    present = np.isfinite(scaled)
    count = np.bincount(group, minlength=groups).astype(np.float64)
    some_outside = group_sum((~present).astype(np.float64), group, groups) > 0
    of_scale = variances(np.where(present, scaled, 0.0), group, count)
    plain = variances(rates, group, count)
    place = {name: i for i, name in enumerate(by_repeat.slices)}
    at = np.array([place.get(name, groups) for name in slices], dtype=np.int64)
    slope = value * (1.0 - value) if metric.bounded else value
    relative = _at(plain, at) / np.where(slope > 0, slope, 1.0) ** 2
    return np.where(_at(some_outside, at) > 0, relative, _at(of_scale, at)), _at(count, at)


def variances(values: FloatArray, group: IntArray, count: FloatArray) -> FloatArray:
    """Return the variance with divisor count - 1 per group (G,), 0 for fewer than two values."""
    mean = group_sum(values, group, len(count)) / np.maximum(count, 1.0)
    squares = group_sum((values - mean[group]) ** 2, group, len(count))
    return np.asarray(squares / np.maximum(count - 1.0, 1.0), dtype=np.float64)


def _at(per_group: np.ndarray[tuple[int], np.dtype[np.generic]], at: IntArray) -> FloatArray:
    """Return the values at positions, 0 for the position behind the last one."""
    return np.append(per_group.astype(np.float64), 0.0)[at]


MIN_CLUSTERS = 5
"""Fewest clusters (or utterances of one cluster) that an interval of a rate is made from."""

MIN_EFFECTIVE = 3.0
"""Fewest effective clusters (sum e)^2 / sum e^2 that have to carry the errors e of an interval."""

CLUSTERED = "log-jackknife"
BOUNDED = "logit-jackknife"
WITH_REPEATS = "+repeats"
NO_ERRORS = "no-errors"
ONLY_ERRORS = "only-errors"
FEW_EVENTS = "few-events"
ADVISORY = "advisory: says nothing about other clusters"
_SAYS_LITTLE = 5.0  # an upper end so many times the value
_LARGEST = 600.0  # keeps exp() finite
_ROUNDING = 1e-9  # a share times its count comes back with rounding


def repeats_of(
    counted_rows: ClusterSums | SliceValues, by_repeat: ClusterSums | SliceValues | None
) -> int:
    """Return how often each utterance was asked, by what was counted over all and per repeat."""
    per_repeat = 0 if by_repeat is None else len(np.unique(by_repeat.cluster_index))
    return max(1, counted_rows.repeats, per_repeat)


def distinct(total: float, repeats: int) -> int:
    """Return how many items a count over all repeats is about, at least one where there is any.

    Asking three times is not three times the data: an item counts once.
    """
    return max(1 if total > 0 else 0, round(total / repeats))


@dataclass(frozen=True, slots=True, kw_only=True)
class RateEvidence:
    """What the intervals of rates are made from.

    ``sums`` by slice and cluster. ``within``: the same sums by utterance (``cluster_index``
    numbers utterances) of slices that hold one cluster only; without it such slices have no
    interval. ``by_repeat``: the same sums by repeat (``cluster_index`` is the repeat) of a run that
    asked more than once; the other two are then sums over all its repeats.
    """

    sums: ClusterSums
    within: ClusterSums | None = None
    by_repeat: ClusterSums | None = None

    @property
    def repeats(self) -> int:
        """How often each utterance was asked."""
        return repeats_of(self.sums, self.by_repeat)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """One metric over all slices (S,): value, units, utterances, parts, half width on its scale.

    A part is a cluster, or an utterance inside one. ``lopsided`` counts the parts without which no
    error, no unit or (of what cannot exceed 1) nothing else is left; ``eventful`` counts the parts
    with an event, ``effective`` is how many of them carry the errors; ``highest`` is the highest
    rate of one part of the run. ``over_repeats``: the spread between ``repeats`` is in the width.
    """

    part: Literal["cluster", "utterance"]
    value: FloatArray
    n: FloatArray
    utterances: FloatArray
    count: IntArray
    half_width: FloatArray
    lopsided: FloatArray
    eventful: FloatArray
    effective: FloatArray
    highest: float
    repeats: int
    over_repeats: bool


def estimate_rates(metric: RateMetric, evidence: RateEvidence) -> tuple[Estimate, ...]:
    """Return the metric with its interval for each of ``evidence.sums.slices``, in that order.

    The interval is r exp(+-t se) with se and df of :func:`leave_one_out_spread` over log r, and
    with the spread between repeats where ``by_repeat`` is given; of a rate that cannot exceed 1 it
    is logit r +- t se over logit r, whose ends lie within 0 and 1.

    - Without a unit of the denominator the value is None.
    - Under 5 clusters, and where one cluster holds all the errors, there is no interval; neither is
      there where fewer than 3 effective clusters, (sum e)^2 / sum e^2, carry the errors e.
    - Without an error the low end is 0 and the upper end the larger of 3.7 / utterances and (1 -
      0.025^(1/C)) times the highest rate of a cluster anywhere in the run. The first is the share
      of failing utterances that goes unseen with 2.5 % chance; for rates per word an utterance
      that fails counts as lost whole, since words do not fail one by one: utterances are the units,
      whatever the denominator. The second supposes that the share of clusters that can go unseen is
      as bad as the worst one seen.
    - A share of utterances of which fewer than 5 clusters had an event has exact binomial ends
      (Clopper and Pearson 1934): the wider ones of the utterances, and of the clusters times the
      highest rate of a cluster of the run. Of no event this is the rule above.
    - What cannot exceed 1 and is nothing but errors (or, of shares, nearly) has the mirrored ends.
    - A slice that is one cluster gets an interval over its utterances, which says nothing about
      other clusters: method ``within-cluster``, and the note says that it is advisory.
    - ``n`` counts the units once, whatever the number of repeats.
    """
    estimates = _estimates(metric, evidence, evidence.sums, "cluster")
    if evidence.within is not None:
        inside = _estimates(metric, evidence, evidence.within, "utterance")
        place = {name: i for i, name in enumerate(evidence.within.slices)}
        for i, name in enumerate(evidence.sums.slices):
            if _clusters(metric, evidence.sums, i) == 1 and name in place:
                estimates[i] = inside[place[name]]
    return tuple(estimates)


def _clusters(metric: RateMetric, sums: ClusterSums, i: int) -> int:
    """Return how many clusters of slice ``i`` have a unit."""
    return int(np.count_nonzero(sums.columns[metric.n][sums.slice_index == i] > 0))


def _estimates(
    metric: RateMetric,
    evidence: RateEvidence,
    sums: ClusterSums,
    part: Literal["cluster", "utterance"],
) -> list[Estimate]:
    groups = len(sums.slices)
    used = sums.columns[metric.n] > 0
    group = sums.slice_index[used]
    rows = {name: sums.columns[name][used] for name in metric.needs}
    totals = {name: group_sum(column, group, groups) for name, column in rows.items()}
    value = metric.function(totals)
    left_out = metric.function({name: totals[name][group] - rows[name] for name in metric.columns})
    scaled = on_scale(left_out, bounded=metric.bounded)
    spread = leave_one_out_spread(scaled, group, groups)
    if (prompts := rate_spread(metric, (sums,))) is not None:
        slope = value * (1.0 - value) if metric.bounded else value
        relative = np.divide(1.0, slope, out=np.zeros(groups), where=slope > 0)
        spread = with_prompts(spread, prompts.scaled(relative))
    rates = metric.function(rows)
    if evidence.by_repeat is not None:
        variance, repeats = between_repeats(metric, sums.slices, value, evidence.by_repeat)
        spread = with_repeats(spread, variance, repeats)
    errors = _Parts(
        part=part,
        value=value,
        n=totals[metric.n],
        utterances=totals[metric.utterances],
        count=spread.clusters,
        half_width=spread.half_width,
        lopsided=group_sum((~np.isfinite(scaled)).astype(np.float64), group, groups),
        eventful=group_sum((rates > 0).astype(np.float64), group, groups),
        effective=effective_parts(rates * rows[metric.n], group, groups),
        highest=highest_rate(rates, group, sums.slices),
        repeats=evidence.repeats,
        over_repeats=evidence.by_repeat is not None and evidence.repeats > 1,
    )
    hits = replace(
        errors,
        value=np.maximum(0.0, 1.0 - value),
        eventful=group_sum((rates < 1).astype(np.float64), group, groups),
        highest=highest_rate(1.0 - rates, group, sums.slices),
    )
    return [_estimate(metric, errors, hits, i) for i in range(groups)]


def effective_parts(amounts: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Return (sum a)^2 / sum a^2 of ``amounts`` (R,) per group (G,), 0 where all are 0."""
    squares = group_sum(amounts * amounts, group, groups)
    total = group_sum(amounts, group, groups)
    return np.divide(total * total, squares, out=np.zeros(groups), where=squares > 0)


def highest_rate(rates: FloatArray, group: IntArray, slices: tuple[str, ...]) -> float:
    """Return the highest rate (R,) of a whole cluster, or of its pieces without ``overall``."""
    if OVERALL in slices:
        rates = rates[group == slices.index(OVERALL)]
    return float(np.max(rates, initial=0.0, where=np.isfinite(rates)))


def _estimate(metric: RateMetric, parts: _Parts, hits: _Parts, i: int) -> Estimate:
    """Return the estimate of slice ``i``: without an interval where there can be none."""
    count, value = int(parts.count[i]), float(parts.value[i])
    estimate = Estimate(
        value=None,
        clusters=count if parts.part == "cluster" else 1,
        unit=metric_of(metric.name).unit,
        note=metric.nothing,
    )
    if count == 0 or not math.isfinite(value):
        return estimate
    n = max(1, distinct(float(parts.n[i]), parts.repeats))
    few = f"{counted(count, parts.part)}: an interval needs {MIN_CLUSTERS}"
    estimate = replace(estimate, value=value, n=n, note=few if count < MIN_CLUSTERS else None)
    return estimate if count < MIN_CLUSTERS else _with_ends(metric, estimate, parts, hits, i)


def _with_ends(
    metric: RateMetric, estimate: Estimate, parts: _Parts, hits: _Parts, i: int
) -> Estimate:
    """Return the estimate of slice ``i``, which has enough parts, with its interval or why not."""
    value = float(parts.value[i])
    if value == 0.0:
        return _nothing_seen(metric, estimate, parts, i)
    if metric.bounded and value >= 1.0:
        return _mirrored(_nothing_seen(metric, estimate, hits, i, "errors only (mirrored)"))
    if _is_share(metric) and parts.eventful[i] < MIN_CLUSTERS:
        return _few_seen(metric, estimate, parts, i)
    if _is_share(metric) and hits.eventful[i] < MIN_CLUSTERS:
        return _mirrored(_few_seen(metric, estimate, hits, i, "few without one"))
    short = _carried_by_few(metric, parts, i)
    return _around(metric, estimate, parts, i) if short is None else replace(estimate, note=short)


def _carried_by_few(metric: RateMetric, parts: _Parts, i: int) -> str | None:
    """Return why too few parts of slice ``i`` carry the errors for an interval, None if not."""
    what = "errors" if metric.counted else "amount"
    if parts.lopsided[i]:
        return f"no interval: one {parts.part} has all the {what}"
    if metric.counted and parts.effective[i] < MIN_EFFECTIVE:
        effective = f"{parts.effective[i]:.1f} effective {parts.part}s"
        return f"no interval: {effective} carry the {what}, it needs {MIN_EFFECTIVE:g}"
    return None


def _around(metric: RateMetric, estimate: Estimate, parts: _Parts, i: int) -> Estimate:
    """Return the estimate with its interval around a value that has a place on the scale."""
    value, half = float(parts.value[i]), float(parts.half_width[i])
    factor = math.exp(min(half, _LARGEST))
    if metric.bounded:
        odds = value / (1.0 - value)
        low, high = odds / (odds + factor), odds * factor / (1.0 + odds * factor)
    else:
        low, high = value / factor, value * factor
    note = f"no spread: all {parts.part}s have the same rate" if half == 0.0 else None
    if high > _SAYS_LITTLE * value:
        note = f"says little: a few {parts.part}s make most of it"
    method = (BOUNDED if metric.bounded else CLUSTERED) + (
        WITH_REPEATS if parts.over_repeats else ""
    )
    if parts.part == "utterance":
        method = WITHIN
        note = ADVISORY if note is None else f"{ADVISORY}; {note}"
    return replace(estimate, low=min(low, value), high=max(high, value), method=method, note=note)


def claimed_of(metric: RateMetric, estimate: Estimate) -> Estimate:
    """Return an estimate as a report claims it: an error rate without a useless interval.

    An unbounded rate whose upper end is five times its value is made by a few clusters, most often
    by one repetition loop: its ends say nothing, and are not claimed.
    """
    value, high = estimate.value, estimate.high
    if not metric.counted or metric.bounded or value is None or high is None:
        return estimate
    if value <= 0 or high <= _SAYS_LITTLE * value or estimate.method == WITHIN:
        return estimate
    reach = f"it would reach {_SAYS_LITTLE:g} times the value"
    note = f"no interval: {reach}, a few clusters make most of it"
    return replace(estimate, low=None, high=None, method="none", note=note)


def _nothing_seen(
    metric: RateMetric, estimate: Estimate, parts: _Parts, i: int, what: str = "no errors"
) -> Estimate:
    """Return the interval of a rate of which no event was seen: what could still be hidden."""
    if not metric.counted:
        return replace(estimate, note="no interval: all measured values are 0")
    utterances = max(1, distinct(float(parts.utterances[i]), parts.repeats))
    high = unseen(utterances)
    note = f"{what} in {utterances} {metric.items}: upper end {UNSEEN} / {metric.items}"
    if parts.part == "utterance":
        method, note = WITHIN, f"{ADVISORY}; {note}"
    else:
        method = NO_ERRORS
        hidden = unseen_share(int(parts.count[i])) * parts.highest
        if hidden > high:
            high = hidden
            note = (
                f"{what} in {utterances} {metric.items}: upper end as if the share of clusters "
                f"that {int(parts.count[i])} can miss were as bad as the worst of the run"
            )
    return replace(
        estimate, low=0.0, high=min(1.0, high) if metric.bounded else high, method=method, note=note
    )


def _mirrored(hits: Estimate) -> Estimate:
    """Return the estimate whose ends are those of what is no error."""
    low, high = 1.0 - (hits.high or 0.0), max(hits.value or 0.0, 1.0 - (hits.low or 0.0))
    method = ONLY_ERRORS if hits.method == NO_ERRORS else hits.method
    return replace(hits, low=low, high=high, method=method)


def _is_share(metric: RateMetric) -> bool:
    """Return whether a metric counts utterances, each with an event or without."""
    return metric.counted and metric.bounded and metric.n == metric.utterances


def _few_seen(
    metric: RateMetric, estimate: Estimate, parts: _Parts, i: int, what: str = "few events"
) -> Estimate:
    """Return the exact interval of a share of which few clusters had an event."""
    utterances = max(1, distinct(float(parts.utterances[i]), parts.repeats))
    events = min(utterances, max(1, math.ceil(parts.value[i] * utterances - _ROUNDING)))
    count, eventful = int(parts.count[i]), int(parts.eventful[i])
    low, high = exact_ends(events, utterances)
    note = f"{what}: {events} of {utterances} {metric.items}, exact binomial ends"
    if parts.part == "utterance":
        return replace(estimate, low=low, high=high, method=WITHIN, note=f"{ADVISORY}; {note}")
    fewest, most = (end * parts.highest for end in exact_ends(eventful, count))
    return replace(
        estimate,
        low=min(low, fewest),
        high=min(1.0, max(high, most)),
        method=FEW_EVENTS,
        note=f"{note}, in {eventful} of {count} clusters",
    )
