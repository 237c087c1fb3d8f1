"""Which utterances of a dataset may be used, what each is called, and the slice values of each.

Revoked recordings never reach a system, unknown ones only where that is allowed.
"""

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from relkit.core.errors import InvalidInput
from relkit.datasets.types import NO_VALUE, Bins, Consent, Utterance
from relkit.statistics.crossed import hides_texts
from relkit.statistics.sums import CORE_COLUMNS

DURATION = "duration"
ID = "id"

CONSENT = "consent"
"""A column that can be selected by and is no slice."""


def cluster_of(utterance: Utterance, column: str) -> str:
    """Return the cluster of an utterance, ``(none)`` where it has none."""
    return utterance.id if column == ID else utterance.attributes.get(column, NO_VALUE)


TEXT = "text"
"""Stands for the reference itself, where a column is named."""


def prompts_of(
    utterances: Sequence[Utterance],
    texts: Sequence[str],
    clusters: Sequence[str],
    crossed: str | None = None,
) -> list[str]:
    """Return the prompt of each utterance, empty where it has none: what clusters may share.

    It is the value of the column ``crossed`` (``text``: the text, ``(none)``: none has any). None:
    the manifest's ``prompt``, else the text, and the text throughout where that column hides that
    clusters share texts.
    """
    if crossed == NO_VALUE:
        return [""] * len(utterances)
    if crossed not in {None, TEXT}:
        return [item.attributes.get(crossed or "", "") for item in utterances]
    read = [" ".join(text.split()) for text in texts]
    if crossed == TEXT:
        return read
    named = [
        " ".join(utterance.attributes["prompt"].split())
        if "prompt" in utterance.attributes
        else text
        for utterance, text in zip(utterances, read, strict=True)
    ]
    if named == read or hides_texts(zip(clusters, named, read, strict=True)):
        return read
    return named


def slice_values(
    utterance: Utterance, columns: Iterable[str], bins: Iterable[Bins], duration: float | None
) -> dict[str, str]:
    """Return the value of each column for one utterance, ``(none)`` where it has none."""
    values = {column: utterance.attributes.get(column, NO_VALUE) for column in columns}
    for derived in bins:
        if derived.name in values:
            text = utterance.attributes.get(derived.column)
            try:
                number = duration if derived.column == DURATION else float(text or "nan")
            except ValueError:
                number = None
            values[derived.name] = bin_label(number, derived.edges)
    return values


def bin_label(value: float | None, edges: tuple[float, ...]) -> str:
    """Return ``[a,b)`` for the bin a number falls into; the outer bins end in -inf and inf."""
    if value is None or value != value:  # noqa: PLR0124  # NaN is the one number unequal to itself
        return NO_VALUE
    ends = [str(edge).removesuffix(".0") for edge in edges]
    i = bisect.bisect_right(edges, value)
    low = ends[i - 1] if i else "-inf"
    high = ends[i] if i < len(ends) else "inf"
    return f"[{low},{high})"


RESERVED = frozenset({*CORE_COLUMNS, "overall"})
"""Names of result columns, which a slice column cannot have."""


def default_id(path: str, offset: float | None) -> str:
    """Return the path without its ending, with ``#offset`` where there is one.

    See docs/cli.md, section "Manifest".

    The offset is written in full: segments of one long recording differ in late digits.
    """
    pure = PurePosixPath(path)
    stem = str(pure.with_suffix("") if pure.name else pure)
    return stem if offset is None else f"{stem}#{str(offset).removesuffix('.0')}"


Policy = Literal["optional", "required"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consented:
    """The utterances that may be used, and how many were left out for which reason."""

    utterances: tuple[Utterance, ...]
    revoked: int = 0
    unknown: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for a report where something was left out, else nothing."""
        left_out = self.revoked + self.unknown
        reasons = f"{self.revoked} revoked, {self.unknown} unknown"
        note = f"{left_out} utterances were left out for lack of consent: {reasons}"
        return (note,) if left_out else ()


def consented(utterances: Sequence[Utterance], policy: Policy) -> Consented:
    """Return the utterances that a policy allows: with ``required`` only those granted."""
    forbidden = {Consent.REVOKED, *([Consent.UNKNOWN] if policy == "required" else [])}
    left_out = [item.consent for item in utterances if item.consent in forbidden]
    return Consented(
        utterances=tuple(item for item in utterances if item.consent not in forbidden),
        revoked=left_out.count(Consent.REVOKED),
        unknown=left_out.count(Consent.UNKNOWN),
    )


def require_consent(utterances: Sequence[Utterance], policy: Policy, *, dataset: str) -> Consented:
    """Return the utterances that may reach a system.

    With ``required``, revoked and unknown ones are left out. Otherwise raises InvalidInput where
    one is revoked and the suite did not exclude it, and wherever nothing is left.
    """
    usable = consented(utterances, policy)
    if policy == "optional" and usable.revoked:
        raise InvalidInput(
            f"{usable.revoked} of {len(utterances)} selected utterances of {dataset} have revoked "
            "consent",
            hint="exclude them: where: {consent: [granted, unknown]} in the suite, or consent: "
            "required in dataset.yaml",
        )
    if not usable.utterances:
        raise InvalidInput(
            f"no utterance of {dataset} may be used: {usable.revoked} revoked, "
            f"{usable.unknown} of unknown consent",
            hint="select others, or record the consent that was given in the manifest",
        )
    return usable
