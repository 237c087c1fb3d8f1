"""Two runs paired by DuckDB against a reference of dictionaries."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from relkit.adapters.duckdb.results import DuckDBPairs, DuckDBSlices
from relkit.core.errors import InvalidInput
from relkit.core.slices import SliceSpec
from relkit.statistics.differences import rate_differences
from relkit.statistics.families import EXCUSED
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.sums import QUALITY_COLUMNS, SUM_COLUMNS
from relkit.statistics.types import ClusterSums, PairedSums, SliceValues
from tests.result_rows import (
    COUNTS,
    SPECS,
    Row,
    Sums,
    answered,
    asked,
    is_number,
    key_of,
    make_rows,
    reference_sums,
    table_of,
)

MEASURES = ("latency_ms", "first_byte_ms", *QUALITY_COLUMNS)
UNSCORED = dict.fromkeys(
    name
    for name in (
        *(prefix + count for prefix in ("", "raw_", "char_") for count in COUNTS),
        *("capped_errors", "entities", "entity_errors", "keywords", "keyword_errors"),
        *("runaway", "loop"),
    )
)
EXTRA = ("accent", "noise", "Hits", 'we"ird na;me')


def make_pair(
    seed: int, size: int, *, clusters: int = 6, repeats: int = 1
) -> tuple[list[Row], list[Row]]:
    """Return the rows of two systems that were asked the same."""
    rng = random.Random(seed)  # noqa: S311 - test data, not a secret
    questions = [asked(number, rng, clusters=clusters) for number in range(size)]
    runs: tuple[list[Row], list[Row]] = ([], [])
    for run in runs:
        run += [answered(dict(q), repeat, rng) for q in questions for repeat in range(repeats)]
        rng.shuffle(run)
    return runs


def opened(
    folder: Path, candidate: Sequence[Row], baseline: Sequence[Row], threads: int = 1
) -> DuckDBPairs:
    """Write both runs and open them."""
    for name, rows in (("candidate", candidate), ("baseline", baseline)):
        (folder / name).mkdir(exist_ok=True)
        pq.write_table(table_of(rows), folder / name / "results.parquet")
    return DuckDBPairs(
        folder / "candidate" / "results.parquet",
        folder / "baseline" / "results.parquet",
        threads=threads,
    )


# The reference: what pairing means, row by row, in plain Python.


def single(rows: Sequence[Row]) -> dict[tuple[str, int], Row]:
    """Return rows by id and repeat, without those that stand more than once."""
    times = Counter((row["id"], row["repeat"]) for row in rows)
    return {(row["id"], row["repeat"]): row for row in rows if times[row["id"], row["repeat"]] == 1}


def perfect(row: Row) -> Row:
    """Return a row of a baseline that failed, as if it had made no error."""
    changed = dict(row, failure=None, runaway=False, loop=False)
    for prefix in ("", "raw_", "char_"):
        hits = sum(row[prefix + name] for name in COUNTS[:3])
        changed |= dict.fromkeys((prefix + name for name in COUNTS), 0) | {prefix + "hits": hits}
    return changed | dict.fromkeys(("capped_errors", "entity_errors", "keyword_errors"), 0)


def reference_pairs(
    candidate: Sequence[Row], baseline: Sequence[Row]
) -> tuple[list[Row], list[Row]]:
    """Return the rows of both runs as they are compared, in the same order."""
    ours, theirs = single(candidate), single(baseline)
    found: tuple[list[Row], list[Row]] = ([], [])
    for key in ours.keys() & theirs.keys():
        here, there = dict(ours[key]), dict(theirs[key])
        there |= {name: here[name] for name in ("cluster", *EXTRA)}
        failed = there["failure"] is not None and there["unusable"] is None
        for name in MEASURES:
            if failed or not (is_number(here[name]) and is_number(there[name])):
                here[name] = there[name] = None
        if here["unusable"] or there["unusable"]:
            here |= {"unusable": "empty"}
            there |= {"unusable": "empty"}
        elif failed:
            there = perfect(there)
        found[0].append(here)
        found[1].append(there)
    return found


def by_slice(sums: ClusterSums, clusters: Sequence[str]) -> Sums:
    """Return sums as the reference has them."""
    found: Sums = {}
    rows = zip(sums.slice_index.tolist(), sums.cluster_index.tolist(), strict=True)
    for i, (index, cluster) in enumerate(rows):
        parts = found.setdefault(sums.slices[index], {})
        parts[clusters[cluster]] = {
            name: float(v[i]) for name, v in sums.columns.items() if not name.startswith(EXCUSED)
        }
    return found


def excused(candidate: Sequence[Row], baseline: Sequence[Row]) -> int:
    """Return the candidate's capped errors where the baseline gave no answer."""
    ours, theirs = single(candidate), single(baseline)
    return sum(
        ours[key]["capped_errors"]
        for key in ours.keys() & theirs.keys()
        if theirs[key]["failure"] is not None
        and ours[key]["unusable"] is None
        and theirs[key]["unusable"] is None
    )


