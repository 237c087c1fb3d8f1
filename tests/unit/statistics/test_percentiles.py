"""Percentiles of latencies and their clustered intervals."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relkit.core.values import Estimate
from relkit.statistics.percentiles import TimingEvidence, estimate_percentiles, values_needed
from relkit.statistics.types import SliceValues

Data = Mapping[str, Sequence[tuple[float, int]]]


def values_of(data: Data) -> SliceValues:
    """Return values from slice to (value, cluster) pairs in any order."""
    rows = sorted((i, v, c) for i, pairs in enumerate(data.values()) for v, c in pairs)
    return SliceValues(
        slices=tuple(data),
        slice_index=np.array([i for i, _, _ in rows], dtype=np.int64),
        cluster_index=np.array([c for _, _, c in rows], dtype=np.int64),
        values=np.array([v for _, v, _ in rows], dtype=np.float64),
    )


def percentile(
    share: float, data: Data, *, within: Data | None = None, by_repeat: Data | None = None
) -> dict[str, Estimate]:
    """Return one percentile by slice."""
    evidence = TimingEvidence(
        values=values_of(data),
        within=None if within is None else values_of(within),
        by_repeat=None if by_repeat is None else values_of(by_repeat),
    )
    return dict(zip(data, estimate_percentiles(share, evidence, unit="ms"), strict=True))


def drawn(
    clusters: int, each: int, *, seed: int = 5, spread: float = 0.2
) -> list[tuple[float, int]]:
    """Return log-normal latencies of speakers who differ."""
    rng = np.random.default_rng(seed)
    centre = np.repeat(rng.normal(5.0, spread, clusters), each)
    values = np.exp(centre + rng.normal(0.0, 0.5, clusters * each))
    return list(zip(values.tolist(), np.repeat(np.arange(clusters), each).tolist(), strict=True))


def _by_hand(share: float, pairs: Sequence[tuple[float, int]]) -> tuple[float, float, float]:
    """Return point and ends as the module's docstring defines them, without arrays."""
    values = sorted(v for v, _ in pairs)
    size = len(values)
    position = (size - 1) * share
    before = math.floor(position)
    point = values[before] + (position - before) * (
        values[min(before + 1, size - 1)] - values[before]
    )
    clusters = sorted({c for _, c in pairs})
    logits = []
    for out in clusters:
        left = [v for v, c in pairs if c != out]
        above = sum(v > point for v in left)
        logits.append(math.log(above / (len(left) - above)))
    mean = sum(logits) / len(logits)
    second, fourth = (sum((x - mean) ** k for x in logits) for k in (2, 4))
    count = len(clusters)
    df = min(max(second**2 / fourth, 1.5), count - 1)
    half = stats.t.ppf(0.975, df) * math.sqrt((count - 1) / count * second)
    centre = math.log((1 - share) / share)
    most, least = (1 / (1 + math.exp(-centre - sign * half)) for sign in (1, -1))
    low = values[math.floor(size * (1 - most)) - 1]
    high = values[math.ceil(size * (1 - least))]
    return point, low, high


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_interval_by_hand(share: float) -> None:
    """Point, spread of the share above it, and order statistics at the ends of the share."""
    pairs = drawn(24, 90)
    found = percentile(share, {"overall": pairs})["overall"]
    point, low, high = _by_hand(share, pairs)
    assert found.value == pytest.approx(point)
    assert (found.low, found.high) == (low, high)
    assert (found.n, found.clusters, found.unit) == (2160, 24, "ms")
    assert (found.method, found.note) == ("woodruff", None)


@given(
    values=st.lists(st.integers(0, 50).map(float), min_size=1, max_size=60),
    share=st.sampled_from([0.5, 0.95, 0.99]),
)
@settings(max_examples=100, deadline=None)
def test_point_is_the_type_seven_quantile(values: list[float], share: float) -> None:
    """As numpy's default has it, ties and single values included."""
    found = percentile(share, {"overall": [(v, 0) for v in values]})["overall"]
    assert found.value == pytest.approx(float(np.quantile(values, share)))
    assert found.low is None


@pytest.mark.parametrize(("share", "needed"), [(0.5, 6), (0.95, 72), (0.99, 368)])
def test_values_needed_for_an_upper_end(share: float, needed: int) -> None:
    """The chance that all values lie below the percentile falls under 2.5 %."""
    assert values_needed(share) == needed
    assert share**needed <= 0.025 < share ** (needed - 1)


def test_upper_end_of_p95_needs_72_values() -> None:
    """One value fewer leaves the lower end alone, and the note says what is missing."""
    pairs = [(float(i * 36 + c), c) for c in range(36) for i in range(2)]
    enough = percentile(0.95, {"overall": pairs})["overall"]
    few = percentile(0.95, {"overall": pairs[:-1]})["overall"]
    assert few.high is None
    assert few.low is not None
    assert few.note == "no upper end: it needs 72 values"
    assert enough.note != few.note


