"""The t quantile against scipy, which the package itself does not import."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relkit.statistics.distributions import t_quantile


@pytest.mark.parametrize("probability", [0.6, 0.9, 0.975, 0.995, 0.9995, 0.99999, 0.025, 0.0001])
def test_quantile_agrees_with_scipy(probability: float) -> None:
    """Integer, fractional and huge degrees of freedom agree to nine digits."""
    df = np.concatenate([np.linspace(1.0, 30.0, 291), np.geomspace(30.0, 1e6, 200)])
    expected = stats.t.ppf(probability, df)
    np.testing.assert_allclose(t_quantile(probability, df), expected, rtol=1e-9)


@given(df=st.floats(1.5, 1e5), probability=st.floats(0.7, 0.999))
@settings(max_examples=100, deadline=None)
def test_quantile_is_where_the_distribution_reaches_the_probability(
    df: float, probability: float
) -> None:
    """The distribution function of scipy leads back to the probability."""
    t = float(t_quantile(probability, np.array([df]))[0])
    assert stats.t.cdf(t, df) == pytest.approx(probability, abs=1e-10)


def test_shape_and_order_are_kept() -> None:
    """Repeated and unsorted degrees of freedom come back in their places."""
    t = t_quantile(0.975, np.array([[4.0, 1.5], [4.0, 1e6]]))
    assert t.shape == (2, 2)
    assert t[0, 0] == t[1, 0] == pytest.approx(2.7764451051977987, abs=1e-10)
    assert t[1, 1] == pytest.approx(1.95996635682, abs=1e-8)


def test_median_is_zero_and_the_lower_side_mirrors_the_upper() -> None:
    """The distribution is symmetric about 0."""
    df = np.array([1.5, 7.0])
    assert t_quantile(0.5, df).tolist() == [0.0, 0.0]
    np.testing.assert_allclose(t_quantile(0.05, df), -t_quantile(0.95, df), rtol=1e-12)


@pytest.mark.parametrize(
    ("probability", "df"), [(0.0, 5.0), (1.0, 5.0), (0.975, 0.5), (0.9, np.nan)]
)
def test_impossible_arguments_are_refused(probability: float, df: float) -> None:
    """Nothing is returned where there is no quantile."""
    with pytest.raises(ValueError, match="degrees of freedom"):
        t_quantile(probability, np.array([df]))
