"""What has changed about the columns themselves: codes such as ``new_category:language:ta``."""

import re
from collections.abc import Mapping

import numpy as np

from relkit.monitoring.drift.types import (
    MISSING,
    ColumnCounts,
    ColumnProfile,
    DriftPolicy,
    DriftProfile,
    WindowTotals,
)

UNIT_FACTORS = (1000.0, 60.0)
"""ms and s, s and min: a median that moves by one of these has changed its unit."""

UNIT_TOLERANCE = 1.25
"""How far from such a factor the median's ratio may be, as a ratio itself."""

_CHANCE = 1e-3
"""A column is not called constant or missing where that could be chance with more than this."""

_MOST_SHOWN = 10
_PLAIN = re.compile(r"[\w.+/-]{1,40}")

DECIDING = ("missing_column", "type_change", "label_coverage", "unit_suspicion", "constant")
"""Codes of a schema that has drifted; the others say what a person may want to know."""


def is_deciding(code: str) -> bool:
    """Return whether a code by itself means drift."""
    return code.partition(":")[0] in DECIDING


def column_changes(
    policy: DriftPolicy, profile: DriftProfile, seen: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the columns that are new, missing, or of another type; ``seen`` maps name to kind."""
    judged = set(policy.judged)
    codes = [f"missing_column:{name}" for name in policy.judged if name not in seen]
    codes += [
        f"type_change:{name}"
        for name in policy.judged
        if name in seen and seen[name] != profile.columns_seen.get(name)
    ]
    # Of the others, what is only there or not there is told and decides nothing.
    codes += [
        f"absent_column:{name}"
        for name in sorted(profile.columns_seen)
        if name not in seen and name not in judged
    ]
    codes += [f"new_column:{name}" for name in sorted(seen) if name not in profile.columns_seen]
    return tuple(codes)


def value_changes(
    column: ColumnProfile,
    counts: ColumnCounts,
    windows: WindowTotals,
    median: float | None,
) -> tuple[str, ...]:
    """Return new categories, a change of unit, and a column that is constant or empty now.

    A share r of the reference becomes everything by chance with r^(effective turns), where turns of
    one cluster count by the design effect; under 0.1 % it is called constant.
    """
    codes = []
    plain = [value for value, _ in counts.fresh if _PLAIN.fullmatch(value)]
    codes += [f"new_category:{column.column}:{value}" for value in plain[:_MOST_SHOWN]]
    if unnamed := len(counts.fresh) - len(plain[:_MOST_SHOWN]):
        codes.append(f"new_category:{column.column}:({unnamed} more)")
    if _is_unit_change(column.median, median):
        codes.append(f"unit_suspicion:{column.column}")
    turns = counts.turns.sum(axis=0)
    total = int(turns.sum())
    if total and int(turns.max()) == total:
        only = column.bins[int(turns.argmax())]
        squares = float(windows.squares.sum())
        effective = total / (1.0 + max(squares / total - 1.0, 0.0) * max(only.rho, only.rho_span))
        if only.share < 1.0 and only.share**effective < _CHANCE:
            kind = "missing_column" if only.bin == MISSING else "constant"
            codes.append(f"{kind}:{column.column}")
    return tuple(codes)


def _is_unit_change(before: float | None, now: float | None) -> bool:
    """Return whether a median moved by a factor near 1,000 or 60, or one over those."""
    if before is None or now is None or before * now <= 0.0:
        return False
    distance = abs(np.log(now / before))
    return any(abs(distance - np.log(factor)) <= np.log(UNIT_TOLERANCE) for factor in UNIT_FACTORS)


def unit_may_have_changed(column: ColumnProfile, counts: ColumnCounts) -> bool:
    """Return whether the bins allow such a median, so that it is worth computing."""
    if column.median is None or column.kind not in {"number", "value"}:
        return False
    if column.kind == "value" or not column.edges:
        return True
    turns = counts.turns.sum(axis=0)[:-1]
    if not turns.sum():
        return False
    middle = int(np.searchsorted(np.cumsum(turns), turns.sum() / 2.0))
    ends = (-np.inf, *column.edges, np.inf)
    low, high = ends[middle], ends[middle + 1]
    targets = [
        column.median * factor**sign * tolerance
        for factor in UNIT_FACTORS
        for sign in (1, -1)
        for tolerance in (1.0 / UNIT_TOLERANCE, 1.0, UNIT_TOLERANCE)
    ]
    return any(low <= target <= high for target in targets)


def label_coverage(policy: DriftPolicy, before: float | None, now: float | None) -> tuple[str, ...]:
    """Return a code where the labelled share of turns dropped by more than the policy allows."""
    if policy.labels is None or before is None or now is None:
        return ()
    dropped = before - now > policy.labels.max_drop + 1e-12
    return (f"label_coverage:{policy.labels.column}",) if dropped else ()
