"""The library's results to outcomes: counts and ids, values only where they may be shown."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from relkit.adapters.great_expectations_contracts.loading import nearest
from relkit.domain.contracts import Expectation, FactTable, Judged, State

MOST_KEYS = 20
"""How many ids of an expectation's failing rows are named."""

_MOST_FOUND = 5
_EXISTS = "expect_column_to_exist"


def not_evaluated(item: Expectation, problem: str) -> Judged:
    """Return the outcome of an expectation that was not evaluated: a failure, with the reason."""
    return Judged(expectation=item, state="failed", evaluated=False, problem=problem)


def outcome_of(
    item: Expectation,
    result: Any,  # noqa: ANN401  # the library's result
    count: Any,  # noqa: ANN401  # the same, of the values it is about
    table: FactTable,
    shown: frozenset[str],
) -> Judged:
    """Return an outcome; what judged no value at all did not judge, whatever it says."""
    if result.exception_info.get("raised_exception", True):
        return not_evaluated(item, _why_not(item, table))
    found: dict[str, Any] = result.result or {}
    values = _values(item, found, count)
    if values is not None and values <= 0:
        return not_evaluated(item, "there is no value to judge")
    broken: State = "failed" if item.severity == "critical" else "warning"
    rows = found.get("unexpected_index_list") or []
    named = item.column in shown
    return Judged(
        expectation=item,
        state="passed" if result.success else broken,
        values=values,
        unexpected=_whole(found.get("unexpected_count")),
        missing=_whole(found.get("missing_count")) if "element_count" in found else None,
        observed=_number(found.get("observed_value")),
        keys=tuple(dict.fromkeys(str(row[table.key]) for row in rows))[:MOST_KEYS],
        found=_found(found) if named else {},
        problem=None if result.success else _lacking(item, found, named=named),
    )


def _values(item: Expectation, found: Mapping[str, Any], count: Any) -> int | None:  # noqa: ANN401  # as above
    """Return how many values or rows were judged; None where a table as a whole was."""
    if "element_count" in found:
        return int(found["element_count"]) - int(found.get("missing_count") or 0)
    if item.column is None or item.type == _EXISTS:
        return None
    if count is None or count.exception_info.get("raised_exception", True):
        return 0
    return int(count.result["element_count"]) - int(count.result["unexpected_count"])


def _why_not(item: Expectation, table: FactTable) -> str:
    """Return why nothing was evaluated, in our words: the library's may quote values."""
    kwargs = json.loads(item.kwargs)
    named = [kwargs.get(key) for key in ("column", "column_A", "column_B")]
    named += kwargs.get("column_list") or []
    for column in named:
        if column is not None and column not in table.columns:
            return f'the {item.table} have no column "{column}"' + nearest(
                str(column), list(table.columns)
            )
    if item.column is not None and all(cell is None for cell in table.columns[item.column]):
        return "there is no value to judge"
    if "row_condition" in kwargs:
        return "Great Expectations could not evaluate it, or row_condition selects no row"
    return "Great Expectations could not evaluate it: do its arguments fit the column?"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, Integral) else None


def _found(found: Mapping[str, Any]) -> dict[str, int]:
    """Return the commonest unexpected values with their counts."""
    values = found.get("unexpected_list") or found.get("partial_unexpected_list") or ()
    return dict(Counter(str(value) for value in values).most_common(_MOST_FOUND))


def _lacking(item: Expectation, found: Mapping[str, Any], *, named: bool) -> str | None:
    """Return which columns a table lacks or has too many, or which values a column lacks."""
    mismatched = (found.get("details") or {}).get("mismatched")
    missing = found.get("partial_missing_list")
    if isinstance(mismatched, Mapping):
        kinds = [("missing", "missing")]
        if json.loads(item.kwargs).get("exact_match", True):
            kinds.append(("unexpected", "further"))
        parts = [
            f"{what} columns: {', '.join(map(str, mismatched[key]))}"
            for key, what in kinds
            if mismatched.get(key)
        ]
        return "; ".join(parts) or None
    if named and missing:
        return f"missing values: {', '.join(sorted(map(str, missing)))}"
    return None
