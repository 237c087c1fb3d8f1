"""Gaps between groups: the two that lie farthest apart, jointly, and what could have been seen."""

import numpy as np
import pytest

from relkit.documents.gaps import GroupPair, gap_of, group_pairs
from relkit.documents.types import CardGap, Fairness
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums

METRIC = RATE_METRICS["wer_capped"]


def groups(rates: list[float], speakers: int, seed: int, *, shared: bool = False) -> ClusterSums:
    """Return groups of speakers who differ; with ``shared`` all groups have the same speakers."""
    draw = np.random.default_rng(seed)
    rows = [(i, person) for i in range(len(rates)) for person in range(speakers)]
    own = draw.lognormal(0.0, 0.5, (len(rates), speakers)) / np.exp(0.125)
    if shared:
        own[:] = own[0]
    errors = [float(draw.poisson(300 * rates[i] * own[i, person])) for i, person in rows]
    return ClusterSums(
        slices=tuple(f"accent={i}" for i in range(len(rates))),
        slice_index=np.array([i for i, _ in rows]),
        cluster_index=np.array([person if shared else i * speakers + person for i, person in rows]),
        columns={
            "capped_errors": np.array(errors),
            "words": np.full(len(rows), 300.0),
            "with_words": np.full(len(rows), 40.0),
        },
    )


def gap(sums: ClusterSums, tolerance: float | None = None) -> CardGap:
    """Return the gap between all groups."""
    fairness = None if tolerance is None else Fairness(group="accent=*", tolerance=tolerance)
    return gap_of(METRIC, "accent", sums.slices, sums, left_out=False, fairness=fairness)


def test_the_gap_is_between_the_two_farthest_apart() -> None:
    """The worst is the one with more errors, and the value is their difference."""
    shown = gap(groups([0.05, 0.10, 0.30], 40, 1))
    assert (shown.worst, shown.best) == ("accent=2", "accent=0")
    assert shown.gap.value == pytest.approx(0.25, abs=0.06)
    assert shown.gap.low is not None
    assert shown.gap.low > 0


def widest(sums: ClusterSums) -> GroupPair:
    """Return the two groups farthest apart, exact."""
    pairs = group_pairs(METRIC, sums.slices, sums)
    assert pairs is not None
    return max(pairs, key=lambda pair: pair.gap)


def test_equal_groups_seldom_show_a_gap() -> None:
    """Of 200 data sets of four equal groups the joint interval leaves out 0 in at most 5 %."""
    assert sum(widest(groups([0.1] * 4, 20, seed)).low > 0 for seed in range(200)) <= 10


def test_a_gap_of_the_visible_size_is_seen_in_most_cases() -> None:
    """What is said to be visible is: a gap of that size is found in about 4 of 5 data sets."""
    seen, said = 0, 0
    for seed in range(120):
        visible = widest(groups([0.1, 0.1], 20, seed)).visible
        if visible is not None:
            said += 1
            seen += widest(groups([0.1, 0.1 + visible], 20, 1000 + seed)).low > 0
    assert said >= 110
    assert seen / said >= 0.75


def test_groups_of_the_same_speakers_are_compared_within_them() -> None:
    """Where speakers differ more than noise does, that makes smaller gaps visible."""
    within = gap(groups([0.1, 0.13], 40, 3, shared=True)).visible
    between = gap(groups([0.1, 0.13], 40, 3)).visible
    assert within is not None
    assert between is not None
    assert within < between


@pytest.mark.parametrize(
    ("rates", "tolerance", "within"),
    [([0.05, 0.06], 0.5, True), ([0.05, 0.4], 0.03, False), ([0.1, 0.12], 0.03, None)],
)
def test_a_tolerance_is_kept_exceeded_or_cannot_be_told(
    rates: list[float], tolerance: float, *, within: bool | None
) -> None:
    """The whole interval decides, and where it says neither nothing is claimed."""
    shown = gap(groups(rates, 20, 5), tolerance)
    assert (shown.tolerance, shown.within) == (tolerance, within)


def test_under_five_speakers_there_is_no_gap() -> None:
    """A group without an interval makes the whole gap one that cannot be told."""
    shown = gap(groups([0.1, 0.3], 4, 1), 0.5)
    assert (shown.gap.value, shown.gap.missing, shown.within) == (None, "no interval", None)
    assert shown.visible is None


def test_groups_without_an_error_still_say_what_could_hide() -> None:
    """Nothing seen in both is no proof of no gap."""
    shown = gap(groups([0.0, 0.0], 20, 1))
    assert shown.gap.value == 0
    assert (shown.worst, shown.best) == ("", "")  # none is at risk, and none is named
    assert shown.gap.high is not None
    assert shown.gap.high > 0
    assert shown.visible is not None
    assert shown.visible > 0
