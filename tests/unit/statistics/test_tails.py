"""Tails of t and of the binomial, held against scipy."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from relkit.statistics.distributions import at_least, t_beyond, t_quantile


@pytest.mark.parametrize("df", [1.0, 1.5, 4.3, 30.0, 500.0, 1e6])
def test_both_tails_of_t_agree_with_scipy(df: float) -> None:
    """From 0, where quadrature of a tail would fail, to probabilities of 1e-12."""
    t = np.array([0.0, 1e-9, 0.2, 0.999, 1.0, 1.001, 2.5, -2.5, 7.0])
    expected = 2 * stats.t.sf(np.abs(t), df)
    assert t_beyond(t, np.full_like(t, df)) == pytest.approx(expected, rel=1e-9)


def test_both_tails_of_t_invert_its_quantile() -> None:
    """The critical value of a level has that level beyond it, in any shape."""
    df = np.array([[2.0, 8.5], [40.0, 700.0]])
    for level in (0.05, 1e-4, 1e-6):
        beyond = t_beyond(t_quantile(1 - level / 2, df), df)
        assert beyond == pytest.approx(np.full((2, 2), level), rel=1e-7)


@example(8, 9, 2.3e-308)
@given(
    st.integers(0, 400),
    st.integers(0, 400),
    st.floats(0, 1, exclude_max=True, allow_subnormal=False),
)
def test_the_upper_tail_of_the_binomial_agrees_with_scipy(
    events: int, trials: int, share: float
) -> None:
    """Small tails keep their digits; more events than trials cannot be."""
    result = at_least(np.array([events]), np.array([trials]), np.array([share]))
    expected = stats.binom.sf(events - 1, trials, share)
    assert result == pytest.approx([expected], rel=1e-7, abs=1e-250)
