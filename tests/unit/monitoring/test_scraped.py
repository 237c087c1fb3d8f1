"""Health from counters and histograms: what a server answers, minute by minute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from relkit.core.arrays import FloatArray
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import moment
from relkit.monitoring.serving.files import parse_health_policy
from relkit.monitoring.serving.run import check_health
from relkit.monitoring.serving.scraped import ScrapedTraffic, histogram_quantile, share_under
from relkit.monitoring.serving.types import HealthReport
from relkit.monitoring.types import RangeSamples, Series

NOW = "2026-11-01T12:00:30Z"
MINUTES = 180
POLICY = """\
schema: relkit.health/v1
name: serving
queue: {p95_ms: 200, slots: 40}
retries: {amplification: 1.5}
tenants: {}
budget: {latency_ms: {target: [500, 800], limit: 1100}}
churn: {max: 0.35}
history: 3h
prometheus:
  turns: turns_total
  attempts: attempts_total
  queue: {histogram: 'queue_seconds{job="voice"}'}
  service: {histogram: service_seconds}
  stages: {latency_ms: {histogram: latency_seconds}}
  partial_changes: changed_total
  partial_words: words_total
"""
Rows = dict[tuple[tuple[str, str], ...], FloatArray]


@dataclass
class Metrics:
    """Implements RangeQueries: per query what each series counts in every minute."""

    rows: dict[str, Rows]
    restarted: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    refused: int = 0
    gap: slice | None = None
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    def samples(self, query: str, *, start: int, end: int, step: int) -> RangeSamples:
        """Return counters that have counted for long before the first sample."""
        self.asked.append((start, end, step))
        series = []
        for labels, line in self.rows.get(query, {}).items():
            values = 1000.0 + np.concatenate([[0.0], np.cumsum(line)])
            if query in self.restarted:
                at = self.restarted[query]
                values[at:] -= values[at] - 1.0
            if self.gap is not None:
                values[self.gap] = np.nan
            series.append(Series(labels=dict(labels), values=values))
        times = np.arange(start, end + 1, step, dtype=np.int64)
        return RangeSamples(
            query=query,
            step=step,
            times=times,
            series=tuple(series),
            warnings=self.warnings,
            refused=self.refused,
        )


def histogram(name: str, per_minute: FloatArray, seconds: float, bounds: Sequence[float]) -> Any:  # noqa: ANN401 - rows by query
    """Return the rows of a histogram whose events all take as long."""
    buckets = {
        (("le", "+Inf" if bound == np.inf else f"{bound:g}"),): per_minute * (seconds <= bound)
        for bound in (*bounds, np.inf)
    }
    metric, sign, matchers = name.partition("{")
    return {
        f"{metric}_bucket{sign}{matchers}": buckets,
        f"{metric}_sum{sign}{matchers}": {(): per_minute * seconds},
        f"{metric}_count{sign}{matchers}": {(): per_minute},
    }


def calm(**changes: Rows) -> Metrics:
    """Return a server whose service is calm, with other rows where they are named."""
    steady = np.full(MINUTES, 60.0)
    rows: dict[str, Rows] = {
        "turns_total": {(("tenant_class", name),): steady / 2 for name in ("free", "paid")},
        "attempts_total": {(): steady * 1.1},
        **histogram('queue_seconds{job="voice"}', steady, 0.03, (0.05, 0.2, 1)),
        **histogram("service_seconds", steady, 0.8, (1, 2)),
        **histogram("latency_seconds", steady, 0.7, (0.5, 0.6, 0.7, 0.8, 1.1, 2)),
        "changed_total": {(("language", "en"),): steady},
        "words_total": {(("language", "en"),): steady * 8},
    }
    return Metrics(rows | changes)


def judged(server: Metrics, policy: str = POLICY) -> HealthReport:
    """Judge what a server answers."""
    read = parse_health_policy(policy, source="serving.yaml")
    return check_health(read, ScrapedTraffic(server), now=NOW)


def test_calm_counters_are_ok() -> None:
    """Utilisation, waiting, retries, calls, churn and budget come from counters."""
    server = calm()
    report = judged(server)
    assert report.verdict == "ok", report.reasons
    assert report.queue is not None
    assert report.queue.utilisation == pytest.approx(0.8 / 40)
    assert report.queue.p95_ms == pytest.approx(47.5)  # inside the bucket up to 50 ms
    assert report.queue.burn == 0
    assert report.retries is not None
    assert report.retries.amplification == pytest.approx(1.1)
    assert [tenant.calls for tenant in report.tenants or ()] == [150, 150]
    assert report.churn is not None
    assert report.churn.value == 0.125
    assert report.budget is not None
    assert report.budget[0].p95 == pytest.approx(695)
    assert report.until == "2026-11-01T12:00:00Z"
    end = int(moment("2026-11-01T12:00:00Z").timestamp())
    assert set(server.asked) == {(end - 60 * MINUTES, end, 60)}


def late(usual: float, changed: float, minutes: int) -> FloatArray:
    """Return a figure per minute that changes at the end."""
    return np.where(np.arange(MINUTES) < MINUTES - minutes, usual, changed)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        (histogram("service_seconds", np.full(MINUTES, 60.0), 45, (1, 2)), "saturated"),
        ({"attempts_total": {(): late(66, 180, 6)}}, "storm"),
        (
            {
                "turns_total": {
                    (("tenant_class", "free"),): late(30, 150, 5),
                    (("tenant_class", "paid"),): np.full(MINUTES, 30.0),
                },
                "attempts_total": {(): late(66, 200, 5)},
                **histogram('queue_seconds{job="voice"}', late(60, 180, 5), 0.03, (0.05, 0.2, 1)),
            },
            "spike",
        ),
        (histogram("latency_seconds", np.full(MINUTES, 60.0), 3, (0.5, 1.1, 2)), "fail"),
        ({"changed_total": {(("language", "en"),): np.full(MINUTES, 200.0)}}, "fail"),
    ],
    ids=["saturated", "storm", "spike", "beyond the last bucket", "churn"],
)
def test_overload_is_found_in_counters(changes: dict[str, Rows], verdict: str) -> None:
    """Each kind of overload is seen as it is in telemetry."""
    report = judged(calm(**changes))
    assert report.verdict == verdict, report.reasons


def without(query: str) -> Metrics:
    """Return a server without a metric."""
    server = calm()
    del server.rows[query]
    return server


def changed(server: Metrics, **fields: object) -> Metrics:
    """Return a server with another field."""
    for name, content in fields.items():
        setattr(server, name, content)
    return server


@pytest.mark.parametrize(
    ("server", "word"),
    [
        (without("turns_total"), "no series turns_total"),
        (without("attempts_total"), "no series attempts_total"),
        (without('queue_seconds_bucket{job="voice"}'), "no series queue_seconds_bucket"),
        (without("words_total"), "no series words_total"),
        (changed(calm(), warnings=("a store did not answer",)), "a store did not answer"),
        (changed(calm(), refused=2), "2 values of"),
        (changed(calm(), gap=slice(-4, -1)), "a gap in the last five minutes"),
        (changed(calm(), restarted={"turns_total": MINUTES - 2}), "restarted in the last five"),
        (calm(turns_total={(("tenant_class", "free"),): late(60, 0, 20)}), "the newest turn is"),
        (calm(attempts_total={(): np.full(MINUTES, 50.0)}), "fewer attempts than turns"),
        (calm(turns_total={(): np.full(MINUTES, 60.0)}), "tenants: tenant_class is missing"),
    ],
)
def test_what_is_missing_or_strange_is_never_ok(server: Metrics, word: str) -> None:
    """No series, a partial answer, NaN, a restart, silence and contradictions are no data."""
    report = judged(server)
    assert report.verdict == "no_data", report.reasons
    assert any(word in reason for reason in report.reasons), report.reasons


def test_an_older_restart_is_counted_on() -> None:
    """A counter that restarted an hour ago has its calls since."""
    report = judged(changed(calm(), restarted={"attempts_total": MINUTES - 60}))
    assert report.verdict == "ok", report.reasons


def test_minutes_before_the_first_sample_are_no_quiet_ones() -> None:
    """A service that is watched for an hour and a half is not in a spike since then."""
    report = judged(changed(calm(), gap=slice(0, 90)))
    assert report.verdict == "ok", report.reasons
    assert (report.tenants or ())[0].expected == pytest.approx(150, rel=0.01)


def test_a_server_without_traffic_is_no_data() -> None:
    """Counters that never moved have nothing to judge."""
    idle: Rows = {(("tenant_class", "free"),): np.zeros(MINUTES)}
    report = judged(calm(turns_total=idle, attempts_total={(): np.zeros(MINUTES)}))
    assert report.verdict == "no_data"


def test_buckets_have_to_reach_the_bound() -> None:
    """A histogram that ends under the bound cannot say what waited longer."""
    short = histogram('queue_seconds{job="voice"}', np.full(MINUTES, 60.0), 0.03, (0.05, 0.1))
    with pytest.raises(InvalidInput, match="its buckets end at 100 ms"):
        judged(calm(**short))


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("turns: turns_total", "turns: 1 + 1", InvalidInput, "serving.yaml, line 10"),
        ("{latency_ms: {hist", "{latency: {hist", InvalidInput, 'no stage "latency"'),
        (POLICY[POLICY.index("prometheus:") :], "", UsageError, "says nothing about Prometheus"),
    ],
)
def test_a_policy_names_counters(old: str, new: str, error: type[Exception], message: str) -> None:
    """Arithmetic, a stage that is none, and a policy without metrics are refused."""
    with pytest.raises(error, match=message):
        judged(calm(), POLICY.replace(old, new, 1))


def test_percentiles_of_a_histogram() -> None:
    """Linear inside a bucket; beyond the last bound nothing is known; none without events."""
    bounds, counts = np.array([100.0, 200.0, np.inf]), np.array([50.0, 90.0, 100.0])
    assert histogram_quantile(bounds, counts, 0.5) == 100
    assert histogram_quantile(bounds, counts, 0.7) == 150
    assert histogram_quantile(bounds, counts, 0.95) == np.inf
    assert histogram_quantile(bounds, counts * 0, 0.95) is None
    assert [share_under(bounds, counts, at) for at in (50, 100, 150, 200, 900)] == [
        25,
        50,
        70,
        90,
        90,
    ]
