"""Tasks, the calls of tools, and repeats of conversations."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.conversation.tasks import (
    argument_key,
    is_empty,
    pair_calls,
    pass_all_k,
    pass_any_k,
    pass_counts,
    task_counts,
    task_shortfalls,
)
from relkit.conversation.types import ConversationCounts
from relkit.datasets.types import ExpectedCall, ExpectedOutcome
from relkit.safety.types import ToolCall

VECTORS = Path(__file__).resolve().parents[3].parent / "shared/vectors/conversations.json"
CALL = ExpectedCall(name="set_timer", arguments={"duration": "10 minutes"})


def made(*calls: tuple[str, Any]) -> list[ToolCall]:
    """Return calls by name and arguments."""
    return [ToolCall(name=name, arguments=arguments) for name, arguments in calls]


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("10 minutes", "Ten minutes.", True),
        ("10 minutes", "1 0 minutes", False),
        (10, "10", True),
        (10, 10.0, True),
        (10.5, "10.5", True),
        (-5, 5, False),
        ("-5", "minus five", True),
        ("2026-12-01", "2026 12 01", True),
        ("$5", "€5", False),
        ("5 %", "5", False),
        ("1.5 mg", "15 mg", False),
        ("Zoë", "zoe", True),
        ("?!", "", False),
        (True, 1, False),
        (True, "true", False),
        ({"a": 1, "b": None}, {"a": 1.0}, True),
        ({"a": 1}, {"A": 1}, False),
        (["a", "b"], ["b", "a"], False),
        (None, {}, False),
    ],
)
def test_arguments_are_alike_where_they_mean_the_same(
    first: object,
    second: object,
    alike: bool,  # noqa: FBT001
) -> None:
    """Texts as they are said, numbers by value; sign, unit, currency and names are kept."""
    assert (argument_key(first) == argument_key(second)) is alike


@pytest.mark.parametrize(
    ("expected", "calls", "counts"),
    [
        ((), [], (0, 0, 0, 0)),
        ((CALL,), made(("set_timer", {"duration": "ten minutes"})), (1, 0, 0, 0)),
        ((CALL,), made(("set_timer", {"duration": "9 minutes"})), (0, 1, 0, 0)),
        ((CALL,), [], (0, 0, 1, 0)),
        ((), made(("set_timer", {})), (0, 0, 0, 1)),
        ((CALL,), made(("set_alarm", {"duration": "10 minutes"})), (0, 0, 1, 1)),
        ((CALL,), made(("set_timer", {}), ("set_timer", {"duration": "10 MINUTES"})), (1, 0, 0, 1)),
        ((CALL, CALL), made(("set_timer", {"duration": "10 minutes"})), (1, 0, 1, 0)),
        ((CALL,), made(("set_timer", "no JSON"), ("lamp", None)), (0, 1, 0, 1)),
    ],
)
def test_calls_pair_one_to_one(
    expected: tuple[ExpectedCall, ...], calls: list[ToolCall], counts: tuple[int, ...]
) -> None:
    """Matches, wrong arguments, missing and extra calls; every call counts once."""
    pairing = pair_calls(expected, calls)
    assert (pairing.matches, pairing.wrong, pairing.missing, pairing.extra) == counts
    assert pairing.pairs == sum(counts)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=6),
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=6),
)
def test_pairing_is_a_bijection(
    expected: list[tuple[str, int]], calls: list[tuple[str, int]]
) -> None:
    """Order does not matter, and each side's calls are all there once."""
    hoped = [ExpectedCall(name=name, arguments={"n": n}) for name, n in expected]
    listed = made(*((name, {"n": n}) for name, n in calls))
    pairing = pair_calls(hoped, listed)
    assert pairing == pair_calls(hoped[::-1], listed[::-1])
    assert pairing.matches + pairing.wrong + pairing.missing == len(expected)
    assert pairing.matches + pairing.wrong + pairing.extra == len(calls)


