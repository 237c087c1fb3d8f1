"""The clustered alarm, held against numbers worked out by hand and row by row."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relkit.core.arrays import IntArray
from relkit.monitoring.drift.alarm import (
    ReferenceArrays,
    beside,
    column_alarms,
    correlations,
    effective_clusters,
    rare_bins,
)
from relkit.monitoring.drift.types import (
    BinProfile,
    ClusterMoments,
    ColumnCounts,
    ColumnProfile,
    SlotTotals,
    WindowTotals,
)


def moments(clusters: list[list[int]]) -> tuple[ClusterMoments, IntArray]:
    """Return the sums over clusters that are each a list of turns by bin, and the turns by bin."""
    e = np.array(clusters, dtype=np.float64)
    n = e.sum(axis=1)
    summed = ClusterMoments(
        squares=(e**2).sum(axis=0),
        products=(e * n[:, None]).sum(axis=0),
        sizes=float((n**2).sum()),
    )
    return summed, e.sum(axis=0).astype(np.int64)


def window(clusters: list[list[int]]) -> tuple[ColumnCounts, WindowTotals]:
    """Return the counts of one window of such clusters."""
    e = np.array(clusters, dtype=np.int64)
    n = e.sum(axis=1)
    totals = WindowTotals(
        starts=np.array([0]),
        turns=np.array([n.sum()]),
        clusters=np.array([len(n)]),
        squares=np.array([(n**2).sum()]),
    )
    counts = ColumnCounts(turns=e.sum(axis=0)[None], clusters=(e > 0).sum(axis=0)[None])
    return counts, totals


def reference(clusters: list[list[int]]) -> ReferenceArrays:
    """Return such clusters as the reference of one window."""
    e = np.array(clusters, dtype=np.float64)
    n = e.sum(axis=1)
    rho = correlations(*moments(clusters))
    return ReferenceArrays(
        turns=e.sum(axis=0, keepdims=True),
        having=(e > 0).sum(axis=0, keepdims=True).astype(np.float64),
        total=np.array([n.sum()]),
        clusters=np.array([len(n)], np.float64),
        squares=np.array([(n**2).sum()]),
        rho=rho,
        rho_reference=rho,
    )


@pytest.mark.parametrize(
    ("clusters", "rho"),
    [
        ([[4, 0], [0, 4], [4, 0], [0, 4]], 1.0),  # every cluster is of one mind
        ([[2, 2], [2, 2], [2, 2]], 0.0),  # less alike than chance is none
        ([[1, 0], [0, 1], [1, 0]], 0.0),  # no cluster has two turns
        ([[5, 0], [3, 0]], 0.0),  # all turns are in the bin
        # r = 1/2: sum (e - n/2)^2 = 1 + 1 + 0 + 0 = 2; 2 / (1/4) = 8; (8 - 8) / 8 = 0
        ([[2, 0], [0, 2], [1, 1], [1, 1]], 0.0),
        # r = 1/2: 4 + 0 + 0 + 4 = 8; 8 / (1/4) = 32; (32 - 16) / (16 x 3) = 1/3
        ([[4, 0], [2, 2], [2, 2], [0, 4]], 1 / 3),
    ],
)
def test_correlation_worked_out_by_hand(clusters: list[list[int]], rho: float) -> None:
    """It is 1 for clusters of one mind and 0 for independent turns, and the same for both bins."""
    assert correlations(*moments(clusters)) == pytest.approx([rho, rho])


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1),
    st.randoms(use_true_random=False),
)
def test_correlation_is_that_of_its_definition(
    rows: list[tuple[int, int, int]], random: Random
) -> None:
    """The expanded sums give what summing over the clusters gives, in any order of them."""
    clusters = [list(row) for row in rows if sum(row)]
    if not clusters:
        return
    random.shuffle(clusters)
    n = [sum(row) for row in clusters]
    for at, rho in enumerate(correlations(*moments(clusters))):
        r = sum(row[at] for row in clusters) / sum(n)
        pairs = sum(size * (size - 1) for size in n)
        if not 0 < r < 1 or not pairs:
            assert rho == 0
            continue
        spread = sum((row[at] - r * size) ** 2 for row, size in zip(clusters, n, strict=True))
        expected = (spread / (r * (1 - r)) - sum(n)) / pairs
        assert rho == pytest.approx(min(1, max(0, expected)), abs=1e-9)


def test_z_worked_out_by_hand() -> None:
    """100 clusters of two turns against 1,000: the formula of docs/drift.md, in the open."""
    before = [[2, 0]] * 250 + [[1, 1]] * 500 + [[0, 2]] * 250
    now = [[2, 0]] * 40 + [[1, 1]] * 40 + [[0, 2]] * 20
    counts, totals = window(now)
    expected_counts = reference(before)
    assert expected_counts.rho == pytest.approx([0.0, 0.0], abs=1e-12)
    alarms = column_alarms(counts, totals, expected_counts)
    share, share_before, pooled = 120 / 200, 0.5, 1120 / 2200
    z = (share - share_before) / math.sqrt(pooled * (1 - pooled) * (1 / 200 + 1 / 2000))
    assert abs(alarms.statistic[0]) == pytest.approx(z)  # both bins are as far off
    assert alarms.p[0] == pytest.approx(2 * stats.t.sf(z, 99), rel=1e-9)
    assert alarms.critical(0, 100, 0.01) == pytest.approx(stats.t.ppf(0.995, 99))
    assert alarms.reference_share[0] == share_before


def test_turns_of_one_mind_count_once() -> None:
    """With a correlation of 1 ten turns of a cluster say as much as one."""
    single = column_alarms(
        *window([[1, 0]] * 60 + [[0, 1]] * 40), reference([[1, 0], [0, 1]] * 500)
    )
    ten = column_alarms(
        *window([[10, 0]] * 60 + [[0, 10]] * 40), reference([[10, 0], [0, 10]] * 500)
    )
    assert ten.statistic == pytest.approx(single.statistic)
    assert ten.p == pytest.approx(single.p)


def test_a_new_category_is_one_in_so_many_clusters() -> None:
    """What the reference lacks is tested as 1 in C + 2, by the clusters that have it."""
    expected_counts = reference([[3, 0]] * 998)
    few, many = (
        column_alarms(*window([[3, 0]] * (100 - k) + [[2, 1]] * k), expected_counts) for k in (2, 5)
    )
    assert few.p == pytest.approx([stats.binom.sf(1, 100, 1 / 1000)])
    assert many.p == pytest.approx([stats.binom.sf(4, 100, 1 / 1000)])
    assert few.critical(0, 100, 1e-4) == 4.0  # P(X >= 4) < 1e-4 < P(X >= 3)
    assert few.p[0] > 1e-4 > many.p[0]
    assert many.by_clusters.tolist() == [True]
    assert many.critical(0, 1, 1e-9) is None


def test_one_chatty_caller_is_no_new_category() -> None:
    """A thousand turns of one cluster are one cluster."""
    counts, totals = window([[10, 0]] * 99 + [[0, 1000]])
    alarms = column_alarms(counts, totals, reference([[10, 0]] * 998))
    assert alarms.p[0] > 0.05


def test_what_covers_nearly_all_is_judged_by_the_rest() -> None:
    """The bin of nearly all turns is not tested by a normal law: the few others are."""
    expected_counts = reference([[10, 0]] * 999 + [[9, 1]])
    _, totals = window([[10, 0]] * 100)
    assert np.isnan(rare_bins(totals, expected_counts)[0, 0])
    assert rare_bins(totals, expected_counts)[0, 1] == 1.0


def test_unequal_clusters_are_worth_fewer() -> None:
    """Three clusters of 1, 1 and 8 turns say as much as 100 / 66 equal ones."""
    assert effective_clusters(np.array([10.0]), np.array([66.0])) == pytest.approx([100 / 66])
    assert effective_clusters(np.array([0.0]), np.array([0.0])) == [0.0]


def _permuted(rng: np.random.Generator, clusters: IntArray) -> list[list[int]]:
    return [list(map(int, row)) for row in rng.permutation(clusters)]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_clusters_and_bins_changes_nothing(seed: int) -> None:
    """The alarm is a function of the counts alone, and of no order among them."""
    rng = np.random.default_rng(seed)
    before = rng.poisson([3.0, 1.0, 0.05], size=(300, 3)) + np.array([1, 0, 0])
    now = rng.poisson([2.0, 1.5, 0.1], size=(40, 3)) + np.array([1, 0, 0])
    plain = column_alarms(*window(now.tolist()), reference(before.tolist()))
    order = rng.permutation(3)
    moved = column_alarms(
        *window(_permuted(rng, now[:, order])), reference(_permuted(rng, before[:, order]))
    )
    assert moved.p == pytest.approx(plain.p, rel=1e-9)
    assert order[moved.bin[0]] == plain.bin[0]


@pytest.mark.parametrize(
    ("hour", "span", "slots", "window", "reference"),
    [
        (0.6, 0.1, 1, 0.6, 0.1),  # a call is more alike than all calls of its caller
        (0.0, 0.3, 1, 0.3, 0.3),  # one turn an hour: nothing is known of more
        (0.6, 0.1, 24, 0.6, 0.6),  # an hour of the day is more alike than the whole
    ],
)
def test_a_window_is_as_alike_as_an_hour(
    hour: float, span: float, slots: int, window: float, reference: float
) -> None:
    """Which correlation belongs to the window's turns, and which to the reference's."""
    one_bin = BinProfile(
        bin="x", share=1.0, rho=hour, rho_span=span, turns=(9,) * slots, clusters=(3,) * slots
    )
    totals = (SlotTotals(turns=9, clusters=3, squares=27),) * slots
    profile = ColumnProfile(column="c", kind="flag", bins=(one_bin,), totals=totals)
    arrays = beside(profile, np.array([0]))
    assert (arrays.rho.tolist(), arrays.rho_reference.tolist()) == ([window], [reference])
