"""Error counts add up, and rates come from sums."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.values import ErrorCounts
from tests.builders import counts

NUMBER = st.integers(0, 500)
COUNTS = st.builds(
    ErrorCounts, hits=NUMBER, substitutions=NUMBER, deletions=NUMBER, insertions=NUMBER
)


@pytest.mark.parametrize(
    ("given_", "rate", "mer", "wil", "capped"),
    [
        (counts(), None, None, None, 0),
        (counts(hits=4), 0.0, 0.0, 0.0, 0),
        (counts(hits=2, subs=1, dels=1, ins=1), 0.75, 0.6, 1 - 4 / 16, 3),
        (counts(dels=3), 1.0, 1.0, 1.0, 3),
        (counts(ins=3), None, 1.0, None, 1),
        (counts(hits=1, ins=200), 200.0, 200 / 201, 1 - 1 / 201, 1),
        (counts(subs=2, ins=5), 3.5, 1.0, 1.0, 2),
    ],
)
def test_rates_of_known_counts(
    given_: ErrorCounts, rate: float | None, mer: float | None, wil: float | None, capped: int
) -> None:
    """WER, MER and WIL of counts worked out by hand; no rate without a reference."""
    assert given_.rate == rate
    assert given_.match_error_rate == mer
    assert given_.information_lost == wil
    assert given_.capped_errors == capped


@given(st.lists(COUNTS, max_size=5))
def test_counts_add_up_from_nothing(items: list[ErrorCounts]) -> None:
    """The sum of counts holds the sum of each part, in any order."""
    total = sum(items, ErrorCounts())
    assert total == sum(reversed(items), ErrorCounts())
    assert total.errors == sum(item.errors for item in items)
    assert total.reference_length == sum(item.reference_length for item in items)
    assert total.hypothesis_length == sum(item.hypothesis_length for item in items)


@given(COUNTS)
def test_rates_stay_within_their_bounds(item: ErrorCounts) -> None:
    """MER and WIL are shares; WER is no share and may pass 1."""
    for share in (item.match_error_rate, item.information_lost):
        assert share is None or 0 <= share <= 1
    assert item.rate is None or (item.rate >= 0 and math.isfinite(item.rate))
    assert 0 <= item.capped_errors <= max(1, item.reference_length)
    assert item.capped_errors <= item.errors