def test_upper_end_beyond_the_data_is_none() -> None:
    """Few slow values in few clusters say nothing about how slow it can get."""
    found = percentile(0.95, {"overall": drawn(10, 10, seed=1)})["overall"]
    assert found.high is None
    assert found.low is not None
    assert found.note == "no upper end: too few values above, in too few clusters"


def test_without_either_end_there_is_no_method() -> None:
    """Two ends that are both beyond the data are no interval."""
    found = percentile(0.95, {"overall": drawn(8, 10, spread=0.6)})["overall"]
    assert (found.low, found.high, found.method) == (None, None, "none")
    assert found.note is not None
    assert "no lower end" in found.note
    assert "no upper end" in found.note


@pytest.mark.parametrize(
    ("pairs", "value", "note"),
    [
        ([], None, "no values"),
        (drawn(7, 50), 1.0, "7 clusters: the interval of a percentile needs 8"),
        (drawn(1, 50), 1.0, "1 cluster: the interval of a percentile needs 8"),
        (
            [(1.0, c) for c in range(9) for _ in range(90)] + [(50.0, 9)] * 90,
            1.0,
            "no interval: one cluster has all the slowest or fastest values",
        ),
    ],
)
def test_no_interval_and_why(
    pairs: list[tuple[float, int]], value: float | None, note: str
) -> None:
    """What cannot be claimed is None, and the note says what is missing."""
    found = percentile(0.95, {"overall": drawn(9, 40), "a=1": pairs})["a=1"]
    assert (found.value is None) == (value is None)
    assert (found.low, found.high, found.method) == (None, None, "none")
    assert found.note == note


def test_a_clock_that_ticks_coarsely_gives_a_point() -> None:
    """Equal values are shared out, so that a constant latency has no spread."""
    pairs = [(20.0, c) for c in range(10) for _ in range(9)]
    found = percentile(0.95, {"overall": pairs})["overall"]
    assert (found.low, found.value, found.high) == (20.0, 20.0, 20.0)


def test_one_cluster_has_an_advisory_interval_over_its_utterances() -> None:
    """Only where utterances are given; 8 of them at least."""
    one = [(v, 4) for v, _ in drawn(1, 200)]
    each = [(v, i) for i, (v, _) in enumerate(one)]
    found = percentile(0.5, {"voice=a": one}, within={"voice=a": each})["voice=a"]
    by_utterance = percentile(0.5, {"overall": each})["overall"]
    assert (found.low, found.high) == (by_utterance.low, by_utterance.high)
    assert found.low is not None
    assert (found.clusters, found.method) == (1, "within-cluster")
    assert found.note is not None
    assert found.note.startswith("advisory")
    few = percentile(0.5, {"voice=a": one[:7]}, within={"voice=a": each[:7]})["voice=a"]
    assert few.note == "7 utterances: the interval of a percentile needs 8"


def test_spread_between_repeats_widens_the_interval_and_counts_values_once() -> None:
    """A slow second process is uncertainty that more speakers do not remove."""
    pairs = drawn(20, 30, spread=0.05)
    doubled = pairs + [(1.3 * v, c) for v, c in pairs]
    repeat = [(v, 0) for v, _ in pairs] + [(1.3 * v, 1) for v, _ in pairs]
    plain = percentile(0.5, {"overall": doubled})["overall"]
    found = percentile(0.5, {"overall": doubled}, by_repeat={"overall": repeat})["overall"]
    assert plain.low is not None
    assert plain.high is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < plain.low
    assert found.high > plain.high
    assert (found.n, plain.n) == (600, 1200)
    assert found.method == "woodruff+repeats"


def test_repeats_do_not_make_up_for_missing_utterances() -> None:
    """An upper end of p95 needs 72 utterances, not 36 asked twice."""
    pairs = [(float(c), c) for c in range(36)] * 2
    repeat = [(float(c), r) for c in range(36) for r in range(2)]
    found = percentile(0.95, {"overall": pairs}, by_repeat={"overall": repeat})["overall"]
    assert (found.n, found.high) == (36, None)


@given(seed=st.integers(0, 10**6), clusters=st.integers(8, 14), share=st.sampled_from([0.5, 0.95]))
@settings(max_examples=40, deadline=None)
def test_ends_lie_around_the_point_and_follow_the_unit(
    seed: int, clusters: int, share: float
) -> None:
    """Seconds or milliseconds, sparse or dense cluster numbers: the same interval."""
    pairs = drawn(clusters, 12, seed=seed)
    moved = [(1000.0 * v, 999_999 - 7000 * c) for v, c in pairs]
    both = percentile(share, {"s": pairs, "ms": moved})
    found, scaled = both["s"], both["ms"]
    assert found.value is not None
    for end, sign in ((found.low, 1.0), (found.high, -1.0)):
        assert end is None or sign * end <= sign * found.value
    for name in ("value", "low", "high"):
        end, other = getattr(found, name), getattr(scaled, name)
        assert (end is None) == (other is None)
        assert end is None or other == pytest.approx(1000.0 * end)
