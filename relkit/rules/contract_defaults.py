"""A first contract for a dataset: what any should keep, and what this one keeps now."""

import json
from collections.abc import Iterator

from relkit.domain.contracts import SLICES, UTTERANCES, Expectation, FactTable, Severity
from relkit.domain.datasets import Dataset

NOTES = (
    "Written from the data as it was: read every line, and change what only happens to be so. "
    "The expectations are Great Expectations' own; docs/contracts.md lists the facts they judge."
)

_IN_SET = "expect_column_values_to_be_in_set"
_BETWEEN = "expect_column_values_to_be_between"
_SPOKEN = {
    "type": "comparison",
    "column": {"name": "text_words"},
    "operator": ">",
    "parameter": 0,
}
"""Rows with words, in the form that Great Expectations writes conditions."""


def default_expectations(
    dataset: Dataset, facts: FactTable, slices: FactTable
) -> Iterator[Expectation]:
    """Yield what any dataset should keep, and what this one keeps now."""
    wanted = ["id", "text", "consent", dataset.cluster]
    yield _expect("expect_table_row_count_to_be_between", min_value=facts.rows)
    yield _expect("expect_table_columns_to_match_set", column_set=wanted, exact_match=False)
    yield _expect("expect_column_values_to_be_unique", column="id")
    for column in ("text_control_characters", "text_double_spaces"):
        yield _expect(_BETWEEN, column=column, min_value=0, max_value=0)
    yield _expect(_IN_SET, column="text_nfc", value_set=[True])
    yield _expect(_IN_SET, column="text_outer_spaces", value_set=[False])
    yield _expect(_BETWEEN, column="text_words", max_value=100)
    yield _expect(_IN_SET, column="audio_state", value_set=["ok"])
    yield _among(facts, "audio_sample_rate")
    if any(value is not None for value in facts.columns["duration_difference"]):
        yield _expect(_BETWEEN, column="duration_difference", max_value=0.05)
    yield _expect(_BETWEEN, column="duration", min_value=0.1, max_value=60)
    yield _expect(_BETWEEN, column="audio_clipped_share", max_value=0.001)
    yield _expect(_BETWEEN, column="audio_silence_share", max_value=0.9, row_condition=_SPOKEN)
    yield _expect(_BETWEEN, column="audio_copies", max_value=0)
    allowed = ["granted"] if dataset.consent == "required" else ["granted", "unknown"]
    yield _expect(_IN_SET, column="consent", value_set=allowed)
    for column in dataset.slices:
        if column in facts.columns:
            yield _among(facts, column)
    yield _expect(
        "expect_column_distinct_values_to_contain_set",
        table=SLICES,
        column="slice",
        value_set=list(slices.columns["slice"]),
    )
    for column in ("utterances", "speakers"):
        least = min(value for value in slices.columns[column] if isinstance(value, int))
        yield _expect(
            _BETWEEN,
            table=SLICES,
            column=column,
            min_value=max(1, least),
        )
    yield _expect(
        _BETWEEN,
        severity="warning",
        needs_run=True,
        column="label_excess",
        max_value=0.6,
    )


def _among(facts: FactTable, column: str) -> Expectation:
    values = sorted({value for value in facts.columns[column] if value is not None}, key=str)
    return _expect(_IN_SET, column=column, value_set=values)


def _expect(
    kind: str,
    *,
    table: str = UTTERANCES,
    severity: Severity = "critical",
    needs_run: bool = False,
    **kwargs: object,
) -> Expectation:
    column = kwargs.get("column")
    return Expectation(
        type=kind,
        kwargs=json.dumps(kwargs),
        column=column if isinstance(column, str) else None,
        table=table,
        severity=severity,
        needs_run=needs_run,
    )