def assert_same(found: Sums, expected: Sums) -> None:
    """Compare slice by slice and part by part."""
    assert {key: set(parts) for key, parts in found.items()} == {
        key: set(parts) for key, parts in expected.items()
    }
    for key, parts in expected.items():
        for part, sums in parts.items():
            assert found[key][part] == pytest.approx(sums), (key, part)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 8), st.integers(1, 2))
def test_sums_are_those_of_the_reference(
    tmp_path_factory: pytest.TempPathFactory, seed: int, size: int, clusters: int, repeats: int
) -> None:
    """Failures of the baseline, unusable rows, missing measurements: every sum of either side."""
    candidate, baseline = make_pair(seed, size, clusters=clusters, repeats=repeats)
    with opened(tmp_path_factory.mktemp("pair"), candidate, baseline) as pairs:
        found = pairs.sums(SPECS, SUM_COLUMNS)
        names = pairs.clusters()
    assert found.clusters == len(names)
    assert list(names) == sorted({row["cluster"] for row in candidate})
    ours, theirs = reference_pairs(candidate, baseline)
    assert_same(by_slice(found.candidate, names), reference_sums(ours, SPECS, "cluster"))
    assert_same(by_slice(found.baseline, names), reference_sums(theirs, SPECS, "cluster"))
    whole = found.candidate.slice_index == found.candidate.slices.index("overall")
    total = found.candidate.columns[f"{EXCUSED}capped_errors"][whole].sum()
    assert total == excused(candidate, baseline)
    for name in ("slice_index", "cluster_index"):
        assert getattr(found.candidate, name).tolist() == getattr(found.baseline, name).tolist()


def test_cells_are_the_same_sums_of_whole_slices(tmp_path: Path) -> None:
    """One row a slice, crossings included."""
    candidate, baseline = make_pair(4, 80)
    with opened(tmp_path, candidate, baseline) as pairs:
        cells = pairs.cells(SPECS, SUM_COLUMNS)
        sums = pairs.sums(SPECS, SUM_COLUMNS)
    assert cells.candidate.slices == sums.candidate.slices
    assert cells.candidate.slice_index.tolist() == list(range(len(cells.candidate.slices)))
    for whole, parts in ((cells.candidate, sums.candidate), (cells.baseline, sums.baseline)):
        for name in SUM_COLUMNS:
            for i in range(len(whole.slices)):
                own = parts.columns[name][parts.slice_index == i].sum()
                assert whole.columns[name][i] == pytest.approx(own)


def by_key(values: SliceValues) -> dict[str, list[float]]:
    """Return the values of each slice in their order."""
    found: dict[str, list[float]] = {}
    for index, value in zip(values.slice_index.tolist(), values.values.tolist(), strict=True):
        found.setdefault(values.slices[index], []).append(value)
    return found


def test_single_measurements_are_those_that_both_have(tmp_path: Path) -> None:
    """An utterance without a finite latency on one side is in neither, nor one that failed."""
    candidate, baseline = make_pair(8, 120)
    ours, theirs = reference_pairs(candidate, baseline)
    with opened(tmp_path, candidate, baseline) as pairs:
        values = pairs.values(SPECS, "latency_ms")
        with pytest.raises(InvalidInput, match="no column of single measurements"):
            pairs.values(SPECS, "accent")
    for found, rows in ((values.candidate, ours), (values.baseline, theirs)):
        expected: dict[str, list[float]] = {}
        for row in rows:
            if row["unusable"] is None and row["latency_ms"] is not None:
                for name in SPECS:
                    key = key_of(SliceSpec.parse(name), row)
                    expected.setdefault(key, []).append(row["latency_ms"])
        assert by_key(found) == {key: sorted(some) for key, some in expected.items()}


