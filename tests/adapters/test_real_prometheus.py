"""A real Prometheus server that scrapes a small exporter, with four days of history."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from relkit.adapters.prometheus import PrometheusLevels, PrometheusServer
from relkit.core.errors import InvalidInput
from relkit.core.values import time_text
from relkit.monitoring.counters import increases
from relkit.monitoring.slo.files import parse_slo
from relkit.monitoring.slo.judge import judge_slo, utc_of
from relkit.monitoring.slo.selectors import event_queries
from relkit.monitoring.slo.types import PrometheusEvents, SloReport
from tests.prometheus import Exporter, needs_prometheus, real_prometheus

pytestmark = needs_prometheus
DAYS = 4
RESTART_MINUTES = 2000
"""Minutes before the end at which the counters of the history begin again."""


def history(end: int) -> str:
    """Return four days of a bot with failures in the last hour, and a restart, as OpenMetrics."""
    counters = ['turns_total{outcome="ok"}', 'turns_total{outcome="failed"}']
    lines: list[list[str]] = [[], []]
    ok = failed = 0
    for minute in range(DAYS * 1440, -1, -1):
        if minute == RESTART_MINUTES:
            ok = failed = 0
        failing = minute < 60
        ok += 12 if failing else 20
        failed += 8 if failing else 0
        for row, name, value in zip(lines, counters, (ok, failed), strict=True):
            row.append(f"{name} {value} {end - 60 * minute}")
    buckets = ['turn_seconds_bucket{le="0.5"}', 'turn_seconds_bucket{le="1.0"}',
               'turn_seconds_bucket{le="+Inf"}', "turn_seconds_count"]  # fmt: skip
    slow: list[list[str]] = [[] for _ in buckets]
    for minute in range(DAYS * 1440, -1, -1):
        seen = DAYS * 1440 - minute
        for row, name, rate in zip(slow, buckets, (10, 19, 20, 20), strict=True):
            row.append(f"{name} {rate * seen} {end - 60 * minute}")
    text = ["# TYPE turns counter", *lines[0], *lines[1], "# TYPE turn_seconds histogram"]
    for row in slow:
        text += row
    return "\n".join([*text, "# EOF"]) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server, the exporter that it scrapes each second, and the end of its history."""

    url: str
    exporter: Exporter
    end: int

    @property
    def server(self) -> PrometheusServer:
        """The adapter."""
        return PrometheusServer(self.url, {})

    def judged(self, good: str, at: int | None = None) -> SloReport:
        """Return the report of an objective of 99 % with its own idea of good."""
        head = "schema: relkit.slo/v1\nname: x\nobjective: 99%\nwindow: 30d\n"
        policy = parse_slo(f"{head}good: {good}\n", source="x.yaml")
        now = time_text(utc_of(self.end if at is None else at))
        return judge_slo(
            policy, PrometheusLevels(self.server).counts(policy, now), now, "prometheus"
        )

    def live(self, query: str) -> float:
        """Return the newest value of a query, 0 where there is none."""
        now = int(time.time())
        samples = self.server.samples(query, start=now, end=now, step=1)
        return float(sum(np.nan_to_num(series.values[-1]) for series in samples.series))

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the server has scraped something."""
        for _ in range(200):
            if condition():
                return
            time.sleep(0.1)
        pytest.fail(f"the server never saw {what}")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server over four days of history and a live exporter."""
    end = int(time.time()) // 60 * 60
    exporter = Exporter(counts={"ok": 100, "failed": 0}, native={0: 30, 1: 60, 2: 10})
    folder = tmp_path_factory.mktemp("prometheus")
    with exporter, real_prometheus(folder, exporter.address, history(end)) as url:
        yield Running(url=url, exporter=exporter, end=end)


COUNTERS = "{prometheus: {bad: 'turns_total{outcome=\"failed\"}', total: sum(turns_total)}}"