@pytest.mark.parametrize(
    ("expect", "calls", "shortfalls"),
    [
        (ExpectedOutcome(), [], None),
        (ExpectedOutcome(rubrics=("concise",)), [], None),
        (ExpectedOutcome(tools=()), [], ()),
        (ExpectedOutcome(tools=()), made(("lamp", {})), ("extra_call",)),
        (ExpectedOutcome(tools=(CALL,)), [], ("missing_call",)),
        (ExpectedOutcome(tools=(CALL,)), made(("set_timer", {})), ("wrong_arguments",)),
        (ExpectedOutcome(no_tools=("lamp",)), made(("lamp", {})), ("forbidden_call",)),
        (ExpectedOutcome(no_tools=("lamp",)), made(("door", {})), ()),
        (ExpectedOutcome(says=("10 minutes",)), [], ()),
        (ExpectedOutcome(says=("10 minutes", "bye")), [], ("not_said",)),
        (ExpectedOutcome(never_says=("minutes",)), [], ("said",)),
        (ExpectedOutcome(never_says=("hour",)), [], ()),
        (ExpectedOutcome(state={"timers": 1}), [], ()),
        (ExpectedOutcome(state={"timers": 2}), [], ("state",)),
        (ExpectedOutcome(state={"alarms": None}), [], ("state",)),
        (ExpectedOutcome(state={}), [], ()),
    ],
)
def test_a_task_is_done_where_all_came_true(
    expect: ExpectedOutcome, calls: list[ToolCall], shortfalls: tuple[str, ...] | None
) -> None:
    """Each expectation that did not come true is named, and none is no task."""
    text, state = "Your timer for ten minutes is set.", {"timers": 1.0, "lamp": "on"}
    assert task_shortfalls(expect, calls, text=text, state=state) == shortfalls
    counts = task_counts(expect, calls, text=text, state=state)
    assert counts.tasks == (shortfalls is not None)
    assert counts.tasks_done == (shortfalls == ())


def test_what_nobody_recorded_did_not_come_true() -> None:
    """Neither words said nor words not said are shown by a record without words."""
    expect = ExpectedOutcome(says=("a",), never_says=("b",), state={"c": 1})
    assert task_shortfalls(expect, [], text=None, state=None) == ("not_said", "said", "state")


@pytest.mark.parametrize(
    ("arguments", "empty"),
    [
        (None, True),
        ({}, True),
        ("", True),
        ([], True),
        ({"a": "", "b": [None, {}]}, True),
        ({"a": 0}, False),
        ({"a": False}, False),
        ("x", False),
        (0, False),
        ([""], True),
    ],
)
def test_empty_arguments_say_nothing(
    arguments: object,
    empty: bool,  # noqa: FBT001
) -> None:
    """Null, empty texts, lists and objects; a zero says something."""
    assert is_empty(arguments) is empty


def test_a_conversation_counts_its_tools() -> None:
    """Empty arguments, forbidden tools and pairs are on the row of the conversation."""
    expect = ExpectedOutcome(tools=(CALL,), no_tools=("transfer",))
    calls = made(("set_timer", {"duration": "10 minutes"}), ("transfer", {}))
    counts = task_counts(expect, calls, text=None, state=None)
    assert counts == ConversationCounts(
        tasks=1,
        tool_calls=2,
        empty_arguments=1,
        forbidding=1,
        forbidden=1,
        tool_pairs=2,
        tool_matches=1,
    )
    assert task_counts(None, calls, text=None, state=None) == ConversationCounts(
        tool_calls=2, empty_arguments=1
    )


@pytest.mark.parametrize("n", range(1, 6))
def test_repeats_are_estimated_as_by_counting_subsets(n: int) -> None:
    """Over all subsets of k repeats: those with any success, and those with nothing else."""
    for successes in range(n + 1):
        repeats = [True] * successes + [False] * (n - successes)
        for k in range(1, n + 1):
            subsets = list(combinations(repeats, k))
            assert pass_any_k(n, successes, k) == pytest.approx(
                sum(map(any, subsets)) / len(subsets)
            )
            assert pass_all_k(n, successes, k) == pytest.approx(
                sum(map(all, subsets)) / len(subsets)
            )


def test_fewer_repeats_than_k_are_undefined() -> None:
    """Nothing is estimated from too few, and the row counts nothing; without k it is all."""
    assert pass_any_k(2, 1, 3) is pass_all_k(2, 1, 3) is None
    assert pass_counts(2, 1, 3) == pass_counts(0, 0, None) == ConversationCounts()
    assert pass_counts(3, 3, None) == ConversationCounts(pass_scored=1, pass_any=1, pass_all=1)
    for n, successes, k in ((2, 3, 1), (2, -1, 1), (2, 1, 0)):
        with pytest.raises(ValueError, match="repeats"):
            pass_any_k(n, successes, k)


def test_estimates_of_eva_are_reproduced() -> None:
    """The expected values of another project's own module."""
    if not VECTORS.exists():
        pytest.skip("the expected values of other projects are not beside this checkout")
    cases = json.loads(VECTORS.read_text(encoding="utf-8"))["pass_k"]["cases"]
    for case in cases:
        numbers = case["n"], case["c"], case["k"]
        assert pass_any_k(*numbers) == pytest.approx(case["any"])
        assert pass_all_k(*numbers) == pytest.approx(case["all"])
