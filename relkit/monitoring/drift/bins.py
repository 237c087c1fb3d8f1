"""How the bins of a column are frozen from the reference, and what a profile keeps of it."""

import hashlib

import numpy as np

from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown
from relkit.monitoring.drift.alarm import correlations
from relkit.monitoring.drift.types import (
    MISSING,
    NEW,
    OTHER,
    BinProfile,
    CategoryCount,
    ColumnProfile,
    FrozenBins,
    ReferenceSums,
)

RARE_SHARE = 0.005
"""Categories under this share of the reference's turns are ``(other)``."""

FEWEST_NAMED = 5
"""A category that fewer clusters have is ``(other)``, too: its name could be that of a person.

The smallest cell that shared documents show (docs/method.md).
"""

MOST_CATEGORIES = 1000
"""A column with more values is text or an identifier, and not read as categories."""

LONGEST_CATEGORY = 64
"""A longer value is a sentence, and would stand in the profile."""

FEW_VALUES = 10
"""Numbers with up to this many distinct values are binned by value: deciles would hide new ones."""

_DIGITS = 6
_TEXT_HINT = "text is watched by its length and its empty rate, an identifier not at all"


def frozen_numbers(column: str, deciles: tuple[float, ...], *, labelled: bool) -> FrozenBins:
    """Return the bins between the deciles, each once; to six digits, so that names tell them."""
    edges = sorted({float(f"{edge:.{_DIGITS}g}") for edge in deciles})
    return FrozenBins(column=column, kind="number", edges=tuple(edges), labelled=labelled)


def frozen_values(column: str, values: tuple[float, ...], *, labelled: bool) -> FrozenBins:
    """Return a bin for each of few numbers, so that a new one is seen even beside a constant."""
    names = tuple(f"{value!r}".removesuffix(".0") for value in values)
    return FrozenBins(column=column, kind="value", categories=names, labelled=labelled)


def frozen_categories(
    column: str, counts: tuple[CategoryCount, ...], *, labelled: bool
) -> FrozenBins:
    """Return a bin for each category that is no rarity, and the digests of the others.

    Raises InvalidInput for a column of text or of identifiers.
    """
    if len(counts) > MOST_CATEGORIES:
        raise InvalidInput(
            f'"{shown(column)}" has over {MOST_CATEGORIES:,} different values: it is no category',
            hint=_TEXT_HINT,
        )
    if any(len(count.value) > LONGEST_CATEGORY for count in counts):
        raise InvalidInput(
            f'"{shown(column)}" has values of over {LONGEST_CATEGORY} characters: it is text',
            hint=_TEXT_HINT,
        )
    turns = sum(count.turns for count in counts)
    common = [
        count
        for count in counts
        if count.turns >= RARE_SHARE * turns and count.clusters >= FEWEST_NAMED
    ]
    named = {count.value for count in common}
    return FrozenBins(
        column=column,
        kind="category",
        categories=tuple(sorted(named)),
        rare=frozenset(
            value_digest(column, count.value) for count in counts if count.value not in named
        ),
        labelled=labelled,
    )


def value_digest(column: str, value: str) -> str:
    """Return what a profile knows a rare category by: half of a SHA-256, with its column."""
    return hashlib.sha256(f"{column}\0{value}".encode()).hexdigest()[:32]


def thawed(profile: ColumnProfile) -> FrozenBins:
    """Return the bins of a profile, to sort turns into."""
    named = tuple(b.bin for b in profile.bins if b.bin not in {OTHER, NEW, MISSING})
    return FrozenBins(
        column=profile.column,
        kind=profile.kind,
        edges=profile.edges,
        categories=() if profile.kind == "number" else named,
        rare=frozenset(profile.rare),
        labelled=profile.labelled,
    )


def column_profile(
    frozen: FrozenBins, sums: ReferenceSums, *, median: float | None, spread: float | None
) -> ColumnProfile:
    """Return the profile of a column from its sums."""
    shares = sums.turns / max(int(sums.turns.sum()), 1)
    rho, rho_span = (correlations(x, sums.turns) for x in (sums.hour, sums.span))
    return ColumnProfile(
        column=frozen.column,
        kind=frozen.kind,
        bins=tuple(
            BinProfile(
                bin=name,
                share=float(shares[i]),
                rho=float(rho[i]),
                rho_span=float(rho_span[i]),
                turns=tuple(sums.by_slot[:, i].tolist()),
                clusters=tuple(sums.clusters[:, i].tolist()),
            )
            for i, name in enumerate(frozen.bins)
        ),
        totals=sums.totals,
        labelled=frozen.labelled,
        edges=frozen.edges,
        median=_finite(median),
        spread=_finite(spread),
        rare=tuple(sorted(frozen.rare)),
    )


def _finite(value: float | None) -> float | None:
    """Return a moment to nine digits: the last ones depend on the order of the turns."""
    return None if value is None or not np.isfinite(value) else float(f"{value:.9g}")
