"""The turns of a window as disclosure control takes them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from relkit.adapters.duckdb.turns import TurnTable
from relkit.adapters.duckdb.window_turns import MOST_SLICE_VALUES, TurnTableWindow
from relkit.core.errors import InvalidInput, NoData
from relkit.disclosure.types import HourSpan, WindowTurns
from relkit.telemetry.types import TelemetryOptions

HOUR = HourSpan(from_="2026-02-01T10:00:00Z", to="2026-02-01T11:00:00Z")


def turn(number: int, **columns: object) -> dict[str, object]:
    """Return a turn; sessions have three turns, users two sessions."""
    return {
        "ts": f"2026-02-01T10:{number // 60:02}:{number % 60:02}Z",
        "session": f"s{number // 3}",
        "turn_id": number,
        "user": f"u{number // 6}",
        "ok": number % 5 != 0,
        "latency_ms": 700.0 + number,
        **columns,
    }


def window(
    folder: Path,
    rows: Sequence[dict[str, object]],
    *columns: str,
    hours: HourSpan = HOUR,
    unit: str = "user",
) -> WindowTurns:
    """Return the turns of a window of rows that were written as JSON lines."""
    path = folder / "turns.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = TelemetryOptions(paths=(str(path),), now="2026-03-01T00:00:00Z")
    with TurnTable(options) as table:
        reader = TurnTableWindow(table, options)
        return reader.turns(hours, columns, "session" if unit == "session" else "user")


def test_turns_are_numbered_by_whose_they_are(tmp_path: Path) -> None:
    """By user, or by session where sessions stand for people."""
    rows = [turn(n) for n in range(24)]
    by_user = window(tmp_path, rows)
    assert len(by_user) == 24
    assert sorted(np.bincount(by_user.persons)) == [6, 6, 6, 6]
    by_session = window(tmp_path, rows, unit="session")
    assert sorted(np.bincount(by_session.persons)) == [3] * 8


def test_columns_flags_and_times_belong_to_their_turns(tmp_path: Path) -> None:
    """Codes by name, -1 for no value; 1 for an event, 0 for none, -1 and NaN for not measured."""
    events: list[object] = [True, False, None]
    rows = [
        turn(
            n,
            accent=("irish", "welsh", "", None)[n % 4],
            reprompt=events[n % 3],
            mine=n % 2 == 0,
            asr_ms=None if n % 2 else 80.0,
            outcome="interrupted" if n % 7 == 0 else "completed",
            retries=n % 2,
        )
        for n in range(24)
    ]
    turns = window(tmp_path, rows, "accent")
    accents = turns.columns["accent"]
    assert accents.names == ("irish", "welsh")
    assert np.bincount(accents.codes + 1).tolist() == [12, 6, 6]
    assert set(turns.flags) == {"failed", "interrupted", "abandoned", "reprompt", "retried"}
    number = np.rint(turns.quantities["latency_ms"] - 700).astype(int)
    assert sorted(number) == list(range(24))
    for place, n in enumerate(number.tolist()):
        row = rows[n]
        assert accents.codes[place] == {"irish": 0, "welsh": 1}.get(str(row["accent"]), -1)
        assert turns.flags["failed"][place] == (not row["ok"])
        assert turns.flags["reprompt"][place] == {True: 1, False: 0, None: -1}[row["reprompt"]]
        assert turns.flags["interrupted"][place] == (row["outcome"] == "interrupted")
        assert turns.flags["retried"][place] == row["retries"]
        assert np.isnan(turns.quantities["asr_ms"][place]) == (row["asr_ms"] is None)


def test_only_the_hours_of_the_window_count(tmp_path: Path) -> None:
    """From the first instant on, up to the last, which belongs to the next window."""
    rows = [
        turn(0, ts="2026-02-01T09:59:59Z"),
        turn(1, ts="2026-02-01T10:00:00Z"),
        turn(2, ts="2026-02-01T10:59:59.999Z"),
        turn(3, ts="2026-02-01T12:00:00+01:00"),
        turn(1, ts="2026-02-01T10:00:01Z"),
    ]
    assert len(window(tmp_path, rows)) == 2
    with pytest.raises(NoData, match="no turn in the window"):
        window(
            tmp_path, rows, hours=HourSpan(from_="2026-02-02T10:00:00Z", to="2026-02-02T11:00:00Z")
        )


def test_the_order_of_files_and_rows_does_not_matter(tmp_path: Path) -> None:
    """The same turns give the same arrays."""
    rows = [turn(n, accent=str(n % 3)) for n in range(60)]
    forward, backward = window(tmp_path, rows, "accent"), window(tmp_path, rows[::-1], "accent")
    assert np.array_equal(forward.persons, backward.persons)
    assert np.array_equal(forward.columns["accent"].codes, backward.columns["accent"].codes)
    assert np.array_equal(forward.quantities["latency_ms"], backward.quantities["latency_ms"])


def test_people_who_cannot_be_counted_are_refused(tmp_path: Path) -> None:
    """Without the column, and with over 1 % of turns that have no user; fewer are left out."""
    rows = [turn(n) for n in range(200)]
    without = [{name: value for name, value in row.items() if name != "user"} for row in rows]
    with pytest.raises(InvalidInput, match='no column "user"'):
        window(tmp_path, without)
    assert len(window(tmp_path, without, unit="session")) == 200
    few = [row | {"user": None} if n < 2 else row for n, row in enumerate(rows)]
    assert len(window(tmp_path, few)) == 198
    many = [row | {"user": ""} if n < 3 else row for n, row in enumerate(rows)]
    with pytest.raises(InvalidInput, match="more than 1 %"):
        window(tmp_path, many)


def test_columns_that_are_no_slices_are_refused(tmp_path: Path) -> None:
    """One that is not there, with the nearest; one of ids, without repeating any."""
    rows = [turn(n, accent="irish", order=f"order-{n}") for n in range(MOST_SLICE_VALUES + 1)]
    with pytest.raises(InvalidInput) as refused:
        window(tmp_path, rows, "acent")
    assert "accent" in str(refused.value.hint)
    with pytest.raises(InvalidInput, match="more than 200 values") as refused:
        window(tmp_path, rows, "order")
    assert "order-" not in refused.value.message
    assert len(window(tmp_path, rows[:-1], "order").columns["order"].names) == MOST_SLICE_VALUES


def test_times_whose_unit_changes_are_left_out(tmp_path: Path) -> None:
    """A percentile over seconds and milliseconds would be of neither."""
    rows = [turn(n, asr_ms=80.0 if n < 1200 else 0.08) for n in range(2400)]
    for n, row in enumerate(rows):
        row["ts"] = f"2026-02-01T10:{n // 40:02}:{n % 40:02}Z"
    assert set(window(tmp_path, rows).quantities) == {"latency_ms"}
