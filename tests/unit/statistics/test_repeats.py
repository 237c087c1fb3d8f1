"""Repeats of a run: the same answers once more say nothing new."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.slices import OVERALL
from relkit.statistics.differences import rate_differences, unpaired_differences
from relkit.statistics.families import test_regressions
from relkit.statistics.intervals import RateEvidence, distinct, estimate_rates
from relkit.statistics.percentile_differences import percentile_differences
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, Difference, PairedSums, PairedValues
from tests.decisions import random_pairs, with_prompts
from tests.gate_data import by_repeat, repeated, repeated_values

WER = RATE_METRICS["wer_capped"]
METRICS = (WER, RATE_METRICS["runaway_rate"], RATE_METRICS["latency_ms.mean"])
ENDS = ("candidate", "baseline", "worsening", "low", "high", "se", "df")


def _again(found: ClusterSums, times: int) -> ClusterSums:
    """Return the sums of as many repeats, by prompt too."""
    cells = found.by_prompt
    if cells is not None:
        columns = {name: column * times for name, column in cells.columns.items()}
        cells = replace(cells, columns=columns)
    return replace(repeated(found, times), by_prompt=cells)


def _asked(pairs: PairedSums, times: int) -> PairedSums:
    return replace(
        pairs,
        candidate=_again(pairs.candidate, times),
        baseline=_again(pairs.baseline, times),
    )


def _with_runaways(pairs: PairedSums, count: int) -> PairedSums:
    """Return the pairs with one runaway in each of the candidate's first clusters."""
    found = pairs.candidate
    first = np.isin(found.cluster_index, np.unique(found.cluster_index)[:count])
    columns = {**found.columns, "runaways": first.astype(np.float64)}
    return replace(pairs, candidate=replace(found, columns=columns))


def _same(ours: Difference, theirs: Difference) -> None:
    assert (ours.n, ours.utterances, ours.clusters, ours.discordant, ours.method) == (
        theirs.n,
        theirs.utterances,
        theirs.clusters,
        theirs.discordant,
        theirs.method,
    )
    for name in ENDS:
        again, expected = getattr(ours, name), getattr(theirs, name)
        assert again is expected is None or again == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    times=st.integers(2, 10),
    runaways=st.integers(0, 6),
    prompts=st.sampled_from([0, 12]),
)
def test_the_same_answers_again_change_no_count_and_no_end(
    seed: int, times: int, runaways: int, prompts: int
) -> None:
    """Paired, unpaired and single estimates, and what a family excludes, are those of one time."""
    pairs, _ = random_pairs(seed, worse=1.5)
    pairs = _with_runaways(pairs, runaways)
    if prompts:
        pairs = with_prompts(pairs, prompts, seed)
    again = _asked(pairs, times)
    for metric in METRICS:
        for ours, theirs in zip(
            rate_differences(metric, again), rate_differences(metric, pairs), strict=True
        ):
            _same(ours, theirs)
        for ours, theirs in zip(
            unpaired_differences(metric, again.candidate, again.baseline),
            unpaired_differences(metric, pairs.candidate, pairs.baseline),
            strict=True,
        ):
            _same(ours, theirs)
        per_repeat = by_repeat(pairs.candidate, times)
        for estimate, single in zip(
            estimate_rates(metric, RateEvidence(sums=again.candidate, by_repeat=per_repeat)),
            estimate_rates(metric, RateEvidence(sums=pairs.candidate)),
            strict=True,
        ):
            assert (estimate.n, estimate.clusters) == (single.n, single.clusters)
            for end in ("value", "low", "high"):
                got, expected = getattr(estimate, end), getattr(single, end)
                assert got is expected is None or got == pytest.approx(expected, rel=1e-9)
    slices = tuple(name for name in pairs.candidate.slices if name != OVERALL)
    for test, single_test in zip(
        test_regressions(WER, again, slices, seed="s", detectable=2.0, flips=400),
        test_regressions(WER, pairs, slices, seed="s", detectable=2.0, flips=400),
        strict=True,
    ):
        assert test.p_adjusted == single_test.p_adjusted
        assert test.needed_clusters == single_test.needed_clusters
        assert test.excludes == pytest.approx(single_test.excludes, rel=1e-9)


def test_percentiles_need_values_of_distinct_utterances() -> None:
    """420 utterances asked three times have no upper end of a share that needs 736 values."""
    _, values = random_pairs(3)
    several = PairedValues(
        candidate=repeated_values(values.candidate, 3),
        baseline=repeated_values(values.baseline, 3),
    )
    (difference,) = percentile_differences(0.95, several, unit="ms")
    assert (difference.n, difference.utterances) == (420, 420)
    for share in (0.95, 0.995):
        (single,) = percentile_differences(share, values, unit="ms")
        (more,) = percentile_differences(share, several, unit="ms")
        assert (single.high is None, more.high is None) == (share > 0.95, share > 0.95)


@pytest.mark.parametrize(
    ("total", "repeats", "count"), [(36, 3, 12), (35, 3, 12), (34, 3, 11), (1, 3, 1), (0, 3, 0)]
)
def test_an_item_counts_once(total: float, repeats: int, count: int) -> None:
    """Also where a repeat of it could not be scored, and at least one where there is any."""
    assert distinct(total, repeats) == count
