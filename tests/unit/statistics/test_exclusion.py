"""Which ratios of rates a family excludes: by hand, by law, and on simulated data."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.arrays import FloatArray
from relkit.statistics.exclusion import (
    ErrorRows,
    clusters_to_exclude,
    fitted,
    ratios_of,
    smallest_excluded,
)


def drawn(
    clusters: int,
    slices: int,
    *,
    seed: int,
    ratio: float = 1.0,
    amounts: float = 0.0,
    errors: float = 12.0,
) -> ErrorRows:
    """Return errors of two systems that share half of them; slice 0 has ``ratio`` times as many."""
    random = np.random.default_rng(seed)
    count = clusters * slices
    slice_ = np.repeat(np.arange(slices), clusters)
    units = np.round(100 * np.exp(amounts * random.standard_normal(count))) + 1
    rate = errors / 100 * random.gamma(4.0, 0.25, count)
    shared, *alone = (random.poisson(units * rate / 2) for _ in range(3))
    extra = random.poisson(units * rate * np.where(slice_ == 0, ratio - 1.0, 0.0))
    return ErrorRows(
        slices=slices,
        slice=slice_,
        cluster=np.arange(count),
        share=units / np.bincount(slice_, weights=units)[slice_],
        candidate=(shared + alone[0] + extra).astype(np.float64),
        baseline=(shared + alone[1]).astype(np.float64),
    )


def excluded(rows: ErrorRows, ratio: float = 2.0) -> FloatArray:
    """Return by slice whether a ratio is excluded."""
    return ratios_of(rows).excluded(np.full(rows.slices, ratio)).astype(np.float64)


@pytest.mark.parametrize(
    ("clusters", "amounts", "errors"),
    [(10, 0.0, 12.0), (5, 0.0, 12.0), (10, 1.0, 12.0), (10, 1.5, 6.0), (8, 0.0, 1.0)],
)
def test_a_doubled_rate_is_excluded_in_at_most_one_family_of_twenty(
    clusters: int, amounts: float, errors: float
) -> None:
    """Also with few, unequal clusters and with rare errors; 600 draws know 5 % to 0.9."""
    passed = [
        excluded(drawn(clusters, 6, seed=k, ratio=2.0, amounts=amounts, errors=errors))[0]
        for k in range(600)
    ]
    assert np.mean(passed) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 600)


def test_equal_systems_exclude_a_doubled_rate_where_there_is_data_enough() -> None:
    """Speakers who say unequal amounts do not stand in the way."""
    all_pass = [excluded(drawn(10, 20, seed=k, amounts=1.0)).all() for k in range(100)]
    assert np.mean(all_pass) >= 0.9
    hardly = [excluded(drawn(5, 20, seed=k, errors=0.5)).all() for k in range(30)]
    assert np.mean(hardly) <= 0.1


def test_the_smallest_excluded_ratio_is_the_border() -> None:
    """At it the ratio is excluded, a little below not; without an error there is none."""
    ratios = ratios_of(drawn(9, 5, seed=1))
    smallest = smallest_excluded(ratios)
    assert (smallest > 1.0).all()
    assert ratios.excluded(smallest * 1.0001).all()
    assert not ratios.excluded(smallest * 0.9999).any()
    rows = drawn(9, 1, seed=1)
    nothing = ErrorRows(
        slices=1,
        slice=rows.slice,
        cluster=rows.cluster,
        share=rows.share,
        candidate=np.zeros(9),
        baseline=np.zeros(9),
    )
    assert np.isinf(smallest_excluded(ratios_of(nothing))).all()


def test_single_errors_follow_the_exact_test() -> None:
    """Of N errors all of the baseline, 2 is excluded from N = 4 on: (1/3)^3 < 5 % < (1/3)^2."""

    def alone(errors: int) -> bool:
        spread = np.zeros(40)
        spread[:errors] = 1.0
        rows = ErrorRows(
            slices=2,
            slice=np.repeat([0, 1], 40),
            cluster=np.tile(np.arange(40), 2),
            share=np.full(80, 1 / 40),
            candidate=np.concatenate([np.zeros(40), spread[::-1]]),
            baseline=np.concatenate([spread, spread]),
        )
        return bool(excluded(rows)[0])

    assert [alone(errors) for errors in (1, 2, 3, 4, 5)] == [False, False, False, True, True]


def test_dispersion_is_recovered_by_moments() -> None:
    """Phi and tau^2 of a made-up variance; neither is ever negative."""
    size = np.linspace(1.0, 200.0, 400)
    errors = size / 2
    both = fitted(0.4 * size + 0.02 * errors**2, size, errors)
    assert both.phi == pytest.approx(0.4)
    assert both.between == pytest.approx(0.02)
    falling = fitted(2 * size - 0.005 * errors**2, size, errors)
    assert falling.between == 0.0
    assert falling.phi > 0
    steep = fitted(np.maximum(0.2 * errors**2 - size, 0.0), size, errors)
    assert steep.phi == 0.0
    assert steep.between > 0


@given(st.integers(0, 400), st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_more_of_the_same_data_excludes_more(seed: int, times: int) -> None:
    """Each cluster repeated: no ratio that was excluded comes back."""
    rows = drawn(6, 3, seed=seed, amounts=0.5)
    count = len(rows.slice)
    more = ErrorRows(
        slices=3,
        slice=np.tile(rows.slice, times),
        cluster=np.arange(count * times),
        share=np.tile(rows.share, times) / times,
        candidate=np.tile(rows.candidate, times),
        baseline=np.tile(rows.baseline, times),
    )
    before, after = (smallest_excluded(ratios_of(each)) for each in (rows, more))
    assert (after <= before).all()


def test_needed_clusters_exclude_the_ratio_four_times_in_five() -> None:
    """As many clusters as a pilot of equal systems asks for; simulated."""
    asked = [
        clusters_to_exclude(ratios_of(drawn(8, 6, seed=k, errors=4.0)), 1.5, power=0.8, most=1e6)
        for k in range(20)
    ]
    needed = int(np.median(np.concatenate(asked)))
    assert needed > 8
    share = np.mean([excluded(drawn(needed, 6, seed=900 + k, errors=4.0), 1.5) for k in range(60)])
    assert 0.7 <= share <= 0.95
