"""Simulated traffic: the same by seed, whole by its parts, and with the fault it names."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from relkit.core.arrays import Codes
from relkit.core.errors import InvalidInput, UsageError
from relkit.telemetry.simulation.scenarios import (
    ROLLOUT,
    SCENARIOS,
    parse_steps,
    rehearsal,
)
from relkit.telemetry.simulation.traffic import PRICES, hourly, traffic
from relkit.telemetry.simulation.types import SimulatedStep, TurnColumns
from relkit.telemetry.types import COLUMNS, OUTCOMES, STAGES

SMALL: dict[str, Any] = {"turns_per_hour": 400.0, "hours": 6}


def same(left: TurnColumns, right: TurnColumns) -> bool:
    """Return whether two tables have equal columns."""
    return plain(left).keys() == plain(right).keys() and all(
        left_column == right_column
        for left_column, right_column in zip(
            plain(left).values(), plain(right).values(), strict=True
        )
    )


def plain(turns: TurnColumns) -> dict[str, tuple[object, ...]]:
    """Return columns as values that compare."""
    return {
        name: (values.names, values.codes.tobytes())
        if isinstance(values, Codes)
        else (values.tobytes(),)
        for name, values in turns.columns.items()
    }


@pytest.fixture(scope="module")
def equal() -> TurnColumns:
    """Give a day of traffic without a fault."""
    return traffic(rehearsal("equal"))


def test_the_same_seed_gives_the_same_turns() -> None:
    """Another seed gives other traffic."""
    first, second = (traffic(rehearsal("harm", seed=3, **SMALL)) for _ in range(2))
    assert same(first, second)
    assert not same(first, traffic(rehearsal("harm", seed=4, **SMALL)))


@pytest.mark.parametrize("name", ["slice", "late-rows", "tenant-spike", "hostile-caller"])
def test_an_hour_does_not_depend_on_how_many_there_are(name: str) -> None:
    """The first hours of a longer rehearsal are those of a shorter one."""
    steps = (SimulatedStep(share=0.1, hours=2), SimulatedStep(share=0.5, hours=2))
    short = rehearsal(name, steps=steps, turns_per_hour=400, hours=3, onset_hours=1)
    longer = replace(short, hours=7)
    hours = zip(hourly(short), hourly(longer), strict=False)
    assert all(same(turns, others) for (_, turns), (_, others) in hours)


def test_every_column_of_the_turn_table_is_there_in_its_order(equal: TurnColumns) -> None:
    """Attributes, measures and events come after them."""
    assert list(equal.columns)[: len(COLUMNS)] == list(COLUMNS)


def test_stages_wait_and_rest_add_up_to_the_latency(equal: TurnColumns) -> None:
    """What nothing explains is small and positive; without an answer there is no latency."""
    latency = equal.numbers("latency_ms")
    stages = sum(np.nan_to_num(equal.numbers(name)) for name in STAGES)
    rest = latency - stages - equal.numbers("queue_ms")
    answered = ~np.isnan(latency)
    assert rest[answered].min() >= 12
    assert np.median(rest[answered]) < 30
    assert 0.02 < 1 - answered.mean() < 0.06
    assert np.isnan(equal.numbers("tts_ttfb_ms")[~answered]).all()


def test_the_day_has_its_pattern(equal: TurnColumns) -> None:
    """Noon has several times the turns of the night, and 24 hours give about what was asked."""
    hours = (equal.times("ts") // 3_600_000_000) % 24
    per_hour = np.bincount(hours, minlength=24)
    assert per_hour[10] > 8 * per_hour[3]
    assert len(traffic(rehearsal("equal", turns=30_000))) == pytest.approx(30_000, rel=0.05)


def test_each_step_has_its_share_of_sessions() -> None:
    """The coin of a session comes down by the share of the step in which it begins."""
    plan = rehearsal("equal", steps=ROLLOUT, turns_per_hour=4000)
    turns = traffic(plan)
    first = turns.take(turns.times("_number") == 0)
    hours = (first.times("_begin") - first.times("_begin").min()) / 3.6e9
    ends = np.cumsum([step.hours for step in ROLLOUT])
    step_of = np.searchsorted(ends, hours, side="right")
    for number, step in enumerate(ROLLOUT):
        canary = first.is_value("arm", "canary")[step_of == number]
        spread = np.sqrt(step.share * (1 - step.share) / len(canary))
        assert canary.mean() == pytest.approx(step.share, abs=4.5 * spread + 1e-9)


@pytest.mark.parametrize("unit", ["session", "user"])
def test_a_unit_has_one_arm_in_a_step(unit: str) -> None:
    """Its turns, and all sessions of a user, are in one arm, under one release."""
    turns = traffic(rehearsal("equal", unit=unit, **SMALL))
    _, first, of = np.unique(turns.keys("unit"), return_index=True, return_inverse=True)
    for column in ("arm", "release"):
        codes = turns.texts(column).codes
        assert (codes == codes[first][of]).all()
    sessions = len(np.unique(turns.keys("session")))
    assert (len(first) == sessions) == (unit == "session")


def test_users_come_back_as_they_were(equal: TurnColumns) -> None:
    """A user's language stays the same, and most sessions are by somebody who calls again."""
    first = equal.take(equal.times("_number") == 0)
    speakers, of = np.unique(first.keys("speaker"), return_inverse=True)
    assert 1.2 < len(of) / len(speakers) < 4
    pairs = np.unique(np.stack([of, first.texts("language").codes]), axis=1)
    assert pairs.shape[1] == len(speakers)


