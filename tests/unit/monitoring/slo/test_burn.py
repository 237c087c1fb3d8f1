"""Burn rates, pairs of windows and budgets, as pure functions of counts."""

import json
from fractions import Fraction as Exact
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.values import duration_s, moment
from relkit.monitoring.slo.burn import (
    alerts_of,
    budget_left,
    burn_of,
    counts_within,
    exhausted_after_s,
    factor_of,
    judge_window,
    verdict_of,
)
from relkit.monitoring.slo.judge import judge_slo, last_minute
from relkit.monitoring.slo.types import (
    BurnAlert,
    BurnWindow,
    EventCounts,
    GoodEvents,
    SloPolicy,
    SloReport,
    WindowCounts,
    exact,
)
from tests.conftest import SHARED

VECTORS = SHARED / "vectors" / "burn_rate.json"
needs_vectors = pytest.mark.skipif(not VECTORS.is_file(), reason="the shared vectors are not here")
NOW = "2026-03-01T00:00:00Z"
END = last_minute(NOW)
DAY_S = 86400
MANY = 10**9


def vectors() -> dict[str, Any]:
    """Return the vectors of Sloth, Pyrra and strict comparison."""
    document: dict[str, Any] = json.loads(VECTORS.read_text("utf-8"))
    return document


def policy(**fields: Any) -> SloPolicy:  # noqa: ANN401 - any field
    """Return an objective of 99.5 %."""
    filled = {"name": "x", "objective": 0.995, "good": GoodEvents(rate="failed", is_=False)}
    return SloPolicy(**{**filled, "digest": "sha256:" + "0" * 64, **fields})


def counts(minutes: dict[int, tuple[float, float]], **fields: Any) -> EventCounts:  # noqa: ANN401 - any field
    """Return (bad, total) by minutes before the end."""
    ordered = sorted(minutes, reverse=True)
    return EventCounts(
        at=np.array([END - 60 * minute for minute in ordered], dtype=np.int64),
        bad=np.array([minutes[minute][0] for minute in ordered], dtype=np.float64),
        total=np.array([minutes[minute][1] for minute in ordered], dtype=np.float64),
        **fields,
    )


def steady(bad: float, total: float, minutes: int = 30 * 1440) -> dict[int, tuple[float, float]]:
    """Return the same events in every minute."""
    return dict.fromkeys(range(minutes), (bad, total))


def judged(minutes: dict[int, tuple[float, float]], **fields: Any) -> SloReport:  # noqa: ANN401 - any field
    """Return the report of an objective of 99.5 %."""
    return judge_slo(policy(**fields), counts(minutes), NOW, "telemetry")


@needs_vectors
def test_factors_are_those_of_sloth() -> None:
    """Windows and factors of 30 and 28 days, and of a week with budgets of its own."""
    for entry in vectors()["sloth_windows"]:
        window_s = entry["slo_period_s"]
        if entry.get("expected_error"):
            with pytest.raises(ValueError, match="period without windows"):
                alerts_of(window_s)
            continue
        for alert, expected in zip(alerts_of(window_s), entry["alerts"], strict=True):
            assert exact(alert.budget) * 100 == exact(expected["budget_percent"])
            assert duration_s(alert.short) == expected["short_s"]
            assert duration_s(alert.long) == expected["long_s"]
            assert alert.severity == expected["id"].partition("-")[0]
            assert float(factor_of(alert, window_s)) == pytest.approx(expected["factor"], rel=1e-12)


@needs_vectors
def test_verdicts_are_those_of_the_truth_table() -> None:
    """Both windows have to exceed strictly, and a window without events is missing data."""
    for row in vectors()["truth_table_30d"]:
        allowed = 1 - exact(row["objective"]) / 100

        def window(name: str, ratios: dict[str, float | None] = row["error_ratio"]) -> WindowCounts:
            ratio = ratios[name]
            if ratio is None:
                return WindowCounts(bad=Exact(0), total=Exact(0), covered=0.0)
            return WindowCounts(bad=exact(ratio) * MANY, total=Exact(MANY))

        windows = tuple(
            judge_window(
                alert,
                factor_of(alert, 30 * DAY_S),
                allowed,
                50,
                short=window(alert.short),
                long=window(alert.long),
            )
            for alert in alerts_of(30 * DAY_S)
        )
        assert verdict_of(windows) == row["expected"], row


def pair(
    short: tuple[float, float], long: tuple[float, float], covered: dict[str, float]
) -> BurnWindow:
    """Return what 5 minutes and an hour say at 99.9 %, from (bad, total) each."""
    alert = BurnAlert(severity="page", budget=0.02, short="5m", long="1h")
    covered = {"short": 1.0, "long": 1.0, "excess": 0.0, **covered}
    return judge_window(
        alert,
        factor_of(alert, 30 * DAY_S),
        1 - exact(0.999),
        50,
        short=WindowCounts(
            bad=exact(short[0]),
            total=exact(short[1]),
            covered=covered["short"],
            excess=exact(covered["excess"]),
        ),
        long=WindowCounts(bad=exact(long[0]), total=exact(long[1]), covered=covered["long"]),
    )


