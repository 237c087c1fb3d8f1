"""Numbers for slices: from coded columns of rows to slice keys and which row lies where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relkit.domain.slices import SliceSpec
from relkit.rules.cluster_sums import IntArray

Array = np.ndarray[Any, Any]
_DENSE = 1 << 22  # up to here a table of all combinations is cheaper than sorting the rows


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRows:
    """Rows sorted by slice: ``index`` (R,) into ``slices``, and columns (R,) by name."""

    slices: tuple[str, ...]
    index: IntArray
    columns: Mapping[str, Array]


def sort_by_slice(
    keys: tuple[str, ...], index: IntArray, columns: Mapping[str, Array]
) -> SliceRows:
    """Return rows sorted by slice, in the order they had within each."""
    narrow = index.astype(np.uint16) if len(keys) <= 1 << 16 else index  # which sorts in one pass
    order = np.argsort(narrow, kind="stable")
    return SliceRows(
        slices=keys,
        index=index[order],
        columns={name: values[order] for name, values in columns.items()},
    )


def stack(parts: Sequence[SliceRows]) -> SliceRows:
    """Return the rows of all parts one after another, at least one, their slices numbered on."""
    slices: tuple[str, ...] = ()
    indices = []
    for part in parts:
        indices.append(part.index + len(slices))
        slices += part.slices
    return SliceRows(
        slices=slices,
        index=np.concatenate(indices),
        columns={n: np.concatenate([p.columns[n] for p in parts]) for n in parts[0].columns},
    )


def number_slices(
    spec: SliceSpec, codes: Sequence[IntArray], labels: Sequence[Sequence[str]], rows: int
) -> tuple[tuple[str, ...], IntArray]:
    """Return the keys of the slices that occur, in the order of their values, and each row's (R,).

    ``codes`` holds for each column of ``spec`` the place (R,) of a row's value in that column's
    ``labels``; ``rows`` is R, for ``overall`` has no columns.
    """
    number, size = np.zeros(rows, dtype=np.int64), 1
    for code, names in zip(codes, labels, strict=True):
        if size * len(names) > _DENSE:
            number, occurring = _compact(number, size)
            size = len(occurring)
        number, size = number * len(names) + code, size * len(names)
    number, occurring = _compact(number, size)
    keys = (
        spec.key([names[code[row]] for code, names in zip(codes, labels, strict=True)])
        for row in occurring.tolist()
    )
    return tuple(keys), number


def _compact(number: IntArray, size: int) -> tuple[IntArray, IntArray]:
    """Return numbers without gaps in the same order, and for each a row that has it."""
    if size > _DENSE:
        _, occurring, dense = np.unique(number, return_index=True, return_inverse=True)
        return dense, occurring
    row_of = np.full(size, -1, dtype=np.int64)
    row_of[number] = np.arange(len(number))
    present = row_of >= 0
    return (np.cumsum(present) - 1)[number], row_of[present]