def correlation(values: np.ndarray, of: np.ndarray) -> float:
    """Return the correlation of values inside groups (the estimate of the canary's evidence)."""
    centred, sizes = values - values.mean(), np.bincount(of)
    sums = np.bincount(of, weights=centred)
    spread = (centred**2).mean()
    return float(((sums**2).sum() / spread - sizes.sum()) / (sizes * (sizes - 1)).sum())


def test_failures_and_latencies_of_a_session_go_together(equal: TurnColumns) -> None:
    """Turns of a session are no independent draws."""
    _, of = np.unique(equal.keys("session"), return_inverse=True)
    assert 0.01 < correlation(equal.failed.astype(float), of) < 0.1
    latency = equal.numbers("latency_ms")
    answered = ~np.isnan(latency)
    _, of = np.unique(equal.keys("session")[answered], return_inverse=True)
    assert 0.05 < correlation(np.log(latency[answered]), of) < 0.4


def test_outcomes_fit_each_other(equal: TurnColumns) -> None:
    """A failed turn is not ok, users leave in the last turn, success stands on one turn."""
    outcome, ok = equal.texts("outcome"), equal.flags("ok")
    assert outcome.names == OUTCOMES
    assert ((ok == 0) == equal.is_value("outcome", "failed")).all()
    assert ((ok == -1) == (outcome.codes == -1)).all()
    last = equal.times("_number") == equal.times("_turns") - 1
    assert last[equal.is_value("outcome", "abandoned")].all()
    assert ((equal.flags("success") >= 0) == last).all()
    assert 0.018 < equal.failed.mean() < 0.026


def test_usage_is_inclusive_and_costs_what_the_prices_say(equal: TurnColumns) -> None:
    """Cached tokens are inside input; cost is usage times price."""
    tokens, cached = equal.numbers("input_tokens"), equal.numbers("cache_read_tokens")
    assert (cached <= tokens).all()
    cost = (
        (tokens - cached) * PRICES["input"]
        + cached * PRICES["cache_read"]
        + equal.numbers("output_tokens") * PRICES["output"]
        + equal.numbers("tts_chars") * PRICES["character"]
        + equal.numbers("audio_in_s") / 60 * PRICES["audio_minute"]
    )
    np.testing.assert_allclose(equal.numbers("cost"), cost, rtol=1e-12)


def test_concurrency_counts_the_sessions_that_go_on() -> None:
    """It is what counting every session by hand gives."""
    turns = traffic(rehearsal("equal", turns_per_hour=200, hours=3))
    end = turns.times("ts").max() - 3_600_000_000
    begins = {int(key): int(at) for key, at in zip(*pair(turns, "_begin"), strict=True)}
    ends: dict[int, int] = {}
    for key, at in zip(*pair(turns, "ts"), strict=True):
        ends[int(key)] = max(ends.get(int(key), 0), int(at))
    for row in np.flatnonzero(turns.times("ts") < end)[::7]:
        at = int(turns.times("ts")[row])
        going_on = sum(begins[key] <= at <= ends[key] for key in begins)
        assert turns.numbers("concurrency")[row] == going_on


