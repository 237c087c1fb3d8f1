"""DuckDB's sums and estimates against a reference of dictionaries and the math module."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq
from scipy import stats

from relkit.adapters.duckdb.results import DuckDBSlices
from relkit.core.errors import InvalidInput, StorageFailed
from relkit.core.metrics import METRICS, QUALITY_METRICS, column_of, expand, split_metric
from relkit.core.slices import SliceSpec
from relkit.core.values import Estimate
from relkit.evaluation.ports import By
from relkit.statistics.estimates import estimate_metrics, sums_needed, timings_needed
from relkit.statistics.intervals import RateEvidence
from relkit.statistics.percentiles import TimingEvidence
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.sums import QUALITY_COLUMNS, SUM_COLUMNS
from relkit.statistics.types import ClusterSums, SliceValues
from tests.result_rows import (
    SPECS,
    Row,
    Sums,
    is_number,
    key_of,
    make_rows,
    reference_sums,
    table_of,
)

_ALL_BY: tuple[By, ...] = ("cluster", "repeat", "utterance")


# The reference: what each estimate means, row by row, in plain Python.


def _within(rows: Sequence[Row], specs: Sequence[str]) -> Sums:
    clusters: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["unusable"] is None:
            for name in specs:
                clusters[key_of(SliceSpec.parse(name), row)].add(row["cluster"])
    by_id = reference_sums(rows, specs, "id")
    return {key: parts for key, parts in by_id.items() if len(clusters[key]) == 1}


def _share(events: str, units: str) -> Callable[[Mapping[str, float]], float]:
    return lambda sums: sums[events] / sums[units]


def _wil(sums: Mapping[str, float]) -> float:
    said = sums["hypothesis_words"]
    return 1 - sums["hits"] ** 2 / (sums["words"] * said) if said else 1.0


_RATES: dict[str, tuple[Callable[[Mapping[str, float]], float], str, str, str]] = {
    # name: function, n, utterances, what it is (word rate, share, time)
    "wer": (_share("errors", "words"), "words", "with_words", "rate"),
    "wer_raw": (_share("raw_errors", "raw_words"), "raw_words", "with_raw_words", "rate"),
    "wer_capped": (_share("capped_errors", "words"), "words", "with_words", "share"),
    "cer": (_share("char_errors", "characters"), "characters", "with_characters", "rate"),
    "ser": (_share("wrong", "utterances"), "utterances", "utterances", "share"),
    "mer": (_share("errors", "aligned"), "aligned", "with_aligned", "share"),
    "wil": (_wil, "words", "with_words", "share"),
    "entity_error_rate": (
        _share("entity_errors", "entities"),
        "entities",
        "with_entities",
        "share",
    ),
    "keyword_error_rate": (
        _share("keyword_errors", "keywords"),
        "keywords",
        "with_keywords",
        "share",
    ),
    "runaway_rate": (_share("runaways", "utterances"), "utterances", "utterances", "share"),
    "hallucination_rate": (
        _share("hallucinated", "empty_clips"),
        "empty_clips",
        "empty_clips",
        "share",
    ),
    "failure_rate": (_share("failures", "utterances"), "utterances", "utterances", "share"),
    "rtf": (_share("processing_s", "audio_s"), "paced", "paced", "time"),
    "rtfx": (_share("audio_s", "processing_s"), "paced", "paced", "time"),
    "latency_ms.mean": (_share("latency_ms", "timed"), "timed", "timed", "time"),
    "first_byte_ms.mean": (
        _share("first_byte_ms", "first_byte_timed"),
        "first_byte_timed",
        "first_byte_timed",
        "time",
    ),
    **{
        f"{name}.mean": (_share(name, f"{name}_scored"), f"{name}_scored", f"{name}_scored", "time")
        for name in QUALITY_METRICS
    },
}

Ends = tuple[float | None, float | None, float | None, int, int, str]
"""Value, low, high, n, clusters, method."""


def _total(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total = dict.fromkeys(SUM_COLUMNS, 0.0)
    for part in parts:
        for name, value in part.items():
            total[name] += value
    return total


def _half_width(logs: Sequence[float]) -> tuple[float, float]:
    """Return se and df of leave-one-out logarithms."""
    count, mean = len(logs), math.fsum(logs) / len(logs)
    q = [0.0 if abs(x - mean) <= 1e-12 * (1 + abs(x)) else x - mean for x in logs]
    largest = max(abs(x) for x in q) or 1.0
    second, fourth = (math.fsum((x / largest) ** k for x in q) for k in (2, 4))
    df = min(max(second**2 / fourth, 1.5), count - 1) if fourth else count - 1
    return math.sqrt((count - 1) / count * second) * largest, df


def _exact(events: int, trials: int) -> tuple[float, float]:
    """Return the interval of Clopper and Pearson by quantiles of the beta distribution."""
    low = float(stats.beta.ppf(0.025, events, trials - events + 1)) if events else 0.0
    return low, float(
        stats.beta.ppf(0.975, events + 1, trials - events)
    ) if events < trials else 1.0


def reference_rate(
    metric: str,
    parts: Mapping[object, Mapping[str, float]],
    within: Mapping[object, Mapping[str, float]] | None,
    run: Mapping[object, Mapping[str, float]],
) -> Ends:
    """Return a rate as the method has it (docs/method.md, section "Intervals")."""
    function, n, utterances, kind = _RATES[metric]
    used = [part for part in parts.values() if part[n] > 0]
    if not used:
        return None, None, None, 0, 0, "none"
    inside = len(used) == 1 and within is not None
    if inside and within is not None:
        used = [part for part in within.values() if part[n] > 0]
    total = _total(used)
    value = function(total)
    clusters = 1 if inside else len(used)
    nothing: Ends = (value, None, None, round(total[n]), clusters, "none")
    if len(used) < 5 or (value == 0 and kind == "time"):
        return nothing
    rates = [function(part) for part in used]
    others = [function(part) for part in run.values() if part[n] > 0]
    if value == 0 or (kind == "share" and value >= 1):
        hidden = 3.7 / total[utterances]
        if not inside:
            worst = max(others) if value == 0 else 1 - min(others)
            hidden = max(hidden, (1 - 0.025 ** (1 / len(used))) * worst)
        hidden = min(1.0, hidden) if kind == "share" else hidden
        low, high = (0.0, hidden) if value == 0 else (1 - hidden, max(1.0, value))
        method = "no-errors" if value == 0 else "only-errors"
    elif kind == "share" and n == utterances and sum(rate > 0 for rate in rates) < 5:
        events = round(value * total[n])
        low, high = _few(events, round(total[n]), rates, [] if inside else others)
        method = "few-events"
    elif kind == "share" and n == utterances and sum(rate < 1 for rate in rates) < 5:
        events = round((1 - value) * total[n])
        hits = [1 - rate for rate in others]
        low, high = _few(events, round(total[n]), [1 - r for r in rates], [] if inside else hits)
        low, high, method = 1 - high, 1 - low, "few-events"
    else:
        left = [_total(other for other in used if other is not part) for part in used]
        errors = [rate * part[n] for rate, part in zip(rates, used, strict=True)]
        effective = math.fsum(errors) ** 2 / math.fsum(e * e for e in errors)
        left_out = [function(part) if part[n] > 0 else 0.0 for part in left]
        if min(left_out) == 0 or (kind != "time" and effective < 3):
            return nothing
        if kind == "share" and max(left_out) >= 1:
            return nothing
        low, high = _jackknifed(value, left_out, share=kind == "share")
        method = "logit-jackknife" if kind == "share" else "log-jackknife"
    return value, low, high, round(total[n]), clusters, "within-cluster" if inside else method


def _jackknifed(value: float, left_out: Sequence[float], *, share: bool) -> tuple[float, float]:
    """Return the ends on the log scale, or on the logit scale of a share."""
    scaled = [rate / (1 - rate) if share else rate for rate in left_out]
    se, df = _half_width([math.log(each) for each in scaled])
    factor = math.exp(stats.t.ppf(0.975, df) * se)
    centre = value / (1 - value) if share else value
    low, high = centre / factor, centre * factor
    return (low / (1 + low), high / (1 + high)) if share else (low, high)


def _few(
    events: int, units: int, rates: Sequence[float], others: Sequence[float]
) -> tuple[float, float]:
    """Return exact ends of few events, the wider ones of clusters where there are ``others``."""
    low, high = _exact(events, units)
    if others:
        fewest, most = _exact(sum(rate > 0 for rate in rates), len(rates))
        low, high = min(low, fewest * max(others)), max(high, most * max(others))
    return low, min(1.0, high)


def reference_percentile(share: float, pairs: Sequence[tuple[float, object]]) -> Ends:
    """Return a percentile with Woodruff's interval; pairs of (value, cluster)."""
    if not pairs:
        return None, None, None, 0, 0, "none"
    values = sorted(v for v, _ in pairs)
    size, clusters = len(values), sorted({str(c) for _, c in pairs})
    position = (size - 1) * share
    before, after = math.floor(position), math.ceil(position)
    point = values[before] + (position - before) * (values[after] - values[before])
    tied = sum(v == point for v in values)
    missing = (1 - share) * size - sum(v > point for v in values)
    fraction = min(1.0, max(0.0, missing / tied)) if tied else 0.0
    nothing: Ends = (point, None, None, size, len(clusters), "none")
    if len(clusters) < 8:
        return nothing
    logits = []
    for out in clusters:
        left = [v for v, c in pairs if c != out]
        above = math.fsum(1.0 if v > point else fraction * (v == point) for v in left)
        below = len(left) - above
        if above <= 1e-9 or below <= 1e-9:
            return nothing
        logits.append(math.log(above / below))
    se, df = _half_width(logits)
    odds, factor = (1 - share) / share, math.exp(stats.t.ppf(0.975, df) * se)
    low_rank = math.floor(size / (1 + odds * factor))
    high_rank = math.ceil(size / (1 + odds / factor)) + 1
    low = values[low_rank - 1] if low_rank >= 1 and (1 - share) ** size <= 0.025 else None
    enough = share**size <= 0.025 and high_rank <= size
    high = values[high_rank - 1] if enough else None
    method = "none" if low is None and high is None else "woodruff"
    return point, low, high, size, len(clusters), method


