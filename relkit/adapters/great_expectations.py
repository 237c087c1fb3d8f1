"""Great Expectations as the judge of facts; nothing it drops or skips passes unseen.

Each declared expectation becomes the library's own, or it is said why there is none; the library's
results become outcomes: counts and ids, values only where they may be shown.
"""

import difflib
import json
import logging
import math
import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from numbers import Integral, Real
from typing import Any

from relkit._version import with_extra
from relkit.core.errors import MissingDependency
from relkit.curation.types import Contract, Expectation, FactTable, Judged, State

_ORDER = "relkit_order"
_COUNT = "relkit_count"
_NOT_NULL = "expect_column_values_to_not_be_null"
_WHERE = ("column", "row_condition", "condition_parser")
_CODE = re.compile(r"@|__")
_EXISTS = "expect_column_to_exist"
_MOST_FOUND = 5

MOST_KEYS = 20
"""How many ids of an expectation's failing rows are named."""

_Loaded = dict[int, tuple[Expectation, Any]]
"""Expectations to be judged, with the library's own, by their place in the contract."""


class GreatExpectationsChecker:
    """Implements ContractChecker: an ephemeral context, without progress bars or analytics."""

    def versions(self) -> dict[str, str]:
        """Return the versions of what judges; raises MissingDependency."""
        try:
            names = ("great-expectations", "pandas")
            return {name: metadata.version(name) for name in names}
        except metadata.PackageNotFoundError as error:
            raise _missing() from error

    def check(
        self,
        contract: Contract,
        tables: Mapping[str, FactTable],
        *,
        shown: frozenset[str],
        with_run: bool,
    ) -> tuple[Judged, ...]:
        """Return what came of each expectation, in the order of the contract.

        Values are named only of the columns in ``shown``, of others the ids of their rows alone.
        Raises MissingDependency where Great Expectations is not installed.
        """
        with _quiet():
            gx = _library()
            outcomes: dict[int, Judged] = {}
            tasks: dict[str, _Loaded] = defaultdict(dict)
            for order, item in enumerate(contract.expectations):
                loaded = _load(gx, item, order)
                if isinstance(loaded, str):
                    outcomes[order] = _not_evaluated(item, loaded, loaded=False)
                elif item.settings.needs and not with_run:
                    problem = "not checked: it needs a recogniser's run (--run RUN)"
                    outcomes[order] = _not_evaluated(item, problem, state="not_checked")
                else:
                    tasks[item.settings.table][order] = item, loaded
            for name, group in tasks.items():
                outcomes |= _judge_table(gx, tables[name], group, shown)
        return tuple(outcomes[order] for order in range(len(contract.expectations)))


def _missing() -> MissingDependency:
    return MissingDependency(
        "contracts need Great Expectations, which is not installed",
        hint=with_extra("contracts"),
    )


