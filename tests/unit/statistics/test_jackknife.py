"""Standard errors and effective degrees of freedom of leave-one-out estimates."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.statistics.intervals import Spread, leave_one_out_spread, with_repeats

_ESTIMATES = st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=12)


def _one_group(estimates: list[float]) -> Spread:
    return leave_one_out_spread(np.array(estimates), np.zeros(len(estimates), dtype=np.int64), 1)


def test_formula_by_hand() -> None:
    """se^2 = (C - 1) / C sum q^2 and df = (sum q^2)^2 / sum q^4."""
    estimates = [1.0, 2.0, 3.0, 6.0, 8.0]
    mean = sum(estimates) / 5
    second = sum((x - mean) ** 2 for x in estimates)
    fourth = sum((x - mean) ** 4 for x in estimates)
    spread = _one_group(estimates)
    assert spread.se[0] == pytest.approx(math.sqrt(4 / 5 * second))
    assert spread.df[0] == pytest.approx(second**2 / fourth)
    assert spread.clusters[0] == 5


def test_equal_estimates_have_no_spread_and_all_degrees_of_freedom() -> None:
    """Rounding does not count as spread."""
    spread = _one_group([0.1 + 0.2, 0.3, 0.3, 0.3])
    assert spread.se[0] == 0.0
    assert spread.df[0] == 3.0


def test_one_dominating_cluster_leaves_few_degrees_of_freedom() -> None:
    """The df is held at 1.5 from below and at C - 1 from above."""
    assert _one_group([0.0] * 400 + [1.0]).df[0] == 1.5
    assert _one_group([-1.0, 1.0] * 10).df[0] == 19.0


def test_tiny_spreads_keep_their_degrees_of_freedom() -> None:
    """Fourth powers below the smallest float do not turn into C - 1."""
    wide = [0.0, 1.0, 2.0, 5.0, 9.0]
    narrow = leave_one_out_spread(np.array(wide) * 1e-11, np.zeros(5, dtype=np.int64), 1)
    assert narrow.df[0] == pytest.approx(_one_group(wide).df[0])


def test_groups_do_not_mix_and_an_estimate_that_is_not_finite_spoils_its_own_only() -> None:
    """Three groups: fine, spoiled, empty."""
    estimates = np.array([1.0, 3.0, 2.0, np.nan])
    spread = leave_one_out_spread(estimates, np.array([0, 0, 1, 1]), 3)
    assert spread.se[0] == pytest.approx(_one_group([1.0, 3.0]).se[0])
    assert np.isnan(spread.se[1])
    assert np.isnan(spread.se[2])
    assert spread.clusters.tolist() == [2, 2, 0]


@given(estimates=_ESTIMATES, shift=st.floats(-3, 3), scale=st.floats(0.5, 4))
def test_spread_ignores_shifts_and_follows_scales(
    estimates: list[float], shift: float, scale: float
) -> None:
    """The se is equivariant under a + b x."""
    moved = [shift + scale * x for x in estimates]
    assert _one_group(moved).se[0] == pytest.approx(
        scale * _one_group(estimates).se[0], rel=1e-6, abs=1e-9
    )


def test_repeats_add_their_variance_with_satterthwaite_degrees_of_freedom() -> None:
    """Both parts by hand, and a group asked once stays as it is."""
    spread = Spread(se=np.array([0.3, 0.3]), df=np.array([6.0, 6.0]), clusters=np.array([9, 9]))
    added = with_repeats(spread, np.array([0.08, 0.0]), np.array([4.0, 1.0]))
    total = 0.3**2 + 0.08 / 4
    assert added.se[0] == pytest.approx(math.sqrt(total))
    assert added.df[0] == pytest.approx(total**2 / (0.3**4 / 6.0 + 0.02**2 / 3))
    assert added.se[1] == pytest.approx(0.3)
    assert added.df[1] == pytest.approx(6.0)


def test_repeats_alone_have_their_own_degrees_of_freedom() -> None:
    """Without spread between clusters, N repeats have N - 1."""
    spread = Spread(se=np.zeros(1), df=np.array([7.0]), clusters=np.array([8]))
    added = with_repeats(spread, np.array([1e-30]), np.array([3.0]))
    assert added.df[0] == pytest.approx(2.0)
    assert with_repeats(spread, np.zeros(1), np.array([3.0])).df[0] == pytest.approx(7.0)
