"""Great Expectations itself: what it finds, and what it would let pass if it were trusted."""

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from relkit.adapters.great_expectations import GreatExpectationsChecker
from relkit.core.errors import MissingDependency
from relkit.curation.files import parse_contract
from relkit.curation.types import Cell, Contract, FactTable, Judged
from tests.builders import DIGEST
from tests.conftest import ROOT

CHECKER = GreatExpectationsChecker()
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
UNIQUE = "expect_column_values_to_be_unique"
SAID = "call my mother at nine"
COLUMNS: dict[str, list[Cell]] = {
    "id": ["u1", "u2", "u3"],
    "text": ["stop", SAID, "go on"],
    "accent": ["plain", "brod", None],
    "seconds": [1.0, 9.5, None],
    "nothing": [None, None, None],
    "fine": [True, False, True],
}
SLICES: dict[str, list[Cell]] = {
    "slice": ["accent=plain", "accent=broad"],
    "column": ["accent", "accent"],
    "speakers": [3, 1],
}


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Import the library once: it takes seconds."""
    CHECKER.check(contract({"type": UNIQUE, "column": "id"}), tables(), **PLAIN)


def contract(*wanted: Mapping[str, Any]) -> Contract:
    """Return a contract of these: type, severity and meta, the rest are arguments."""
    expectations = []
    for given in wanted:
        kwargs = {k: v for k, v in given.items() if k not in {"type", "severity", "meta"}}
        item = {"type": given["type"], "kwargs": kwargs, "meta": {"relkit": given.get("meta", {})}}
        expectations.append(item | {"severity": given.get("severity", "critical")})
    text = json.dumps({"name": "words", "expectations": expectations})
    return replace(parse_contract(text.encode(), source="contract.json"), digest=DIGEST)


def tables(columns: Mapping[str, list[Cell]] = COLUMNS) -> dict[str, FactTable]:
    """Return facts about utterances and slices."""
    return {
        "utterances": FactTable(key="id", columns=columns),
        "slices": FactTable(key="slice", columns=SLICES),
    }


PLAIN: dict[str, Any] = {"shown": frozenset({"accent", "slice"}), "with_run": False}


def judge(**wanted: Any) -> Judged:  # noqa: ANN401  # any argument of an expectation
    """Return what comes of one expectation."""
    (judged,) = CHECKER.check(contract(wanted), tables(), **PLAIN)
    return judged


@pytest.mark.parametrize(
    ("wanted", "keys", "unexpected"),
    [
        ({"type": BETWEEN, "column": "seconds", "max_value": 5}, ("u2",), 1),
        ({"type": IN_SET, "column": "accent", "value_set": ["plain", "broad"]}, ("u2",), 1),
        ({"type": IN_SET, "column": "fine", "value_set": [True]}, ("u2",), 1),
        ({"type": "expect_column_values_to_not_be_null", "column": "accent"}, ("u3",), 1),
        (
            {"type": "expect_column_values_to_match_regex", "column": "text", "regex": "^[a-z]*$"},
            ("u2", "u3"),
            2,
        ),
        (
            {
                "type": BETWEEN,
                "column": "speakers",
                "min_value": 2,
                "row_condition": {
                    "type": "comparison",
                    "column": {"name": "column"},
                    "operator": "==",
                    "parameter": "accent",
                },
                "meta": {"table": "slices"},
            },
            ("accent=broad",),
            1,
        ),
    ],
)
def test_a_defect_is_found_and_named_by_id(
    wanted: dict[str, Any], keys: tuple[str, ...], unexpected: int
) -> None:
    """The outcome says how many values are wrong and whose."""
    found = judge(**wanted)
    assert (found.outcome, found.ids, found.unexpected) == ("failed", keys, unexpected)


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": BETWEEN, "column": "seconds", "max_value": 10},
        {"type": UNIQUE, "column": "id"},
        {"type": BETWEEN, "column": "seconds", "max_value": 5, "mostly": 0.5},
        {"type": "expect_column_to_exist", "column": "nothing"},
        {"type": "expect_column_values_to_be_null", "column": "nothing"},
        {"type": "expect_table_row_count_to_equal", "value": 3},
        {
            "type": "expect_table_columns_to_match_set",
            "column_set": ["id", "text"],
            "exact_match": False,
        },
        {"type": "expect_column_mean_to_be_between", "column": "seconds", "min_value": 5},
    ],
)
def test_what_holds_passes(wanted: dict[str, Any]) -> None:
    """Expectations of every kind can be kept."""
    found = judge(**wanted)
    assert (found.outcome, found.evaluated, found.problem) == ("passed", True, None)


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (
            {"type": "expect_column_values_to_be_uniqe", "column": "id"},
            f'unknown expectation "expect_column_values_to_be_uniqe": did you mean "{UNIQUE}"?',
        ),
        ({"type": "all_is_well"}, 'unknown expectation "all_is_well"'),
        ({"type": UNIQUE, "colum": "id"}, '"column": field required'),
        ({"type": UNIQUE, "column": "id", "mostl": 1}, '"mostl": extra fields not permitted'),
        ({"type": BETWEEN, "column": "seconds"}, "min_value and max_value cannot both be None"),
        ({"type": BETWEEN, "column": ["id"], "max_value": 1}, '"column": str type expected'),
        (
            {"type": BETWEEN, "column": "seconds", "max_value": {"$PARAMETER": "x"}},
            "$PARAMETER is not used: write the value itself",
        ),
        (
            {"type": UNIQUE, "column": "id", "row_condition": "@__import__('os').getcwd() == 1"},
            "row_condition may compare columns only: no @ and no __",
        ),
    ],
)
def test_what_the_library_would_drop_is_a_failure(wanted: dict[str, Any], problem: str) -> None:
    """A mistyped expectation is logged and dropped by a suite, which then succeeds without it."""
    found = judge(**wanted, severity="info")
    assert (found.outcome, found.loaded, found.evaluated) == ("failed", False, False)
    assert found.problem == problem


MEAN = "expect_column_mean_to_be_between"
SHARE = "expect_column_proportion_of_unique_values_to_be_between"
ROWS = "expect_table_row_count_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
NOT_IN_SET = "expect_column_values_to_not_be_in_set"


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": ROWS, "min_value": None, "max_value": None},
        {"type": ROWS, "min_value": 0},
        {"type": MEAN, "column": "seconds"},
        {"type": SHARE, "column": "id", "min_value": 0, "max_value": 1},
        {"type": "expect_column_value_lengths_to_be_between", "column": "id", "min_value": 0},
        {"type": "expect_column_unique_value_count_to_be_between", "column": "id"},
        {"type": IN_SET, "column": "id", "value_set": ["x"], "mostly": 0},
        {"type": UNIQUE, "column": "id", "mostly": 0.0},
        {"type": NOT_IN_SET, "column": "id", "value_set": []},
        {
            "type": "expect_column_distinct_values_to_contain_set",
            "column": "id",
            "value_set": [],
        },
        {"type": "expect_table_columns_to_match_ordered_list"},
        {"type": "expect_table_columns_to_match_set", "exact_match": False},
        {
            "type": "expect_column_quantile_values_to_be_between",
            "column": "seconds",
            "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[None, None]]},
        },
    ],
)
def test_what_no_data_could_break_is_no_expectation(wanted: dict[str, Any]) -> None:
    """The library reads missing bounds as "anything goes", and would call them kept."""
    found = judge(**wanted, severity="info")
    assert (found.outcome, found.loaded, found.evaluated) == ("failed", False, False)
    assert str(found.problem).startswith("no data can break it: ")


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": ROWS, "min_value": 0, "max_value": 9},
        {"type": SHARE, "column": "id", "min_value": 0, "strict_min": True},
        {"type": SHARE, "column": "id", "min_value": 0.5, "max_value": 1},
        {"type": UNIQUE, "column": "id", "mostly": 0.01},
        {"type": NOT_IN_SET, "column": "id", "value_set": ["x"]},
        {
            "type": "expect_column_quantile_values_to_be_between",
            "column": "seconds",
            "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[None, 100]]},
        },
    ],
)
def test_what_data_could_break_stays_an_expectation(wanted: dict[str, Any]) -> None:
    """One end that data can pass is enough."""
    found = judge(**wanted)
    assert (found.outcome, found.loaded) == ("passed", True)


def none_longer_than(seconds: float) -> dict[str, Any]:
    """Return a condition that selects the rows of longer clips."""
    return {
        "type": "comparison",
        "column": {"name": "seconds"},
        "operator": ">",
        "parameter": seconds,
    }


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"type": BETWEEN, "column": "nothing", "max_value": 1}, "there is no value to judge"),
        ({"type": UNIQUE, "column": "nothing"}, "there is no value to judge"),
        (
            {"type": "expect_column_sum_to_be_between", "column": "nothing", "max_value": 1},
            "there is no value to judge",
        ),
        (
            {
                "type": "expect_column_distinct_values_to_be_in_set",
                "column": "accent",
                "value_set": ["plain"],
                "row_condition": none_longer_than(100),
            },
            "there is no value to judge",
        ),
        (
            {
                "type": IN_SET,
                "column": "accent",
                "value_set": [],
                "row_condition": none_longer_than(99),
            },
            "there is no value to judge",
        ),
        (
            {"type": BETWEEN, "column": "second", "max_value": 1},
            'the utterances have no column "second": did you mean "seconds"?',
        ),
        (
            {"type": BETWEEN, "column": "seconds", "max_value": 1, "meta": {"table": "slices"}},
            'the slices have no column "seconds"',
        ),
        (
            {"type": BETWEEN, "column": "text", "max_value": 1},
            "Great Expectations could not evaluate it: do its arguments fit the column?",
        ),
        (
            {"type": "expect_column_values_to_match_regex", "column": "text", "regex": "("},
            "Great Expectations could not evaluate it: do its arguments fit the column?",
        ),
        (
            {"type": UNIQUE, "column": "id", "row_condition": "nope > 1"},
            "Great Expectations could not evaluate it, or row_condition selects no row",
        ),
    ],
)
def test_what_judged_nothing_is_a_failure(wanted: dict[str, Any], problem: str) -> None:
    """No value passes every check; a warning that was not evaluated is a failure, too."""
    found = judge(**wanted, severity="warning")
    assert (found.outcome, found.loaded, found.evaluated) == ("failed", True, False)
    assert found.problem == problem


def test_an_empty_frame_fails_every_expectation() -> None:
    """Without a row everything holds, so nothing does."""
    empty = tables({name: [] for name in COLUMNS})
    wanted = contract(
        {"type": UNIQUE, "column": "id"},
        {"type": "expect_table_row_count_to_be_between", "min_value": 1},
    )
    judged = CHECKER.check(wanted, empty, **PLAIN)
    assert [(item.outcome, item.evaluated) for item in judged] == [("failed", False)] * 2
    assert {item.problem for item in judged} == {"there is no row to judge"}


def test_outcomes_come_in_the_order_of_the_contract() -> None:
    """The library reports failures first; equal expectations stay two."""
    wanted = contract(
        {"type": UNIQUE, "column": "id"},
        {"type": "expect_nothing"},
        {"type": BETWEEN, "column": "speakers", "min_value": 9, "meta": {"table": "slices"}},
        {"type": UNIQUE, "column": "id"},
        {"type": BETWEEN, "column": "seconds", "max_value": 5, "severity": "warning"},
        {"type": BETWEEN, "column": "label", "max_value": 5, "meta": {"needs": "run"}},
    )
    judged = CHECKER.check(wanted, tables(), **PLAIN)
    states = ["passed", "failed", "failed", "passed", "warning", "not_checked"]
    assert [item.outcome for item in judged] == states
    assert [(item.type, item.line) for item in judged] == [
        (item.type, item.line) for item in wanted.expectations
    ]
    assert CHECKER.check(wanted, tables(), shown=frozenset(), with_run=True)[5].outcome == "failed"


def test_no_expectation_at_all_gives_no_outcome() -> None:
    """What an empty contract means is decided by its counts."""
    assert CHECKER.check(contract(), tables(), **PLAIN) == ()


def test_values_are_named_only_where_they_may_be(caplog: pytest.LogCaptureFixture) -> None:
    """Slice values are shown, transcripts never, not even by the library's log."""
    wanted = contract(
        {"type": IN_SET, "column": "accent", "value_set": ["plain"]},
        {"type": IN_SET, "column": "text", "value_set": ["stop"]},
        {"type": "expect_column_distinct_values_to_be_in_set", "column": "text", "value_set": [1]},
        {"type": BETWEEN, "column": "text", "max_value": 3},
        {"type": "expect_column_most_common_value_to_be_in_set", "column": "text", "value_set": []},
        {"type": "expect_column_max_to_be_between", "column": "text", "max_value": "a"},
        {"type": "expect_nothing"},
    )
    with caplog.at_level(logging.DEBUG):
        judged = CHECKER.check(wanted, tables(), **PLAIN)
    assert judged[0].found == {"brod": 1}
    assert judged[1].ids == ("u2", "u3")
    assert SAID not in repr(judged)
    assert SAID not in caplog.text
    assert all(item.outcome == "failed" for item in judged)


