"""Simulated traffic as Arrow tables and Parquet files, read back by the turn table."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from relkit.adapters.duckdb.turns import TurnTable
from relkit.adapters.simulated import SimulatedFiles, arrow_table
from relkit.core.errors import UsageError
from relkit.telemetry.simulation.run import simulate
from relkit.telemetry.simulation.scenarios import rehearsal
from relkit.telemetry.simulation.traffic import traffic
from relkit.telemetry.simulation.types import SimulatedTraffic
from relkit.telemetry.types import COLUMNS, TelemetryOptions

NOW = "2026-01-12T00:00:00Z"


def written(folder: Path, name: str, **options: object) -> SimulatedTraffic:
    """Write a small rehearsal."""
    plan = rehearsal(name, hours=4, turns_per_hour=800, onset_hours=2, **options)  # type: ignore[arg-type]
    return simulate(plan, SimulatedFiles(folder), lambda _done, _total: None)


def opened(folder: Path) -> TurnTable:
    """Open the files of a folder."""
    return TurnTable(TelemetryOptions(paths=(str(folder),), now=NOW))


def test_an_arrow_table_has_the_columns_of_the_turn_table() -> None:
    """Keys are text of 16 digits, flags and numbers have nulls, no column of ours is in it."""
    turns = traffic(rehearsal("equal", hours=2, turns_per_hour=400))
    table = arrow_table(turns)
    assert table.column_names[: len(COLUMNS)] == list(COLUMNS)
    assert not [name for name in table.column_names if name.startswith("_")]
    assert table["session"][0].as_py() == f"{int(turns.keys('session')[0]):016x}"
    assert table["latency_ms"].null_count == np.isnan(turns.numbers("latency_ms")).sum()
    assert table["success"].null_count == (turns.flags("success") < 0).sum()
    assert table["ts"].type == pa.timestamp("us", tz="UTC")
    assert table["ts"][0].value == turns.times("ts")[0]
    assert table["language"][0].as_py() in turns.texts("language").names


def test_what_is_written_is_what_the_turn_table_reads(tmp_path: Path) -> None:
    """Turns, sessions, arms and failures are the same, and nothing is dropped."""
    folder = tmp_path / "traffic"
    report = written(folder, "equal")
    turns = traffic(report.rehearsal)
    assert {file.name for file in folder.iterdir()} == {*report.files, "scenario.json"}
    with opened(folder) as table:
        summary = table.summary()
        counted = table.fetch("SELECT count(*) AS n, sum(CAST(failed AS INTEGER)) AS f FROM turns")
    assert summary.turns == report.turns == len(turns) == counted["n"][0]
    assert counted["f"][0] == turns.failed.sum()
    assert dict(summary.arms) == report.arms
    assert summary.dropped.duplicate == summary.dropped.bad_value == 0
    assert {"no_answer", "empty"} <= set(table.events)
    assert {"language", "device", "channel", "region", "speaker"} <= set(table.attributes)


@pytest.mark.parametrize(
    ("name", "dropped"),
    [("clock-skew", "naive"), ("clock-skew", "future"), ("duplicate-files", "duplicate")],
)
def test_rows_that_cannot_count_are_counted_as_dropped(
    tmp_path: Path, name: str, dropped: str
) -> None:
    """The defect of the record arrives at the reader."""
    folder = tmp_path / "traffic"
    plan = rehearsal(name, hours=8, turns_per_hour=300)
    simulate(plan, SimulatedFiles(folder), lambda _done, _total: None)
    with opened(folder) as table:
        assert getattr(table.summary().dropped, dropped) > 10


def test_a_change_of_unit_is_noticed_by_the_reader(tmp_path: Path) -> None:
    """Seconds after milliseconds are a problem, not a fast canary."""
    folder = tmp_path / "traffic"
    written(folder, "unit-change")
    with opened(folder) as table:
        assert "unit_change" in {problem.code for problem in table.summary().problems}


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    """Simulated rows never stand beside real ones."""
    (tmp_path / "turns.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match="not empty"):
        SimulatedFiles(tmp_path)
    with pytest.raises(UsageError, match="not empty"):
        SimulatedFiles(tmp_path / "turns.parquet")
