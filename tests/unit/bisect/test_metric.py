"""First bad release by the level of a stored metric."""

from relkit.bisect.metric import judge_history
from relkit.bisect.types import MetricPoint


def points(values: list[float | None]) -> list[MetricPoint]:
    """Return releases r0, r1 … with these values."""
    return [
        MetricPoint(version=f"r{i}", value=value, reason=None if value is not None else "gone")
        for i, value in enumerate(values)
    ]


LOW = [0.080, 0.081, 0.079, 0.080, 0.082, 0.078]
HIGH = [0.120, 0.121, 0.119, 0.120, 0.118]


def test_direction_decides_what_is_bad() -> None:
    """The same history is bad for an error rate, and good for a score."""
    history = points([*LOW, *HIGH])
    down = judge_history(history, better="down", good=None, bad="r10")
    assert (down.status, down.candidates) == ("found", ("r6",))
    up = judge_history(history, better="up", good=None, bad="r10")
    assert up.status == "no_bad"
    assert up.changes[0].direction == "better"


def test_releases_without_a_value_before_the_change_are_candidates() -> None:
    """The badness may have begun with a release that nobody measured."""
    verdict = judge_history(points([*LOW, None, *HIGH]), better="down", good=None, bad="r11")
    assert (verdict.status, verdict.candidates) == ("set", ("r6", "r7"))


def test_a_recovery_between_the_bounds_is_a_contradiction() -> None:
    """Good after bad is reported with its versions; without a bound the last episode counts."""
    history = points([*LOW, *HIGH, *LOW, *HIGH])
    between = judge_history(history, better="down", good="r0", bad="r21")
    assert between.status == "contradiction"
    assert (between.bad_before, between.good_after) == (("r6",), ("r11",))
    latest = judge_history(history, better="down", good=None, bad="r21")
    assert (latest.status, latest.candidates) == ("found", ("r17",))
    after = judge_history(history, better="down", good="r12", bad="r21")
    assert after.candidates == ("r17",)


def test_too_few_measured_releases_are_no_data() -> None:
    """Three values cannot have two on each side."""
    verdict = judge_history(points([1.0, None, 2.0, 3.0]), better="down", good=None, bad="r3")
    assert (verdict.status, verdict.candidates) == ("no_data", ())