def _library() -> Any:  # noqa: ANN401  # the module itself
    # Read when the library is imported: older versions report their use unless it is off.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    try:
        import great_expectations as gx
        import pandas as pd  # noqa: F401  # it must be there, too
    except ImportError as error:
        raise _missing() from error
    return gx


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the library logs and warns about away: it may quote values, and texts are values.

    Everything it reports is in its results, which are looked at one by one.
    """
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _judge_table(
    gx: Any,  # noqa: ANN401  # the module itself
    table: FactTable,
    expectations: _Loaded,
    shown: frozenset[str],
) -> dict[int, Judged]:
    """Return what came of the expectations about one table, by their order in the contract."""
    if not table.rows:
        problem = "there is no row to judge"
        return {order: _not_evaluated(item, problem) for order, (item, _) in expectations.items()}
    from great_expectations.exceptions.exceptions import GreatExpectationsError

    declared = [loaded for _, loaded in expectations.values()]
    counted = [_counter(gx, item, k) for k, (item, _) in expectations.items() if item.column]
    suite = gx.ExpectationSuite(name="facts", expectations=[*declared, *counted])
    form = {"result_format": "COMPLETE", "unexpected_index_column_names": [table.key]}
    try:
        validated = _batch(gx, table).validate(suite, result_format=form).results
    except (GreatExpectationsError, ValueError, TypeError, KeyError):
        validated = []
    results = {_order(result, _ORDER): result for result in validated}
    counts = {_order(result, _COUNT): result for result in validated}
    return {
        order: (
            _outcome_of(item, results[order], counts.get(order), table, shown)
            if order in results
            else _not_evaluated(item, "Great Expectations did not evaluate it")
        )
        for order, (item, _) in expectations.items()
    }


def _order(result: Any, key: str) -> int | None:  # noqa: ANN401  # the library's result
    order = result.expectation_config.meta.get(key)
    return order if isinstance(order, int) else None


def _batch(gx: Any, table: FactTable) -> Any:  # noqa: ANN401  # the module, and its batch
    import pandas as pd
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    asset = context.data_sources.add_pandas("facts").add_dataframe_asset("table")
    frame = pd.DataFrame({name: list(column) for name, column in table.columns.items()})
    return asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})


def _load(gx: Any, item: Expectation, order: int) -> Any:  # noqa: ANN401  # the library's expectation
    """Return the library's expectation, or in words why it is none.

    A suite logs what it does not know and goes on without it; one of its own for each expectation
    shows which one that was.
    """
    kwargs = dict(item.kwargs)
    kwargs.pop("result_format", None)  # the contract must not hide what was found
    condition = kwargs.get("row_condition")
    if isinstance(condition, str) and _CODE.search(condition):
        return "row_condition may compare columns only: no @ and no __"
    if "$PARAMETER" in json.dumps(item.kwargs):
        return "$PARAMETER is not used: write the value itself"
    declared = {
        "type": item.type,
        "kwargs": kwargs,
        "meta": {_ORDER: order},
        "severity": item.severity,
    }
    try:
        loaded = gx.ExpectationSuite(name="one", expectations=[declared]).expectations
    except (ValueError, TypeError, AttributeError) as error:
        return _wrong_arguments(error)
    if len(loaded) == 1:
        return _vacuous(item.type, loaded[0]) or loaded[0]
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    names = list(list_registered_expectation_implementations())
    return f'unknown expectation "{item.type}"' + _suggestion(item.type, names)


_LISTS = ("value_set", "type_list", "value_pairs_set")
_DEMANDS = (*_LISTS, "regex_list", "like_pattern_list", "column_set", "column_list", "threshold")
_SPANS = (("proportion", 0.0, 1.0), ("count", 0.0, math.inf), ("lengths", 0.0, math.inf))
"""What is in the name of an expectation, and the least and most that any data can have."""


def _vacuous(kind: str, loaded: Any) -> str | None:  # noqa: ANN401  # the library's expectation
    """Return why no data could break an expectation, None where some could.

    The library reads what is missing as "anything goes", and its profilers write such ones.
    """
    absent = object()
    values = {name: getattr(loaded, name, absent) for name in _DEMANDS}
    missing = [name for name, value in values.items() if value is None]
    empty = [name for name in _LISTS if values[name] in ([], (), set())]
    if getattr(loaded, "mostly", None) == 0:
        return 'no data can break it: "mostly" is 0, so that no value has to hold'
    ranges = (getattr(loaded, "quantile_ranges", None) or {}).get("value_ranges")
    if ranges is not None and all(low is high is None for low, high in ranges):
        return 'no data can break it: "value_ranges" has no limit'
    if ranges is None and kind.endswith("_to_be_between") and _covers(kind, loaded):
        return 'no data can break it: give "min_value" or "max_value" a limit that data can pass'
    if missing and not (missing == ["column_set"] and loaded.exact_match):
        return f'no data can break it: "{missing[0]}" is missing'
    passing = "_not_" in kind or "contain_set" in kind
    return f'no data can break it: "{empty[0]}" is empty' if empty and passing else None


def _covers(kind: str, loaded: Any) -> bool:  # noqa: ANN401  # the library's expectation
    """Return whether bounds leave nothing out of what there can be."""
    spans = ((low, high) for part, low, high in _SPANS if part in kind)
    least, most = next(spans, (-math.inf, math.inf))
    low, high = loaded.min_value, loaded.max_value
    strict = [bool(getattr(loaded, f"strict_{end}", False)) for end in ("min", "max")]
    below = low is None or (_number(low) is not None and low <= least and not strict[0])
    above = high is None or (_number(high) is not None and high >= most and not strict[1])
    return below and above


def _suggestion(name: str, names: Sequence[str]) -> str:
    """Return ``: did you mean "…"?`` where a name is near, else nothing."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f': did you mean "{close[0]}"?' if close else ""