def test_pairing_counts_what_does_not_match(tmp_path: Path) -> None:
    """Rows of one side, rows that moved, rows that stand twice, and failures of either run."""
    candidate, baseline = make_pair(21, 60)
    plain = dict.fromkeys(("failure", "unusable"))
    ready = [row | plain for row in make_rows(3, 60, clusters=4) if row["unusable"] is None]
    candidate, baseline = [dict(row) for row in ready], [dict(row) for row in ready]
    here, there = ({row["id"]: row for row in run} for run in (candidate, baseline))
    ids = sorted(here)
    there[ids[0]]["accent"] = "another accent"
    there[ids[1]]["cluster"] = "another speaker"
    there[ids[2]]["unusable"] = "empty"
    there[ids[3]]["failure"] = there[ids[4]]["failure"] = "timeout"
    there[ids[4]]["unusable"] = "empty"
    here[ids[5]]["failure"] = "timeout"
    candidate = [row for row in candidate if row["id"] != ids[6]] + [here[ids[7]]]
    baseline = [row for row in baseline if row["id"] not in ids[8:10]]
    with opened(tmp_path, candidate, baseline) as pairs:
        found = pairs.pairing()
    assert (found.both, found.compared) == (len(ids) - 4, len(ids) - 6)
    assert (found.only_candidate, found.only_baseline) == (2, 1)
    assert (found.moved, found.duplicates) == (2, 2)
    assert (found.baseline_failures, found.candidate_failures) == ((ids[3],), 1)
    assert not found.whole


def test_runs_of_the_same_rows_are_whole(tmp_path: Path) -> None:
    """The order of rows does not matter, and neither do different columns of later versions."""
    candidate, baseline = make_pair(5, 70, repeats=2)
    older = [{k: v for k, v in row.items() if k not in QUALITY_COLUMNS} for row in baseline]
    with opened(tmp_path, candidate, older) as pairs:
        assert pairs.pairing().whole
        assert pairs.values(["overall"], "plcmos").candidate.slices == ()
        sums = pairs.sums(["overall"], {"n": SUM_COLUMNS["plcmos_scored"]})
    assert not sums.candidate.columns["n"].any()


def test_another_slice_column_moves_every_row(tmp_path: Path) -> None:
    """Runs that were cut differently are not cut alike by silence."""
    candidate, baseline = make_pair(6, 10)
    with opened(tmp_path, candidate, baseline):
        pass
    table = table_of(baseline).drop(["noise"])
    pq.write_table(table, tmp_path / "baseline" / "results.parquet")
    with DuckDBPairs(
        tmp_path / "candidate" / "results.parquet", tmp_path / "baseline" / "results.parquet"
    ) as pairs:
        assert pairs.pairing().moved == 10


def test_nothing_in_common_is_no_slice(tmp_path: Path) -> None:
    """Runs without a common row have no sums and no values, and say so."""
    candidate, baseline = make_pair(7, 12)
    with opened(tmp_path, candidate, [row | {"id": f"x{row['id']}"} for row in baseline]) as pairs:
        assert (pairs.pairing().both, pairs.pairing().only_baseline) == (0, 12)
        found = pairs.sums(SPECS, SUM_COLUMNS)
        assert (found.candidate.slices, found.clusters) == ((), 0)
        assert pairs.values(SPECS, "latency_ms").baseline.slices == ()
        assert pairs.flips(3).worst_broken == ()


def test_flips_are_utterances_only_one_run_has_right(tmp_path: Path) -> None:
    """All are counted, those with the most errors named; where the baseline failed none flips."""
    candidate, baseline = make_pair(9, 150)
    ours, theirs = single(candidate), single(baseline)
    broken: list[tuple[int, str]] = []
    mended: list[tuple[int, str]] = []
    for key, here in ours.items():
        there = theirs[key]
        if here["unusable"] or there["unusable"] or there["failure"]:
            continue
        now, before = (sum(row[name] for name in COUNTS[1:]) for row in (here, there))
        if now and not before:
            broken.append((-now, key[0]))
        if before and not now:
            mended.append((-before, key[0]))
    with opened(tmp_path, candidate, baseline) as pairs:
        found = pairs.flips(4)
    assert len(broken) > 4
    assert (found.broken, found.mended) == (len(broken), len(mended))
    assert [item.id for item in found.worst_broken] == [name for _, name in sorted(broken)[:4]]
    assert [item.id for item in found.worst_mended] == [name for _, name in sorted(mended)[:4]]
    first = found.worst_broken[0]
    row = ours[first.id, 0]
    assert (first.candidate_errors, first.baseline_errors) == (-min(broken)[0], 0)
    assert first.cluster == row["cluster"]
    assert first.slices == {name: row[name] for name in EXTRA if row[name] is not None}