@pytest.mark.parametrize(
    ("short", "long", "fields", "status"),
    [
        ((20, 1000), (200, 10_000), {}, "firing"),
        ((144, 10_000), (200, 10_000), {}, "quiet"),  # exactly 14.4 times
        ((20, 1000), (144, 10_000), {}, "quiet"),
        ((145, 10_000), (145, 10_000), {}, "firing"),
        ((3, 3), (3, 3), {}, "few_events"),  # three calls at night
        ((1, 60), (20, 1000), {}, "few_events"),  # one failure is no pattern
        ((2, 50), (20, 1000), {}, "firing"),
        ((2, 49), (20, 1000), {}, "few_events"),
        ((0, 0), (0, 100), {"short": 0.0}, "no_data"),
        ((0, 0), (0, 0), {}, "no_data"),
        ((0, 100), (0, 1000), {"short": 0.5}, "no_data"),
        ((0, 100), (0, 1000), {"long": 0.89}, "no_data"),
        ((20, 1000), (200, 10_000), {"long": 0.5}, "firing"),  # missing data excuses nothing
        ((0, 0), (0, 1000), {}, "quiet"),  # counted, and nobody called
        ((60, 50), (200, 10_000), {}, "no_data"),
        ((-3, 50), (0, 10_000), {}, "no_data"),
        ((3, 50), (3, 10_000), {"excess": 5.0}, "no_data"),
    ],
)
def test_a_pair_of_windows(
    short: tuple[float, float], long: tuple[float, float], fields: dict[str, float], status: str
) -> None:
    """It fires on enough events in two burning windows, and never rests on missing data."""
    window = pair(short, long, fields)
    assert window.status == status
    assert window.firing == (status == "firing")
    assert window.reason


def test_a_pair_that_cannot_fire_says_so() -> None:
    """At 90 % nothing burns 14.4 times too fast."""
    windows = judged(steady(0, 100), objective=0.9).windows
    assert windows[0].reason == "cannot fire: only bad events would burn 10"


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 1000)), min_size=1, max_size=40),
    st.lists(st.integers(1, 39), max_size=6),
)
def test_burn_does_not_depend_on_how_minutes_are_grouped(
    minutes: list[tuple[int, int]], cuts: list[int]
) -> None:
    """Counts add, so that any grouping of a window's minutes gives the same burn, exactly."""
    allowed = 1 - exact(0.995)
    rows = {i: (float(min(pair)), float(max(pair))) for i, pair in enumerate(minutes)}
    edges = sorted({0, len(minutes), *(cut for cut in cuts if cut < len(minutes))})
    grouped = {
        low: (
            sum(rows[i][0] for i in range(low, high)),
            sum(rows[i][1] for i in range(low, high)),
        )
        for low, high in pairwise(edges)
    }
    single, together = (counts_within(counts(part), END - 3600, END) for part in (rows, grouped))
    assert single.bad == together.bad
    assert burn_of(single.bad, single.total, allowed) == burn_of(
        together.bad, together.total, allowed
    )


ORDER = {"none": 0, "no_data": 1, "ticket": 2, "page": 3}


@given(
    st.lists(st.integers(0, 100), min_size=4, max_size=4),
    st.lists(st.integers(0, 20), min_size=4, max_size=4),
)
def test_more_bad_events_never_calm_a_verdict(bad: list[int], more: list[int]) -> None:
    """With the same events, a bad one more makes the verdict the same or worse."""
    ends = [0, 6, 31, 400]

    def verdict(parts: list[int]) -> int:
        rows = steady(0, 100, 3 * 1440)
        for end, part in zip(ends, parts, strict=True):
            for minute in range(end, end + 5):
                rows[minute] = (float(min(100, part)), 100.0)
        return ORDER[judged(rows).verdict]

    assert verdict([a + b for a, b in zip(bad, more, strict=True)]) >= verdict(bad)


@pytest.mark.parametrize(
    ("minutes", "verdict"),
    [
        (steady(0.1, 100), "none"),
        ({**steady(0.1, 100), **dict.fromkeys(range(60), (20, 100))}, "page"),
        # an hour that recovered: the short windows are quiet, the day's burn is a ticket
        ({**steady(0.1, 100), **dict.fromkeys(range(31, 91), (40, 100))}, "ticket"),
        (steady(0.8, 100), "ticket"),
        ({}, "no_data"),
        ({**steady(0, 1), **dict.fromkeys(range(3), (1, 1))}, "none"),  # three calls at night
        (steady(100, 50), "no_data"),
    ],
)
def test_the_verdict_of_an_objective(minutes: dict[int, tuple[float, float]], verdict: str) -> None:
    """A page, a ticket, a recovered hour, three calls at night, and counts that cannot be."""
    assert judged(minutes).verdict == verdict