def _wrong_arguments(error: Exception) -> str:
    """Return the first thing the library's model says; its messages name keys and types."""
    listed = getattr(error, "errors", None)
    if not callable(listed):
        return "its arguments cannot be read"
    first = listed()[0]
    name = ".".join(str(part) for part in first["loc"] if part != "__root__")
    return f'"{name}": {first["msg"]}' if name else str(first["msg"])


def _counter(gx: Any, item: Expectation, order: int) -> Any:  # noqa: ANN401  # an expectation beside it
    """Return an expectation that counts the values another one is about.

    Sums, distinct values and the like hold of no value at all, and their results do not say so.
    """
    where = {key: item.kwargs[key] for key in _WHERE if key in item.kwargs}
    declared = {"type": _NOT_NULL, "kwargs": where, "meta": {_COUNT: order}}
    return gx.ExpectationSuite(name="one", expectations=[declared]).expectations[0]


def _not_evaluated(
    item: Expectation, problem: str, *, state: State = "failed", loaded: bool = True
) -> Judged:
    """Return the outcome of an expectation that was not evaluated, a failure as a rule."""
    return Judged.of(item, state, loaded=loaded, evaluated=False, problem=problem)


def _outcome_of(
    item: Expectation,
    result: Any,  # noqa: ANN401  # the library's result
    count: Any,  # noqa: ANN401  # the same, of the values it is about
    table: FactTable,
    shown: frozenset[str],
) -> Judged:
    """Return an outcome; what judged no value at all did not judge, whatever it says."""
    if result.exception_info.get("raised_exception", True):
        return _not_evaluated(item, _why_not(item, table))
    details: dict[str, Any] = result.result or {}
    values = _values(item, details, count)
    if values is not None and values <= 0:
        return _not_evaluated(item, "there is no value to judge")
    broken: State = "failed" if item.severity == "critical" else "warning"
    rows = details.get("unexpected_index_list") or []
    named = item.column in shown
    values_found = details.get("unexpected_list") or details.get("partial_unexpected_list") or ()
    commonest = Counter(str(value) for value in values_found).most_common(_MOST_FOUND)
    return Judged.of(
        item,
        "passed" if result.success else broken,
        values=values,
        unexpected=_integer(details.get("unexpected_count")),
        missing=_integer(details.get("missing_count")) if "element_count" in details else None,
        observed=_number(details.get("observed_value")),
        ids=tuple(dict.fromkeys(str(row[table.key]) for row in rows))[:MOST_KEYS],
        found=dict(commonest) if named else {},
        problem=None if result.success else _lacking(item, details, named=named),
    )


def _values(item: Expectation, details: Mapping[str, Any], count: Any) -> int | None:  # noqa: ANN401  # as above
    """Return how many values or rows were judged; None where a table as a whole was."""
    if "element_count" in details:
        return int(details["element_count"]) - int(details.get("missing_count") or 0)
    if item.column is None or item.type == _EXISTS:
        return None
    if count is None or count.exception_info.get("raised_exception", True):
        return 0
    return int(count.result["element_count"]) - int(count.result["unexpected_count"])


def _why_not(item: Expectation, table: FactTable) -> str:
    """Return why nothing was evaluated, in our words: the library's may quote values."""
    named = [item.kwargs.get(key) for key in ("column", "column_A", "column_B")]
    named += item.kwargs.get("column_list") or []
    for column in named:
        if column is not None and column not in table.columns:
            return f'the {item.settings.table} have no column "{column}"' + _suggestion(
                str(column), list(table.columns)
            )
    if item.column is not None and all(cell is None for cell in table.columns[item.column]):
        return "there is no value to judge"
    if "row_condition" in item.kwargs:
        return "Great Expectations could not evaluate it, or row_condition selects no row"
    return "Great Expectations could not evaluate it: do its arguments fit the column?"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _integer(value: object) -> int | None:
    return int(value) if isinstance(value, Integral) else None


def _lacking(item: Expectation, details: Mapping[str, Any], *, named: bool) -> str | None:
    """Return which columns a table lacks or has too many, or which values a column lacks."""
    mismatched = (details.get("details") or {}).get("mismatched")
    missing = details.get("partial_missing_list")
    if isinstance(mismatched, Mapping):
        kinds = [("missing", "missing")]
        if item.kwargs.get("exact_match", True):
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
