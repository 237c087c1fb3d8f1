"""One declared expectation to the library's own, or in words why there is none."""

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

from relkit.domain.contracts import Expectation

ORDER = "relkit_order"
COUNT = "relkit_count"
_NOT_NULL = "expect_column_values_to_not_be_null"
_WHERE = ("column", "row_condition", "condition_parser")
_CODE = re.compile(r"@|__")


def load(gx: Any, item: Expectation, order: int) -> Any:  # noqa: ANN401  # the library's expectation
    """Return the library's expectation, or in words why it is none.

    A suite logs what it does not know and goes on without it; one of its own for each expectation
    shows which one that was.
    """
    kwargs = json.loads(item.kwargs)
    kwargs.pop("result_format", None)  # the contract must not hide what was found
    condition = kwargs.get("row_condition")
    if isinstance(condition, str) and _CODE.search(condition):
        return "row_condition may compare columns only: no @ and no __"
    if "$PARAMETER" in item.kwargs:
        return "$PARAMETER is not used: write the value itself"
    declared = {
        "type": item.type,
        "kwargs": kwargs,
        "meta": {ORDER: order},
        "severity": item.severity,
    }
    try:
        found = gx.ExpectationSuite(name="one", expectations=[declared]).expectations
    except (ValueError, TypeError, AttributeError) as error:
        return _wrong_arguments(error)
    if len(found) != 1:
        return f'unknown expectation "{item.type}"' + nearest(item.type, _known())
    return found[0]


def _known() -> list[str]:
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    return list(list_registered_expectation_implementations())


def nearest(name: str, known: Sequence[str]) -> str:
    """Return ``: did you mean "…"?`` where a known name is near, else nothing."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f': did you mean "{close[0]}"?' if close else ""


def _wrong_arguments(error: Exception) -> str:
    """Return the first thing the library's model says; its messages name keys and types."""
    listed = getattr(error, "errors", None)
    if not callable(listed):
        return "its arguments cannot be read"
    first = listed()[0]
    name = ".".join(str(part) for part in first["loc"] if part != "__root__")
    return f'"{name}": {first["msg"]}' if name else str(first["msg"])


def count(gx: Any, item: Expectation, order: int) -> Any:  # noqa: ANN401  # an expectation beside it
    """Return an expectation that counts the values another one is about.

    Sums, distinct values and the like hold of no value at all, and their results do not say so.
    """
    kwargs = json.loads(item.kwargs)
    kept = {key: kwargs[key] for key in _WHERE if key in kwargs}
    declared = {"type": _NOT_NULL, "kwargs": kept, "meta": {COUNT: order}}
    return gx.ExpectationSuite(name="one", expectations=[declared]).expectations[0]
