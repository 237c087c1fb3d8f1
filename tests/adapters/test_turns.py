"""The turn table that DuckDB makes of telemetry files."""

import errno
import gzip
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relkit.adapters.duckdb.turns import TurnTable
from relkit.core.errors import InvalidInput, RelkitError, UsageError
from relkit.telemetry.types import MappedColumn, Telemetry, TelemetryOptions
from relkit.telemetry.view import telemetry_text

NOW = "2026-03-01T00:00:00Z"
Row = Mapping[str, object]


def turn(number: int, **columns: object) -> dict[str, object]:
    """Return a turn of a session of three turns each."""
    return {
        "ts": f"2026-02-01T10:{number // 60:02}:{number % 60:02}Z",
        "session": f"s{number // 3}",
        "turn_id": number,
        "ok": True,
        "latency_ms": 700 + number,
        **columns,
    }


def json_lines(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def opened(*paths: Path, **options: object) -> TurnTable:
    """Open files as of a day in March."""
    named = {"now": NOW, **options}
    return TurnTable(TelemetryOptions(paths=tuple(map(str, paths)), **named))  # type: ignore[arg-type]


def summary(*paths: Path, **options: object) -> Telemetry:
    """Return what was read."""
    with opened(*paths, **options) as table:
        return table.summary()


def test_every_form_gives_the_same_turns(tmp_path: Path) -> None:
    """JSON lines, gzip, CSV and Parquet of the same turns give the same relation."""
    rows = [turn(n, language="en" if n % 2 else "de", no_answer=n == 4) for n in range(9)]
    plain = json_lines(tmp_path / "a.jsonl", rows)
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    names = list(rows[0])
    table = tmp_path / "c.csv"
    lines = [names, *([str(row[name]) for name in names] for row in rows)]
    table.write_text("".join(",".join(cells) + "\n" for cells in lines))
    parquet = tmp_path / "d.parquet"
    columns = pa.Table.from_pylist(rows)
    times = columns["ts"].cast(pa.timestamp("us", tz="UTC"))
    pq.write_table(columns.set_column(0, "ts", times), parquet)
    read = []
    for path in (plain, packed, table, parquet):
        with opened(path) as turns:
            assert turns.attributes == ("language",)
            assert turns.events == ("no_answer",)
            fetched = turns.fetch(
                "SELECT ts, session, latency_ms, ok, failed, language, no_answer"
                " FROM turns ORDER BY ts"
            )
            read.append({name: values.tolist() for name, values in fetched.items()})
    assert read[1:] == read[:-1]


def test_a_turn_that_was_sent_twice_counts_once(tmp_path: Path) -> None:
    """The same turns in two files change the duplicate count and nothing else."""
    first = json_lines(tmp_path / "a.jsonl", [turn(n) for n in range(9)])
    second = json_lines(tmp_path / "b.jsonl", [turn(n) for n in range(6, 9)])
    alone, both = summary(first), summary(first, second)
    assert (both.turns, both.rows, both.dropped.duplicate) == (9, 12, 3)
    assert (alone.sessions, alone.from_, alone.to) == (both.sessions, both.from_, both.to)


def test_turn_numbers_that_begin_anew_in_each_session_are_no_duplicates(tmp_path: Path) -> None:
    """A turn id is one of its session."""
    rows = [{**turn(n), "turn_id": n % 3} for n in range(9)]
    assert summary(json_lines(tmp_path / "a.jsonl", rows)).turns == 9


@pytest.mark.parametrize(
    ("change", "count", "turns"),
    [
        ({"ts": "2026-02-01T10:00:00"}, "naive", 8),
        ({"ts": "2026-03-01T00:00:01Z"}, "future", 8),
        ({"ts": "tomorrow"}, "unnamed", 8),
        ({"session": None}, "unnamed", 8),
        ({"turn_id": ""}, "unnamed", 8),
        ({"ok": None}, "no_outcome", 9),
        ({"latency_ms": -1}, "bad_value", 9),
        ({"latency_ms": 1.7e12}, "bad_value", 9),
        ({"latency_ms": "soon"}, "bad_value", 9),
        ({"ok": "perhaps", "outcome": "completed"}, "bad_value", 9),
        ({"latency_ms": 0}, "bad_value", 9),
        ({"outcome": "FAILED"}, "bad_value", 9),
        ({"ok": None, "outcome": "timeout"}, "no_outcome", 9),
        ({"ts": "1969-12-31T23:59:59Z"}, "unnamed", 8),
        ({"ts": "3000-01-01 (BC) 00:00:00+00"}, "unnamed", 8),
        ({"ts": "-infinity"}, "naive", 8),
    ],
)
def test_what_cannot_be_is_counted(tmp_path: Path, change: Row, count: str, turns: int) -> None:
    """A row or value that cannot be is dropped, and the summary says how many and why."""
    rows = [turn(n) for n in range(8)]
    read = summary(json_lines(tmp_path / "a.jsonl", [*rows, {**turn(8), **change}]))
    assert getattr(read.dropped, count) == 1
    assert read.turns == turns


def test_no_outcome_has_failed(tmp_path: Path) -> None:
    """A turn that says nothing of its outcome counts as failed."""
    rows = [turn(0), turn(1, ok=None), turn(2, ok=None, outcome="completed"), turn(3, ok=False)]
    rows += [turn(4, ok=None, outcome="Completed"), turn(5, outcome="failed")]
    with opened(json_lines(tmp_path / "a.jsonl", rows)) as table:
        failed = table.fetch("SELECT failed FROM turns ORDER BY ts")["failed"]
    assert failed.tolist() == [False, True, False, True, True, True]


@pytest.mark.parametrize("least", [-(2**63) + 1, -90_000_000_000_000_000, -1])
def test_times_that_nobody_measured_are_no_times(tmp_path: Path, least: int) -> None:
    """A Parquet time before 1970, -infinity or one before the year 1, leaves its row out."""
    columns = pa.Table.from_pylist([turn(n) for n in range(3)])
    times = pa.array([least, 1_769_940_000_000_000, 1_769_940_001_000_000])
    stamps = times.cast(pa.timestamp("us", tz="UTC"))
    pq.write_table(columns.set_column(0, "ts", stamps), tmp_path / "a.parquet")
    read = summary(tmp_path / "a.parquet")
    assert (read.turns, read.dropped.unnamed) == (2, 1)
    assert read.from_ == "2026-02-01T10:00:00Z"


@pytest.mark.parametrize("number", [-1, 1e300, float("nan"), float("inf")])
def test_numbers_that_are_no_times_leave_their_rows_out(tmp_path: Path, number: float) -> None:
    """A Unix time that a mapping converts and that cannot be one is a missing time."""
    rows = [{**turn(n), "ts": 1_769_940_000.0 + n} for n in range(3)]
    columns = pa.Table.from_pylist([*rows, {**turn(3), "ts": number}])
    pq.write_table(columns, tmp_path / "a.parquet")
    read = summary(tmp_path / "a.parquet", mapping={"ts": MappedColumn(column="ts", unit="s")})
    assert (read.turns, read.dropped.unnamed) == (3, 1)


@pytest.mark.parametrize(
    "name", ["turn", "failed", "Naive", "named", "bad_values", "turn_text", "OK", "Latency_MS"]
)
def test_columns_named_as_the_turn_table_names_its_own_are_left_out(
    tmp_path: Path, name: str
) -> None:
    """A column of such a name changes nothing, and the summary says so; it can be renamed."""
    rows = [turn(n, outcome="completed") for n in range(4)]
    for n, row in enumerate(rows):
        row.pop(name.casefold(), None)  # of two such in one file the reader renames the second
        row[name] = n % 2 == 0
    file = json_lines(tmp_path / "a.jsonl", rows)
    read = summary(file)
    assert (read.turns, read.dropped.no_outcome) == (4, 0)
    assert [problem.where for problem in read.problems] == [name]
    with opened(file, mapping={"seen": MappedColumn(column=name)}) as table:
        assert table.events == ("seen",)
        assert table.fetch("SELECT sum(CAST(seen AS INTEGER)) AS n FROM turns")["n"][0] == 2
    with pytest.raises(InvalidInput, match="uses itself"):
        summary(file, mapping={name: MappedColumn(column="session")})


def test_columns_that_differ_in_case_alone_are_not_mixed(tmp_path: Path) -> None:
    """Where files spell a column differently the first spelling counts, and that is said."""
    first = json_lines(tmp_path / "a.jsonl", [turn(0, language="en")])
    second = json_lines(tmp_path / "b.jsonl", [turn(1, Language="de")])
    with opened(first, second) as table:
        assert len(table.attributes) == 1
        (problem,) = table.summary().problems
    assert problem.code == "left_out"
    assert problem.where.casefold() == "language"


def test_values_where_a_header_should_be_are_not_repeated(tmp_path: Path) -> None:
    """A table without a header is refused without a word of its first row."""
    file = tmp_path / "a.csv"
    file.write_text("2026-02-01T10:00:00Z,s-maria,1,true\n2026-02-01T10:00:01Z,s-jose,2,true\n")
    with pytest.raises(InvalidInput) as caught:
        summary(file)
    assert "maria" not in f"{caught.value.message} {caught.value.hint}"
    assert "header" in str(caught.value.hint)


def test_json_lines_without_objects_are_refused(tmp_path: Path) -> None:
    """A list of turns in one line is named for what it is."""
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps([turn(0), turn(1)]))
    with pytest.raises(InvalidInput, match="no objects"):
        summary(file)