# What DuckDB and numpy make of the same rows.


def _as_dictionaries(sums: ClusterSums) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sums.slices}
    for row, slice_ in enumerate(sums.slice_index.tolist()):
        found[sums.slices[slice_]].append({n: float(c[row]) for n, c in sums.columns.items()})
    return found


def _comparable(parts: Iterable[Mapping[str, float]]) -> list[tuple[float, ...]]:
    return sorted(tuple(round(part[name], 6) for name in SUM_COLUMNS) for part in parts)


def _claimed(metric: str, expected: Ends) -> Ends:
    """Return what a report claims: no interval that reaches five times an unbounded error rate."""
    value, _, high, n, clusters, method = expected
    jackknifed = metric in {"wer", "wer_raw", "cer"} and method == "log-jackknife"
    if jackknifed and value is not None and high is not None and high > 5.0 * value:
        return (value, None, None, n, clusters, "none")
    return expected


def _same(found: Estimate, expected: Ends) -> None:
    value, low, high, n, clusters, method = expected
    assert (found.n, found.clusters, found.method) == (n, clusters, method)
    for end, other in ((found.value, value), (found.low, low), (found.high, high)):
        assert (end is None) == (other is None)
        assert end is None or end == pytest.approx(other, rel=1e-8)


@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([1, 12, 90]),
    clusters=st.sampled_from([1, 6, 12]),
    repeats=st.sampled_from([1, 2]),
)
@settings(max_examples=8, deadline=None)
def test_sums_are_those_of_the_reference(seed: int, size: int, clusters: int, repeats: int) -> None:
    """By cluster, by repeat and by utterance, with missing values, escapes and failures."""
    rows = make_rows(seed, size, clusters=clusters, repeats=repeats)
    with DuckDBSlices(table_of(rows), threads=1) as slices:
        references: dict[By, Sums] = {
            "cluster": reference_sums(rows, SPECS, "cluster"),
            "repeat": reference_sums(rows, SPECS, "repeat"),
            "utterance": _within(rows, SPECS),
        }
        for by, expected in references.items():
            sums = slices.sums(SPECS, SUM_COLUMNS, by=by)
            found = _as_dictionaries(sums)
            assert set(found) == set(expected)
            for key, parts in expected.items():
                assert _comparable(found[key]) == _comparable(parts.values())


