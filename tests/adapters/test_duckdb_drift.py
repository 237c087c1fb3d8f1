"""Turns counted by window and bin in DuckDB, held against a count row by row."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from relkit.adapters.duckdb.drift import DuckDBDrift
from relkit.adapters.duckdb.turns import TurnTable
from relkit.core.codec import encode
from relkit.core.errors import InvalidInput
from relkit.monitoring.drift.bins import thawed
from relkit.monitoring.drift.files import parse_drift_policy, parse_profile, render_profile
from relkit.monitoring.drift.run import judge_turns, make_profile
from relkit.monitoring.drift.types import DriftProfile, DriftReport, FrozenBins, Season
from relkit.telemetry.types import TelemetryOptions
from tests.drift_data import START, Row, slow_sums, turns, written

NOW = "2026-12-01T00:00:00Z"
COLUMNS = "columns: [snr_db, length, language, empty]\ncluster: speaker\n"


def policy_of(text: str = COLUMNS, **changes: object) -> str:
    """Return the text of a policy."""
    lines = "".join(f"{key}: {json.dumps(value)}\n" for key, value in changes.items())
    return f"schema: relkit.drift/v1\nname: inputs\n{text}{lines}"


def profile_of(paths: Sequence[Path], text: str) -> DriftProfile:
    """Return the profile of files by a policy, read from its own text."""
    policy = parse_drift_policy(text, source="p.yaml")
    with TurnTable(TelemetryOptions(paths=tuple(map(str, paths)), now=NOW)) as table:
        profile = make_profile(DuckDBDrift(table, policy.by), policy)
    return parse_profile(render_profile(profile), source="week.json")


def judged(paths: Sequence[Path], profile: DriftProfile, text: str) -> DriftReport:
    """Return what files show against a profile."""
    policy = parse_drift_policy(text, source="p.yaml")
    paths_read = tuple(map(str, paths))
    options = TelemetryOptions(paths=paths_read, now=NOW, mapping=policy.mapping)
    with TurnTable(options) as table:
        return judge_turns(DuckDBDrift(table, policy.by), policy, profile)


def bin_of(frozen: FrozenBins, row: Row) -> int:
    """Return the bin of a turn, by the definition of each kind."""
    value = row[frozen.column]
    if value is None:
        return len(frozen.bins) - 1
    if frozen.kind == "number":
        return sum(value > edge for edge in frozen.edges)
    name = str(value).lower() if isinstance(value, bool) else str(value)
    if name in frozen.categories:
        return frozen.categories.index(name)
    return frozen.bins.index("(other)" if frozen.kind == "category" else "(new)")


@pytest.mark.parametrize("season", ["none", "hour_of_day", "hour_of_week"])
def test_a_profile_is_what_a_slow_count_gives(tmp_path: Path, season: Season) -> None:
    """Turns, clusters, sums of squares and of products, by bin and by slot of the season."""
    rows = turns(700, seed=1, speakers=60, hours=30)
    for row in rows[::9]:
        row["snr_db"] = None
    policy = parse_drift_policy(policy_of(season=season), source="p.yaml")
    path = written(tmp_path / "a.jsonl", rows)
    with TurnTable(TelemetryOptions(paths=(str(path),), now=NOW)) as table:
        counted = DuckDBDrift(table, "speaker")
        profile = make_profile(counted, policy)
        bins = [thawed(column) for column in profile.columns]
        sums = counted.reference_sums(bins, season)
        for frozen in bins:
            fast = sums[frozen.column]
            slow = slow_sums(frozen, rows, partial(bin_of, frozen), season)
            assert np.array_equal(fast.by_slot, slow.by_slot)
            assert np.array_equal(fast.clusters, slow.clusters)
            assert fast.totals == slow.totals
            for counted_fast, counted_slow in ((fast.span, slow.span), (fast.hour, slow.hour)):
                assert counted_fast.squares.tolist() == counted_slow.squares.tolist()
                assert counted_fast.products.tolist() == counted_slow.products.tolist()
                assert counted_fast.sizes == counted_slow.sizes
    assert [column.kind for column in profile.columns] == ["number", "value", "category", "flag"]
    assert profile.turns == 700


def test_windows_are_what_a_slow_count_gives(tmp_path: Path) -> None:
    """Turns and clusters by window and bin, new and rare categories told apart."""
    before = turns(900, seed=1, speakers=150)
    for row in before[:3]:
        row["language"] = "xx"  # too rare to be a bin by itself, and not new
    rows = turns(500, seed=2, speakers=50, hours=5)
    for number, row in enumerate(rows):
        row["language"] = {0: "xx", 1: "ta", 2: None}.get(number % 25, row["language"])
    profile = profile_of([written(tmp_path / "a.jsonl", before)], policy_of())
    frozen = thawed(profile.columns[2])
    path = written(tmp_path / "b.jsonl", rows)
    with TurnTable(TelemetryOptions(paths=(str(path),), now=NOW)) as table:
        counter = DuckDBDrift(table, "speaker")
        windows, counts = counter.counts([thawed(column) for column in profile.columns], 3600)
        every = tuple(range(len(frozen.bins)))
        clusters = counter.clusters("language", every, windows)
    names = {"xx": "(other)", "ta": "(new)", None: "(missing)"}
    slow: Counter[tuple[int, str]] = Counter()
    speakers = set()
    for row in rows:
        start = int(datetime.fromisoformat(row["ts"]).timestamp()) // 3600 * 3600
        name = names.get(row["language"]) or str(row["language"])
        slow[start, name] += 1
        speakers.add((start, name, row["speaker"]))
    having = Counter((start, name) for start, name, _ in speakers)
    for i, start in enumerate(windows.starts.tolist()):
        for j, name in enumerate(frozen.bins):
            assert counts["language"].turns[i, j] == slow[start, name]
            assert clusters[i, j] == having[start, name]
    assert counts["language"].fresh == (("ta", 20),)
    sizes = Counter(
        (int(datetime.fromisoformat(row["ts"]).timestamp()) // 3600 * 3600, row["speaker"])
        for row in rows
    )
    for i, start in enumerate(windows.starts.tolist()):
        here = [n for (at, _), n in sizes.items() if at == start]
        assert windows.turns[i] == sum(here)
        assert windows.clusters[i] == len(here)
        assert windows.squares[i] == sum(n * n for n in here)


def test_order_files_and_formats_change_nothing(tmp_path: Path) -> None:
    """The same turns, shuffled and split over files, give the same profile and the same report."""
    before, rows = turns(3000, seed=3, speakers=600), turns(900, seed=4, speakers=60, hours=3)
    plain = profile_of([written(tmp_path / "a.jsonl", before)], policy_of())
    report = judged([written(tmp_path / "b.jsonl", rows)], plain, policy_of())
    mixed = random.Random(5)  # noqa: S311 - an order, no secret
    mixed.shuffle(before)
    mixed.shuffle(rows)
    parts = [written(tmp_path / f"c{i}.jsonl", before[i::3]) for i in range(3)]
    halves = [written(tmp_path / f"d{i}.jsonl", rows[i::2]) for i in range(2)]
    again = profile_of(parts, policy_of())
    assert again.digest == plain.digest
    assert encode(judged(halves, again, policy_of())) == encode(report)


def test_a_season_compares_an_hour_with_itself(tmp_path: Path) -> None:
    """Nights that speak another language are drift against the whole, and quiet by the hour."""

    def days(count: int, seed: int, first: int) -> list[Row]:
        rows = []
        for day in range(count):
            for hour in (0, 12):
                start = START + (first + day) * 86400 + hour * 3600
                part = turns(250, seed=seed + 2 * day + hour, speakers=60, start=start)
                for row in part:
                    row["language"] = "hi" if hour and row["speaker"][-1] in "13579" else "en"
                rows += part
        return rows

    before = written(tmp_path / "a.jsonl", days(7, 100, 0))
    now = written(tmp_path / "b.jsonl", days(3, 900, 7))
    columns = "columns: [language]\ncluster: speaker\nthreshold: {psi: 0.01}\n"
    verdicts = []
    for season in ("none", "hour_of_day"):
        text = policy_of(columns, season=season)
        report = judged([now], profile_of([before], text), text)
        verdicts.append([window.status for window in report.windows])
    assert verdicts[0].count("drifted") == 6
    assert verdicts[1] == ["quiet"] * 6


def test_a_mapping_renames_what_is_judged(tmp_path: Path) -> None:
    """A column of another name in the current telemetry is not missing."""
    profile = profile_of(
        [written(tmp_path / "a.jsonl", turns(3000, seed=3, speakers=600))], policy_of()
    )
    rows = turns(900, seed=4, speakers=60, hours=3)
    for row in rows:
        row["snr"] = row.pop("snr_db")
    path = written(tmp_path / "b.jsonl", rows)
    assert judged([path], profile, policy_of()).schema[0] == "missing_column:snr_db"
    mapped = policy_of(mapping={"snr_db": {"column": "snr"}})
    assert judged([path], profile, mapped).verdict == "quiet"


def test_a_profile_holds_no_row_and_no_speaker(tmp_path: Path) -> None:
    """No session, speaker, turn id or rare value stands in it, and no extreme of a column."""
    rows = turns(800, seed=6, speakers=120)
    rows[5]["snr_db"] = 99.125
    rows[7]["language"] = "zz-private"
    text = render_profile(profile_of([written(tmp_path / "a.jsonl", rows)], policy_of()))
    for row in rows:
        assert row["session"] not in text
        assert row["speaker"] not in text
        assert f'"{row["turn_id"]}"' not in text
    assert "99.125" not in text
    assert "zz-private" not in text


def test_a_column_of_persons_is_no_cluster_that_is_not_there(tmp_path: Path) -> None:
    """A misspelt cluster is refused with the nearest column."""
    path = written(tmp_path / "a.jsonl", turns(50, seed=1, speakers=9))
    with pytest.raises(InvalidInput, match='no column "speeker"') as refused:
        profile_of([path], policy_of(COLUMNS.replace("cluster: speaker", "cluster: speeker")))
    assert refused.value.hint == 'did you mean "speaker"?'


def test_turns_without_speaker_are_turns_of_their_session(tmp_path: Path) -> None:
    """A null in the cluster column neither joins strangers nor is left out."""
    rows = turns(300, seed=7, speakers=40)
    for row in rows:
        row["speaker"] = None if row["session"].endswith(("1", "3")) else row["speaker"]
    profile = profile_of([written(tmp_path / "a.jsonl", rows)], policy_of())
    assert profile.totals[0].clusters == len({row["session"] for row in rows})


def test_labels_are_counted_among_labelled_turns(tmp_path: Path) -> None:
    """Sums, windows and coverage are of the turns with a label; the others are no bin."""
    rows = turns(900, seed=8, speakers=90, hours=3)
    for number, row in enumerate(rows):
        row["label"] = None if number % 3 == 0 else ("yes" if number % 2 else "no")
    labelled = [row for row in rows if row["label"]]
    text = policy_of(labels={"column": "label"})
    path = written(tmp_path / "a.jsonl", rows)
    profile = profile_of([path], text)
    column = profile.column("label")
    assert column is not None
    frozen = thawed(column)
    slow = slow_sums(frozen, labelled, partial(bin_of, frozen), "none")
    with TurnTable(TelemetryOptions(paths=(str(path),), now=NOW)) as table:
        counter = DuckDBDrift(table, "speaker")
        fast = counter.reference_sums([frozen, thawed(profile.columns[0])], "none")["label"]
        windows, counts = counter.counts([frozen], 3600)
    assert fast.totals == slow.totals == column.totals
    assert fast.span.squares.tolist() == slow.span.squares.tolist()
    assert fast.hour.products.tolist() == slow.hour.products.tolist()
    totals = counts["label"].totals
    assert totals is not None
    assert totals.turns.sum() == counts["label"].turns.sum() == len(labelled)
    assert windows.turns.sum() == len(rows)
    assert counts["label"].turns[:, -1].tolist() == [0, 0, 0]