def test_a_damaged_footer_is_a_damaged_file(tmp_path: Path) -> None:
    """Parquet whose end cannot be read is refused, whatever the library calls it."""
    file = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([turn(n) for n in range(3)]), file)
    data = bytearray(file.read_bytes())
    data[-200:-8] = b"\xff" * 192
    file.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"a\.parquet"):
        summary(file)


def test_an_empty_path_is_not_the_folder_one_is_in() -> None:
    """A variable that is not set does not read everything."""
    with pytest.raises(UsageError, match="empty"):
        TurnTable(TelemetryOptions(paths=("",), now=NOW))


def test_releases_stand_for_arms(tmp_path: Path) -> None:
    """Where the policy says which release is which, rows of others belong to no arm."""
    releases = ["1.4.0"] * 5 + ["1.5.0"] * 3 + ["1.3.9"]
    rows = [turn(n, release=release) for n, release in enumerate(releases)]
    read = summary(json_lines(tmp_path / "a.jsonl", rows), control="1.4.0", canary="1.5.0")
    assert read.arms == {"control": 5, "canary": 3}
    assert read.dropped.unknown_arm == 1


def test_a_mapping_renames_and_converts(tmp_path: Path) -> None:
    """Columns of other names and units become those of the turn table."""
    rows = [
        {"at": 1_769_940_000 + n, "call": "c", "nr": n, "fine": "true", "e2e": 0.7, "lang": "en"}
        for n in range(3)
    ]
    mapping = {
        "ts": MappedColumn(column="at", unit="s"),
        "session": MappedColumn(column="call"),
        "turn_id": MappedColumn(column="nr"),
        "ok": MappedColumn(column="fine"),
        "latency_ms": MappedColumn(column="e2e", unit="s"),
        "language": MappedColumn(column="lang"),
    }
    with opened(json_lines(tmp_path / "a.jsonl", rows), mapping=mapping) as table:
        assert table.attributes == ("language",)
        fetched = table.fetch("SELECT CAST(ts AS VARCHAR) AS at, latency_ms, failed FROM turns")
        assert table.summary().mapping["latency_ms"] == "e2e"
    assert fetched["at"][0].startswith("2026-02-01 10:00:0")
    assert fetched["latency_ms"].tolist() == pytest.approx([700.0] * 3)
    assert not fetched["failed"].any()


