"""Exact ends of shares, against the quantiles of the beta distribution."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from relkit.statistics.distributions import at_most, exact_ends


@given(trials=st.integers(1, 400), share=st.floats(0, 1))
def test_ends_are_those_of_clopper_and_pearson(trials: int, share: float) -> None:
    """The definition by two binomial tails and the one by beta quantiles agree."""
    events = round(share * trials)
    low, high = exact_ends(events, trials)
    if events:
        assert low == pytest.approx(stats.beta.ppf(0.025, events, trials - events + 1), abs=1e-9)
    if events < trials:
        assert high == pytest.approx(stats.beta.ppf(0.975, events + 1, trials - events), abs=1e-9)
    assert 0 <= low <= events / trials <= high <= 1


def test_the_ends_that_do_not_exist() -> None:
    """Nothing seen has no lower end, and nothing but events no upper one."""
    assert exact_ends(0, 10)[0] == 0.0
    assert exact_ends(10, 10)[1] == 1.0


@pytest.mark.parametrize(("events", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(events: int, trials: int) -> None:
    """A share of what cannot be is no share."""
    with pytest.raises(ValueError, match=f"{events} of {trials}"):
        exact_ends(events, trials)


def test_the_tail_is_that_of_the_binomial() -> None:
    """P(X <= 2) of ten coins is 56 / 1024."""
    assert at_most(2, 10, 0.5) == pytest.approx(56 / 1024)
