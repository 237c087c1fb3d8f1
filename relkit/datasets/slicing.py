"""How a dataset is cut: which utterances a suite takes, and the slice values of each."""

import bisect
from collections.abc import Iterable

from relkit.datasets.types import NO_VALUE, Bins, Utterance

DURATION = "duration"


ID = "id"


CONSENT = "consent"
"""A column that can be selected by and is no slice."""


def cluster_of(utterance: Utterance, column: str) -> str:
    """Return the cluster of an utterance, ``(none)`` where it has none."""
    return utterance.id if column == ID else utterance.attributes.get(column, NO_VALUE)


def slice_values(
    utterance: Utterance, columns: Iterable[str], bins: Iterable[Bins], duration: float | None
) -> dict[str, str]:
    """Return the value of each column for one utterance, ``(none)`` where it has none."""
    values = {column: utterance.attributes.get(column, NO_VALUE) for column in columns}
    for derived in bins:
        if derived.name in values:
            values[derived.name] = _bin(utterance, derived, duration)
    return values


def _bin(utterance: Utterance, bins: Bins, duration: float | None) -> str:
    if bins.column == DURATION:
        return bin_label(duration, bins.edges)
    text = utterance.attributes.get(bins.column)
    try:
        return bin_label(None if text is None else float(text), bins.edges)
    except ValueError:
        return NO_VALUE


def bin_label(value: float | None, edges: tuple[float, ...]) -> str:
    """Return ``[a,b)`` for the bin a number falls into; the outer bins end in -inf and inf."""
    if value is None or value != value:  # noqa: PLR0124  # NaN is the one number unequal to itself
        return NO_VALUE
    ends = [str(edge).removesuffix(".0") for edge in edges]
    i = bisect.bisect_right(edges, value)
    low = ends[i - 1] if i else "-inf"
    high = ends[i] if i < len(ends) else "inf"
    return f"[{low},{high})"