@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([3, 40, 200]),
    clusters=st.sampled_from([1, 4, 12]),
)
@settings(max_examples=5, deadline=None)
def test_estimates_are_those_of_the_reference(seed: int, size: int, clusters: int) -> None:
    """Every metric of every slice: value, ends, n, clusters and method."""
    rows = make_rows(seed, size, clusters=clusters)
    by_cluster = reference_sums(rows, SPECS, "cluster")
    within = _within(rows, SPECS)
    timings = timings_needed(METRICS)
    with DuckDBSlices(table_of(rows), threads=1) as slices:
        needed = sums_needed(METRICS)
        evidence = RateEvidence(
            sums=slices.sums(SPECS, needed), within=slices.sums(SPECS, needed, by="utterance")
        )
        found = estimate_metrics(
            METRICS,
            evidence,
            {n: TimingEvidence(values=slices.values(SPECS, n)) for n in timings},
        )
    assert set(found) == set(by_cluster)
    for key, parts in by_cluster.items():
        for metric in _RATES:
            expected = reference_rate(metric, parts, within.get(key), by_cluster["overall"])
            _same(found[key][metric], _claimed(metric, expected))
    pairs = _timings(rows, timings)
    for metric in (name for name in expand(tuple(METRICS)) if name not in RATE_METRICS):
        base, statistic = split_metric(metric)
        column = column_of(base)
        for key in by_cluster:
            expected = reference_percentile(int(statistic[1:]) / 100, pairs[key, column])
            _same(found[key][metric], expected)


