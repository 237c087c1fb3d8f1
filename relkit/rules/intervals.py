"""Intervals of rates: jackknifed over clusters on the log scale, for all slices at once.

The question is about a population of speakers (or conversations), of which the data is a sample, so
the cluster is what is left out (rules.md section 4).
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from relkit.domain.estimates import Estimate
from relkit.domain.metrics import metric_of
from relkit.domain.slices import OVERALL
from relkit.rules.binomial import UNSEEN, exact_ends, unseen, unseen_share
from relkit.rules.cluster_sums import ClusterSums, FloatArray, IntArray
from relkit.rules.jackknife import group_sum, leave_one_out_spread, with_repeats
from relkit.rules.rate_metrics import RateMetric
from relkit.rules.repeats import between_repeats

MIN_CLUSTERS = 5
"""Fewest clusters (or utterances of one cluster) that an interval of a rate is made from."""

CLUSTERED = "log-jackknife"
CLUSTERED_REPEATS = "log-jackknife+repeats"
NO_ERRORS = "no-errors"
FEW_EVENTS = "few-events"
WITHIN = "within-cluster"
ADVISORY = "advisory: says nothing about other clusters"
_SAYS_LITTLE = math.log(5.0)  # an interval that reaches five times the value
_LARGEST = 600.0  # keeps exp() finite
_ROUNDING = 1e-9  # a share times its count comes back with rounding


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
        if self.by_repeat is None:
            return 1
        return max(1, len(np.unique(self.by_repeat.cluster_index)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """One metric over all slices (S,): value, units, utterances, parts, half width of log value.

    A part is a cluster, or an utterance inside one. ``lopsided`` counts the parts without which no
    error or no unit is left; ``eventful`` counts the parts with an event; ``highest`` is the
    highest rate of one part of the run.
    """

    part: Literal["cluster", "utterance"]
    value: FloatArray
    n: FloatArray
    utterances: FloatArray
    count: IntArray
    half_width: FloatArray
    lopsided: FloatArray
    eventful: FloatArray
    highest: float
    repeats: int


def estimate_rates(metric: RateMetric, evidence: RateEvidence) -> tuple[Estimate, ...]:
    """Return the metric with its interval for each of ``evidence.sums.slices``, in that order.

    The interval is r exp(+-t se) with se and df of :func:`leave_one_out_spread` over log r, and
    with the spread between repeats where ``by_repeat`` is given.

    - Without a unit of the denominator the value is None.
    - Under 5 clusters, and where one cluster holds all the errors, there is no interval.
    - Without an error the low end is 0 and the upper end the larger of 3.7 / utterances and (1 -
      0.025^(1/C)) times the highest rate of a cluster anywhere in the run. The first is the share
      of failing utterances that goes unseen with 2.5 % chance; for rates per word an utterance
      that fails counts as lost whole, since words do not fail one by one: utterances are the units,
      whatever the denominator. The second supposes that the share of clusters that can go unseen is
      as bad as the worst one seen.
    - A share of utterances of which fewer than 5 clusters had an event has exact binomial ends
      (Clopper and Pearson 1934): the wider ones of the utterances, and of the clusters times the
      highest rate of a cluster of the run. Of no event this is the rule above.
    - A slice that is one cluster gets an interval over its utterances, which says nothing about
      other clusters: method ``within-cluster``, and the note says that it is advisory.
    - Upper ends of shares stop at 1. ``n`` counts the units once, whatever the number of repeats.
    """
    clustered = _parts(metric, evidence, evidence.sums, "cluster")
    estimates = [_estimate(metric, clustered, i) for i in range(len(evidence.sums.slices))]
    if evidence.within is not None:
        inside = _parts(metric, evidence, evidence.within, "utterance")
        place = {name: i for i, name in enumerate(evidence.within.slices)}
        for i, name in enumerate(evidence.sums.slices):
            if clustered.count[i] == 1 and name in place:
                estimates[i] = _estimate(metric, inside, place[name])
    return tuple(estimates)


def _parts(
    metric: RateMetric,
    evidence: RateEvidence,
    sums: ClusterSums,
    part: Literal["cluster", "utterance"],
) -> _Parts:
    groups = len(sums.slices)
    used = sums.columns[metric.n] > 0
    group = sums.slice_index[used]
    rows = {name: sums.columns[name][used] for name in metric.needs}
    totals = {name: group_sum(column, group, groups) for name, column in rows.items()}
    value = metric.function(totals)
    left = metric.function({name: totals[name][group] - rows[name] for name in metric.columns})
    present = left > 0
    logs = np.log(left, out=np.full(len(left), np.nan), where=present)
    spread = leave_one_out_spread(logs, group, groups)
    own = metric.function(rows)
    if evidence.by_repeat is not None:
        variance, repeats = between_repeats(metric, sums.slices, value, evidence.by_repeat)
        spread = with_repeats(spread, variance, repeats)
    return _Parts(
        part=part,
        value=value,
        n=totals[metric.n],
        utterances=totals[metric.utterances],
        count=spread.clusters,
        half_width=spread.half_width,
        lopsided=group_sum((~present).astype(np.float64), group, groups),
        eventful=group_sum((own > 0).astype(np.float64), group, groups),
        highest=_highest(own, group, sums.slices),
        repeats=evidence.repeats,
    )


def _highest(rates: FloatArray, group: IntArray, slices: tuple[str, ...]) -> float:
    """Return the highest rate of a whole cluster, or of its pieces without an overall slice."""
    if OVERALL in slices:
        rates = rates[group == slices.index(OVERALL)]
    return float(np.max(rates, initial=0.0, where=np.isfinite(rates)))


def _estimate(metric: RateMetric, parts: _Parts, i: int) -> Estimate:
    """Return the estimate of slice ``i``: without an interval where there can be none."""
    count = int(parts.count[i])
    estimate = Estimate(
        value=None,
        clusters=count if parts.part == "cluster" else 1,
        unit=metric_of(metric.name).unit,
        note=metric.nothing,
    )
    if count == 0 or not math.isfinite(parts.value[i]):
        return estimate
    n = max(1, round(parts.n[i] / parts.repeats))
    estimate = replace(estimate, value=float(parts.value[i]), n=n, note=None)
    if count < MIN_CLUSTERS:
        plural = "" if count == 1 else "s"
        return replace(
            estimate, note=f"{count} {parts.part}{plural}: an interval needs {MIN_CLUSTERS}"
        )
    if parts.value[i] == 0.0:
        return _nothing_seen(metric, estimate, parts, i)
    if _is_share(metric) and parts.eventful[i] < MIN_CLUSTERS:
        return _few_seen(estimate, parts, i)
    if parts.lopsided[i]:
        what = "errors" if metric.counted else "amount"
        return replace(estimate, note=f"no interval: one {parts.part} has all the {what}")
    return _around(metric, estimate, parts, i)


def _around(metric: RateMetric, estimate: Estimate, parts: _Parts, i: int) -> Estimate:
    """Return the estimate with its interval around a positive value."""
    value, half = float(parts.value[i]), float(parts.half_width[i])
    high = value * math.exp(min(half, _LARGEST))
    note = f"no spread: all {parts.part}s have the same rate" if half == 0.0 else None
    if half > _SAYS_LITTLE:
        note = f"says little: a few {parts.part}s make most of it"
    method = CLUSTERED if parts.repeats == 1 else CLUSTERED_REPEATS
    if parts.part == "utterance":
        method = WITHIN
        note = ADVISORY if note is None else f"{ADVISORY}; {note}"
    return replace(
        estimate,
        low=value * math.exp(-half),
        high=min(1.0, high) if metric.bounded else high,
        method=method,
        note=note,
    )


def _nothing_seen(metric: RateMetric, estimate: Estimate, parts: _Parts, i: int) -> Estimate:
    """Return the interval of a rate of which no event was seen: what could still be hidden."""
    if not metric.counted:
        return replace(estimate, note="no interval: all measured values are 0")
    utterances = max(1, round(parts.utterances[i] / parts.repeats))
    high = unseen(utterances)
    note = f"no errors in {utterances} utterances: upper end {UNSEEN} / utterances"
    if parts.part == "utterance":
        method, note = WITHIN, f"{ADVISORY}; {note}"
    else:
        method = NO_ERRORS
        hidden = unseen_share(int(parts.count[i])) * parts.highest
        if hidden > high:
            high = hidden
            note = (
                f"no errors in {utterances} utterances: upper end as if the share of clusters "
                f"that {int(parts.count[i])} can miss were as bad as the worst of the run"
            )
    return replace(
        estimate,
        low=0.0,
        high=min(1.0, high) if metric.bounded else high,
        method=method,
        note=note,
    )


def _is_share(metric: RateMetric) -> bool:
    """Return whether a metric counts utterances, each with an event or without."""
    return metric.counted and metric.bounded and metric.n == metric.utterances


def _few_seen(estimate: Estimate, parts: _Parts, i: int) -> Estimate:
    """Return the exact interval of a share of which few clusters had an event."""
    utterances = max(1, round(parts.utterances[i] / parts.repeats))
    events = min(utterances, max(1, math.ceil(parts.value[i] * utterances - _ROUNDING)))
    count, eventful = int(parts.count[i]), int(parts.eventful[i])
    low, high = exact_ends(events, utterances)
    note = f"few events: {events} of {utterances} utterances, exact binomial ends"
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
