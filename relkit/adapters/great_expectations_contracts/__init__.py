"""Great Expectations as the judge of facts; nothing it drops or skips passes unseen."""

import logging
import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from relkit.adapters.great_expectations_contracts.loading import COUNT, ORDER, count, load
from relkit.adapters.great_expectations_contracts.outcomes import not_evaluated, outcome_of
from relkit.domain.contracts import Contract, Expectation, FactTable, Judged
from relkit.domain.errors import MissingDependency

Wanted = dict[int, tuple[Expectation, Any]]
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
            wanted: dict[str, Wanted] = defaultdict(dict)
            for order, item in enumerate(contract.expectations):
                found = load(gx, item, order)
                if isinstance(found, str):
                    outcomes[order] = _not_loaded(item, found)
                elif item.needs_run and not with_run:
                    outcomes[order] = _not_checked(item)
                else:
                    wanted[item.table][order] = item, found
            for name, group in wanted.items():
                outcomes |= _judge_table(gx, tables[name], group, shown)
        return tuple(outcomes[order] for order in range(len(contract.expectations)))


def _missing() -> MissingDependency:
    return MissingDependency(
        "contracts need Great Expectations, which is not installed",
        hint="pip install 'relkit[contracts]'",
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


def _not_loaded(item: Expectation, problem: str) -> Judged:
    return Judged(expectation=item, state="failed", loaded=False, evaluated=False, problem=problem)


def _not_checked(item: Expectation) -> Judged:
    problem = "not checked: it needs a recogniser's run (--run RUN)"
    return Judged(expectation=item, state="not_checked", evaluated=False, problem=problem)


def _judge_table(
    gx: Any,  # noqa: ANN401  # the module itself
    table: FactTable,
    wanted: Wanted,
    shown: frozenset[str],
) -> dict[int, Judged]:
    """Return what came of the expectations about one table, by their order in the contract."""
    if not table.rows:
        problem = "there is no row to judge"
        return {order: not_evaluated(item, problem) for order, (item, _) in wanted.items()}
    from great_expectations.exceptions.exceptions import GreatExpectationsError

    declared = [found for _, found in wanted.values()]
    counted = [count(gx, item, order) for order, (item, _) in wanted.items() if item.column]
    suite = gx.ExpectationSuite(name="facts", expectations=[*declared, *counted])
    form = {"result_format": "COMPLETE", "unexpected_index_column_names": [table.key]}
    try:
        validated = _batch(gx, table).validate(suite, result_format=form).results
    except (GreatExpectationsError, ValueError, TypeError, KeyError):
        validated = []
    results = {_order(result, ORDER): result for result in validated}
    counts = {_order(result, COUNT): result for result in validated}
    return {
        order: (
            outcome_of(item, results[order], counts.get(order), table, shown)
            if order in results
            else not_evaluated(item, "Great Expectations did not evaluate it")
        )
        for order, (item, _) in wanted.items()
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