def _timings(
    rows: Iterable[Row], columns: Iterable[str]
) -> dict[tuple[str, str], list[tuple[float, object]]]:
    found: dict[tuple[str, str], list[tuple[float, object]]] = defaultdict(list)
    for row in rows:
        for column in columns:
            if row["unusable"] is None and is_number(row.get(column)):
                for name in SPECS:
                    key = key_of(SliceSpec.parse(name), row)
                    found[key, column].append((row[column], row["cluster"]))
    return found


def _by_slice(values: SliceValues) -> dict[str, list[tuple[float, int]]]:
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in values.slices}
    for i, c, v in zip(values.slice_index, values.cluster_index, values.values, strict=True):
        found[values.slices[int(i)]].append((float(v), int(c)))
    return found


def test_values_are_finite_scored_and_ascending_within_slices() -> None:
    """Null, NaN and unusable rows are left out; clusters are numbered as in the sums."""
    rows = make_rows(11, 200, clusters=6)
    with DuckDBSlices(table_of(rows)) as slices:
        values = slices.values(SPECS, "latency_ms")
        sums = slices.sums(["overall"], {"timed": SUM_COLUMNS["timed"]})
        utterances = slices.values(SPECS, "latency_ms", by="utterance")
    found, expected = _by_slice(values), _timings(rows, ["latency_ms"])
    assert set(found) == {key for key, _ in expected}
    for key, pairs in found.items():
        assert [v for v, _ in pairs] == sorted(v for v, _ in expected[key, "latency_ms"])
    counted = [sum(c == k for _, c in found["overall"]) for k in sums.cluster_index.tolist()]
    assert counted == sums.columns["timed"].tolist()
    alone = _by_slice(utterances)
    assert set(alone) == set(_within(rows, SPECS)) & set(found)
    assert "overall" not in alone
    assert all(len({c for _, c in pairs}) == len(pairs) for pairs in alone.values())


def test_clusters_are_numbered_alike_in_every_slice_and_slices_follow_their_specifications() -> (
    None
):
    """Overall comes first because it was asked first, and values are in order."""
    rows = make_rows(3, 120, clusters=5)
    names = sorted({row["cluster"] for row in rows})
    with DuckDBSlices(table_of(rows)) as slices:
        sums = slices.sums(["overall", "noise", "accent & noise", "noise"], {"n": "1"})
    reference = reference_sums(rows, ["noise"], "cluster")
    assert sums.slices[:4] == ("overall", "noise=a%26b", "noise=plain", "noise=x%3Dy")
    assert all("&noise=" in name for name in sums.slices[4:])
    assert list(sums.slices[4:]) == sorted(set(sums.slices[4:]), key=sums.slices.index)
    for i, name in enumerate(sums.slices[1:4], start=1):
        rows_of = sums.slice_index == i
        seen = {names[c] for c in sums.cluster_index[rows_of].tolist()}
        assert seen == set(reference[name])


def test_with_utterances_each_is_a_cluster() -> None:
    """Its repeats are summed, and the slices are the same."""
    rows = make_rows(4, 40, clusters=3, repeats=2)
    needed = sums_needed(["wer"])
    with DuckDBSlices(table_of(rows), utterances=True) as slices:
        each = slices.sums(["overall"], needed)
    with DuckDBSlices(table_of(rows)) as slices:
        clustered = slices.sums(["overall"], needed)
    assert len(each.cluster_index) == len({row["id"] for row in rows})
    for name in needed:
        assert each.columns[name].sum() == clustered.columns[name].sum()


