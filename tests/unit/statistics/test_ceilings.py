"""A limit on a rate, tested: by hand, at its ends, and monotone in the errors of every cluster."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.statistics.ceilings import Scores, Way, is_tested, limits_excluded, scores_of
from relkit.statistics.distributions import t_quantile
from relkit.statistics.intervals import RateEvidence
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, PromptSums


def scores(
    errors: Sequence[float],
    units: float | Sequence[float] = 180.0,
    *,
    bounded: bool = True,
    clumping: float = 1.5,
) -> Scores:
    """Return clusters with these errors, and nine units in an utterance."""
    counts = np.broadcast_to(np.asarray(units, dtype=np.float64), (len(errors),)).copy()
    return Scores(
        clusters=Way(errors=np.asarray(errors, dtype=np.float64), units=counts),
        utterances=float(counts.sum()) / 9.0,
        clumping=clumping,
        bounded=bounded,
    )


EVEN = [7.0, 9.0, 11.0, 14.0, 16.0, 19.0]
"""Six speakers of about 7 %."""


def test_the_statistics_by_hand() -> None:
    """The best of four levels against a limit, and the capped scores above it."""
    limit, units = 0.15, 180.0
    expected = limit * units
    least = limit * (1 - limit) * (1.5 * 6 * units + limit * 6 * units**2 / 9)
    below = []
    for level in (0.0, 0.25, 0.5, 0.75):
        over = [max(0.0, e - level * expected) for e in EVEN]
        variance = 1.5 * 6 / 5 * sum(o * o for o in over) + least
        below.append(((1 - level) * 6 * expected - sum(over)) / math.sqrt(variance))
    judged = scores(EVEN)
    assert judged.below(np.array([limit]))[0] == pytest.approx(max(below))
    limit = 0.03
    expected = limit * units
    least = limit * (1 - limit) * (1.5 * 6 * units + limit * 6 * units**2 / 9)
    margin = sum(min(e, 2.5 * expected) - expected for e in EVEN)
    assert judged.above(np.array([limit]))[0] == pytest.approx(margin / math.sqrt(least))
    assert judged.clusters.effective == pytest.approx(6.0)
    assert judged.critical == pytest.approx(float(t_quantile(0.975, np.array([5.0]))[0]))


def test_the_ends_are_where_the_statistics_reach_their_quantile() -> None:
    """Limits from the upper end on are excluded, and those up to the lower one."""
    judged = scores(EVEN)
    low, high = limits_excluded(judged)
    assert low is not None
    assert high is not None
    assert 0 < low < sum(EVEN) / 1080 < high < 0.15
    assert judged.below(np.array([high]))[0] == pytest.approx(judged.critical)
    assert judged.above(np.array([low]))[0] == pytest.approx(judged.critical)


def test_a_better_system_with_one_bad_speaker_passes_where_an_even_one_does() -> None:
    """3 % of which one speaker has most: its interval reaches far above 15 %, the test does not."""
    even, uneven = limits_excluded(scores(EVEN)), limits_excluded(scores([1, 1, 1, 2, 3, 18]))
    assert (even[1] or 1) < 0.15
    assert (uneven[1] or 1) < (even[1] or 0)


@pytest.mark.parametrize(
    ("judged", "ends"),
    [
        (scores([1.0] * 4), (None, None)),
        (scores([0.0] * 5, [5000.0, 1.0, 1.0, 1.0, 1.0]), (None, None)),
        (scores([180.0] * 6), (pytest.approx(0.894, abs=0.001), 1.0)),
    ],
)
def test_there_is_no_end_without_clusters_and_none_beyond_one(
    judged: Scores, ends: tuple[float | None, float | None]
) -> None:
    """Under five clusters, or two effective ones, nothing is excluded."""
    assert limits_excluded(judged) == ends


def test_no_errors_leave_what_can_go_unseen() -> None:
    """3.7 / utterances, or a little more where the clusters are few."""
    assert limits_excluded(scores([0.0] * 40, 900.0))[1] == pytest.approx(3.7 / 4000)
    share = limits_excluded(scores([0.0] * 40, 4.0, clumping=1.0))[1]
    assert share == pytest.approx(3.7 / (160 / 9))


def test_a_rate_without_an_upper_limit_is_looked_for_above_one() -> None:
    """Insertions: 150 % WER in each of eight speakers."""
    low, high = limits_excluded(scores([270.0] * 8, bounded=False))
    assert low is not None
    assert high is not None
    assert 1.0 < low < 1.5 < high < 3.0


def test_very_unequal_clusters_have_an_open_end() -> None:
    """Where no limit however high could be shown to hold there is no upper end."""
    units = [10_000.0, 3000.0, 10.0, 10.0, 10.0]
    assert limits_excluded(scores([600.0] * 5, units, bounded=False))[1] is None


@pytest.mark.parametrize("name", RATE_METRICS)
def test_what_is_errors_over_units_is_tested(name: str) -> None:
    """WIL is no ratio of sums, and of measured amounts 0 is no rare event."""
    metric = RATE_METRICS[name]
    assert is_tested(metric) == (metric.counted and name != "wil")


def test_repeats_count_as_one_asking() -> None:
    """Three times the same answers give the ends of one."""
    sums = ClusterSums(
        slices=("a=1", "overall"),
        slice_index=np.array([0] * 2 + [1] * 7),
        cluster_index=np.array([0, 1, *range(7)]),
        columns={
            "capped_errors": np.array([9.0, 9.0, *EVEN, 0.0]),
            "words": np.array([9.0, 9.0, *[180.0] * 6, 0.0]),
            "with_words": np.array([1.0, 1.0, *[20.0] * 6, 0.0]),
        },
    )
    tripled = ClusterSums(
        slices=sums.slices,
        slice_index=sums.slice_index,
        cluster_index=sums.cluster_index,
        columns={name: 3 * column for name, column in sums.columns.items()},
    )
    by_repeat = ClusterSums(
        slices=("overall",),
        slice_index=np.zeros(3, dtype=np.int64),
        cluster_index=np.arange(3),
        columns={name: np.full(3, column[2:].sum()) for name, column in sums.columns.items()},
    )
    metric = RATE_METRICS["wer_capped"]
    once = scores_of(metric, RateEvidence(sums=sums), "overall")
    thrice = scores_of(metric, RateEvidence(sums=tripled, by_repeat=by_repeat), "overall")
    assert once is not None
    assert thrice is not None
    assert limits_excluded(thrice) == limits_excluded(once) == limits_excluded(scores(EVEN))
    assert scores_of(metric, RateEvidence(sums=sums), "a=2") is None
    assert scores_of(RATE_METRICS["ser"], RateEvidence(sums=sums), "overall") is None


def test_prompts_that_speakers_share_are_tested_with_them() -> None:
    """Errors that go with the prompt leave more room; a prompt of one speaker adds nothing."""
    speakers, prompts = 12, 6
    cluster, prompt = (x.ravel() for x in np.indices((speakers, prompts)))
    errors = np.where(prompt == 0, 5.0, 0.0)
    columns = {"capped_errors": errors, "words": np.full(72, 10.0), "with_words": np.ones(72)}
    cells = PromptSums(
        slice_index=np.zeros(72, dtype=np.int64),
        cluster_index=cluster,
        prompt_index=prompt,
        columns=columns,
    )
    sums = ClusterSums(
        slices=("overall",),
        slice_index=np.zeros(speakers, dtype=np.int64),
        cluster_index=np.arange(speakers),
        columns={name: np.bincount(cluster, x).astype(np.float64) for name, x in columns.items()},
    )
    ends = []
    alone = replace(cells, prompt_index=np.arange(72))
    for by_prompt in (None, cells, alone):
        evidence = RateEvidence(sums=replace(sums, by_prompt=by_prompt))
        found = scores_of(RATE_METRICS["wer_capped"], evidence, "overall")
        assert found is not None
        ends.append(limits_excluded(found))
    assert (ends[1][1] or 0) > 1.5 * (ends[0][1] or 1)
    assert (ends[1][0] or 0) < (ends[0][0] or 0)
    assert ends[2] == ends[0]


_CLUSTERS = st.lists(
    st.tuples(st.integers(1, 400), st.floats(0, 1), st.floats(0, 1)), min_size=5, max_size=14
)


@given(clusters=_CLUSTERS, bounded=st.booleans(), clumping=st.sampled_from([1.0, 1.5]))
@settings(max_examples=300, deadline=None)
def test_fewer_errors_raise_no_end(
    clusters: list[tuple[int, float, float]], *, bounded: bool, clumping: float
) -> None:
    """Of two systems the one that is better for every speaker never gets the worse verdict."""
    units = [float(n) for n, _, _ in clusters]
    worse = [float(math.floor(n * rate)) for n, rate, _ in clusters]
    better = [float(math.floor(e * part)) for e, (_, _, part) in zip(worse, clusters, strict=True)]
    ends = [
        limits_excluded(scores(errors, units, bounded=bounded, clumping=clumping))
        for errors in (better, worse)
    ]
    for of_better, of_worse in zip(*ends, strict=True):
        if of_worse is not None:
            assert of_better is not None
            assert of_better <= of_worse * (1 + 1e-9)
        elif of_better is not None:
            assert not bounded
