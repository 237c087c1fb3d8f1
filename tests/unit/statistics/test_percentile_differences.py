"""How much worse a percentile is: points by hand, laws, and coverage of what is known."""

from collections.abc import Sequence

import numpy as np
import pytest

from relkit.core.arrays import FloatArray
from relkit.statistics.percentile_differences import percentile_differences
from relkit.statistics.types import Difference, PairedValues, SliceValues


def values_of(value: FloatArray, cluster: Sequence[int]) -> SliceValues:
    """Return one slice."""
    order = np.argsort(value, kind="stable")
    return SliceValues(
        slices=("overall",),
        slice_index=np.zeros(len(value), dtype=np.int64),
        cluster_index=np.asarray(cluster, dtype=np.int64)[order],
        values=value[order],
    )


def moved(
    candidate: FloatArray, baseline: FloatArray, clusters: Sequence[int], share: float = 0.5
) -> Difference:
    """Return the difference of a percentile in ms."""
    pairs = PairedValues(
        candidate=values_of(candidate, clusters), baseline=values_of(baseline, clusters)
    )
    return percentile_differences(share, pairs, unit="ms")[0]


def drawn(clusters: int, each: int, seed: int) -> tuple[FloatArray, FloatArray, list[int]]:
    """Return paired log-normal latencies of speakers who differ, the candidate 30 % slower."""
    random = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(clusters), each)
    common = 0.3 * random.normal(size=clusters)[speaker] + 0.3 * random.normal(size=len(speaker))
    noise = 0.3 * random.normal(size=(2, len(speaker)))
    return 1.3 * np.exp(common + noise[0]), np.exp(common + noise[1]), speaker.tolist()


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_point_is_the_difference_of_type_7_quantiles(share: float) -> None:
    """As numpy's default has it."""
    a, b, clusters = drawn(10, 40, 1)
    found = moved(a, b, clusters, share)
    assert found.worsening == pytest.approx(np.quantile(a, share) - np.quantile(b, share))
    assert (found.n, found.clusters, found.unit) == (400, 10, "ms")


def test_exchanging_the_systems_mirrors_the_interval() -> None:
    """Ends change places and signs; more is better does the same."""
    a, b, clusters = drawn(12, 30, 2)
    one, two = moved(a, b, clusters), moved(b, a, clusters)
    assert (one.low, one.high) == pytest.approx((-(two.high or 0), -(two.low or 0)))
    pairs = PairedValues(candidate=values_of(a, clusters), baseline=values_of(b, clusters))
    up = percentile_differences(0.5, pairs, unit="mos", better="up")[0]
    assert (up.low, up.high) == pytest.approx((two.low, two.high))


def test_units_scale_the_interval() -> None:
    """Seconds for milliseconds."""
    a, b, clusters = drawn(12, 30, 3)
    one, two = moved(a, b, clusters), moved(1000 * a, 1000 * b, clusters)
    assert (two.low, two.high) == pytest.approx((1000 * (one.low or 0), 1000 * (one.high or 0)))


@pytest.mark.parametrize(
    ("clusters", "each", "share", "note"),
    [
        (7, 50, 0.5, "7 clusters: the interval of a percentile needs 8"),
        (8, 8, 0.95, "no upper end"),
        (8, 20, 0.99, "no interval"),
    ],
)
def test_too_little_data_has_no_end(clusters: int, each: int, share: float, note: str) -> None:
    """And says what is missing."""
    found = moved(*drawn(clusters, each, 4), share)
    assert found.high is None
    assert note in (found.note or "")


def test_missing_values_are_no_difference() -> None:
    """A slice without values, or with one that is no number."""
    a, b, clusters = drawn(8, 10, 5)
    nothing = PairedValues(candidate=values_of(a, clusters), baseline=values_of(b[:0], []))
    found = percentile_differences(0.5, nothing, unit="ms")[0]
    assert (found.worsening, found.note) == (None, "no values")
    spoiled = a.copy()
    spoiled[3] = np.nan
    assert moved(spoiled, b, clusters).worsening is None


@pytest.mark.parametrize(("share", "clusters"), [(0.5, 10), (0.95, 20)])
def test_interval_holds_the_truth(share: float, clusters: int) -> None:
    """At least 95 % within the error of 150 simulations."""
    random = np.random.default_rng(9)
    million = np.exp(np.sqrt(0.27) * random.normal(size=1_000_000))
    truth = 0.3 * float(np.quantile(million, share))
    found = [moved(*drawn(clusters, 40, 100 + k), share) for k in range(150)]
    held = [
        (one.low is None or one.low <= truth) and (one.high is None or truth <= one.high)
        for one in found
    ]
    assert np.mean(held) >= 0.915