def test_text_of_people_is_no_attribute(tmp_path: Path) -> None:
    """A column that may hold what people said is left out, and the summary says so."""
    rows = [turn(n, transcript="call me", region="eu") for n in range(3)]
    path = json_lines(tmp_path / "a.jsonl", rows)
    with opened(path) as table:
        assert table.attributes == ("region",)
        assert [p.where for p in table.summary().problems if p.code == "left_out"] == ["transcript"]


def test_a_unit_that_changes_half_way_is_seen(tmp_path: Path) -> None:
    """Seconds after milliseconds are a problem; a slow hour, and slow growth, are none."""
    steady = [turn(n) for n in range(600)]
    slower = [turn(n, latency_ms=2100 + n if n > 300 else 700) for n in range(600)]
    growing = [turn(n, latency_ms=10 * 1.007**n) for n in range(600)]
    growing = [turn(n, latency_ms=10 * 1.007**n) for n in range(600)]
    changed = [turn(n, latency_ms=0.7 if n > 300 else 700) for n in range(600)]
    codes = [
        [problem.code for problem in summary(json_lines(tmp_path / "a.jsonl", rows)).problems]
        for rows in (steady, slower, growing, changed)
    ]
    assert codes == [[], [], [], ["unit_change"]]


def test_a_type_that_changes_between_files_is_seen(tmp_path: Path) -> None:
    """A number that is text in another file is a problem."""
    first = json_lines(tmp_path / "a.jsonl", [turn(n) for n in range(3)])
    rows = [turn(n, latency_ms="fast") for n in range(3, 6)]
    read = summary(first, json_lines(tmp_path / "b.jsonl", rows))
    assert [problem.code for problem in read.problems] == ["type_change"]


