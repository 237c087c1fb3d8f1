"""From metric names to estimates by slice."""

import numpy as np
import pytest

from relkit.core.metrics import METRICS, expand
from relkit.statistics.estimates import estimate_metrics, slice_totals, sums_needed, timings_needed
from relkit.statistics.intervals import RateEvidence
from relkit.statistics.percentiles import TimingEvidence
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.sums import CORE_COLUMNS, COUNT_COLUMNS, SLICE_COLUMNS, SUM_COLUMNS
from relkit.statistics.types import ClusterSums, SliceValues


def _sums(names: tuple[str, ...]) -> ClusterSums:
    """Return two slices of six and two clusters, every sum 3."""
    return ClusterSums(
        slices=("overall", "a=1"),
        slice_index=np.array([0] * 6 + [1] * 2),
        cluster_index=np.array([0, 1, 2, 3, 4, 5, 0, 1]),
        columns={name: np.full(8, 3.0) for name in names},
    )


def test_every_metric_is_a_rate_or_a_percentile_made_of_known_sums() -> None:
    """No name of the domain is left without a definition."""
    for name in expand(tuple(METRICS)):
        if name in RATE_METRICS:
            assert set(RATE_METRICS[name].needs) <= set(SUM_COLUMNS)
        else:
            assert name.rpartition(".")[2] in {"p10", "p50", "p95", "p99"}
    assert set(RATE_METRICS) <= set(expand(tuple(METRICS)))


def test_sums_needed_holds_what_slices_show_and_metrics_need_once() -> None:
    """The expressions are those of the table."""
    needed = sums_needed(["wer", "ser", "latency_ms"])
    assert set(needed) == {*SLICE_COLUMNS, "errors", "words", "with_words", "wrong"} | {
        "latency_ms",
        "timed",
    }
    assert needed["errors"] == SUM_COLUMNS["errors"]


@pytest.mark.parametrize(
    ("metrics", "columns"),
    [
        (["wer"], ()),
        (["latency_ms.mean"], ()),
        (["latency_ms.p95"], ("latency_ms",)),
        (["first_byte_ms", "latency_ms"], ("latency_ms", "first_byte_ms")),
        (["dnsmos_ovrl", "plcmos", "stoi.mean"], ("dnsmos_ovrl",)),
    ],
)
def test_single_measurements_are_read_for_percentiles_only(
    metrics: list[str], columns: tuple[str, ...]
) -> None:
    """Means come out of sums."""
    assert timings_needed(metrics) == columns


@pytest.mark.parametrize(
    "name", ["wre", "wer.p95", "latency_ms.p90", "plcmos.p10", "dnsmos_sig.p50", ""]
)
def test_unknown_metrics_are_refused(name: str) -> None:
    """A misspelled metric is no metric without data."""
    with pytest.raises(KeyError):
        sums_needed([name])
    with pytest.raises(KeyError):
        timings_needed([name])


def test_estimates_come_by_slice_and_in_the_order_asked() -> None:
    """Timings are spelled out; a slice without measurements has a note instead of a value."""
    values = SliceValues(
        slices=("a=1",),
        slice_index=np.zeros(3, dtype=np.int64),
        cluster_index=np.array([0, 0, 1]),
        values=np.array([1.0, 2.0, 4.0]),
    )
    sums = _sums(tuple(sums_needed(["wer", "latency_ms"])))
    found = estimate_metrics(
        ["latency_ms", "wer"],
        RateEvidence(sums=sums),
        {"latency_ms": TimingEvidence(values=values)},
    )
    assert list(found) == ["overall", "a=1"]
    names = ["latency_ms.mean", "latency_ms.p50", "latency_ms.p95", "latency_ms.p99", "wer"]
    assert [list(by_metric) for by_metric in found.values()] == [names, names]
    assert found["a=1"]["latency_ms.p50"].value == 2.0
    assert found["overall"]["latency_ms.p50"].value is None
    assert found["overall"]["latency_ms.p50"].note == "no values"
    assert found["overall"]["wer"].value == 1.0
    assert found["overall"]["wer"].clusters == 6


def test_slice_totals_add_clusters_up() -> None:
    """Sums per slice, and the clusters that had something scored."""
    sums = _sums(("utterances", "hits"))
    sums.columns["utterances"][0] = 0.0
    totals = slice_totals(sums)
    assert totals["hits"].tolist() == [18.0, 6.0]
    assert totals["clusters"].tolist() == [5.0, 2.0]


def test_count_columns_are_what_a_scored_row_must_have() -> None:
    """From the hits to the loop flag, and nothing that may be null."""
    assert COUNT_COLUMNS[0] == "hits"
    assert COUNT_COLUMNS[-1] == "loop"
    assert not set(COUNT_COLUMNS) & {"failure", "unusable", "latency_ms", "duration", "cluster"}
    assert set(COUNT_COLUMNS) < set(CORE_COLUMNS)