def test_clusters_are_numbered_by_the_order_they_are_given() -> None:
    """The sums of a cluster stay its own, of slices, cells and single measurements alike."""
    rows = make_rows(4, 40, clusters=3, repeats=2)
    needed = sums_needed(["wer"])
    with DuckDBSlices(table_of(rows)) as slices:
        spelt = slices.sums(["overall"], needed), slices.values(["overall"], "latency_ms")
    with DuckDBSlices(
        table_of(rows), order=lambda name: bytes(255 - ord(c) for c in name)
    ) as turned:
        others = turned.sums(["overall"], needed), turned.values(["overall"], "latency_ms")
    assert others[0].cluster_index.tolist() == [0, 1, 2]
    for name in needed:
        assert others[0].columns[name].tolist() == spelt[0].columns[name].tolist()[::-1]
    assert others[1].cluster_index.tolist() == (2 - spelt[1].cluster_index).tolist()
    with DuckDBSlices(table_of([]), order=str.encode) as nothing:
        assert nothing.sums(["overall"], needed).slices == ()


def test_results_file_of_any_name_gives_what_the_table_gives(tmp_path: Path) -> None:
    """Wildcards in a folder's name are no wildcards."""
    rows = make_rows(5, 60, clusters=6)
    folder = tmp_path / "run [a-z]*?"
    folder.mkdir()
    path = folder / "results.parquet"
    pq.write_table(table_of(rows), path)
    pq.write_table(table_of(rows[:9]), tmp_path / "run b.parquet")
    with DuckDBSlices(path, threads=2) as of_file, DuckDBSlices(table_of(rows)) as of_table:
        first, second = (s.sums(SPECS, SUM_COLUMNS) for s in (of_file, of_table))
    assert first.slices == second.slices
    for name in SUM_COLUMNS:
        assert first.columns[name].tolist() == pytest.approx(second.columns[name].tolist())


def test_a_run_without_rows_has_no_slices() -> None:
    """Nothing scored is no slice, not a slice of zeros."""
    with DuckDBSlices(table_of([])) as slices:
        for by in _ALL_BY:
            sums = slices.sums(SPECS, SUM_COLUMNS, by=by)
            assert (sums.slices, len(sums.slice_index)) == ((), 0)
        assert slices.values(SPECS, "latency_ms").slices == ()


def test_unknown_columns_are_refused_with_the_known_ones() -> None:
    """Spelling counts, case included."""
    with DuckDBSlices(table_of(make_rows(1, 5, clusters=2))) as slices:
        for ask in (
            lambda: slices.sums(["Accent"], {"n": "1"}),
            lambda: slices.values(["overall"], "latency"),
        ):
            with pytest.raises(InvalidInput, match="no column") as caught:
                ask()
            assert caught.value.hint is not None
            assert "accent, noise, Hits" in caught.value.hint


def test_what_is_no_results_file_is_refused(tmp_path: Path) -> None:
    """Missing, garbled, incomplete, or with rows that were never counted."""
    garbled = tmp_path / "results.parquet"
    garbled.write_bytes(b"PAR1 but not really")
    table = table_of(make_rows(1, 5, clusters=2))
    uncounted = [row | {"hits": None, "unusable": None} for row in make_rows(1, 5, clusters=2)]
    negative = [row | {"deletions": -1, "unusable": None} for row in make_rows(1, 5, clusters=2)]
    absurd = [row | {"hits": 2**52, "unusable": None} for row in make_rows(1, 5, clusters=2)]
    unnamed = [row | {"id": None} for row in make_rows(1, 5, clusters=2)]
    words = (
        table.set_column(0, "hits_", table["id"]).drop(["hits"]).rename_columns({"hits_": "hits"})
    )
    for source, message in (
        (tmp_path / "absent.parquet", "absent.parquet: cannot be read"),
        (garbled, "results.parquet: cannot be read"),
        (table.drop(["failure"]), "no column failure"),
        (table_of(uncounted), "5 scored rows without counts"),
        (table_of(negative), "5 scored rows without counts"),
        (table_of(absurd), "more than can be counted exactly"),
        (table_of(unnamed), "5 rows without id"),
        (words.append_column("id", table["id"]), "cannot be read as results"),
    ):
        with pytest.raises(InvalidInput, match=message) as caught:
            DuckDBSlices(source)
        assert str(tmp_path) not in str(caught.value)


