"""Live traffic from the counters and classic histograms of a metrics server, minute by minute.

The policy names them under ``prometheus:``. A series is read as it is, so that a counter that
restarts, a gap and an answer in part are seen; nothing is averaged by the server.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite

import numpy as np
import numpy.typing as npt

from relkit.core.arrays import FloatArray
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import moment
from relkit.core.wording import counted
from relkit.core.yaml_text import shown
from relkit.monitoring.counters import increases
from relkit.monitoring.serving.budgets import WHOLE_TURN
from relkit.monitoring.serving.overload import RECENT
from relkit.monitoring.serving.ports import RangeQueries
from relkit.monitoring.serving.types import (
    ChurnFigures,
    HealthPolicy,
    LiveFigures,
    Minutes,
    ScrapedHistogram,
    ScrapedMetrics,
    StageFigures,
)
from relkit.monitoring.slo.selectors import selector_of
from relkit.monitoring.types import RangeSamples
from relkit.telemetry.types import STAGES

MOST_HISTORY_S = 86_400.0
"""How far back a server is asked: a day of minutes is 1,440 samples a series."""

_UNIT_MS = {"ms": 1.0, "s": 1000.0}


def histogram_quantile(bounds: FloatArray, counts: FloatArray, share: float) -> float | None:
    """Return a percentile of a classic histogram, linear inside its bucket; None without events.

    ``bounds`` are the upper ends of buckets, rising, the last one infinite; ``counts`` are the
    events at or under each. As ``histogram_quantile`` of Prometheus, but for a percentile beyond
    the last finite bound, which is infinity here: nothing says how large it is.
    """
    total = float(counts[-1]) if len(counts) else 0.0
    if total <= 0:
        return None
    rank = share * total
    place = int(np.searchsorted(counts, rank, side="left"))
    if not isfinite(bounds[place]):
        return inf
    low, before = (float(bounds[place - 1]), float(counts[place - 1])) if place else (0.0, 0.0)
    inside = float(counts[place]) - before
    return low + (float(bounds[place]) - low) * ((rank - before) / inside if inside > 0 else 1.0)


def share_under(bounds: FloatArray, counts: FloatArray, bound: float) -> float:
    """Return how many events are at or under a bound, linear inside the bucket that holds it."""
    place = int(np.searchsorted(bounds, bound, side="left"))
    if bounds[place] == bound:
        return float(counts[place])
    low, before = (float(bounds[place - 1]), float(counts[place - 1])) if place else (0.0, 0.0)
    if not isfinite(bounds[place]):
        return before
    inside = float(counts[place]) - before
    return before + inside * (bound - low) / (float(bounds[place]) - low)


@dataclass(slots=True)
class _Grown:
    """What counters counted in each minute; ``present`` says at which ends of minutes they were."""

    by_labels: list[tuple[Mapping[str, str], FloatArray]]
    total: FloatArray
    present: npt.NDArray[np.bool_]


class ScrapedTraffic:
    """Implements LiveTraffic with the counters and histograms of a metrics server."""

    def __init__(self, server: RangeQueries) -> None:
        """Ask a server; nothing is sent yet."""
        self._server = server

    def figures(self, policy: HealthPolicy, now: str) -> tuple[LiveFigures | None, None]:
        """Return what traffic looks like until the last whole minute, None where there is none.

        Raises UsageError where the policy names no metrics, InvalidInput, BackendUnavailable.
        """
        metrics = policy.prometheus
        if metrics is None:
            raise UsageError(
                f'"{policy.name}" says nothing about Prometheus',
                hint="name its counters: prometheus: {turns: …}, or use --telemetry",
            )
        end = int(moment(now).timestamp()) // 60 * 60
        reading = _Reading(self._server, end, min(policy.history_s, MOST_HISTORY_S))
        return reading.figures(policy, metrics), None


class _Reading:
    """One look at a server, on one grid of minutes."""

    def __init__(self, server: RangeQueries, end: int, history_s: float) -> None:
        self._server = server
        self._end = end
        self._start = end - int(history_s) // 60 * 60
        self._size = (end - self._start) // 60
        self._problems: dict[str, None] = {}

    def figures(self, policy: HealthPolicy, metrics: ScrapedMetrics) -> LiveFigures | None:
        turns = self._counter(metrics.turns)
        busy = np.flatnonzero(turns.total > 0)
        if not len(busy) and not self._problems:
            return None
        attempts = None if metrics.attempts is None else self._counter(metrics.attempts)
        retried = turns.total if attempts is None else attempts.total
        recent = slice(-RECENT, None)
        if retried[recent].sum() < 0.99 * turns.total[recent].sum():
            self._problem("fewer attempts than turns were counted: attempts hold first ones, too")
        bounds, queue = self._histogram(metrics.queue)
        bound_ms = inf if policy.queue is None else policy.queue.p95_ms
        if policy.queue is not None and metrics.queue is not None and len(bounds) > 1:
            self._check_bound(metrics.queue, bounds, bound_ms)
        queued = queue[-1] if len(queue) else np.zeros(self._size)
        under = [share_under(bounds, column, bound_ms) for column in queue.T] if len(queue) else []
        p95 = [histogram_quantile(bounds, column, 0.95) for column in queue.T] if len(queue) else []
        highest = float(bounds[-2]) if len(bounds) > 1 else np.nan
        classes, calls = self._classes(policy, turns)
        if not turns.present[-RECENT - 1 :].all():
            self._problem("the server has a gap in the last five minutes")
        # Before its first sample a service was not quiet, but not watched.
        first = int(np.argmax(turns.present))
        nothing = np.zeros(self._size)
        waits = [np.nan if ms is None else min(ms, highest) for ms in p95]
        minutes = Minutes(
            start=self._start + 60 * first,
            turns=turns.total[first:],
            attempts=retried[first:],
            counted=(nothing if attempts is None else turns.total)[first:],
            queued=queued[first:],
            waited=(queued - np.array(under) if under else nothing)[first:],
            queue_p95_ms=(np.array(waits) if waits else np.full(self._size, np.nan))[first:],
            service_s=self._mean_s(metrics.service)[first:],
            classes=classes,
            calls=calls[:, first:],
        )
        stages = tuple(self._stages(policy, metrics))
        return LiveFigures(
            newest=float(self._start + 60 * (int(busy[-1]) + 1)) if len(busy) else 0.0,
            minutes=minutes,
            turns=int(turns.total[recent].sum()),
            missing=self._missing(policy, minutes, attempts is not None, stages),
            stages=stages,
            unexplained=None,
            churn=tuple(self._churn(policy, metrics)),
            unmeasured=frozenset(STAGES) - frozenset(metrics.stages),
            problems=tuple(self._problems),
        )

    def _problem(self, words: str) -> None:
        self._problems[words] = None

    def _samples(self, query: str) -> RangeSamples:
        """Return the samples of every series of a query, one a minute; notes what is wrong."""
        samples = self._server.samples(query, start=self._start, end=self._end, step=60)
        for warning in samples.warnings:
            self._problem(f"the server warns: {warning}")
        if samples.refused:
            self._problem(f"{counted(samples.refused, 'value')} of {shown(query)} are no numbers")
        if not samples.series:
            hint = ", or a native histogram" if "_bucket" in query else ""
            self._problem(f"the server has no series {shown(query)}: is it misspelt{hint}?")
        return samples

    def _counter(self, query: str, suffix: str = "") -> _Grown:
        """Return what the counters of a selector counted in each minute."""
        selector = selector_of(query)
        text = replace(selector, metric=selector.metric + suffix).text
        samples = self._samples(text)
        grown = increases(samples)
        latest = replace(
            samples,
            times=samples.times[-RECENT - 1 :],
            series=tuple(
                replace(series, values=series.values[-RECENT - 1 :]) for series in samples.series
            ),
        )
        if restarts := increases(latest).resets:
            self._problem(
                f"{counted(restarts, 'counter')} of {shown(text)} restarted in the last five "
                "minutes: what they counted just before is lost"
            )
        return _Grown(
            by_labels=[
                (series.labels, line[1:])
                for series, line in zip(samples.series, grown.by_series, strict=True)
            ],
            total=grown.total[1:],
            present=grown.present,
        )

    def _histogram(self, histogram: ScrapedHistogram | None) -> tuple[FloatArray, FloatArray]:
        """Return (bounds in ms, events at or under each in every minute); empty without one."""
        if histogram is None:
            return np.zeros(0), np.zeros((0, self._size))
        buckets: dict[float, FloatArray] = defaultdict(lambda: np.zeros(self._size))
        for labels, line in self._counter(histogram.histogram, "_bucket").by_labels:
            try:
                bound = float(labels.get("le", ""))
            except ValueError:
                raise InvalidInput(
                    f"{shown(histogram.histogram)}: a bucket without a bound",
                    hint="name a classic histogram, without its _bucket",
                ) from None
            buckets[bound * _UNIT_MS[histogram.unit]] += line
        if not buckets:
            return np.zeros(0), np.zeros((0, self._size))
        bounds = np.array(sorted(buckets))
        if isfinite(bounds[-1]) or len(bounds) == 1:
            self._problem(f"{shown(histogram.histogram)} has no buckets up to +Inf")
        # Restarts at different moments must not leave a wider bucket with less than a narrow one.
        counts = np.maximum.accumulate(np.vstack([buckets[bound] for bound in bounds]), axis=0)
        return bounds, counts

    def _check_bound(self, queue: ScrapedHistogram, bounds: FloatArray, bound_ms: float) -> None:
        if bounds[-2] < bound_ms:
            raise InvalidInput(
                f"{shown(queue.histogram)}: its buckets end at {bounds[-2]:g} ms, under the bound "
                f"of {bound_ms:g} ms",
                hint="give it a bucket at the bound, or say its unit: {histogram: …, unit: s}",
            )

    def _mean_s(self, histogram: ScrapedHistogram | None) -> FloatArray:
        """Return the mean of a histogram in seconds in every minute, NaN without events."""
        if histogram is None:
            return np.full(self._size, np.nan)
        sums = self._counter(histogram.histogram, "_sum").total
        counts = self._counter(histogram.histogram, "_count").total
        mean = np.full(self._size, np.nan)
        np.divide(sums, counts, out=mean, where=counts > 0)
        return mean * _UNIT_MS[histogram.unit] / 1000.0

    def _classes(self, policy: HealthPolicy, turns: _Grown) -> tuple[tuple[str, ...], FloatArray]:
        """Return the calls of each tenant class, by the label of the turns' counter."""
        if policy.tenants is None:
            return (), np.zeros((0, self._size))
        calls: dict[str, FloatArray] = defaultdict(lambda: np.zeros(self._size))
        for labels, line in turns.by_labels:
            if policy.tenants.column in labels:
                calls[labels[policy.tenants.column]] += line
        names = tuple(sorted(calls))
        return names, np.vstack([calls[name] for name in names]) if names else np.zeros(
            (0, self._size)
        )

    def _missing(
        self,
        policy: HealthPolicy,
        minutes: Minutes,
        retries: bool,  # noqa: FBT001 - whether they are counted at all
        stages: Sequence[StageFigures],
    ) -> dict[str, float]:
        turns = float(minutes.turns[-RECENT:].sum())
        queued = float(minutes.queued[-RECENT:].sum())
        span = float(minutes.turns[-int(policy.span_s // 60) :].sum())
        timed = sum(stage.turns for stage in stages if stage.stage == WHOLE_TURN)
        calls = float(minutes.calls[:, -RECENT:].sum())
        column = "tenant_class" if policy.tenants is None else policy.tenants.column

        def without(present: float, every: float) -> float:
            return max(0.0, 1.0 - present / every) if every > 0 else 1.0

        return {
            "queue_ms": without(queued, turns),
            "retries": 0.0 if retries else 1.0,
            column: without(calls, turns),
            WHOLE_TURN: without(timed, span),
        }

    def _stages(self, policy: HealthPolicy, metrics: ScrapedMetrics) -> Iterator[StageFigures]:
        if policy.budget is None:
            return
        for stage, histogram in metrics.stages.items():
            bounds, counts = self._histogram(histogram)
            within = counts[:, -int(policy.span_s // 60) :].sum(axis=1)
            yield StageFigures(
                stage=stage,
                of="all",
                turns=int(within[-1]) if len(within) else 0,
                p50=histogram_quantile(bounds, within, 0.5),
                p95=histogram_quantile(bounds, within, 0.95),
            )

    def _churn(self, policy: HealthPolicy, metrics: ScrapedMetrics) -> Iterator[ChurnFigures]:
        """Yield the churn of all, then of each language; turns stand for utterances."""
        if policy.churn is None or metrics.partial_words is None or metrics.partial_changes is None:
            return
        span = slice(-int(policy.span_s // 60), None)
        label = policy.churn.language
        sums: dict[str | None, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        queries = (metrics.partial_changes, metrics.partial_words, metrics.turns)
        for place, query in enumerate(queries):
            for labels, line in self._counter(query).by_labels:
                for language in {None, labels.get(label)}:
                    sums[language][place] += float(line[span].sum())
        for language in sorted(sums, key=lambda name: name or ""):
            changes, words, turns = sums[language]
            if words > 0:
                yield ChurnFigures(
                    language=language,
                    utterances=int(turns),
                    changes=changes,
                    words=words,
                    median=None,
                )
