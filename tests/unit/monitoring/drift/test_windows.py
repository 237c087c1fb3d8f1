"""Seasons, and when drift is sustained."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.monitoring.drift.types import Status, SustainedRule
from relkit.monitoring.drift.windows import slots_of, sustained_alert, window_time

LETTERS: dict[str, Status] = {"q": "quiet", "d": "drifted", "n": "no_data"}
IN_A_ROW = SustainedRule(windows=3)
OF_FIVE = SustainedRule(k=3, of=5)


@pytest.mark.parametrize(
    ("windows", "rule", "first", "confirmed", "pending"),
    [
        ("ddd", IN_A_ROW, 0, 2, 0),
        ("qddqddd", IN_A_ROW, 4, 6, 0),
        ("ddqdd", IN_A_ROW, 3, None, 2),
        ("dnndnd", IN_A_ROW, 0, 5, 0),
        ("ddnq", IN_A_ROW, None, None, 0),
        ("dqdqd", OF_FIVE, 0, 4, 0),
        ("dqqqqdd", OF_FIVE, 5, None, 2),
        ("dnqdnnd", OF_FIVE, 0, 6, 0),
        ("nnn", IN_A_ROW, None, None, 0),
        ("", IN_A_ROW, None, None, 0),
        ("d", SustainedRule(windows=1), 0, 0, 0),
    ],
)
def test_sustained(
    windows: str, rule: SustainedRule, first: int | None, confirmed: int | None, pending: int
) -> None:
    """Three in a row or of five; a window without data neither counts nor resets."""
    alert = sustained_alert(range(len(windows)), [LETTERS[w] for w in windows], rule)
    assert alert.alert == (confirmed is not None)
    assert alert.first_window == (None if first is None else window_time(first))
    assert alert.confirmed_window == (None if confirmed is None else window_time(confirmed))
    assert alert.pending == pending


@given(st.text("qdn", max_size=12), st.sampled_from([IN_A_ROW, OF_FIVE]))
def test_windows_without_data_change_no_alert(windows: str, rule: SustainedRule) -> None:
    """Leaving them out gives the same answer."""
    every = sustained_alert(range(len(windows)), [LETTERS[w] for w in windows], rule)
    judged = [(i, LETTERS[w]) for i, w in enumerate(windows) if w != "n"]
    assert every == sustained_alert([i for i, _ in judged], [s for _, s in judged], rule)


def test_slots_of_seasons() -> None:
    """1970 began on a Thursday; Monday, midnight is the first hour of a week."""
    monday = 4 * 86400
    starts = np.array([0, 3600, monday, monday + 86400 + 7200])
    assert slots_of(starts, "none").tolist() == [0, 0, 0, 0]
    assert slots_of(starts, "hour_of_day").tolist() == [0, 1, 0, 2]
    assert slots_of(starts, "hour_of_week").tolist() == [72, 73, 0, 26]