def test_missing_slices_and_columns_are_named() -> None:
    """A slice that vanished has no row to fail; the set of slices says which it was."""
    found = judge(
        type="expect_column_distinct_values_to_contain_set",
        column="slice",
        value_set=["accent=plain", "accent=scottish"],
        meta={"table": "slices"},
    )
    assert (found.outcome, found.problem) == ("failed", "missing values: accent=scottish")
    wanted = {"type": "expect_table_columns_to_match_set", "column_set": ["id", "voice"]}
    assert judge(**wanted, exact_match=False).problem == "missing columns: voice"
    exact = judge(**wanted, exact_match=True).problem
    assert exact == "missing columns: voice; further columns: accent, fine, nothing, seconds, text"


def test_at_most_twenty_ids_are_named() -> None:
    """The count is whole, the list is short."""
    columns: dict[str, list[Cell]] = {"id": [f"u{i:03}" for i in range(99)], "n": [1] * 99}
    wanted = contract({"type": BETWEEN, "column": "n", "max_value": 0})
    (found,) = CHECKER.check(wanted, tables(columns), **PLAIN)
    assert (found.unexpected, len(found.ids), found.ids[19]) == (99, 20, "u019")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An optional package that is not there is one clear error."""
    monkeypatch.setitem(sys.modules, "great_expectations", None)
    with pytest.raises(MissingDependency) as caught:
        CHECKER.check(contract(), tables(), **PLAIN)
    assert caught.value.hint == "pip install 'relkit-speech[contracts]'"


def test_the_bundled_contract_is_what_the_library_writes() -> None:
    """``contract.json`` is an ExpectationSuite: loaded and written again it is the same."""
    import great_expectations as gx  # noqa: PLC0415  # seconds to import, and only here

    path = ROOT / "datasets" / "assistant-commands" / "contract.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    suite = gx.ExpectationSuite(**document)
    again = json.loads(json.dumps(suite.to_json_dict()))
    version = again["meta"].pop("great_expectations_version")
    assert version
    assert document["meta"].pop("great_expectations_version")
    assert again == document