def test_failures_of_the_last_hour_are_a_page(running: Running) -> None:
    """Counts are exact: twenty turns a minute, eight of them failed for an hour."""
    report = running.judged(COUNTERS)
    assert report.verdict == "page"
    page = report.windows[0]
    assert (page.bad_short, page.events_short, page.events_long) == (40, 100, 1200)
    assert page.burn_long == pytest.approx(8 * 59 / 1200 / 0.01, rel=0.02)
    restarted = [p.message for p in report.problems if p.code == "counter_reset"]
    assert len(restarted) == 1
    assert "turns_total" in restarted[0]
    assert 0.1 < report.budget.covered < 0.15


def test_before_the_failures_there_is_nothing_to_say(running: Running) -> None:
    """An hour and a half before the end everything was answered, and no data is missing."""
    report = running.judged(COUNTERS, at=running.end - 5400)
    assert (report.verdict, report.budget.bad) == ("none", 0)


def test_after_the_history_there_is_no_data(running: Running) -> None:
    """Forty minutes later the counters are gone: no data, not a recovered service."""
    report = running.judged(COUNTERS, at=running.end + 2400)
    assert report.verdict == "no_data"
    assert report.freeze_reason


def test_a_classic_histogram(running: Running) -> None:
    """One of twenty takes longer than a second: five times what 99 % allow."""
    report = running.judged("{prometheus: {histogram: turn_seconds, below: 1}}")
    assert report.verdict == "ticket"
    assert report.windows[2].burn_long == pytest.approx(5)


def test_a_bound_between_buckets_names_the_buckets(running: Running) -> None:
    """Nothing can be counted by it."""
    report = running.judged("{prometheus: {histogram: turn_seconds, below: 0.7}}")
    assert report.verdict == "no_data"
    assert "no bucket" in report.reason


def test_a_metric_that_does_not_exist_is_no_data(running: Running) -> None:
    """A misspelt name is said, and nothing is quiet."""
    report = running.judged("{prometheus: {bad: turn_total, total: turns_total}}")
    assert report.verdict == "no_data"
    assert "no series turn_total" in report.reason


def test_a_live_counter_its_restart_and_its_gap(running: Running) -> None:
    """The server scrapes what the exporter counts; a target that is down has no samples."""
    exporter, query = running.exporter, 'live_turns_total{outcome="ok"}'
    running.wait(lambda: running.live(query) == 100, "the first count")
    exporter.counts = {"ok": 130, "failed": 1}
    running.wait(lambda: running.live(query) == 130, "the second count")
    exporter.counts = {"ok": 4, "failed": 0}
    running.wait(lambda: running.live(query) == 4, "the restart")
    exporter.down = True
    running.wait(lambda: running.live(query) == 0, "that the target is down")
    exporter.down = False
    running.wait(lambda: running.live(query) == 4, "that the target is back")
    now = int(time.time())
    samples = running.server.samples(query, start=now - 60, end=now, step=1)
    grown = increases(samples)
    assert (grown.total.sum(), grown.resets) == (34, 1)
    first = int(np.argmax(grown.present))
    assert not grown.present[first:].all()


def test_a_native_histogram(running: Running) -> None:
    """Ninety of a hundred observations lie below 2 s, and its samples are no numbers."""
    query = "histogram_count(live_seconds)"
    running.wait(lambda: running.live(query) == 100, "the histogram")
    assert running.live("histogram_fraction(-Inf, 2, live_seconds)") == 0.9
    with pytest.raises(InvalidInput, match="native histogram"):
        running.live("live_seconds")
    running.exporter.native = {0: 31, 1: 70, 2: 29}
    running.wait(lambda: running.live(query) == 130, "the observations")
    queries = event_queries(PrometheusEvents(histogram="live_seconds", below=2, native=True))
    now = int(time.time())
    counted = [
        increases(running.server.samples(query, start=now - 60, end=now, step=1))
        for query in (queries.total, queries.side)
    ]
    assert [float(part.total.sum()) for part in counted] == [30, pytest.approx(11)]