def test_repeats_of_an_utterance_are_one_utterance(tmp_path: Path) -> None:
    """Sums and values say how often each was asked, and a flip is counted once."""
    candidate, baseline = make_pair(9, 60)
    wer = RATE_METRICS["wer_capped"]
    columns = {name: SUM_COLUMNS[name] for name in wer.needs}
    counts = []
    for times in (1, 3):
        ours, theirs = (
            [row | {"repeat": k} for row in run for k in range(times)]
            for run in (candidate, baseline)
        )
        with opened(tmp_path, ours, theirs) as pairs:
            found = pairs.sums(["overall"], columns)
            assert found.candidate.repeats == found.baseline.repeats == times
            assert pairs.values(["overall"], "latency_ms").baseline.repeats == times
            (difference,) = rate_differences(wer, found)
            flips = pairs.flips(4)
            counts.append((difference.n, difference.utterances, flips.broken, flips.mended))
    assert counts[0] == counts[1]


def equal(one: PairedSums, other: PairedSums) -> bool:
    """Return whether both are the same numbers in the same order."""
    return all(
        a.slices == b.slices
        and a.cluster_index.tolist() == b.cluster_index.tolist()
        and all(a.columns[n].tolist() == b.columns[n].tolist() for n in a.columns)
        for a, b in ((one.candidate, other.candidate), (one.baseline, other.baseline))
    )


def test_threads_do_not_change_the_sums_and_clusters_are_numbered_as_in_one_run(
    tmp_path: Path,
) -> None:
    """Errors are counts, so the same data gives the same arrays to the last bit."""
    candidate, baseline = make_pair(10, 300, clusters=20)
    columns = {name: SUM_COLUMNS[name] for name in ("errors", "words", "capped_errors")}
    with opened(tmp_path, candidate, baseline) as one:
        first = one.sums(SPECS, columns)
    with opened(tmp_path, candidate, baseline, threads=2) as two:
        assert equal(first, two.sums(SPECS, columns))
    with DuckDBSlices(tmp_path / "candidate" / "results.parquet") as alone:
        sums = alone.sums(SPECS, columns)
    assert sums.slices == first.candidate.slices
    assert sums.cluster_index.tolist() == first.candidate.cluster_index.tolist()


def test_what_is_no_results_file_is_refused_by_its_run(tmp_path: Path) -> None:
    """Two files have the same name: the message says which run's, and no path above it."""
    candidate, baseline = make_pair(11, 5)
    with opened(tmp_path, candidate, baseline):
        pass
    (tmp_path / "baseline" / "results.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(InvalidInput, match=r"^baseline/results\.parquet: cannot be read"):
        DuckDBPairs(
            tmp_path / "candidate" / "results.parquet", tmp_path / "baseline" / "results.parquet"
        )


def test_sums_by_prompt_of_both_sides_are_aligned(tmp_path: Path) -> None:
    """Prompts are the candidate's; cells add up to clusters where all are shared."""
    candidate, baseline = make_pair(8, 120, clusters=4)
    for rows, numbers in ((candidate, 6), (baseline, 120)):
        for row in rows:
            row["prompt_number"] = int(row["id"][1:]) % numbers
    with opened(tmp_path, candidate, baseline) as pairs:
        sums = pairs.sums(("overall",), SUM_COLUMNS)
    ours, theirs = sums.candidate.by_prompt, sums.baseline.by_prompt
    assert ours is not None
    assert theirs is not None
    assert ours.prompts == 6
    for name in ("slice_index", "cluster_index", "prompt_index"):
        assert getattr(ours, name).tolist() == getattr(theirs, name).tolist()
    for side, cells in ((sums.candidate, ours), (sums.baseline, theirs)):
        assert cells.columns.keys() == side.columns.keys()
        for name, column in cells.columns.items():
            total = np.bincount(cells.cluster_index, column, len(side.cluster_index))
            assert total.tolist() == pytest.approx(side.columns[name].tolist()), name
