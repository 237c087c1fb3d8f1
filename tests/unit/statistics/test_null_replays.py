"""The run's own data replayed as comparisons of equal systems."""

from collections.abc import Sequence

import numpy as np
import pytest

from relkit.core.arrays import FloatArray
from relkit.statistics.differences import rate_differences
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.replays import (
    ReplayedFamily,
    ReplayedMargin,
    exchanges,
    replay_null,
    replayed_pairs,
)
from relkit.statistics.types import ClusterSums, PairedSums

WER = RATE_METRICS["wer_capped"]


def run_of(worse: float = 0.0, clusters: int = 20, slices: int = 5) -> PairedSums:
    """Return crossed sums with overall first, the candidate worse by so many errors a cell."""
    random = np.random.default_rng(3)
    shape = (slices, clusters)
    shared, a, b = random.poisson(4.0, (3, *shape)).astype(float)
    a = a + worse

    def sums(errors: FloatArray) -> ClusterSums:
        cells = np.concatenate([errors.sum(0), errors.ravel()])
        words = np.concatenate([np.full(clusters, 100.0 * slices), np.full(errors.size, 100.0)])
        return ClusterSums(
            slices=("overall", *(f"s={i}" for i in range(slices))),
            slice_index=np.repeat(np.arange(slices + 1), clusters),
            cluster_index=np.tile(np.arange(clusters), slices + 1),
            columns={"capped_errors": cells, "words": words, "with_words": words / 10},
        )

    return PairedSums(candidate=sums(shared + a), baseline=sums(shared + b), clusters=clusters)


MARGIN = ReplayedMargin(metric="wer_capped", slice="overall", margin=0.02)
FAMILY = ReplayedFamily(metric="wer_capped", slices=tuple(f"s={i}" for i in range(5)))


@pytest.mark.parametrize("rules", [[MARGIN], [FAMILY], [MARGIN, FAMILY]])
def test_equal_systems_are_seldom_blocked(rules: Sequence[ReplayedMargin | ReplayedFamily]) -> None:
    """The margin hardly ever, the family in about one of twenty."""
    found = replay_null({"wer_capped": run_of()}, rules, seed="run/1")
    assert found.replays == 400
    assert (found.false_block_rate or 0.0) <= 0.085
    assert found.undecided <= 400 - found.blocked


def test_a_real_regression_does_not_show_in_the_replays() -> None:
    """Labels are exchanged, so that the difference of the run itself is noise."""
    found = replay_null({"wer_capped": run_of(worse=2.0)}, [FAMILY], seed="run/1")
    assert (found.false_block_rate or 0.0) <= 0.085


def test_the_same_seed_replays_the_same() -> None:
    """And another one does not."""
    pairs = {"wer_capped": run_of()}
    once, again, other = (replay_null(pairs, [MARGIN, FAMILY], seed=s) for s in ("a", "a", "b"))
    assert once == again
    assert not np.array_equal(exchanges(20, "a", 9), exchanges(20, "b", 9))
    assert other.replays == once.replays


def test_even_replays_exchange_half_of_the_clusters() -> None:
    """Odd ones as many as it happens."""
    signs = exchanges(21, "x", 200)
    changed = (signs < 0).sum(axis=1)
    assert set(changed[::2].tolist()) == {10}
    assert len(set(changed[1::2].tolist())) > 5


def test_a_replay_is_the_difference_of_the_exchanged_run() -> None:
    """All clusters exchanged mirrors the interval; none leaves it."""
    pairs = run_of(worse=1.0)
    signs = np.array([np.ones(20), -np.ones(20)])
    kept, exchanged = rate_differences(WER, replayed_pairs(pairs, "s=1", signs))
    real = rate_differences(WER, pairs)[2]
    assert (kept.worsening, kept.low, kept.high) == (real.worsening, real.low, real.high)
    assert exchanged.worsening == pytest.approx(-(real.worsening or 0.0))
    assert exchanged.low == pytest.approx(-(real.high or 0.0))


def test_what_cannot_be_decided_is_counted_as_such() -> None:
    """A margin too small, a slice that does not exist, a family too small."""
    pairs = {"wer_capped": run_of(clusters=6)}
    tight = ReplayedMargin(metric="wer_capped", slice="overall", margin=1e-9)
    gone = ReplayedMargin(metric="wer_capped", slice="s=9", margin=0.5)
    strict = ReplayedFamily(metric="wer_capped", slices=("s=0",), detectable=1.0001)
    for rule in (tight, gone, strict):
        found = replay_null(pairs, [rule], seed="x")
        assert found.undecided + found.blocked > 380
        assert found.undecided > 300


def test_without_rules_nothing_is_replayed() -> None:
    """And no rate is claimed."""
    found = replay_null({}, [], seed="x")
    assert (found.replays, found.false_block_rate) == (0, None)