def test_an_empty_file_is_no_data(tmp_path: Path) -> None:
    """Nothing in a file gives no turn, and is said."""
    path = tmp_path / "a.jsonl"
    path.touch()
    read = summary(path)
    assert (read.turns, read.problems[0].code) == (0, "unreadable")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, name: str) -> None:
    """Half a line, a cut archive and a cut table are refused by name, without their folder."""
    path = tmp_path / name
    rows = [turn(n) for n in range(100)]
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        json_lines(path, rows)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    _cut(path)
    with pytest.raises(InvalidInput, match=r"^a\.") as refused:
        summary(path)
    assert str(tmp_path) not in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"session_id": "s"}, "mapping: {session: session_id}"),
        ({"nothing": 1}, "columns: ts, turn_id, nothing"),
    ],
)
def test_a_missing_column_has_a_hint(tmp_path: Path, row: Row, words: str) -> None:
    """Without a session there are no turns; the message names what may be it."""
    path = json_lines(tmp_path / "a.jsonl", [{"ts": NOW, "turn_id": 1, **row}])
    with pytest.raises(InvalidInput, match="no column session") as refused:
        summary(path)
    assert words in (refused.value.hint or "")


def test_a_mapping_of_an_unknown_column_is_refused(tmp_path: Path) -> None:
    """A misspelt column is named with the nearest."""
    path = json_lines(tmp_path / "a.jsonl", [turn(0)])
    with pytest.raises(InvalidInput) as refused:
        summary(path, mapping={"asr_ms": MappedColumn(column="latencyms")})
    assert "latency_ms" in (refused.value.hint or "")


def test_a_mapped_column_that_older_files_lack_is_missing_in_them(tmp_path: Path) -> None:
    """A column that came later is missing before, and no reason to refuse everything."""
    older = json_lines(tmp_path / "a.jsonl", [turn(0)])
    newer = json_lines(tmp_path / "b.jsonl", [turn(1, version="1.4.0")])
    read = summary(older, newer, mapping={"release": MappedColumn(column="version")})
    assert read.releases == {"1.4.0": 1}
    assert {column.name: column.missing for column in read.columns}["release"] == 1


def test_versions_that_look_like_numbers_keep_their_zeros(tmp_path: Path) -> None:
    """Release 2.10 of a component is not release 2.1, in a table of text as well."""
    path = tmp_path / "a.csv"
    path.write_text(f"ts,session,turn_id,release_asr,tenant\n{NOW},s,1,2.1,007\n{NOW},s,2,2.10,8\n")
    options = TelemetryOptions(paths=(str(path),), now=NOW)
    with TurnTable(options) as table:
        assert {"release_asr", "tenant"} <= set(table.attributes)
        rows = table.fetch("SELECT release_asr, tenant FROM turns ORDER BY release_asr")
    assert list(rows["release_asr"]) == ["2.1", "2.10"]
    assert list(rows["tenant"]) == ["007", "8"]


def test_a_path_without_telemetry_is_refused(tmp_path: Path) -> None:
    """A folder without files is a mistake of the caller."""
    with pytest.raises(UsageError):
        summary(tmp_path)


def test_what_is_no_turn_table_is_refused(tmp_path: Path) -> None:
    """A file of another kind is named, and never guessed at."""
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(RelkitError, match="unknown kind of file"):
        summary(path)


def test_a_summary_cuts_long_names_and_stays_on_their_lines(tmp_path: Path) -> None:
    """A value or column as long as a text, or of several lines, keeps within its line."""
    row = turn(0, release="x" * 5000, arm="control") | {"a\nb" * 50: "en"}
    text = telemetry_text(summary(json_lines(tmp_path / "a.jsonl", [row])))
    assert max(map(len, text.splitlines())) <= 80
    assert "\nb" not in text


@pytest.mark.parametrize("place", ["a.jsonl", "more", "x" * 300])
def test_what_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A file or folder without permission, or a name too long, is refused and never left out."""
    json_lines(tmp_path / "a.jsonl", [turn(0)])
    (tmp_path / "more").mkdir()
    opened_before, listed_before = Path.open, os.scandir

    def refuse(path: object) -> None:  # a folder may be a number, too
        if isinstance(path, Path | str) and Path(path).name == place:
            raise PermissionError(errno.EACCES, "no", str(path))

    def open_file(path: Path, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        refuse(path)
        return opened_before(path, *arguments, **named)

    def list_folder(path: str) -> Any:  # noqa: ANN401
        refuse(path)
        return listed_before(path)

    monkeypatch.setattr(Path, "open", open_file)
    monkeypatch.setattr(os, "scandir", list_folder)
    with pytest.raises(InvalidInput, match="cannot be read") as caught:
        summary(tmp_path if len(place) < 100 else tmp_path / place)
    assert str(tmp_path) not in caught.value.message