def pair(turns: TurnColumns, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the sessions of turns beside a column of times."""
    return turns.keys("session"), turns.times(column)


def test_two_scenarios_have_the_same_callers(equal: TurnColumns) -> None:
    """A fault changes what happens to callers, not who calls."""
    harmed = traffic(rehearsal("harm"))
    calls = (equal.keys("session"), harmed.keys("session"))
    assert np.isin(calls[0], calls[1]).mean() > 0.99


Figure = Callable[[TurnColumns], float]
ONSET = rehearsal().onset_hours


def after(turns: TurnColumns) -> np.ndarray:
    """Return which turns came after the onset."""
    start = np.datetime64("2026-01-05", "us").astype(np.int64)
    return np.asarray(turns.times("ts") - start >= ONSET * 3.6e9)


def arms(figure: Figure) -> Figure:
    """Return a figure of the canary against that of the control."""

    def ratio(turns: TurnColumns) -> float:
        return figure(turns.take(turns.is_value("arm", "canary"))) / figure(
            turns.take(turns.is_value("arm", "control"))
        )

    return ratio


def periods(figure: Figure) -> Figure:
    """Return a figure after the onset against that before."""
    return lambda turns: figure(turns.take(after(turns))) / figure(turns.take(~after(turns)))


def failures(turns: TurnColumns) -> float:
    """Return the share of failed turns."""
    return float(turns.failed.mean())


def mean(column: str) -> Figure:
    """Return the mean of a column."""
    return lambda turns: float(np.nanmean(turns.numbers(column)))


def quantile(column: str, level: float) -> Figure:
    """Return a quantile of a column."""
    return lambda turns: float(np.nanquantile(turns.numbers(column), level))


def share(column: str, value: str) -> Figure:
    """Return the share of turns with a value."""
    return lambda turns: float(turns.is_value(column, value).mean())


def only(column: str, value: str, figure: Figure) -> Figure:
    """Return a figure of the turns with a value."""
    return lambda turns: figure(turns.take(turns.is_value(column, value)))


def crossing(turns: TurnColumns) -> float:
    """Return the share of sessions in both arms."""
    canary = turns.is_value("arm", "canary")
    keys = turns.keys("session")
    both = np.intersect1d(keys[canary], keys[~canary])
    return len(both) / len(np.unique(keys))


def sessions(turns: TurnColumns) -> float:
    """Return the number of sessions."""
    return float(len(np.unique(turns.keys("session"))))


def early(figure: Figure) -> Figure:
    """Return a figure of the hour after the onset against that of all hours before."""
    start = np.datetime64("2026-01-05", "us").astype(np.int64)

    def ratio(turns: TurnColumns) -> float:
        hour = (turns.times("ts") - start) // 3_600_000_000
        return figure(turns.take(hour == ONSET)) / figure(turns.take(hour < ONSET))

    return ratio


def days_ahead(turns: TurnColumns) -> float:
    """Return the share of turns that are days in the future."""
    return float((turns.times("ts") > np.median(turns.times("ts")) + 5 * 8.64e10).mean())


def doubles(turns: TurnColumns) -> float:
    """Return the share of turns that came before."""
    return 1 - len(np.unique(turns.keys("turn_id"))) / len(turns)


def disorder(turns: TurnColumns) -> float:
    """Return the share of rows that are older than the row before them by minutes."""
    return float((np.diff(turns.times("ts")) < -60_000_000).mean()) * len(turns)


def heaviest(turns: TurnColumns) -> float:
    """Return the share of all failed turns that one unit has."""
    _, counts = np.unique(turns.keys("unit")[turns.failed], return_counts=True)
    return float(counts.max() / counts.sum())


def solved(turns: TurnColumns) -> float:
    """Return the share of sessions that were solved."""
    success = turns.flags("success")
    return float((success[success >= 0] == 1).mean())


def amplification(turns: TurnColumns) -> float:
    """Return attempts for each first attempt."""
    return 1 + mean("retries")(turns)


def at_night(turns: TurnColumns) -> float:
    """Return the number of turns before 6:00."""
    return float(((turns.times("ts") // 3_600_000_000) % 24 < 6).sum())


EFFECTS: list[tuple[str, Figure, tuple[float, float], tuple[float, float]]] = [
    ("better", arms(failures), (0.5, 0.75), (0.85, 1.15)),
    ("better", arms(quantile("latency_ms", 0.5)), (0.9, 0.94), (0.97, 1.03)),
    ("harm", arms(failures), (2.1, 2.8), (0.85, 1.15)),
    ("slice", only("language", "de", arms(failures)), (3.5, 8), (0.6, 1.6)),
    ("slice", only("language", "en", arms(failures)), (0.75, 1.35), (0.75, 1.35)),
    ("tails", arms(quantile("latency_ms", 0.98)), (1.5, 3), (0.93, 1.07)),
    ("tails", arms(quantile("latency_ms", 0.5)), (0.97, 1.05), (0.97, 1.03)),
    ("slower", arms(quantile("latency_ms", 0.5)), (1.11, 1.18), (0.97, 1.03)),
    ("hang-ups", arms(share("outcome", "abandoned")), (3, 5), (0.8, 1.25)),
    ("unsolved", arms(solved), (0.75, 0.85), (0.95, 1.05)),
    ("dear", arms(mean("cost")), (1.22, 1.28), (0.97, 1.03)),
    ("fast-timeouts", arms(failures), (3, 4.5), (0.85, 1.15)),
    ("fast-timeouts", arms(quantile("latency_ms", 0.5)), (0.9, 0.97), (0.97, 1.03)),
    ("lost-logs", arms(failures), (0, 0.1), (0.85, 1.15)),
    ("lost-logs", arms(sessions), (0.6, 0.9), (0.95, 1.05)),
    ("lost-outcomes", arms(failures), (3, 5), (0.85, 1.15)),
    ("sample-ratio", arms(sessions), (0.6, 0.72), (0.95, 1.05)),
    ("moving-rates", periods(failures), (1.15, 1.8), (0.85, 1.15)),
    ("moving-rates", only("arm", "control", periods(failures)), (1.15, 1.8), (0.85, 1.15)),
    ("hostile-caller", heaviest, (0.6, 0.9), (0, 0.05)),
    ("unit-change", periods(quantile("latency_ms", 0.5)), (0.0009, 0.0011), (0.95, 1.05)),
    ("clock-skew", days_ahead, (0.025, 0.035), (0, 0)),
    ("clock-skew", lambda turns: float(turns.flags("_naive").mean()), (0.025, 0.035), (0, 0)),
    ("late-rows", disorder, (10, 30), (0, 0)),
    ("duplicate-files", doubles, (0.04, 0.2), (0, 0)),
    ("both-arms", crossing, (0.02, 0.045), (0, 0)),
    ("control-release", share("release", "1.4.0-hotfix"), (0.2, 0.5), (0, 0)),
    ("control-release", only("arm", "canary", share("release", "1.5.0")), (1, 1), (1, 1)),
    ("drift-snr", periods(mean("snr_db")), (0.82, 0.88), (0.98, 1.02)),
    ("drift-language", periods(share("language", "ta")), (4, 9), (0.7, 1.4)),
    ("drift-device", lambda t: share("device", "watch")(t.take(after(t))), (0.08, 0.12), (0, 0)),
    ("drift-mos", periods(mean("dnsmos_ovrl")), (0.96, 0.975), (0.99, 1.01)),
    ("drift-label", periods(share("label", "cancel")), (2.8, 3.8), (0.9, 1.1)),
    ("new-category", lambda t: share("region", "br")(t.take(after(t))), (0.01, 0.03), (0, 0)),
    ("missing-column", lambda t: float("confidence" in t.columns), (0, 0), (1, 1)),
    ("price-change", periods(mean("cost")), (1.27, 1.33), (0.98, 1.02)),
    (
        "token-growth",
        only("language", "hi", periods(mean("output_tokens"))),
        (2.2, 2.8),
        (0.9, 1.1),
    ),
    (
        "token-growth",
        only("language", "en", periods(mean("output_tokens"))),
        (0.97, 1.03),
        (0.97, 1.03),
    ),
    ("retry-storm", early(amplification), (1.5, 2.5), (0.98, 1.02)),
    ("queue-collapse", periods(quantile("queue_ms", 0.95)), (50, 2000), (1, 3)),
    ("queue-collapse", periods(quantile("latency_ms", 0.5)), (3, 10), (0.98, 1.05)),
    ("churn", periods(mean("partial_changes")), (2.6, 3.2), (0.95, 1.05)),
    ("tenant-spike", early(share("tenant_class", "free")), (1.8, 2.6), (0.85, 1.15)),
    ("outage", early(failures), (50, 250), (0.7, 1.4)),
    ("slow-burn", periods(failures), (6, 15), (0.85, 1.15)),
    ("three-calls-at-night", at_night, (3, 3), (1000, 4000)),
]
"""Scenario, a figure, its range there, and its range without the fault."""


@lru_cache(maxsize=2)
def a_day_of(name: str) -> TurnColumns:
    """Return the traffic of a scenario, once for rows that follow each other."""
    return traffic(rehearsal(name))


@pytest.mark.parametrize(
    ("name", "figure", "there", "without"),
    EFFECTS,
    ids=[f"{name}-{number}" for number, (name, *_) in enumerate(EFFECTS)],
)
def test_the_fault_of_a_scenario_is_in_its_figures(
    name: str,
    figure: Figure,
    there: tuple[float, float],
    without: tuple[float, float],
    equal: TurnColumns,
) -> None:
    """It is not in those of the same traffic without it."""
    assert there[0] <= figure(a_day_of(name)) <= there[1]
    assert without[0] <= figure(equal) <= without[1]


def test_every_scenario_says_what_a_right_tool_says_and_is_shown_at_work() -> None:
    """Each has expected verdicts, a line that fits, and a row in the table above."""
    assert {name for name, *_ in EFFECTS} == set(SCENARIOS) - {"equal"}
    for scenario in SCENARIOS.values():
        assert scenario.expected
        assert all(scenario.expected.values())
        assert len(scenario.description) < 78


@pytest.mark.parametrize(
    ("name", "hours", "at"),
    [
        ("harm", 24, "2026-01-06T00:00:00Z"),
        ("retry-storm", 24, "2026-01-05T13:00:00Z"),
        ("retry-storm", 6, "2026-01-05T04:00:00Z"),
        ("three-calls-at-night", 24, "2026-01-05T04:00:00Z"),
    ],
)
def test_a_rehearsal_says_when_to_judge_it(name: str, hours: int, at: str) -> None:
    """While the fault is there, else at the end."""
    assert rehearsal(name, hours=hours).judged_at == at


def test_a_scenario_that_nobody_knows_is_named_with_the_nearest() -> None:
    """The hint is a name that exists."""
    with pytest.raises(InvalidInput, match="no scenario") as raised:
        rehearsal("harms")
    assert raised.value.hint == 'did you mean "harm"?'


def test_a_fault_after_the_last_hour_is_refused() -> None:
    """Nobody would see it."""
    with pytest.raises(UsageError, match="after the last hour"):
        rehearsal("outage", hours=6, onset_hours=6)


@pytest.mark.parametrize(
    ("text", "hours", "steps"),
    [
        ("5%", None, [(0.05, 24)]),
        ("1%,50%", 6, [(0.01, 3), (0.5, 3)]),
        ("0%:6h, 0.25:90m", None, [(0, 6), (0.25, 1.5)]),
    ],
)
def test_steps_are_shares_and_times(
    text: str, hours: int | None, steps: list[tuple[float, float]]
) -> None:
    """A share may be in percent, and a step without a time has its part."""
    assert [(step.share, step.hours) for step in parse_steps(text, hours)] == steps


@pytest.mark.parametrize("text", ["", "5%:", "x", "5%:3", "5%:-1h", "nan:1h:2h"])
def test_steps_that_are_none_are_refused(text: str) -> None:
    """The message shows the step and the right spelling."""
    with pytest.raises(UsageError, match="--steps"):
        parse_steps(text, None)


def test_a_share_over_one_is_refused() -> None:
    """A rehearsal is checked like a file."""
    with pytest.raises(InvalidInput, match="share"):
        rehearsal("equal", steps=(SimulatedStep(share=1.2, hours=3),))