def test_results_of_an_earlier_version_have_no_quality() -> None:
    """Their metrics stay what they were, and a quality is missing rather than 0."""
    table = table_of(make_rows(3, 50, clusters=5))
    with DuckDBSlices(table) as slices:
        now = slices.sums(SPECS, {"errors": SUM_COLUMNS["errors"]})
    with DuckDBSlices(table.drop([*QUALITY_COLUMNS, "quality_reason"])) as slices:
        before = slices.sums(SPECS, {"errors": SUM_COLUMNS["errors"]})
        assert slices.values(["overall"], "plcmos").values.size == 0
        scored = slices.sums(["overall"], {"n": SUM_COLUMNS["plcmos_scored"]})
    assert before.columns["errors"].tolist() == now.columns["errors"].tolist()
    assert not scored.columns["n"].any()


def test_too_little_memory_is_said_as_such() -> None:
    """A sum that fits nowhere is no invalid input, whether rows are checked or summed."""
    table = table_of(make_rows(2, 3000, clusters=900))
    with (
        pytest.raises(StorageFailed),
        DuckDBSlices(table, memory_limit="1MB", threads=1) as slices,
    ):
        slices.sums(SPECS, SUM_COLUMNS)


def _with_prompts(rows: Sequence[Row], prompts: int, *, every: int = 1) -> list[Row]:
    """Return rows of which each ``every``-th utterance reads one of so many prompts."""

    def prompt(row: Row) -> int | None:
        number = int(row["id"][1:])
        return None if number % every else number // every % prompts

    return [row | {"prompt_number": prompt(row)} for row in rows]


@pytest.mark.parametrize("repeats", [1, 2])
def test_sums_by_prompt_are_those_of_prompts_that_several_clusters_read(repeats: int) -> None:
    """Cluster by prompt in every slice, without prompts of one cluster and rows without any."""
    rows = _with_prompts(make_rows(5, 90, clusters=4, repeats=repeats), 30)
    readers: dict[int, set[str]] = defaultdict(set)
    for row in rows:
        if row["unusable"] is None:
            readers[row["prompt_number"]].add(row["cluster"])
    shared = [row for row in rows if len(readers[row["prompt_number"]]) > 1]
    assert 0 < len(shared) < len(rows)
    expected = reference_sums(
        [row | {"cell": (row["cluster"], row["prompt_number"])} for row in shared], SPECS, "cell"
    )
    with DuckDBSlices(table_of(rows)) as aggregator:
        sums = aggregator.sums(SPECS, SUM_COLUMNS)
        assert aggregator.sums(SPECS, SUM_COLUMNS, by="repeat").by_prompt is None
    cells, names = sums.by_prompt, sorted({row["cluster"] for row in rows})
    assert cells is not None
    assert cells.prompts == len({row["prompt_number"] for row in shared})
    measured: Sums = defaultdict(dict)
    for i, slice_ in enumerate(cells.slice_index.tolist()):
        key = names[cells.cluster_index[i]], int(cells.prompt_index[i])
        values = {name: float(column[i]) for name, column in cells.columns.items()}
        measured[sums.slices[slice_]][key] = values
    assert measured.keys() == expected.keys()
    for slice_key, parts in expected.items():
        assert measured[slice_key].keys() == parts.keys()
        for part, total in parts.items():
            assert measured[slice_key][part] == pytest.approx(total)


@pytest.mark.parametrize(
    ("prompts", "every", "counts"), [(5, 1, True), (4, 1, False), (5, 9, True), (5, 11, False)]
)
def test_few_shared_prompts_do_not_count(prompts: int, every: int, *, counts: bool) -> None:
    """Five prompts and a tenth of the utterances are the least that is clustered by."""
    rows = [row for row in make_rows(6, 900, clusters=3) if row["unusable"] is None]
    for i, row in enumerate(rows):
        row["id"] = f"u{i}"
    with DuckDBSlices(table_of(_with_prompts(rows, prompts, every=every))) as aggregator:
        assert (aggregator.sums(("overall",), {}).by_prompt is not None) == counts


def test_results_without_prompts_have_no_sums_by_prompt() -> None:
    """Results of an earlier version, and texts that everybody reads alone."""
    rows = make_rows(7, 60, clusters=5)
    alone = [row | {"prompt_number": i} for i, row in enumerate(rows)]
    for each in (rows, alone):
        with DuckDBSlices(table_of(each)) as aggregator:
            assert aggregator.sums(SPECS, SUM_COLUMNS).by_prompt is None
