"""A Prometheus server that answers, answers in part, or does not answer."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from relkit.adapters.prometheus import TOKEN_VARIABLE, PrometheusLevels, PrometheusServer
from relkit.core.errors import BackendUnavailable, InvalidInput, RelkitError, UsageError
from relkit.monitoring.slo.burn import counts_within
from relkit.monitoring.slo.files import parse_slo
from relkit.monitoring.slo.judge import judge_slo, last_minute
from relkit.monitoring.slo.types import SloPolicy, SloReport
from tests.prometheus import Answer, StandIn

NOW = "2026-03-01T00:00:30Z"
END = last_minute(NOW)
DAY_S = 86400
COUNTERS = "{prometheus: {bad: 'turns_total{outcome=\"failed\"}', total: turns_total}}"


def objective(good: str = COUNTERS, more: str = "") -> SloPolicy:
    """Return an objective of 99 % with a rolling week."""
    head = "schema: relkit.slo/v1\nname: x\nobjective: 99%\nwindow: 7d\nmin_events: 5\n"
    return parse_slo(f"{head}good: {good}\n{more}", source="x.yaml")


def rising(per_minute: float, since: int = 0) -> Callable[[int], float]:
    """Return a counter that rises steadily."""
    return lambda at: max(0.0, (at - since) / 60 * per_minute)


NOTHING = rising(0)
TEN = rising(10, END - 30 * DAY_S)


def bot(
    failed: Callable[[int], float | None] = NOTHING, ok: Callable[[int], float | None] = TEN
) -> Callable[[str], Sequence[Answer]]:
    """Return the counters of a bot: failed and completed turns by language and release."""

    def series(query: str) -> Sequence[Answer]:
        if query.startswith("max(timestamp("):
            return [({}, lambda at: None if ok(at) is None else float(at - at % 30))]
        rows: list[Answer] = [
            ({"outcome": "failed", "language": "sv", "release": "2.0"}, failed),
            ({"outcome": "completed", "language": "en", "release": "2.0"}, ok),
        ]
        return rows[:1] if "failed" in query else rows

    return series


@pytest.fixture
def server() -> Iterator[StandIn]:
    """Give a server that has ten good turns a minute."""
    with StandIn(series=bot()) as stand_in:
        yield stand_in


def judged(server: StandIn, policy: SloPolicy | None = None, timeout_s: float = 5.0) -> SloReport:
    """Return the report of an objective."""
    policy = policy or objective()
    levels = PrometheusLevels(PrometheusServer(server.url, {}, timeout_s=timeout_s))
    return judge_slo(policy, levels.counts(policy, NOW), NOW, "prometheus")


def test_a_quiet_week_is_none(server: StandIn) -> None:
    """All windows have data, and nothing is reported."""
    report = judged(server)
    assert (report.verdict, report.problems, report.budget.bad) == ("none", (), 0)
    assert report.budget.total == 7 * 1440 * 10


def test_an_hour_of_failures_is_a_page_with_who_spent_it(server: StandIn) -> None:
    """Bad and all events are those of the labels."""
    server.series = bot(failed=rising(8, END - 3600))
    report = judged(server)
    assert report.verdict == "page"
    assert report.windows[0].bad_short == 40
    assert report.spent_by_slice[0].slice == "release=2.0"
    sliced = judged(server, objective(more="slices: [language]\n"))
    assert [row.slice for row in sliced.spent_by_slice if row.bad] == [
        "language=sv",
        "release=2.0",
    ]


def test_good_events_are_the_rest(server: StandIn) -> None:
    """An objective by its good events has the same counts as one by its bad ones."""
    good = "{prometheus: {good: 'turns_total{outcome!=\"failed\"}', total: turns_total}}"
    failing = rising(8, END - 3600)

    def series(query: str) -> Sequence[Answer]:
        if "!=" in query and not query.startswith("max"):
            return bot(failed=failing)("turns_total")[1:]
        return bot(failed=failing)(query)

    server.series = series
    report, by_bad = judged(server, objective(good)), judged(server)
    assert report.windows == by_bad.windows
    assert report.spent_by_slice == by_bad.spent_by_slice


def test_a_restart_loses_nothing_and_is_reported(server: StandIn) -> None:
    """Two hours ago the counters began at 0 again."""
    again = END - 7200
    good = rising(10, END - 30 * DAY_S)
    server.series = bot(ok=lambda at: rising(10, again)(at) if at >= again else good(at))
    report = judged(server)
    assert report.verdict == "none"
    assert report.budget.total == pytest.approx(7 * 1440 * 10, abs=10)
    assert [problem.code for problem in report.problems] == ["counter_reset"]
    assert report.problems[0].message == "1 restart of turns_total"


def test_the_first_failures_of_all_are_counted(server: StandIn) -> None:
    """A client makes the series of a label with its first event: nothing of it is lost."""
    began = END - 240
    server.series = bot(failed=lambda at: 9.0 + (at - began) / 60 if at >= began else None)
    report = judged(server)
    assert (report.windows[0].bad_short, report.budget.bad) == (13, 13)


@pytest.mark.parametrize(
    ("start", "end", "verdict", "reason"),
    [
        (END - 600, END, "no_data", "data for 0 % of the last 5m"),
        (END - 5000, END - 1800, "no_data", "of the last 1h"),
        (END - 30 * DAY_S, END - 2 * DAY_S, "no_data", "data for 67 % of the last 3d"),
        (END - 30 * DAY_S, END, "no_data", "the server has no series turns_total"),
        (END - 3600, END - 3400, "none", ""),  # three minutes
    ],
    ids=["stopped", "an hour ago", "young", "never", "short"],
)
def test_a_gap_is_never_none(
    server: StandIn, start: int, end: int, verdict: str, reason: str
) -> None:
    """A counter that is not sampled may count anything."""

    def cut(value_at: Callable[[int], float]) -> Callable[[int], float | None]:
        return lambda at: None if start < at <= end else value_at(at)

    server.series = bot(failed=cut(rising(0)), ok=cut(rising(10, END - 31 * DAY_S)))
    report = judged(server)
    assert report.verdict == verdict
    assert reason in report.reason
    since = "since: " + '"2026-02-27T00:01:00Z"\n'
    if reason.startswith("data for 67"):
        assert judged(server, objective(more=since)).verdict == "none"


def test_a_sample_of_some_minutes_ago_is_no_news(server: StandIn) -> None:
    """Prometheus repeats a sample for five minutes: its own time says that nothing was scraped."""
    quiet = bot()

    def series(query: str) -> Sequence[Answer]:
        if query.startswith("max(timestamp("):
            return [({}, lambda at: float(min(at, END - 250)))]
        return quiet(query)

    server.series = series
    assert judged(server).reason == "data for 17 % of the last 5m"


def test_a_label_that_never_occurred_may_be_misspelt(server: StandIn) -> None:
    """No series of failures is not the same as no failure."""
    quiet = bot()
    server.series = lambda query: [] if "failed" in query else quiet(query)
    report = judged(server)
    assert report.verdict == "no_data"
    assert 'no series turns_total{outcome="failed"}' in report.reason


def test_values_that_are_no_numbers_are_never_none(server: StandIn) -> None:
    """A counter of NaN counts nothing, and says so."""
    server.series = bot(failed=lambda at: math.nan if at % 7200 == 0 else 0.0)
    report = judged(server)
    assert (report.verdict, report.problems[0].code) == ("no_data", "not_a_number")


def test_more_bad_events_than_events_are_no_data(server: StandIn) -> None:
    """Two counters that do not count the same."""
    many, few = rising(20, END - 30 * DAY_S), rising(10, END - 30 * DAY_S)
    server.series = lambda query: (
        bot()(query) if query.startswith("max") else [({}, many if "failed" in query else few)]
    )
    report = judged(server)
    assert report.verdict == "no_data"
    assert report.reason == "more bad events than events in the last 5m"
    assert report.freeze


def test_what_the_server_warns_of_is_never_none(server: StandIn) -> None:
    """A store that did not answer makes a part of an answer; remarks on style do not."""
    server.warnings = ["PromQL info: metric might not be a counter"]
    assert judged(server).verdict == "none"
    server.warnings = ["partial response: store 10.0.0.7 unavailable"]
    report = judged(server)
    assert report.verdict == "no_data"
    assert report.reason == "the server warns: partial response: store 10.0.0.7 unavailable"
    server.series = bot(failed=rising(8, END - 3600))
    assert judged(server).verdict == "page"


def test_a_slice_that_no_series_has_is_said(server: StandIn) -> None:
    """The verdict needs no slice, and the nearest label is named."""
    report = judged(server, objective(more="slices: [langauge]\n"))
    assert report.verdict == "none"
    assert report.problems[0].message.endswith('did you mean "language"?')


HISTOGRAM = "{prometheus: {histogram: turn_seconds, below: 1}}"


def test_a_classic_histogram_is_counted_by_its_bucket(server: StandIn) -> None:
    """Observations up to the bound are good; the bound may be spelt 1 or 1.0."""
    total, fast = rising(10, END - 30 * DAY_S), rising(9, END - 30 * DAY_S)

    def series(query: str) -> Sequence[Answer]:
        if query.startswith("max("):
            return bot()(query)
        if "_bucket" in query:
            assert 'le=~"1|1\\\\.0"' in query
            return [({"le": "1.0"}, fast)]
        return [({}, total)]

    server.series = series
    report = judged(server, objective(HISTOGRAM))
    assert report.verdict == "page"
    assert report.windows[0].burn_long == pytest.approx(10)


def test_a_histogram_without_its_bucket_names_those_it_has(server: StandIn) -> None:
    """A bound between two buckets cannot be counted by."""

    def series(query: str) -> Sequence[Answer]:
        if query.startswith("group"):
            return [({"le": text}, rising(1)) for text in ("0.5", "2.5", "+Inf")]
        if "_bucket" in query:
            return []
        return bot()(query)

    server.series = series
    report = judged(server, objective(HISTOGRAM))
    assert report.verdict == "no_data"
    assert "no bucket of its bound" in report.reason
    assert "0.5" in report.reason


@pytest.mark.parametrize(
    ("fault", "message", "kind"),
    [
        ("close", "did not answer", BackendUnavailable),
        ("hang", "gave no answer in 0.5 s", BackendUnavailable),
        ("drip", "gave no answer in 0.5 s", BackendUnavailable),
        ("cut", "cut off", BackendUnavailable),
        ("torn", "did not answer", BackendUnavailable),
        ("html", "no answer of Prometheus", BackendUnavailable),
        ("401", "does not let us in", BackendUnavailable),
        ("404", "status 404", BackendUnavailable),
        ("500", "status 500", BackendUnavailable),
        ("503", "status 503", BackendUnavailable),
        ("307", "redirect", BackendUnavailable),
        ("timeout", "query timed out", BackendUnavailable),
        ("too many", "too many samples", BackendUnavailable),
        ("no data", "without a result", BackendUnavailable),
        ("odd series", "a series that cannot be read", BackendUnavailable),
        ("other times", "times that were not asked for", BackendUnavailable),
        ("bad query", "refuses the query", InvalidInput),
        ("vector", "gives no series", InvalidInput),
        ("native", "is a native histogram", InvalidInput),
    ],
)
def test_a_server_that_fails_is_an_error(
    server: StandIn, fault: str, message: str, kind: type[RelkitError]
) -> None:
    """Each is one message with the way out, exit 5 where the server is to blame."""
    server.always = fault
    with pytest.raises(kind) as error:
        judged(server, timeout_s=0.5 if fault in {"hang", "drip"} else 5.0)
    assert message in error.value.message
    assert error.value.exit_code == (5 if kind is BackendUnavailable else 2)


def test_a_server_that_stops_half_way_is_an_error(server: StandIn) -> None:
    """The first query was answered, the second was not."""
    server.faults = ["", "503"]
    with pytest.raises(BackendUnavailable):
        judged(server)


def test_nobody_at_the_address_is_an_error() -> None:
    """A port that nothing listens to."""
    with pytest.raises(BackendUnavailable, match="did not answer: ConnectError"):
        PrometheusServer("http://127.0.0.1:9", {}).samples("up", start=0, end=60, step=60)


@pytest.mark.parametrize("url", ["localhost:9090", "ftp://x", "http://", "http://x:port", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(UsageError, match="no address"):
        PrometheusServer(url, {})


def test_credentials_are_sent_and_never_shown(server: StandIn) -> None:
    """A login in the address and a token in the environment reach the server alone."""
    login = server.url.replace("http://", "http://me:secret@")
    PrometheusServer(login, {}).samples("up", start=0, end=60, step=60)
    token = PrometheusServer(server.url, {TOKEN_VARIABLE: "t0ken"})
    token.samples("up", start=0, end=60, step=60)
    sent = [form["authorization"] for form in server.asked]
    assert sent == ["Basic bWU6c2VjcmV0", "Bearer t0ken"]
    server.always = "500"
    for asked in (PrometheusServer(login, {}), token):
        with pytest.raises(BackendUnavailable) as error:
            asked.samples("up", start=0, end=60, step=60)
        assert "secret" not in str(error.value)
        assert "t0ken" not in str(error.value)


def test_samples_are_aligned_and_long_ranges_asked_for_in_pieces(server: StandIn) -> None:
    """Every series has a value for every time, NaN where there is none."""
    server.series = lambda _: [
        ({"a": "1"}, float),
        ({"a": "2"}, lambda at: 1.0 if at >= 11_000 * 60 else None),
    ]
    samples = PrometheusServer(server.url, {}).samples("m", start=0, end=12_000 * 60, step=60)
    assert len(server.asked) == 2
    assert samples.times.tolist() == list(range(0, 12_000 * 60 + 1, 60))
    full, late = samples.series
    assert np.array_equal(full.values, samples.times)
    assert np.isnan(late.values[:11_000]).all()
    assert (late.values[11_000:] == 1).all()


def test_counts_of_the_older_and_the_newer_part_join(server: StandIn) -> None:
    """Ten-minute steps before the alerts' windows, minutes in them, and no event lost between."""
    levels = PrometheusLevels(PrometheusServer(server.url, {}))
    counts = levels.counts(objective(), NOW)
    assert np.array_equal(np.unique(np.diff(counts.at)), [60, 600])
    for days in (1, 3, 4, 7, 20):
        inside = counts_within(counts, END - days * DAY_S, END)
        assert float(inside.total) == days * 1440 * 10