def test_counts_that_may_be_a_part_are_never_quiet() -> None:
    """What a source warns of turns a quiet verdict into no data, and leaves a page a page."""
    partial = {"partial": "a store did not answer"}
    quiet = judge_slo(policy(), counts(steady(0, 100), **partial), NOW, "prometheus")
    burning = judge_slo(policy(), counts(steady(50, 100), **partial), NOW, "prometheus")
    assert (quiet.verdict, quiet.reason) == ("no_data", "a store did not answer")
    assert burning.verdict == "page"


def test_a_ticket_does_not_hide_that_a_page_is_not_ruled_out() -> None:
    """A burning day with half an hour missing at its end is no data, a burning hour a page."""
    gaps = ((END - 1800, END),)
    slow = judge_slo(policy(), counts(steady(2, 100), gaps=gaps), NOW, "telemetry")
    fast = judge_slo(policy(), counts(steady(20, 100), gaps=gaps), NOW, "telemetry")
    assert (slow.verdict, slow.windows[3].firing) == ("no_data", True)
    assert fast.verdict == "page"


def test_a_gap_in_a_window_is_no_data() -> None:
    """Half an hour without data is more than an hour's window bears, and less than a day's."""
    gaps = ((END - 1800, END),)
    report = judge_slo(policy(), counts(steady(0, 100), gaps=gaps), NOW, "telemetry")
    assert [window.status for window in report.windows] == [
        "no_data",
        "no_data",
        "no_data",
        "quiet",
    ]
    assert report.windows[0].reason == "data for 0 % of the last 5m"


def test_the_budget_and_when_it_ends() -> None:
    """Half of the budget is left after a quiet month and a day that burns five times too fast."""
    rows = {**steady(0.25, 100), **dict.fromkeys(range(1440), (2.5, 100))}
    report = judged(rows)
    total, bad = 30 * 1440 * 100, 29 * 1440 * 0.25 + 1440 * 2.5
    assert report.budget.bad == pytest.approx(bad)
    assert report.budget_left == pytest.approx(1 - bad / (0.005 * total))
    assert report.burn_day == pytest.approx(5.0)
    assert report.exhausted_at is not None
    left_s = (moment(report.exhausted_at) - moment(NOW)).total_seconds()
    assert left_s == pytest.approx((report.budget_left or 0) * 30 * DAY_S / 5, abs=1)
    assert not report.freeze


def test_a_budget_that_comes_back_has_no_end() -> None:
    """A day that burns no faster than once leaves no date."""
    assert judged(steady(0.4, 100)).exhausted_at is None
    assert exhausted_after_s(Exact(1, 2), Exact(1), 30 * DAY_S) is None


def test_a_spent_budget_freezes_and_says_since_when() -> None:
    """One day of failures spends the month; the date is the minute in which it was spent."""
    rows = {**steady(0, 100), **dict.fromkeys(range(1440, 2880), (100, 100))}
    report = judged(rows)
    assert report.budget_left == pytest.approx(1 - 1440 / 216)
    assert report.freeze
    assert report.exhausted_at == "2026-02-27T03:36:00Z"


@pytest.mark.parametrize("minutes", [{}, steady(100, 50)])
def test_an_unknown_budget_freezes(minutes: dict[int, tuple[float, float]]) -> None:
    """No data, or counts that contradict each other, are no reason to release."""
    report = judged(minutes)
    assert (report.freeze, report.budget_left) == (True, None)


def test_who_spent_it_comes_in_the_order_of_what_they_spent() -> None:
    """Shares are of the bad events of the period, burns of the slice's own events."""
    by_slice = {"language=en": (10.0, 4000.0), "language=sv": (30.0, 1000.0)}
    rows = counts({0: (40, 5000)}, by_slice=by_slice)
    spent = judge_slo(policy(), rows, NOW, "telemetry").spent_by_slice
    assert [(row.slice, row.share, round(row.burn or 0, 9)) for row in spent] == [
        ("language=sv", 0.75, 6.0),
        ("language=en", 0.25, 0.5),
    ]


def test_a_budget_is_counted_and_not_averaged() -> None:
    """A busy minute weighs by its events: averaging ratios would say 50 % here."""
    left = budget_left(Exact(100), Exact(1010), 1 - exact(0.5))
    assert left == 1 - Exact(100, 505)


def test_a_service_that_has_not_begun_is_not_quiet() -> None:
    """A beginning after the time of judgement explains no silence: no data, unless it burns."""
    ahead = {"since": "2999-01-01T00:00:00Z"}
    assert judged(steady(0, 100), **ahead).verdict == "no_data"
    assert judged(steady(50, 100), **ahead).verdict == "page"
