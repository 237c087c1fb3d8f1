"""Thresholds of tails: percentiles of times before the canary, overall and by slice."""

# ruff: noqa: S608 - queries hold names we quote or made up

from collections.abc import Sequence

import numpy as np

from relkit.adapters.duckdb.session import quoted
from relkit.adapters.duckdb.turns import TurnTable
from relkit.canary.types import CanaryPolicy, FrozenThresholds, TailThreshold
from relkit.core.slices import OVERALL, SliceSpec

_OWN = 200
"""Turns that a slice's own threshold rests on at least; with fewer it has the overall one."""


def tails_of(policy: CanaryPolicy) -> dict[str, list[tuple[str, float]]]:
    """Return the (trigger, percentile) of each column that has tails, ascending."""
    tails: dict[str, list[tuple[str, float]]] = {}
    for trigger in policy.watched:
        if trigger.percentile is not None:
            tails.setdefault(trigger.column, []).append((trigger.id, trigger.percentile))
    return {column: sorted(levels, key=lambda level: level[1]) for column, levels in tails.items()}


def frozen_from(
    table: TurnTable, period: str, policy: CanaryPolicy, columns: Sequence[str]
) -> FrozenThresholds | None:
    """Return the thresholds that a query's turns give; None where there are too few of them."""
    turns = int(table.fetch(f"SELECT count(*) AS n FROM ({period})")["n"][0])
    if turns < policy.reference.min_turns:
        return None
    table.execute(f"CREATE VIEW canary_reference AS {period}")
    values = quantiles(table, "canary_reference", policy, columns)
    return FrozenThresholds(source="reference", turns=turns, values=values)


def quantiles(
    table: TurnTable, relation: str, policy: CanaryPolicy, columns: Sequence[str]
) -> tuple[TailThreshold, ...]:
    """Return the percentiles of times, overall and in each slice with enough turns."""
    tails = tails_of(policy)
    held = columns_of_relation(table, relation)
    attributes = [watched.column for watched in policy.slices if watched.column in held]
    thresholds = []
    for attribute in (None, *attributes):
        for column in columns:
            levels = ", ".join(str(level) for _, level in tails[column])
            key = "''" if attribute is None else quoted(attribute)
            rows = table.fetch(
                f"SELECT key, n, unnest(q) AS q, unnest([{levels}]) AS level FROM"
                f" (SELECT {key} AS key, count(*) AS n, quantile_cont({quoted(column)}, [{levels}])"
                f" AS q FROM {relation} WHERE {quoted(column)} IS NOT NULL AND {key} IS NOT NULL"
                " GROUP BY 1) ORDER BY key, level"
            )
            least = 1 if attribute is None else _OWN
            thresholds += [
                TailThreshold(
                    column=column,
                    percentile=float(level),
                    slice=slice_key(attribute, value),
                    value=float(quantile),
                    turns=int(turns),
                )
                for value, turns, quantile, level in zip(
                    *(np.asarray(rows[name]) for name in ("key", "n", "q", "level")), strict=True
                )
                if int(turns) >= least
            ]
    return tuple(thresholds)


def columns_of_relation(table: TurnTable, relation: str) -> tuple[str, ...]:
    """Return the columns of a relation in a table's database."""
    return tuple(table.fetch(f"SELECT * FROM {relation} LIMIT 0"))


def slice_key(column: str | None, value: object) -> str:
    """Return the key of a value's slice; overall without a column."""
    return OVERALL if column is None else SliceSpec.parse(column).key((str(value),))


def timestamp(micros: int) -> str:
    """Return a time in microseconds since 1970 as SQL."""
    return f"make_timestamp({micros})"
