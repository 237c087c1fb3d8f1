"""Good and bad turns, as they are counted in telemetry."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relkit.adapters.duckdb.service_levels import TelemetryLevels
from relkit.adapters.duckdb.turns import TurnTable
from relkit.core.errors import RelkitError
from relkit.monitoring.slo.burn import counts_within
from relkit.monitoring.slo.files import parse_slo
from relkit.monitoring.slo.judge import judge_slo, last_minute
from relkit.monitoring.slo.types import EventCounts, SloPolicy, SloReport

NOW = "2026-03-01T00:00:30Z"
END = last_minute(NOW)
Row = Mapping[str, object]


def objective(good: str = "{rate: failed, is: false}", more: str = "") -> SloPolicy:
    """Return an objective of 99 % with a rolling week."""
    head = "schema: relkit.slo/v1\nname: x\nobjective: 99%\nwindow: 7d\nmin_events: 5\n"
    return parse_slo(f"{head}good: {good}\n{more}", source="x.yaml")


def turn(
    minute: int,
    number: int = 0,
    **columns: Any,  # noqa: ANN401 - any column
) -> dict[str, object]:
    """Return a turn that ended so many minutes before the last whole one."""
    at = datetime.fromtimestamp(END, UTC) - timedelta(minutes=minute, seconds=-number % 60)
    return {
        "ts": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "session": f"s{minute}",
        "turn_id": f"{minute}-{number}",
        "ok": True,
        "latency_ms": 700,
        **columns,
    }


def week() -> list[dict[str, object]]:
    """Return two turns a minute for seven days."""
    return [turn(minute, n) for minute in range(7 * 1440) for n in range(2)]


def counted(
    folder: Path, rows: Sequence[Row], policy: SloPolicy | None = None
) -> tuple[EventCounts, SloReport]:
    """Return the counts of some turns, and the report made of them."""
    path = folder / "turns.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    policy = policy or objective()
    counts = TelemetryLevels((str(path),), TurnTable).counts(policy, NOW)
    return counts, judge_slo(policy, counts, NOW, "telemetry")


def total(counts: EventCounts) -> tuple[float, float]:
    """Return (bad, all) of the period."""
    inside = counts_within(counts, END - 7 * 86400, END)
    return float(inside.bad), float(inside.total)


def test_turns_are_counted_by_the_minute_in_which_they_ended(tmp_path: Path) -> None:
    """A turn at a full minute belongs to the minute before, and the running one is left out."""
    rows = [turn(0), turn(1), turn(1, 59), turn(-1), turn(2, ok=False)]
    counts, _ = counted(tmp_path, rows)
    assert counts.at.tolist() == [END - 120, END - 60, END]
    assert counts.bad.tolist() == [1, 0, 0]
    assert counts.total.tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("good", "columns", "bad"),
    [
        ("{rate: failed, is: false}", {"ok": False}, 1),
        ("{rate: failed}", {"ok": None, "outcome": None}, 1),  # no outcome counts as failed
        ("{rate: failed}", {"ok": None, "outcome": "completed"}, 0),
        ("{tail: latency_ms, below: 1100}", {"latency_ms": 1100}, 0),
        ("{tail: latency_ms, below: 1100}", {"latency_ms": 1100.5}, 1),
        ("{tail: latency_ms, below: 1100}", {"latency_ms": None}, 1),  # no answer is not fast
        ("{tail: latency_ms, below: 1100}", {"latency_ms": -1}, 1),
        ("{rate: interrupted}", {"outcome": "interrupted"}, 1),
        ("{rate: abandoned}", {"outcome": "interrupted"}, 0),
        ("{rate: success}", {"success": False}, 1),
        ("{rate: no_answer, is: false}", {"no_answer": True}, 1),
        ("{rate: no_answer, is: false}", {"no_answer": None}, 1),  # what is missing is not good
        ("{rate: no_answer, is: true}", {"no_answer": True}, 0),
    ],
)
def test_what_a_bad_turn_is(tmp_path: Path, good: str, columns: Row, bad: int) -> None:
    """One turn among good ones is bad, or is not."""
    fine: dict[str, Any] = {
        "outcome": "completed",
        "success": True,
        "no_answer": good == "{rate: no_answer, is: true}",
    }
    rows = [turn(minute, **fine) for minute in range(1, 9)]
    counts, _ = counted(tmp_path, [*rows, turn(0, **{**fine, **columns})], objective(good))
    assert total(counts) == (bad, 9)


@pytest.mark.parametrize(
    ("good", "columns"),
    [
        ("{tail: latency_ms, below: 1100}", {"latency_ms": None, "outcome": "interrupted"}),
        ("{tail: llm_ttft_ms, below: 400}", {"llm_ttft_ms": None}),
        ("{rate: success}", {"success": None}),
    ],
)
def test_turns_that_say_nothing_are_left_out_and_counted(
    tmp_path: Path, good: str, columns: Row
) -> None:
    """A user who spoke before the answer, a turn without a model, a turn without a judgement."""
    fine: dict[str, Any] = {"outcome": "completed", "success": True, "llm_ttft_ms": 200}
    rows = [turn(minute, **fine) for minute in range(1, 31)]
    counts, _ = counted(tmp_path, [*rows, turn(0, **{**fine, **columns})], objective(good))
    assert total(counts) == (0, 30)
    assert any("1 turn left out" in problem.message for problem in counts.problems)


def test_a_quiet_week_is_none(tmp_path: Path) -> None:
    """With turns in every minute and no failure there is nothing to report."""
    counts, report = counted(tmp_path, week())
    assert (report.verdict, counts.problems) == ("none", ())


def test_a_file_that_cannot_be_read_is_never_none(tmp_path: Path) -> None:
    """A quiet week of which a file is empty or cut may be the quiet part of it."""
    counted(tmp_path, week())
    (tmp_path / "more.jsonl").touch()
    counts = TelemetryLevels((str(tmp_path),), TurnTable).counts(objective(), NOW)
    report = judge_slo(objective(), counts, NOW, "telemetry")
    assert (report.verdict, report.reason) == ("no_data", "more.jsonl: is empty")


def test_who_spent_it_is_counted_by_slice_and_release(tmp_path: Path) -> None:
    """Both are over the period, and turns without a value have a row of their own."""
    rows = [
        turn(n, language="sv" if n % 3 == 0 else None, release="2.0", ok=n % 6 > 0)
        for n in range(60)
    ]
    counts, _ = counted(tmp_path, rows, objective(more="slices: [language]\n"))
    assert counts.by_slice == {
        "language=sv": (10, 20),
        "language=(none)": (0, 40),
        "release=2.0": (10, 60),
    }


@pytest.mark.parametrize(
    ("rows", "more", "verdict", "reason"),
    [
        ([], "", "no_data", "data for 0 % of the last 5m"),
        (week()[40:], "", "no_data", "data for 0 % of the last 5m"),  # the newest 20 minutes
        (week()[40:], "silence: 30m\n", "none", ""),
        (week()[:2880], "", "no_data", "data for 33 % of the last 3d"),  # one day
        (week()[:2880], 'since: "2026-02-28T00:00:00Z"\n', "none", ""),
        (
            [row for row in week() if not 60 <= int(str(row["session"])[1:]) < 180],
            "",
            "no_data",
            "data for 66 % of the last 6h",
        ),
        (
            [
                {**row, "ts": str(row["ts"])[:-1]} if i % 50 == 0 else row
                for i, row in enumerate(week())
            ],
            "",
            "no_data",
            "404 rows of 20,160 could not be used",
        ),
    ],
    ids=["empty", "stale", "silence", "one day", "since", "two hours missing", "naive times"],
)
def test_missing_telemetry_is_never_none(
    tmp_path: Path, rows: list[Row], more: str, verdict: str, reason: str
) -> None:
    """It is no data, with what is missing, unless the policy says that it is normal."""
    filled = rows or [turn(8 * 1440)]
    _, report = counted(tmp_path, filled, objective(more=more))
    assert (report.verdict, bool(reason)) == (verdict, verdict == "no_data")
    assert reason in report.reason


@pytest.mark.parametrize(
    ("good", "more", "message"),
    [
        ("{rate: no_anwser, is: false}", "", 'the telemetry has no event "no_anwser"'),
        ("{rate: success}", "", 'the telemetry has no column "success"'),
        ("{tail: tts_ttfb_ms, below: 200}", "", 'the telemetry has no column "tts_ttfb_ms"'),
        ("{rate: failed}", "slices: [langauge]\n", 'has no column to slice by "langauge"'),
        ("{prometheus: {bad: a, total: b}}", "", '"x" says nothing about telemetry'),
    ],
)
def test_what_the_telemetry_does_not_have_is_refused(
    tmp_path: Path, good: str, more: str, message: str
) -> None:
    """A misspelt column is named, with the nearest one, and exits 2."""
    rows = [turn(0, no_answer=False, language="en")]
    with pytest.raises(RelkitError) as error:
        counted(tmp_path, rows, objective(good, more))
    assert message in error.value.message
    assert error.value.exit_code == 2
    assert error.value.hint


def test_telemetry_without_any_outcome_is_refused(tmp_path: Path) -> None:
    """All turns would count as failed, for the want of a mapping."""
    row = {key: value for key, value in turn(0).items() if key != "ok"}
    with pytest.raises(RelkitError, match="says of no turn whether it failed"):
        counted(tmp_path, [row])
